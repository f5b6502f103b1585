//! The mails that the merchant sees.

use super::MailOutbox;
use crate::store::mails::{self, MailCursor, MailRow, MailState, ResendResult};
use crate::store::{Store, StoreError};
use sale::Timestamp;
use uuid::Uuid;

/// Mails that one transaction lets be sent again.
const RESENT_AT_ONCE: usize = 500;

/// Up to `limit` mails behind a cursor, newest first, perhaps only those in one state, and one more where there is another page.
///
/// # Errors
/// When the tables do not answer.
pub async fn list_mails(
    store: &Store,
    state: Option<MailState>,
    after: Option<MailCursor>,
    limit: u32,
) -> Result<Vec<MailRow>, StoreError> {
    mails::list(store, state, after, limit + 1).await
}

/// Lets a mail that failed or bounced be sent again, from its first try, unless it is of no use any more.
///
/// # Errors
/// When the tables do not answer.
pub async fn send_again(
    store: &Store,
    outbox: &MailOutbox,
    mail: Uuid,
    now: Timestamp,
) -> Result<ResendResult, StoreError> {
    let mut writing = store.begin().await?;
    let result = mails::send_again(&mut writing, mail, now).await?;
    if result == ResendResult::Waiting {
        writing.commit().await?;
        outbox.notify();
    } else {
        writing.rollback().await?;
    }
    Ok(result)
}

/// Lets all mails that failed, bounced or were suppressed at `since` or later be sent again, unless they are of no use any more. Returns how
/// many.
///
/// # Errors
/// When the tables do not answer; some may be sent then.
pub async fn send_failed_again(
    store: &Store,
    outbox: &MailOutbox,
    since: Timestamp,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut count = 0;
    loop {
        let mut writing = store.begin().await?;
        let resent = mails::send_failed_again(&mut writing, since, now, RESENT_AT_ONCE).await?;
        writing.commit().await?;
        outbox.notify();
        count += resent as u64;
        if resent < RESENT_AT_ONCE {
            return Ok(count);
        }
    }
}
