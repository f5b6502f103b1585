//! Two processes work on the payments of one shop: the second waits, takes over or gets a refusal to retry, and no buyer is
//! charged or refunded twice. The tests run on both databases, although only PostgreSQL is ever shared.

use crate::support::*;
use futures::future::join_all;
use sale::{AdmissionMode, OrderId, OrderStatus, Timestamp};
use server::shop::idempotency_keys::IdempotencyKey;
use server::shop::payments::{
    PaidOrder, PaymentError, PaymentRefusal, PaymentResult, PaymentService, RefundRequest,
};
use server::store::payments::{
    self as rows, LeasedPayment, PaymentLease, PaymentState, PaymentStep, StepWrite,
};
use std::sync::Arc;
use uuid::Uuid;

/// More than a lease lasts, and less than a hold.
const A_LEASE_MS: i64 = LEASE_MS + 1;

async fn two_services(tables: TablesOn) -> (tempfile::TempDir, PaymentFixture, Arc<PaymentService>) {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::shared(folder.path(), tables).await;
    let other = fixture.second_service().await;
    (folder, fixture, other)
}

/// The replies that a second request may get: that it is done, or that it is in progress.
#[track_caller]
fn done_or_in_flight(answered: PaymentResult) -> Option<PaidOrder> {
    match answered {
        Ok(Ok(paid)) => Some(paid),
        Ok(Err(PaymentRefusal::InFlight | PaymentRefusal::KeyReused)) => None,
        other => panic!("{other:?}"),
    }
}

fn refund_request(order: OrderId, key: &str) -> RefundRequest {
    RefundRequest {
        admin: buyer(999),
        order,
        amount: None,
        restock: true,
        key: Some(IdempotencyKey::from_text(key)),
    }
}

async fn an_order_that_is_paid_at_both_is_charged_once(tables: TablesOn) {
    let (_folder, fixture, other) = two_services(tables).await;
    let sale = fixture.sale(1, 60, AdmissionMode::Open).await;
    for n in 0..20 {
        let order = fixture.hold(sale, buyer(n), 1).await;
        // The same request through both, another in another tab, and one more without a key.
        let slow = "sandbox:slow";
        let answers = join_all([
            fixture.payments.pay(pay(buyer(n), order, APPROVE, Some("k"))),
            other.pay(pay(buyer(n), order, APPROVE, Some("k"))),
            other.pay(pay(buyer(n), order, slow, Some("l"))),
            fixture.payments.pay(pay(buyer(n), order, slow, None)),
        ])
        .await;
        let result: Vec<PaidOrder> = answers.into_iter().filter_map(done_or_in_flight).collect();
        let again = paid(other.pay(pay(buyer(n), order, APPROVE, Some("k"))).await);
        assert!(!result.is_empty());
        for paid in &result {
            assert_eq!(paid.payment.as_ref().unwrap().id, again.payment.as_ref().unwrap().id);
        }
    }
    fixture.assert_books_agree((0..20).map(buyer), sale).await;
}

async fn a_key_is_good_for_one_order_wherever_it_is_used(tables: TablesOn) {
    let (_folder, fixture, other) = two_services(tables).await;
    let sale = fixture.sale(1, 60, AdmissionMode::Open).await;
    for n in 0..10 {
        let (one, two) = (fixture.hold(sale, buyer(n), 1).await, fixture.hold(sale, buyer(n), 1).await);
        let (first, second) = tokio::join!(
            fixture.payments.pay(pay(buyer(n), one, APPROVE, Some("k"))),
            other.pay(pay(buyer(n), two, APPROVE, Some("k"))),
        );
        let paid = [first, second].into_iter().filter_map(done_or_in_flight).count();
        assert_eq!(paid, 1);
    }
    let orders = fixture.charges().await;
    assert_eq!(orders.len(), 10, "the other order was never charged: {orders:?}");
    fixture.assert_books_agree((0..10).map(buyer), sale).await;
}

async fn while_one_works_on_a_payment_the_other_lets_it(tables: TablesOn) {
    let (_folder, fixture, other) = two_services(tables).await;
    let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    fixture.provider.inject_fault(ProviderCall::Authorise, ProviderFault::HangBefore);
    let first = fixture.payments.clone();
    let paying = tokio::spawn(async move { first.pay(pay(buyer(1), order, APPROVE, Some("k"))).await });
    fixture.provider.wait_until_hanging().await;
    for (method, key) in [(APPROVE, Some("k")), (APPROVE, None), (DECLINE, Some("l"))] {
        assert_eq!(refused(other.pay(pay(buyer(1), order, method, key)).await), PaymentRefusal::InFlight);
    }
    let asked_back = other.refund(refund_request(order, "r")).await;
    assert_eq!(refused(asked_back), PaymentRefusal::InFlight);
    // It is due, but leased: the other process does not see it.
    let soon = fixture.engine.now().plus_ms(20_000);
    assert_eq!(other.reconcile(soon).await.unwrap().waiting, 0);
    fixture.provider.release_calls();
    paid(paying.await.unwrap());
    fixture.assert_books_agree([buyer(1)], sale).await;
}

/// The first process stops for longer than its lease, then continues with the old one.
async fn whose_lease_was_taken_moves_nothing_any_more(tables: TablesOn) {
    let (_folder, fixture, other) = two_services(tables).await;
    for (number, call, fault) in [
        (1, ProviderCall::Authorise, ProviderFault::HangBefore),
        (2, ProviderCall::Authorise, ProviderFault::HangAfter),
        (3, ProviderCall::Capture, ProviderFault::HangBefore),
        (4, ProviderCall::Capture, ProviderFault::HangAfter),
    ] {
        let sale = fixture.sale(number, 1, AdmissionMode::Open).await;
        let order = fixture.hold(sale, buyer(1), 1).await;
        fixture.provider.inject_fault(call, fault);
        let first = fixture.payments.clone();
        let paying = tokio::spawn(async move { first.pay(pay(buyer(1), order, APPROVE, None)).await });
        fixture.provider.wait_until_hanging().await;
        fixture.clock.advance_ms(A_LEASE_MS);
        fixture.provider.clear_faults();
        // What the first has in hand is the other's now, and the buyer pays there.
        let at_other = paid(other.pay(pay(buyer(1), order, "sandbox:slow", None)).await);
        fixture.provider.release_calls();
        match paying.await.unwrap() {
            Ok(Ok(_)) => assert_eq!(call, ProviderCall::Capture, "it was confirmed already"),
            Err(PaymentError::Unsettled) => assert_eq!(call, ProviderCall::Authorise),
            result => panic!("{call:?} {fault:?}: {result:?}"),
        }
        assert_eq!(fixture.status(order).await, OrderStatus::Confirmed, "{call:?} {fault:?}");
        assert_eq!(fixture.find_live_payment(order).await.unwrap().id, at_other.payment.unwrap().id);
    }
    assert_eq!(fixture.money().await, (4 * PRICE, 0));
}

async fn a_lease_that_was_taken_is_worth_nothing(tables: TablesOn) {
    let (_folder, fixture, other) = two_services(tables).await;
    let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    unsettled(fixture.pay(buyer(1), order, LOST).await);
    let (id, now) = (fixture.find_live_payment(order).await.unwrap().id, fixture.engine.now());
    let lease = || PaymentLease { holder: Uuid::new_v4(), until: now.plus_ms(10_000) };
    let first = rows::acquire_lease(&fixture.store, id, lease(), now).await.unwrap().unwrap();
    assert!(rows::acquire_lease(&fixture.store, id, lease(), now).await.unwrap().is_none());
    let second =
        rows::acquire_lease(&fixture.store, id, lease(), now.plus_ms(10_000)).await.unwrap().unwrap();
    assert!(!rows::renew_lease(&fixture.store, &first, now.plus_ms(20_000)).await.unwrap());
    let take_step = async |leased: &LeasedPayment, step: PaymentStep| {
        let mut writing = fixture.store.begin().await.unwrap();
        let step = StepWrite { leased: leased.clone(), step, now, try_at: now };
        let moved = rows::take_steps(&mut writing, &[&step]).await.unwrap().remove(0);
        writing.commit().await.unwrap();
        moved.map(|moved| moved.state)
    };
    assert_eq!(take_step(&first, PaymentStep::Change(PaymentState::Authorised)).await, None);
    assert_eq!(take_step(&first, PaymentStep::Decline("no".to_owned())).await, None);
    assert_eq!(take_step(&first, PaymentStep::Abandon).await, None);
    rows::release_lease(&fixture.store, &first).await.unwrap();
    let authorised = take_step(&second, PaymentStep::Change(PaymentState::Authorised)).await;
    assert_eq!(authorised, Some(PaymentState::Authorised));
    rows::release_lease(&fixture.store, &second).await.unwrap();
    other.reconcile(Timestamp::MAX).await.unwrap();
    fixture.assert_books_agree([buyer(1)], sale).await;
}

async fn two_reconcilers_settle_each_payment_once(tables: TablesOn) {
    let (_folder, fixture, other) = two_services(tables).await;
    let sale = fixture.sale(1, 60, AdmissionMode::Open).await;
    for n in 0..40 {
        let order = fixture.hold(sale, buyer(n), 1).await;
        unsettled(fixture.pay(buyer(n), order, LOST).await);
        if n == 9 {
            // The first ten are answered after all their time.
            fixture.clock.advance_ms(PAYING_MS);
        }
    }
    fixture.clock.advance_ms(20_000);
    let now = fixture.engine.now();
    let (one, two) = tokio::join!(fixture.payments.reconcile(now), other.reconcile(now));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.settled + two.settled >= 40, "{one:?} {two:?}");
    assert_eq!(rows::list_unsettled(&fixture.store, Timestamp::MAX, 100).await.unwrap(), []);
    let charges = fixture.charges().await;
    let count = |name: &str| charges.iter().filter(|charge| charge.1 == name).count();
    assert_eq!((charges.len(), count("captured"), count("voided")), (40, 30, 10));
    fixture.assert_books_agree((0..40).map(buyer), sale).await;
}

async fn money_goes_back_once_wherever_it_is_asked_for(tables: TablesOn) {
    let (_folder, fixture, other) = two_services(tables).await;
    let sale = fixture.sale(1, 20, AdmissionMode::Open).await;
    for n in 0..10 {
        let order = fixture.hold(sale, buyer(n), 1).await;
        paid(fixture.pay(buyer(n), order, APPROVE).await);
        let answers = join_all([
            fixture.payments.refund(refund_request(order, &format!("{n} one"))),
            other.refund(refund_request(order, &format!("{n} one"))),
            other.refund(refund_request(order, &format!("{n} two"))),
        ])
        .await;
        assert!(answers.into_iter().filter_map(done_or_in_flight).count() >= 1);
        let again = paid(other.refund(refund_request(order, &format!("{n} three"))).await);
        assert_eq!(again.order.view.status, OrderStatus::Refunded { restocked: true });
        assert_eq!(again.payment.unwrap().state, PaymentState::Refunded);
    }
    let charges = fixture.charges().await;
    assert!(charges.len() == 10 && charges.iter().all(|charge| charge.1 == "refunded"), "{charges:?}");
    assert_eq!(fixture.engine.views().get(sale).unwrap().counters.available, 20, "each unit came back once");
}

/// The same story on both databases.
macro_rules! on_both {
    ($($story:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(super::TablesOn::Sqlite).await;
            })+
        }

        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(super::TablesOn::Postgres).await;
            })+
        }
    };
}

on_both!(
    an_order_that_is_paid_at_both_is_charged_once,
    a_key_is_good_for_one_order_wherever_it_is_used,
    while_one_works_on_a_payment_the_other_lets_it,
    whose_lease_was_taken_moves_nothing_any_more,
    a_lease_that_was_taken_is_worth_nothing,
    two_reconcilers_settle_each_payment_once,
    money_goes_back_once_wherever_it_is_asked_for,
);
