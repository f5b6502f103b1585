//! The views of the design that attempts one unit for each account. Ids are the integer ones; guests have none and are left out.

use super::sql::{LISTED_SALES, SqlFlavour, ViewDefinition};

/// The orders of accounts.
const ACCOUNT_ORDERS: &str = "
FROM orders
JOIN users ON users.id = orders.buyer_id
JOIN sales ON sales.id = orders.sale_id
JOIN products ON products.id = sales.product_id
WHERE users.integer_id IS NOT NULL AND sales.integer_id IS NOT NULL AND products.integer_id IS NOT NULL";

/// The sale's number in the high half, the event that made the order in the low one.
const ORDER_NUMBER: &str = "sales.integer_id * 4294967296 + orders.made_seq";

pub(super) fn views(sql: SqlFlavour) -> Vec<ViewDefinition> {
    let view = |name, columns, source: &str| ViewDefinition {
        schema: "attempts",
        name,
        columns,
        source: source.trim_start().to_owned(),
    };
    let last_event = "COALESCE((SELECT MAX(sale_series.at) FROM sale_series \
                      WHERE sale_series.sale_id = sales.id AND sale_series.step_s = 1), 0)";
    let changed_at = sql.greatest(&[
        "sales.announced_at",
        last_event,
        "COALESCE(counters.paused_at, 0)",
        "COALESCE(counters.closed_at, 0)",
    ]);
    let payload = sql.json_object(&[
        ("userId", "CAST(users.integer_id AS TEXT)".to_owned()),
        ("productId", "CAST(products.integer_id AS TEXT)".to_owned()),
        ("saleId", "CAST(sales.integer_id AS TEXT)".to_owned()),
        ("timestamp", sql.rfc3339("orders.made_at")),
    ]);
    vec![
        view(
            "users",
            vec![
                ("id", sql.bigint("integer_id")),
                ("username", sql.text("username")),
                ("email", sql.text("email")),
                ("password_hash", sql.text("''")),
                ("full_name", sql.text("full_name")),
                ("created_at", sql.timestamptz("created_at")),
                ("updated_at", sql.timestamptz("updated_at")),
            ],
            "FROM users WHERE integer_id IS NOT NULL",
        ),
        view(
            "products",
            vec![
                ("id", sql.bigint("integer_id")),
                ("sku", sql.text("id")),
                ("name", sql.text("name")),
                ("description", sql.text("description")),
                ("created_at", sql.timestamptz("created_at")),
            ],
            "FROM products WHERE integer_id IS NOT NULL AND deleted_at IS NULL",
        ),
        view(
            "flash_sales",
            vec![
                ("id", sql.bigint("sales.integer_id")),
                (
                    "product_id",
                    sql.bigint("(SELECT integer_id FROM products WHERE products.id = sales.product_id)"),
                ),
                ("start_at", sql.timestamptz("counters.starts_at")),
                ("end_at", sql.timestamptz("counters.ends_at")),
                ("initial_stock", sql.bigint("counters.quantity")),
                ("remaining_stock", sql.bigint("counters.quantity - counters.sold")),
                ("metadata", sql.empty_json().to_owned()),
                ("created_at", sql.timestamptz("sales.created_at")),
                ("updated_at", sql.timestamptz(&changed_at)),
            ],
            &format!("{LISTED_SALES} AND sales.integer_id IS NOT NULL"),
        ),
        view(
            "orders",
            vec![
                ("id", sql.bigint(ORDER_NUMBER)),
                ("order_uuid", sql.uuid("orders.id")),
                ("sale_id", sql.bigint("sales.integer_id")),
                ("product_id", sql.bigint("products.integer_id")),
                ("user_id", sql.bigint("users.integer_id")),
                (
                    "status",
                    sql.text(
                        "CASE orders.status WHEN 'pending' THEN 'PENDING' WHEN 'confirmed' THEN 'SUCCESS' ELSE 'FAILED' END",
                    ),
                ),
                ("attempt_id", sql.uuid("orders.id")),
                ("reserved_at", sql.timestamptz("orders.made_at")),
                (
                    "processed_at",
                    sql.timestamptz("CASE WHEN orders.status <> 'pending' THEN orders.changed_at END"),
                ),
                ("metadata", sql.empty_json().to_owned()),
                ("created_at", sql.timestamptz("orders.made_at")),
            ],
            ACCOUNT_ORDERS,
        ),
        view(
            "purchase_attempts",
            vec![
                ("id", sql.bigint(ORDER_NUMBER)),
                ("attempt_uuid", sql.uuid("orders.id")),
                ("sale_id", sql.bigint("sales.integer_id")),
                ("user_id", sql.bigint("users.integer_id")),
                ("attempt_payload", payload),
                ("created_at", sql.timestamptz("orders.made_at")),
            ],
            ACCOUNT_ORDERS,
        ),
    ]
}
