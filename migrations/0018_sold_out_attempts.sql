-- The last attempt of each buyer at a product, where it was refused because every unit was sold: a row a buyer and product, for a day.
-- `at` is in milliseconds since 1970, UTC.
CREATE TABLE sold_out_attempts (
    buyer_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (buyer_id, product_id)
);

CREATE INDEX sold_out_attempts_by_at ON sold_out_attempts (at);

-- Which definition of the SQL views the database has.
CREATE TABLE view_definitions (
    name TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL
);

INSERT INTO view_definitions (name, digest) VALUES ('views', '');
