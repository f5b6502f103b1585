//! The views of the design whose API is the native one.

use super::sql::{LISTED_SALES, SqlFlavour, ViewDefinition, sale_phase};

pub(super) fn views(sql: SqlFlavour) -> Vec<ViewDefinition> {
    let view = |name, columns, source: &str| ViewDefinition {
        schema: "platform",
        name,
        columns,
        source: source.trim_start().to_owned(),
    };
    vec![
        view(
            "users",
            vec![
                ("id", sql.uuid("id")),
                ("email", sql.varchar("email")),
                ("username", sql.varchar("username")),
                // A hash leaves the shop's own table for nobody.
                ("password_hash", sql.varchar("''")),
                ("created_at", sql.timestamp("created_at")),
                ("updated_at", sql.timestamp("updated_at")),
            ],
            "FROM users",
        ),
        view(
            "products",
            vec![
                ("id", sql.uuid("id")),
                ("name", sql.varchar("name")),
                ("description", sql.text("description")),
                ("base_price", sql.amount("price_minor", "currency")),
                ("category", sql.varchar("category")),
                ("image_url", sql.varchar("image_url")),
                ("created_at", sql.timestamp("created_at")),
            ],
            "FROM products WHERE deleted_at IS NULL",
        ),
        view(
            "flash_sales",
            vec![
                ("id", sql.uuid("sales.id")),
                ("product_id", sql.uuid("sales.product_id")),
                ("flash_price", sql.amount("counters.unit_price_minor", "counters.currency")),
                // Units that come back pay what the ledger is short of first.
                ("quantity_available", sql.int(&sql.greatest(&["counters.available - counters.short", "0"]))),
                ("start_time", sql.timestamp("counters.starts_at")),
                ("end_time", sql.timestamp("counters.ends_at")),
                ("status", sql.varchar(&sale_phase(sql))),
                ("created_at", sql.timestamp("sales.created_at")),
            ],
            LISTED_SALES,
        ),
        view(
            "queue_entries",
            vec![
                ("id", sql.uuid(&format!("substr(sale_id, 1, 24) || {}", sql.hex12("ticket")))),
                ("user_id", sql.uuid("buyer_id")),
                ("flash_sale_id", sql.uuid("sale_id")),
                (
                    "position",
                    sql.int(
                        "CASE WHEN status = 'waiting' \
                         THEN ROW_NUMBER() OVER (PARTITION BY sale_id, status ORDER BY ticket) ELSE 0 END",
                    ),
                ),
                ("status", sql.varchar("status")),
                ("joined_at", sql.timestamp("joined_at")),
            ],
            "FROM queue_entries",
        ),
        view(
            "orders",
            vec![
                ("id", sql.uuid("id")),
                ("user_id", sql.uuid("buyer_id")),
                ("flash_sale_id", sql.uuid("sale_id")),
                ("quantity", sql.int("quantity")),
                ("total_price", sql.amount("quantity * unit_price_minor", "currency")),
                ("status", sql.varchar("status")),
                ("created_at", sql.timestamp("made_at")),
            ],
            "FROM orders",
        ),
    ]
}
