//! A key that is revoked, and one that lacks a right.

use crate::support::{StripeFixture, payment};
use server::payments::{
    AuthorisationResult, NoProviderReply, PaymentProvider, PaymentStatus, ProviderHealth,
};
use test_servers::stripe::BuyerChoice;

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_shows_and_moves_nothing() {
    let stripe = StripeFixture::start();
    let paid = stripe.submit(payment(500, "EUR"), BuyerChoice::Approve).await;
    stripe.stand_in.revoke_key(true);
    assert_eq!(stripe.provider.capture(&paid).await, Err(NoProviderReply));
    assert_eq!(stripe.provider.authorise(&payment(500, "EUR")).await, AuthorisationResult::Unknown);
    assert_eq!(stripe.provider.health(), ProviderHealth::KeyRefused { missing: Vec::new() });
    stripe.stand_in.revoke_key(false);
    assert_eq!(stripe.provider.capture(&paid).await.unwrap().status, PaymentStatus::Captured);
    assert_eq!(stripe.provider.health(), ProviderHealth::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named() {
    let stripe = StripeFixture::start();
    let paid = stripe.submit(payment(500, "EUR"), BuyerChoice::Approve).await;
    stripe.stand_in.remove_rights(&["payment_intent_write"]);
    assert_eq!(stripe.provider.capture(&paid).await, Err(NoProviderReply));
    let missing = vec!["PaymentIntents: write (rak_payment_intent_write)".to_owned()];
    assert_eq!(stripe.provider.health(), ProviderHealth::KeyRefused { missing });
    assert_eq!(stripe.status(&paid).await, PaymentStatus::Authorised, "what it may do works");
    stripe.stand_in.remove_rights(&[]);
    assert_eq!(stripe.provider.capture(&paid).await.unwrap().status, PaymentStatus::Captured);
    assert_eq!(stripe.provider.health(), ProviderHealth::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_finds_rights_to_read_that_are_missing() {
    let stripe = StripeFixture::start();
    stripe.stand_in.remove_rights(&["dispute_read", "charge_read"]);
    assert!(stripe.provider.check_key().await, "Stripe answered");
    let ProviderHealth::KeyRefused { missing } = stripe.provider.health() else {
        panic!("{:?}", stripe.provider.health())
    };
    let has = |right| missing.iter().any(|name| name.starts_with(right));
    assert!(has("Disputes: read") && has("Charges and Refunds: read"), "{missing:?}");
}
