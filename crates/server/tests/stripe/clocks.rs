//! A real server whose machine's clock jumps by an hour while payments are under way. While it runs, it follows such a jump slowly, so that no hold
//! ends early; what was killed starts by the new time. A server whose two clocks are an hour wrong refuses Stripe's webhooks, whose signatures
//! are valid for five minutes, so its reconciler does all the work. Once one of them is right, the machine's or that of sales, they are accepted.

use crate::crash_shop::{BuyerOrder, CrashShop, PART, PRICE, PaymentCall, UNITS};
use test_servers::wait::{HANG_LIMIT, eventually};

const HOUR_MS: i64 = 3_600_000;

/// A hold that is over within an hour, but not while a payment is in progress. The usual one is then over in any case.
const LONG_HOLD_S: u32 = 3_000;

/// An order with an open page, and the page's session.
async fn hold_with_page(shop: &mut CrashShop, sale: &str) -> (BuyerOrder, String) {
    let order = shop.hold_in(sale).await;
    let session = shop.open_page(&order).await;
    (order, session)
}

/// The same, and its buyer has submitted the page: the payment is in progress until the bank answers.
async fn hold_submitted(shop: &mut CrashShop, sale: &str) -> (BuyerOrder, String) {
    let (order, session) = hold_with_page(shop, sale).await;
    shop.act_as_buyer(&session, "submit").await;
    let shop = &*shop;
    eventually("the payment is in progress", HANG_LIMIT, async || {
        shop.read_order(&order).await["paying"] == true
    })
    .await;
    (order, session)
}

/// An order that is confirmed and whose money is not captured yet: the call hangs.
async fn hold_in_capture(shop: &mut CrashShop, fault: &str) -> BuyerOrder {
    let order = shop.hold().await;
    let calls = shop.count_calls(PaymentCall::Capture).await;
    shop.reach(&order, PaymentCall::Capture, fault).await;
    shop.wait_for_calls(PaymentCall::Capture, calls + 1).await;
    order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_in_a_running_server_ends_no_hold_and_loses_no_payment() {
    let mut shop = CrashShop::start().await;
    let sale = shop.sale.clone();
    let (open, open_session) = hold_with_page(&mut shop, &sale).await;
    let (submitted, submitted_session) = hold_submitted(&mut shop, &sale).await;
    let (unpaid, _) = hold_with_page(&mut shop, &sale).await;
    let captured = hold_in_capture(&mut shop, "stall").await;
    shop.jump_clock(0, HOUR_MS).await;
    shop.stand_in.command("heal", &[]).await;
    shop.approve(&open_session).await;
    shop.accept_as_bank(&submitted_session).await;
    for order in [&open, &submitted, &captured] {
        shop.wait_for_end(order, "confirmed", "captured").await;
    }
    // By the clock of the machine an hour has passed, which is six holds.
    assert_eq!(shop.read_order(&unpaid).await["status"], "pending");
    shop.refund_at(0, &open, PaymentCall::RefundPart).await;
    shop.wait_for_money(3 * PRICE - PART).await;
    assert_eq!(shop.count_webhooks(0, "bad_signature").await, 0, "the time of sales is nearly right");
    shop.give_up(&unpaid).await;
    shop.wait_for_end(&unpaid, "cancelled", "voided").await;
    shop.assert_money_agrees().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_that_end_by_a_clock_an_hour_ahead_keep_no_money_and_confirmed_orders_keep_theirs() {
    let mut shop = CrashShop::start().await;
    let (sale, long_sale) = (shop.sale.clone(), shop.create_sale(LONG_HOLD_S).await);
    let (unpaid, unpaid_session) = hold_with_page(&mut shop, &sale).await;
    let (late, late_session) = hold_with_page(&mut shop, &sale).await;
    let (returned, returned_session) = hold_submitted(&mut shop, &sale).await;
    let (kept, kept_session) = hold_submitted(&mut shop, &long_sale).await;
    let part = shop.hold().await;
    shop.reach(&part, PaymentCall::RefundPart, "do_and_stall").await;
    shop.wait_for_calls(PaymentCall::RefundPart, 1).await;
    let captured = hold_in_capture(&mut shop, "stall").await;

    shop.servers[0].kill();
    shop.approve(&late_session).await;
    shop.set_clock(0, HOUR_MS);
    shop.stand_in.command("heal", &[]).await;
    shop.servers[0].launch().await;

    shop.wait_for_end(&unpaid, "expired", "voided").await;
    assert_eq!(shop.read_object(&unpaid_session).await["status"], "expired");
    shop.wait_for_end(&late, "expired", "voided").await;
    assert_eq!(shop.intent_status(&late_session).await, "canceled");
    shop.wait_for_end(&captured, "confirmed", "captured").await;
    shop.wait_for_end(&part, "confirmed", "captured").await;
    // Nothing can be taken back from a bank that has not answered.
    shop.wait_for_payment(&returned, "voiding").await;
    assert_eq!(shop.read_order(&returned).await["status"], "expired");
    let in_progress = shop.read_order(&kept).await;
    assert_eq!(in_progress["status"], "pending", "{in_progress}");
    assert_eq!(in_progress["paying"], true, "{in_progress}");
    shop.accept_as_bank(&returned_session).await;
    shop.accept_as_bank(&kept_session).await;
    shop.wait_for_end(&returned, "expired", "voided").await;
    assert_eq!(shop.intent_status(&returned_session).await, "canceled");
    shop.wait_for_end(&kept, "confirmed", "captured").await;
    assert_eq!(
        shop.count_available(&sale).await,
        UNITS - 2,
        "those of the orders captured and refunded in part"
    );

    // The whole way by the wrong clock.
    let (paid, session) = hold_with_page(&mut shop, &sale).await;
    shop.approve(&session).await;
    shop.wait_for_end(&paid, "confirmed", "captured").await;
    shop.refund_at(0, &paid, PaymentCall::RefundAll).await;
    shop.wait_for_end(&paid, "refunded", "refunded").await;
    shop.wait_for_money(3 * PRICE - PART).await;
    assert_webhooks_refused(&shop).await;
    shop.assert_money_agrees().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_by_an_hour_between_authorisation_and_capture_loses_no_payment() {
    let mut shop = CrashShop::start_by_clock(HOUR_MS).await;
    let sale = shop.sale.clone();
    let running = hold_in_capture(&mut shop, "stall").await;
    assert_webhooks_refused(&shop).await;
    shop.jump_clock(0, 0).await;
    shop.stand_in.command("heal", &[]).await;
    shop.wait_for_end(&running, "confirmed", "captured").await;
    assert_webhooks_accepted(&shop).await;

    let (open, open_session) = hold_with_page(&mut shop, &sale).await;
    let (submitted, submitted_session) = hold_submitted(&mut shop, &sale).await;
    let killed = hold_in_capture(&mut shop, "do_and_stall").await;
    shop.servers[0].kill();
    shop.stand_in.command("heal", &[]).await;
    shop.servers[0].launch().await;
    let log = shop.servers[0].log();
    assert!(log.contains("the machine's clock is behind the ledger"), "{log}");
    shop.wait_for_end(&killed, "confirmed", "captured").await;
    // Time goes on from where it was, so the holds do.
    shop.approve(&open_session).await;
    shop.accept_as_bank(&submitted_session).await;
    shop.wait_for_end(&open, "confirmed", "captured").await;
    shop.wait_for_end(&submitted, "confirmed", "captured").await;
    shop.refund_at(0, &running, PaymentCall::RefundPart).await;
    shop.wait_for_money(4 * PRICE - PART).await;
    assert_webhooks_accepted(&shop).await;
    assert_eq!(shop.count_webhooks(0, "bad_signature").await, 0);
    shop.assert_money_agrees().await;
}

/// Nothing that the server did since its start was because of a webhook.
async fn assert_webhooks_refused(shop: &CrashShop) {
    eventually("a webhook was refused", HANG_LIMIT, async || {
        shop.count_webhooks(0, "bad_signature").await > 0
    })
    .await;
    assert_eq!(shop.count_webhooks(0, "accepted").await, 0);
}

/// The machine's clock is right, so webhooks are accepted, although that of sales is an hour ahead.
async fn assert_webhooks_accepted(shop: &CrashShop) {
    eventually("a webhook was accepted", HANG_LIMIT, async || shop.count_webhooks(0, "accepted").await > 0)
        .await;
}
