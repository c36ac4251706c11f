-- API keys: each is a token on a grant of its own, with a name, its last characters, and where it may be used from. Null:
-- no key, and for the addresses from everywhere.
ALTER TABLE grants ADD COLUMN key_name TEXT;
ALTER TABLE grants ADD COLUMN key_hint TEXT;
ALTER TABLE grants ADD COLUMN key_addresses TEXT;
