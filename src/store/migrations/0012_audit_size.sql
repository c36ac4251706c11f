-- For whom, at which resource and with which scopes something was done.
ALTER TABLE audit ADD COLUMN subject TEXT;
ALTER TABLE audit ADD COLUMN resource TEXT;
ALTER TABLE audit ADD COLUMN scopes TEXT;

-- How large the trail is, in one row: kept with each row that is added or removed, because nobody could add up a large
-- trail each time. Rows up to `counted_after` are from before sizes were kept; each stands for 200 bytes, about what a row
-- takes. `routine_bytes` is the part of refusals and refreshes since then, and none of those has a number up to
-- `routine_gone`.
CREATE TABLE audit_size (
    only_row      INTEGER PRIMARY KEY CHECK (only_row = 1),
    counted_after INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    routine_bytes INTEGER NOT NULL,
    routine_gone  INTEGER NOT NULL
) STRICT;
INSERT INTO audit_size (only_row, counted_after, bytes, routine_bytes, routine_gone)
    SELECT 1, coalesce(max(no), 0), 200 * coalesce(max(no), 0), 0, 0 FROM audit;
