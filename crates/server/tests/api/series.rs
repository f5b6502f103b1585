//! A sale's series and summary have the same numbers as the ledger, also after a restart and after the projector has written
//! the tables again.

use crate::merchant::{Merchant, eur, id, join_line, order, pay};
use crate::support::{HttpReply, TestApp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use test_servers::wait::{HANG_LIMIT, eventually_some};

const FIFO: &str = r#"{"type": "fifo", "perSecond": 50, "checkoutSeconds": 600}"#;

async fn wait_for_settled(merchant: &Merchant<'_>, path: &str, is_settled: impl Fn(&Value) -> bool) -> Value {
    eventually_some(path, HANG_LIMIT, async || {
        Some(merchant.get(path).await).filter(|reply| is_settled(reply))
    })
    .await
}

fn total(series: &Value, name: &str) -> u64 {
    series["buckets"].as_array().unwrap().iter().map(|bucket| bucket[name].as_u64().unwrap()).sum()
}

/// A small drop: four join, three are admitted, two order, one pays, one's card is declined, which ends nothing.
async fn run_small_drop(app: &TestApp, merchant: &Merchant<'_>) -> (String, String) {
    let sale = merchant
        .sale(&json!({"quantity": 3, "admission": serde_json::from_str::<Value>(FIFO).unwrap()}))
        .await;
    let mut buyers = Vec::new();
    for name in ["ada", "bob", "cyd", "dan"] {
        let buyer = app.register(name).await;
        assert_eq!(join_line(app, &buyer, &sale).await.status, StatusCode::CREATED);
        buyers.push(buyer);
    }
    let line = format!("/flash-sales/{sale}/queue");
    wait_for_settled(merchant, &line, |page| page["items"][2]["status"] == "admitted").await;
    app.shift_clock(2_000);
    let paid = id(&order(app, &buyers[0], &sale, 1).await.json());
    let declined = id(&order(app, &buyers[1], &sale, 1).await.json());
    assert_eq!(order(app, &buyers[3], &sale, 1).await.problem(), "not_admitted");
    app.shift_clock(5_000);
    assert_eq!(pay(app, &buyers[0], &paid, "approve").await.status, StatusCode::OK);
    assert_eq!(pay(app, &buyers[1], &declined, "decline").await.problem(), "payment_declined");
    let left = app.request(reqwest::Method::DELETE, &format!("/api/v1/queue/leave?flashSaleId={sale}"));
    assert!(HttpReply::send(left.bearer_auth(&buyers[2].access)).await.status.is_success());
    (sale, paid)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sales_series_agrees_with_the_ledger_also_after_a_restart() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (sale, _) = run_small_drop(&app, &merchant).await;
    let path = format!("/flash-sales/{sale}/series?step=1");
    let reply = wait_for_settled(&merchant, &path, |reply| {
        total(reply, "refused") == 1 && total(reply, "admitted") == 4
    })
    .await;
    for (name, count) in [
        ("joined", 4),
        ("admitted", 4),
        ("ordered", 2),
        ("confirmed", 1),
        ("declined", 0),
        ("left", 1),
        ("expired", 0),
    ] {
        assert_eq!(total(&reply, name), count, "{name}: {reply}");
    }
    assert_eq!((&reply["projectionLag"], &reply["stepSeconds"]), (&json!(0), &json!(1)));
    let last =
        reply["buckets"].as_array().unwrap().iter().rfind(|bucket| bucket["units"].is_object()).unwrap();
    assert_eq!(last["units"], json!({"available": 0, "admitted": 1, "held": 1, "sold": 1, "waiting": 0}));
    assert!(reply["completeUntil"].as_str().unwrap() > last["at"].as_str().unwrap(), "{reply}");
    assert_eq!(reply["before"], Value::Null, "the sale was announced after it should have begun");
    let later = last["at"].as_str().unwrap();
    let later = merchant.get(&format!("/flash-sales/{sale}/series?step=1&from={later}")).await;
    let units = |name: &str| later["before"][name].as_u64().unwrap();
    assert_eq!(units("available") + units("admitted") + units("held") + units("sold"), 3, "{later}");

    // Coarser steps have the same totals, from other rows.
    for step in [60, 3600] {
        let coarse = merchant.get(&format!("/flash-sales/{sale}/series?step={step}")).await;
        for name in ["joined", "ordered", "confirmed", "refused"] {
            assert_eq!(total(&coarse, name), total(&reply, name), "{name}, {step} s");
        }
    }
    let summary = merchant.get(&format!("/flash-sales/{sale}/summary")).await;
    let app = app.restart().await;
    let merchant = Merchant::sign_in(&app).await;
    let (from, to) = (reply["from"].as_str().unwrap(), reply["to"].as_str().unwrap());
    let again = merchant.get(&format!("/flash-sales/{sale}/series?step=1&from={from}&to={to}")).await;
    assert_eq!(again["buckets"], reply["buckets"]);
    let mut after = merchant.get(&format!("/flash-sales/{sale}/summary")).await;
    after["sale"]["serverTime"] = summary["sale"]["serverTime"].clone();
    assert_eq!(after, summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_summary_adds_up() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (sale, paid) = run_small_drop(&app, &merchant).await;
    let path = format!("/flash-sales/{sale}/summary");
    let reply = wait_for_settled(&merchant, &path, |reply| {
        reply["refusals"] == json!([{"code": "not_admitted", "count": 1}]) && reply["wait"]["count"] == 4
    })
    .await;
    assert_eq!(
        (&reply["buyers"], &reply["revenue"], &reply["outOfOrder"]),
        (&json!(1), &eur(2999), &json!(0))
    );
    assert_eq!((&reply["totals"]["joined"], &reply["totals"]["confirmed"]), (&json!(4), &json!(1)));
    assert_eq!(reply["orders"].as_array().unwrap().len(), 2);
    assert_eq!((&reply["wait"]["count"], &reply["checkout"]["count"]), (&json!(4), &json!(2)));
    let payment = reply["payment"]["p50Ms"].as_i64().unwrap();
    assert!((5_000..20_000).contains(&payment), "{reply}");
    assert!(reply["checkout"]["p95Ms"].as_i64().unwrap() >= 2_000, "{reply}");
    assert!(reply["ordersPeak"]["count"].as_u64().unwrap() >= 1);
    assert!(reply["takenAt"].is_string() && reply["soldOutAt"].is_null(), "{reply}");
    let (first, last) =
        (reply["firstActivityAt"].as_str().unwrap(), reply["lastActivityAt"].as_str().unwrap());
    assert!(first < last, "{reply}");

    // A refund takes a buyer and the revenue away again; the summary follows.
    let refund = merchant.post(&format!("/orders/{paid}/refund"), &json!({"restock": true})).await;
    assert_eq!(refund.status, StatusCode::OK, "{refund:?}");
    let reply = wait_for_settled(&merchant, &path, |reply| reply["totals"]["refunded"] == 1).await;
    assert_eq!((&reply["buyers"], &reply["revenue"]), (&json!(0), &eur(0)));
    assert_eq!(reply["payment"]["count"], 1, "it was paid all the same");
    assert_eq!(reply["lastActivityAt"], last, "a refund is not the sale's activity");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_sells_at_once_sells_out_at_a_moment() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"quantity": 2, "payment": "none"})).await;
    for name in ["ada", "bob"] {
        order(&app, &app.register(name).await, &sale, 1).await;
    }
    let reply = merchant.get(&format!("/flash-sales/{sale}/summary")).await;
    assert_eq!((&reply["totals"]["ordered"], &reply["totals"]["confirmed"]), (&json!(2), &json!(2)));
    assert!(reply["soldOutAt"].is_string() && reply["soldOutAt"] == reply["takenAt"], "{reply}");
    assert!(reply["payment"].is_null() && reply["wait"].is_null() && reply["joinsPeak"].is_null(), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_of_which_nothing_is_known_has_empty_figures() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let soon = json!({"startsAt": merchant.moment(600_000)});
    let sale = merchant.sale(&soon).await;
    let series = merchant.get(&format!("/flash-sales/{sale}/series")).await;
    assert!(series["buckets"].as_array().unwrap().iter().all(|bucket| bucket["joined"] == 0), "{series}");
    let reply = merchant.get(&format!("/flash-sales/{sale}/summary")).await;
    assert!(reply["firstActivityAt"].is_null() && reply["takenAt"].is_null(), "{reply}");
    assert_eq!(reply["totals"]["ordered"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_checked_and_never_has_too_many_buckets() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({})).await;
    let (from, to) = (merchant.moment(-86_400_000), merchant.moment(0));
    for bad in [
        "step=0".to_owned(),
        "step=61".to_owned(),
        "step=3660".to_owned(),
        "step=x".to_owned(),
        "from=yesterday".to_owned(),
        "colour=red".to_owned(),
        format!("from={to}&to={from}"),
        format!("from={from}&to={to}&step=60"),
    ] {
        let reply =
            app.get_as(&merchant.token, &format!("/api/v1/admin/flash-sales/{sale}/series?{bad}")).await;
        assert_eq!(reply.problem(), "invalid_query", "{bad}");
    }
    let day = merchant.get(&format!("/flash-sales/{sale}/series?from={from}&to={to}")).await;
    assert_eq!(day["stepSeconds"], 600);
    let ages = "from=1970-01-01T00:00:00Z&to=9999-01-01T00:00:00Z";
    let all = merchant.get(&format!("/flash-sales/{sale}/series?{ages}")).await;
    assert_eq!(all["buckets"].as_array().unwrap().len(), 1, "{all}");
    let buyer = app.register("ada").await;
    for page in ["series", "summary"] {
        let path = format!("/api/v1/admin/flash-sales/{sale}/{page}");
        assert_eq!(app.get_as(&buyer.access, &path).await.problem(), "forbidden");
        let unknown = format!("/api/v1/admin/flash-sales/{}/{page}", buyer.id);
        assert_eq!(app.get_as(&merchant.token, &unknown).await.problem(), "sale_unknown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn this_server_tells_how_long_its_answers_took() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({})).await;
    let orders = |reply: &Value| {
        let all = reply["latencies"].as_array().unwrap();
        let one = all.iter().find(|latency| latency["route"] == "/api/v1/orders").unwrap();
        assert_eq!(
            one["counts"].as_array().unwrap().len(),
            reply["boundsSeconds"].as_array().unwrap().len() + 1
        );
        one["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    let before = merchant.get("/server").await;
    assert_eq!(orders(&before), 0);
    order(&app, &app.register("ada").await, &sale, 1).await;
    // An answer is counted a moment after it was sent.
    let after = eventually_some("the order is counted", HANG_LIMIT, async || {
        let now = merchant.get("/server").await;
        (orders(&now) > 0).then_some(now)
    })
    .await;
    assert_eq!((orders(&after), &after["startedAt"]), (1, &before["startedAt"]));
    assert!(after["inFlight"].as_i64().unwrap() >= 1);
}
