-- One table for what lives for minutes. `kind` says what a row is; `body` is what it is about. `pool`, `pool_site`, `pool_host`
-- and `weight` say whose room it takes: of its host and site, or of a login session, which is both. Those of one pool
-- compete with each other alone.
CREATE TABLE ephemeral (
    no           INTEGER PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    key          BLOB    NOT NULL CHECK (length(key) = 32),
    browser      BLOB    CHECK (browser IS NULL OR length(browser) = 32),
    client_no    INTEGER REFERENCES client (no) ON DELETE CASCADE,
    body         TEXT,
    step         TEXT    NOT NULL CHECK (step IN ('log_in', 'consent', 'ended')),
    ended        INTEGER NOT NULL CHECK (ended = (step = 'ended')),
    session_hash BLOB    CHECK (session_hash IS NULL OR length(session_hash) = 32),
    source       TEXT,
    host         TEXT,
    pool         TEXT    NOT NULL,
    pool_site    TEXT    NOT NULL,
    pool_host    TEXT    NOT NULL,
    weight       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    seal         INTEGER NOT NULL,
    UNIQUE (tenant, kind, key)
) STRICT;
CREATE INDEX ephemeral_of_client ON ephemeral (client_no);
CREATE INDEX ephemeral_by_end ON ephemeral (expires_at);
CREATE INDEX ephemeral_of_host ON ephemeral (pool, pool_site, pool_host, ended DESC, no);
CREATE INDEX ephemeral_of_site ON ephemeral (pool, pool_site, no);

-- The sums: of a host, of a site (host is empty), of a pool (site is empty too). `newest` is the newest row.
CREATE TABLE ephemeral_weight (
    pool   TEXT    NOT NULL,
    site   TEXT    NOT NULL,
    host   TEXT    NOT NULL,
    weight INTEGER NOT NULL,
    newest INTEGER NOT NULL,
    PRIMARY KEY (pool, site, host)
) STRICT, WITHOUT ROWID;
CREATE INDEX ephemeral_weight_of_sites ON ephemeral_weight (pool, weight DESC, newest) WHERE site <> '' AND host = '';
CREATE INDEX ephemeral_weight_of_hosts ON ephemeral_weight (pool, site, weight DESC, newest) WHERE host <> '';

CREATE TRIGGER ephemeral_added AFTER INSERT ON ephemeral BEGIN
    INSERT INTO ephemeral_weight (pool, site, host, weight, newest)
        VALUES (NEW.pool, '', '', NEW.weight, 0),
            (NEW.pool, NEW.pool_site, '', NEW.weight, NEW.no),
            (NEW.pool, NEW.pool_site, NEW.pool_host, NEW.weight, NEW.no)
        ON CONFLICT (pool, site, host)
        DO UPDATE SET weight = weight + excluded.weight, newest = max(newest, excluded.newest);
END;

CREATE TRIGGER ephemeral_removed AFTER DELETE ON ephemeral BEGIN
    UPDATE ephemeral_weight SET weight = weight - OLD.weight WHERE pool = OLD.pool AND site = '' AND host = '';
    UPDATE ephemeral_weight SET weight = weight - OLD.weight,
            newest = coalesce((SELECT max(no) FROM ephemeral WHERE pool = OLD.pool AND pool_site = OLD.pool_site), 0)
        WHERE pool = OLD.pool AND site = OLD.pool_site AND host = '';
    UPDATE ephemeral_weight SET weight = weight - OLD.weight,
            newest = max(
                coalesce((SELECT max(no) FROM ephemeral WHERE pool = OLD.pool AND pool_site = OLD.pool_site
                    AND pool_host = OLD.pool_host AND ended = 0), 0),
                coalesce((SELECT max(no) FROM ephemeral WHERE pool = OLD.pool AND pool_site = OLD.pool_site
                    AND pool_host = OLD.pool_host AND ended = 1), 0))
        WHERE pool = OLD.pool AND site = OLD.pool_site AND host = OLD.pool_host;
    DELETE FROM ephemeral_weight WHERE pool = OLD.pool AND site = OLD.pool_site AND host = '' AND weight = 0;
    DELETE FROM ephemeral_weight WHERE pool = OLD.pool AND site = OLD.pool_site AND host = OLD.pool_host AND weight = 0;
END;

-- Sign-ins that are under way go on.
INSERT INTO ephemeral (no, tenant, kind, key, browser, client_no, body, step, ended, session_hash, source, host, pool,
        pool_site, pool_host, weight, created_at, expires_at, seal)
    SELECT i.no, i.tenant, 'interaction', i.id, i.cookie, i.client_no, i.request, i.step, p.ended, i.session_hash, i.source,
        i.host, 'interaction ' || p.pool, p.site, p.host, p.weight, i.created_at, i.expires_at, i.seal
    FROM interaction i JOIN interaction_place p ON p.no = i.no ORDER BY i.no;
DROP TABLE interaction_place;
DROP TABLE interaction_weight;
DROP TABLE interaction;
