-- Payments. A row is written before the provider is asked, so that a crash leaves something to settle.
-- Times are milliseconds since 1970, UTC; amounts are minor units.

CREATE TABLE payments (
    id TEXT NOT NULL PRIMARY KEY,
    order_id TEXT NOT NULL,
    sale_id TEXT NOT NULL,
    buyer_id TEXT NOT NULL,
    method TEXT NOT NULL,
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('started', 'authorised', 'captured', 'declined', 'voiding', 'voided', 'refunding', 'refunded')
    ),
    -- Why it was declined, as the buyer was told; empty otherwise.
    reason TEXT NOT NULL,
    restock BIGINT NOT NULL CHECK (restock IN (0, 1)),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- How often the reconciler has tried in vain since updated_at, and when it tries next.
    tries BIGINT NOT NULL,
    try_at BIGINT NOT NULL
);

-- One payment an order, unless the earlier ones came to nothing.
CREATE UNIQUE INDEX payments_live ON payments (order_id) WHERE state NOT IN ('declined', 'voided');

CREATE INDEX payments_by_order ON payments (order_id);

CREATE INDEX payments_unsettled ON payments (try_at)
WHERE state IN ('started', 'authorised', 'voiding', 'refunding');

-- Idempotency keys of requests that move money. A key is the SHA-256 of what the caller sent, and of the operation.
CREATE TABLE payment_keys (
    owner_id TEXT NOT NULL,
    key_digest TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, key_digest)
);

CREATE INDEX payment_keys_by_payment ON payment_keys (payment_id);

CREATE INDEX payment_keys_by_created_at ON payment_keys (created_at);

-- The books of the built-in sandbox provider. They stand for another company's database: nothing of ours reads them.
CREATE TABLE sandbox_charges (
    intent_id TEXT NOT NULL PRIMARY KEY,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    standing TEXT NOT NULL CHECK (standing IN ('authorised', 'declined', 'captured', 'voided', 'refunded'))
);
