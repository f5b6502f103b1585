//! Two processes work on the payments of one shop: whoever comes second waits, goes on or is told to come back, and nobody is
//! charged or paid back twice. On both databases, although only one of them is ever shared.

use crate::support::*;
use futures::future::join_all;
use sale::{Admission, OrderId, OrderStatus, Timestamp};
use server::shop::keys::IdempotencyKey;
use server::shop::payments::{Answered, PaidOrder, PaymentError, Payments, Refund, Refused};
use server::store::payments::{self as rows, Lease, State};
use std::sync::Arc;
use uuid::Uuid;

/// More than a lease lasts, and less than a hold.
const A_LEASE_MS: i64 = LEASE_MS + 1;

async fn two(tables: Tables) -> (tempfile::TempDir, World, Arc<Payments>) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::shared(folder.path(), tables).await;
    let other = world.beside();
    (folder, world, other)
}

/// What a buyer may be told who is not the first: that it is done, or that it is being done.
#[track_caller]
fn done_or_in_flight(answered: Answered) -> Option<PaidOrder> {
    match answered {
        Ok(Ok(paid)) => Some(paid),
        Ok(Err(Refused::InFlight | Refused::KeyReused)) => None,
        other => panic!("{other:?}"),
    }
}

fn give_back(order: OrderId, key: &str) -> Refund {
    Refund { admin: buyer(999), order, restock: true, key: Some(IdempotencyKey::of(key)) }
}

async fn an_order_that_is_paid_at_both_is_charged_once(tables: Tables) {
    let (_folder, world, other) = two(tables).await;
    let sale = world.sale(1, 60, Admission::Open).await;
    for n in 0..20 {
        let order = world.hold(sale, buyer(n), 1).await;
        // The same request through both, another in another tab, and one more without a key.
        let slow = "sandbox:slow";
        let answers = join_all([
            world.payments.pay(pay(buyer(n), order, APPROVE, Some("k"))),
            other.pay(pay(buyer(n), order, APPROVE, Some("k"))),
            other.pay(pay(buyer(n), order, slow, Some("l"))),
            world.payments.pay(pay(buyer(n), order, slow, None)),
        ])
        .await;
        let told: Vec<PaidOrder> = answers.into_iter().filter_map(done_or_in_flight).collect();
        let again = paid(other.pay(pay(buyer(n), order, APPROVE, Some("k"))).await);
        assert!(!told.is_empty());
        for paid in &told {
            assert_eq!(paid.payment.as_ref().unwrap().id, again.payment.as_ref().unwrap().id);
        }
    }
    world.assert_books_agree((0..20).map(buyer), sale).await;
}

async fn a_key_is_good_for_one_order_wherever_it_is_used(tables: Tables) {
    let (_folder, world, other) = two(tables).await;
    let sale = world.sale(1, 60, Admission::Open).await;
    for n in 0..10 {
        let (one, two) = (world.hold(sale, buyer(n), 1).await, world.hold(sale, buyer(n), 1).await);
        let (first, second) = tokio::join!(
            world.payments.pay(pay(buyer(n), one, APPROVE, Some("k"))),
            other.pay(pay(buyer(n), two, APPROVE, Some("k"))),
        );
        let paid = [first, second].into_iter().filter_map(done_or_in_flight).count();
        assert_eq!(paid, 1);
    }
    let orders = world.charges().await;
    assert_eq!(orders.len(), 10, "the other order was never charged: {orders:?}");
    world.assert_books_agree((0..10).map(buyer), sale).await;
}

async fn while_one_works_on_a_payment_the_other_lets_it(tables: Tables) {
    let (_folder, world, other) = two(tables).await;
    let sale = world.sale(1, 1, Admission::Open).await;
    let order = world.hold(sale, buyer(1), 1).await;
    world.stage.fault(Call::Authorise, Fault::HangBefore);
    let first = world.payments.clone();
    let paying = tokio::spawn(async move { first.pay(pay(buyer(1), order, APPROVE, Some("k"))).await });
    world.stage.hangs().await;
    for (method, key) in [(APPROVE, Some("k")), (APPROVE, None), (DECLINE, Some("l"))] {
        assert_eq!(refused(other.pay(pay(buyer(1), order, method, key)).await), Refused::InFlight);
    }
    let asked_back = other.refund(give_back(order, "r")).await;
    assert_eq!(refused(asked_back), Refused::InFlight);
    // It is due, but in somebody's hand: the other does not even see it.
    let soon = world.engine.now().plus_ms(20_000);
    assert_eq!(other.reconcile(soon).await.unwrap().left, 0);
    world.stage.go_on();
    paid(paying.await.unwrap());
    world.assert_books_agree([buyer(1)], sale).await;
}

/// The first stands still for longer than its lease, and then goes on as if nothing had happened.
async fn whose_lease_was_taken_moves_nothing_any_more(tables: Tables) {
    let (_folder, world, other) = two(tables).await;
    for (number, call, fault) in [
        (1, Call::Authorise, Fault::HangBefore),
        (2, Call::Authorise, Fault::HangAfter),
        (3, Call::Capture, Fault::HangBefore),
        (4, Call::Capture, Fault::HangAfter),
    ] {
        let sale = world.sale(number, 1, Admission::Open).await;
        let order = world.hold(sale, buyer(1), 1).await;
        world.stage.fault(call, fault);
        let first = world.payments.clone();
        let paying = tokio::spawn(async move { first.pay(pay(buyer(1), order, APPROVE, None)).await });
        world.stage.hangs().await;
        world.clock.advance_ms(A_LEASE_MS);
        world.stage.heal();
        // What the first has in hand is the other's now, and the buyer pays there.
        let at_other = paid(other.pay(pay(buyer(1), order, "sandbox:slow", None)).await);
        world.stage.go_on();
        match paying.await.unwrap() {
            Ok(Ok(_)) => assert_eq!(call, Call::Capture, "it was confirmed already"),
            Err(PaymentError::Unsettled) => assert_eq!(call, Call::Authorise),
            told => panic!("{call:?} {fault:?}: {told:?}"),
        }
        assert_eq!(world.status(order).await, OrderStatus::Confirmed, "{call:?} {fault:?}");
        assert_eq!(world.live(order).await.unwrap().id, at_other.payment.unwrap().id);
    }
    assert_eq!(world.money().await, (4 * PRICE, 0));
}

async fn a_lease_that_was_taken_is_worth_nothing(tables: Tables) {
    let (_folder, world, other) = two(tables).await;
    let sale = world.sale(1, 1, Admission::Open).await;
    let order = world.hold(sale, buyer(1), 1).await;
    unsettled(world.pay(buyer(1), order, LOST).await);
    let (id, now) = (world.live(order).await.unwrap().id, world.engine.now());
    let lease = || Lease { holder: Uuid::new_v4(), until: now.plus_ms(10_000) };
    let first = rows::take(&world.store, id, lease(), now).await.unwrap().unwrap();
    assert!(rows::take(&world.store, id, lease(), now).await.unwrap().is_none());
    let second = rows::take(&world.store, id, lease(), now.plus_ms(10_000)).await.unwrap().unwrap();
    assert!(!rows::renew(&world.store, &first, now.plus_ms(20_000)).await.unwrap());
    assert!(!rows::change(&world.store, &first, State::Authorised, now, now).await.unwrap());
    assert!(!rows::decline(&world.store, &first, "no", now).await.unwrap());
    assert!(!rows::abandon(&world.store, &first, now, now).await.unwrap());
    rows::let_go(&world.store, &first).await.unwrap();
    assert!(rows::change(&world.store, &second, State::Authorised, now, now).await.unwrap());
    rows::let_go(&world.store, &second).await.unwrap();
    other.reconcile(Timestamp::MAX).await.unwrap();
    world.assert_books_agree([buyer(1)], sale).await;
}

async fn two_reconcilers_settle_each_payment_once(tables: Tables) {
    let (_folder, world, other) = two(tables).await;
    let sale = world.sale(1, 60, Admission::Open).await;
    for n in 0..40 {
        let order = world.hold(sale, buyer(n), 1).await;
        unsettled(world.pay(buyer(n), order, LOST).await);
        if n % 4 == 0 {
            world.cancel(sale, buyer(n), order).await;
        }
    }
    world.clock.advance_ms(20_000);
    let now = world.engine.now();
    let (one, two) = tokio::join!(world.payments.reconcile(now), other.reconcile(now));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.settled + two.settled >= 40, "{one:?} {two:?}");
    assert_eq!(rows::unsettled(&world.store, Timestamp::MAX, 100).await.unwrap(), []);
    let charges = world.charges().await;
    let standing = |name: &str| charges.iter().filter(|charge| charge.1 == name).count();
    assert_eq!((charges.len(), standing("captured"), standing("voided")), (40, 30, 10));
    world.assert_books_agree((0..40).map(buyer), sale).await;
}

async fn money_goes_back_once_wherever_it_is_asked_for(tables: Tables) {
    let (_folder, world, other) = two(tables).await;
    let sale = world.sale(1, 20, Admission::Open).await;
    for n in 0..10 {
        let order = world.hold(sale, buyer(n), 1).await;
        paid(world.pay(buyer(n), order, APPROVE).await);
        let answers = join_all([
            world.payments.refund(give_back(order, &format!("{n} one"))),
            other.refund(give_back(order, &format!("{n} one"))),
            other.refund(give_back(order, &format!("{n} two"))),
        ])
        .await;
        assert!(answers.into_iter().filter_map(done_or_in_flight).count() >= 1);
        let again = paid(other.refund(give_back(order, &format!("{n} three"))).await);
        assert_eq!(again.order.view.status, OrderStatus::Refunded { restocked: true });
        assert_eq!(again.payment.unwrap().state, State::Refunded);
    }
    let charges = world.charges().await;
    assert!(charges.len() == 10 && charges.iter().all(|charge| charge.1 == "refunded"), "{charges:?}");
    assert_eq!(world.engine.views().get(sale).unwrap().counters.available, 20, "each unit came back once");
}

/// The same story on both databases.
macro_rules! on_both {
    ($($story:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(super::Tables::Sqlite).await;
            })+
        }

        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(super::Tables::Postgres).await;
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
