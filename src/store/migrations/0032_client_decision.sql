-- What an operator decided about a client that they did not add, and the digests of what they saw of it: of everything, and
-- of the keys alone.
ALTER TABLE client ADD COLUMN decision TEXT CHECK (decision IN ('approved', 'rejected'));
ALTER TABLE client ADD COLUMN decided_for BLOB;
ALTER TABLE client ADD COLUMN decided_keys BLOB;
