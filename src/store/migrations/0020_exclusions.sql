-- What a user left unticked below the scopes that they granted: tools and groups of tools. Null: nothing, as before this
-- migration.
ALTER TABLE grants ADD COLUMN exclusions TEXT;
ALTER TABLE code ADD COLUMN exclusions TEXT;
ALTER TABLE consent ADD COLUMN exclusions TEXT;
