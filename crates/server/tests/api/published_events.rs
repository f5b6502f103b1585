//! What other systems can ask of this shop about its events: their schemas, and their ids in the admin's list.

use crate::merchant::{Merchant, order};
use crate::support::TestApp;
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn each_type_has_a_schema_at_its_address_with_and_without_the_prefix() {
    let app = TestApp::start_with(&["--limits", "off", "--public-url", "https://shop.example"]).await;
    for name in ["order.confirmed", "sale.sold_out", "line.admitted", "payment.disputed", "webhook.test"] {
        let path = format!("/schemas/events/doorbuster.{name}.v1.json");
        let reply = app.get(&path).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        assert_eq!(reply.header("content-type"), "application/schema+json");
        let schema = reply.json();
        assert_eq!(schema["$id"], format!("https://shop.example{path}"));
        assert_eq!(schema["title"], format!("doorbuster.{name}"));
        assert!(jsonschema::validator_for(&schema).is_ok(), "{schema}");
        assert_eq!(app.get(&format!("/schemas/events/{name}.v1.json")).await.json(), schema);
    }
    for unknown in ["order.eaten.v1.json", "order.confirmed.v2.json", "order.confirmed", "..v1.json"] {
        let reply = app.get(&format!("/schemas/events/{unknown}")).await;
        assert_eq!(
            (reply.status, reply.problem()),
            (StatusCode::NOT_FOUND, "not_found".to_owned()),
            "{unknown}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admins_list_has_the_id_and_the_type_of_each_event() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"quantity": 3})).await;
    let ada = app.register("ada").await;
    assert_eq!(order(&app, &ada, &sale, 1).await.status, StatusCode::CREATED);
    let page = merchant.get(&format!("/flash-sales/{sale}/events")).await;
    let events = page["items"].as_array().unwrap();
    let types: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["doorbuster.sale.announced", "doorbuster.order.held"]);
    for (event, seq) in events.iter().zip(1..) {
        let id = event["id"].as_str().unwrap();
        let checksum = id.strip_prefix(&format!("{sale}/{seq}/")).unwrap();
        assert!(checksum.len() == 8 && checksum.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(event["seq"], seq);
    }
    let newest = merchant.get(&format!("/flash-sales/{sale}/events?order=desc&limit=1")).await;
    assert_eq!(newest["items"][0], events[1]);
    // No receiver is switched on, so nothing but the tables follows.
    let followers = merchant.get("/followers").await;
    assert_eq!(followers["items"].as_array().unwrap().len(), 1, "{followers}");
}
