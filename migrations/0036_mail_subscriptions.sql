-- Who wants to hear of a sale: when it starts, or when a unit comes back. Times are milliseconds since 1970, UTC.
CREATE TABLE mail_subscriptions (
    id TEXT NOT NULL PRIMARY KEY,
    sale_id TEXT NOT NULL,
    email TEXT NOT NULL,
    -- start, unit
    topic TEXT NOT NULL,
    language TEXT NOT NULL,
    -- Of the token that ends it.
    digest TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    -- The start of the sale of which the subscriber has heard, and how closely before it: 0 not yet, 1 a day, 2 a quarter of an hour.
    reminded_for BIGINT NOT NULL,
    reminded_step BIGINT NOT NULL,
    UNIQUE (sale_id, email, topic)
);

CREATE INDEX mail_subscriptions_by_sale ON mail_subscriptions (sale_id, topic, created_at);

CREATE INDEX mail_subscriptions_by_email ON mail_subscriptions (email);
