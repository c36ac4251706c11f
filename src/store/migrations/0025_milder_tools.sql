-- Since when a tool says what it says now, if that is milder than what it once said. Null: it is not, or that is not known,
-- as before this schema.
ALTER TABLE tool ADD COLUMN milder_since INTEGER;
-- When the user consented. 0: not known, as before this schema.
ALTER TABLE grants ADD COLUMN consented_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE code ADD COLUMN consented_at INTEGER NOT NULL DEFAULT 0;
