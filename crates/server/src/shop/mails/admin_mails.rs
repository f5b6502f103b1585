//! Mails to the admins: an endpoint was disabled, a payment needs a person. They are written from what the tables say, so that a crash
//! between the fact and its mail loses none, and two processes write one.

use super::content::MailContent;
use super::{MailOutbox, MailPriority, MailRequest};
use crate::mail::language::BuyerLanguage;
use crate::store::accounts::{self, AdminAddress};
use crate::store::payments::{StuckPayments, find_stuck};
use crate::store::webhook_endpoints::{self, DisabledEndpoint, DisabledReason};
use crate::store::{Store, StoreError, mails};
use sale::Timestamp;

/// Admins who get mails: those whose accounts are the oldest.
const ADMINS_MAX: u32 = 20;
/// An endpoint that was disabled longer ago is no news, in milliseconds: mail may have been switched on since.
const NEWS_MS: i64 = 7 * 86_400_000;
/// A payment whose state has not changed for so long needs a person, in milliseconds. The metric of stuck payments has the same limit.
const STUCK_AFTER_MS: i64 = 600_000;
/// Between two mails about payments to one admin, in milliseconds: while a provider is away, many payments wait.
const PAYMENT_MAIL_EVERY_MS: i64 = 3_600_000;

/// Writes the mails that are missing. Returns how many.
///
/// # Errors
/// When the tables do not answer.
pub(super) async fn plan_admin_mails(
    store: &Store,
    outbox: &MailOutbox,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let disabled = webhook_endpoints::list_disabled_since(store, now.plus_ms(-NEWS_MS)).await?;
    let stuck_before = now.plus_ms(-STUCK_AFTER_MS);
    let stuck = find_stuck(store, stuck_before).await?;
    if disabled.is_empty() && stuck.is_none() {
        return Ok(0);
    }
    let admins = accounts::list_admin_addresses(store, ADMINS_MAX).await?;
    let mut requests: Vec<MailRequest> = Vec::new();
    for admin in &admins {
        requests.extend(disabled.iter().map(|endpoint| endpoint_mail(admin, endpoint)));
        requests.extend(stuck.as_ref().map(|stuck| payment_mail(admin, stuck)));
    }
    let mut writing = store.begin().await?;
    let mut written = 0;
    for request in &requests {
        let is_payment = matches!(request.content, MailContent::PaymentStuck { .. });
        let kind = request.content.kind().as_str();
        let since = now.plus_ms(-PAYMENT_MAIL_EVERY_MS);
        if is_payment && mails::count_recent(&mut writing, &request.recipient, kind, since).await? > 0 {
            continue;
        }
        written += usize::from(outbox.add(&mut writing, request, now).await?);
    }
    writing.commit().await?;
    Ok(written)
}

fn endpoint_mail(admin: &AdminAddress, endpoint: &DisabledEndpoint) -> MailRequest {
    let content = MailContent::EndpointDisabled {
        endpoint: endpoint.id,
        address: endpoint.url.authority(),
        is_gone: endpoint.reason == DisabledReason::Gone,
    };
    let key = format!("webhooks/{}/disabled/{}", endpoint.id, endpoint.disabled_at.0);
    request_for(admin, key, content)
}

/// The mail names the payment that waits longest and how many there are. There is another one when another payment has become stuck.
fn payment_mail(admin: &AdminAddress, stuck: &StuckPayments) -> MailRequest {
    let content = MailContent::PaymentStuck {
        payment: stuck.oldest,
        order: stuck.order,
        state: stuck.state.clone(),
        count: stuck.count,
    };
    let key = format!("payments/{}/stuck/{}", stuck.newest, stuck.newest_state);
    request_for(admin, key, content)
}

fn request_for(admin: &AdminAddress, key: String, content: MailContent) -> MailRequest {
    MailRequest {
        key: format!("{key}/{}", admin.email),
        content,
        recipient: admin.email.clone(),
        language: BuyerLanguage::from_stored(&admin.language),
        priority: MailPriority::Report,
        expires_at: None,
    }
}
