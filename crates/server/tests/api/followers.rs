//! The followers of the ledger as an operator sees and rewinds them: by the admin API, and by the command beside a running instance.

use crate::merchant::{Merchant, order};
use crate::support::TestApp;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::process::{Command, Output};
use test_servers::wait::{HANG_LIMIT, eventually};

/// Rewinds the projector, then waits until it has written the sale again.
async fn rewind_and_wait(app: &TestApp, merchant: &Merchant<'_>, sale: &str, rewind: impl AsyncFnOnce()) {
    let rebuilds = rebuild_count(app).await;
    rewind().await;
    let overview = format!("/flash-sales/{sale}/overview");
    eventually("the tables are written again", HANG_LIMIT, async || {
        rebuild_count(app).await > rebuilds && merchant.get(&overview).await["projectionLag"] == 0
    })
    .await;
}

async fn rebuild_count(app: &TestApp) -> u64 {
    let text = app.read_metrics().await;
    let line = text.lines().find_map(|line| line.strip_prefix("doorbuster_projector_rebuilds_total "));
    line.unwrap().parse().unwrap()
}

/// A sale with some orders, all of which are in the tables.
async fn sale_with_orders(app: &TestApp, merchant: &Merchant<'_>) -> String {
    let sale = merchant.sale(&json!({"payment": "none", "limitPerBuyer": 3})).await;
    let other = merchant.sale(&json!({"payment": "none"})).await;
    let ada = app.register("ada").await;
    for sale in [&sale, &sale, &other] {
        assert_eq!(order(app, &ada, sale, 1).await.status, StatusCode::CREATED);
    }
    sale
}

fn doorbuster(app: &TestApp, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    command.arg("followers").args(arguments);
    if std::env::var("DOORBUSTER_TESTS_ON").is_ok_and(|on| on == "postgres") {
        command.args(["--database", &app.database_url()]);
    } else {
        command.arg("--data").arg(app.data());
    }
    command.output().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sees_and_rewinds_a_follower() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = sale_with_orders(&app, &merchant).await;
    let orders = merchant.get("/orders").await;
    let overview = merchant.get(&format!("/flash-sales/{sale}/overview")).await;

    let followers = merchant.get("/followers").await;
    let projector = &followers["items"][0];
    assert_eq!((&projector["name"], &projector["eventsBehind"]), (&json!("projector"), &json!(0)));
    assert_eq!(projector["isOn"], true);
    let sales = projector["sales"].as_array().unwrap();
    let known = sales.iter().find(|known| known["flashSaleId"] == sale.as_str()).unwrap();
    assert_eq!((sales.len(), &known["seq"], &known["version"]), (2, &json!(3), &json!(3)));

    rewind_and_wait(&app, &merchant, &sale, async || {
        let body = json!({"flashSaleId": sale, "seq": 2});
        let reply = merchant.post("/followers/projector/rewind", &body).await;
        let expected = json!({"name": "projector", "flashSaleId": sale, "seq": 0, "rewritesSale": true});
        assert_eq!((reply.status, reply.json()), (StatusCode::OK, expected));
    })
    .await;
    assert_eq!(merchant.get("/orders").await, orders);
    let again = merchant.get(&format!("/flash-sales/{sale}/overview")).await;
    assert_eq!((&again["orders"], &again["revenue"]), (&overview["orders"], &overview["revenue"]));

    let unknown = "01890f3a-0000-7000-8000-000000000000";
    for (name, body, status, code) in [
        ("nobody", json!({"flashSaleId": sale, "seq": 0}), 404, "follower_unknown"),
        ("projector", json!({"flashSaleId": unknown, "seq": 0}), 404, "sale_unknown"),
        ("projector", json!({"flashSaleId": sale, "seq": 4}), 422, "invalid_body"),
        ("projector", json!({"flashSaleId": sale}), 422, "invalid_body"),
    ] {
        let reply = merchant.post(&format!("/followers/{name}/rewind"), &body).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (status, code), "{body}");
    }
    let buyer = app.register("bob").await.access;
    assert_eq!(app.get_as(&buyer, "/api/v1/admin/followers").await.status, StatusCode::FORBIDDEN);
    let body = json!({"flashSaleId": sale, "seq": 0});
    let reply = app.post_as(&buyer, "/api/v1/admin/followers/projector/rewind", &body).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_and_rewinds_a_follower_of_a_running_instance() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = sale_with_orders(&app, &merchant).await;
    let orders: Value = merchant.get("/orders").await;

    let listed = doorbuster(&app, &["list"]);
    let lines = text(listed.stdout);
    assert!(listed.status.success(), "{lines}");
    let row = lines.lines().find(|line| line.contains(&sale)).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["projector", &sale, "3", "3", "0"]);

    rewind_and_wait(&app, &merchant, &sale, async || {
        let output = doorbuster(&app, &["rewind", "projector", "--sale", &sale, "--seq", "1"]);
        let line = text(output.stdout);
        assert!(output.status.success() && line.contains("after event 0"), "{line}");
        assert!(line.contains("writes all of them again"), "{line}");
        assert!(line.starts_with("--seq 1 was not used: "), "{line}");
    })
    .await;
    assert_eq!(merchant.get("/orders").await, orders);

    for (arguments, flag) in [
        (["rewind", "nobody", "--sale", &sale, "--seq", "0"], "NAME"),
        (["rewind", "projector", "--sale", "01890f3a-0000-7000-8000-000000000000", "--seq", "0"], "--sale"),
        (["rewind", "projector", "--sale", &sale, "--seq", "4"], "--seq"),
        (["rewind", "projector", "--sale", "x", "--seq", "0"], "--sale"),
    ] {
        let output = doorbuster(&app, &arguments);
        let sentence = text(output.stderr);
        assert_eq!(output.status.code(), Some(2), "{sentence}");
        assert!(sentence.contains(flag), "{sentence}");
        assert!(arguments[3] != "x" || sentence.contains("write the sale's id"), "{sentence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_follower_has_metrics() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    sale_with_orders(&app, &merchant).await;
    let nothing_delivered =
        r#"doorbuster_follower_deliveries_total{follower="projector",outcome="delivered"} 0"#;
    // A delivery is counted after its rows can be read.
    eventually("the projector has delivered", HANG_LIMIT, async || {
        !app.read_metrics().await.contains(nothing_delivered)
    })
    .await;
    let text = app.read_metrics().await;
    for follower in ["projector", "live_updates", "idempotency_warmup"] {
        for metric in ["lag_events", "lag_seconds"] {
            let start = format!("doorbuster_follower_{metric}{{follower=\"{follower}\"}} ");
            assert!(text.contains(&start), "{start}");
        }
        for outcome in ["delivered", "failed"] {
            let labels = format!("{{follower=\"{follower}\",outcome=\"{outcome}\"}} ");
            let start = format!("doorbuster_follower_deliveries_total{labels}");
            assert!(text.contains(&start), "{start}");
        }
    }
}
