//! `admin`: creates admins, takes the role away, and ends the sessions of an account. It may run beside `serve`, which notices within a
//! second; it never opens the ledger.

mod create;
mod end_sessions;
mod revoke;

pub use create::CreateAdmin;
pub use end_sessions::EndSessions;
pub use revoke::RevokeAdmin;

pub(super) use create::{generate_password, parse_registration};

use super::CommandError;
use super::database::{DatabaseUrl, refuse_unfinished_move};
use super::runtime;
use crate::auth::passwords::PasswordPool;
use crate::auth::tokens::{self, AccessTokens};
use crate::clock::TimeSource;
use crate::shop::accounts::{self, AccountProfile, AccountService, EmailAddress};
use crate::store::Store;
use anyhow::Context;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Manages admins, and the sessions of accounts.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Creates an admin. An account that has the address already is shown, and becomes an admin with --promote.
    Create(CreateAdmin),
    /// Takes the role of an admin away; the account stays, as a buyer. The last admin keeps the role.
    Revoke(RevokeAdmin),
    /// Signs an account out everywhere, on every instance within a second.
    EndSessions(EndSessions),
}

/// Where the tables are.
#[derive(Debug, Args)]
struct TablesArgs {
    /// Folder of the tables.
    #[arg(long, env = "DOORBUSTER_DATA", default_value = "./data", value_name = "FOLDER")]
    data: PathBuf,
    /// PostgreSQL of the tables, instead of the folder.
    #[arg(long, env = "DOORBUSTER_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<DatabaseUrl>,
}

/// Runs the command.
///
/// # Errors
/// Usage when a flag is wrong or missing, failure when the tables cannot be opened or the command is refused.
pub fn run(command: AdminCommand, now: TimeSource) -> Result<(), CommandError> {
    match command {
        AdminCommand::Create(create) => create::run(create, now),
        AdminCommand::Revoke(revoke) => revoke::run(revoke, now),
        AdminCommand::EndSessions(end) => end_sessions::run(end, now),
    }
}

/// Opens the tables, runs `work` on the accounts, and closes the tables.
fn with_accounts<T>(
    tables: &TablesArgs,
    now: TimeSource,
    work: impl AsyncFnOnce(&AccountService) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    runtime()?.block_on(async {
        let store = open_tables(tables).await?;
        // No token is signed here.
        let key = tokens::generate_key().map_err(anyhow::Error::from)?;
        let passwords = PasswordPool::start(1).map_err(anyhow::Error::from)?;
        let tokens = AccessTokens::new(key, 60, 1);
        let service = AccountService { now, store, tokens, passwords, refresh_ttl_ms: 60_000, mails: None };
        let done = work(&service).await;
        service.store.close().await;
        done
    })
}

async fn open_tables(tables: &TablesArgs) -> Result<Store, CommandError> {
    if let Some(database) = &tables.database {
        database.prepare().await?;
        let store = database.open_tables().await?;
        refuse_unfinished_move(&store).await?;
        return Ok(store);
    }
    engine::create_data_folder(&tables.data).context("--data: the folder cannot be made")?;
    let store = Store::open(&tables.data).await.map_err(anyhow::Error::from)?;
    store.migrate().await.map_err(anyhow::Error::from)?;
    Ok(store)
}

/// The account with this address, which the command is about.
async fn find_account(service: &AccountService, email: &str) -> Result<AccountProfile, CommandError> {
    let address: EmailAddress = email.parse().map_err(|error: accounts::AccountTextError| {
        CommandError::Usage(format!("--email: must be {error}"))
    })?;
    let account = accounts::find_by_email(service, &address).await.map_err(anyhow::Error::from)?;
    account.ok_or_else(|| CommandError::Usage(format!("--email: no account has the address {email}")))
}

/// A number of sessions, for a sentence.
fn count_sessions(count: u64) -> String {
    match count {
        0 => "no sessions".to_owned(),
        1 => "1 session".to_owned(),
        more => format!("{more} sessions"),
    }
}
