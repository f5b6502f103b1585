//! Giving the money back: once, with or without the units.

use crate::support::*;
use sale::{AdmissionMode, OrderStatus};
use server::shop::payments::PaymentRefusal;
use server::store::payments::PaymentState;

async fn paid_order() -> (tempfile::TempDir, PaymentFixture, sale::SaleId, sale::OrderId) {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::open(folder.path()).await;
    let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    paid(fixture.pay(buyer(1), order, APPROVE).await);
    (folder, fixture, sale, order)
}

#[tokio::test]
async fn a_refund_gives_the_money_back_and_the_unit_where_it_is_wanted() {
    for restock in [false, true] {
        let (_folder, fixture, sale, order) = paid_order().await;
        let done = paid(fixture.refund(order, restock, None).await);
        assert_eq!(done.order.view.status, OrderStatus::Refunded { restocked: restock });
        assert_eq!(done.payment.unwrap().state, PaymentState::Refunded);
        assert_eq!(fixture.money().await, (0, 0));
        assert_eq!(fixture.try_hold(sale, buyer(2), 1).await.is_some(), restock);
    }
}

#[tokio::test]
async fn a_refund_is_done_once() {
    let (_folder, fixture, _, order) = paid_order().await;
    let first = paid(fixture.refund(order, true, Some("k")).await);
    for (restock, key) in [(true, Some("k")), (true, None), (false, None), (false, Some("l"))] {
        let again = paid(fixture.refund(order, restock, key).await);
        assert_eq!(again.order.view, first.order.view);
        assert_eq!(again.payment, first.payment);
    }
    assert_eq!(refused(fixture.refund(order, false, Some("k")).await), PaymentRefusal::KeyReused);
    let refunded = PaymentRefusal::OrderState(OrderStatus::Refunded { restocked: true });
    assert_eq!(refused(fixture.pay(buyer(1), order, APPROVE).await), refunded);
}

#[tokio::test]
async fn an_order_that_is_not_paid_is_not_refunded() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::open(folder.path()).await;
    let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    let answer = refused(fixture.refund(order, true, None).await);
    assert!(matches!(answer, PaymentRefusal::OrderState(OrderStatus::Pending { .. })), "{answer:?}");
    let unknown = sale::OrderId(uuid::Uuid::from_u128(5));
    assert_eq!(refused(fixture.refund(unknown, true, None).await), PaymentRefusal::OrderUnknown);
}

#[tokio::test]
async fn an_order_without_a_payment_is_refunded_in_the_law_alone() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::open(folder.path()).await;
    let sale = fixture.priced_sale(1, 1, AdmissionMode::Open, 0).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    paid(fixture.pay(buyer(1), order, APPROVE).await);
    let done = paid(fixture.refund(order, true, Some("k")).await);
    assert_eq!(done.order.view.status, OrderStatus::Refunded { restocked: true });
    assert!(done.payment.is_none());
}

#[tokio::test]
async fn a_refund_whose_reply_is_lost_is_settled_by_the_reconciler() {
    for fault in [ProviderFault::LoseRequest, ProviderFault::LoseReply] {
        let (_folder, fixture, sale, order) = paid_order().await;
        fixture.provider.inject_fault(ProviderCall::Refund, fault);
        let done = paid(fixture.refund(order, false, None).await);
        assert_eq!(done.payment.unwrap().state, PaymentState::Refunding);
        fixture.provider.clear_faults();
        fixture.reconcile().await;
        fixture.assert_books_agree([buyer(1)], sale).await;
    }
}

#[tokio::test]
async fn an_order_whose_money_is_not_taken_yet_is_settled_before_it_is_refunded() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::open(folder.path()).await;
    let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    fixture.provider.inject_fault(ProviderCall::Capture, ProviderFault::LoseRequest);
    paid(fixture.pay(buyer(1), order, APPROVE).await);
    unsettled(fixture.refund(order, true, None).await);
    assert_eq!(fixture.status(order).await, OrderStatus::Confirmed);
    fixture.provider.clear_faults();
    paid(fixture.refund(order, true, None).await);
    assert_eq!(fixture.money().await, (0, 0));
    fixture.assert_books_agree([buyer(1)], sale).await;
}
