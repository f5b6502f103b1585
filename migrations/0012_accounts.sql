-- For ending all sessions of an account, and for the limit of wrong passwords. Times are milliseconds since 1970, UTC.

-- How often all sessions of the account were ended. A sign-in that checked its password before the last time begins no session.
ALTER TABLE users ADD COLUMN session_epoch BIGINT NOT NULL DEFAULT 0;

-- A session lives as long as its newest tokens. Until now its end stayed at the end of its first refresh token.
UPDATE sessions
SET expires_at = (
    SELECT MAX(refresh_tokens.expires_at) FROM refresh_tokens WHERE refresh_tokens.session_id = sessions.id
)
WHERE EXISTS (
    SELECT 1 FROM refresh_tokens
    WHERE refresh_tokens.session_id = sessions.id AND refresh_tokens.expires_at > sessions.expires_at
);

-- Expired refresh tokens of sessions that go on are deleted.
CREATE INDEX refresh_tokens_by_expires_at ON refresh_tokens (expires_at);

-- The networks from which an account has signed in, each as a keyed digest. A sign-in from one of them is not held up by
-- wrong passwords from elsewhere.
CREATE TABLE known_networks (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network_digest TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, network_digest)
);

CREATE INDEX known_networks_by_seen_at ON known_networks (seen_at);

-- Whom the limit per buyer of a sale counts together: one account, or all accounts of a mailbox.
ALTER TABLE sales ADD COLUMN limit_by TEXT NOT NULL DEFAULT 'account' CHECK (limit_by IN ('account', 'mailbox'));

-- In a sale that counts by mailbox: the one account with which each mailbox buys, the first that joined the line or ordered.
CREATE TABLE mailbox_claims (
    sale_id TEXT NOT NULL REFERENCES sales (id) ON DELETE CASCADE,
    mailbox TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (sale_id, mailbox)
);
