-- Idempotency keys of what admins create and add, kept with what each request did. A key is the SHA-256 of what the caller sent,
-- and of the operation.
CREATE TABLE admin_keys (
    owner_id TEXT NOT NULL,
    key_digest TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    -- The product or the sale that the request creates or changes.
    subject_id TEXT NOT NULL,
    -- Of a restock: its units, and the sale's last event before it. The ledger does not know the key, so whether the units were
    -- added is read from the events after this one.
    quantity BIGINT,
    after_seq BIGINT,
    -- NULL when the outcome is known. Before this time another process leaves the restock to the one that works on it.
    pending_until BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, key_digest)
);

CREATE INDEX admin_keys_by_subject ON admin_keys (subject_id);

CREATE INDEX admin_keys_by_created_at ON admin_keys (created_at);
