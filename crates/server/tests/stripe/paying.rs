//! What buyers do on Stripe's page, and what becomes of it.

use crate::support::{StripeFixture, money, payment, payment_begun};
use sale::Timestamp;
use server::payments::{AuthorisationResult, IntentId, PaymentProvider, PaymentStatus, ProviderPayment};
use test_servers::stripe::BuyerChoice;

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_pays_on_the_page_and_the_money_is_captured_once() {
    let stripe = StripeFixture::start();
    let payment = payment(9_998, "EUR");
    let first = stripe.provider.authorise(&payment).await;
    assert_eq!(stripe.provider.authorise(&payment).await, first, "the same page");
    let payment = stripe.open(payment).await;
    assert_eq!(stripe.status(&payment).await, PaymentStatus::Open);
    let session = stripe.stand_in.object(payment.reference.as_deref().unwrap()).unwrap();
    assert_eq!(session["client_reference_id"], payment.order.to_string());
    assert_eq!((&session["amount_total"], &session["currency"]), (&9_998.into(), &"eur".into()));
    assert_eq!(
        (&session["locale"], &session["customer_email"]),
        (&"auto".into(), &"ada@shop.example".into())
    );

    stripe.stand_in.act_as_buyer(payment.reference.as_deref().unwrap(), BuyerChoice::Approve).unwrap();
    assert_eq!(stripe.status(&payment).await, PaymentStatus::Authorised);
    assert_eq!(stripe.stand_in.money_kept("eur"), 0, "nothing is taken before the order is confirmed");
    for _ in 0..2 {
        assert_eq!(stripe.provider.capture(&payment).await.unwrap().status, PaymentStatus::Captured);
    }
    assert_eq!(stripe.stand_in.money_kept("eur"), 9_998);
    assert_eq!(stripe.provider.authorise(&payment).await, AuthorisationResult::Authorised);
    let intent = stripe.stand_in.object(&stripe.intent(&payment)).unwrap();
    assert_eq!(intent["metadata"]["doorbuster_payment"], payment.intent.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_leaves_the_page_open_for_another() {
    let stripe = StripeFixture::start();
    let payment = stripe.submit(payment(500, "EUR"), BuyerChoice::Decline).await;
    assert_eq!(stripe.status(&payment).await, PaymentStatus::Open);
    let session = payment.reference.as_deref().unwrap();
    stripe.stand_in.act_as_buyer(session, BuyerChoice::BeginChallenge).unwrap();
    assert_eq!(stripe.status(&payment).await, PaymentStatus::Open, "the buyer has to answer the bank");
    stripe.stand_in.act_as_buyer(session, BuyerChoice::Approve).unwrap();
    assert_eq!(stripe.status(&payment).await, PaymentStatus::Authorised);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitted_payment_waits_for_the_bank() {
    let stripe = StripeFixture::start();
    for (is_accepted, expected) in [(true, PaymentStatus::Authorised), (false, PaymentStatus::Declined)] {
        let payment = stripe.submit(payment(500, "EUR"), BuyerChoice::Submit).await;
        assert_eq!(stripe.status(&payment).await, PaymentStatus::Submitted);
        let answer = stripe.provider.void(&payment).await.unwrap();
        assert_eq!(answer.status, PaymentStatus::Submitted, "what the bank works on cannot be closed");
        stripe.stand_in.finish_processing(payment.reference.as_deref().unwrap(), is_accepted).unwrap();
        assert_eq!(stripe.status(&payment).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_is_closed_and_authorised_money_released() {
    let stripe = StripeFixture::start();
    let open = stripe.open(payment(500, "EUR")).await;
    let challenged = stripe.submit(payment(500, "EUR"), BuyerChoice::BeginChallenge).await;
    let paid = stripe.submit(payment(500, "EUR"), BuyerChoice::Approve).await;
    for payment in [&open, &challenged, &paid] {
        for _ in 0..2 {
            let answer = stripe.provider.void(payment).await.unwrap();
            assert_eq!((answer.status, answer.action_url), (PaymentStatus::Voided, None));
        }
        let session = payment.reference.as_deref().unwrap();
        assert!(stripe.stand_in.act_as_buyer(session, BuyerChoice::Approve).is_err(), "the page is closed");
        assert_eq!(stripe.provider.capture(payment).await.unwrap().status, PaymentStatus::Voided);
    }
    assert_eq!(stripe.stand_in.money_kept("eur"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_money_is_not_voided() {
    let stripe = StripeFixture::start();
    let payment = stripe.captured(payment(500, "EUR")).await;
    assert_eq!(stripe.provider.void(&payment).await.unwrap().status, PaymentStatus::Captured);
    assert_eq!(stripe.stand_in.money_kept("eur"), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_stripe_never_saw_is_closed_for_good() {
    let stripe = StripeFixture::start();
    let payment = payment(500, "EUR");
    assert_eq!(stripe.provider.void(&payment).await.unwrap().status, PaymentStatus::Voided);
    assert!(matches!(stripe.provider.authorise(&payment).await, AuthorisationResult::Declined { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_reach_stripe_in_its_units() {
    let stripe = StripeFixture::start();
    for (minor, currency, expected) in [
        (4_999, "EUR", 4_999),
        (500, "JPY", 500),
        (500, "ISK", 50_000),
        (2_000, "UGX", 200_000),
        (500_000, "MGA", 5_000),
        (5_120, "KWD", 5_120),
        (20_000, "HUF", 20_000),
    ] {
        let payment = stripe.open(payment(minor, currency)).await;
        let session = stripe.stand_in.object(payment.reference.as_deref().unwrap()).unwrap();
        assert_eq!(session["amount_total"], expected, "{minor} {currency}");
    }
    for (minor, currency) in [(49, "EUR"), (5_124, "KWD"), (500_050, "MGA"), (100, "HUF")] {
        assert!(stripe.provider.check_price(money(minor, currency), 1).is_err(), "{minor} {currency}");
        let refused = stripe.provider.authorise(&payment(minor, currency)).await;
        assert!(matches!(refused, AuthorisationResult::Declined { .. }), "{minor} {currency}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_stripe_refuses_is_left_out() {
    let stripe = StripeFixture::start();
    let mut odd = payment(500, "EUR");
    odd.buyer_email = Some("ada@shop.invalid".to_owned());
    let odd = stripe.open(odd).await;
    let session = stripe.stand_in.object(odd.reference.as_deref().unwrap()).unwrap();
    assert_eq!(session["customer_email"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_what_was_captured_and_whose_it_is() {
    let stripe = StripeFixture::start();
    let kept = stripe.captured(payment(500, "EUR")).await;
    let voided = stripe.submit(payment(700, "EUR"), BuyerChoice::Approve).await;
    stripe.provider.void(&voided).await.unwrap();
    let all = (Timestamp(0), Timestamp(4_000_000_000_000));
    let listed = stripe.provider.list_captured(all.0, all.1).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((listed[0].intent, listed[0].order), (Some(kept.intent), Some(kept.order)));
    assert_eq!((listed[0].amount, listed[0].refunded_minor), (kept.amount, 0));
    assert!(stripe.provider.list_captured(Timestamp(0), Timestamp(1_000)).await.unwrap().is_empty());
    let found = stripe.provider.find_payment_of_intent(&listed[0].reference).await.unwrap();
    assert_eq!(found.map(IntentId), Some(kept.intent));
    assert_eq!(stripe.provider.find_payment_of_intent("pi_nowhere").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_texts_have_changed_is_found_whatever_the_clock_of_sales_says() {
    let stripe = StripeFixture::start();
    const HOUR_S: i64 = 3_600;
    for off_s in [0, HOUR_S, 40 * HOUR_S, -HOUR_S, -40 * HOUR_S] {
        let opened = stripe.open(payment_begun(off_s, 500, "EUR")).await;
        // Its key does not return it.
        let renamed = ProviderPayment { reference: None, description: "Lamp".to_owned(), ..opened.clone() };
        let found = stripe.provider.find(&renamed).await.unwrap().unwrap();
        assert_eq!((found.status, found.reference), (PaymentStatus::Open, opened.reference), "{off_s}");
    }
}
