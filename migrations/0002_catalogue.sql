-- What is sold, and which sale sells it. What a sale promises (price, quantity, dates, admission) is in the ledger, not here.

CREATE TABLE products (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
    currency TEXT NOT NULL,
    category TEXT,
    image_url TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE INDEX products_by_created_at ON products (created_at, id);

-- A row is made before the sale is announced in the ledger, and `announced_at` set after it: a row without it is half-made.
CREATE TABLE sales (
    id TEXT NOT NULL PRIMARY KEY,
    product_id TEXT NOT NULL REFERENCES products (id),
    slug TEXT NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    announced_at BIGINT,
    deleted_at BIGINT
);

-- A deleted sale gives its slug free.
CREATE UNIQUE INDEX sales_by_slug ON sales (slug) WHERE deleted_at IS NULL;

CREATE INDEX sales_by_product ON sales (product_id);
