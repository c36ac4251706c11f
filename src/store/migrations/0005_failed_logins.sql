-- When a login last failed, and how many failed before the one that began a session: so that its owner can be told.
ALTER TABLE account ADD COLUMN last_failed_at INTEGER;
ALTER TABLE login_session ADD COLUMN failures_before INTEGER;
ALTER TABLE login_session ADD COLUMN last_failure_at INTEGER;
