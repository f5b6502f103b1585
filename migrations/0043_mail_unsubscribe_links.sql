-- The links that end a subscription, each with the mails that carry it: a replaced token key makes another link, and the earlier ones go on working.

CREATE TABLE mail_subscriptions_new (
    id TEXT NOT NULL PRIMARY KEY,
    sale_id TEXT NOT NULL,
    email TEXT NOT NULL,
    -- start, unit
    topic TEXT NOT NULL,
    language TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- The start of the sale of which the subscriber has heard, and how closely before it: 0 not yet, 1 a day, 2 a quarter of an hour.
    reminded_for BIGINT NOT NULL,
    reminded_step BIGINT NOT NULL,
    UNIQUE (sale_id, email, topic)
);

INSERT INTO mail_subscriptions_new (id, sale_id, email, topic, language, created_at, reminded_for, reminded_step)
SELECT id, sale_id, email, topic, language, created_at, reminded_for, reminded_step
FROM mail_subscriptions;

ALTER TABLE mail_subscriptions RENAME TO mail_subscriptions_old;

ALTER TABLE mail_subscriptions_new RENAME TO mail_subscriptions;

-- Written before the mail with the link is sent. The table has only a digest of its token.
CREATE TABLE mail_unsubscribe_links (
    digest TEXT NOT NULL PRIMARY KEY,
    subscription_id TEXT NOT NULL REFERENCES mail_subscriptions (id) ON DELETE CASCADE
);

INSERT INTO mail_unsubscribe_links (digest, subscription_id)
SELECT digest, id
FROM mail_subscriptions_old;

DROP TABLE mail_subscriptions_old;

CREATE INDEX mail_subscriptions_by_sale ON mail_subscriptions (sale_id, topic, created_at);

CREATE INDEX mail_subscriptions_by_email ON mail_subscriptions (email);

CREATE INDEX mail_unsubscribe_links_by_subscription ON mail_unsubscribe_links (subscription_id);
