-- What upstreams offer: when the tools of each were listed and first pinned, and the tools.
CREATE TABLE catalogue (
    tenant    TEXT    NOT NULL,
    upstream  TEXT    NOT NULL,
    listed_at INTEGER,
    pinned_at INTEGER,
    seal      INTEGER NOT NULL,
    PRIMARY KEY (tenant, upstream)
) STRICT, WITHOUT ROWID;
CREATE TABLE tool (
    tenant         TEXT    NOT NULL,
    upstream       TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    title          TEXT,
    says           INTEGER NOT NULL,
    most_dangerous INTEGER NOT NULL,
    listed_hash    BLOB,
    listed         TEXT,
    pinned_hash    BLOB,
    pinned         TEXT,
    since          INTEGER NOT NULL,
    seal           INTEGER NOT NULL,
    PRIMARY KEY (tenant, upstream, name)
) STRICT, WITHOUT ROWID;
