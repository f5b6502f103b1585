//! What was sold stays as it was sold: an order keeps its product's texts and its price, a running sale shows what it showed, and an
//! old link leads to its sale.

use crate::merchant::{Merchant, assert_refused, error_pointers, eur, id, order, pay};
use crate::support::{HttpReply, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A product on sale now, and the buyer's order of it: `(product, sale, order)`.
async fn sell_one(merchant: &Merchant<'_>, buyer: &SignedInUser) -> (String, String, String) {
    let body = json!({
        "name": "A lamp", "description": "It shines", "price": eur(4999), "category": "Lighting", "imageUrl": "/img/lamp.png",
    });
    let product = id(&merchant.post("/products", &body).await.json());
    let more = json!({"limitPerBuyer": 5, "slug": "lamp"});
    let sale = id(&merchant.post("/flash-sales", &merchant.sale_body(&product, &more)).await.json());
    let order = id(&order(merchant.app, buyer, &sale, 1).await.json());
    (product, sale, order)
}

/// The order with this id in each list and reply that shows it, as the buyer reads it.
async fn read_everywhere(app: &TestApp, buyer: &SignedInUser, order: &str) -> Vec<Value> {
    let one = app.get_as(&buyer.access, &format!("/api/v1/orders/{order}")).await.json();
    let all = app.get_as(&buyer.access, "/api/v1/orders").await.json();
    let listed = all["items"].as_array().unwrap().iter().find(|item| item["id"] == order).unwrap().clone();
    vec![one, listed]
}

async fn admin_names(merchant: &Merchant<'_>, order: &str) -> Vec<String> {
    let all = merchant.get("/orders").await;
    let listed = all["items"].as_array().unwrap().iter().find(|item| item["id"] == order).unwrap().clone();
    let table = merchant.app.get_as(&merchant.token, "/api/v1/admin/orders.csv").await;
    let table = String::from_utf8(table.body).unwrap();
    let row = table.lines().find(|line| line.contains(order)).unwrap().to_owned();
    vec![listed["product"].as_str().unwrap().to_owned(), row.split(',').nth(3).unwrap().to_owned()]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_keeps_the_product_and_the_price_as_sold() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let (product, sale, first) = sell_one(&merchant, &ada).await;
    let sold =
        json!({"id": product, "name": "A lamp", "description": "It shines", "imageUrl": "/img/lamp.png"});
    let paid = pay(&app, &ada, &first, "approve").await;
    assert_eq!((paid.status, &paid.json()["product"]), (StatusCode::OK, &sold));

    let renamed = json!({"name": "A chair", "description": "To sit", "price": eur(99_999), "imageUrl": null, "category": null});
    assert_eq!(merchant.patch(&format!("/products/{product}"), &renamed).await.status, StatusCode::OK);
    let shown = app.get("/api/v1/flash-sales/lamp").await.json();
    assert_eq!((&shown["product"]["name"], &shown["listPrice"]), (&json!("A lamp"), &eur(4999)), "it runs");
    for shown in read_everywhere(&app, &ada, &first).await {
        assert_eq!(
            (&shown["product"], &shown["unitPrice"], &shown["total"]),
            (&sold, &eur(2999), &eur(2999))
        );
    }
    assert_eq!(admin_names(&merchant, &first).await, ["A lamp", "A lamp"]);

    // A recorded edit of the sale changes what it shows, for later orders.
    app.shift_clock(1_000);
    let path = format!("/flash-sales/{sale}");
    let edit = json!({"product": {"name": "A lamp, 2nd edition", "imageUrl": null}});
    let edited = merchant.patch(&path, &edit).await;
    assert_eq!(
        (edited.status, &edited.json()["product"]["name"]),
        (StatusCode::OK, &edit["product"]["name"])
    );
    app.shift_clock(1_000);
    let second = id(&order(&app, &ada, &sale, 1).await.json());
    // A rebuild of the tables from the ledger and a restart change nothing.
    let rewind = merchant.post("/followers/projector/rewind", &json!({"flashSaleId": sale, "seq": 0})).await;
    assert!(rewind.status.is_success(), "{rewind:?}");
    let app = {
        drop(merchant);
        app.restart().await
    };
    let merchant = Merchant::sign_in(&app).await;
    for (order, name) in [(&first, "A lamp"), (&second, "A lamp, 2nd edition")] {
        for shown in read_everywhere(&app, &ada, order).await {
            assert_eq!(shown["product"]["name"], name);
            assert_eq!(shown["product"]["description"], "It shines");
        }
    }
    assert_eq!(admin_names(&merchant, &first).await[0], "A lamp");
    assert_eq!(app.get("/api/v1/flash-sales/lamp").await.json()["product"]["imageUrl"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_price_of_a_sale_that_runs_stays() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let (product, sale, _) = sell_one(&merchant, &ada).await;
    let path = format!("/flash-sales/{sale}");
    for amount in [99_999, 1] {
        let reply = merchant.patch(&path, &json!({"product": {"listPrice": eur(amount)}})).await;
        assert_refused(&reply, 409, "promise_made");
    }
    let same = json!({"product": {"listPrice": eur(4999), "name": "A lamp"}});
    let version = app.get(&format!("/api/v1/flash-sales/{sale}")).await.header("etag").to_owned();
    assert_eq!(merchant.patch(&path, &same).await.status, StatusCode::OK);
    assert_eq!(
        app.get(&format!("/api/v1/flash-sales/{sale}")).await.header("etag"),
        version,
        "nothing changed"
    );
    let invalid = json!({"product": {"name": "", "listPrice": {"amount": -1}, "price": 1}});
    assert_eq!(
        error_pointers(&merchant.patch(&path, &invalid).await),
        ["/product/listPrice/amount", "/product/listPrice/currency", "/product/name", "/product/price"]
    );

    // A sale to come follows its product, and may be told otherwise.
    let later = merchant.sale_body(&product, &json!({"startsAt": merchant.moment(600_000)}));
    let later = id(&merchant.post("/flash-sales", &later).await.json());
    let edit = json!({"product": {"listPrice": eur(5999), "name": "A lamp to come"}});
    let edited = merchant.patch(&format!("/flash-sales/{later}"), &edit).await.json();
    assert_eq!((&edited["listPrice"], &edited["product"]["name"]), (&eur(5999), &json!("A lamp to come")));
    merchant.patch(&format!("/products/{product}"), &json!({"price": eur(6999)})).await;
    let shown = async |sale: &str| app.get(&format!("/api/v1/flash-sales/{sale}")).await.json();
    assert_eq!(shown(&later).await["listPrice"], eur(6999));
    assert_eq!(shown(&sale).await["listPrice"], eur(4999));
    let dollars = json!({"product": {"listPrice": {"amount": 1, "currency": "USD"}}});
    let reply = merchant.patch(&format!("/flash-sales/{later}"), &dollars).await;
    assert_eq!(error_pointers(&reply), ["/price/currency"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_slug_leads_to_its_sale_for_good() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (product, sale) =
        (merchant.product("A thing").await, merchant.sale(&json!({"slug": "aurora"})).await);
    let path = format!("/flash-sales/{sale}");
    for slug in ["other", "third"] {
        assert_eq!(merchant.patch(&path, &json!({"slug": slug})).await.status, StatusCode::OK);
    }
    for old in ["aurora", "other"] {
        let moved = app.get(&format!("/api/v1/flash-sales/{old}")).await;
        assert_eq!((moved.status.as_u16(), moved.header("location")), (308, "/api/v1/flash-sales/third"));
        assert_eq!(moved.header("cache-control"), "no-cache", "the sale may get its slug back");
        let page = app.get(&format!("/s/{old}")).await;
        assert_eq!((page.status.as_u16(), page.header("location")), (308, "/s/third"));
        let taken = merchant.sale_body(&product, &json!({"slug": old}));
        assert_refused(&merchant.post("/flash-sales", &taken).await, 409, "slug_taken");
    }
    let another = merchant.sale(&json!({"slug": "another"})).await;
    let reply = merchant.patch(&format!("/flash-sales/{another}"), &json!({"slug": "aurora"})).await;
    assert_refused(&reply, 409, "slug_taken");
    // A name of a product that makes the old slug gets the next one.
    let aurora = merchant.product("Aurora").await;
    let made = merchant.post("/flash-sales", &merchant.sale_body(&aurora, &json!({}))).await.json();
    assert_eq!(made["slug"], "aurora-2");

    // Back to the first one: no slug leads in a circle.
    assert_eq!(merchant.patch(&path, &json!({"slug": "aurora"})).await.status, StatusCode::OK);
    assert_eq!(app.get("/api/v1/flash-sales/aurora").await.json()["id"], sale.as_str());
    for closed in [false, true] {
        for old in ["other", "third"] {
            let moved = app.get(&format!("/api/v1/flash-sales/{old}")).await;
            assert_eq!(moved.header("location"), "/api/v1/flash-sales/aurora", "closed: {closed}");
        }
        assert_eq!(merchant.post(&format!("{path}/close"), &json!({})).await.status, StatusCode::OK);
    }
    let app = {
        drop(merchant);
        app.restart().await
    };
    assert_eq!(app.get("/api/v1/flash-sales/third").await.status.as_u16(), 308);

    // No slug of a deleted sale leads anywhere, and none is given away.
    let merchant = Merchant::sign_in(&app).await;
    assert_eq!(merchant.delete(&path).await.status, StatusCode::NO_CONTENT);
    for old in ["aurora", "other", "third"] {
        assert_eq!(app.get(&format!("/api/v1/flash-sales/{old}")).await.problem(), "sale_unknown");
        let taken = merchant.sale_body(&product, &json!({"slug": old}));
        assert_refused(&merchant.post("/flash-sales", &taken).await, 409, "slug_taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_whose_end_is_past_is_not_announced() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("A thing").await;
    let past = json!({"startsAt": merchant.moment(-7_200_000), "endsAt": merchant.moment(-3_600_000)});
    let body = merchant.sale_body(&product, &past);
    let reply = merchant.post("/flash-sales", &body).await;
    assert_eq!(error_pointers(&reply), ["/endsAt"]);
    assert_eq!(app.get("/api/v1/flash-sales").await.json()["items"], json!([]));
    let sale = merchant.sale(&json!({"startsAt": merchant.moment(600_000)})).await;
    assert_eq!(error_pointers(&merchant.patch(&format!("/flash-sales/{sale}"), &past).await), ["/endsAt"]);

    // A request that is repeated after the end of the sale that it made finds it.
    let soon = merchant.sale_body(&product, &json!({"endsAt": merchant.moment(60_000)}));
    let post =
        || app.request(Method::POST, "/api/v1/admin/flash-sales").bearer_auth(&merchant.token).json(&soon);
    let made = HttpReply::send(post().header("idempotency-key", "once")).await;
    assert_eq!(made.status, StatusCode::CREATED);
    app.shift_clock(61_000);
    let again = HttpReply::send(post().header("idempotency-key", "once")).await;
    assert_eq!((again.status, id(&again.json())), (StatusCode::CREATED, id(&made.json())));
    assert_eq!(again.json()["status"], "ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_is_out_of_use_is_refused_and_stays_readable() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    for code in ["HRK", "BGN", "ANG", "SLL", "ZWL", "CUC", "LTL", "XAU", "XTS", "CHE", "USN"] {
        let body = json!({"name": "A thing", "price": {"amount": 1, "currency": code}});
        assert_eq!(error_pointers(&merchant.post("/products", &body).await), ["/price/currency"], "{code}");
    }
    for code in ["XCG", "ZWG", "SLE", "VED", "EUR"] {
        let body = json!({"name": "A thing", "price": {"amount": 1, "currency": code}});
        assert_eq!(merchant.post("/products", &body).await.status, StatusCode::CREATED, "{code}");
    }
    let product = merchant.product("From before").await;
    let database = app.database().await;
    let old = sqlx::query("UPDATE products SET currency = 'BGN' WHERE id = $1").bind(&product);
    assert_eq!(old.execute(&database).await.unwrap().rows_affected(), 1);
    let shown = app.get(&format!("/api/v1/products/{product}")).await.json();
    assert_eq!(shown["price"], json!({"amount": 4999, "currency": "BGN"}));
    let renamed = merchant.patch(&format!("/products/{product}"), &json!({"name": "Renamed"})).await.json();
    assert_eq!((&renamed["name"], &renamed["price"]["currency"]), (&json!("Renamed"), &json!("BGN")));
}
