//! What the owner of an account does with links from mails: confirms the address, and chooses a new password. A link is used once, within an
//! hour, and for the account of the address that it was mailed to.

use super::sessions::{end_all_sessions, forget_sessions};
use super::text::{EmailAddress, PlainPassword};
use super::{AccountOutcome, AccountRefusal, AccountService};
use crate::mail::language::BuyerLanguage;
use crate::shop::mails::{self, MailOutbox, tokens::TokenPurpose};
use crate::store::accounts as users;
use crate::store::mail_tokens;

/// A link's token, and the account that its holder means, if that is said.
pub struct MailedLink {
    pub token: String,
    /// A token of another account is refused.
    pub email: Option<EmailAddress>,
}

impl MailedLink {
    fn digest(&self, outbox: &MailOutbox) -> Option<String> {
        outbox.tokens.digest_link(&self.token)
    }

    fn is_for(&self, email: &str) -> bool {
        self.email.as_ref().is_none_or(|meant| meant.as_str() == email)
    }
}

/// Mails a link with which the owner of the address's account chooses a new password.
///
/// # Errors
/// When the tables do not answer.
pub async fn forgot_password(
    service: &AccountService,
    email: &EmailAddress,
    language: BuyerLanguage,
) -> AccountOutcome<()> {
    request_link(service, TokenPurpose::ResetPassword, email, language).await
}

/// Mails a link with which the owner of the address's account confirms it.
///
/// # Errors
/// When the tables do not answer.
pub async fn request_confirmation(
    service: &AccountService,
    email: &EmailAddress,
    language: BuyerLanguage,
) -> AccountOutcome<()> {
    request_link(service, TokenPurpose::ConfirmAddress, email, language).await
}

async fn request_link(
    service: &AccountService,
    purpose: TokenPurpose,
    email: &EmailAddress,
    language: BuyerLanguage,
) -> AccountOutcome<()> {
    let Some(outbox) = &service.mails else { return Ok(Err(AccountRefusal::MailOff)) };
    mails::request_token(&service.store, outbox, purpose, (email, language), (service.now)()).await?;
    Ok(Ok(()))
}

/// Confirms the address that a link was mailed to.
///
/// # Errors
/// When the tables do not answer.
pub async fn confirm_address(service: &AccountService, link: MailedLink) -> AccountOutcome<()> {
    let Some(outbox) = &service.mails else { return Ok(Err(AccountRefusal::MailOff)) };
    let Some(digest) = link.digest(outbox) else { return Ok(Err(AccountRefusal::BadMailToken)) };
    let now = (service.now)();
    let mut writing = service.store.begin().await?;
    let purpose = TokenPurpose::ConfirmAddress.as_str();
    let email = mail_tokens::use_token(&mut writing, (&digest, purpose), now).await?;
    let is_confirmed = match email.filter(|email| link.is_for(email)) {
        Some(email) => users::confirm_email(&mut writing, &email, now).await?,
        None => false,
    };
    if !is_confirmed {
        writing.rollback().await?;
        return Ok(Err(AccountRefusal::BadMailToken));
    }
    writing.commit().await?;
    Ok(Ok(()))
}

/// Gives the account of a link a new password, and ends all its sessions. The link proves the address, too.
///
/// # Errors
/// When the tables do not answer, or too many passwords wait to be hashed.
pub async fn reset_password(
    service: &AccountService,
    link: MailedLink,
    password: PlainPassword,
) -> AccountOutcome<()> {
    let Some(outbox) = &service.mails else { return Ok(Err(AccountRefusal::MailOff)) };
    let Some(digest) = link.digest(outbox) else { return Ok(Err(AccountRefusal::BadMailToken)) };
    let purpose = TokenPurpose::ResetPassword.as_str();
    // Checked before the hash is computed, to save the work. Its use decides.
    let email = mail_tokens::find(&service.store, (&digest, purpose), (service.now)()).await?;
    if !email.is_some_and(|email| link.is_for(&email)) {
        return Ok(Err(AccountRefusal::BadMailToken));
    }
    let hash = service.passwords.hash(password.0).await?;
    let now = (service.now)();
    let mut writing = service.store.begin().await?;
    let email = mail_tokens::use_token(&mut writing, (&digest, purpose), now).await?;
    let user = match &email {
        Some(email) if users::confirm_email(&mut writing, email, now).await? => {
            users::find_by_email_within(&mut writing, email).await?
        }
        _ => None,
    };
    let (Some(email), Some(user)) = (email, user) else {
        writing.rollback().await?;
        return Ok(Err(AccountRefusal::BadMailToken));
    };
    mail_tokens::use_all(&mut writing, (&email, purpose), now).await?;
    users::set_password_hash(&mut writing, user.id, &hash, now).await?;
    let ended = end_all_sessions(service, &mut writing, user.id).await?.unwrap_or_default();
    writing.commit().await?;
    forget_sessions(service, &ended);
    Ok(Ok(()))
}
