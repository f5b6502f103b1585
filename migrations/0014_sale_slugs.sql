-- Every slug that a sale has or had. A slug leads to its sale for good and is never given to another one, not even when the sale
-- is deleted. `since` is in milliseconds since 1970, UTC.
CREATE TABLE sale_slugs (
    slug TEXT NOT NULL PRIMARY KEY,
    sale_id TEXT NOT NULL,
    since BIGINT NOT NULL
);

CREATE INDEX sale_slugs_by_sale ON sale_slugs (sale_id);

INSERT INTO sale_slugs (slug, sale_id, since)
SELECT slug, id, created_at FROM sales WHERE deleted_at IS NULL;

-- A deleted sale gave its slug free until now: another sale may have it, and of several deleted ones the newest keeps it.
INSERT INTO sale_slugs (slug, sale_id, since)
SELECT slug, MAX(id), MAX(created_at) FROM sales WHERE deleted_at IS NOT NULL GROUP BY slug
ON CONFLICT (slug) DO NOTHING;
