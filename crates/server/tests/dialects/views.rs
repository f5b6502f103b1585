//! The SQL views, column by column, on both databases: names, order, types, and the values of what was bought.

use crate::client::{DialectClient, DialectReply};
use crate::merchant::{Merchant, id, join_line, order, pay, wait_until_admitted};
use crate::support::{SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use server::http::dialects::Dialect;
use sqlx::{AnyPool, AssertSqlSafe, Row};
use std::collections::BTreeMap;
use test_servers::postgres::PostgresServer;
use test_servers::wait::{HANG_LIMIT, eventually};

const FLAGS: [&str; 6] = ["--limits", "off", "--dialects", "drop=127.0.0.1:0", "--dialect-admin", "open"];

const UUID: &str = "uuid";
const VARCHAR: &str = "character varying";
const TEXT: &str = "text";
const INT: &str = "integer";
const BIGINT: &str = "bigint";
const NUMERIC: &str = "numeric";
const TS: &str = "timestamp without time zone";
const TZ: &str = "timestamp with time zone";
const JSONB: &str = "jsonb";

/// A schema, a view in it, and the view's columns in order with their types in PostgreSQL.
type ViewShape = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const VIEWS: &[ViewShape] = &[
    (
        "platform",
        "users",
        &[
            ("id", UUID),
            ("email", VARCHAR),
            ("username", VARCHAR),
            ("password_hash", VARCHAR),
            ("created_at", TS),
            ("updated_at", TS),
        ],
    ),
    (
        "platform",
        "products",
        &[
            ("id", UUID),
            ("name", VARCHAR),
            ("description", TEXT),
            ("base_price", NUMERIC),
            ("category", VARCHAR),
            ("image_url", VARCHAR),
            ("created_at", TS),
        ],
    ),
    (
        "platform",
        "flash_sales",
        &[
            ("id", UUID),
            ("product_id", UUID),
            ("flash_price", NUMERIC),
            ("quantity_available", INT),
            ("start_time", TS),
            ("end_time", TS),
            ("status", VARCHAR),
            ("created_at", TS),
        ],
    ),
    (
        "platform",
        "queue_entries",
        &[
            ("id", UUID),
            ("user_id", UUID),
            ("flash_sale_id", UUID),
            ("position", INT),
            ("status", VARCHAR),
            ("joined_at", TS),
        ],
    ),
    (
        "platform",
        "orders",
        &[
            ("id", UUID),
            ("user_id", UUID),
            ("flash_sale_id", UUID),
            ("quantity", INT),
            ("total_price", NUMERIC),
            ("status", VARCHAR),
            ("created_at", TS),
        ],
    ),
    (
        "turnstile",
        "products",
        &[
            ("id", VARCHAR),
            ("name", VARCHAR),
            ("description", TEXT),
            ("price", INT),
            ("stock_quantity", INT),
            ("image", TEXT),
        ],
    ),
    (
        "turnstile",
        "orders",
        &[
            ("id", BIGINT),
            ("user_id", VARCHAR),
            ("product_id", VARCHAR),
            ("status", VARCHAR),
            ("created_at", TS),
        ],
    ),
    (
        "attempts",
        "users",
        &[
            ("id", BIGINT),
            ("username", TEXT),
            ("email", TEXT),
            ("password_hash", TEXT),
            ("full_name", TEXT),
            ("created_at", TZ),
            ("updated_at", TZ),
        ],
    ),
    (
        "attempts",
        "products",
        &[("id", BIGINT), ("sku", TEXT), ("name", TEXT), ("description", TEXT), ("created_at", TZ)],
    ),
    (
        "attempts",
        "flash_sales",
        &[
            ("id", BIGINT),
            ("product_id", BIGINT),
            ("start_at", TZ),
            ("end_at", TZ),
            ("initial_stock", BIGINT),
            ("remaining_stock", BIGINT),
            ("metadata", JSONB),
            ("created_at", TZ),
            ("updated_at", TZ),
        ],
    ),
    (
        "attempts",
        "orders",
        &[
            ("id", BIGINT),
            ("order_uuid", UUID),
            ("sale_id", BIGINT),
            ("product_id", BIGINT),
            ("user_id", BIGINT),
            ("status", TEXT),
            ("attempt_id", UUID),
            ("reserved_at", TZ),
            ("processed_at", TZ),
            ("metadata", JSONB),
            ("created_at", TZ),
        ],
    ),
    (
        "attempts",
        "purchase_attempts",
        &[
            ("id", BIGINT),
            ("attempt_uuid", UUID),
            ("sale_id", BIGINT),
            ("user_id", BIGINT),
            ("attempt_payload", JSONB),
            ("created_at", TZ),
        ],
    ),
];

/// A row of a view: each column as a text, with moments as RFC 3339.
type ViewRow = BTreeMap<&'static str, Option<String>>;

/// A database with the views.
struct ViewReader {
    pool: AnyPool,
    is_postgres: bool,
}

impl ViewReader {
    async fn open(app: &TestApp) -> Self {
        Self { pool: app.database().await, is_postgres: app.database_url().starts_with("postgres") }
    }

    fn view_name(&self, schema: &str, view: &str) -> String {
        if self.is_postgres { format!("{schema}.{view}") } else { format!("{schema}_{view}") }
    }

    /// The names and types of a view's columns.
    async fn columns(&self, schema: &str, view: &str) -> Vec<(String, String)> {
        let text = if self.is_postgres {
            format!(
                "SELECT CAST(column_name AS TEXT) AS name, CAST(data_type AS TEXT) AS kind \
                 FROM information_schema.columns \
                 WHERE table_schema = '{schema}' AND table_name = '{view}' ORDER BY ordinal_position"
            )
        } else {
            format!("SELECT name, type AS kind FROM pragma_table_info('{schema}_{view}') ORDER BY cid")
        };
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&self.pool).await.unwrap();
        rows.iter().map(|row| (row.get("name"), row.get("kind"))).collect()
    }

    /// All rows of a view, in the order of its first column.
    async fn rows(&self, schema: &str, view: &str) -> Vec<ViewRow> {
        let (_, _, columns) =
            VIEWS.iter().find(|known| (known.0, known.1) == (schema, view)).expect("a known view");
        let texts: Vec<String> = columns.iter().map(|(name, kind)| self.column_text(name, kind)).collect();
        let name = self.view_name(schema, view);
        let text = format!(
            "SELECT {} FROM {name} ORDER BY {name_of_first}",
            texts.join(", "),
            name_of_first = columns[0].0
        );
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&self.pool).await.unwrap();
        rows.iter()
            .map(|row| columns.iter().enumerate().map(|(at, (name, _))| (*name, row.get(at))).collect())
            .collect()
    }

    fn column_text(&self, name: &str, kind: &str) -> String {
        const FORMAT: &str = "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'";
        match (self.is_postgres, kind) {
            (true, TS) => format!("to_char({name}, {FORMAT})"),
            (true, TZ) => format!("to_char({name} AT TIME ZONE 'UTC', {FORMAT})"),
            _ => format!("CAST({name} AS TEXT)"),
        }
    }

    /// The kinds of SQLite's values in a column that is not empty.
    async fn kinds(&self, schema: &str, view: &str, column: &str) -> Vec<String> {
        let name = self.view_name(schema, view);
        let text = format!("SELECT DISTINCT typeof({column}) AS kind FROM {name} WHERE {column} IS NOT NULL");
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&self.pool).await.unwrap();
        rows.iter().map(|row| row.get("kind")).collect()
    }
}

/// The row whose column has this value.
fn find_row<'a>(rows: &'a [ViewRow], column: &str, value: &str) -> &'a ViewRow {
    let mut found = rows.iter().filter(|row| row[column].as_deref() == Some(value));
    let row = found.next().unwrap_or_else(|| panic!("no row with {column} {value} in {rows:?}"));
    assert!(found.next().is_none(), "two rows with {column} {value}: {rows:?}");
    row
}

/// Compares all columns of a row.
fn assert_row(row: &ViewRow, expected: &[(&'static str, &str)]) {
    let expected: ViewRow = expected
        .iter()
        .map(|(name, value)| (*name, Some(*value).filter(|value| *value != "NULL").map(str::to_owned)))
        .collect();
    assert_eq!(row, &expected);
}

fn text<'a>(document: &'a Value, name: &str) -> &'a str {
    document[name].as_str().unwrap_or_else(|| panic!("no {name}: {document}"))
}

async fn account(app: &TestApp, user: &SignedInUser) -> Value {
    app.get_as(&user.access, "/api/v1/auth/me").await.json()
}

async fn views_present_what_was_bought(app: TestApp) {
    let merchant = Merchant::sign_in(&app).await;
    let lamp = json!({
        "name": "Lamp", "description": "It shines", "category": "Lights", "imageUrl": "https://example.com/lamp.png",
        "price": {"amount": 4999, "currency": "EUR"},
    });
    let lamp = merchant.post("/products", &lamp).await.json();
    let fan = json!({"name": "Fan", "price": {"amount": 5000, "currency": "JPY"}});
    let fan = merchant.post("/products", &fan).await.json();
    let make = async |product: &Value, more: Value| {
        let made = merchant.post("/flash-sales", &merchant.sale_body(text(product, "id"), &more)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        made.json()
    };
    let lamps = make(&lamp, json!({"quantity": 7, "limitPerBuyer": 5, "holdSeconds": 600})).await;
    let fifo = json!({
        "quantity": 1, "price": {"amount": 4500, "currency": "JPY"}, "payment": "none",
        "admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 600},
    });
    let fans = make(&fan, fifo).await;
    let (ada, bob, eve) = (app.register("ada").await, app.register("bob").await, app.register("eve").await);
    let (lamp_sale, fan_sale) = (text(&lamps, "id"), text(&fans, "id"));

    let paid = id(&order(&app, &ada, lamp_sale, 2).await.json());
    assert_eq!(pay(&app, &ada, &paid, "approve").await.status, 200);
    let paid = app.get_as(&ada.access, &format!("/api/v1/orders/{paid}")).await.json();
    let held = order(&app, &bob, lamp_sale, 1).await.json();
    let cancelled = id(&order(&app, &eve, lamp_sale, 1).await.json());
    let cancel = app.request(Method::DELETE, &format!("/api/v1/orders/{cancelled}")).bearer_auth(&eve.access);
    let cancelled: Value = cancel.send().await.unwrap().json().await.unwrap();
    // One unit: the first buyer is admitted, and the second waits.
    let ada_place = join_line(&app, &ada, fan_sale).await.json();
    wait_until_admitted(&app, &ada, fan_sale).await;
    let bob_place = join_line(&app, &bob, fan_sale).await.json();
    // A guest, whose orders have a buyer that is no account.
    let guests = DialectClient::of(&app, Dialect::Drop);
    let drop = json!({
        "startTime": merchant.moment(-1_000), "endTime": merchant.moment(600_000), "totalStock": 3, "productName": "Gift",
    });
    guests.post("/api/sale/init", &drop).await.expect(200);
    guests.post("/api/sale/purchase", &json!({"userId": "guest"})).await.expect(200);

    let views = ViewReader::open(&app).await;
    eventually("the tables have what was bought", HANG_LIMIT, async || {
        let orders = views.rows("platform", "orders").await;
        let pending = orders.iter().filter(|row| row["status"].as_deref() == Some("pending")).count();
        orders.len() == 4
            && pending == 1
            && views.rows("platform", "queue_entries").await.len() == 2
            && views.rows("platform", "flash_sales").await.len() == 3
    })
    .await;
    check_columns(&views).await;
    check_platform(&views, &app, [&lamp, &fan], [&lamps, &fans], [&ada, &bob]).await;
    let orders = views.rows("platform", "orders").await;
    let guest_order = orders.iter().find(|row| row["flash_sale_id"].as_deref() != Some(lamp_sale)).unwrap();
    let users = views.rows("platform", "users").await;
    assert!(users.iter().all(|user| user["id"] != guest_order["user_id"]), "a guest is no account");
    for (document, buyer, total) in
        [(&paid, &ada, "59.98"), (&held, &bob, "29.99"), (&cancelled, &eve, "29.99")]
    {
        assert_row(
            find_row(&orders, "id", text(document, "id")),
            &[
                ("id", text(document, "id")),
                ("user_id", &buyer.id),
                ("flash_sale_id", lamp_sale),
                ("quantity", &document["quantity"].to_string()),
                ("total_price", total),
                ("status", text(document, "status")),
                ("created_at", text(document, "createdAt")),
            ],
        );
    }
    check_line(&views, fan_sale, [(&ada, &ada_place), (&bob, &bob_place)]).await;
    check_attempts(&views, &app, (&lamp, &lamps), [(&paid, &ada), (&held, &bob), (&cancelled, &eve)]).await;

    // Units and status are those of the moment of the query.
    merchant.post(&format!("/flash-sales/{fan_sale}/pause"), &json!({})).await;
    merchant.post(&format!("/flash-sales/{lamp_sale}/close"), &json!({})).await;
    eventually("the tables have the pause and the end", HANG_LIMIT, async || {
        let sales = views.rows("platform", "flash_sales").await;
        let status = |sale| find_row(&sales, "id", sale)["status"].clone();
        status(fan_sale).as_deref() == Some("paused") && status(lamp_sale).as_deref() == Some("closed")
    })
    .await;
}

/// The names, the order and the types of all columns.
async fn check_columns(views: &ViewReader) {
    for (schema, view, columns) in VIEWS {
        let found = views.columns(schema, view).await;
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, columns.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{schema}.{view}");
        if views.is_postgres {
            let kinds: Vec<&str> = found.iter().map(|(_, kind)| kind.as_str()).collect();
            assert_eq!(kinds, columns.iter().map(|(_, kind)| *kind).collect::<Vec<_>>(), "{schema}.{view}");
            continue;
        }
        for (column, kind) in *columns {
            let expected = if [INT, BIGINT].contains(kind) { "integer" } else { "text" };
            let found = views.kinds(schema, view, column).await;
            assert!(found.iter().all(|kind| kind == expected), "{schema}_{view}.{column}: {found:?}");
        }
    }
}

async fn check_platform(
    views: &ViewReader,
    app: &TestApp,
    [lamp, fan]: [&Value; 2],
    [lamps, fans]: [&Value; 2],
    users: [&SignedInUser; 2],
) {
    let rows = views.rows("platform", "users").await;
    for user in users {
        let account = account(app, user).await;
        assert_row(
            find_row(&rows, "id", &user.id),
            &[
                ("id", &user.id),
                ("email", text(&account, "email")),
                ("username", text(&account, "username")),
                ("password_hash", ""),
                ("created_at", text(&account, "createdAt")),
                ("updated_at", text(&account, "updatedAt")),
            ],
        );
    }
    let rows = views.rows("platform", "products").await;
    for (product, description, price, category, image) in [
        (lamp, "It shines", "49.99", "Lights", "https://example.com/lamp.png"),
        (fan, "", "5000", "NULL", "NULL"),
    ] {
        assert_row(
            find_row(&rows, "id", text(product, "id")),
            &[
                ("id", text(product, "id")),
                ("name", text(product, "name")),
                ("description", description),
                ("base_price", price),
                ("category", category),
                ("image_url", image),
                ("created_at", text(product, "createdAt")),
            ],
        );
    }
    let rows = views.rows("platform", "flash_sales").await;
    for (sale, product, price, available) in [(lamps, lamp, "29.99", "4"), (fans, fan, "4500", "0")] {
        let row = find_row(&rows, "id", text(sale, "id"));
        assert!(row["created_at"].as_deref().is_some_and(|at| at.ends_with('Z')), "{row:?}");
        assert_row(
            row,
            &[
                ("id", text(sale, "id")),
                ("product_id", text(product, "id")),
                ("flash_price", price),
                ("quantity_available", available),
                ("start_time", text(sale, "startsAt")),
                ("end_time", text(sale, "endsAt")),
                ("status", "active"),
                ("created_at", row["created_at"].as_deref().unwrap()),
            ],
        );
    }
}

async fn check_line(views: &ViewReader, sale: &str, places: [(&SignedInUser, &Value); 2]) {
    let rows = views.rows("platform", "queue_entries").await;
    assert_eq!(rows.len(), 2);
    for ((buyer, place), (position, status)) in places.into_iter().zip([("0", "admitted"), ("1", "waiting")])
    {
        let id = format!("{}{:012x}", &sale[..24], place["ticket"].as_u64().unwrap());
        let row = find_row(&rows, "id", &id);
        let joined_at = row["joined_at"].as_deref().unwrap();
        assert!(joined_at.len() == 24 && joined_at.ends_with('Z'), "{row:?}");
        assert_row(
            row,
            &[
                ("id", &id),
                ("user_id", &buyer.id),
                ("flash_sale_id", sale),
                ("position", position),
                ("status", status),
                ("joined_at", joined_at),
            ],
        );
    }
}

async fn check_attempts(
    views: &ViewReader,
    app: &TestApp,
    (lamp, lamps): (&Value, &Value),
    orders: [(&Value, &SignedInUser); 3],
) {
    let rows = views.rows("attempts", "products").await;
    assert_row(
        find_row(&rows, "sku", text(lamp, "id")),
        &[
            ("id", "1"),
            ("sku", text(lamp, "id")),
            ("name", "Lamp"),
            ("description", "It shines"),
            ("created_at", text(lamp, "createdAt")),
        ],
    );
    let rows = views.rows("attempts", "flash_sales").await;
    let row = find_row(&rows, "id", "1");
    let [created_at, updated_at] = ["created_at", "updated_at"].map(|name| row[name].as_deref().unwrap());
    assert!(created_at.len() == 24 && created_at <= updated_at, "{row:?}");
    assert_row(
        row,
        &[
            ("id", "1"),
            ("product_id", "1"),
            ("start_at", text(lamps, "startsAt")),
            ("end_at", text(lamps, "endsAt")),
            ("initial_stock", "7"),
            // The held unit is not sold.
            ("remaining_stock", "5"),
            ("metadata", "{}"),
            ("created_at", created_at),
            ("updated_at", updated_at),
        ],
    );
    let (users, placed, attempts) = (
        views.rows("attempts", "users").await,
        views.rows("attempts", "orders").await,
        views.rows("attempts", "purchase_attempts").await,
    );
    assert_eq!((placed.len(), attempts.len()), (3, 3), "the guest's order is not among them");
    for (at, (order, buyer)) in orders.into_iter().enumerate() {
        let account = account(app, buyer).await;
        // The admin has the first id.
        let user_id = (at + 2).to_string();
        assert_row(
            find_row(&users, "id", &user_id),
            &[
                ("id", &user_id),
                ("username", text(&account, "username")),
                ("email", text(&account, "email")),
                ("password_hash", ""),
                ("full_name", "NULL"),
                ("created_at", text(&account, "createdAt")),
                ("updated_at", text(&account, "updatedAt")),
            ],
        );
        let uuid = text(order, "id");
        let row = find_row(&placed, "order_uuid", uuid);
        let number: u64 = row["id"].as_deref().unwrap().parse().unwrap();
        let made_by = find_made_event(app, text(lamps, "id"), uuid).await;
        assert_eq!(number, (1 << 32) + made_by, "the sale's number and that of the event");
        let number = number.to_string();
        let made_at = text(order, "createdAt");
        let (status, processed_at) = match text(order, "status") {
            "confirmed" => ("SUCCESS", text(order, "updatedAt")),
            "pending" => ("PENDING", "NULL"),
            _ => ("FAILED", text(order, "updatedAt")),
        };
        assert_row(
            row,
            &[
                ("id", &number),
                ("order_uuid", uuid),
                ("sale_id", "1"),
                ("product_id", "1"),
                ("user_id", &user_id),
                ("status", status),
                ("attempt_id", uuid),
                ("reserved_at", made_at),
                ("processed_at", processed_at),
                ("metadata", "{}"),
                ("created_at", made_at),
            ],
        );
        let mut row = find_row(&attempts, "attempt_uuid", uuid).clone();
        let payload: Value = serde_json::from_str(row["attempt_payload"].as_deref().unwrap()).unwrap();
        assert_eq!(
            payload,
            json!({"userId": user_id, "productId": "1", "saleId": "1", "timestamp": made_at})
        );
        row.remove("attempt_payload");
        assert_row(
            &row,
            &[
                ("id", &number),
                ("attempt_uuid", uuid),
                ("sale_id", "1"),
                ("user_id", &user_id),
                ("created_at", made_at),
            ],
        );
    }
}

/// The number of the event that made an order.
async fn find_made_event(app: &TestApp, sale: &str, order: &str) -> u64 {
    let admin = app.admin().await;
    let events = app.get_as(&admin.access, &format!("/api/v1/admin/flash-sales/{sale}/events")).await.json();
    let is_first = |event: &&Value| event.to_string().contains(order);
    let event = events["items"].as_array().unwrap().iter().find(is_first);
    event.unwrap_or_else(|| panic!("no event of {order}: {events}"))["seq"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_of_a_file_present_what_was_bought() {
    views_present_what_was_bought(TestApp::start_with(&FLAGS).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_of_a_database_present_what_was_bought() {
    let database = PostgresServer::shared().create_database();
    let flags = [&FLAGS[..], &["--database", &database]].concat();
    views_present_what_was_bought(TestApp::start_with(&flags).await).await;
}

/// A purchase at the turnstile, whose jobs outlive the sale.
async fn send_purchase(client: &DialectClient, key: &str, user: &str) -> Value {
    let body = json!({"productId": "sneaker-002", "userId": user});
    let request = client.request(Method::POST, "/buy").header("idempotency-key", key).json(&body);
    DialectReply::send(request).await.expect(200)
}

async fn turnstile_views_present_jobs(flags: Vec<String>) {
    let mut flags = flags;
    flags.extend(["--dialects", "turnstile=127.0.0.1:0", "--limits", "off"].map(str::to_owned));
    let without = flags.clone();
    flags.extend(["--turnstile-products", "sneaker-001,sneaker-002"].map(str::to_owned));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let app = TestApp::start_with(&flags).await;
    let client = DialectClient::of(&app, Dialect::Turnstile);
    let merchant = Merchant::sign_in(&app).await;
    let views = ViewReader::open(&app).await;
    let nothing = views.rows("turnstile", "products").await;
    assert_eq!(nothing.len(), 2);
    assert_eq!(nothing[0]["stock_quantity"].as_deref(), Some("0"), "no sale yet");
    let shoe = json!({
        "name": "Shoe", "description": "It runs", "imageUrl": "https://example.com/shoe.png",
        "price": {"amount": 9900, "currency": "USD"},
    });
    let shoe = merchant.post("/products", &shoe).await.json();
    let body = merchant.sale_body(
        text(&shoe, "id"),
        &json!({"quantity": 2, "payment": "none", "price": {"amount": 8900, "currency": "USD"}}),
    );
    let sale = merchant.post("/flash-sales", &body).await.json();
    let mut jobs = Vec::new();
    for (key, user) in [("one", "ada"), ("two", "bob"), ("three", "eve")] {
        jobs.push(send_purchase(&client, key, user).await);
    }
    let states: Vec<&str> = jobs.iter().map(|job| text(job, "state")).collect();
    assert_eq!(states, ["completed", "completed", "failed"]);
    eventually("the tables have both orders", HANG_LIMIT, async || {
        views.rows("platform", "orders").await.len() == 2
    })
    .await;
    let orders = merchant.get(&format!("/flash-sales/{}/orders", text(&sale, "id"))).await;
    // The newest order is that of the second buyer: it is given back.
    let refunded = text(&orders["items"][0], "id").to_owned();
    let refund = merchant.post(&format!("/orders/{refunded}/refund"), &json!({"restock": false})).await;
    assert_eq!(refund.status, StatusCode::OK, "{refund:?}");
    eventually("the tables have the refund", HANG_LIMIT, async || {
        let rows = views.rows("turnstile", "orders").await;
        rows.iter().filter(|row| row["status"].as_deref() == Some("CANCELLED")).count() == 2
    })
    .await;
    check_columns(&views).await;
    let rows = views.rows("turnstile", "orders").await;
    for (number, (user, status)) in
        [("ada", "COMPLETED"), ("bob", "CANCELLED"), ("eve", "CANCELLED")].into_iter().enumerate()
    {
        let row = &rows[number];
        let created_at = row["created_at"].as_deref().unwrap();
        assert!(created_at.len() == 24 && created_at.ends_with('Z'), "{row:?}");
        assert_row(
            row,
            &[
                ("id", &(number + 1).to_string()),
                ("user_id", user),
                ("product_id", "sneaker-002"),
                ("status", status),
                ("created_at", created_at),
            ],
        );
    }
    let shown_sale = app.get(&format!("/api/v1/flash-sales/{}", text(&sale, "id"))).await.json();
    let remaining = shown_sale["quantity"].as_u64().unwrap() - shown_sale["sold"].as_u64().unwrap();
    let remaining = remaining.to_string();
    let shown = [
        ("name", "Shoe"),
        ("description", "It runs"),
        ("price", "8900"),
        ("stock_quantity", remaining.as_str()),
        ("image", "https://example.com/shoe.png"),
    ];
    let rows = views.rows("turnstile", "products").await;
    assert_eq!(rows.len(), 2, "one for each id of the setting");
    for (row, id) in rows.iter().zip(["sneaker-001", "sneaker-002"]) {
        assert_row(row, &[&[("id", id)], &shown[..]].concat());
    }
    // Without the setting: one for each product.
    if without.iter().any(|flag| flag == "--database") {
        let flags: Vec<&str> = without.iter().map(String::as_str).collect();
        let again = TestApp::start_with(&flags).await;
        let rows = ViewReader::open(&again).await.rows("turnstile", "products").await;
        assert_eq!(rows.len(), 1);
        assert_row(&rows[0], &[&[("id", text(&shoe, "id"))], &shown[..]].concat());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_of_a_file_present_jobs() {
    turnstile_views_present_jobs(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_of_a_database_present_jobs() {
    turnstile_views_present_jobs(vec!["--database".to_owned(), PostgresServer::shared().create_database()])
        .await;
}
