//! Paying on a page of the provider: it is opened, finished, left, closed, and come back from.

use crate::support::*;
use sale::{AdmissionMode, CommandOutcome, OrderStatus, Refusal};
use server::payments::sandbox::PageDecision;
use server::shop::payments::{PaymentRefusal, WakeResult};
use server::store::payments::{self as rows, PaymentState};
use test_servers::wait::{HANG_LIMIT, eventually};

async fn open_fixture() -> (tempfile::TempDir, PaymentFixture, sale::SaleId, sale::OrderId) {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::open(folder.path()).await;
    let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    (folder, fixture, sale, order)
}

async fn state(fixture: &PaymentFixture, payment: uuid::Uuid) -> PaymentState {
    rows::find(&fixture.store, payment).await.unwrap().unwrap().state
}

#[tokio::test]
async fn a_page_is_opened_once_and_the_hold_stays_as_it_is() {
    let (_folder, fixture, _, order) = open_fixture().await;
    let before = fixture.status(order).await;
    let first = fixture.open_page(buyer(1), order).await;
    assert_eq!(first.action_url, Some(format!("/sandbox/pay/{}", first.id)));
    for key in [None, Some("a"), Some("a"), Some("b")] {
        let again = paid(fixture.payments.pay(pay(buyer(1), order, REDIRECT, key)).await);
        let again = again.payment.unwrap();
        assert_eq!((again.id, again.action_url), (first.id, first.action_url.clone()), "the same page");
    }
    assert_eq!(fixture.status(order).await, before, "an open page is no payment in progress");
    assert_eq!(fixture.charges().await.len(), 1);
    assert_eq!(fixture.money().await, (0, 0));
}

#[tokio::test]
async fn a_request_whose_page_was_closed_for_another_card_is_repeated_as_long_as_the_order_is_held() {
    let (_folder, fixture, sale, order) = open_fixture().await;
    let first = fixture.open_page_with_key(buyer(1), order, "page").await;
    let declined = fixture.payments.pay(pay(buyer(1), order, DECLINE, Some("card"))).await;
    assert!(matches!(refused(declined), PaymentRefusal::Declined { .. }));
    assert_eq!(state(&fixture, first.id).await, PaymentState::Voided);
    let again = fixture.open_page_with_key(buyer(1), order, "page").await;
    assert_ne!(again.id, first.id, "the first page is closed");

    fixture.decide(again.id, PageDecision::Approve).await;
    assert_eq!(fixture.payments.wake(again.id).await.unwrap(), Some(order));
    assert_eq!(fixture.status(order).await, OrderStatus::Confirmed);
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn a_request_whose_page_was_closed_calls_no_order_over_that_another_card_may_have_paid() {
    let (_folder, fixture, sale, order) = open_fixture().await;
    fixture.open_page_with_key(buyer(1), order, "page").await;
    unsettled(fixture.payments.pay(pay(buyer(1), order, LOST, Some("card"))).await);
    let repeated = paid(fixture.payments.pay(pay(buyer(1), order, REDIRECT, Some("page"))).await);
    assert_eq!(repeated.order.view.status, OrderStatus::Confirmed, "the card has paid");
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn what_the_buyer_decides_on_the_page_is_what_becomes_of_the_order() {
    for (decision, expected) in
        [(PageDecision::Approve, PaymentState::Captured), (PageDecision::Decline, PaymentState::Declined)]
    {
        let (_folder, fixture, sale, order) = open_fixture().await;
        let before = fixture.status(order).await;
        let payment = fixture.open_page(buyer(1), order).await;
        assert!(fixture.decide(payment.id, decision).await);
        // Only the provider's own reply counts, however many requests come.
        for _ in 0..3 {
            assert_eq!(fixture.payments.wake(payment.id).await.unwrap(), Some(order));
        }
        assert_eq!(state(&fixture, payment.id).await, expected);
        let is_paid = expected == PaymentState::Captured;
        let status = fixture.status(order).await;
        assert_eq!(status, if is_paid { OrderStatus::Confirmed } else { before }, "{decision:?}");
        fixture.assert_books_agree([buyer(1)], sale).await;
    }
}

#[tokio::test]
async fn a_notice_changes_nothing_while_the_buyer_has_not_paid() {
    let (_folder, fixture, _, order) = open_fixture().await;
    let payment = fixture.open_page(buyer(1), order).await;
    for _ in 0..3 {
        assert_eq!(fixture.payments.wake(payment.id).await.unwrap(), Some(order));
    }
    assert_eq!(state(&fixture, payment.id).await, PaymentState::Open);
    assert_eq!(fixture.payments.wake(uuid::Uuid::from_u128(5)).await.unwrap(), None, "no such payment");
}

#[tokio::test]
async fn a_page_without_any_notice_is_found_out_by_the_reconciler() {
    let (_folder, fixture, sale, order) = open_fixture().await;
    let payment = fixture.open_page(buyer(1), order).await;
    fixture.decide(payment.id, PageDecision::Approve).await;
    fixture.clock.advance_ms(2_000);
    assert_eq!(fixture.payments.reconcile(fixture.engine.now()).await.unwrap().settled, 1);
    assert_eq!(fixture.status(order).await, OrderStatus::Confirmed);
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn a_page_that_is_open_stays_the_buyers_while_the_provider_is_silent() {
    let (_folder, fixture, _, order) = open_fixture().await;
    let first = fixture.open_page(buyer(1), order).await;
    fixture.provider.inject_fault(ProviderCall::Find, ProviderFault::LoseRequest);
    let again = fixture.open_page(buyer(1), order).await;
    assert_eq!((again.id, again.action_url), (first.id, first.action_url));
    unsettled(fixture.pay(buyer(1), order, APPROVE).await);
    assert_eq!(state(&fixture, first.id).await, PaymentState::Open);
}

#[tokio::test]
async fn a_page_is_asked_about_before_its_hold_ends_and_soon_after_a_silence() {
    for is_silent in [false, true] {
        let (_folder, fixture, sale, order) = open_fixture().await;
        let payment = fixture.open_page(buyer(1), order).await;
        for ms in [2_000, 2_000, 4_000, 8_000] {
            fixture.clock.advance_ms(ms);
            assert_eq!(fixture.payments.reconcile(fixture.engine.now()).await.unwrap().waiting, 1);
        }
        // The next questions are 32 s after the beginning, and, without an end before it, a minute after it.
        fixture.clock.advance_ms(16_000);
        if is_silent {
            fixture.provider.inject_fault(ProviderCall::Find, ProviderFault::LoseRequest);
            assert_eq!(fixture.payments.wake_for_notice(payment.id).await.unwrap(), WakeResult::Silent);
            fixture.provider.clear_faults();
        } else {
            assert_eq!(fixture.payments.wake_for_notice(payment.id).await.unwrap(), WakeResult::Handled);
        }
        fixture.decide(payment.id, PageDecision::Approve).await;
        fixture.clock.advance_ms(if is_silent { 5_000 } else { 23_000 });
        assert_eq!(fixture.payments.reconcile(fixture.engine.now()).await.unwrap().settled, 1);
        assert_eq!(fixture.status(order).await, OrderStatus::Confirmed);
        fixture.assert_books_agree([buyer(1)], sale).await;
    }
}

#[tokio::test]
async fn a_buyer_who_looks_at_the_order_has_the_provider_asked_now_and_then() {
    let (_folder, fixture, sale, order) = open_fixture().await;
    let payment = fixture.open_page(buyer(1), order).await;
    assert!(fixture.payments.wake_viewed_order(order));
    eventually("the provider was asked", HANG_LIMIT, async || {
        rows::find(&fixture.store, payment.id).await.unwrap().unwrap().tries == 1
    })
    .await;
    fixture.decide(payment.id, PageDecision::Approve).await;
    fixture.clock.advance_ms(1_999);
    assert!(!fixture.payments.wake_viewed_order(order), "it was asked a moment ago");
    fixture.clock.advance_ms(1);
    assert!(fixture.payments.wake_viewed_order(order));
    eventually("the order is paid", HANG_LIMIT, async || {
        state(&fixture, payment.id).await == PaymentState::Captured
    })
    .await;
    assert_eq!(fixture.status(order).await, OrderStatus::Confirmed);
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn an_open_page_never_keeps_a_unit_beyond_its_hold() {
    let (_folder, fixture, sale, order) = open_fixture().await;
    let payment = fixture.open_page(buyer(1), order).await;
    fixture.clock.advance_ms(i64::from(HOLD_S) * 1000);
    assert_eq!(fixture.status(order).await, OrderStatus::Expired);
    fixture.hold(sale, buyer(2), 1).await;
    // It is due by now.
    assert_eq!(fixture.payments.reconcile(fixture.engine.now()).await.unwrap().settled, 1);
    assert_eq!(state(&fixture, payment.id).await, PaymentState::Voided);
    // The buyer still has the page open.
    fixture.decide(payment.id, PageDecision::Approve).await;
    fixture.payments.wake(payment.id).await.unwrap();
    assert_eq!(fixture.money().await, (0, 0));
    assert_eq!(
        refused(fixture.pay(buyer(1), order, REDIRECT).await),
        PaymentRefusal::OrderGone(OrderStatus::Expired)
    );
}

#[tokio::test]
async fn a_buyer_who_paid_after_the_hold_has_the_money_back() {
    for is_taken in [false, true] {
        let (_folder, fixture, sale, order) = open_fixture().await;
        let payment = fixture.open_page(buyer(1), order).await;
        fixture.clock.advance_ms(i64::from(HOLD_S) * 1000);
        if is_taken {
            fixture.hold(sale, buyer(2), 1).await;
        }
        fixture.decide(payment.id, PageDecision::Approve).await;
        fixture.payments.wake(payment.id).await.unwrap();
        assert_eq!(state(&fixture, payment.id).await, PaymentState::Voided);
        assert_eq!(fixture.status(order).await, OrderStatus::Expired);
        assert_eq!(fixture.money().await, (0, 0));
    }
}

#[tokio::test]
async fn a_submitted_payment_prolongs_the_hold_for_so_long_and_no_longer() {
    let (_folder, fixture, sale, order) = open_fixture().await;
    let payment = fixture.open_page(buyer(1), order).await;
    fixture.decide(payment.id, PageDecision::Submit).await;
    fixture.payments.wake(payment.id).await.unwrap();
    assert!(fixture.status(order).await.is_paying());
    assert_eq!(fixture.cancel(sale, buyer(1), order).await, CommandOutcome::Refused(Refusal::OrderPaying));
    let again = paid(fixture.pay(buyer(1), order, REDIRECT).await);
    assert!(again.order.view.status.is_paying(), "{again:?}");
    fixture.clock.advance_ms(PAYING_MS - 1);
    fixture.payments.wake(payment.id).await.unwrap();
    assert!(fixture.status(order).await.is_paying(), "nothing is over before the answer");
    fixture.clock.advance_ms(1);
    assert_eq!(fixture.status(order).await, OrderStatus::Expired);
    fixture.hold(sale, buyer(2), 1).await;
    // The bank's answer comes later still: the money goes back.
    fixture.payments.wake(payment.id).await.unwrap();
    assert_eq!(state(&fixture, payment.id).await, PaymentState::Voiding);
    fixture.decide(payment.id, PageDecision::Approve).await;
    fixture.reconcile().await;
    assert_eq!(state(&fixture, payment.id).await, PaymentState::Voided);
    assert_eq!(fixture.money().await, (0, 0));
}

#[tokio::test]
async fn a_submitted_payment_that_is_answered_in_time_keeps_its_unit() {
    for (decision, expected) in
        [(PageDecision::Approve, OrderStatus::Confirmed), (PageDecision::Decline, OrderStatus::Expired)]
    {
        let (_folder, fixture, sale, order) = open_fixture().await;
        let payment = fixture.open_page(buyer(1), order).await;
        fixture.decide(payment.id, PageDecision::Submit).await;
        fixture.payments.wake(payment.id).await.unwrap();
        fixture.clock.advance_ms(PAYING_MS - 1);
        fixture.decide(payment.id, decision).await;
        fixture.payments.wake(payment.id).await.unwrap();
        assert_eq!(fixture.status(order).await, expected);
        fixture.assert_books_agree([buyer(1)], sale).await;
    }
}

#[tokio::test]
async fn another_method_in_a_second_tab_closes_the_page() {
    let (_folder, fixture, sale, order) = open_fixture().await;
    let payment = fixture.open_page(buyer(1), order).await;
    paid(fixture.pay(buyer(1), order, APPROVE).await);
    assert_eq!(state(&fixture, payment.id).await, PaymentState::Voided);
    // The first tab pays all the same.
    fixture.decide(payment.id, PageDecision::Approve).await;
    fixture.payments.wake(payment.id).await.unwrap();
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn another_method_does_not_pay_twice_what_was_paid_on_the_page() {
    let (_folder, fixture, sale, order) = open_fixture().await;
    let payment = fixture.open_page(buyer(1), order).await;
    fixture.decide(payment.id, PageDecision::Approve).await;
    let done = paid(fixture.pay(buyer(1), order, APPROVE).await);
    assert_eq!(done.payment.unwrap().id, payment.id);
    assert_eq!(fixture.charges().await.len(), 1);
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn after_a_decline_on_the_page_another_page_may_be_opened() {
    let (_folder, fixture, sale, order) = open_fixture().await;
    let first = fixture.open_page(buyer(1), order).await;
    fixture.decide(first.id, PageDecision::Decline).await;
    fixture.payments.wake(first.id).await.unwrap();
    let second = fixture.open_page(buyer(1), order).await;
    assert_ne!(first.id, second.id);
    fixture.decide(second.id, PageDecision::Approve).await;
    fixture.payments.wake(second.id).await.unwrap();
    assert_eq!(fixture.status(order).await, OrderStatus::Confirmed);
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn an_order_that_is_given_up_closes_its_page() {
    let (_folder, fixture, sale, order) = open_fixture().await;
    let payment = fixture.open_page(buyer(1), order).await;
    fixture.cancel(sale, buyer(1), order).await;
    assert_eq!(fixture.status(order).await, OrderStatus::Cancelled);
    fixture.payments.wake(payment.id).await.unwrap();
    assert_eq!(state(&fixture, payment.id).await, PaymentState::Voided);
    assert_eq!(fixture.money().await, (0, 0));
}

#[tokio::test]
async fn a_page_whose_reply_was_lost_is_the_same_when_it_is_asked_for_again() {
    for fault in [ProviderFault::LoseRequest, ProviderFault::LoseReply] {
        let (_folder, fixture, sale, order) = open_fixture().await;
        fixture.provider.inject_fault(ProviderCall::Authorise, fault);
        unsettled(fixture.pay_with_key(buyer(1), order, REDIRECT, "k").await);
        fixture.provider.clear_faults();
        let opened = paid(fixture.pay_with_key(buyer(1), order, REDIRECT, "k").await);
        let payment = opened.payment.unwrap();
        assert!(payment.action_url.is_some(), "{fault:?}");
        assert_eq!(fixture.charges().await.len(), 1);
        fixture.decide(payment.id, PageDecision::Approve).await;
        fixture.payments.wake(payment.id).await.unwrap();
        fixture.assert_books_agree([buyer(1)], sale).await;
    }
}

#[tokio::test]
async fn a_close_that_is_lost_is_made_again() {
    for fault in [ProviderFault::LoseRequest, ProviderFault::LoseReply] {
        let (_folder, fixture, _, order) = open_fixture().await;
        let payment = fixture.open_page(buyer(1), order).await;
        fixture.clock.advance_ms(i64::from(HOLD_S) * 1000);
        fixture.provider.inject_fault(ProviderCall::Void, fault);
        fixture.payments.wake(payment.id).await.unwrap();
        assert_eq!(state(&fixture, payment.id).await, PaymentState::Voiding);
        fixture.decide(payment.id, PageDecision::Approve).await;
        fixture.provider.clear_faults();
        fixture.reconcile().await;
        assert_eq!(state(&fixture, payment.id).await, PaymentState::Voided);
        assert_eq!(fixture.money().await, (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_notices_at_once_and_a_buyer_who_asks_pay_once() {
    let (_folder, fixture, sale, order) = open_fixture().await;
    let payment = fixture.open_page(buyer(1), order).await;
    fixture.decide(payment.id, PageDecision::Approve).await;
    let notices = futures::future::join_all((0..50).map(|_| fixture.payments.wake(payment.id)));
    let (woken, asked) = tokio::join!(notices, fixture.pay(buyer(1), order, REDIRECT));
    assert!(woken.into_iter().all(|woken| woken.unwrap() == Some(order)));
    assert!(matches!(asked, Ok(Ok(_) | Err(PaymentRefusal::InFlight))), "{asked:?}");
    assert_eq!(fixture.status(order).await, OrderStatus::Confirmed);
    fixture.assert_books_agree([buyer(1)], sale).await;
}
