-- For mails to admins, and for sales that only owners of confirmed addresses may buy in. Times are milliseconds since 1970, UTC.

-- When an endpoint was disabled because its receiver was gone or had failed for days; NULL for any other, and for those of older versions.
ALTER TABLE webhook_endpoints ADD COLUMN disabled_at BIGINT;

-- The language in which a guest with a code reads the shop.
ALTER TABLE guests ADD COLUMN language TEXT NOT NULL DEFAULT 'en';

-- Whether only buyers with a confirmed address may join the sale's line and order in it. 1 for yes.
ALTER TABLE sales ADD COLUMN require_confirmed_email BIGINT NOT NULL DEFAULT 0;

-- The last time that the receiver of a follower did not take events: since when, its last failure, and when it took some again.
CREATE TABLE follower_failures (
    name TEXT NOT NULL PRIMARY KEY,
    began_at BIGINT NOT NULL,
    failed_at BIGINT NOT NULL,
    -- What the receiver said, or why it cannot be reached.
    reason TEXT NOT NULL,
    -- NULL while it takes none.
    ended_at BIGINT
);
