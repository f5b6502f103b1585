//! Deliveries as a merchant sees them: pages, a test, and sending again. It sends nothing itself: it makes rows due and wakes the sender.

use super::endpoints::{self, WebhookResult};
use super::outgoing::build_test;
use super::{DeliveryRow, DeliveryState, EndpointRow, WebhookRefusal};
use crate::shop::Shop;
use crate::store::webhook_deliveries::{self as rows};
use sale::Timestamp;
use uuid::Uuid;

/// Deliveries that one statement makes due.
const RESENT_AT_ONCE: u32 = 500;

/// Deliveries of an endpoint, the newest first, after this one if there is one; one more than `limit`, if there is one.
///
/// # Errors
/// When the tables do not answer.
pub async fn list(
    shop: &Shop,
    endpoint: Uuid,
    state: Option<DeliveryState>,
    after: Option<(Timestamp, Uuid)>,
    limit: u32,
) -> WebhookResult<Vec<DeliveryRow>> {
    match endpoints::find(shop, endpoint).await? {
        Ok(_) => Ok(Ok(rows::list(&shop.store, endpoint, state, after, limit.saturating_add(1)).await?)),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Sends a test to an endpoint: a delivery of its own, with a schedule like all others.
///
/// # Errors
/// When the tables do not answer.
pub async fn send_test(shop: &Shop, endpoint: Uuid) -> WebhookResult<DeliveryRow> {
    if let Err(refusal) = find_enabled(shop, endpoint).await? {
        return Ok(Err(refusal));
    }
    let (event, delivery) = build_test(shop.events.addresses(), endpoint, (shop.now)());
    let id = delivery.id;
    let mut writing = shop.store.begin().await?;
    rows::insert(&mut writing, &[event], &[delivery]).await?;
    writing.commit().await?;
    shop.webhooks.wake.notify_one();
    find(shop, endpoint, id).await
}

/// Sends a delivery again at once, whatever came of it, with its whole schedule before it.
///
/// # Errors
/// When the tables do not answer.
pub async fn resend(shop: &Shop, endpoint: Uuid, delivery: Uuid) -> WebhookResult<DeliveryRow> {
    if let Err(refusal) = find_enabled(shop, endpoint).await? {
        return Ok(Err(refusal));
    }
    if !rows::resend(&shop.store, endpoint, delivery, (shop.now)()).await? {
        return Ok(Err(WebhookRefusal::DeliveryUnknown));
    }
    shop.webhooks.wake.notify_one();
    find(shop, endpoint, delivery).await
}

/// Sends all deliveries again that failed at `since` or later, and returns how many.
///
/// # Errors
/// When the tables do not answer; some may be sent then.
pub async fn resend_failed(shop: &Shop, endpoint: Uuid, since: Timestamp) -> WebhookResult<u64> {
    if let Err(refusal) = find_enabled(shop, endpoint).await? {
        return Ok(Err(refusal));
    }
    let (now, mut count) = ((shop.now)(), 0);
    loop {
        let resent = rows::resend_failed(&shop.store, endpoint, since, RESENT_AT_ONCE, now).await?;
        count += resent;
        shop.webhooks.wake.notify_one();
        if resent < u64::from(RESENT_AT_ONCE) {
            return Ok(Ok(count));
        }
    }
}

async fn find_enabled(shop: &Shop, endpoint: Uuid) -> WebhookResult<EndpointRow> {
    let found = endpoints::find(shop, endpoint).await?;
    Ok(found.and_then(|endpoint| match endpoint.disabled {
        None => Ok(endpoint),
        Some(_) => Err(WebhookRefusal::Disabled),
    }))
}

async fn find(shop: &Shop, endpoint: Uuid, delivery: Uuid) -> WebhookResult<DeliveryRow> {
    let found = rows::find(&shop.store, endpoint, delivery).await?;
    Ok(found.ok_or(WebhookRefusal::DeliveryUnknown))
}
