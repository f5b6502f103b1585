//! Lost replies, busy and silent servers, and a stand-in that is killed.

use crate::support::{START, StripeFixture, payment};
use server::payments::{
    AuthorisationResult, NoProviderReply, PaymentProvider, PaymentStatus, ProviderHealth, ProviderPayment,
    RefundId,
};
use std::time::Duration;
use test_servers::stripe::BuyerChoice;
use test_servers::stripe::faults::FaultKind;
use test_servers::wait::{HANG_LIMIT, eventually};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_asked_for_again_with_the_same_key() {
    let stripe = StripeFixture::start();
    for fault in
        [FaultKind::LoseReply, FaultKind::HangUp, FaultKind::Fail, FaultKind::TooMany, FaultKind::Conflict]
    {
        let before = stripe.stand_in.calls().len();
        stripe.stand_in.fail_next("/v1/checkout/sessions", 2, fault);
        let opened = stripe.open(payment(500, "EUR")).await;
        let calls = stripe.stand_in.calls().split_off(before);
        let key = opened.intent.to_string();
        let creations = calls.iter().filter(|call| call.method == "POST");
        assert!(creations.clone().count() >= 3, "{fault:?}: {calls:?}");
        assert!(creations.clone().all(|call| call.idempotency_key.as_ref() == Some(&key)), "{calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_creation_got_no_reply_is_found_by_its_key() {
    let stripe = StripeFixture::start();
    let unknown = payment(500, "EUR");
    stripe.stand_in.fail_next("/v1/checkout/sessions", 3, FaultKind::LoseReply);
    assert_eq!(stripe.provider.authorise(&unknown).await, AuthorisationResult::Unknown);
    let session = stripe.stand_in.find_session(&unknown.intent.to_string()).unwrap();
    let found = stripe.provider.find(&unknown).await.unwrap().unwrap();
    assert_eq!((found.status, found.reference.as_deref()), (PaymentStatus::Open, Some(session.as_str())));

    // Its texts have changed since: Stripe does not return it for its key.
    let renamed = ProviderPayment { buyer_email: None, description: "Lamp".to_owned(), ..unknown.clone() };
    let found = stripe.provider.find(&renamed).await.unwrap().unwrap();
    assert_eq!(found.reference.as_deref(), Some(session.as_str()));

    // The buyer may have paid before the reply was known.
    stripe.stand_in.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
    assert_eq!(stripe.status(&unknown).await, PaymentStatus::Authorised);
    assert_eq!(stripe.provider.void(&unknown).await.unwrap().status, PaymentStatus::Voided);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_survives_a_lost_reply() {
    let stripe = StripeFixture::start();
    let paid = stripe.submit(payment(500, "EUR"), BuyerChoice::Approve).await;
    stripe.stand_in.fail_next("/capture", 1, FaultKind::LoseReply);
    assert_eq!(stripe.provider.capture(&paid).await.unwrap().status, PaymentStatus::Captured);
    let refund = RefundId(Uuid::new_v4());
    stripe.stand_in.fail_next("/v1/refunds", 2, FaultKind::LoseReply);
    let answer = stripe.provider.refund(&paid, refund, paid.amount).await.unwrap();
    assert_eq!((answer.status, answer.refunded_minor), (PaymentStatus::Refunded, 500));
    let open = stripe.open(payment(500, "EUR")).await;
    stripe.stand_in.fail_next("/expire", 1, FaultKind::LoseReply);
    assert_eq!(stripe.provider.void(&open).await.unwrap().status, PaymentStatus::Voided);
    let paid = stripe.submit(payment(500, "EUR"), BuyerChoice::Approve).await;
    stripe.stand_in.fail_next("/cancel", 1, FaultKind::LoseReply);
    assert_eq!(stripe.provider.void(&paid).await.unwrap().status, PaymentStatus::Voided);
    assert_eq!(stripe.stand_in.money_kept("eur"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_submitted_while_it_is_closed_is_decided_by_its_intent() {
    let stripe = StripeFixture::start();
    let payment = stripe.open(payment(500, "EUR")).await;
    let session = payment.reference.clone().unwrap();
    stripe.stand_in.fail_next("/expire", 1, FaultKind::Delay(Duration::from_secs(2)));
    let (voided, ()) = tokio::join!(stripe.provider.void(&payment), async {
        let is_closing = async || stripe.stand_in.count_faults_left() == 0;
        eventually("Stripe is asked to close the page", HANG_LIMIT, is_closing).await;
        stripe.stand_in.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
    });
    assert_eq!(voided.unwrap().status, PaymentStatus::Voided);
    assert_eq!(stripe.stand_in.object(&stripe.intent(&payment)).unwrap()["status"], "canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_stripe_keeps_ends_the_payment_without_money() {
    let stripe = StripeFixture::start();
    let payment = payment(500, "EUR");
    stripe.stand_in.fail_next("/v1/checkout/sessions", 1, FaultKind::FailAndKeep);
    let refused = stripe.provider.authorise(&payment).await;
    assert!(matches!(refused, AuthorisationResult::Declined { .. }), "{refused:?}");
    assert_eq!(stripe.provider.find(&payment).await, Ok(None));
    assert_eq!(stripe.provider.void(&payment).await.unwrap().status, PaymentStatus::Voided);
    assert_eq!(stripe.provider.health(), ProviderHealth::Ok, "a saved failure says nothing about now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_unknown_until_it_answers_and_unavailable_from_the_first_failure_on() {
    let mut stripe = StripeFixture::start();
    assert_eq!(stripe.provider.health(), ProviderHealth::Unknown);
    stripe.stand_in.kill();
    assert!(!stripe.provider.check_key().await, "nothing answers");
    assert_eq!(stripe.provider.health(), ProviderHealth::Unavailable { since: START });
    stripe.stand_in.restart();
    // Each check may be one of those that an open circuit does not let through.
    while !stripe.provider.check_key().await {
        stripe.shift_clock(60_000);
    }
    assert_eq!(stripe.provider.health(), ProviderHealth::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_opens_the_circuit_and_a_reply_closes_it() {
    let stripe = StripeFixture::with_timeout(Duration::from_secs(1));
    let payment = stripe.open(payment(500, "EUR")).await;
    stripe.stand_in.fail_next("/v1/", u32::MAX, FaultKind::Stall);
    while stripe.provider.health() == ProviderHealth::Ok {
        assert_eq!(stripe.provider.find(&payment).await, Err(NoProviderReply));
    }
    assert!(matches!(stripe.provider.health(), ProviderHealth::Unavailable { .. }));
    let before = stripe.stand_in.calls().len();
    assert_eq!(stripe.provider.find(&payment).await, Err(NoProviderReply));
    assert_eq!(stripe.stand_in.calls().len(), before, "an open circuit asks nothing");
    stripe.stand_in.heal();
    assert_eq!(stripe.provider.find(&payment).await, Err(NoProviderReply), "its pause is not over");
    stripe.shift_clock(60_000);
    // A busy machine may take longer than this test's limit.
    while stripe.provider.find(&payment).await.is_err() {
        stripe.shift_clock(60_000);
    }
    assert_eq!(stripe.provider.health(), ProviderHealth::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_in_that_is_killed_goes_on_where_it_was() {
    let mut stripe = StripeFixture::start();
    let paid = stripe.submit(payment(500, "EUR"), BuyerChoice::Approve).await;
    stripe.stand_in.kill();
    assert_eq!(stripe.provider.capture(&paid).await, Err(NoProviderReply));
    stripe.stand_in.restart();
    assert_eq!(stripe.provider.capture(&paid).await.unwrap().status, PaymentStatus::Captured);
}
