-- Whether the client authenticated by an assertion when the grant was made; it may refresh only so.
ALTER TABLE grants ADD COLUMN by_assertion INTEGER NOT NULL DEFAULT 0 CHECK (by_assertion IN (0, 1));
