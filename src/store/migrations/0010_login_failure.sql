-- Failed logins by name, for names that nobody has as well: a count that lived elsewhere, or less long, for those would tell
-- which names exist. The name is an HMAC under the token key, since people type passwords into that field.
CREATE TABLE login_failure (
    tenant         TEXT    NOT NULL,
    name           BLOB    NOT NULL CHECK (length(name) = 32),
    failures       INTEGER NOT NULL,
    last_failed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX login_failure_by_age ON login_failure (last_failed_at);
