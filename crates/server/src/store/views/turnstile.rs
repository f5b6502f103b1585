//! The views of the design that sells one sale at once and acknowledges purchases as jobs.

use super::sql::{SqlFlavour, ViewDefinition, sale_phase};

pub(super) fn views(sql: SqlFlavour) -> Vec<ViewDefinition> {
    let view = |name, columns, source: String| ViewDefinition { schema: "turnstile", name, columns, source };
    vec![
        view(
            "products",
            vec![
                ("id", sql.varchar("shown.id")),
                ("name", sql.varchar("shown.name")),
                ("description", sql.text("shown.description")),
                // A price may be larger than the column.
                ("price", sql.int(&sql.least(&["shown.price_minor", "2147483647"]))),
                ("stock_quantity", sql.int("shown.remaining")),
                ("image", sql.text("shown.image_url")),
            ],
            products_source(sql),
        ),
        view(
            "orders",
            vec![
                ("id", sql.bigint("turnstile_jobs.number")),
                ("user_id", sql.varchar("turnstile_jobs.user_id")),
                ("product_id", sql.varchar("turnstile_jobs.product_id")),
                (
                    "status",
                    // The tables may lack the order of a completed job for a moment.
                    sql.varchar(
                        "CASE WHEN turnstile_jobs.status = 'failed' THEN 'CANCELLED' \
                         WHEN orders.status = 'pending' THEN 'PENDING' \
                         WHEN orders.status IS NULL OR orders.status = 'confirmed' THEN 'COMPLETED' ELSE 'CANCELLED' END",
                    ),
                ),
                ("created_at", sql.timestamp("turnstile_jobs.created_at")),
            ],
            "FROM turnstile_jobs LEFT JOIN orders ON orders.id = turnstile_jobs.order_id".to_owned(),
        ),
    ]
}

/// The product ids of the setting, which all mean the sale of the dialect; without a setting every product.
fn products_source(sql: SqlFlavour) -> String {
    let phase = sale_phase(sql);
    let rank = format!("CASE {phase} WHEN 'active' THEN 0 WHEN 'upcoming' THEN 1 ELSE 2 END");
    // The active sale that was made last, else the one that starts next, else the one that was made last.
    let order = format!(
        "{rank}, CASE WHEN {rank} = 1 THEN counters.starts_at ELSE -sales.created_at END, sales.id DESC"
    );
    let sales = "FROM sales
        JOIN sale_counters AS counters ON counters.sale_id = sales.id
        JOIN products ON products.id = sales.product_id
        WHERE sales.announced_at IS NOT NULL AND sales.deleted_at IS NULL";
    format!(
        "FROM (
    SELECT
        turnstile_product_ids.product_id AS id, COALESCE(chosen.name, '') AS name,
        COALESCE(chosen.description, '') AS description, COALESCE(chosen.price_minor, 0) AS price_minor,
        COALESCE(chosen.remaining, 0) AS remaining, chosen.image_url AS image_url
    FROM turnstile_product_ids
    LEFT JOIN (
        SELECT
            products.name, products.description, products.image_url, counters.unit_price_minor AS price_minor,
            counters.quantity - counters.sold AS remaining, ROW_NUMBER() OVER (ORDER BY {order}) AS place
        {sales} AND (
            NOT EXISTS (SELECT name FROM turnstile_sale)
            OR sales.slug IN (SELECT name FROM turnstile_sale) OR sales.id IN (SELECT name FROM turnstile_sale)
        )
    ) AS chosen ON chosen.place = 1
    UNION ALL
    SELECT
        products.id, products.name, products.description, COALESCE(chosen.price_minor, products.price_minor),
        COALESCE(chosen.remaining, 0), products.image_url
    FROM products
    LEFT JOIN (
        SELECT
            sales.product_id, counters.unit_price_minor AS price_minor, counters.quantity - counters.sold AS remaining,
            ROW_NUMBER() OVER (PARTITION BY sales.product_id ORDER BY {order}) AS place
        {sales}
    ) AS chosen ON chosen.product_id = products.id AND chosen.place = 1
    WHERE products.deleted_at IS NULL AND NOT EXISTS (SELECT product_id FROM turnstile_product_ids)
) AS shown"
    )
}
