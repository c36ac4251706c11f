-- Where what is known of a client's metadata document comes from, if not from its URL.
ALTER TABLE client ADD COLUMN document_source TEXT CHECK (document_source IN ('shipped', 'imported'));
