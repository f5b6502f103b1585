//! Changes the password of an account, by its owner.

use super::guesses::{GuessLimits, PasswordGuess, SignInOrigin};
use super::sessions::{begin_session, end_all_sessions, forget_sessions, issue_tokens};
use super::sign_in::is_right_password;
use super::text::PlainPassword;
use super::{AccountOutcome, AccountRefusal, AccountService, SignedInAccount};
use crate::auth::Session;
use crate::store::accounts as users;

/// What an owner gives to change a password.
pub struct PasswordChange {
    pub session: Session,
    pub current: PlainPassword,
    pub new: PlainPassword,
    /// The network of the request, as [`SignInOrigin::network`].
    pub network: u128,
}

/// Changes the password and ends all sessions, that of the caller too, who gets a new one.
///
/// # Errors
/// When the tables do not answer, or too many passwords wait to be hashed.
pub async fn change_password(
    service: &AccountService,
    limits: Option<&dyn GuessLimits>,
    change: PasswordChange,
) -> AccountOutcome<SignedInAccount> {
    let PasswordChange { session, current, new, network } = change;
    let Some(user) = users::find(&service.store, session.buyer).await? else {
        return Ok(Err(AccountRefusal::AccountUnknown));
    };
    let origin = SignInOrigin { network, session: Some(session) };
    let guess = match PasswordGuess::begin(service, limits, &user.email, Some(&user), origin).await? {
        Ok(guess) => guess,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let hash = Some(user.password_hash.clone());
    let check = service.passwords.verify(current.0, hash).await?;
    if !is_right_password(check, user.id) {
        guess.count_wrong(service, limits).await;
        return Ok(Err(AccountRefusal::WrongPassword));
    }
    let hash = service.passwords.hash(new.0).await?;
    let mut writing = service.store.begin().await?;
    // Of two changes at once the later one checked a password that is no longer right.
    if !users::lock_session_epoch(&mut writing, user.id, user.session_epoch).await? {
        writing.rollback().await?;
        return Ok(Err(AccountRefusal::WrongPassword));
    }
    let now = (service.now)();
    users::set_password_hash(&mut writing, user.id, &hash, now).await?;
    let ended = end_all_sessions(service, &mut writing, user.id).await?.unwrap_or_default();
    let user = users::UserRow { session_epoch: user.session_epoch + 1, updated_at: now, ..user };
    let Some((session, refresh_token)) = begin_session(service, &mut writing, &user).await? else {
        writing.rollback().await?;
        return Ok(Err(AccountRefusal::WrongPassword));
    };
    writing.commit().await?;
    forget_sessions(service, &ended);
    Ok(Ok(issue_tokens(service, user, session, refresh_token)))
}
