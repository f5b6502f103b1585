-- For processes that share these tables. Times are milliseconds since 1970, UTC.

-- How often something was changed that each process keeps a copy of. The row is locked until a change is committed, so whoever
-- reads a number sees all changes up to it.
CREATE TABLE changes (
    name TEXT NOT NULL PRIMARY KEY,
    count BIGINT NOT NULL CHECK (count >= 0)
);

INSERT INTO changes (name, count) VALUES ('catalogue', 0), ('sessions', 0), ('admins', 0);

-- What every process has to know and nobody else: whoever has a copy of this table can sign access tokens.
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Which change of the sessions ended this one; NULL for one that goes on, and for those that ended before there was a count.
ALTER TABLE sessions ADD COLUMN revoked_as BIGINT;

CREATE INDEX sessions_by_revoked_as ON sessions (revoked_as) WHERE revoked_as IS NOT NULL;

-- Who works on a payment at this moment, and until when that holds unless it says so again. Whoever moves the payment on names
-- it, so that one who was too slow moves nothing.
ALTER TABLE payments ADD COLUMN lease TEXT;
ALTER TABLE payments ADD COLUMN lease_until BIGINT;
