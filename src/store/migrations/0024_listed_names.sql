-- The prompts, resources and templates of resources that an upstream listed last, as JSON. Null: not kept, as before this
-- schema.
ALTER TABLE catalogue ADD COLUMN names TEXT;
