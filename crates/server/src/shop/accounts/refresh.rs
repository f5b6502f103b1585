//! Keeps a session alive: trades a refresh token for new tokens.

use super::sessions::{issue_tokens, new_token, session_end};
use super::{AccountError, AccountOutcome, AccountRefusal, AccountService, SignedInAccount, fill_integer_id};
use crate::auth::refresh::{RefreshToken, hash_token};
use crate::store::StoreTransaction;
use crate::store::accounts as users;
use crate::store::sessions::{self, TokenUse};
use sale::id::BuyerId;
use sale::time::Timestamp;
use uuid::Uuid;

/// How long a used token is traded for the same successor again, for a client whose reply was lost.
pub const REFRESH_GRACE_MS: i64 = 30_000;

/// Trades a refresh token for new tokens. For [`REFRESH_GRACE_MS`] the same token gives the same successor again, as long as the
/// successor is unused. Any other second use means that someone has a copy: the whole session ends.
///
/// # Errors
/// When the tables do not answer.
pub async fn refresh(service: &AccountService, token: &str) -> AccountOutcome<SignedInAccount> {
    let now = (service.now)();
    let successor = RefreshToken::derive_successor(token, &service.tokens.secret_for("refresh tokens"));
    let mut writing = service.store.begin().await?;
    let renewed = match sessions::use_token(&mut writing, &hash_token(token), now).await? {
        TokenUse::Fresh { session } => {
            let owner = sessions::extend(&mut writing, session, session_end(service, now)).await?;
            if owner.is_some() {
                let hash = successor.hash();
                let row = new_token(service, session, &hash, now);
                sessions::insert_token(&mut writing, &row).await?;
            }
            owner.map(|user| (session, user))
        }
        TokenUse::Reused { session, used_at } => {
            repeat_or_revoke(service, &mut writing, TokenReuse { session, used_at, now }, &successor).await?
        }
        TokenUse::Invalid => None,
    };
    writing.commit().await?;
    let Some((session, user)) = renewed else { return Ok(Err(AccountRefusal::BadRefreshToken)) };
    let Some(user) = users::find(&service.store, user).await? else {
        return Ok(Err(AccountRefusal::BadRefreshToken));
    };
    let user = fill_integer_id(service, user).await?;
    Ok(Ok(issue_tokens(service, user, session, successor)))
}

/// The second use of a refresh token.
struct TokenReuse {
    session: Uuid,
    used_at: Timestamp,
    now: Timestamp,
}

/// Repeats the reply of the first use within the grace; otherwise ends the session.
async fn repeat_or_revoke(
    service: &AccountService,
    writing: &mut StoreTransaction,
    reuse: TokenReuse,
    successor: &RefreshToken,
) -> Result<Option<(Uuid, BuyerId)>, AccountError> {
    let TokenReuse { session, used_at, now } = reuse;
    let in_grace = now.ms_since(used_at) <= REFRESH_GRACE_MS;
    if in_grace && sessions::is_unused(writing, &successor.hash(), session, now).await? {
        let owner = sessions::extend(writing, session, session_end(service, now)).await?;
        return Ok(owner.map(|user| (session, user)));
    }
    if sessions::revoke(writing, session, now).await? {
        service.tokens.revoke(session, now, now);
        tracing::warn!(%session, "a refresh token was used twice; its session is revoked, and its owner has to sign in; if it repeats, look at the client");
    }
    Ok(None)
}
