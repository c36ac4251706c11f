-- A client was "last used" when it was last issued a token; now a use is a permitted request, as with grants, and is kept
-- when the grants of the client end.
ALTER TABLE client RENAME COLUMN last_used_at TO last_token_at;
ALTER TABLE client ADD COLUMN last_used_at INTEGER;
UPDATE client SET last_used_at = (SELECT max(last_used_at) FROM grants WHERE client_no = client.no)
    WHERE no IN (SELECT client_no FROM grants);

-- When a secret was made. Of those before this migration, the audit trail tells which have replaced another.
ALTER TABLE client_secret ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
UPDATE client_secret SET created_at = (SELECT created_at FROM client WHERE no = client_no);
UPDATE client_secret SET created_at = rotation.at
    FROM (SELECT c.no, max(a.at) AS at FROM audit a JOIN client c ON c.tenant = a.tenant AND c.client_id = a.client_id
        WHERE a.event = 'client.secret_rotated' GROUP BY c.no) AS rotation
    WHERE rotation.no = client_no AND until IS NULL;
