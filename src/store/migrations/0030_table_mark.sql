-- What tables of the configuration file have made or taken over: a client or an account each, under the id in its table.
CREATE TABLE table_mark (
    tenant     TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('account', 'client')),
    id         TEXT    NOT NULL,
    client_no  INTEGER UNIQUE REFERENCES client (no) ON DELETE CASCADE,
    account_no INTEGER UNIQUE REFERENCES account (no) ON DELETE CASCADE,
    seal       INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, id),
    CHECK ((kind = 'client') = (client_no IS NOT NULL)),
    CHECK ((kind = 'account') = (account_no IS NOT NULL))
) STRICT, WITHOUT ROWID;
