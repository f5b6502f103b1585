-- Purchases of the dialect `turnstile` that are under way, or that got no answer: the engine may have sold the unit, or may do so later. Where
-- instances share the tables, the row is written before the engine is asked and deleted with the job's own row, so that an instance that
-- dies leaves no unit without a job. Times are milliseconds since 1970, UTC.
CREATE TABLE turnstile_pending_jobs (
    id TEXT NOT NULL PRIMARY KEY,
    idempotency_key TEXT NOT NULL,
    buyer_id TEXT NOT NULL,
    -- The buyer and the product as the client named them.
    user_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    sale_id TEXT NOT NULL,
    -- The order that the engine makes, if it sells the unit.
    order_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- Until then an instance works on it; afterwards any may.
    leased_until BIGINT NOT NULL
);

CREATE INDEX turnstile_pending_jobs_by_key ON turnstile_pending_jobs (idempotency_key);

CREATE INDEX turnstile_pending_jobs_by_leased_until ON turnstile_pending_jobs (leased_until);
