-- When a request with a token of the grant was last permitted; unknown for uses before this migration.
ALTER TABLE grants ADD COLUMN last_used_at INTEGER;
