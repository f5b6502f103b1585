//! "Tell me when it starts" and "tell me if a unit comes back". An address needs no account for it, and a link in each mail ends it.

use super::content::{MailContent, MailedSale};
use super::{MailOutbox, MailPriority, MailRequest};
use crate::mail::language::BuyerLanguage;
use crate::shop::accounts::EmailAddress;
use crate::store::mail_subscriptions::{
    self, MailSubscriber, NewMailSubscription, OwnSubscription, ReminderMark,
};
use crate::store::{Store, StoreError, StoreTransaction};
use sale::{SaleId, Timestamp};
use uuid::Uuid;

/// Sales that one address may wait for.
const SUBSCRIPTIONS_MAX: i64 = 100;
/// Reminders come so long before a start, in milliseconds.
const DAY_BEFORE_MS: i64 = 86_400_000;
const SOON_BEFORE_MS: i64 = 15 * 60_000;
/// Reminders of a sale that are written in one transaction.
pub(super) const REMINDERS_MAX: u32 = 500;
/// So many subscribers hear of each unit that comes back: not all of them look at their mails in time.
const SUBSCRIBERS_PER_UNIT: u32 = 20;
/// Subscribers who hear of units that come back at once, at most.
const SUBSCRIBERS_MAX: u32 = 2_000;

/// What a subscriber wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionTopic {
    /// The start of the sale, a day and a quarter of an hour before.
    Start,
    /// A unit that comes back, once.
    Unit,
}

impl SubscriptionTopic {
    /// The word for it in the API and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Unit => "unit",
        }
    }
}

/// How near the start of a sale is: 0 far, 1 within a day, 2 within a quarter of an hour.
fn reminder_step(starts_at: Timestamp, now: Timestamp) -> i64 {
    let left_ms = starts_at.ms_since(now);
    i64::from(left_ms <= DAY_BEFORE_MS) + i64::from(left_ms <= SOON_BEFORE_MS)
}

/// Lets an address hear of a sale. It hears of no reminder whose time is past. An address that waits for very many sales gets no
/// further ones; the caller is answered as always.
///
/// # Errors
/// When the tables do not answer.
pub async fn subscribe(
    store: &Store,
    (sale, starts_at): (SaleId, Timestamp),
    topic: SubscriptionTopic,
    (email, language): (&EmailAddress, BuyerLanguage),
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    let subscription = NewMailSubscription {
        id: Uuid::new_v4(),
        sale,
        email: email.as_str(),
        topic: topic.as_str(),
        language: language.as_str(),
        created_at: now,
        reminded: ReminderMark { starts_at, step: reminder_step(starts_at, now) },
    };
    mail_subscriptions::insert(&mut writing, &subscription).await?;
    if mail_subscriptions::count_of_email(&mut writing, email.as_str()).await? > SUBSCRIPTIONS_MAX {
        return writing.rollback().await;
    }
    writing.commit().await
}

/// Ends a subscription with the token of one of its mails. One that has ended already is fine.
///
/// # Errors
/// When the tables do not answer.
pub async fn unsubscribe(store: &Store, outbox: &MailOutbox, token: &str) -> Result<(), StoreError> {
    if let Some(digest) = outbox.tokens.digest_link(token) {
        mail_subscriptions::delete(store, &digest).await?;
    }
    Ok(())
}

/// What an address waits for, the oldest first.
///
/// # Errors
/// When the tables do not answer.
pub async fn list_subscriptions(
    store: &Store,
    email: &EmailAddress,
) -> Result<Vec<OwnSubscription>, StoreError> {
    mail_subscriptions::list_of_email(store, email.as_str()).await
}

/// Ends a subscription of this address. One that has ended already is fine.
///
/// # Errors
/// When the tables do not answer.
pub async fn end_subscription(store: &Store, id: Uuid, email: &EmailAddress) -> Result<(), StoreError> {
    mail_subscriptions::delete_own(store, id, email.as_str()).await
}

/// Writes the reminders of a sale that are due. Returns how many.
pub(super) async fn remind_of_start(
    store: &Store,
    outbox: &MailOutbox,
    (sale, starts_at): (&MailedSale, Timestamp),
    now: Timestamp,
) -> Result<usize, StoreError> {
    let step = reminder_step(starts_at, now);
    if step == 0 || starts_at <= now {
        return Ok(0);
    }
    let mark = ReminderMark { starts_at, step };
    let mut writing = store.begin().await?;
    let subscribers = mail_subscriptions::mark_due(&mut writing, sale.sale, mark, REMINDERS_MAX).await?;
    for subscriber in &subscribers {
        let content =
            MailContent::SaleReminder { sale: sale.clone(), starts_at, subscription: subscriber.id };
        let key = format!("{}/reminder/{}/{step}/{}", sale.sale, starts_at.0, subscriber.email);
        let request = request_for(subscriber, key, content, starts_at);
        outbox.add(&mut writing, &request, now).await?;
    }
    writing.commit().await?;
    Ok(subscribers.len())
}

/// Writes the mails to those who wait for a unit, after the event with this id made `available` units free. They are given up at
/// `expires_at`. Only a mail that the relay has taken ends its subscription: who did not hear of this unit hears of the next one.
///
/// # Errors
/// When the tables do not answer.
pub async fn report_returned_units(
    writing: &mut StoreTransaction,
    outbox: &MailOutbox,
    (event, sale, expires_at): (&str, &MailedSale, Timestamp),
    available: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    let limit = available.saturating_mul(SUBSCRIBERS_PER_UNIT).min(SUBSCRIBERS_MAX);
    let key_start = format!("{event}/unit/");
    for subscriber in mail_subscriptions::mark_waiting(writing, sale.sale, &key_start, now, limit).await? {
        let content = MailContent::UnitReturned { sale: sale.clone(), subscription: subscriber.id };
        let key = format!("{key_start}{}", subscriber.email);
        outbox.add(writing, &request_for(&subscriber, key, content, expires_at), now).await?;
    }
    Ok(())
}

fn request_for(
    subscriber: &MailSubscriber,
    key: String,
    content: MailContent,
    expires_at: Timestamp,
) -> MailRequest {
    MailRequest {
        key,
        content,
        recipient: subscriber.email.clone(),
        language: BuyerLanguage::from_stored(&subscriber.language),
        priority: MailPriority::Reminder,
        expires_at: Some(expires_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_far_near_or_very_near() {
        let step =
            |left_ms| reminder_step(Timestamp(1_000_000_000_000), Timestamp(1_000_000_000_000 - left_ms));
        assert_eq!(
            [DAY_BEFORE_MS + 1, DAY_BEFORE_MS, SOON_BEFORE_MS + 1, SOON_BEFORE_MS, 0].map(step),
            [0, 1, 1, 2, 2]
        );
    }
}
