//! `admin end-sessions`: signs an account out everywhere.

use super::super::{CommandError, print_line};
use super::{TablesArgs, count_sessions, find_account, with_accounts};
use crate::clock::TimeSource;
use crate::shop::accounts;
use clap::Args;

/// Ends the sessions of an account.
#[derive(Debug, Args)]
pub struct EndSessions {
    /// The account's e-mail address: a buyer's or an admin's.
    #[arg(long, env = "DOORBUSTER_ACCOUNT_EMAIL", value_name = "ADDRESS")]
    email: String,
    #[command(flatten)]
    tables: TablesArgs,
}

pub(super) fn run(end: EndSessions, now: TimeSource) -> Result<(), CommandError> {
    let EndSessions { email, tables } = end;
    with_accounts(&tables, now, async |service| {
        let account = find_account(service, &email).await?;
        match accounts::end_sessions(service, account.id).await.map_err(anyhow::Error::from)? {
            Ok((_, ended)) => {
                print_line(&format!("{email}: {} ended.", count_sessions(ended)));
                Ok(())
            }
            Err(_) => Err(CommandError::Usage(format!("--email: no account has the address {email}"))),
        }
    })
}
