-- What kind of account: a person, who signs in, or a service, which acts for itself and has nothing to sign in with.
ALTER TABLE account ADD COLUMN kind TEXT NOT NULL DEFAULT 'person'
    CHECK (kind = 'person' OR (kind = 'service' AND password IS NULL));
