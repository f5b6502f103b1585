//! Many at once: the same request fifty times, two tabs, a merchant who changes a sale while it sells. Whatever the order in
//! which they arrive, the totals add up and every reply is true.

use crate::merchant::{Merchant, id, order, order_with_key, pay};
use crate::support::{HttpReply, SignedInUser, TestApp};
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

async fn sale_now(app: &TestApp, sale: &str) -> Value {
    app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()
}

async fn buyers(app: &TestApp, name: &str, count: usize) -> Vec<SignedInUser> {
    join_all((0..count).map(async |n| app.register(&format!("{name}{n}")).await)).await
}

async fn cancel(app: &TestApp, buyer: &SignedInUser, order: &str) -> HttpReply {
    HttpReply::send(
        app.request(Method::DELETE, &format!("/api/v1/orders/{order}")).bearer_auth(&buyer.access),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_fifty_times_in_parallel_makes_one_order() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    let sale = merchant.sale(&json!({"quantity": 100})).await;
    let replies = join_all((0..50).map(|_| order(&app, &ada, &sale, 1))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == StatusCode::CREATED).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != StatusCode::CREATED) {
        assert_eq!(reply.problem(), "limit_reached");
    }

    let other = merchant.sale(&json!({"quantity": 100, "limitPerBuyer": 100})).await;
    let replies = join_all((0..50).map(|_| order_with_key(&app, &bob, &other, 1, "k"))).await;
    let mut ids = BTreeSet::new();
    for reply in &replies {
        match reply.status {
            StatusCode::CREATED => drop(ids.insert(id(&reply.json()))),
            _ => {
                assert_eq!(reply.problem(), "request_in_flight");
                assert!(!reply.header("retry-after").is_empty());
            }
        }
    }
    assert_eq!(ids.len(), 1);
    let again = order_with_key(&app, &bob, &other, 1, "\"k\"").await;
    assert_eq!((again.status, ids.contains(&id(&again.json()))), (StatusCode::CREATED, true));
    for (sale, quantity) in [(&other, 2), (&sale, 1)] {
        let reused = order_with_key(&app, &bob, sale, quantity, "k").await;
        assert_eq!((reused.status.as_u16(), reused.problem().as_str()), (422, "key_reused"));
    }
    assert_eq!(
        order_with_key(&app, &ada, &other, 2, "k").await.status,
        StatusCode::CREATED,
        "keys are a buyer's own"
    );
    assert_eq!(
        (&sale_now(&app, &sale).await["held"], &sale_now(&app, &other).await["held"]),
        (&json!(1), &json!(3))
    );
    // A refusal does not use a key up.
    let few = merchant.sale(&json!({"quantity": 1})).await;
    let held = id(&order(&app, &bob, &few, 1).await.json());
    assert_eq!(order_with_key(&app, &ada, &few, 1, "later").await.problem(), "all_held");
    cancel(&app, &bob, &held).await;
    assert_eq!(order_with_key(&app, &ada, &few, 1, "later").await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_joins_from_twenty_tabs_has_one_ticket() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let fifo = json!({"admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 60}});
    let sale = merchant.sale(&fifo).await;
    let everyone = buyers(&app, "tab", 3).await;
    let body = json!({"flashSaleId": sale});
    let joins = everyone.iter().flat_map(|buyer| std::iter::repeat_n(buyer, 20));
    let joins = joins.map(async |buyer| {
        let reply = app.post_as(&buyer.access, "/api/v1/queue/join", &body).await;
        assert!(reply.status.is_success(), "{reply:?}");
        (&buyer.id, reply.json()["ticket"].as_u64().unwrap(), reply.status == StatusCode::CREATED)
    });
    let joined = join_all(joins).await;
    let tickets: BTreeSet<_> = joined.iter().map(|(buyer, ticket, _)| (buyer, ticket)).collect();
    assert_eq!(tickets.len(), 3);
    assert_eq!(tickets.iter().map(|(_, ticket)| **ticket).collect::<BTreeSet<_>>(), [1, 2, 3].into());
    assert_eq!(joined.iter().filter(|(.., fresh)| *fresh).count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_paid_fifty_times_at_once_is_charged_once() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({})).await;
    let made = id(&order(&app, &ada, &sale, 1).await.json());
    let replies = join_all((0..50).map(|_| pay(&app, &ada, &made, "approve"))).await;
    let mut payments = BTreeSet::new();
    for reply in &replies {
        match reply.status {
            StatusCode::OK => drop(payments.insert(id(&reply.json()["payment"]))),
            _ => assert_eq!(reply.problem(), "request_in_flight"),
        }
    }
    assert_eq!(payments.len(), 1);
    assert_eq!(id(&pay(&app, &ada, &made, "approve").await.json()["payment"]), payments.pop_first().unwrap());
    let overview = merchant.get(&format!("/flash-sales/{sale}/overview")).await;
    assert_eq!((&overview["sale"]["sold"], &overview["revenue"]["amount"]), (&json!(1), &json!(2999)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_paid_and_cancelled_at_once_is_one_or_the_other() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({"quantity": 16, "limitPerBuyer": 16})).await;
    let mut sold = 0;
    for n in 0..16 {
        let made = id(&order(&app, &ada, &sale, 1).await.json());
        let late = async {
            // From hardly at all to longer than a payment takes: somewhere in between they meet.
            tokio::time::sleep(Duration::from_micros(400 * n)).await;
            cancel(&app, &ada, &made).await
        };
        let (paid, cancelled) = tokio::join!(pay(&app, &ada, &made, "approve"), late);
        let status =
            app.get_as(&ada.access, &format!("/api/v1/orders/{made}")).await.json()["status"].clone();
        match paid.status {
            StatusCode::OK => {
                sold += 1;
                let refusal = cancelled.problem();
                assert!(["order_state", "order_paying"].contains(&refusal.as_str()), "{refusal}");
                assert_eq!(status, "confirmed");
            }
            _ => {
                assert_eq!((paid.problem().as_str(), &status), ("order_expired", &json!("cancelled")));
                assert_eq!(cancelled.json()["status"], "cancelled");
            }
        }
    }
    let now = sale_now(&app, &sale).await;
    assert_eq!((&now["sold"], &now["held"], &now["available"]), (&json!(sold), &json!(0), &json!(16 - sold)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_leaves_while_being_admitted_takes_no_unit() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let admission = json!({"type": "fifo", "perSecond": 1000, "checkoutSeconds": 600});
    let sale = merchant.sale(&json!({"quantity": 3, "admission": admission})).await;
    let everyone = buyers(&app, "leaver", 12).await;
    let path = format!("/api/v1/queue/leave?flashSaleId={sale}");
    let each = everyone.iter().map(async |buyer| {
        let joined = app.post_as(&buyer.access, "/api/v1/queue/join", &json!({"flashSaleId": sale})).await;
        assert_eq!(joined.status, StatusCode::CREATED);
        // Twice at once: one of them finds the place, the other finds it gone.
        let leave =
            async || HttpReply::send(app.request(Method::DELETE, &path).bearer_auth(&buyer.access)).await;
        let (one, two) = tokio::join!(leave(), leave());
        let statuses: BTreeSet<u16> = [one.status.as_u16(), two.status.as_u16()].into();
        assert_eq!(statuses, [204, 404].into(), "{one:?} {two:?}");
    });
    join_all(each).await;
    let overview = merchant.get(&format!("/flash-sales/{sale}/overview")).await;
    let sale = &overview["sale"];
    assert_eq!((&sale["available"], &sale["admitted"], &sale["waiting"]), (&json!(3), &json!(0), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_is_edited_paused_restocked_and_closed_while_it_sells_loses_nothing() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"quantity": 20, "limitPerBuyer": 4})).await;
    let path = format!("/flash-sales/{sale}");
    let everyone = buyers(&app, "rush", 12).await;
    let rush = everyone.iter().map(async |buyer| {
        let mut mine = BTreeSet::new();
        for _ in 0..6 {
            let reply = order(&app, buyer, &sale, 1).await;
            match reply.status {
                StatusCode::CREATED => drop(mine.insert(id(&reply.json()))),
                _ => {
                    let code = reply.problem();
                    let known = ["limit_reached", "all_held", "paused", "closed"];
                    assert!(known.contains(&code.as_str()), "{reply:?}");
                }
            }
        }
        (buyer, mine)
    });
    let steer = async {
        for change in 0..5 {
            assert_eq!(merchant.post(&format!("{path}/pause"), &json!({})).await.status, StatusCode::OK);
            let broken = merchant.patch(&path, &json!({"limitPerBuyer": 9})).await;
            assert_eq!((broken.status.as_u16(), broken.problem().as_str()), (409, "promise_made"));
            let restock = merchant.post(&format!("{path}/restock"), &json!({"quantity": 2})).await;
            assert_eq!(restock.json()["quantity"], 20 + 2 * (change + 1));
            assert_eq!(merchant.post(&format!("{path}/resume"), &json!({})).await.status, StatusCode::OK);
        }
        let deleted = merchant.delete(&path).await;
        (deleted.status, deleted)
    };
    let (response, (status, deleted)) = tokio::join!(join_all(rush), steer);
    let made: usize = response.iter().map(|(_, mine)| mine.len()).sum();
    // When no buyer ordered before the end, the sale is deleted. With orders it is closed and stays.
    if status == StatusCode::NO_CONTENT {
        assert_eq!(made, 0);
        return;
    }
    assert_eq!(deleted.json()["status"], "closed");
    let now = sale_now(&app, &sale).await;
    let units = |name: &str| now[name].as_u64().unwrap();
    assert_eq!(units("held"), made as u64);
    assert_eq!(units("available") + units("held") + units("sold"), units("quantity"));
    for (buyer, mine) in &response {
        let own = app.get_as(&buyer.access, "/api/v1/orders").await.json();
        let own: BTreeSet<String> = own["items"].as_array().unwrap().iter().map(id).collect();
        assert_eq!(own, *mine, "the buyer has exactly the orders that were confirmed to them");
        if let Some(order) = mine.first() {
            assert_eq!(
                pay(&app, buyer, order, "approve").await.status,
                StatusCode::OK,
                "a closed sale keeps its holds"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_are_served_in_the_middle_of_a_registration_storm() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({"quantity": 100, "limitPerBuyer": 100})).await;
    // The first order makes what later ones find made.
    assert_eq!(order(&app, &ada, &sale, 1).await.status, StatusCode::CREATED);
    let hashing = async {
        // One thread hashes, so most of the requests wait for it, or get a 503.
        let replies = join_all((0..60).map(async |n| {
            let body = json!({"email": format!("s{n}@example.com"), "username": format!("storm{n}"), "password": crate::support::PASSWORD});
            app.post("/api/v1/auth/register", &body).await.status.as_u16()
        }));
        replies.await
    };
    let buying = async {
        for _ in 0..20 {
            assert_eq!(order(&app, &ada, &sale, 1).await.status, StatusCode::CREATED);
        }
        tokio::time::Instant::now()
    };
    let storm = async { (hashing.await, tokio::time::Instant::now()) };
    let ((statuses, storm_over), bought) = tokio::join!(storm, buying);
    assert!(statuses.iter().all(|status| [201, 503].contains(status)), "{statuses:?}");
    assert!(bought < storm_over, "twenty orders do not wait for sixty passwords");
}
