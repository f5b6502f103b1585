//! Signs a buyer or an admin in.

use super::text::{EmailAddress, PlainPassword, Username};
use super::{AccountError, AccountOutcome, AccountRefusal, AccountService, SignedInAccount};
use crate::auth::passwords::PasswordCheck;
use crate::auth::refresh::RefreshToken;
use crate::shop::ids;
use crate::store::StoreTransaction;
use crate::store::accounts::{self as users, UserRow};
use crate::store::sessions::{self, NewRefreshToken};
use sale::id::BuyerId;
use sale::time::Timestamp;
use uuid::Uuid;

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
    name: LoginName,
    password: PlainPassword,
) -> AccountOutcome<SignedInAccount> {
    let user = match &name {
        LoginName::Email(email) => users::find_by_email(&service.store, &email.0).await?,
        LoginName::Username(username) => users::find_by_username(&service.store, &username.0).await?,
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let verdict = service.passwords.verify(password.0.clone(), hash).await?;
    let Some(user) = user else { return Ok(Err(AccountRefusal::BadCredentials)) };
    match verdict {
        PasswordCheck::Mismatch => return Ok(Err(AccountRefusal::BadCredentials)),
        PasswordCheck::Match => {}
        PasswordCheck::MatchNeedsRehash => upgrade_hash(service, &user, password).await,
    }
    let mut writing = service.store.begin().await?;
    let (session, refresh_token) = begin_session(service, &mut writing, user.id).await?;
    writing.commit().await?;
    Ok(Ok(issue_tokens(service, user, session, refresh_token)))
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

pub(super) async fn begin_session(
    service: &AccountService,
    writing: &mut StoreTransaction,
    user: BuyerId,
) -> Result<(Uuid, RefreshToken), AccountError> {
    let now = (service.now)();
    let session = ids::new(now);
    let token = RefreshToken::generate();
    sessions::insert(writing, user, &new_token(service, session, &token.hash(), now)).await?;
    Ok((session, token))
}

pub(super) fn new_token<'a>(
    service: &AccountService,
    session: Uuid,
    hash: &'a str,
    now: Timestamp,
) -> NewRefreshToken<'a> {
    NewRefreshToken { session, hash, created_at: now, expires_at: now.plus_ms(service.refresh_ttl_ms) }
}

pub(super) fn issue_tokens(
    service: &AccountService,
    user: UserRow,
    session: Uuid,
    refresh_token: RefreshToken,
) -> SignedInAccount {
    let access_token = service.tokens.issue(user.id, user.role, session, (service.now)());
    SignedInAccount {
        account: user.into(),
        access_token,
        refresh_token,
        expires_in_s: service.tokens.ttl_ms() / 1000,
    }
}
