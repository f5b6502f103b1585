-- The key of the mail about a unit that came back. While that mail waits there is no other one; when the relay has taken it, the subscription
-- ends. NULL before there is one, and when the subscriber asks again.
ALTER TABLE mail_subscriptions ADD COLUMN mail_key TEXT;
