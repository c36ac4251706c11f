-- What is noted of the time, in one row: the newest moment that a server saw while its clock was right, and when an
-- operator last said that the clock is right.
CREATE TABLE clock (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    seen_at     INTEGER NOT NULL,
    accepted_at INTEGER
) STRICT;
