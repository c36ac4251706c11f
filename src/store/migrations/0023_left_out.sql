-- What each user left out for each client at a resource when they last decided, which outlives grants and consents.
CREATE TABLE left_out (
    account_no INTEGER NOT NULL REFERENCES account (no) ON DELETE CASCADE,
    client_no  INTEGER NOT NULL REFERENCES client (no) ON DELETE CASCADE,
    resource   TEXT    NOT NULL,
    tenant     TEXT    NOT NULL,
    exclusions TEXT    NOT NULL,
    seal       INTEGER NOT NULL,
    PRIMARY KEY (account_no, client_no, resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX left_out_of_client ON left_out (client_no);
