-- Whether the client of a grant acts for a person who is absent.
ALTER TABLE grants ADD COLUMN acting INTEGER NOT NULL DEFAULT 0 CHECK (acting IN (0, 1));

-- For whom clients may no longer act, because that was ended; until it is lifted.
CREATE TABLE ended_acting (
    account_no INTEGER NOT NULL REFERENCES account (no) ON DELETE CASCADE,
    client_no  INTEGER NOT NULL REFERENCES client (no) ON DELETE CASCADE,
    tenant     TEXT    NOT NULL,
    ended_at   INTEGER NOT NULL,
    seal       INTEGER NOT NULL,
    PRIMARY KEY (account_no, client_no)
) STRICT, WITHOUT ROWID;

CREATE INDEX ended_acting_by_client ON ended_acting (client_no);
