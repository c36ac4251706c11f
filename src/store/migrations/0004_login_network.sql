-- The networks from which an account has logged in, the newest twenty: there, what strangers do to its name does not keep
-- its owner out, after a restart neither.
CREATE TABLE login_network (
    account_no    INTEGER NOT NULL REFERENCES account (no) ON DELETE CASCADE,
    network       TEXT    NOT NULL,
    tenant        TEXT    NOT NULL,
    last_login_at INTEGER NOT NULL,
    PRIMARY KEY (account_no, network)
) STRICT, WITHOUT ROWID;
