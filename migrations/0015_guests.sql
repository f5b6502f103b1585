-- Buyers without an account. `buyer_id` is derived from `origin` and `name`, or made for one visit of a native guest; `name` is the text
-- by which the guest is known, such as an e-mail address. `created_at` is in milliseconds since 1970, UTC.
CREATE TABLE guests (
    buyer_id TEXT NOT NULL PRIMARY KEY,
    origin TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX guests_by_name ON guests (name);

-- The dialect through which a sale was made; NULL for the native API.
ALTER TABLE sales ADD COLUMN made_by TEXT;
