//! Mails of the shop: what is sent to whom, once for each event and recipient. A mail is a row that is written in the transaction of what
//! it reports; [`dispatcher`] sends it later. It never waits for the relay in a request, and answers for an unknown address as for a known
//! one.

pub mod content;

pub mod tokens;

mod requests;

pub mod dispatcher;

mod listing;

mod admin_mails;

mod recipients;

mod subscriptions;

mod switches;

pub use crate::mail::MailKind;
pub use crate::store::mails::{MailCursor, MailRow, MailState, ResendResult};
pub use listing::{list_mails, send_again, send_failed_again};
pub use recipients::{MailRecipient, find_recipients};
pub(in crate::shop) use requests::add_token;
pub use requests::request_token;
pub use subscriptions::{
    SubscriptionTopic, end_subscription, list_subscriptions, report_returned_units, subscribe, unsubscribe,
};
pub use switches::{MailSwitch, list_switches, set_switches};

use crate::mail::language::BuyerLanguage;
use crate::shop::ids;
use crate::store::mails::{self, NewMail};
use crate::store::{StoreError, StoreTransaction};
use content::MailContent;
use sale::Timestamp;
use std::sync::Arc;
use tokens::MailTokens;
use tokio::sync::Notify;

/// How urgent a mail is: those of a smaller number are sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailPriority {
    /// A turn that is running out.
    Turn,
    /// Someone waits for it at the screen.
    Awaited,
    /// It reports what has happened.
    Report,
    /// Many people get it.
    Reminder,
}

impl MailPriority {
    fn as_number(self) -> i64 {
        match self {
            Self::Turn => 0,
            Self::Awaited => 10,
            Self::Report => 20,
            Self::Reminder => 30,
        }
    }
}

/// A mail that is to be written.
#[derive(Clone, Debug)]
pub struct MailRequest {
    /// What happened, and to whom: one mail is sent for each key.
    pub key: String,
    pub content: MailContent,
    /// An address in lower case.
    pub recipient: String,
    pub language: BuyerLanguage,
    pub priority: MailPriority,
    pub expires_at: Option<Timestamp>,
}

/// Where mails are left for the dispatcher. There is one when the shop sends mails; clones share it.
#[derive(Clone, Debug)]
pub struct MailOutbox {
    pub tokens: MailTokens,
    changed: Arc<Notify>,
}

impl MailOutbox {
    /// `secret` is the shop's, for what links and codes are computed from.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self { tokens: MailTokens::new(secret), changed: Arc::default() }
    }

    /// Writes a mail in the transaction of what it reports. `Ok(false)` when there is one of its key. Call [`Self::notify`] after the
    /// commit.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn add(
        &self,
        writing: &mut StoreTransaction,
        request: &MailRequest,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mail = NewMail {
            id: ids::new(now),
            key: request.key.clone(),
            kind: request.content.kind().as_str(),
            recipient: request.recipient.clone(),
            language: request.language.as_str(),
            content: request.content.to_json(),
            priority: request.priority.as_number(),
            created_at: now,
            send_at: now,
            expires_at: request.expires_at,
        };
        mails::insert(writing, &mail).await
    }

    /// Wakes the dispatcher of this process; those of others look every second.
    pub fn notify(&self) {
        self.changed.notify_one();
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
