-- What receivers of events (Kafka, webhooks, mail) keep, and the steps of payments that they send. Times are milliseconds since 1970, UTC.

-- Each receiver that was ever switched on.
CREATE TABLE event_receivers (
    name TEXT NOT NULL PRIMARY KEY,
    begun_at BIGINT NOT NULL,
    -- When it last ran, to the hour.
    seen_at BIGINT NOT NULL,
    -- The last step of a payment that it has delivered.
    payment_no BIGINT NOT NULL CHECK (payment_no >= 0)
);

-- Each sale as it was after the last event that a receiver has delivered (`followers` has the offset), as JSON.
CREATE TABLE event_states (
    receiver TEXT NOT NULL,
    sale_id TEXT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq >= 0),
    state TEXT NOT NULL,
    PRIMARY KEY (receiver, sale_id)
);

-- The outbox of payments: a row is written in the transaction of its step. `no` is its number in the order of delivery; it has none
-- until a receiver runs. Of the steps of a payment the smaller `step` is delivered first.
CREATE TABLE payment_events (
    payment_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('captured', 'declined', 'refunded', 'disputed')),
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
    PRIMARY KEY (payment_id, state)
);

CREATE UNIQUE INDEX payment_events_by_no ON payment_events (no);

CREATE INDEX payment_events_without_no ON payment_events (step, at, payment_id) WHERE no IS NULL;

INSERT INTO integer_id_counters (name, last_id) VALUES ('payment_events', 0);
