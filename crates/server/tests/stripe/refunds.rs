//! Refunds in full and in part, above what is left, in parallel, and beside the dashboard.

use crate::support::{StripeFixture, money, payment};
use futures::future::join_all;
use server::payments::{PaymentProvider, PaymentStatus, RefundId};
use std::collections::BTreeSet;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_made_once_for_each_id() {
    let stripe = StripeFixture::start();
    let paid = stripe.captured(payment(1_000, "EUR")).await;
    let part = RefundId(Uuid::new_v4());
    for _ in 0..3 {
        let answer = stripe.provider.refund(&paid, part, money(300, "EUR")).await.unwrap();
        assert_eq!((answer.status, answer.refunded_minor), (PaymentStatus::Captured, 300));
    }
    let rest = stripe.provider.refund(&paid, RefundId(Uuid::new_v4()), money(700, "EUR")).await.unwrap();
    assert_eq!((rest.status, rest.refunded_minor), (PaymentStatus::Refunded, 1_000));
    assert_eq!(stripe.stand_in.money_kept("eur"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_goes_back_than_was_taken() {
    let stripe = StripeFixture::start();
    let paid = stripe.captured(payment(1_000, "EUR")).await;
    let refunds = (0..8).map(|_| {
        let (stripe, paid) = (&stripe, &paid);
        async move { stripe.provider.refund(paid, RefundId(Uuid::new_v4()), money(300, "EUR")).await }
    });
    for answer in join_all(refunds).await {
        assert!(answer.unwrap().refunded_minor <= 1_000);
    }
    assert_eq!(stripe.stand_in.money_kept("eur"), 100, "three of eight were made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_in_the_dashboard_counts_and_is_listed() {
    let stripe = StripeFixture::start();
    let paid = stripe.captured(payment(1_000, "ISK")).await;
    let intent = stripe.intent(&paid);
    let outside = stripe.stand_in.refund_in_dashboard(&intent, 40_000).unwrap();
    let found = stripe.provider.find(&paid).await.unwrap().unwrap();
    assert_eq!((found.status, found.refunded_minor), (PaymentStatus::Captured, 400));
    let too_much = stripe.provider.refund(&paid, RefundId(Uuid::new_v4()), money(700, "ISK")).await.unwrap();
    assert_eq!(too_much.refunded_minor, 400, "refused: less is left");
    let listed = stripe.provider.list_refunds(&intent).await.unwrap();
    assert_eq!(listed.iter().map(|refund| refund.id.as_str()).collect::<Vec<_>>(), [outside.as_str()]);
    stripe.stand_in.fail_refund(&outside).unwrap();
    assert!(stripe.provider.list_refunds(&intent).await.unwrap()[0].has_failed());
    assert_eq!(stripe.provider.find(&paid).await.unwrap().unwrap().refunded_minor, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_failed_is_not_done_and_not_made_again() {
    let stripe = StripeFixture::start();
    let paid = stripe.captured(payment(1_000, "EUR")).await;
    let (part, amount) = (RefundId(Uuid::new_v4()), money(300, "EUR"));
    assert!(!stripe.provider.refund(&paid, part, amount).await.unwrap().is_refund_refused);
    let [made]: [String; 1] = stripe.stand_in.list_refunds(&stripe.intent(&paid)).try_into().unwrap();
    stripe.stand_in.fail_refund(&made).unwrap();
    let again = stripe.provider.refund(&paid, part, amount).await.unwrap();
    assert!(again.is_refund_refused);
    assert_eq!((again.status, again.refunded_minor), (PaymentStatus::Captured, 0));
    assert_eq!(stripe.stand_in.money_kept("eur"), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_left_is_refunded_after_a_refusal_that_stripe_repeats() {
    let stripe = StripeFixture::start();
    let paid = stripe.captured(payment(1_000, "EUR")).await;
    let (refund, rest, part) = (RefundId(Uuid::new_v4()), money(1_000, "EUR"), RefundId(Uuid::new_v4()));
    let dispute = stripe.stand_in.open_dispute(&stripe.intent(&paid)).unwrap();
    for _ in 0..2 {
        let held = stripe.provider.refund(&paid, refund, rest).await.unwrap();
        assert_eq!((held.is_refund_refused, held.refunded_minor), (true, 0));
        let held = stripe.provider.refund(&paid, part, money(400, "EUR")).await.unwrap();
        assert!(held.is_refund_refused);
    }
    stripe.stand_in.close_dispute(&dispute, true).unwrap();
    let refused = stripe.provider.refund(&paid, part, money(400, "EUR")).await.unwrap();
    assert!(refused.is_refund_refused, "the refusal of a part is final");
    for _ in 0..2 {
        let made = stripe.provider.refund(&paid, refund, rest).await.unwrap();
        assert_eq!((made.is_refund_refused, made.status), (false, PaymentStatus::Refunded));
    }
    assert_eq!(stripe.stand_in.list_refunds(&stripe.intent(&paid)).len(), 1);
    assert_eq!(stripe.stand_in.money_kept("eur"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_and_disputes_behind_the_first_page_are_read() {
    let stripe = StripeFixture::start();
    let paid = stripe.captured(payment(10_000, "EUR")).await;
    let intent = stripe.intent(&paid);
    for _ in 0..120 {
        stripe.stand_in.refund_in_dashboard(&intent, 10).unwrap();
    }
    let outside = stripe.provider.list_outside_refunds(&paid).await.unwrap();
    let ids: BTreeSet<_> = outside.iter().map(|refund| refund.id.as_str()).collect();
    assert_eq!((outside.len(), ids.len()), (120, 120));
    let opened: BTreeSet<_> = (0..120).map(|_| stripe.stand_in.open_dispute(&intent).unwrap()).collect();
    let disputes = stripe.provider.find_disputes(&paid).await.unwrap();
    assert_eq!(disputes.into_iter().map(|dispute| dispute.id).collect::<BTreeSet<_>>(), opened);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_is_read_as_it_is_now() {
    let stripe = StripeFixture::start();
    let paid = stripe.captured(payment(1_000, "EUR")).await;
    let intent = stripe.intent(&paid);
    let dispute = stripe.stand_in.open_dispute(&intent).unwrap();
    let listed = stripe.provider.list_disputes(&intent).await.unwrap();
    assert_eq!((listed[0].id.as_str(), listed[0].status.as_str()), (dispute.as_str(), "needs_response"));
    assert!(listed[0].evidence_details.unwrap().due_by.is_some());
    stripe.stand_in.close_dispute(&dispute, false).unwrap();
    assert_eq!(stripe.provider.list_disputes(&intent).await.unwrap()[0].status, "lost");
    assert_eq!(stripe.stand_in.money_kept("eur"), 0);
}
