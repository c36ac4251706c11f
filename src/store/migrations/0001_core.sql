-- Every moment is in milliseconds since the Unix epoch. Every secret is a SHA-256; the secrets themselves are nowhere.
-- `no` is a number in the order of insertion: rows that are born together lie together, so a commit touches few pages.
-- `seal` is a CRC-32 over the record as the program understands it: SQLite does not notice a flipped bit in a value.
-- docs/storage-schema.md says of each field how long it lives and who removes it.

CREATE TABLE client (
    no           INTEGER PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    client_id    TEXT    NOT NULL,
    origin       TEXT    NOT NULL CHECK (origin IN ('manual', 'registered', 'document')),
    metadata     TEXT    NOT NULL,
    resource     TEXT,
    status       TEXT    NOT NULL CHECK (status IN ('enabled', 'disabled')),
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    seal         INTEGER NOT NULL,
    UNIQUE (tenant, client_id)
) STRICT;

CREATE TABLE client_secret (
    client_no INTEGER NOT NULL REFERENCES client (no) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    tenant    TEXT    NOT NULL,
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    until     INTEGER,
    PRIMARY KEY (client_no, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    no              INTEGER PRIMARY KEY,
    tenant          TEXT    NOT NULL,
    subject         TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    password        TEXT,
    status          TEXT    NOT NULL CHECK (status IN ('enabled', 'disabled')),
    failed_logins   INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    password_set_at INTEGER,
    seal            INTEGER NOT NULL,
    UNIQUE (tenant, subject),
    UNIQUE (tenant, name)
) STRICT;

CREATE TABLE setup_link (
    hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    tenant     TEXT    NOT NULL,
    account_no INTEGER NOT NULL REFERENCES account (no) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    seal       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX setup_link_of_account ON setup_link (account_no);

CREATE TABLE login_session (
    hash             BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    tenant           TEXT    NOT NULL,
    account_no       INTEGER NOT NULL REFERENCES account (no) ON DELETE CASCADE,
    authenticated_at INTEGER NOT NULL,
    idle_until       INTEGER NOT NULL,
    idle             INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    seal             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_session_of_account ON login_session (account_no);
CREATE INDEX login_session_by_end ON login_session (min(idle_until, expires_at));

CREATE TABLE interaction (
    no           INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
    tenant       TEXT    NOT NULL,
    cookie       BLOB    NOT NULL CHECK (length(cookie) = 32),
    client_no    INTEGER REFERENCES client (no) ON DELETE CASCADE,
    request      TEXT,
    step         TEXT    NOT NULL CHECK (step IN ('log_in', 'consent', 'ended')),
    session_hash BLOB    CHECK (session_hash IS NULL OR length(session_hash) = 32),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    seal         INTEGER NOT NULL
) STRICT;
CREATE INDEX interaction_of_client ON interaction (client_no);
CREATE INDEX interaction_by_end ON interaction (expires_at);

CREATE TABLE consent (
    account_no         INTEGER NOT NULL REFERENCES account (no) ON DELETE CASCADE,
    client_no          INTEGER NOT NULL REFERENCES client (no) ON DELETE CASCADE,
    resource           TEXT    NOT NULL,
    tenant             TEXT    NOT NULL,
    scopes             TEXT    NOT NULL,
    client_fingerprint BLOB    NOT NULL CHECK (length(client_fingerprint) = 32),
    given_at           INTEGER NOT NULL,
    expires_at         INTEGER NOT NULL,
    seal               INTEGER NOT NULL,
    PRIMARY KEY (account_no, client_no, resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_of_client ON consent (client_no);
CREATE INDEX consent_by_end ON consent (expires_at);

CREATE TABLE grants (
    no               INTEGER PRIMARY KEY,
    tenant           TEXT    NOT NULL,
    id               BLOB    NOT NULL CHECK (length(id) = 16),
    client_no        INTEGER NOT NULL REFERENCES client (no) ON DELETE CASCADE,
    account_no       INTEGER NOT NULL REFERENCES account (no) ON DELETE CASCADE,
    resource         TEXT    NOT NULL,
    scopes           TEXT    NOT NULL,
    authenticated_at INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    idle_until       INTEGER NOT NULL,
    may_refresh      INTEGER NOT NULL CHECK (may_refresh IN (0, 1)),
    generation       INTEGER NOT NULL,
    rotated_at       INTEGER NOT NULL,
    revoked_at       INTEGER,
    seal             INTEGER NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX grants_of_client ON grants (client_no);
CREATE INDEX grants_of_account ON grants (account_no);
CREATE INDEX grants_by_end ON grants (idle_until);
CREATE INDEX grants_revoked ON grants (revoked_at) WHERE revoked_at IS NOT NULL;

-- A used code points to its grant and goes with it: as long as a family lives, a replay of its code is recognised.
CREATE TABLE code (
    no                INTEGER PRIMARY KEY,
    tenant            TEXT    NOT NULL,
    hash              BLOB    NOT NULL CHECK (length(hash) = 32),
    grant_id          BLOB    NOT NULL CHECK (length(grant_id) = 16),
    grant_no          INTEGER REFERENCES grants (no) ON DELETE CASCADE,
    client_no         INTEGER NOT NULL REFERENCES client (no) ON DELETE CASCADE,
    account_no        INTEGER NOT NULL REFERENCES account (no) ON DELETE CASCADE,
    redirect_uri      TEXT    NOT NULL,
    redirect_was_sent INTEGER NOT NULL CHECK (redirect_was_sent IN (0, 1)),
    challenge         TEXT,
    challenge_method  TEXT    NOT NULL,
    resource          TEXT    NOT NULL,
    scopes            TEXT    NOT NULL,
    authenticated_at  INTEGER NOT NULL,
    issued_at         INTEGER NOT NULL,
    expires_at        INTEGER NOT NULL,
    used_at           INTEGER,
    failures          INTEGER NOT NULL,
    seal              INTEGER NOT NULL
) STRICT;
CREATE INDEX code_by_hash ON code (substr(hash, 1, 8));
CREATE INDEX code_of_grant ON code (grant_no);
CREATE INDEX code_of_client ON code (client_no);
CREATE INDEX code_unused ON code (expires_at) WHERE used_at IS NULL;

-- The index holds eight bytes of the hash; the query compares all thirty-two.
CREATE TABLE access_token (
    no         INTEGER PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    hash       BLOB    NOT NULL CHECK (length(hash) = 32),
    grant_no   INTEGER NOT NULL REFERENCES grants (no) ON DELETE CASCADE,
    scopes     TEXT,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    seal       INTEGER NOT NULL
) STRICT;
CREATE INDEX access_token_by_hash ON access_token (substr(hash, 1, 8));
CREATE INDEX access_token_of_grant ON access_token (grant_no);
CREATE INDEX access_token_by_end ON access_token (expires_at);

CREATE TABLE audit (
    no         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    event      TEXT    NOT NULL,
    actor      TEXT,
    client_id  TEXT,
    address    TEXT,
    target     TEXT,
    reason     TEXT,
    request_id TEXT
) STRICT;

-- AUTOINCREMENT: a number is never given twice, even after the newest rows were swept, or a reader would miss a change.
CREATE TABLE change_log (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    tenant TEXT    NOT NULL,
    kind   TEXT    NOT NULL,
    key    TEXT    NOT NULL
) STRICT;
CREATE INDEX change_log_by_age ON change_log (at);
