//! Paying: once, twice, too late, for someone else, with a lost reply, with a buyer who changes their mind.

use crate::support::*;
use engine::EngineError;
use sale::{AdmissionMode, Command, CommandOutcome, LinePosition, OrderStatus, Refusal};
use server::payments::ProviderTimeouts;
use server::shop::payments::{PayRequest, PaymentError, PaymentRefusal};
use server::store::payments::PaymentState;
use std::time::Duration;
use test_servers::wait::HANG_LIMIT;

async fn open_fixture(quantity: u32) -> (tempfile::TempDir, PaymentFixture, sale::SaleId) {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::open(folder.path()).await;
    let sale = fixture.sale(1, quantity, AdmissionMode::Open).await;
    (folder, fixture, sale)
}

#[tokio::test]
async fn a_held_order_is_paid_and_confirmed() {
    let (_folder, fixture, sale) = open_fixture(2).await;
    let order = fixture.hold(sale, buyer(1), 2).await;
    let done = paid(fixture.pay(buyer(1), order, APPROVE).await);
    assert_eq!(done.order.view.status, OrderStatus::Confirmed);
    let payment = done.payment.unwrap();
    assert_eq!((payment.state, payment.amount.minor), (PaymentState::Captured, 2 * PRICE));
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_payments_at_once_charge_once() {
    let (_folder, fixture, sale) = open_fixture(1).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    for key in [None, Some("one key")] {
        let payments = &fixture.payments;
        let tries = (0..50).map(|_| payments.pay(pay(buyer(1), order, APPROVE, key)));
        let answers = futures::future::join_all(tries).await;
        let paid = answers.iter().filter(|answer| matches!(answer, Ok(Ok(_)))).count();
        let in_flight =
            answers.iter().filter(|answer| matches!(answer, Ok(Err(PaymentRefusal::InFlight)))).count();
        assert!(paid >= 1 && paid + in_flight == 50, "{answers:?}");
    }
    assert_eq!(fixture.charges().await.len(), 1);
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn the_same_key_gives_the_same_reply_and_no_other_content() {
    let (_folder, fixture, sale) = open_fixture(3).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    let other = fixture.hold(sale, buyer(1), 1).await;
    let first = paid(fixture.pay_with_key(buyer(1), order, APPROVE, "k").await);
    let again = paid(fixture.pay_with_key(buyer(1), order, APPROVE, "k").await);
    assert_eq!(first.payment, again.payment);
    assert_eq!(refused(fixture.pay_with_key(buyer(1), order, DECLINE, "k").await), PaymentRefusal::KeyReused);
    assert_eq!(refused(fixture.pay_with_key(buyer(1), other, APPROVE, "k").await), PaymentRefusal::KeyReused);
    let theirs = fixture.hold(sale, buyer(2), 1).await;
    paid(fixture.pay_with_key(buyer(2), theirs, APPROVE, "k").await);
    assert_eq!(fixture.charges().await.len(), 2);
}

#[tokio::test]
async fn an_order_of_a_sale_that_the_tables_do_not_have_is_not_charged() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::open(folder.path()).await;
    let sale = fixture.unlisted_sale(1, 1, AdmissionMode::Open, PRICE).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    let answer = fixture.pay(buyer(1), order, APPROVE).await;
    assert!(matches!(answer, Err(PaymentError::Engine(EngineError::StateUnknown))), "{answer:?}");
    assert!(fixture.find_live_payment(order).await.is_none(), "no payment has begun");
    assert_eq!(fixture.charges().await, []);
}

#[tokio::test]
async fn another_buyers_order_is_unknown() {
    let (_folder, fixture, sale) = open_fixture(1).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    assert_eq!(refused(fixture.pay(buyer(2), order, APPROVE).await), PaymentRefusal::OrderUnknown);
    assert_eq!(fixture.charges().await, []);
}

#[tokio::test]
async fn an_unknown_method_is_refused_before_anything() {
    let (_folder, fixture, sale) = open_fixture(1).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    assert_eq!(refused(fixture.pay(buyer(1), order, "cash").await), PaymentRefusal::UnknownMethod);
    assert_eq!(fixture.find_live_payment(order).await, None);
}

#[tokio::test]
async fn a_payment_after_the_hold_is_not_even_tried() {
    for is_taken in [false, true] {
        let (_folder, fixture, sale) = open_fixture(1).await;
        let order = fixture.hold(sale, buyer(1), 1).await;
        fixture.clock.advance_ms(i64::from(HOLD_S) * 1000);
        assert_eq!(fixture.status(order).await, OrderStatus::Expired);
        if is_taken {
            fixture.hold(sale, buyer(2), 1).await;
        }
        assert_eq!(
            refused(fixture.pay(buyer(1), order, APPROVE).await),
            PaymentRefusal::OrderGone(OrderStatus::Expired)
        );
        assert_eq!(fixture.charges().await, []);
        assert_eq!(fixture.status(order).await, OrderStatus::Expired);
    }
}

#[tokio::test]
async fn a_hold_lasts_until_the_bank_has_answered() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::open(folder.path()).await;
    let sale = fixture.sale(1, 1, fifo()).await;
    for number in 1..=2 {
        fixture.run_command(sale, Command::Join { buyer: buyer(number) }).await;
    }
    let order = fixture.hold(sale, buyer(1), 1).await;
    fixture.provider.inject_fault(ProviderCall::Authorise, ProviderFault::HangBefore);
    let paying = tokio::spawn({
        let payments = fixture.payments.clone();
        async move { payments.pay(pay(buyer(1), order, APPROVE, None)).await }
    });
    fixture.provider.wait_until_hanging().await;
    let held_until = match fixture.status(order).await {
        OrderStatus::Pending { until, paying_until: Some(_) } => until,
        other => panic!("{other:?}"),
    };
    fixture.clock.advance_ms(PAYING_MS - 1);
    assert!(fixture.engine.now() > held_until);
    assert!(fixture.status(order).await.is_paying(), "nothing is over before the answer");
    let next = fixture.engine.buyer(sale, buyer(2)).await.unwrap();
    assert!(matches!(next.place, Some(LinePosition::Waiting { .. })), "{next:?}");
    fixture.provider.release_calls();
    let done = paid(paying.await.unwrap());
    assert_eq!(done.order.view.status, OrderStatus::Confirmed);
    fixture.assert_books_agree([buyer(1), buyer(2)], sale).await;
}

#[tokio::test]
async fn an_answer_that_comes_after_all_time_is_voided() {
    for is_taken in [false, true] {
        let (_folder, fixture, sale) = open_fixture(1).await;
        let order = fixture.hold(sale, buyer(1), 1).await;
        fixture.provider.inject_fault(ProviderCall::Authorise, ProviderFault::HangAfter);
        let paying = tokio::spawn({
            let payments = fixture.payments.clone();
            async move { payments.pay(pay(buyer(1), order, APPROVE, None)).await }
        });
        fixture.provider.wait_until_hanging().await;
        fixture.clock.advance_ms(PAYING_MS);
        assert_eq!(fixture.status(order).await, OrderStatus::Expired);
        if is_taken {
            fixture.hold(sale, buyer(2), 1).await;
        }
        fixture.provider.release_calls();
        assert_eq!(refused(paying.await.unwrap()), PaymentRefusal::OrderGone(OrderStatus::Expired));
        assert_eq!(fixture.find_live_payment(order).await, None, "the money was let go");
        assert_eq!(fixture.status(order).await, OrderStatus::Expired);
        fixture.assert_books_agree([buyer(1), buyer(2)], sale).await;
    }
}

#[tokio::test]
async fn an_order_is_not_cancelled_while_it_is_paid() {
    let (_folder, fixture, sale) = open_fixture(1).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    fixture.provider.inject_fault(ProviderCall::Authorise, ProviderFault::HangAfter);
    let paying = tokio::spawn({
        let payments = fixture.payments.clone();
        async move { payments.pay(pay(buyer(1), order, APPROVE, Some("k"))).await }
    });
    fixture.provider.wait_until_hanging().await;
    let cancelled = fixture.cancel(sale, buyer(1), order).await;
    assert_eq!(cancelled, CommandOutcome::Refused(Refusal::OrderPaying));
    fixture.provider.release_calls();
    paid(paying.await.unwrap());
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn an_order_that_was_cancelled_before_is_not_charged() {
    let (_folder, fixture, sale) = open_fixture(1).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    fixture.cancel(sale, buyer(1), order).await;
    for _ in 0..2 {
        let answered = fixture.pay_with_key(buyer(1), order, APPROVE, "k").await;
        assert_eq!(refused(answered), PaymentRefusal::OrderGone(OrderStatus::Cancelled));
    }
    assert_eq!(fixture.charges().await, []);
}

#[tokio::test]
async fn a_buyer_whose_payment_failed_is_not_charged_later() {
    let (_folder, fixture, sale) = open_fixture(1).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    unsettled(fixture.pay(buyer(1), order, LOST).await);
    fixture.clock.advance_ms(i64::from(HOLD_S) * 1000);
    assert!(fixture.status(order).await.is_paying(), "its answer is not known yet");
    fixture.clock.advance_ms(PAYING_MS);
    let taken = fixture.hold(sale, buyer(2), 1).await;
    fixture.provider.inject_fault(ProviderCall::Void, ProviderFault::LoseRequest);
    assert_eq!(
        refused(fixture.pay(buyer(1), order, LOST).await),
        PaymentRefusal::OrderGone(OrderStatus::Expired)
    );
    assert_eq!(fixture.find_live_payment(order).await.unwrap().state, PaymentState::Voiding);
    // The unit comes back before the reconciler comes by.
    fixture.cancel(sale, buyer(2), taken).await;
    fixture.provider.clear_faults();
    fixture.reconcile().await;
    assert_eq!(fixture.status(order).await, OrderStatus::Expired);
    assert_eq!(fixture.money().await, (0, 0));
    assert_eq!(
        refused(fixture.pay(buyer(1), order, APPROVE).await),
        PaymentRefusal::OrderGone(OrderStatus::Expired)
    );
    fixture.assert_books_agree([buyer(1), buyer(2)], sale).await;
}

#[tokio::test]
async fn a_declined_payment_leaves_the_hold_for_another_card() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::open(folder.path()).await;
    let sale = fixture.sale(1, 1, fifo()).await;
    for number in 1..=2 {
        fixture.run_command(sale, Command::Join { buyer: buyer(number) }).await;
    }
    let order = fixture.hold(sale, buyer(1), 1).await;
    let before = fixture.status(order).await;
    let declined = refused(fixture.pay_with_key(buyer(1), order, DECLINE, "k").await);
    assert!(matches!(declined, PaymentRefusal::Declined { .. }), "{declined:?}");
    assert_eq!(fixture.status(order).await, before, "held as long as before");
    let next = fixture.engine.buyer(sale, buyer(2)).await.unwrap();
    assert!(matches!(next.place, Some(LinePosition::Waiting { .. })), "{next:?}");
    assert_eq!(refused(fixture.pay_with_key(buyer(1), order, DECLINE, "k").await), declined);
    paid(fixture.pay(buyer(1), order, APPROVE).await);
    // Repeated with its key, it says what it said, whatever another card has done since.
    assert_eq!(refused(fixture.pay_with_key(buyer(1), order, DECLINE, "k").await), declined);
    fixture.assert_books_agree([buyer(1), buyer(2)], sale).await;
}

#[tokio::test]
async fn a_card_that_is_declined_after_the_hold_ends_it() {
    let (_folder, fixture, sale) = open_fixture(1).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    fixture.provider.inject_fault(ProviderCall::Authorise, ProviderFault::HangBefore);
    let paying = tokio::spawn({
        let payments = fixture.payments.clone();
        async move { payments.pay(pay(buyer(1), order, DECLINE, None)).await }
    });
    fixture.provider.wait_until_hanging().await;
    fixture.clock.advance_ms(i64::from(HOLD_S) * 1000);
    fixture.provider.release_calls();
    let declined = refused(paying.await.unwrap());
    assert!(matches!(declined, PaymentRefusal::Declined { .. }), "{declined:?}");
    assert_eq!(fixture.status(order).await, OrderStatus::Expired);
    fixture.hold(sale, buyer(2), 1).await;
}

#[tokio::test]
async fn another_card_is_tried_after_one_whose_decline_was_lost() {
    let (_folder, fixture, sale) = open_fixture(1).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    fixture.provider.inject_fault(ProviderCall::Authorise, ProviderFault::LoseReply);
    unsettled(fixture.pay_with_key(buyer(1), order, DECLINE, "k").await);
    assert!(fixture.status(order).await.is_paying());
    fixture.provider.clear_faults();
    let done = paid(fixture.pay_with_key(buyer(1), order, APPROVE, "l").await);
    let again = paid(fixture.pay_with_key(buyer(1), order, APPROVE, "l").await);
    assert_eq!(done.payment.unwrap().id, again.payment.unwrap().id);
    let declined = refused(fixture.pay_with_key(buyer(1), order, DECLINE, "k").await);
    assert!(matches!(declined, PaymentRefusal::Declined { .. }), "{declined:?}");
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn a_lost_reply_is_settled_by_a_retry() {
    // With the same key, with another, without, and by another method: the money that is set aside is used.
    for (first, then, method) in [
        (Some("k"), Some("k"), LOST),
        (Some("k"), Some("l"), LOST),
        (None, None, LOST),
        (None, None, APPROVE),
    ] {
        let (_folder, fixture, sale) = open_fixture(1).await;
        let order = fixture.hold(sale, buyer(1), 1).await;
        unsettled(fixture.payments.pay(pay(buyer(1), order, LOST, first)).await);
        paid(fixture.payments.pay(pay(buyer(1), order, method, then)).await);
        assert_eq!(fixture.charges().await.len(), 1);
        fixture.assert_books_agree([buyer(1)], sale).await;
    }
}

#[tokio::test]
async fn a_lost_reply_is_settled_by_the_reconciler() {
    let (_folder, fixture, sale) = open_fixture(1).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    unsettled(fixture.pay(buyer(1), order, LOST).await);
    assert_eq!(
        fixture.payments.reconcile(fixture.engine.now()).await.unwrap().settled,
        0,
        "not yet: it may be in flight"
    );
    fixture.clock.advance_ms(15_000);
    assert_eq!(fixture.payments.reconcile(fixture.engine.now()).await.unwrap().settled, 1);
    assert_eq!(fixture.status(order).await, OrderStatus::Confirmed);
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn a_request_that_never_reached_the_provider_is_given_up_and_can_be_made_again() {
    for by_reconciler in [false, true] {
        let (_folder, fixture, sale) = open_fixture(1).await;
        let order = fixture.hold(sale, buyer(1), 1).await;
        fixture.provider.inject_fault(ProviderCall::Authorise, ProviderFault::LoseRequest);
        unsettled(fixture.pay_with_key(buyer(1), order, APPROVE, "k").await);
        fixture.provider.clear_faults();
        if by_reconciler {
            fixture.reconcile().await;
            assert_eq!(fixture.find_live_payment(order).await, None);
        }
        paid(fixture.pay_with_key(buyer(1), order, APPROVE, "k").await);
        fixture.assert_books_agree([buyer(1)], sale).await;
    }
}

#[tokio::test]
async fn a_provider_that_never_answers_is_waited_for_only_so_long() {
    let folder = tempfile::tempdir().unwrap();
    // Long enough for a busy machine to make the calls that do not hang.
    let timeout = Duration::from_secs(2);
    let limits = ProviderTimeouts { authorise: timeout, other: timeout, list: timeout };
    let fixture = PaymentFixture::with_limits(folder.path(), limits).await;
    let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    fixture.provider.inject_fault(ProviderCall::Authorise, ProviderFault::HangAfter);
    unsettled(fixture.pay(buyer(1), order, APPROVE).await);
    fixture.provider.inject_fault(ProviderCall::Find, ProviderFault::HangBefore);
    unsettled(fixture.pay(buyer(1), order, APPROVE).await);
    fixture.provider.clear_faults();
    // The order is confirmed though its payment is not captured yet.
    fixture.provider.inject_fault(ProviderCall::Capture, ProviderFault::HangBefore);
    let done = paid(fixture.pay(buyer(1), order, APPROVE).await);
    assert_eq!(done.payment.unwrap().state, PaymentState::Authorised);
    fixture.provider.clear_faults();
    fixture.reconcile().await;
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing_between_two_steps() {
    let (_folder, fixture, sale) = open_fixture(1).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    fixture.provider.inject_fault(ProviderCall::Authorise, ProviderFault::HangBefore);
    let client = fixture.payments.pay(pay(buyer(1), order, APPROVE, None));
    tokio::select! {
        answered = client => panic!("{answered:?}"),
        () = fixture.provider.wait_until_hanging() => {}
    }
    assert_eq!(refused(fixture.pay(buyer(1), order, APPROVE).await), PaymentRefusal::InFlight);
    fixture.provider.release_calls();
    assert!(fixture.payments.drain(HANG_LIMIT).await);
    assert_eq!(fixture.status(order).await, OrderStatus::Confirmed);
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn what_costs_nothing_is_confirmed_without_the_provider() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::open(folder.path()).await;
    let sale = fixture.priced_sale(1, 1, AdmissionMode::Open, 0).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    for _ in 0..2 {
        assert!(paid(fixture.pay_with_key(buyer(1), order, APPROVE, "k").await).payment.is_none());
    }
    let without_card = PayRequest { buyer: buyer(1), order, method: None, key: None, language: "" };
    assert!(paid(fixture.payments.pay(without_card).await).payment.is_none());
    assert_eq!(fixture.charges().await, []);
}

#[tokio::test]
async fn what_costs_something_needs_a_method() {
    let (_folder, fixture, sale) = open_fixture(1).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    let request = PayRequest { buyer: buyer(1), order, method: None, key: None, language: "" };
    assert_eq!(refused(fixture.payments.pay(request).await), PaymentRefusal::MissingMethod);
    assert!(!fixture.status(order).await.is_paying());
}
