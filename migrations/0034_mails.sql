-- Mails, and the tokens that they carry. Times are milliseconds since 1970, UTC.

-- The language in which the owner of an account reads the shop.
ALTER TABLE users ADD COLUMN language TEXT NOT NULL DEFAULT 'en';
-- When the owner proved to read the mails of the account's address; NULL before that.
ALTER TABLE users ADD COLUMN email_confirmed_at BIGINT;

-- One row for each event and recipient, which are the key; a repeated event adds none. A row is kept after it was sent.
CREATE TABLE mails (
    id TEXT NOT NULL PRIMARY KEY,
    mail_key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    recipient TEXT NOT NULL,
    -- The language of the recipient, unless the account of the address has another.
    language TEXT NOT NULL,
    -- What the mail shows, as JSON, without any secret: a link or a code is computed when the mail is sent.
    content TEXT NOT NULL,
    -- waiting, sent, failed, bounced, suppressed, given_up
    state TEXT NOT NULL,
    -- Smaller is sent first.
    priority BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    next_try_at BIGINT NOT NULL,
    -- From then on it is of no use; NULL for never.
    expires_at BIGINT,
    finished_at BIGINT,
    -- What the relay replied last, or why the mail was given up.
    reason TEXT,
    -- The process that sends it now, and until when it may.
    lease TEXT,
    lease_until BIGINT
);

CREATE INDEX mails_due ON mails (state, priority, next_try_at);

CREATE INDEX mails_by_created_at ON mails (created_at, id);

CREATE INDEX mails_by_recipient ON mails (recipient, created_at);

-- Addresses whose relay refused a mail for good, and until when they get none.
CREATE TABLE mail_bounces (
    recipient TEXT NOT NULL PRIMARY KEY,
    bounced_at BIGINT NOT NULL,
    until BIGINT NOT NULL,
    reason TEXT NOT NULL
);

-- Links and codes that were mailed. The table has only a digest of each.
CREATE TABLE mail_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    -- confirm_address, reset_password, guest_code
    purpose TEXT NOT NULL,
    email TEXT NOT NULL,
    digest TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    -- Wrong codes that were given for it.
    wrong_tries BIGINT NOT NULL
);

CREATE INDEX mail_tokens_by_digest ON mail_tokens (digest);

CREATE INDEX mail_tokens_by_email ON mail_tokens (email, purpose, expires_at);

CREATE INDEX mail_tokens_by_expires_at ON mail_tokens (expires_at);

-- A guest who proves an address is the same buyer each time.
CREATE INDEX guests_by_origin ON guests (name, origin);
