-- The longest lifetime that access tokens of these tables were ever given, in milliseconds: so long an ended session is remembered, also
-- by a process that gives shorter ones.
CREATE TABLE token_lifetimes (
    kind TEXT NOT NULL PRIMARY KEY,
    longest_ms BIGINT NOT NULL
);
