//! What a merchant looks up: orders by parts of names and by dates, the line from a buyer's place on, the ledger from either end.

use crate::merchant::{Merchant, error_pointers, id, order};
use crate::support::{HttpReply, SignedInUser, TestApp};
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use test_servers::wait::{HANG_LIMIT, eventually};

async fn ids(merchant: &Merchant<'_>, path: &str) -> Vec<String> {
    let page = merchant.get(path).await;
    assert_eq!(page["nextCursor"], Value::Null, "{page}");
    page["items"].as_array().unwrap().iter().map(id).collect()
}

/// The items of all pages, and how many pages there were.
async fn all(merchant: &Merchant<'_>, path: &str) -> (Vec<Value>, usize) {
    let pages = merchant.app.read_pages(&merchant.token, &format!("/api/v1/admin{path}")).await;
    (pages.concat(), pages.len())
}

async fn bought(app: &TestApp, buyer: &SignedInUser, sale: &str) -> String {
    let reply = order(app, buyer, sale, 1).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    id(&reply.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_found_by_parts_of_names_and_ids() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (ann, joan, bob) =
        (app.register("Ann_1").await, app.register("joanna").await, app.register("bob").await);
    let (one, two) = (merchant.sale(&json!({})).await, merchant.sale(&json!({})).await);
    let (first, second) = (bought(&app, &ann, &one).await, bought(&app, &joan, &one).await);
    let (third, fourth) = (bought(&app, &bob, &one).await, bought(&app, &ann, &two).await);
    let of_ann = [fourth.as_str(), &first];
    let all_four = [fourth.as_str(), &third, &second, &first];
    let tail = &first[24..];
    eventually("the tables have all orders", HANG_LIMIT, async || {
        ids(&merchant, "/orders?q=").await == all_four
    })
    .await;
    for (q, expected) in [
        ("ann", vec![fourth.as_str(), &second, &first]),
        ("ANN_", of_ann.to_vec()),
        ("ann_1@example", of_ann.to_vec()),
        ("JoAnNa", vec![&second]),
        ("@example.com", all_four.to_vec()),
        ("%20bob%20", vec![&third]),
        (tail, vec![&first]),
        (&tail.to_uppercase(), vec![&first]),
        (&first, vec![&first]),
        (&ann.id, of_ann.to_vec()),
        ("", all_four.to_vec()),
        // No patterns of the database, and no buyer's name.
        ("%25", vec![]),
        ("a_n", vec![]),
        ("%27%20OR%201%3D1%20--", vec![]),
        ("nobody", vec![]),
    ] {
        assert_eq!(ids(&merchant, &format!("/orders?q={q}")).await, expected, "{q}");
    }
    let in_sale = format!("/flash-sales/{one}/orders?q=ann");
    assert_eq!(ids(&merchant, &in_sale).await, [second.as_str(), &first]);
    for (more, expected) in [
        (format!("q=ann&flashSaleId={two}"), vec![fourth.as_str()]),
        (format!("q=ann&buyer={}", joan.id), vec![second.as_str()]),
        ("q=bob&buyer=ann_1@example.com".to_owned(), vec![]),
        ("q=ann&buyer=nobody@example.com".to_owned(), vec![]),
        ("q=ann&status=refunded".to_owned(), vec![]),
    ] {
        assert_eq!(ids(&merchant, &format!("/orders?{more}")).await, expected, "{more}");
    }
    // Page by page each one is met once.
    for path in ["/orders?limit=1", "/orders?limit=1&q=example", &format!("/orders?limit=1&q={}", ann.id)] {
        let (items, pages) = all(&merchant, path).await;
        assert_eq!(pages, items.len(), "{path}");
        let expected = if path.ends_with(&ann.id) { of_ann.to_vec() } else { all_four.to_vec() };
        assert_eq!(items.iter().map(id).collect::<Vec<_>>(), expected, "{path}");
    }
    let item = merchant.get(&format!("/orders?q={first}")).await["items"][0].clone();
    assert_eq!((&item["product"], &item["version"]), (&json!("A thing"), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_found_by_status_and_by_when_they_were_made() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 9})).await;
    let ada = app.register("ada").await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push((merchant.now().0, bought(&app, &ada, &sale).await));
        app.shift_clock(60_000);
    }
    let cancel = app.request(Method::DELETE, &format!("/api/v1/orders/{}", made[1].1));
    assert_eq!(HttpReply::send(cancel.bearer_auth(&ada.access)).await.status, StatusCode::OK);
    let [first, second, third] = [&made[0].1, &made[1].1, &made[2].1];
    let orders = merchant.get("/orders").await;
    let at = |n: usize| orders["items"][2 - n]["createdAt"].as_str().unwrap().to_owned();
    for (query, expected) in [
        ("status=cancelled".to_owned(), vec![second]),
        ("status=pending".to_owned(), vec![third, first]),
        (format!("from={}", at(1)), vec![third, second]),
        (format!("to={}", at(1)), vec![first]),
        (format!("from={}&to={}", at(1), at(2)), vec![second]),
        (format!("from={}&to={}", at(2), at(1)), vec![]),
        (format!("from={}&status=pending&q=ada", at(1)), vec![third]),
    ] {
        for path in [format!("/orders?{query}"), format!("/flash-sales/{sale}/orders?{query}")] {
            assert_eq!(
                ids(&merchant, &path).await,
                expected.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "{path}"
            );
        }
        let (items, _) = all(&merchant, &format!("/orders?limit=1&{query}")).await;
        assert_eq!(items.len(), expected.len(), "{query}");
    }
    let ask = async |query: &str| app.get_as(&merchant.token, &format!("/api/v1/admin/orders{query}")).await;
    let reply = ask("?status=lost&from=yesterday&to=2026-11-27").await;
    assert_eq!(error_pointers(&reply), ["/from", "/status", "/to"]);
    assert_eq!(error_pointers(&ask(&format!("?q={}", "x".repeat(255))).await), ["/q"]);
    assert_eq!(error_pointers(&ask(".csv?from=2026-11-27T00:00:00").await), ["/from"]);
    assert_eq!(ask(".csv?limit=2").await.problem(), "invalid_query");
}

/// Above two hundred buyers, orders are scanned instead of looked up.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_fits_a_crowd_finds_all_of_it() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({})).await;
    write_crowd(&app, &sale).await;
    let (found, pages) = all(&merchant, "/orders?q=CROWD&limit=50").await;
    assert!(found.len() == CROWD && pages >= CROWD / 50, "{} in {pages} pages", found.len());
    let mut names: Vec<&str> =
        found.iter().map(|order| order["buyer"]["username"].as_str().unwrap()).collect();
    names.dedup();
    assert_eq!((names.len(), names[0], names[CROWD - 1]), (CROWD, "crowd0250", "crowd0001"));
    assert_eq!(all(&merchant, "/orders?q=crowd000&limit=5").await.0.len(), 9);
    let csv = app.get_as(&merchant.token, "/api/v1/admin/orders.csv?q=crowd").await;
    assert_eq!(String::from_utf8(csv.body).unwrap().lines().count(), 1 + CROWD);

    // 20,000 orders without a match lie in between: a page stops its scan before their end, and the next page continues it.
    let (found, pages) = all(&merchant, "/orders?q=late&limit=50").await;
    assert!(found.len() == 1 && pages >= 3, "{found:?} in {pages} pages");
}

/// Buyers with an order each, and 20,000 newer orders of no account between them and the first of all.
const CROWD: usize = 250;

/// Writes accounts and orders directly into the tables, because making them by requests takes too long.
async fn write_crowd(app: &TestApp, sale: &str) {
    let users = "
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < $1)
        INSERT INTO users (id, email, username, username_key, password_hash, role, created_at)
        SELECT '01900000-0000-7000-9000-' || substr(CAST(1000000000000 + n + $2 AS TEXT), 2),
               $3 || substr(CAST(10000 + n AS TEXT), 2) || '@example.com', $3 || substr(CAST(10000 + n AS TEXT), 2),
               $3 || substr(CAST(10000 + n AS TEXT), 2), '', 'buyer', 0
        FROM n";
    let orders = "
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20250)
        INSERT INTO orders (id, sale_id, buyer_id, quantity, unit_price_minor, currency, status, expires_at, restocked,
                            made_at, changed_at, seq)
        SELECT '01900000-0000-7000-8000-' || substr(CAST(1000000000000 + n AS TEXT), 2), $1,
               '01900000-0000-7000-9000-' || substr(CAST(1000000000000
                   + CASE WHEN n <= 250 THEN n WHEN n = 251 THEN 20251 ELSE 0 END AS TEXT), 2), 1, 100, 'EUR',
               'confirmed', NULL, 0, 1000000 + n, 1000000 + n, 1
        FROM n";
    let file = app.database().await;
    for (count, after, name) in [(250_i64, 0_i64, "crowd"), (251, 20_250, "late")] {
        sqlx::query(users).bind(count).bind(after).bind(name).execute(&file).await.unwrap();
    }
    sqlx::query(orders).bind(sale).execute(&file).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_is_listed_from_a_ticket_on() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let admission =
        json!({"type": "fifo", "perSecond": 1, "checkoutSeconds": 60, "lineOpensSecondsBefore": 600});
    let more = json!({"startsAt": merchant.moment(300_000), "admission": admission});
    let sale = merchant.sale(&more).await;
    let buyers = join_all(["ada", "bob", "cem"].map(async |name| app.register(name).await)).await;
    for buyer in &buyers {
        app.post_as(&buyer.access, "/api/v1/queue/join", &json!({"flashSaleId": sale})).await;
    }
    let tickets = async |query: &str| -> Vec<u64> {
        let line = merchant.get(&format!("/flash-sales/{sale}/queue{query}")).await;
        line["items"].as_array().unwrap().iter().map(|item| item["ticket"].as_u64().unwrap()).collect()
    };
    assert_eq!(tickets("").await, [1, 2, 3]);
    assert_eq!(tickets("?buyer=ada@example.com").await, [1, 2, 3]);
    assert_eq!(tickets("?buyer=BOB@example.com").await, [2, 3]);
    assert_eq!(tickets(&format!("?buyer={}", buyers[2].id)).await, [3]);
    assert_eq!(tickets("?buyer=nobody@example.com").await, [0; 0]);
    let first = merchant.get(&format!("/flash-sales/{sale}/queue?buyer=bob@example.com&limit=1")).await;
    let next = first["nextCursor"].as_str().unwrap();
    assert_eq!(tickets(&format!("?buyer=bob@example.com&cursor={next}")).await, [3]);
    let leave = app.request(Method::DELETE, &format!("/api/v1/queue/leave?flashSaleId={sale}"));
    HttpReply::send(leave.bearer_auth(&buyers[1].access)).await;
    assert_eq!(tickets("?buyer=bob@example.com").await, [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_read_from_either_end_and_by_what_is_looked_for() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let admission = json!({"type": "fifo", "perSecond": 100, "checkoutSeconds": 600});
    let sale = merchant.sale(&json!({"admission": admission})).await;
    let buyers = join_all((0..5).map(async |n| app.register(&format!("buyer{n}")).await)).await;
    for buyer in &buyers {
        app.post_as(&buyer.access, "/api/v1/queue/join", &json!({"flashSaleId": sale})).await;
    }
    for action in ["pause", "resume"].repeat(300) {
        merchant.post(&format!("/flash-sales/{sale}/{action}"), &json!({})).await;
    }
    merchant.post(&format!("/flash-sales/{sale}/close"), &json!({})).await;
    let path = format!("/flash-sales/{sale}/events");
    let seqs = |items: &[Value]| items.iter().map(|item| item["seq"].as_u64().unwrap()).collect::<Vec<_>>();
    let (up, _) = all(&merchant, &format!("{path}?limit=200")).await;
    let count = up.len() as u64;
    assert!(count > 600, "{count}");
    assert_eq!(seqs(&up), (1..=count).collect::<Vec<_>>());
    let (mut down, pages) = all(&merchant, &format!("{path}?order=desc&limit=100")).await;
    assert_eq!(pages as u64, count.div_ceil(100));
    down.reverse();
    assert_eq!(down, up);

    let page = async |query: &str| merchant.get(&format!("{path}?limit=3&{query}")).await;
    for (query, expected) in [
        ("from=5", vec![5, 6, 7]),
        ("from=5&order=desc", vec![5, 4, 3]),
        ("from=0", vec![1, 2, 3]),
        ("from=1&order=desc", vec![1]),
        ("from=99999999&order=desc", vec![count, count - 1, count - 2]),
        ("from=99999999", vec![]),
        ("kind=closed", vec![count]),
        ("kind=closed&order=desc", vec![count]),
        ("kind=configured&order=desc", vec![1]),
        ("kind=refunded", vec![]),
        ("buyer=nobody@example.com", vec![]),
    ] {
        // A filter may take more than one page to look through everything.
        let (items, _) = all(&merchant, &format!("{path}?limit=200&{query}")).await;
        let start = &seqs(&items)[..expected.len().min(items.len())];
        assert_eq!(start, expected, "{query}");
        assert!(expected.len() == 3 || items.len() == expected.len(), "{query}: {}", items.len());
    }
    let (of_one, _) = all(&merchant, &format!("{path}?buyer=buyer3@example.com")).await;
    let kinds: Vec<&str> = of_one.iter().map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["joined", "admitted"]);
    let ticket = &of_one[0]["ticket"];
    assert_eq!(all(&merchant, &format!("{path}?ticket={ticket}")).await.0, of_one);
    let (admitted, _) = all(&merchant, &format!("{path}?kind=admitted&order=desc&limit=2")).await;
    assert_eq!(admitted.len(), 5);

    let first = page("kind=joined").await;
    let people: Vec<&str> =
        first["people"].as_array().unwrap().iter().map(|person| person["email"].as_str().unwrap()).collect();
    assert_eq!((people.len(), first["items"].as_array().unwrap().len()), (3, 3));
    for item in first["items"].as_array().unwrap() {
        let person =
            first["people"].as_array().unwrap().iter().find(|person| person["id"] == item["buyerId"]);
        assert!(person.is_some(), "{first}");
    }
    let ask = async |query: &str| {
        app.get_as(&merchant.token, &format!("/api/v1/admin/flash-sales/{sale}/events?{query}")).await
    };
    for (query, field) in
        [("kind=lost", "/kind"), ("order=up", "/order"), ("ticket=-1", "/ticket"), ("cursor=%25", "/cursor")]
    {
        assert_eq!(error_pointers(&ask(query).await), [field], "{query}");
    }
}
