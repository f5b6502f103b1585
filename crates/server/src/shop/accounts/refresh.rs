//! Keeps a session alive: trades a refresh token for new tokens.

use super::sign_in::{issue_tokens, new_token};
use super::{AccountOutcome, AccountRefusal, AccountService, SignedInAccount};
use crate::auth::refresh::{self, RefreshToken};
use crate::store::accounts as users;
use crate::store::sessions::{self, TokenUse};

/// Trades a refresh token for new tokens. A token that is used twice was stolen: its whole session ends.
///
/// # Errors
/// When the tables do not answer.
pub async fn refresh(service: &AccountService, token: &str) -> AccountOutcome<SignedInAccount> {
    let now = (service.now)();
    let mut writing = service.store.begin().await?;
    let (session, user) = match sessions::use_token(&mut writing, &refresh::hash_token(token), now).await? {
        TokenUse::Fresh { session, user } => (session, user),
        TokenUse::Invalid => {
            writing.commit().await?;
            return Ok(Err(AccountRefusal::BadRefreshToken));
        }
        TokenUse::Reused { session } => {
            sessions::revoke(&mut writing, session, now).await?;
            writing.commit().await?;
            service.tokens.revoke(session, now, now);
            tracing::warn!(%session, "a refresh token was used twice, its session is revoked");
            return Ok(Err(AccountRefusal::BadRefreshToken));
        }
    };
    let next = RefreshToken::generate();
    sessions::insert_token(&mut writing, &new_token(service, session, &next.hash(), now)).await?;
    writing.commit().await?;
    let Some(user) = users::find(&service.store, user).await? else {
        return Ok(Err(AccountRefusal::BadRefreshToken));
    };
    Ok(Ok(issue_tokens(service, user, session, next)))
}
