//! Probes, metrics, the description of the API and its page.

use crate::merchant::{Merchant, order, order_with_key};
use crate::support::TestApp;
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn probes_tell_how_it_is() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/livez").await.body, b"ok");
    assert_eq!(app.get("/readyz").await.status, StatusCode::OK);
    let health = app.get("/health").await;
    assert_eq!(health.status, StatusCode::OK);
    assert_eq!(health.json()["ok"], true);

    app.instance.app.ready.set(false);
    let reply = app.get("/readyz").await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(app.get("/livez").await.status, StatusCode::OK);
    assert_eq!(app.get("/health").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_on_their_own_address_only() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/metrics").await.problem(), "not_found");
    assert_eq!(app.get("/api/v1/auth/me").await.status, StatusCode::UNAUTHORIZED);
    app.wait_for_metrics(&[
        r#"doorbuster_http_requests_total{method="GET",route="/api/v1/auth/me",status="401"} 1"#,
        r#"doorbuster_http_requests_total{method="any",route="unknown",status="404"} 1"#,
        r#"doorbuster_problems_total{code="unauthorized"} 1"#,
        r#"doorbuster_problems_total{code="not_found"} 1"#,
        "doorbuster_http_in_flight 0",
        "# EOF",
    ])
    .await;
    let foreign = format!("http://{}/api/v1/auth/me", app.instance.metrics_address);
    assert_eq!(app.http.get(foreign).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_to_try_the_api_needs_no_other_site() {
    let app = TestApp::start().await;
    let reply = app.get("/docs").await;
    assert_eq!((reply.status, reply.header("location")), (StatusCode::PERMANENT_REDIRECT, "/docs/"));
    let page = String::from_utf8(app.get("/docs/").await.body).unwrap();
    assert!(page.contains("swagger-ui-bundle.js"));
    for file in [
        "swagger-ui-bundle.js",
        "swagger-ui-standalone-preset.js",
        "swagger-initializer.js",
        "swagger-ui.css",
    ] {
        let reply = app.get(&format!("/docs/{file}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{file}");
        assert!(!reply.body.is_empty());
    }
    let start = String::from_utf8(app.get("/docs/swagger-initializer.js").await.body).unwrap();
    assert!(start.contains("/openapi.json") && !start.contains("petstore"), "{start}");
    for address in ["http://", "https://"] {
        assert!(!page.contains(address) && !start.contains(address));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_what_is_served() {
    let app = TestApp::start().await;
    let description = app.get("/openapi.json").await.json();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"), "{}", description["openapi"]);
    // Every call of the description is there: without its needs it refuses, but it is found and knows its method.
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let id = "00000000-0000-7000-8000-000000000000";
            let reply = app.request(method.clone(), &path.replace("{id}", id)).send().await.unwrap();
            assert_ne!(reply.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert!(!reply.status().is_server_error(), "{method} {path}: {reply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_are_counted_by_what_came_of_them() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let held = merchant.sale(&json!({"quantity": 1})).await;
    let sold = merchant.sale(&json!({"payment": "none"})).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    order_with_key(&app, &ada, &held, 1, "k").await;
    order_with_key(&app, &ada, &held, 1, "k").await;
    order(&app, &bob, &held, 1).await;
    order(&app, &bob, &sold, 1).await;
    let lines = ["held", "repeated", "all_held", "sold"]
        .map(|outcome| format!("doorbuster_purchases_total{{outcome=\"{outcome}\"}} 1"));
    app.wait_for_metrics(&lines.each_ref().map(String::as_str)).await;
}
