//! Sales as the merchant has them: announce, edit, steer, delete; and what a crash between two steps leaves.

use crate::merchant::{Merchant, error_pointers, eur, id, order};
use crate::support::TestApp;
use reqwest::StatusCode;
use sale::{AdmissionMode, Command, Money, Policy, SaleId};
use serde_json::json;
use server::store::products::ProductId;
use server::store::sales::{self, LimitScope, NewSale, PaymentMode};
use sqlx::Row;
use std::time::Duration;
use test_servers::wait::{HANG_LIMIT, eventually};

const UNKNOWN: &str = "0190f3a4-0000-7000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_announced_and_found_by_id_and_slug() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("The Big: Drop!").await;
    let body = merchant.sale_body(&product, &json!({"startsAt": merchant.moment(60_000)}));
    let made = merchant.post("/flash-sales", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let json = made.json();
    assert_eq!(json["slug"], "the-big-drop");
    for (name, expected) in [
        ("status", json!("upcoming")),
        ("price", eur(2999)),
        ("listPrice", eur(4999)),
        ("quantity", json!(10)),
        ("available", json!(10)),
        ("admitted", json!(0)),
        ("held", json!(0)),
        ("sold", json!(0)),
        ("waiting", json!(0)),
        ("availability", json!("available")),
        ("limitPerBuyer", json!(1)),
        ("holdSeconds", json!(300)),
        ("payment", json!("required")),
        ("admission", json!({"type": "open"})),
        ("startsAt", body["startsAt"].clone()),
        ("version", json!(1)),
    ] {
        assert_eq!(json[name], expected, "{name}");
    }
    let by_id = app.get(made.header("location")).await.json();
    let by_slug = app.get("/api/v1/flash-sales/the-big-drop").await.json();
    assert_eq!(by_id["id"], json["id"]);
    assert_eq!(by_slug["id"], json["id"]);
    assert_eq!((&by_id["payment"], &by_id["holdSeconds"]), (&json!("required"), &json!(300)));
    assert_eq!((&json["provider"], by_id.get("provider")), (&json!("sandbox"), None));

    let again = merchant.post("/flash-sales", &body).await.json();
    assert_eq!(again["slug"], "the-big-drop-2");
    let mut taken = body.clone();
    taken["slug"] = json!("the-big-drop");
    let reply = merchant.post("/flash-sales", &taken).await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::CONFLICT, "slug_taken"));
    let listed = app.get("/api/v1/flash-sales?status=upcoming").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_field_of_a_sale_is_listed_in_one_reply() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let nothing = error_pointers(&merchant.post("/flash-sales", &json!({})).await);
    assert_eq!(nothing, ["/endsAt", "/price", "/productId", "/quantity", "/startsAt"]);
    let body = json!({
        "productId": "7",
        "slug": UNKNOWN,
        "price": {"amount": 1.5, "currency": "EUR"},
        "quantity": -1,
        "startsAt": "2026-11-27",
        "endsAt": "10000-01-01T00:00:00Z",
        "limitPerBuyer": "two",
        "holdSeconds": 1.5,
        "payment": "maybe",
        "admission": {"type": "fifo", "perSecond": [], "extensionSeconds": -1, "extra": 1},
        "seed": 1,
    });
    let expected = [
        "/admission/checkoutSeconds",
        "/admission/extensionSeconds",
        "/admission/extra",
        "/admission/perSecond",
        "/endsAt",
        "/holdSeconds",
        "/limitPerBuyer",
        "/payment",
        "/price/amount",
        "/productId",
        "/quantity",
        "/seed",
        "/slug",
        "/startsAt",
    ];
    assert_eq!(error_pointers(&merchant.post("/flash-sales", &body).await), expected);

    let product = merchant.product("A thing").await;
    let of_law = json!({
        "quantity": 0,
        "endsAt": merchant.moment(-5_000),
        "limitPerBuyer": 0,
        "holdSeconds": 86_401,
        "admission": {"type": "fifo", "perSecond": 0, "checkoutSeconds": 0, "extensionSeconds": 86_401},
    });
    let expected = [
        "/admission/checkoutSeconds",
        "/admission/extensionSeconds",
        "/admission/perSecond",
        "/endsAt",
        "/holdSeconds",
        "/limitPerBuyer",
        "/quantity",
    ];
    assert_eq!(
        error_pointers(&merchant.post("/flash-sales", &merchant.sale_body(&product, &of_law)).await),
        expected
    );
    let open = merchant.sale_body(&product, &json!({"admission": {"type": "open", "extensionSeconds": 60}}));
    assert_eq!(error_pointers(&merchant.post("/flash-sales", &open).await), ["/admission/extensionSeconds"]);
    let strangers = merchant.sale_body(UNKNOWN, &json!({}));
    assert_eq!(error_pointers(&merchant.post("/flash-sales", &strangers).await), ["/productId"]);
    let yen = merchant.sale_body(&product, &json!({"price": {"amount": 1, "currency": "JPY"}}));
    assert_eq!(error_pointers(&merchant.post("/flash-sales", &yen).await), ["/price/currency"]);
    assert_eq!(app.get("/api/v1/flash-sales").await.json()["items"], json!([]), "nothing of it was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_paid_is_sold_at_once() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let buyer = app.register("ada").await;
    for more in [json!({"payment": "none", "holdSeconds": 60}), json!({"holdSeconds": 0})] {
        let sale = merchant.sale(&more).await;
        let reply = order(&app, &buyer, &sale, 1).await;
        assert_eq!(reply.json()["status"], "confirmed", "{more}");
    }
    // What is announced as paid is never sold unpaid.
    let product = merchant.product("A thing").await;
    let body = merchant.sale_body(&product, &json!({"payment": "required", "holdSeconds": 0}));
    let refused = merchant.post("/flash-sales", &body).await;
    assert_eq!(error_pointers(&refused), ["/holdSeconds"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_unit_is_paid_for_never_changes() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    // Not while it runs, and not before it starts either.
    for starts_at in [merchant.moment(-5_000), merchant.moment(600_000)] {
        for (promised, hold, refused, kept) in [
            (
                "none",
                0,
                [json!({"payment": "required"}), json!({"holdSeconds": 60})],
                [json!({"payment": "none"}), json!({"payment": "none", "holdSeconds": 60})],
            ),
            (
                "required",
                300,
                [json!({"payment": "none"}), json!({"holdSeconds": 0})],
                [json!({"payment": "required"}), json!({"holdSeconds": 300})],
            ),
        ] {
            let sale = merchant.sale(&json!({"payment": promised, "startsAt": starts_at})).await;
            let path = format!("/flash-sales/{sale}");
            for change in refused {
                let reply = merchant.patch(&path, &change).await;
                let got = (reply.status, reply.problem());
                assert_eq!(got, (StatusCode::CONFLICT, "promise_made".into()), "{promised}: {change}");
            }
            for change in kept {
                let reply = merchant.patch(&path, &change).await.json();
                assert_eq!((&reply["payment"], &reply["holdSeconds"]), (&json!(promised), &json!(hold)));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_of_an_earlier_version_gets_its_payment_at_the_next_start() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (paid, unpaid) = (merchant.sale(&json!({})).await, merchant.sale(&json!({"payment": "none"})).await);
    let forget = "UPDATE sales SET payment = NULL";
    sqlx::query(forget).execute(&app.database().await).await.unwrap();
    let app = app.restart().await;
    let stored: Vec<(String, String)> = sqlx::query("SELECT id, payment FROM sales ORDER BY id")
        .fetch_all(&app.database().await)
        .await
        .unwrap()
        .iter()
        .map(|row| (row.try_get("id").unwrap(), row.try_get("payment").unwrap()))
        .collect();
    assert_eq!(stored, [(paid.clone(), "required".into()), (unpaid.clone(), "none".into())]);
    for (sale, payment) in [(paid, "required"), (unpaid, "none")] {
        assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["payment"], payment);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_runs_takes_only_what_adds_to_its_promise() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({})).await;
    let path = format!("/flash-sales/{sale}");
    let refused = [
        json!({"price": eur(1)}),
        json!({"quantity": 9}),
        json!({"endsAt": merchant.moment(600_000)}),
        json!({"startsAt": merchant.moment(60_000)}),
        json!({"limitPerBuyer": 5}),
        json!({"admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 60}}),
        json!({"productId": merchant.product("Another").await}),
    ];
    for change in refused {
        let reply = merchant.patch(&path, &change).await;
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (StatusCode::CONFLICT, "promise_made"),
            "{change}"
        );
    }
    let added =
        json!({"quantity": 12, "endsAt": merchant.moment(7_200_000), "holdSeconds": 60, "slug": "new-name"});
    let reply = merchant.patch(&path, &added).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let json = reply.json();
    assert_eq!(
        (&json["quantity"], &json["available"], &json["holdSeconds"]),
        (&json!(12), &json!(12), &json!(60))
    );
    assert_eq!(app.get("/api/v1/flash-sales/new-name").await.json()["id"], json["id"]);
    let moved = app.get("/api/v1/flash-sales/a-thing").await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (308, "/api/v1/flash-sales/new-name"));
    assert_eq!(
        error_pointers(&merchant.patch(&path, &json!({"quantity": 0, "status": "ended"})).await),
        ["/status"]
    );
    assert_eq!(error_pointers(&merchant.patch(&path, &json!({"quantity": 0})).await), ["/quantity"]);
    assert_eq!(merchant.patch(&path, &json!({})).await.json()["version"], json["version"], "nothing changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_to_come_can_be_changed_altogether() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"startsAt": merchant.moment(600_000)})).await;
    let other = merchant.product("Another").await;
    let change = json!({
        "productId": other,
        "price": eur(1),
        "quantity": 3,
        "limitPerBuyer": 2,
        "startsAt": merchant.moment(300_000),
        "admission": {"type": "fifo", "perSecond": 5, "checkoutSeconds": 60, "lineOpensSecondsBefore": 30},
    });
    let reply = merchant.patch(&format!("/flash-sales/{sale}"), &change).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let json = reply.json();
    assert_eq!(json["product"]["name"], "Another");
    for name in ["price", "quantity", "limitPerBuyer", "startsAt", "admission"] {
        assert_eq!(json[name], change[name], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_paused_resumed_restocked_and_closed() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let buyer = app.register("ada").await;
    let sale = merchant.sale(&json!({})).await;
    let act = async |action: &str| merchant.post(&format!("/flash-sales/{sale}/{action}"), &json!({})).await;
    assert_eq!(act("pause").await.json()["status"], "paused");
    assert_eq!(order(&app, &buyer, &sale, 1).await.problem(), "paused");
    assert_eq!(act("pause").await.status, StatusCode::OK, "again is fine");
    assert_eq!(act("resume").await.json()["status"], "active");
    let restock = async |quantity: serde_json::Value| {
        merchant.post(&format!("/flash-sales/{sale}/restock"), &json!({"quantity": quantity})).await
    };
    assert_eq!(restock(json!(5)).await.json()["available"], 15);
    for bad in [json!(0), json!(-1), json!(1.5), json!("5"), json!(null)] {
        assert_eq!(error_pointers(&restock(bad).await), ["/quantity"]);
    }
    assert_eq!(restock(json!(10_000_000)).await.problem(), "bad_policy");
    assert_eq!(act("close").await.json()["status"], "closed");
    assert_eq!(order(&app, &buyer, &sale, 1).await.problem(), "closed");
    for action in ["pause", "resume", "restock"] {
        let reply = merchant.post(&format!("/flash-sales/{sale}/{action}"), &json!({"quantity": 1})).await;
        assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::GONE, "closed"), "{action}");
    }
    assert_eq!(
        merchant.patch(&format!("/flash-sales/{sale}"), &json!({"quantity": 99})).await.problem(),
        "closed"
    );
    for action in ["pause", "resume", "close"] {
        let reply = merchant.post(&format!("/flash-sales/{UNKNOWN}/{action}"), &json!({})).await;
        assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::NOT_FOUND, "sale_unknown"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_without_buyers_is_deleted_and_any_other_is_closed() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let untouched = merchant.sale(&json!({"slug": "mine"})).await;
    assert_eq!(merchant.delete(&format!("/flash-sales/{untouched}")).await.status, StatusCode::NO_CONTENT);
    for path in [&untouched, "mine"] {
        assert_eq!(app.get(&format!("/api/v1/flash-sales/{path}")).await.problem(), "sale_unknown");
    }
    assert_eq!(merchant.delete(&format!("/flash-sales/{untouched}")).await.problem(), "sale_unknown");
    let buyer = app.register("ada").await;
    assert_eq!(order(&app, &buyer, &untouched, 1).await.status, StatusCode::NOT_FOUND);

    // Its slug is not given to another sale: someone may still have the link.
    let product = merchant.product("A thing").await;
    let again = merchant.sale_body(&product, &json!({"slug": "mine"}));
    assert_eq!(merchant.post("/flash-sales", &again).await.problem(), "slug_taken");
    let sale = merchant.sale(&json!({"slug": "mine-2"})).await;
    assert_eq!(order(&app, &buyer, &sale, 1).await.status, StatusCode::CREATED);
    let closed = merchant.delete(&format!("/flash-sales/{sale}")).await;
    assert_eq!((closed.status, &closed.json()["status"]), (StatusCode::OK, &json!("closed")));
    assert_eq!(app.get("/api/v1/flash-sales/mine-2").await.json()["status"], "closed");

    // Someone who was in line and left was there all the same.
    let fifo = json!({"admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 60}});
    let line = merchant.sale(&fifo).await;
    let join = json!({"flashSaleId": line});
    assert_eq!(app.post_as(&buyer.access, "/api/v1/queue/join", &join).await.status, StatusCode::CREATED);
    assert_eq!(merchant.delete(&format!("/flash-sales/{line}")).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_unannounced_is_finished_or_removed_at_the_next_start() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product: ProductId = merchant.product("A thing").await.parse().unwrap();
    let shop = &app.instance.app.shop;
    let [announced, never] = [1, 2].map(|n| SaleId(uuid::Uuid::from_u128(n)));
    for (id, slug) in [(announced, "announced"), (never, "never")] {
        let (created_at, payment, provider) = (merchant.now(), PaymentMode::Nothing, "sandbox");
        let limit_by = LimitScope::Account;
        let row = NewSale {
            id,
            product,
            slug,
            created_at,
            payment,
            provider,
            limit_by,
            require_confirmed_email: false,
            made_by: None,
        };
        let mut writing = shop.store.begin().await.unwrap();
        assert!(sales::insert(&mut writing, row).await.unwrap());
        writing.commit().await.unwrap();
    }
    let policy = Policy {
        quantity: 1,
        unit_price: Money { minor: 1, currency: "EUR".parse().unwrap() },
        starts_at: merchant.now(),
        ends_at: merchant.now().plus_s(600),
        limit_per_buyer: 1,
        hold_s: 0,
        admission: AdmissionMode::Open,
    };
    shop.engine.command(announced, Command::Configure { policy: Box::new(policy) }).await.unwrap();
    for slug in ["announced", "never"] {
        assert_eq!(app.get(&format!("/api/v1/flash-sales/{slug}")).await.status, StatusCode::NOT_FOUND);
    }
    // Where other processes may be announcing sales, only old rows are certainly abandoned.
    app.shift_clock(130_000);
    let app = app.restart().await;
    assert_eq!(app.get("/api/v1/flash-sales/announced").await.json()["status"], "active");
    assert_eq!(app.get("/api/v1/flash-sales/never").await.status, StatusCode::NOT_FOUND);
    let merchant = Merchant::sign_in(&app).await;
    merchant.sale(&json!({"slug": "never"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_admins_at_once_do_not_overlook_each_other() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({})).await;
    let product = merchant.product("Same name").await;
    let body = merchant.sale_body(&product, &json!({}));
    let each = (0..10).map(async |_| {
        let restock = merchant.post(&format!("/flash-sales/{sale}/restock"), &json!({"quantity": 1})).await;
        assert_eq!(restock.status, StatusCode::OK);
        let edit = merchant.patch(&format!("/flash-sales/{sale}"), &json!({"holdSeconds": 100})).await;
        assert_eq!(edit.status, StatusCode::OK, "{edit:?}");
        merchant.post("/flash-sales", &body).await.json()["slug"].as_str().unwrap().to_owned()
    });
    let all = futures::future::join_all(each);
    let mut slugs = tokio::time::timeout(HANG_LIMIT, all).await.unwrap();
    slugs.sort();
    slugs.dedup();
    assert_eq!(slugs.len(), 10);
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["quantity"], 20);
    assert_eq!(id(&merchant.get(&format!("/flash-sales/{sale}/overview")).await["sale"]), sale);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_no_sale_unannounced() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("A thing").await;
    let body = merchant.sale_body(&product, &json!({}));
    for patience_us in (0..20).map(|n| n * 500) {
        let making = merchant.post("/flash-sales", &body);
        let _hung_up = tokio::time::timeout(Duration::from_micros(patience_us), making).await;
    }
    let shop = &app.instance.app.shop;
    eventually("no sale is unannounced", HANG_LIMIT, async || {
        let unannounced = sales::list_unannounced(&shop.store, sale::Timestamp::MAX).await.unwrap();
        let is_listed = |id| shop.catalogue.listing(id).is_some();
        unannounced.is_empty() && shop.engine.views().list().iter().all(|view| is_listed(view.id))
    })
    .await;
}
