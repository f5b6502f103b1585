//! Begins and ends sessions. A session begins only while its account is in the epoch in which the password was checked; a new password
//! or role begins a new epoch and ends all sessions in the same transaction, so that no sign-in slips through between the two.

use super::{AccountError, AccountOutcome, AccountProfile, AccountRefusal, AccountService, SignedInAccount};
use crate::auth::refresh::RefreshToken;
use crate::auth::tokens::TokenAccount;
use crate::auth::{Role, Session};
use crate::shop::ids;
use crate::store::StoreTransaction;
use crate::store::accounts::{self as users, UserRow};
use crate::store::sessions::{self, NewRefreshToken};
use sale::id::BuyerId;
use sale::time::Timestamp;
use uuid::Uuid;

/// Ends a session: its refresh tokens and its access tokens, on this instance at once, on others within a second.
///
/// # Errors
/// When the tables do not answer; the session then lives on.
pub async fn logout(service: &AccountService, session: Session) -> Result<(), AccountError> {
    let now = (service.now)();
    let mut writing = service.store.begin().await?;
    let lives_until = session_end(service, now).max(session.expires_at);
    sessions::revoke_known_or_not(&mut writing, (session.id, session.buyer), now, lives_until).await?;
    writing.commit().await?;
    service.tokens.revoke(session.id, now, now);
    Ok(())
}

/// Whether a session is that of an admin at this moment, by the tables and not by what its token says: the account may have lost the role
/// in tables that were restored, and a restored copy does not know every session that had ended.
///
/// # Errors
/// When the tables do not answer.
pub async fn is_admin_session(service: &AccountService, session: Session) -> Result<bool, AccountError> {
    if session.role != Role::Admin {
        return Ok(false);
    }
    let role = sessions::find_role(&service.store, session.id, session.buyer).await?;
    Ok(role.is_some_and(|role| role == Role::Admin.as_str()))
}

/// Ends every session of an account, as [`logout`] ends one. Returns the account, and how many ended.
///
/// # Errors
/// When the tables do not answer; the sessions then live on.
pub async fn end_sessions(
    service: &AccountService,
    account: BuyerId,
) -> AccountOutcome<(AccountProfile, u64)> {
    let mut writing = service.store.begin().await?;
    let ended = end_all_sessions(service, &mut writing, account).await?;
    let user = users::find_within(&mut writing, account).await?;
    let (Some(ended), Some(user)) = (ended, user) else {
        writing.rollback().await?;
        return Ok(Err(AccountRefusal::AccountUnknown));
    };
    writing.commit().await?;
    forget_sessions(service, &ended);
    Ok(Ok((user.into(), ended.count())))
}

/// The sessions that a transaction ended.
#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    sessions: Vec<Uuid>,
    at: Timestamp,
}

impl EndedSessions {
    pub(super) fn count(&self) -> u64 {
        self.sessions.len() as u64
    }
}

/// Ends every session of an account within a transaction; `None` when there is no such account. Sign-ins that are under way begin no
/// session any more. Call [`forget_sessions`] after the commit.
pub(super) async fn end_all_sessions(
    service: &AccountService,
    writing: &mut StoreTransaction,
    account: BuyerId,
) -> Result<Option<EndedSessions>, AccountError> {
    if users::begin_session_epoch(writing, account).await?.is_none() {
        return Ok(None);
    }
    let at = (service.now)();
    let sessions = sessions::revoke_all(writing, account, at).await?;
    Ok(Some(EndedSessions { sessions, at }))
}

/// Voids the access tokens of ended sessions on this instance; others read the tables.
pub(super) fn forget_sessions(service: &AccountService, ended: &EndedSessions) {
    for session in &ended.sessions {
        service.tokens.revoke(*session, ended.at, ended.at);
    }
}

/// Begins a session of an account that was read in the epoch `user.session_epoch`. `None` when all its sessions were ended since.
pub(super) async fn begin_session(
    service: &AccountService,
    writing: &mut StoreTransaction,
    user: &UserRow,
) -> Result<Option<(Uuid, RefreshToken)>, AccountError> {
    if !users::lock_session_epoch(writing, user.id, user.session_epoch).await? {
        return Ok(None);
    }
    let now = (service.now)();
    let session = ids::new(now);
    let token = RefreshToken::generate();
    let hash = token.hash();
    let row = new_token(service, session, &hash, now);
    sessions::insert(writing, user.id, &row, session_end(service, now)).await?;
    Ok(Some((session, token)))
}

pub(super) fn new_token<'a>(
    service: &AccountService,
    session: Uuid,
    hash: &'a str,
    now: Timestamp,
) -> NewRefreshToken<'a> {
    NewRefreshToken { session, hash, created_at: now, expires_at: now.plus_ms(service.refresh_ttl_ms) }
}

/// Until when the row of a session must be kept that gets new tokens now: a logout is kept in it while any of its tokens is valid.
pub(super) fn session_end(service: &AccountService, now: Timestamp) -> Timestamp {
    now.plus_ms(service.refresh_ttl_ms.max(service.tokens.ttl_ms()))
}

pub(super) fn issue_tokens(
    service: &AccountService,
    user: UserRow,
    session: Uuid,
    refresh_token: RefreshToken,
) -> SignedInAccount {
    let (user_id, username) = (user.integer_id, user.username.as_str());
    let account = TokenAccount { user_id, username };
    let access_token =
        service.tokens.issue_for_account(user.id, user.role, account, session, (service.now)());
    SignedInAccount {
        account: user.into(),
        access_token,
        refresh_token,
        expires_in_s: service.tokens.ttl_ms() / 1000,
    }
}
