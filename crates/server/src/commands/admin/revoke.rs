//! `admin revoke`: makes an admin a buyer.

use super::super::{CommandError, print_line};
use super::{TablesArgs, count_sessions, find_account, with_accounts};
use crate::auth::Role;
use crate::clock::TimeSource;
use crate::shop::accounts::{self, AccountRefusal};
use clap::Args;

/// Takes the role away.
#[derive(Debug, Args)]
pub struct RevokeAdmin {
    /// The admin's e-mail address.
    #[arg(long, env = "DOORBUSTER_ADMIN_EMAIL", value_name = "ADDRESS")]
    email: String,
    #[command(flatten)]
    tables: TablesArgs,
}

pub(super) fn run(revoke: RevokeAdmin, now: TimeSource) -> Result<(), CommandError> {
    let RevokeAdmin { email, tables } = revoke;
    with_accounts(&tables, now, async |service| {
        let account = find_account(service, &email).await?;
        if account.role == Role::Buyer {
            print_line(&format!("{email} is no admin. Nothing was changed."));
            return Ok(());
        }
        match accounts::set_role(service, account.id, Role::Buyer).await.map_err(anyhow::Error::from)? {
            Ok(change) => {
                let ended = count_sessions(change.ended_count);
                print_line(&format!("{email} is a buyer now; {ended} ended."));
                Ok(())
            }
            Err(AccountRefusal::LastAdmin) => Err(CommandError::Failed(anyhow::anyhow!(
                "{email} is the last admin, and a shop needs one; create another admin first. Nothing was changed"
            ))),
            Err(_) => Err(CommandError::Usage(format!("--email: no account has the address {email}"))),
        }
    })
}
