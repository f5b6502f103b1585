-- What payment providers send by themselves, and what a person has to know of it. Times are milliseconds since 1970, UTC; amounts are minor
-- units.

-- Webhooks of providers. A row is written before the provider gets its reply, so that none is lost; an event that comes again adds none.
CREATE TABLE provider_notices (
    provider TEXT NOT NULL,
    event_id TEXT NOT NULL,
    -- The provider's word for what happened.
    kind TEXT NOT NULL,
    -- Our payment, and the provider's intent, as far as the event names them.
    payment_id TEXT,
    intent TEXT,
    received_at BIGINT NOT NULL,
    -- When the provider was asked about it; NULL before that.
    settled_at BIGINT,
    -- How often that was tried in vain, and when it is tried next.
    tries BIGINT NOT NULL,
    try_at BIGINT NOT NULL,
    PRIMARY KEY (provider, event_id)
);

CREATE INDEX provider_notices_open ON provider_notices (try_at) WHERE settled_at IS NULL;

CREATE INDEX provider_notices_by_received_at ON provider_notices (received_at);

-- What happened to captured money at the provider without the shop: disputes, refunds made elsewhere, refunds that failed afterwards.
CREATE TABLE payment_findings (
    provider TEXT NOT NULL,
    -- The provider's id of the dispute or refund.
    id TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('dispute', 'refunded_outside', 'refund_failed')),
    -- The provider's word for how it is now, and for its cause.
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    -- Until when a person may do something; NULL when there is no such time.
    due_at BIGINT,
    found_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (provider, id)
);

CREATE INDEX payment_findings_by_payment ON payment_findings (payment_id);
