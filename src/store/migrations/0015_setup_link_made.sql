-- When a set-password link was made: one that was made by a clock that is ahead ends when the clock is right again. Links of
-- before this migration do not say.
ALTER TABLE setup_link ADD COLUMN made_at INTEGER;
