//! Giving the money back: once, with or without the units.

use crate::support::*;
use sale::{AdmissionMode, OrderStatus, Timestamp};
use server::payments::ProviderDispute;
use server::shop::payments::PaymentRefusal;
use server::store::payment_findings;
use server::store::payments::{self as rows, PaymentLease, PaymentState, WholeRefund};

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

#[tokio::test]
async fn parts_go_back_one_by_one_and_leave_the_unit_sold() {
    let (_folder, fixture, sale, order) = paid_order().await;
    for (minor, left) in [(1_000, PRICE - 1_000), (999, PRICE - 1_999)] {
        let done = paid(fixture.refund_part(order, minor, None).await);
        assert_eq!(done.order.view.status, OrderStatus::Confirmed);
        let payment = done.payment.unwrap();
        assert_eq!((payment.state, payment.refunded_minor), (PaymentState::Captured, PRICE - left));
        assert_eq!(fixture.money().await, (left, 0));
    }
    assert!(fixture.try_hold(sale, buyer(2), 1).await.is_none(), "its unit is sold");
    fixture.assert_books_agree([buyer(1)], sale).await;
    let whole = paid(fixture.refund(order, true, None).await);
    assert_eq!(whole.order.view.status, OrderStatus::Refunded { restocked: true });
    assert_eq!(whole.payment.unwrap().refunded_minor, PRICE);
    assert_eq!(fixture.money().await, (0, 0));
}

#[tokio::test]
async fn the_rest_as_an_amount_is_a_whole_refund() {
    for restock in [false, true] {
        let (_folder, fixture, _, order) = paid_order().await;
        paid(fixture.refund_part(order, 1_000, None).await);
        let rest = server::shop::payments::RefundRequest { restock, ..part(order, PRICE - 1_000, Some("k")) };
        for _ in 0..2 {
            let done = paid(fixture.payments.refund(rest).await);
            assert_eq!(done.order.view.status, OrderStatus::Refunded { restocked: restock });
        }
        assert_eq!(fixture.money().await, (0, 0));
    }
}

#[tokio::test]
async fn an_amount_that_is_not_all_any_more_is_no_whole_refund() {
    let (_folder, fixture, _, order) = paid_order().await;
    let before = fixture.find_live_payment(order).await.unwrap();
    paid(fixture.refund_part(order, 1_000, None).await);
    for is_exact in [true, false] {
        let mut writing = fixture.store.begin().await.unwrap();
        let lease = PaymentLease { holder: uuid::Uuid::from_u128(1), until: START };
        let whole = WholeRefund { restock: false, is_exact };
        let begun = rows::begin_refund(&mut writing, before.clone(), whole, (START, START), (lease, START));
        assert_eq!(begun.await.unwrap().is_none(), is_exact);
        writing.rollback().await.unwrap();
    }
    let left = PaymentRefusal::RefundTooHigh { left_minor: PRICE - 1_000 };
    assert_eq!(refused(fixture.refund_part(order, PRICE, None).await), left);
}

#[tokio::test]
async fn a_part_gives_no_unit_back() {
    let (_folder, fixture, _, order) = paid_order().await;
    let request = server::shop::payments::RefundRequest { restock: true, ..part(order, 1, None) };
    assert_eq!(refused(fixture.payments.refund(request).await), PaymentRefusal::PartRestock);
    assert_eq!(fixture.money().await, (PRICE, 0));
}

#[tokio::test]
async fn more_than_is_left_is_refused() {
    let (_folder, fixture, _, order) = paid_order().await;
    let too_high = |left_minor| PaymentRefusal::RefundTooHigh { left_minor };
    assert_eq!(refused(fixture.refund_part(order, PRICE + 1, None).await), too_high(PRICE));
    paid(fixture.refund_part(order, 3_000, None).await);
    assert_eq!(refused(fixture.refund_part(order, 2_000, None).await), too_high(PRICE - 3_000));
    assert_eq!(fixture.money().await, (PRICE - 3_000, 0));
}

#[tokio::test]
async fn a_part_with_a_key_goes_back_once() {
    let (_folder, fixture, sale, order) = paid_order().await;
    for _ in 0..3 {
        let done = paid(fixture.refund_part(order, 1_000, Some("k")).await);
        assert_eq!(done.payment.unwrap().refunded_minor, 1_000);
    }
    assert_eq!(refused(fixture.refund_part(order, 1_001, Some("k")).await), PaymentRefusal::KeyReused);
    paid(fixture.refund_part(order, 1_000, Some("l")).await);
    assert_eq!(fixture.money().await, (PRICE - 2_000, 0));
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parts_at_once_never_give_back_more_than_was_paid() {
    for with_keys in [false, true] {
        let (_folder, fixture, sale, order) = paid_order().await;
        let keys: Vec<_> = (0..20).map(|number| with_keys.then(|| format!("key {number}"))).collect();
        let refunds = keys.iter().map(|key| fixture.refund_part(order, 1_000, key.as_deref()));
        let answers = futures::future::join_all(refunds).await;
        let done = answers.iter().filter(|answer| matches!(answer, Ok(Ok(_)))).count();
        assert!((1..=4).contains(&done), "{answers:?}");
        for answer in &answers {
            let is_expected = matches!(
                answer,
                Ok(Ok(_)) | Ok(Err(PaymentRefusal::InFlight | PaymentRefusal::RefundTooHigh { .. }))
            );
            assert!(is_expected, "{answer:?}");
        }
        fixture.reconcile().await;
        fixture.assert_books_agree([buyer(1)], sale).await;
        assert_eq!(fixture.money().await.0, PRICE - 1_000 * i64::try_from(done).unwrap());
    }
}

#[tokio::test]
async fn a_part_whose_reply_is_lost_is_settled_by_a_repeat_or_by_the_reconciler() {
    for fault in [ProviderFault::LoseRequest, ProviderFault::LoseReply] {
        for by_reconciler in [false, true] {
            let (_folder, fixture, sale, order) = paid_order().await;
            fixture.provider.inject_fault(ProviderCall::Refund, fault);
            unsettled(fixture.refund_part(order, 1_000, Some("k")).await);
            // The rest is not known yet.
            assert_eq!(refused(fixture.refund(order, true, None).await), PaymentRefusal::InFlight);
            fixture.provider.clear_faults();
            if by_reconciler {
                fixture.reconcile().await;
            }
            let done = paid(fixture.refund_part(order, 1_000, Some("k")).await);
            assert_eq!(done.payment.unwrap().refunded_minor, 1_000);
            assert_eq!(fixture.money().await, (PRICE - 1_000, 0));
            fixture.assert_books_agree([buyer(1)], sale).await;
            paid(fixture.refund(order, true, None).await);
            assert_eq!(fixture.money().await, (0, 0));
        }
    }
}

#[tokio::test]
async fn every_part_and_the_rest_are_published_once_with_what_went_back() {
    let (_folder, fixture, _, order) = paid_order().await;
    paid(fixture.refund_part(order, 1_000, Some("k")).await);
    paid(fixture.refund_part(order, 1_000, Some("k")).await);
    paid(fixture.refund_part(order, 500, None).await);
    paid(fixture.refund(order, false, None).await);
    server::store::payment_events::number_new(&fixture.store, 100).await.unwrap();
    let events = server::store::payment_events::list_after(&fixture.store, 0, 100).await.unwrap();
    let published: Vec<_> = events
        .iter()
        .map(|event| (event.state.as_str(), event.part.is_some(), event.step, event.amount.minor))
        .collect();
    let expected = [
        ("captured", false, 1, PRICE),
        ("refunded", true, 2, 1_000),
        ("refunded", true, 3, 500),
        ("refunded", false, 4, PRICE - 1_500),
    ];
    assert_eq!(published, expected);
}

#[tokio::test]
async fn a_refund_that_meets_a_conflict_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::shared(folder.path(), TablesOn::Postgres).await;
    let (sale, free) = (
        fixture.sale(1, 9, AdmissionMode::Open).await,
        fixture.priced_sale(2, 1, AdmissionMode::Open, 0).await,
    );
    for (number, table) in [(1, "payment_keys"), (2, "payment_refunds")] {
        let order = fixture.hold(sale, buyer(number), 1).await;
        paid(fixture.pay(buyer(number), order, APPROVE).await);
        fixture.undo_next_inserts(table, 2);
        paid(fixture.refund_part(order, 100, Some(&format!("part of {number}"))).await);
        assert!(fixture.count_inserts(table) > 2, "{table}");
        fixture.undo_next_inserts(table, 2);
        let done = paid(fixture.refund(order, false, Some(&format!("rest of {number}"))).await);
        assert!(fixture.count_inserts(table) > 2, "{table}");
        assert_eq!(done.payment.unwrap().state, PaymentState::Refunded);
    }
    let order = fixture.hold(free, buyer(3), 1).await;
    fixture.undo_next_inserts("payment_keys", 2);
    paid(fixture.pay_with_key(buyer(3), order, APPROVE, "free").await);
    assert!(fixture.count_inserts("payment_keys") > 2);
    fixture.undo_next_inserts("payment_keys", 2);
    paid(fixture.refund(order, false, Some("free")).await);
    assert!(fixture.count_inserts("payment_keys") > 2);
    fixture.assert_books_agree([buyer(1), buyer(2)], sale).await;
}

#[tokio::test]
async fn a_dispute_that_meets_a_conflict_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::shared(folder.path(), TablesOn::Postgres).await;
    let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    let payment = paid(fixture.pay(buyer(1), order, APPROVE).await).payment.unwrap();
    let dispute = ProviderDispute {
        id: "dispute".to_owned(),
        status: "lost".to_owned(),
        reason: String::new(),
        amount: payment.amount,
        due_at: None,
    };
    fixture.undo_next_inserts("payment_findings", 2);
    fixture.payments.record_dispute((payment.id, "sandbox"), dispute).await.unwrap();
    assert!(fixture.count_inserts("payment_findings") > 2);
    assert_eq!(payment_findings::sum_lost(&fixture.store, payment.id).await.unwrap(), PRICE);
}

async fn what_is_on_its_way_is_known(tables: TablesOn) {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::shared(folder.path(), tables).await;
    let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    let payment = paid(fixture.pay(buyer(1), order, APPROVE).await).payment.unwrap();
    paid(fixture.refund_part(order, 50, None).await);
    fixture.provider.inject_fault(ProviderCall::Refund, ProviderFault::LoseReply);
    unsettled(fixture.refund_part(order, 100, None).await);
    let read_books = async || {
        let all = rows::list_begun(&fixture.store, "sandbox", (START, Timestamp::MAX)).await.unwrap();
        (all[&payment.id].refunded_minor, all[&payment.id].pending_minor)
    };
    assert_eq!(read_books().await, (150, 100));
    fixture.provider.clear_faults();
    fixture.reconcile().await;
    assert_eq!(read_books().await, (150, 0));
}

#[tokio::test]
async fn on_sqlite_the_books_know_what_is_on_its_way() {
    what_is_on_its_way_is_known(TablesOn::Sqlite).await;
}

#[tokio::test]
async fn on_postgres_the_books_know_what_is_on_its_way() {
    what_is_on_its_way_is_known(TablesOn::Postgres).await;
}

async fn a_refund_that_does_not_begin_leaves_its_key_free(tables: TablesOn) {
    let folder = tempfile::tempdir().unwrap();
    let fixture = PaymentFixture::shared(folder.path(), tables).await;
    let sale = fixture.sale(1, 1, AdmissionMode::Open).await;
    let order = fixture.hold(sale, buyer(1), 1).await;
    paid(fixture.pay(buyer(1), order, APPROVE).await);
    fixture.provider.inject_fault(ProviderCall::Refund, ProviderFault::LoseRequest);
    unsettled(fixture.refund_part(order, 100, Some("part")).await);
    assert_eq!(refused(fixture.refund(order, false, Some("k")).await), PaymentRefusal::InFlight);
    fixture.provider.clear_faults();
    paid(fixture.refund_part(order, 200, Some("k")).await);
    fixture.reconcile().await;
    fixture.assert_books_agree([buyer(1)], sale).await;
}

#[tokio::test]
async fn on_sqlite_a_refund_that_does_not_begin_leaves_its_key_free() {
    a_refund_that_does_not_begin_leaves_its_key_free(TablesOn::Sqlite).await;
}

#[tokio::test]
async fn on_postgres_a_refund_that_does_not_begin_leaves_its_key_free() {
    a_refund_that_does_not_begin_leaves_its_key_free(TablesOn::Postgres).await;
}
