-- For what is looked for every second or swept: without these each look reads all mails that wait, all bounces or all subscriptions.

CREATE INDEX mails_by_expires_at ON mails (state, expires_at) WHERE state = 'waiting';

CREATE INDEX mail_bounces_by_until ON mail_bounces (until);

CREATE INDEX mail_subscriptions_by_created_at ON mail_subscriptions (created_at);
