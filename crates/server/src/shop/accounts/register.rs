//! Registers a buyer.

use super::guesses::remember_first_network;
use super::sessions::{begin_session, issue_tokens};
use super::{
    AccountOutcome, AccountProfile, AccountRefusal, AccountRegistration, AccountService, FullName,
    SignedInAccount, new_user,
};
use crate::auth::Role;
use crate::shop::mails::{add_token, tokens::TokenPurpose};
use crate::store::StoreTransaction;
use crate::store::accounts::{self as users, UserRow};

/// Makes a buyer's account and signs it in. `network` is that of [`super::SignInOrigin`].
///
/// # Errors
/// When the tables do not answer, or too many passwords wait to be hashed.
pub async fn register(
    service: &AccountService,
    registration: AccountRegistration,
    network: u128,
) -> AccountOutcome<SignedInAccount> {
    let (mut writing, user) = match insert_buyer(service, registration, None, network).await? {
        Ok(inserted) => inserted,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some((session, refresh_token)) = begin_session(service, &mut writing, &user).await? else {
        writing.rollback().await?;
        return Ok(Err(AccountRefusal::AccountUnknown));
    };
    writing.commit().await?;
    notify_mails(service);
    Ok(Ok(issue_tokens(service, user, session, refresh_token)))
}

/// Makes a buyer's account without signing it in. `network` is that of [`super::SignInOrigin`].
///
/// # Errors
/// As [`register`].
pub async fn create_account(
    service: &AccountService,
    registration: AccountRegistration,
    full_name: Option<FullName>,
    network: u128,
) -> AccountOutcome<AccountProfile> {
    let (writing, user) = match insert_buyer(service, registration, full_name, network).await? {
        Ok(inserted) => inserted,
        Err(refusal) => return Ok(Err(refusal)),
    };
    writing.commit().await?;
    notify_mails(service);
    Ok(Ok(user.into()))
}

/// The mail that asks to confirm the address waits.
fn notify_mails(service: &AccountService) {
    if let Some(outbox) = &service.mails {
        outbox.notify();
    }
}

/// Inserts a buyer in a transaction that the caller commits.
async fn insert_buyer(
    service: &AccountService,
    registration: AccountRegistration,
    full_name: Option<FullName>,
    network: u128,
) -> AccountOutcome<(StoreTransaction, UserRow)> {
    let AccountRegistration { email, username, password, language } = registration;
    // Checked before the hash is computed, to save the work. The unique columns decide.
    if let Some(taken) = users::find_taken_name(&service.store, &email.0, &username.0).await? {
        return Ok(Err(taken.into()));
    }
    let user = new_user(service, email, username, password, Role::Buyer).await?;
    let full_name = full_name.map(FullName::into_text);
    let user = UserRow { full_name, language: language.as_str().to_owned(), ..user };
    let mut writing = service.store.begin().await?;
    if !users::insert(&mut writing, &user).await? {
        writing.rollback().await?;
        let taken = users::find_taken_name(&service.store, &user.email, &user.username).await?;
        return Ok(Err(taken.map_or(AccountRefusal::UsernameTaken, AccountRefusal::from)));
    }
    remember_first_network(service, &mut writing, user.id, network).await?;
    if let Some(outbox) = &service.mails {
        let to = (user.email.as_str(), language);
        // An address that had too many of these mails gets none for this account either; its owner asks for one later.
        add_token(&mut writing, outbox, TokenPurpose::ConfirmAddress, to, user.created_at).await?;
    }
    // With its integer id.
    let inserted = users::find_within(&mut writing, user.id).await?;
    Ok(inserted.map(|user| (writing, user)).ok_or(AccountRefusal::AccountUnknown))
}
