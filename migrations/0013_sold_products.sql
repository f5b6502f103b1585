-- What each sale has shown of its product, one row a version. A row is written with the sale and with each edit of a sale that
-- buyers rely on, and is never changed after that: an order is of the version that was shown when it was made. Times are
-- milliseconds since 1970, UTC.
CREATE TABLE sale_products (
    sale_id TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    product_id TEXT NOT NULL REFERENCES products (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    category TEXT,
    image_url TEXT,
    list_price_minor BIGINT NOT NULL CHECK (list_price_minor >= 0),
    currency TEXT NOT NULL,
    -- The first version is shown from the beginning, which is 0.
    shown_from BIGINT NOT NULL,
    -- The admin who edited the sale; NULL for what came from the product itself.
    edited_by TEXT,
    PRIMARY KEY (sale_id, version)
);

-- What a sale showed before was not kept: its orders are of the product as it is now.
INSERT INTO sale_products
    (sale_id, version, product_id, name, description, category, image_url, list_price_minor, currency, shown_from, edited_by)
SELECT
    sales.id, 1, products.id, products.name, products.description, products.category, products.image_url,
    products.price_minor, products.currency, 0, NULL
FROM sales
JOIN products ON products.id = sales.product_id;
