-- The workload that a grant is of: issuer and subject of its token, separated by a space.
ALTER TABLE grants ADD COLUMN workload TEXT;
