//! Products: what everyone sees, what admins make of it, and what is refused.

use crate::merchant::{Merchant, error_pointers, eur, id};
use crate::support::{HttpReply, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_make_products() {
    let app = TestApp::start().await;
    let body = json!({"name": "A thing", "price": eur(1)});
    let reply = app.post("/api/v1/admin/products", &body).await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::UNAUTHORIZED, "unauthorized"));
    let buyer = app.register("ada").await;
    let reply = app.post_as(&buyer.access, "/api/v1/admin/products", &body).await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::FORBIDDEN, "forbidden"));
    for path in ["/flash-sales/0190f3a4-0000-7000-8000-000000000000/overview", "/orders"] {
        let reply = app.get_as(&buyer.access, &format!("/api/v1/admin{path}")).await;
        assert_eq!(reply.problem(), "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_made_shown_edited_and_deleted() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let body = json!({
        "name": "<script>alert('ö')</script>'; DROP TABLE products; --",
        "description": "Two\nlines",
        "price": eur(4999),
        "category": "Shoes",
        "imageUrl": "/img/shoe.png",
    });
    let made = merchant.post("/products", &body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let location = made.header("location").to_owned();
    let shown = app.get(&location).await;
    assert_eq!(shown.json(), made.json());
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(shown.json()[name], *value, "stored as given: {name}");
    }

    let path = format!("/products/{}", id(&made.json()));
    let edited =
        merchant.patch(&path, &json!({"price": {"amount": 500, "currency": "JPY"}, "category": null})).await;
    assert_eq!(edited.status, StatusCode::OK, "{edited:?}");
    assert_eq!(edited.json()["price"], json!({"amount": 500, "currency": "JPY"}));
    assert_eq!(edited.json()["category"], json!(null));
    assert_eq!(edited.json()["description"], "Two\nlines", "absent is unchanged");
    assert_eq!(app.get(&location).await.json(), edited.json());

    assert_eq!(merchant.delete(&path).await.status, StatusCode::NO_CONTENT);
    for reply in
        [app.get(&location).await, merchant.delete(&path).await, merchant.patch(&path, &json!({})).await]
    {
        assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::NOT_FOUND, "product_unknown"));
    }
    assert_eq!(app.get("/api/v1/products").await.json()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_field_is_listed_in_one_reply() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let body = json!({
        "name": "",
        "description": 7,
        "price": {"amount": -1, "currency": "XYZ"},
        "category": "a\u{0}b",
        "imageUrl": "javascript:alert(1)",
        "colour": "red",
    });
    let pointers = error_pointers(&merchant.post("/products", &body).await);
    let expected =
        ["/category", "/colour", "/description", "/imageUrl", "/name", "/price/amount", "/price/currency"];
    assert_eq!(pointers, expected);
    let nothing = error_pointers(&merchant.post("/products", &json!({})).await);
    assert_eq!(nothing, ["/name", "/price"]);
    assert_eq!(error_pointers(&merchant.post("/products", &json!([])).await)[0], "");

    for amount in [json!(49.99), json!("4999"), json!(1e30), json!(null), json!(100_000_000_001_i64)] {
        let body = json!({"name": "A thing", "price": {"amount": amount, "currency": "JPY"}});
        assert_eq!(error_pointers(&merchant.post("/products", &body).await), ["/price/amount"], "{amount}");
    }
    let long = "x".repeat(201);
    assert_eq!(
        error_pointers(&merchant.post("/products", &json!({"name": long, "price": eur(1)})).await),
        ["/name"]
    );
    let huge = merchant.post("/products", &json!({"name": "x".repeat(100_000), "price": eur(1)})).await;
    assert_eq!(huge.status, StatusCode::PAYLOAD_TOO_LARGE);

    let path = format!("/products/{}", merchant.product("A thing").await);
    assert_eq!(
        error_pointers(&merchant.patch(&path, &json!({"name": null, "price": null, "id": 1})).await),
        ["/id", "/name", "/price"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn products_are_listed_in_pages_newest_first() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(merchant.product(&format!("Thing {n}")).await);
    }
    made.reverse();
    let seen = app.read_pages(&merchant.token, "/api/v1/products?limit=2").await.concat();
    assert_eq!(seen.iter().map(id).collect::<Vec<_>>(), made);
    assert_eq!(app.get("/api/v1/products?cursor=eA").await.problem(), "invalid_query");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_on_sale_is_not_deleted_and_keeps_its_currency() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("A thing").await;
    let sale = merchant.post("/flash-sales", &merchant.sale_body(&product, &json!({}))).await;
    let (path, sale) = (format!("/products/{product}"), id(&sale.json()));
    let reply = merchant.delete(&path).await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::CONFLICT, "product_in_use"));
    let dollars = json!({"price": {"amount": 1, "currency": "USD"}});
    assert_eq!(error_pointers(&merchant.patch(&path, &dollars).await), ["/price/currency"]);

    assert_eq!(merchant.post(&format!("/flash-sales/{sale}/close"), &json!({})).await.status, StatusCode::OK);
    assert_eq!(merchant.patch(&path, &dollars).await.status, StatusCode::OK);
    assert_eq!(merchant.delete(&path).await.status, StatusCode::NO_CONTENT);
    let shown = app.get(&format!("/api/v1/flash-sales/{sale}")).await.json();
    assert_eq!(shown["product"]["name"], "A thing", "a closed sale still shows its product");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_product_changes_the_version_of_the_pages_of_sales_to_come() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("A thing").await;
    let later = merchant.sale_body(&product, &json!({"startsAt": merchant.moment(60_000)}));
    let sale = id(&merchant.post("/flash-sales", &later).await.json());
    let path = format!("/api/v1/flash-sales/{sale}");
    let etag = app.get(&path).await.header("etag").to_owned();
    merchant
        .patch(&format!("/products/{product}"), &json!({"name": "Another thing", "price": eur(5999)}))
        .await;
    let request = app.request(Method::GET, &path).header("if-none-match", &etag);
    let reply = HttpReply::send(request).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["product"]["name"], "Another thing");
    assert_eq!(reply.json()["listPrice"], eur(5999));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_pages_cannot_show_is_refused_and_an_old_one_stays_readable() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let picture = "http://example.com/shoe.png";
    let made =
        merchant.post("/products", &json!({"name": "A thing", "price": eur(1), "imageUrl": picture})).await;
    assert_eq!(error_pointers(&made), ["/imageUrl"]);
    let product = merchant.product("A thing").await;
    let path = format!("/products/{product}");
    assert_eq!(error_pointers(&merchant.patch(&path, &json!({"imageUrl": picture})).await), ["/imageUrl"]);

    let changed =
        sqlx::query("UPDATE products SET image_url = $1 WHERE id = $2").bind(picture).bind(&product);
    assert_eq!(changed.execute(&app.database().await).await.unwrap().rows_affected(), 1);
    let shown = app.get(&format!("/api/v1/products/{product}")).await.json();
    assert_eq!(shown["imageUrl"], picture);
    let renamed = merchant.patch(&path, &json!({"name": "Another thing"})).await;
    assert_eq!((renamed.status, &renamed.json()["imageUrl"]), (StatusCode::OK, &json!(picture)));
}
