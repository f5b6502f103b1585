-- Integer ids of accounts, products and sales, for clients that know no UUIDs: each kind is counted from 1 in the order of creation. An
-- id is written with its row (that of a sale when it is announced) and never changes. Times are milliseconds since 1970, UTC.

-- The last id of each kind. The row is locked until the new id is committed, so no id is given twice and none is left out.
CREATE TABLE integer_id_counters (
    name TEXT NOT NULL PRIMARY KEY,
    last_id BIGINT NOT NULL CHECK (last_id >= 0)
);

ALTER TABLE users ADD COLUMN integer_id BIGINT;
ALTER TABLE products ADD COLUMN integer_id BIGINT;
ALTER TABLE sales ADD COLUMN integer_id BIGINT;

UPDATE users SET integer_id = numbered.number
FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY created_at, id) AS number FROM users) AS numbered
WHERE numbered.id = users.id;

UPDATE products SET integer_id = numbered.number
FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY created_at, id) AS number FROM products) AS numbered
WHERE numbered.id = products.id;

UPDATE sales SET integer_id = numbered.number
FROM (
    SELECT id, ROW_NUMBER() OVER (ORDER BY created_at, id) AS number FROM sales WHERE announced_at IS NOT NULL
) AS numbered
WHERE numbered.id = sales.id;

INSERT INTO integer_id_counters (name, last_id)
SELECT 'users', COALESCE(MAX(integer_id), 0) FROM users
UNION ALL
SELECT 'products', COALESCE(MAX(integer_id), 0) FROM products
UNION ALL
SELECT 'sales', COALESCE(MAX(integer_id), 0) FROM sales;

CREATE UNIQUE INDEX users_by_integer_id ON users (integer_id);
CREATE UNIQUE INDEX products_by_integer_id ON products (integer_id);
CREATE UNIQUE INDEX sales_by_integer_id ON sales (integer_id);

-- Rows of a version before this one, of an import, or of a restored dump: they get their ids at the next start.
CREATE INDEX users_without_integer_id ON users (created_at, id) WHERE integer_id IS NULL;

-- When e-mail, username, role or password last changed.
ALTER TABLE users ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
UPDATE users SET updated_at = created_at;

-- The name of a person, if the account has one.
ALTER TABLE users ADD COLUMN full_name TEXT;
