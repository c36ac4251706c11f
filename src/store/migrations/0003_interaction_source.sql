-- From which network a pending authorization was begun, so that whoever begins too many pushes out their own.
ALTER TABLE interaction ADD COLUMN source TEXT;
CREATE INDEX interaction_of_source ON interaction (source) WHERE source IS NOT NULL;
