-- SHA-256 of what a public client has registered: the same registration gets the same client. NULL for other clients, and
-- for those that registered before this column existed.
ALTER TABLE client ADD COLUMN registration BLOB CHECK (registration IS NULL OR length(registration) = 32);
CREATE UNIQUE INDEX client_of_registration ON client (tenant, registration) WHERE registration IS NOT NULL;

-- When the client was added, or last registered again; unused clients are removed by this time.
ALTER TABLE client ADD COLUMN registered_at INTEGER NOT NULL DEFAULT 0;
UPDATE client SET registered_at = created_at;
DROP INDEX client_by_last_use;
CREATE INDEX client_by_last_use ON client (last_used_at, registered_at) WHERE origin <> 'manual';

-- Unused clients, the oldest registration first: when there are too many clients, one of these is removed.
CREATE INDEX client_unused ON client (tenant, origin, registered_at) WHERE last_used_at IS NULL AND status = 'enabled';

-- How many clients of each origin there are: counting the rows would cost more with every client.
CREATE TABLE client_count (
    tenant  TEXT    NOT NULL,
    origin  TEXT    NOT NULL,
    clients INTEGER NOT NULL,
    PRIMARY KEY (tenant, origin)
) STRICT, WITHOUT ROWID;
INSERT INTO client_count (tenant, origin, clients) SELECT tenant, origin, count(*) FROM client GROUP BY tenant, origin;

CREATE TRIGGER client_added AFTER INSERT ON client BEGIN
    INSERT INTO client_count (tenant, origin, clients) VALUES (NEW.tenant, NEW.origin, 1)
        ON CONFLICT (tenant, origin) DO UPDATE SET clients = clients + 1;
END;

CREATE TRIGGER client_removed AFTER DELETE ON client BEGIN
    UPDATE client_count SET clients = clients - 1 WHERE tenant = OLD.tenant AND origin = OLD.origin;
END;
