-- Which groups an account is a member of. A group is in the store as long as it has a member.
CREATE TABLE group_member (
    account_no INTEGER NOT NULL REFERENCES account (no) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    tenant     TEXT    NOT NULL,
    seal       INTEGER NOT NULL,
    PRIMARY KEY (account_no, name)
) STRICT, WITHOUT ROWID;
