-- SHA-256 of what a confidential client has registered and of the site that it came from: the same program's next registration
-- takes the place of those that were never used. NULL for other clients, for those from before this migration, and once a
-- client was changed.
ALTER TABLE client ADD COLUMN succession BLOB CHECK (succession IS NULL OR length(succession) = 32);
CREATE INDEX client_of_succession ON client (tenant, succession) WHERE succession IS NOT NULL;
