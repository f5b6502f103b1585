//! Two servers on one PostgreSQL and one Redis, with one Stripe: a buyer goes from one to the other, both are asked at once, webhooks come to
//! both, clocks differ by two hours, and one is killed in its calls to Stripe, whose work the other finishes. No order is paid or refunded twice.

use crate::crash_shop::{CrashShop, PART, PRICE, PUBLIC_URL, PaymentCall};
use crate::real::instance::text;
use reqwest::redirect::Policy;
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};

const HOUR_MS: i64 = 3_600_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_who_comes_back_to_the_other_instance_finds_the_order_confirmed() {
    let mut shop = CrashShop::start_pair().await;
    shop.stand_in.command("webhooks", &[("mode", "never")]).await;
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    for (first, second) in [(0, 1), (1, 0)] {
        shop.target = first;
        let order = shop.hold().await;
        let session = shop.open_page(&order).await;
        shop.approve(&session).await;
        let back = text(&shop.read_object(&session).await, "success_url");
        let path = back.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("{back} is not of this shop"));
        shop.target = second;
        let url = format!("{}{path}", shop.server().url);
        let reply = eventually_some(&url, HANG_LIMIT, async || {
            let reply = client.get(&url).send().await.unwrap();
            (reply.status() != 503).then_some(reply)
        })
        .await;
        assert_eq!(reply.status(), 303, "{url}");
        let leads_to = reply.headers()["location"].to_str().unwrap();
        assert!(leads_to.starts_with(&format!("/orders/{}", order.id)), "{leads_to}");
        for at in [second, first] {
            shop.target = at;
            shop.wait_for_end(&order, "confirmed", "captured").await;
        }
    }
    assert_eq!(shop.money_kept().await, 2 * PRICE);
    shop.assert_money_agrees().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_that_are_asked_and_woken_at_once_take_and_return_money_once() {
    let mut shop = CrashShop::start_pair().await;
    shop.send_webhooks_to(&[0, 1]).await;
    shop.stand_in.command("webhooks", &[("mode", "twice")]).await;
    let mut orders = Vec::new();
    for no in 0..8 {
        // Half-way their machines' clocks become wrong, in both directions.
        if no == 4 {
            shop.jump_clock(0, HOUR_MS).await;
            shop.jump_clock(1, -HOUR_MS).await;
        }
        shop.target = no % 2;
        let order = shop.hold().await;
        let (first, second) = tokio::join!(shop.open_page_at(0, &order), shop.open_page_at(1, &order));
        assert_eq!(first, second);
        assert_eq!(shop.stand_in.list_sessions(&order.id).await.len(), 1);
        shop.approve(&first).await;
        orders.push(order);
    }
    for order in &orders {
        shop.wait_for_end(order, "confirmed", "captured").await;
    }
    for at in [0, 1] {
        assert!(shop.count_webhooks(at, "accepted").await > 0, "instance {at} got webhooks");
        assert_eq!(shop.count_webhooks(at, "bad_signature").await, 0, "instance {at}");
    }
    let [part, all, ..] = &orders[..] else { panic!("there are orders") };
    // Two admins, each with a request of their own: both get a part back, and all of it goes back once.
    for (order, call) in [(part, PaymentCall::RefundPart), (all, PaymentCall::RefundAll)] {
        tokio::join!(shop.refund_at(0, order, call), shop.refund_at(1, order, call));
    }
    shop.wait_for_end(part, "confirmed", "captured").await;
    shop.wait_for_end(all, "refunded", "refunded").await;
    shop.wait_for_money(7 * PRICE - 2 * PART).await;
    shop.assert_money_agrees().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_instance_left_that_died_before_its_calls_were_done_the_other_finishes() {
    finish_at_the_other("stall").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_instance_left_that_died_after_its_calls_were_done_the_other_finishes() {
    finish_at_the_other("do_and_stall").await;
}

/// The first instance is killed in its calls; the second runs on, and is not restarted.
async fn finish_at_the_other(fault: &str) {
    let mut shop = CrashShop::start_pair().await;
    // Until then the second stands still, so that all calls are the first's.
    let frozen = shop.servers[1].freeze();
    let mut begun = Vec::new();
    for call in
        [PaymentCall::RefundPart, PaymentCall::RefundAll, PaymentCall::ClosePage, PaymentCall::Capture]
    {
        let order = shop.hold().await;
        let session = shop.prepare_call(&order, call).await;
        begun.push((call, order, session));
    }
    let open = shop.hold().await;
    let open_session = shop.open_page(&open).await;
    let captures = shop.count_calls(PaymentCall::Capture).await;
    for (call, order, session) in &begun {
        shop.begin_call(order, session, *call, fault).await;
    }
    let [(_, part, _), (_, all, _), ..] = &begun[..] else { panic!("there are orders") };
    eventually("both refunds have begun", HANG_LIMIT, async || {
        shop.payment(part).await["refunded"]["amount"] == PART
            && shop.payment(all).await["status"] != "captured"
    })
    .await;
    shop.wait_for_calls(PaymentCall::RefundAll, 2).await;
    shop.wait_for_calls(PaymentCall::ClosePage, 1).await;
    shop.wait_for_calls(PaymentCall::Capture, captures + 1).await;

    shop.servers[0].kill();
    shop.stand_in.command("heal", &[]).await;
    shop.target = 1;
    shop.send_webhooks_to(&[1]).await;
    drop(frozen);
    shop.approve(&open_session).await;
    let mut kept = PRICE;
    shop.wait_for_end(&open, "confirmed", "captured").await;
    for (call, order, _) in &begun {
        shop.wait_for_end(order, call.order_status(), call.payment_status()).await;
        kept += call.money_kept();
    }
    shop.wait_for_money(kept).await;
    shop.assert_money_agrees().await;
}
