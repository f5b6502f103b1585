//! The process dies between two steps; the next one settles what is left.

use crate::support::*;
use sale::{AdmissionMode, Command, Money, OrderStatus, SaleId, Timestamp};
use server::payments::sandbox::PageDecision;
use server::payments::{IntentId, PaymentProvider, ProviderPayment, RefundId};
use server::store::payments::{
    self as rows, BeginResult, NewPayment, PaymentLease, PaymentRow, PaymentState,
};
use std::path::Path;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// What is going on when the process dies.
#[derive(Clone, Copy, Debug)]
enum WorkAtCrash {
    /// A payment.
    Paying,
    /// A payment whose reply was lost is tried again.
    Retrying,
    /// A payment whose reply was lost is tried again after all its time.
    RetryingExpired,
    /// A refund.
    Refunding,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Begins the work, kills the process when the call hangs, and returns the order.
fn die_at(folder: &Path, work: WorkAtCrash, call: ProviderCall, fault: ProviderFault) -> sale::OrderId {
    let process = runtime();
    let (fixture, order) = process.block_on(async {
        let fixture = PaymentFixture::open(folder).await;
        let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
        let order = fixture.hold(sale, buyer(1), 1).await;
        match work {
            WorkAtCrash::Paying => {}
            WorkAtCrash::Retrying => unsettled(fixture.pay(buyer(1), order, LOST).await),
            WorkAtCrash::RetryingExpired => {
                unsettled(fixture.pay(buyer(1), order, LOST).await);
                fixture.clock.advance_ms(PAYING_MS);
                assert_eq!(fixture.status(order).await, OrderStatus::Expired);
            }
            WorkAtCrash::Refunding => drop(paid(fixture.pay(buyer(1), order, APPROVE).await)),
        }
        fixture.provider.inject_fault(call, fault);
        let payments = fixture.payments.clone();
        tokio::spawn(async move {
            match work {
                WorkAtCrash::Refunding => drop(payments.refund(refund(order)).await),
                _ => drop(payments.pay(pay(buyer(1), order, LOST, Some("k"))).await),
            }
        });
        fixture.provider.wait_until_hanging().await;
        (fixture, order)
    });
    process.shutdown_background();
    drop(fixture);
    order
}

fn refund(order: sale::OrderId) -> server::shop::payments::RefundRequest {
    server::shop::payments::RefundRequest { admin: buyer(999), order, amount: None, restock: true, key: None }
}

#[test]
fn whatever_call_the_process_dies_in_is_settled_by_the_next_one() {
    use {ProviderCall::*, WorkAtCrash::*};
    let confirmed = OrderStatus::Confirmed;
    let refunded = OrderStatus::Refunded { restocked: true };
    for (work, call, expected) in [
        (Paying, Authorise, None),
        (Paying, Capture, Some(confirmed)),
        (Retrying, Find, Some(confirmed)),
        (Retrying, Capture, Some(confirmed)),
        (RetryingExpired, Find, Some(OrderStatus::Expired)),
        (RetryingExpired, Void, Some(OrderStatus::Expired)),
        (Refunding, Refund, Some(refunded)),
    ] {
        for fault in [ProviderFault::HangBefore, ProviderFault::HangAfter] {
            let name = format!("{work:?} {call:?} {fault:?}");
            // A payment that is lost by the sandbox never gets as far as its capture in one go.
            let first = if matches!((work, call), (Paying, Capture)) { WorkAtCrash::Retrying } else { work };
            let folder = tempfile::tempdir().unwrap();
            let order = die_at(folder.path(), first, call, fault);
            runtime().block_on(async {
                let fixture = PaymentFixture::open(folder.path()).await;
                fixture.reconcile().await;
                let status = fixture.status(order).await;
                match (expected, fault) {
                    (Some(expected), _) => assert_eq!(status, expected, "{name}"),
                    (None, ProviderFault::HangAfter) => assert_eq!(status, confirmed, "{name}"),
                    (None, _) => {
                        assert!(matches!(status, OrderStatus::Pending { .. }), "{name}: {status:?}");
                        paid(fixture.pay_with_key(buyer(1), order, APPROVE, "k").await);
                    }
                }
                fixture.assert_books_agree([buyer(1)], SaleId(Uuid::from_u128(1))).await;
            });
        }
    }
}

#[test]
fn an_engine_that_stops_after_the_money_was_set_aside_leaves_it_to_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let process = runtime();
    let (fixture, order) = process.block_on(async {
        let fixture = PaymentFixture::open(folder.path()).await;
        let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
        let order = fixture.hold(sale, buyer(1), 1).await;
        fixture.provider.inject_fault(ProviderCall::Authorise, ProviderFault::HangAfter);
        let payments = fixture.payments.clone();
        let paying = tokio::spawn(async move { payments.pay(pay(buyer(1), order, APPROVE, None)).await });
        fixture.provider.wait_until_hanging().await;
        fixture.engine.begin_stop();
        fixture.provider.release_calls();
        unsettled(paying.await.unwrap());
        (fixture, order)
    });
    process.shutdown_background();
    drop(fixture);
    runtime().block_on(async {
        let fixture = PaymentFixture::open(folder.path()).await;
        assert!(matches!(fixture.status(order).await, OrderStatus::Pending { .. }));
        fixture.reconcile().await;
        assert_eq!(fixture.status(order).await, OrderStatus::Confirmed);
        fixture.assert_books_agree([buyer(1)], SaleId(Uuid::from_u128(1))).await;
    });
}

/// What became of an order before the reconciler comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OrderBefore {
    Pending,
    /// The law knows of the payment.
    Paying,
    /// The same, and the hold's own end is over.
    PayingPastHold,
    ExpiredFree,
    ExpiredGone,
    Cancelled,
    Declined,
    Confirmed,
    Refunded,
}

/// What the provider did before the reconciler comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProviderBefore {
    Nothing,
    Authorised,
    Declined,
    Closed,
    Voided,
    Captured,
    Refunded,
}

/// Every pair of steps that a process can die between, as it is found in the tables, at the provider and in the ledger.
#[tokio::test]
async fn every_row_that_can_be_left_is_settled() {
    use PaymentState::*;
    let cases: &[(PaymentState, &[ProviderBefore], &[OrderBefore])] = &[
        (
            Started,
            &[ProviderBefore::Nothing, ProviderBefore::Closed],
            &[
                OrderBefore::Pending,
                OrderBefore::Paying,
                OrderBefore::PayingPastHold,
                OrderBefore::ExpiredFree,
                OrderBefore::ExpiredGone,
                OrderBefore::Cancelled,
            ],
        ),
        (
            Started,
            &[ProviderBefore::Authorised],
            &[
                OrderBefore::Pending,
                OrderBefore::Paying,
                OrderBefore::PayingPastHold,
                OrderBefore::ExpiredFree,
                OrderBefore::ExpiredGone,
                OrderBefore::Cancelled,
            ],
        ),
        (
            Started,
            &[ProviderBefore::Declined],
            &[
                OrderBefore::Pending,
                OrderBefore::Paying,
                OrderBefore::PayingPastHold,
                OrderBefore::ExpiredFree,
                OrderBefore::ExpiredGone,
                OrderBefore::Cancelled,
                OrderBefore::Declined,
            ],
        ),
        (
            Authorised,
            &[ProviderBefore::Authorised],
            &[
                OrderBefore::Pending,
                OrderBefore::Paying,
                OrderBefore::PayingPastHold,
                OrderBefore::ExpiredFree,
                OrderBefore::ExpiredGone,
                OrderBefore::Cancelled,
                OrderBefore::Confirmed,
            ],
        ),
        (Authorised, &[ProviderBefore::Captured], &[OrderBefore::Confirmed]),
        (
            Voiding,
            &[ProviderBefore::Authorised, ProviderBefore::Voided, ProviderBefore::Closed],
            &[
                OrderBefore::Pending,
                OrderBefore::Paying,
                OrderBefore::PayingPastHold,
                OrderBefore::ExpiredFree,
                OrderBefore::ExpiredGone,
                OrderBefore::Cancelled,
            ],
        ),
        (Voiding, &[ProviderBefore::Nothing], &[OrderBefore::Pending, OrderBefore::ExpiredFree]),
        (Refunding, &[ProviderBefore::Captured], &[OrderBefore::Confirmed, OrderBefore::Refunded]),
        (Refunding, &[ProviderBefore::Refunded], &[OrderBefore::Refunded]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::open(folder.path()).await;
    let mut number = 0;
    for (state, dones, fates) in cases {
        for (done, fate) in dones.iter().flat_map(|done| fates.iter().map(move |fate| (*done, *fate))) {
            number += 1;
            let sale = fixture.sale(number, 1, AdmissionMode::Open).await;
            let order = fixture.hold(sale, buyer(1), 1).await;
            let payment = payment_in_state(&fixture, sale, order, *state);
            let mut writing = fixture.store.begin().await.unwrap();
            let lease = PaymentLease { holder: Uuid::new_v4(), until: fixture.engine.now().plus_s(10) };
            let new = NewPayment { payment: payment.clone(), key: None, try_at: Timestamp(0), lease };
            let begun = rows::begin_payments(&mut writing, &[&new]).await.unwrap();
            assert!(matches!(begun[..], [BeginResult::Begun(_)]));
            writing.commit().await.unwrap();
            prepare_provider(&fixture, &payment, done).await;
            prepare_order(&fixture, sale, order, fate).await;
            fixture.reconcile().await;
            check_settled(&fixture, order, (*state, done, fate)).await;
        }
    }
    assert_eq!(fixture.money().await.1, 0, "nothing stays set aside");
}

/// What the money was set aside for, and what was confirmed before, is confirmed; only that is paid.
async fn check_settled(
    fixture: &PaymentFixture,
    order: sale::OrderId,
    case: (PaymentState, ProviderBefore, OrderBefore),
) {
    use OrderBefore::{Confirmed, ExpiredFree, ExpiredGone, Paying, PayingPastHold, Pending, Refunded};
    let (state, done, fate) = case;
    let is_set_aside = done == ProviderBefore::Authorised && state != PaymentState::Voiding;
    let expected = match fate {
        Pending | Paying | PayingPastHold if is_set_aside => OrderStatus::Confirmed,
        // Given up, and the hold is over by then.
        PayingPastHold | ExpiredFree | ExpiredGone => OrderStatus::Expired,
        Pending | Paying => {
            let status = fixture.status(order).await;
            assert!(
                matches!(status, OrderStatus::Pending { paying_until: None, .. }),
                "{case:?}: {status:?}"
            );
            status
        }
        OrderBefore::Cancelled => OrderStatus::Cancelled,
        OrderBefore::Declined => OrderStatus::Declined,
        Confirmed if state == PaymentState::Refunding => OrderStatus::Refunded { restocked: true },
        Confirmed => OrderStatus::Confirmed,
        Refunded => OrderStatus::Refunded { restocked: true },
    };
    assert_eq!(fixture.status(order).await, expected, "{case:?}");
    let live = fixture.find_live_payment(order).await.map(|payment| payment.state);
    let is_ours = live == Some(PaymentState::Captured);
    assert_eq!(is_ours, expected == OrderStatus::Confirmed, "{case:?}: {live:?}");
}

fn payment_in_state(
    fixture: &PaymentFixture,
    sale: SaleId,
    order: sale::OrderId,
    state: PaymentState,
) -> PaymentRow {
    PaymentRow {
        id: Uuid::new_v4(),
        order,
        sale,
        buyer: buyer(1),
        provider: "sandbox".to_owned(),
        reference: None,
        method: APPROVE.to_owned(),
        amount: Money { minor: PRICE, currency: "EUR".parse().unwrap() },
        state,
        action_url: None,
        language: String::new(),
        reason: String::new(),
        restock: true,
        refunded_minor: 0,
        created_at: fixture.engine.now(),
        updated_at: fixture.engine.now(),
        tries: 0,
    }
}

async fn prepare_provider(fixture: &PaymentFixture, payment: &PaymentRow, done: ProviderBefore) {
    let method = if matches!(done, ProviderBefore::Declined) { DECLINE } else { APPROVE }.to_owned();
    let request = ProviderPayment {
        intent: IntentId(payment.id),
        reference: None,
        order: payment.order,
        sale: payment.sale,
        buyer: payment.buyer,
        amount: payment.amount,
        method,
        buyer_email: None,
        description: "Lamp".to_owned(),
        language: None,
        return_url: None,
        cancel_url: None,
    };
    let provider = &fixture.provider;
    if !matches!(done, ProviderBefore::Nothing | ProviderBefore::Closed) {
        provider.authorise(&request).await;
    }
    if matches!(done, ProviderBefore::Captured | ProviderBefore::Refunded) {
        provider.capture(&request).await.unwrap();
    }
    if matches!(done, ProviderBefore::Refunded) {
        provider.refund(&request, RefundId(payment.id), payment.amount).await.unwrap();
    }
    if matches!(done, ProviderBefore::Voided | ProviderBefore::Closed) {
        provider.void(&request).await.unwrap();
    }
}

async fn prepare_order(fixture: &PaymentFixture, sale: SaleId, order: sale::OrderId, fate: OrderBefore) {
    let owner = buyer(1);
    match fate {
        OrderBefore::Pending => {}
        OrderBefore::Paying | OrderBefore::PayingPastHold => {
            fixture.run_command(sale, Command::BeginPayment { buyer: owner, order }).await;
            if fate == OrderBefore::PayingPastHold {
                fixture.clock.advance_ms(i64::from(HOLD_S) * 1000);
            }
            assert!(fixture.status(order).await.is_paying());
        }
        OrderBefore::ExpiredFree | OrderBefore::ExpiredGone => {
            fixture.clock.advance_ms(i64::from(HOLD_S) * 1000);
            assert_eq!(fixture.status(order).await, OrderStatus::Expired);
            if matches!(fate, OrderBefore::ExpiredGone) {
                let other = fixture.hold(sale, buyer(2), 1).await;
                fixture.run_command(sale, Command::Confirm { buyer: buyer(2), order: other }).await;
            }
        }
        OrderBefore::Cancelled => {
            fixture.cancel(sale, owner, order).await;
        }
        OrderBefore::Declined => {
            let reason = sale::ReleaseReason::Declined;
            fixture.run_command(sale, Command::Release { buyer: owner, order, reason }).await;
        }
        OrderBefore::Confirmed | OrderBefore::Refunded => {
            fixture.run_command(sale, Command::Confirm { buyer: owner, order }).await;
            if matches!(fate, OrderBefore::Refunded) {
                fixture.run_command(sale, Command::Refund { order, restock: true }).await;
            }
        }
    }
}

/// What goes on with a page, or with a part that is refunded, when the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageWorkAtCrash {
    /// The buyer asks for the page.
    Opening,
    /// The buyer has paid there and comes back.
    Returning,
    /// The hold is over, and the page is closed.
    Closing,
    /// The buyer has paid there after the hold, and comes back.
    ReturningExpired,
    /// An admin refunds a part.
    RefundingPart,
}

/// Begins the work, kills the process when the call hangs, and returns the order.
fn die_at_page(
    folder: &Path,
    work: PageWorkAtCrash,
    call: ProviderCall,
    fault: ProviderFault,
) -> sale::OrderId {
    use PageWorkAtCrash::{Closing, Opening, RefundingPart, Returning, ReturningExpired};
    let process = runtime();
    let (fixture, order) = process.block_on(async {
        let fixture = PaymentFixture::open(folder).await;
        let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
        let order = fixture.hold(sale, buyer(1), 1).await;
        let page = match work {
            Opening => None,
            RefundingPart => {
                paid(fixture.pay(buyer(1), order, APPROVE).await);
                None
            }
            Returning | Closing | ReturningExpired => Some(fixture.open_page(buyer(1), order).await.id),
        };
        if let Some(page) = page {
            if matches!(work, Closing | ReturningExpired) {
                fixture.clock.advance_ms(i64::from(HOLD_S) * 1000);
            }
            if matches!(work, Returning | ReturningExpired) {
                fixture.decide(page, PageDecision::Approve).await;
            }
        }
        fixture.provider.inject_fault(call, fault);
        let payments = fixture.payments.clone();
        tokio::spawn(async move {
            match (work, page) {
                (RefundingPart, _) => drop(payments.refund(part(order, 1_000, Some("k"))).await),
                (_, Some(page)) => drop(payments.wake(page).await),
                (_, None) => drop(payments.pay(pay(buyer(1), order, REDIRECT, Some("k"))).await),
            }
        });
        fixture.provider.wait_until_hanging().await;
        (fixture, order)
    });
    process.shutdown_background();
    drop(fixture);
    order
}

#[test]
fn a_page_or_a_part_at_which_the_process_dies_is_settled_by_the_next_one() {
    use PageWorkAtCrash::{Closing, Opening, RefundingPart, Returning, ReturningExpired};
    use ProviderCall::{Authorise, Capture, Find, Refund, Void};
    for (work, call) in [
        (Opening, Authorise),
        (Returning, Find),
        (Returning, Capture),
        (Closing, Find),
        (Closing, Void),
        (ReturningExpired, Find),
        (ReturningExpired, Void),
        (RefundingPart, Refund),
    ] {
        for fault in [ProviderFault::HangBefore, ProviderFault::HangAfter] {
            let name = format!("{work:?} {call:?} {fault:?}");
            let folder = tempfile::tempdir().unwrap();
            let order = die_at_page(folder.path(), work, call, fault);
            runtime().block_on(async {
                let fixture = PaymentFixture::open(folder.path()).await;
                fixture.reconcile().await;
                if work == Opening {
                    let page = fixture.open_page(buyer(1), order).await;
                    fixture.decide(page.id, PageDecision::Approve).await;
                    fixture.payments.wake(page.id).await.unwrap();
                }
                let expected = match work {
                    Opening | Returning | RefundingPart => OrderStatus::Confirmed,
                    Closing | ReturningExpired => OrderStatus::Expired,
                };
                assert_eq!(fixture.status(order).await, expected, "{name}");
                if work == RefundingPart {
                    assert_eq!(fixture.money().await, (PRICE - 1_000, 0), "{name}");
                    let again = paid(fixture.payments.refund(part(order, 1_000, Some("k"))).await);
                    assert_eq!(again.payment.unwrap().refunded_minor, 1_000, "{name}");
                }
                fixture.assert_books_agree([buyer(1)], SaleId(Uuid::from_u128(1))).await;
            });
        }
    }
}
