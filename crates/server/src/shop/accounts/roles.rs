//! Gives an account another role. Its sessions end, because their access tokens carry the old one. The last admin keeps the role.

use super::sessions::{end_all_sessions, forget_sessions};
use super::{AccountOutcome, AccountProfile, AccountRefusal, AccountService};
use crate::auth::Role;
use crate::store::accounts as users;
use sale::id::BuyerId;

/// An account with the role that was asked for.
pub struct RoleChange {
    pub account: AccountProfile,
    /// The sessions that ended; none when it had the role already.
    pub ended_count: u64,
}

/// Gives an account another role and ends its sessions. Nothing happens when it has the role already.
///
/// # Errors
/// When the tables do not answer.
pub async fn set_role(service: &AccountService, account: BuyerId, role: Role) -> AccountOutcome<RoleChange> {
    let mut writing = service.store.begin().await?;
    users::lock_admins(&mut writing).await?;
    let Some(user) = users::find_within(&mut writing, account).await? else {
        writing.rollback().await?;
        return Ok(Err(AccountRefusal::AccountUnknown));
    };
    if user.role == role {
        writing.rollback().await?;
        return Ok(Ok(RoleChange { account: user.into(), ended_count: 0 }));
    }
    let now = (service.now)();
    users::set_role(&mut writing, account, role, now).await?;
    if role != Role::Admin && !users::has_admin_locked(&mut writing).await? {
        writing.rollback().await?;
        return Ok(Err(AccountRefusal::LastAdmin));
    }
    let ended = end_all_sessions(service, &mut writing, account).await?.unwrap_or_default();
    writing.commit().await?;
    forget_sessions(service, &ended);
    Ok(Ok(RoleChange {
        account: AccountProfile { role, updated_at: now, ..user.into() },
        ended_count: ended.count(),
    }))
}
