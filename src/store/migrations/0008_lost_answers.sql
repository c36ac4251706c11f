-- Whether the live refresh token of a grant, or an access token issued with it, has been used: NULL unknown, 0 no, 1 yes.
ALTER TABLE grants ADD COLUMN first_use INTEGER CHECK (first_use IN (0, 1));
-- When the live refresh token was given out again because its answer was lost.
ALTER TABLE grants ADD COLUMN retried_at INTEGER;
-- The generation of the refresh token that an access token was issued with. Those of before count as of the first one,
-- whose use says nothing.
ALTER TABLE access_token ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;

-- Access tokens that came with a lost answer. In a table of their own, so that no query for live tokens can find one.
CREATE TABLE void_token (
    hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    tenant     TEXT    NOT NULL,
    grant_no   INTEGER NOT NULL REFERENCES grants (no) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    seal       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX void_token_of_grant ON void_token (grant_no, expires_at);
CREATE INDEX void_token_by_end ON void_token (expires_at);
