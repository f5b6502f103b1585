-- Payments on a page of the provider, and refunds of parts. A check of a column cannot be changed everywhere, so these tables are made anew.
-- Times are milliseconds since 1970, UTC; amounts are minor units.

CREATE TABLE payments_new (
    id TEXT NOT NULL PRIMARY KEY,
    order_id TEXT NOT NULL,
    sale_id TEXT NOT NULL,
    buyer_id TEXT NOT NULL,
    -- The provider that the payment was begun with, and its own id of the payment once that is known.
    provider TEXT NOT NULL,
    reference TEXT,
    method TEXT NOT NULL,
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN (
            'started', 'open', 'authorised', 'captured', 'declined', 'voiding', 'voided', 'refunding', 'refunded'
        )
    ),
    -- The page on which the buyer pays, while it is open.
    action_url TEXT,
    -- The language of the page from which the buyer pays; empty where it is not known.
    language TEXT NOT NULL,
    -- Why it was declined, as the buyer read it; empty otherwise.
    reason TEXT NOT NULL,
    restock BIGINT NOT NULL CHECK (restock IN (0, 1)),
    -- What was given back, or is on its way back, in parts; all of it once the payment is refunded.
    refunded_minor BIGINT NOT NULL CHECK (refunded_minor >= 0 AND refunded_minor <= amount_minor),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- How often the reconciler has tried in vain since updated_at, and when it tries next.
    tries BIGINT NOT NULL,
    try_at BIGINT NOT NULL,
    -- Who works on it, and until when, unless that is prolonged.
    lease TEXT,
    lease_until BIGINT
);

INSERT INTO payments_new (
    id, order_id, sale_id, buyer_id, provider, reference, method, amount_minor, currency, state, action_url, language,
    reason, restock, refunded_minor, created_at, updated_at, tries, try_at, lease, lease_until
)
SELECT
    id, order_id, sale_id, buyer_id, 'sandbox', NULL, method, amount_minor, currency, state, NULL, '', reason, restock,
    CASE WHEN state = 'refunded' THEN amount_minor ELSE 0 END, created_at, updated_at, tries, try_at, lease, lease_until
FROM payments;

DROP TABLE payments;

ALTER TABLE payments_new RENAME TO payments;

CREATE UNIQUE INDEX payments_live ON payments (order_id) WHERE state NOT IN ('declined', 'voided');

CREATE INDEX payments_by_order ON payments (order_id);

CREATE INDEX payments_unsettled ON payments (try_at)
WHERE state IN ('started', 'open', 'authorised', 'voiding', 'refunding');

-- Refunds. A row is written before the provider is asked; its id is the provider's idempotency key. The refund of all that is left has the
-- payment's id.
CREATE TABLE payment_refunds (
    id TEXT NOT NULL PRIMARY KEY,
    payment_id TEXT NOT NULL,
    amount_minor BIGINT NOT NULL CHECK (amount_minor >= 0),
    -- Whether it is the refund of all that was left: then the order is refunded, too.
    whole BIGINT NOT NULL CHECK (whole IN (0, 1)),
    state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'refused')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    try_at BIGINT NOT NULL,
    -- The provider's id of a refund that somebody made there; NULL for one of the shop's.
    outside_id TEXT
);

CREATE INDEX payment_refunds_by_payment ON payment_refunds (payment_id, created_at);

CREATE INDEX payment_refunds_pending ON payment_refunds (try_at) WHERE state = 'pending' AND whole = 0;

CREATE INDEX payment_refunds_parts ON payment_refunds (payment_id) WHERE whole = 0;

INSERT INTO payment_refunds (id, payment_id, amount_minor, whole, state, created_at, updated_at, tries, try_at)
SELECT id, id, amount_minor, 1, CASE WHEN state = 'refunded' THEN 'done' ELSE 'pending' END, updated_at, updated_at, 0, 0
FROM payments
WHERE state IN ('refunding', 'refunded');

-- The outbox: `part` is the id of the refund of a part, and empty for every other step.
CREATE TABLE payment_events_new (
    payment_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('captured', 'declined', 'refunded', 'disputed')),
    part TEXT NOT NULL,
    step BIGINT NOT NULL CHECK (step > 0),
    no BIGINT,
    order_id TEXT NOT NULL,
    sale_id TEXT NOT NULL,
    buyer_id TEXT NOT NULL,
    method TEXT NOT NULL,
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (payment_id, state, part)
);

INSERT INTO payment_events_new (
    payment_id, state, part, step, no, order_id, sale_id, buyer_id, method, amount_minor, currency, reason, at
)
SELECT payment_id, state, '', step, no, order_id, sale_id, buyer_id, method, amount_minor, currency, reason, at
FROM payment_events;

DROP TABLE payment_events;

ALTER TABLE payment_events_new RENAME TO payment_events;

CREATE UNIQUE INDEX payment_events_by_no ON payment_events (no);

CREATE INDEX payment_events_without_no ON payment_events (step, at, payment_id) WHERE no IS NULL;

-- The books of the built-in sandbox provider.
CREATE TABLE sandbox_charges_new (
    intent_id TEXT NOT NULL PRIMARY KEY,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    standing TEXT NOT NULL CHECK (
        standing IN ('open', 'submitted', 'authorised', 'declined', 'captured', 'voided', 'refunded')
    ),
    refunded_minor BIGINT NOT NULL,
    -- Empty for an intent that was closed before it was seen.
    order_id TEXT NOT NULL,
    -- What the page of a redirect shows; NULL for a charge without a page.
    description TEXT,
    language TEXT,
    captured_at BIGINT
);

INSERT INTO sandbox_charges_new (
    intent_id, amount_minor, currency, standing, refunded_minor, order_id, description, language, captured_at
)
SELECT
    c.intent_id, c.amount_minor, c.currency, c.standing,
    CASE WHEN c.standing = 'refunded' THEN c.amount_minor ELSE 0 END, COALESCE(p.order_id, ''), NULL, NULL,
    CASE WHEN c.standing IN ('captured', 'refunded') THEN COALESCE(p.updated_at, 0) END
FROM sandbox_charges AS c
LEFT JOIN payments AS p ON p.id = c.intent_id;

DROP TABLE sandbox_charges;

ALTER TABLE sandbox_charges_new RENAME TO sandbox_charges;

CREATE INDEX sandbox_charges_by_captured_at ON sandbox_charges (captured_at) WHERE captured_at IS NOT NULL;

CREATE TABLE sandbox_refunds (
    refund_id TEXT NOT NULL PRIMARY KEY,
    intent_id TEXT NOT NULL,
    amount_minor BIGINT NOT NULL
);
