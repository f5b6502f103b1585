//! The OpenAPI description as a whole: what follows from the form of an operation, and that nothing in it is unused.

use crate::described::{DESCRIPTION, operations};
use crate::merchant::{Merchant, id, order};
use crate::support::{HttpReply, TestApp};
use reqwest::Method;
use serde_json::json;

#[test]
fn an_operation_describes_what_follows_from_its_form() {
    for (method, path, operation) in operations() {
        let name = format!("{method} {path}");
        let has = |status: &str| !operation["responses"][status].is_null();
        let (is_api, needs_token) = (path.starts_with("/api/"), operation["security"] != json!([]));
        for (status, expected) in [
            ("401", needs_token || name.ends_with("/auth/login") || name.ends_with("/auth/refresh")),
            ("429", is_api),
            ("503", is_api || path == "/readyz" || path == "/health"),
        ] {
            assert_eq!(has(status), expected, "{name}: {status}");
        }
        assert!(has("413") && has("500") && has("504"), "{name}");
        assert!(!path.contains("/admin/") || has("403"), "{name}");
        assert!(
            operation["requestBody"].is_null() || ["400", "408", "415", "422"].into_iter().all(has),
            "{name}"
        );
        assert!(!path.contains('{') || has("404"), "{name}");
        assert!(operation["security"].is_array(), "{name} says who may call it");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let key = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key");
        assert_eq!(key.is_some(), method != "GET", "{name}");
        for bounded in parameters.iter().filter(|parameter| parameter["name"] == "limit") {
            assert_eq!(
                (&bounded["schema"]["minimum"], &bounded["schema"]["maximum"]),
                (&json!(1), &json!(200)),
                "{name}"
            );
        }
    }
}

#[test]
fn every_schema_and_reply_is_used() {
    let text = DESCRIPTION.to_string();
    for kind in ["schemas", "responses"] {
        for name in DESCRIPTION["components"][kind].as_object().unwrap().keys() {
            let is_used = text.contains(&format!("\"#/components/{kind}/{name}\""));
            assert!(is_used, "{name} is not used");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_may_be_repeated_accepts_a_key_without_effect() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 2})).await;
    let fifo = json!({"admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 60}});
    let line = merchant.sale(&fifo).await;
    let held = id(&order(&app, &ada, &sale, 1).await.json());
    let in_line = json!({"flashSaleId": line});
    for (method, path, token, body, expected) in [
        (Method::POST, format!("/admin/flash-sales/{sale}/pause"), &merchant.token, json!({}), [200, 200]),
        (Method::POST, format!("/admin/flash-sales/{sale}/resume"), &merchant.token, json!({}), [200, 200]),
        (
            Method::PATCH,
            format!("/admin/flash-sales/{sale}"),
            &merchant.token,
            json!({"quantity": 12}),
            [200, 200],
        ),
        (Method::DELETE, format!("/orders/{held}"), &ada.access, json!({}), [200, 200]),
        (Method::POST, "/queue/join".to_owned(), &ada.access, in_line, [201, 200]),
        (Method::DELETE, format!("/queue/leave?flashSaleId={line}"), &ada.access, json!({}), [204, 404]),
        (Method::POST, format!("/admin/flash-sales/{sale}/close"), &merchant.token, json!({}), [200, 200]),
    ] {
        for expected in expected {
            let request = app.request(method.clone(), &format!("/api/v1{path}")).bearer_auth(token);
            let reply = HttpReply::send(request.header("idempotency-key", "one key").json(&body)).await;
            assert_eq!(reply.status.as_u16(), expected, "{method} {path}: {reply:?}");
        }
    }
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["quantity"], 12);
}
