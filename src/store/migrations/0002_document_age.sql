-- When a client's metadata document was last fetched, and until when it is believed. A restart must not make every
-- described client depend on the reach of its host.
ALTER TABLE client ADD COLUMN document_fetched_at INTEGER;
ALTER TABLE client ADD COLUMN document_fresh_until INTEGER;
