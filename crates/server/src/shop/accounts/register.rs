//! Registers a buyer.

use super::guesses::remember_first_network;
use super::sessions::{begin_session, issue_tokens};
use super::{AccountOutcome, AccountRefusal, AccountRegistration, AccountService, SignedInAccount, new_user};
use crate::auth::Role;
use crate::store::accounts as users;

/// Makes a buyer's account and signs it in. `network` is that of [`super::SignInOrigin`].
///
/// # Errors
/// When the tables do not answer, or too many passwords wait to be hashed.
pub async fn register(
    service: &AccountService,
    registration: AccountRegistration,
    network: u128,
) -> AccountOutcome<SignedInAccount> {
    let AccountRegistration { email, username, password } = registration;
    // Checked before the hash is computed, to save the work. The unique columns decide.
    if let Some(taken) = users::find_taken_name(&service.store, &email.0, &username.0).await? {
        return Ok(Err(taken.into()));
    }
    let user = new_user(service, email, username, password, Role::Buyer).await?;
    let mut writing = service.store.begin().await?;
    if !users::insert(&mut writing, &user).await? {
        writing.rollback().await?;
        let taken = users::find_taken_name(&service.store, &user.email, &user.username).await?;
        return Ok(Err(taken.map_or(AccountRefusal::UsernameTaken, AccountRefusal::from)));
    }
    let Some((session, refresh_token)) = begin_session(service, &mut writing, &user).await? else {
        writing.rollback().await?;
        return Ok(Err(AccountRefusal::AccountUnknown));
    };
    remember_first_network(service, &mut writing, user.id, network).await?;
    writing.commit().await?;
    Ok(Ok(issue_tokens(service, user, session, refresh_token)))
}
