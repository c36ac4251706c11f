-- How often operations with a limit for each day were used on a day.
CREATE TABLE quota (
    tenant   TEXT    NOT NULL,
    upstream TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    day      INTEGER NOT NULL,
    holder   TEXT    NOT NULL,
    used     INTEGER NOT NULL,
    seal     INTEGER NOT NULL,
    PRIMARY KEY (tenant, upstream, name, day, holder)
) STRICT, WITHOUT ROWID;
CREATE INDEX quota_day ON quota (day);
