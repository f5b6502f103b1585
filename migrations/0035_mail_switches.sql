-- The kinds of mails that the merchant has switched; the others are on. `updated_at` is in milliseconds since 1970, UTC.
CREATE TABLE mail_switches (
    kind TEXT NOT NULL PRIMARY KEY,
    is_on BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
