-- What the dialect `turnstile` keeps. Times are milliseconds since 1970, UTC.

-- One row a job: a purchase that was acknowledged, and the idempotency key that it used up. A key belongs to all buyers together. `number`
-- counts from 1 in the order of the commits. `order_id` is NULL when the law refused, and `refusal` has its code then.
CREATE TABLE turnstile_jobs (
    number BIGINT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    idempotency_key TEXT NOT NULL UNIQUE,
    buyer_id TEXT NOT NULL,
    -- The buyer and the product as the client named them.
    user_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    sale_id TEXT NOT NULL,
    order_id TEXT,
    status TEXT NOT NULL CHECK (status IN ('completed', 'failed')),
    refusal TEXT,
    attempts BIGINT NOT NULL,
    -- Units that remained after the decision.
    remaining BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX turnstile_jobs_failed_by_created_at ON turnstile_jobs (created_at) WHERE status = 'failed';

-- The number of the last job. The row is locked until a batch of jobs is committed.
INSERT INTO changes (name, count) VALUES ('turnstile_jobs', 0);

-- Units that were sold to a buyer whose key another job has used meanwhile. Each is given back, and its row is deleted.
CREATE TABLE turnstile_stray_orders (
    order_id TEXT NOT NULL PRIMARY KEY,
    sale_id TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The product ids that mean the sale of the dialect, in the order of the setting. No row: every id does. (`turnstile_products` is a view.)
CREATE TABLE turnstile_product_ids (
    product_id TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);

-- The id or slug of the sale that the setting names. No row: none is named.
CREATE TABLE turnstile_sale (
    name TEXT NOT NULL PRIMARY KEY
);
