//! Signs a buyer or an admin in.

use super::guesses::{GuessLimits, PasswordGuess, SignInOrigin};
use super::sessions::{begin_session, issue_tokens};
use super::text::{EmailAddress, PlainPassword, Username};
use super::{AccountOutcome, AccountRefusal, AccountService, SignedInAccount, fill_integer_id};
use crate::auth::passwords::PasswordCheck;
use crate::store::accounts::{self as users, UserRow};
use sale::id::BuyerId;

/// The name that an account signs in with.
pub enum LoginName {
    Email(EmailAddress),
    Username(Username),
}

/// Signs in, and replaces a hash of an older kind.
///
/// # Errors
/// When the tables do not answer, or too many passwords wait to be hashed.
pub async fn login(
    service: &AccountService,
    limits: Option<&dyn GuessLimits>,
    name: LoginName,
    password: PlainPassword,
    origin: SignInOrigin,
) -> AccountOutcome<SignedInAccount> {
    let (key, user) = match name {
        LoginName::Email(email) => {
            let user = users::find_by_email(&service.store, &email.0).await?;
            (email.0, user)
        }
        LoginName::Username(username) => {
            let user = users::find_by_username(&service.store, &username.0).await?;
            (username.0.to_ascii_lowercase(), user)
        }
    };
    let guess = match PasswordGuess::begin(service, limits, &key, user.as_ref(), origin).await? {
        Ok(guess) => guess,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let check = service.passwords.verify(password.0.clone(), hash).await?;
    let Some(user) = user.filter(|user| is_right_password(check, user.id)) else {
        guess.count_wrong(service, limits).await;
        return Ok(Err(AccountRefusal::BadCredentials));
    };
    if check == PasswordCheck::MatchNeedsRehash {
        upgrade_hash(service, &user, password).await;
    }
    let user = fill_integer_id(service, user).await?;
    let mut writing = service.store.begin().await?;
    // The password or the role was changed since the account was read: the next sign-in reads the new ones.
    let Some((session, refresh_token)) = begin_session(service, &mut writing, &user).await? else {
        writing.rollback().await?;
        return Ok(Err(AccountRefusal::BadCredentials));
    };
    guess.remember_network(service, &mut writing, user.id).await?;
    writing.commit().await?;
    Ok(Ok(issue_tokens(service, user, session, refresh_token)))
}

/// Whether a password is right. A hash that is not accepted is logged: its owner cannot sign in.
pub(super) fn is_right_password(check: PasswordCheck, user: BuyerId) -> bool {
    match check {
        PasswordCheck::Mismatch => false,
        PasswordCheck::Match | PasswordCheck::MatchNeedsRehash | PasswordCheck::MatchTruncated => true,
        PasswordCheck::Refused(reason) => {
            tracing::warn!(%user, %reason, "the password hash of an account is not accepted; its owner cannot sign in; give the account a hash of lower cost, or a new password");
            false
        }
    }
}

/// Replaces an old hash. A failure does not stop the sign-in; the next one tries again.
async fn upgrade_hash(service: &AccountService, user: &UserRow, password: PlainPassword) {
    let Ok(hash) = service.passwords.hash(password.0).await else { return };
    if let Err(error) =
        users::upgrade_password_hash(&service.store, user.id, &user.password_hash, &hash).await
    {
        tracing::warn!(user = %user.id, %error, "replacing an old password hash failed; the next sign-in tries again");
    }
}
