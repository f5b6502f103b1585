//! Ends a session.

use super::{AccountError, AccountService};
use crate::auth::Session;
use crate::store::sessions;

/// Ends a session: its refresh tokens and its access tokens, on this instance at once, on others within a second.
///
/// # Errors
/// When the tables do not answer; the session then lives on.
pub async fn logout(service: &AccountService, session: Session) -> Result<(), AccountError> {
    let now = (service.now)();
    let mut writing = service.store.begin().await?;
    sessions::revoke(&mut writing, session.id, now).await?;
    writing.commit().await?;
    service.tokens.revoke(session.id, now, now);
    Ok(())
}
