//! Requests for a link or a code. An unknown address costs the same work as a known one, whose account the dispatcher looks up only when it
//! sends the mail: neither the reply nor its time says whether there is an account.

use super::content::MailContent;
use super::tokens::{TOKEN_MINUTES, TokenPurpose};
use super::{MailOutbox, MailPriority, MailRequest};
use crate::mail::language::BuyerLanguage;
use crate::shop::accounts::EmailAddress;
use crate::shop::ids;
use crate::store::mail_tokens::NewMailToken;
use crate::store::{Store, StoreError, StoreTransaction, mail_tokens, mails};
use sale::Timestamp;
use uuid::Uuid;

/// Links and codes of a kind that an address gets in an hour: nobody fills a stranger's mailbox.
const MAILS_PER_HOUR: i64 = 5;

/// Mails a link or a code to an address, unless it had too many of them in the last hour.
///
/// # Errors
/// When the tables do not answer.
pub async fn request_token(
    store: &Store,
    outbox: &MailOutbox,
    purpose: TokenPurpose,
    (email, language): (&EmailAddress, BuyerLanguage),
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    if add_token(&mut writing, outbox, purpose, (email.as_str(), language), now).await? {
        writing.commit().await?;
        outbox.notify();
    } else {
        writing.rollback().await?;
    }
    Ok(())
}

/// Adds a token and its mail to a transaction. `Ok(false)`, and nothing is added, when the address had too many.
pub(in crate::shop) async fn add_token(
    writing: &mut StoreTransaction,
    outbox: &MailOutbox,
    purpose: TokenPurpose,
    (email, language): (&str, BuyerLanguage),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let id = Uuid::new_v4();
    let expires_at = now.plus_ms(TOKEN_MINUTES * 60_000);
    let (content, digest) = match purpose {
        TokenPurpose::ConfirmAddress => (MailContent::ConfirmAddress { token: id }, None),
        TokenPurpose::ResetPassword => (MailContent::ResetPassword { token: id }, None),
        TokenPurpose::GuestCode => {
            let code = outbox.tokens.code(id);
            (MailContent::GuestCode { token: id }, Some(outbox.tokens.digest_code(email, &code)))
        }
    };
    let kind = content.kind().as_str();
    let an_hour_ago = now.plus_ms(-3_600_000);
    if mails::count_recent(writing, email, kind, an_hour_ago).await? >= MAILS_PER_HOUR {
        return Ok(false);
    }
    let digest = digest.or_else(|| outbox.tokens.digest_link(&outbox.tokens.link_token(purpose, id)));
    let token = NewMailToken {
        id,
        purpose: purpose.as_str(),
        email,
        digest: &digest.unwrap_or_default(),
        created_at: now,
        expires_at,
    };
    mail_tokens::insert(writing, &token).await?;
    let request = MailRequest {
        key: format!("{kind}/{}", ids::new(now)),
        content,
        recipient: email.to_owned(),
        language,
        priority: MailPriority::Awaited,
        expires_at: Some(expires_at),
    };
    outbox.add(writing, &request, now).await
}
