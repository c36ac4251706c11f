-- Login names that an account had before it was renamed or deleted. Nobody else is ever given one: logs, tickets and servers
-- that know people by their login name would take one person for another.
CREATE TABLE former_name (
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
