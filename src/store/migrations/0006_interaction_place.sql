-- The room for pending authorizations is shared by weight: by host, by site, and in all. Those that nobody has signed in
-- to compete only with each other, and those that somebody has are counted by login session, apart from them. Triggers
-- keep the sums, so that one more costs the same however many there are.
ALTER TABLE interaction ADD COLUMN host TEXT;
DROP INDEX interaction_of_source;

-- What an interaction takes and from whom. In the pool 'session', site and host are both the session.
CREATE TABLE interaction_place (
    no     INTEGER PRIMARY KEY REFERENCES interaction (no) ON DELETE CASCADE,
    pool   TEXT    NOT NULL CHECK (pool IN ('stranger', 'session')),
    site   TEXT    NOT NULL,
    host   TEXT    NOT NULL,
    ended  INTEGER NOT NULL CHECK (ended IN (0, 1)),
    weight INTEGER NOT NULL
) STRICT;
CREATE INDEX interaction_place_of_host ON interaction_place (pool, site, host, ended DESC, no);
CREATE INDEX interaction_place_of_site ON interaction_place (pool, site, no);

-- The sums: of a host, of a site (host is empty), of a pool (site is empty too). `newest` is the newest interaction.
CREATE TABLE interaction_weight (
    pool   TEXT    NOT NULL,
    site   TEXT    NOT NULL,
    host   TEXT    NOT NULL,
    weight INTEGER NOT NULL,
    newest INTEGER NOT NULL,
    PRIMARY KEY (pool, site, host)
) STRICT, WITHOUT ROWID;
CREATE INDEX interaction_weight_of_sites ON interaction_weight (pool, weight DESC, newest) WHERE site <> '' AND host = '';
CREATE INDEX interaction_weight_of_hosts ON interaction_weight (pool, site, weight DESC, newest) WHERE host <> '';

CREATE TRIGGER interaction_place_taken AFTER INSERT ON interaction_place BEGIN
    INSERT INTO interaction_weight (pool, site, host, weight, newest)
        VALUES (NEW.pool, '', '', NEW.weight, 0),
            (NEW.pool, NEW.site, '', NEW.weight, NEW.no),
            (NEW.pool, NEW.site, NEW.host, NEW.weight, NEW.no)
        ON CONFLICT (pool, site, host)
        DO UPDATE SET weight = weight + excluded.weight, newest = max(newest, excluded.newest);
END;

CREATE TRIGGER interaction_place_left AFTER DELETE ON interaction_place BEGIN
    UPDATE interaction_weight SET weight = weight - OLD.weight WHERE pool = OLD.pool AND site = '' AND host = '';
    UPDATE interaction_weight SET weight = weight - OLD.weight,
            newest = coalesce((SELECT max(no) FROM interaction_place WHERE pool = OLD.pool AND site = OLD.site), 0)
        WHERE pool = OLD.pool AND site = OLD.site AND host = '';
    UPDATE interaction_weight SET weight = weight - OLD.weight,
            newest = max(
                coalesce((SELECT max(no) FROM interaction_place
                    WHERE pool = OLD.pool AND site = OLD.site AND host = OLD.host AND ended = 0), 0),
                coalesce((SELECT max(no) FROM interaction_place
                    WHERE pool = OLD.pool AND site = OLD.site AND host = OLD.host AND ended = 1), 0))
        WHERE pool = OLD.pool AND site = OLD.site AND host = OLD.host;
    DELETE FROM interaction_weight WHERE pool = OLD.pool AND site = OLD.site AND host = '' AND weight = 0;
    DELETE FROM interaction_weight WHERE pool = OLD.pool AND site = OLD.site AND host = OLD.host AND weight = 0;
END;

INSERT INTO interaction_place (no, pool, site, host, ended, weight)
    SELECT no, 'stranger', coalesce(source, '0.0.0.0'), coalesce(source, '0.0.0.0'), step = 'ended',
        1 + coalesce(octet_length(request), 0) / 1024
    FROM interaction;
