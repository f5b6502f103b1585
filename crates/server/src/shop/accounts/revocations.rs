//! Brings the revocations in the tables into memory, where access tokens are checked, and forgets what has expired.

use super::{AccountError, AccountService};
use crate::auth::revocation::REVOKED_MAX;
use crate::store::changes::{self, ChangeCounter};
use crate::store::{StoreError, sessions};

/// Loads the revocations of before this start. Returns where [`read_new_revocations`] continues.
///
/// # Errors
/// When the tables do not answer.
pub async fn load_revocations(service: &AccountService) -> Result<i64, StoreError> {
    // Read before the sessions: what is revoked meanwhile is read twice, and never missed.
    let last = changes::current_count(&service.store, ChangeCounter::Sessions).await?;
    let now = (service.now)();
    let since = now.plus_ms(-service.tokens.ttl_ms());
    for (session, revoked_at) in sessions::list_revoked_since(&service.store, since, REVOKED_MAX).await? {
        service.tokens.revoke(session, revoked_at, now);
    }
    Ok(last)
}

/// Revocations that are read at a time, so that a query is short.
const FOLLOW_BATCH: u32 = 1_000;

/// Loads the revocations of all instances after number `last`. Returns the number to continue from.
///
/// # Errors
/// When the tables do not answer.
pub async fn read_new_revocations(service: &AccountService, mut last: i64) -> Result<i64, StoreError> {
    loop {
        let revoked = sessions::list_revoked_after(&service.store, last, FOLLOW_BATCH).await?;
        let now = (service.now)();
        for (session, revoked_at, number) in &revoked {
            // A new revocation makes the hub check all sockets; those of this instance are known.
            if !service.tokens.is_revoked(*session) {
                service.tokens.revoke(*session, *revoked_at, now);
            }
            last = *number;
        }
        if revoked.len() < FOLLOW_BATCH as usize {
            return Ok(last);
        }
    }
}

/// Sessions that one statement deletes, so that no request waits long for the writer.
const SWEEP_BATCH: u32 = 500;

/// Forgets sessions and revocations that have expired.
///
/// # Errors
/// When the tables do not answer.
pub async fn forget_expired_sessions(service: &AccountService) -> Result<(), AccountError> {
    let now = (service.now)();
    service.tokens.forget_expired(now);
    while sessions::delete_expired(&service.store, now, SWEEP_BATCH).await? == u64::from(SWEEP_BATCH) {}
    Ok(())
}
