//! Brings the revocations in the tables into memory, where access tokens are checked, and forgets what has expired.

use super::guesses::forget_old_networks;
use super::{AccountError, AccountService};
use crate::auth::revocation::REVOKED_MAX;
use crate::auth::tokens::REVOCATION_MARGIN_MS;
use crate::store::changes::{self, ChangeCounter};
use crate::store::sessions::RevocationCursor;
use crate::store::{StoreError, sessions, token_lifetimes};

/// Loads the revocations of before this start. Returns where [`read_new_revocations`] continues.
///
/// # Errors
/// When the tables do not answer.
pub async fn load_revocations(service: &AccountService) -> Result<RevocationCursor, StoreError> {
    // Read before the sessions: what is revoked meanwhile is read twice, and never missed.
    let last = changes::current_count(&service.store, ChangeCounter::Sessions).await?;
    learn_longest_lifetime(service).await?;
    let now = (service.now)();
    let since = now.plus_ms(-service.tokens.longest_ttl_ms() - REVOCATION_MARGIN_MS);
    for (session, revoked_at) in sessions::list_revoked_since(&service.store, since, REVOKED_MAX).await? {
        service.tokens.revoke(session, revoked_at, now);
    }
    Ok(RevocationCursor::after_change(last))
}

/// The lifetime of tokens before there was a record of it, unless they were given another, in milliseconds: a day.
const LIFETIME_BEFORE_RECORDS_MS: i64 = 86_400_000;

/// Records how long this process's tokens live, and learns how long any token may live: a session that ended must not come back when the
/// lifetime is made shorter.
async fn learn_longest_lifetime(service: &AccountService) -> Result<(), StoreError> {
    let ms = service.tokens.ttl_ms().max(LIFETIME_BEFORE_RECORDS_MS);
    let longest = token_lifetimes::record_lifetime(&service.store, ms).await?;
    service.tokens.extend_longest_ttl(longest);
    Ok(())
}

/// Revocations that are read at a time, so that a query is short.
const FOLLOW_BATCH: u32 = 1_000;

/// Loads the revocations of all processes behind `cursor`. Returns where to continue.
///
/// # Errors
/// When the tables do not answer.
pub async fn read_new_revocations(
    service: &AccountService,
    mut cursor: RevocationCursor,
) -> Result<RevocationCursor, StoreError> {
    loop {
        let revoked = sessions::list_revoked_after(&service.store, &cursor, FOLLOW_BATCH).await?;
        let (now, count) = ((service.now)(), revoked.len());
        for ended in revoked {
            // A new revocation makes the hub check all sockets; those of this instance are known.
            if !service.tokens.is_revoked(ended.session) {
                service.tokens.revoke(ended.session, ended.revoked_at, now);
            }
            cursor = ended.cursor;
        }
        if count < FOLLOW_BATCH as usize {
            return Ok(cursor);
        }
    }
}

/// Sessions that one statement deletes, so that no request waits long for the writer.
const SWEEP_BATCH: u32 = 500;

/// Forgets sessions, refresh tokens and revocations that have expired, and networks that were not seen for long.
///
/// # Errors
/// When the tables do not answer.
pub async fn forget_expired_sessions(service: &AccountService) -> Result<(), AccountError> {
    // Another process may give longer ones since.
    learn_longest_lifetime(service).await?;
    let now = (service.now)();
    service.tokens.forget_expired(now);
    while sessions::delete_expired(&service.store, now, SWEEP_BATCH).await? == u64::from(SWEEP_BATCH) {}
    while sessions::delete_expired_tokens(&service.store, now, SWEEP_BATCH).await? == u64::from(SWEEP_BATCH) {
    }
    forget_old_networks(service).await
}
