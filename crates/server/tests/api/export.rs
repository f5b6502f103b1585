//! Orders as a table for a spreadsheet: every row once, nothing that runs, and as many rows as there are.

use crate::merchant::{Merchant, id, order};
use crate::support::{HttpReply, TestApp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

/// A table as a strict reader of RFC 4180 understands it.
fn parsed(text: &str) -> Vec<Vec<String>> {
    let text = text.strip_prefix('\u{feff}').expect("a byte order mark");
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quoted) {
            ('"', true) if characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', false) => row.push(std::mem::take(&mut cell)),
            ('\r', false) if characters.peek() == Some(&'\n') => {
                characters.next();
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            (character, _) => cell.push(character),
        }
    }
    assert!(row.is_empty() && cell.is_empty() && !quoted, "the table ends with a line's end");
    rows
}

/// The rows as maps from the names of the columns.
fn table(reply: &HttpReply) -> Vec<Value> {
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let mut rows = parsed(std::str::from_utf8(&reply.body).unwrap()).into_iter();
    let columns = rows.next().unwrap();
    let mapped = |row: Vec<String>| {
        assert_eq!(row.len(), columns.len(), "{row:?}");
        Value::Object(columns.iter().cloned().zip(row.into_iter().map(Value::String)).collect())
    };
    rows.map(mapped).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_tells_orders_as_they_are_and_runs_nothing() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let name = "=HYPERLINK(\"http://evil.example\",\"مصباح\"), <script>";
    let product = json!({"name": name, "price": {"amount": 9_999, "currency": "JPY"}});
    let product = id(&merchant.post("/products", &product).await.json());
    let more = json!({"price": {"amount": 4_999, "currency": "JPY"}, "slug": "lamp", "limitPerBuyer": 5});
    let yen = id(&merchant.post("/flash-sales", &merchant.sale_body(&product, &more)).await.json());
    let euro = merchant.sale(&json!({"payment": "none"})).await;
    let (ada, bob) = (app.register("-23").await, app.register("bob").await);
    let held = order(&app, &ada, &yen, 2).await;
    assert_eq!(held.status, StatusCode::CREATED);
    let held = held.json();
    let sold = id(&order(&app, &bob, &euro, 1).await.json());
    merchant.post(&format!("/orders/{sold}/refund"), &json!({"restock": true})).await;

    let reply = app.get_as(&merchant.token, "/api/v1/admin/orders.csv").await;
    assert_eq!(reply.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(reply.header("content-disposition"), "attachment; filename=\"orders.csv\"");
    assert_eq!(reply.header("cache-control"), "no-store");
    let rows = table(&reply);
    assert_eq!(rows.len(), 2);
    let listed = merchant.get("/orders").await;
    assert_eq!(
        rows[1],
        json!({
            "order_id": held["id"],
            "sale_id": yen,
            "sale": "lamp",
            "product": format!("'{name}"),
            "buyer_id": ada.id,
            "email": "'-23@example.com",
            "username": "'-23",
            "status": "pending",
            "restocked": "",
            "quantity": "2",
            "currency": "JPY",
            "unit_price_minor": "4999",
            "unit_price": "4999",
            "total_minor": "9998",
            "total": "9998",
            "created_at": held["createdAt"],
            "updated_at": listed["items"][1]["updatedAt"],
            "expires_at": held["expiresAt"],
            "payment": "required",
            "paying": "",
            "paid_at": "",
        })
    );
    let refunded = &rows[0];
    for (column, expected) in [
        ("order_id", sold.as_str()),
        ("status", "refunded"),
        ("restocked", "yes"),
        ("unit_price_minor", "2999"),
        ("unit_price", "29.99"),
        ("total", "29.99"),
        ("expires_at", ""),
        ("payment", "none"),
        ("paid_at", ""),
        ("username", "bob"),
    ] {
        assert_eq!(refunded[column], expected, "{column}");
    }

    let filtered =
        async |query: &str| app.get_as(&merchant.token, &format!("/api/v1/admin/orders.csv?{query}")).await;
    let of_sale = filtered(&format!("flashSaleId={yen}")).await;
    assert_eq!(of_sale.header("content-disposition"), "attachment; filename=\"orders-lamp.csv\"");
    assert_eq!(table(&of_sale), rows[1..]);
    for (query, count) in [
        ("status=refunded", 1),
        ("q=bob", 1),
        ("q=nobody", 0),
        ("buyer=bob@example.com", 1),
        ("to=2020-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(table(&filtered(query).await).len(), count, "{query}");
    }
    let reply = app.get_as(&bob.access, "/api/v1/admin/orders.csv").await;
    assert_eq!(reply.problem(), "forbidden");
}

/// Writes orders directly into the tables, so that there are many.
async fn write_orders(app: &TestApp, sale: &str, count: i64) {
    // Digits and a cast: how to write hexadecimal, no two databases agree on.
    let insert = "
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < $1)
        INSERT INTO orders (id, sale_id, buyer_id, quantity, unit_price_minor, currency, status, expires_at, restocked,
                            made_at, changed_at, seq)
        SELECT '01900000-0000-7000-8000-' || substr(CAST(1000000000000 + n AS TEXT), 2), $2,
               '01900000-0000-7000-9000-000000000000', 1, 100, 'EUR',
               'confirmed', NULL, 0, 1000000 + n / 7, 1000000 + n / 7, 1
        FROM n";
    sqlx::query(insert).bind(count).bind(sale).execute(&app.database().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_table_has_every_order_once_and_outlasts_the_time_that_a_connection_may_idle() {
    const COUNT: u16 = 60_000;
    const PIECE_LEN: usize = 256 * 1024;
    let app = TestApp::start_with(&["--limits", "off", "--idle-timeout", "4s"]).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({})).await;
    write_orders(&app, &sale, COUNT.into()).await;
    let request = app.request(reqwest::Method::GET, "/api/v1/admin/orders.csv").bearer_auth(&merchant.token);
    let mut response = request.send().await.unwrap();
    let (mut text, mut pause_at) = (Vec::new(), PIECE_LEN);
    while let Some(piece) = response.chunk().await.unwrap() {
        text.extend_from_slice(&piece);
        // A slow reader, but one who reads on: all of it takes several times as long as a connection may idle, and the server
        // can write more well within that time, however much the buffers between them hold.
        while text.len() >= pause_at {
            pause_at += PIECE_LEN;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    let rows = parsed(std::str::from_utf8(&text).unwrap());
    assert_eq!(rows.len(), usize::from(COUNT) + 1);
    let mut ids: Vec<&str> = rows[1..].iter().map(|row| row[0].as_str()).collect();
    // Newest first, and among those of one millisecond by id: which is the order of their numbers.
    assert!(ids.is_sorted_by(|one, other| one > other));
    ids.dedup();
    assert_eq!(ids.len(), usize::from(COUNT));
}
