-- Where the person signed in from who consented: the address, and what the browser said of itself. Null: not known, and for
-- grants that no person opened in a browser.
ALTER TABLE code ADD COLUMN signed_in_address TEXT;
ALTER TABLE code ADD COLUMN signed_in_agent TEXT;
ALTER TABLE grants ADD COLUMN signed_in_address TEXT;
ALTER TABLE grants ADD COLUMN signed_in_agent TEXT;

-- How long the tokens of a client live, in milliseconds, where an operator gave it other lifetimes than all have.
ALTER TABLE client ADD COLUMN access_lifetime INTEGER;
ALTER TABLE client ADD COLUMN refresh_idle INTEGER;
ALTER TABLE client ADD COLUMN refresh_absolute INTEGER;
