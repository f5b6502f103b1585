//! `admin create`: creates an admin, or gives an account the role and a new password. It may run beside `serve`; it never opens the
//! ledger.

use super::database::DatabaseUrl;
use super::{CommandError, print_line, runtime};
use crate::auth::passwords::PasswordPool;
use crate::auth::tokens::{self, AccessTokens};
use crate::clock::TimeSource;
use crate::shop::accounts::{
    self, AccountRefusal, AccountRegistration, AccountService, EmailAddress, PlainPassword, Username,
};
use crate::store::Store;
use anyhow::Context;
use base64::Engine;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Manages admins.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Creates an admin; an account with this address gets the role and the password.
    Create(CreateAdmin),
}

/// Creates an admin.
#[derive(Debug, Args)]
pub struct CreateAdmin {
    /// Its e-mail address.
    #[arg(long, env = "DOORBUSTER_ADMIN_EMAIL", value_name = "ADDRESS")]
    email: String,
    /// Its password, 8 to 256 characters.
    #[arg(long, env = "DOORBUSTER_ADMIN_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    password: String,
    /// Its username; by default the part of the address before the @.
    #[arg(long, env = "DOORBUSTER_ADMIN_USERNAME", value_name = "NAME")]
    username: Option<String>,
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
/// Usage when a flag is wrong or the name is taken, failure when the tables cannot be opened.
pub fn run(create: CreateAdmin, now: TimeSource) -> Result<(), CommandError> {
    let email = create.email.clone();
    let registration = parse_registration("", create.email, create.username, create.password)?;
    let account = runtime()?.block_on(async {
        let store = match &create.database {
            Some(database) => {
                database.prepare().await?;
                database.open_tables().await?
            }
            None => {
                engine::create_data_folder(&create.data).context("--data: the folder cannot be made")?;
                let store = Store::open(&create.data).await?;
                store.migrate().await?;
                store
            }
        };
        // No token is signed here.
        let key = tokens::generate_key()?;
        let passwords = PasswordPool::start(1)?;
        let service = AccountService {
            now,
            store,
            tokens: AccessTokens::new(key, 60, 1),
            passwords,
            refresh_ttl_ms: 60_000,
        };
        let made = accounts::create_admin(&service, registration).await?;
        service.store.close().await;
        anyhow::Ok(made)
    })?;
    match account {
        Ok(account) => {
            print_line(&format!("{email} is an admin now (username {}).", account.username));
            Ok(())
        }
        Err(AccountRefusal::UsernameTaken) => {
            Err(CommandError::Usage("--username: another account has this name".to_owned()))
        }
        Err(_) => Err(CommandError::Usage("--email: another account has this address".to_owned())),
    }
}

/// Checks an admin's names and password; `prefix` is what the flags begin with.
pub(super) fn parse_registration(
    prefix: &str,
    email: String,
    username: Option<String>,
    password: String,
) -> Result<AccountRegistration, CommandError> {
    let usage_error = |flag: &'static str| {
        move |error: accounts::AccountTextError| {
            CommandError::Usage(format!("--{prefix}{flag}: must be {error}"))
        }
    };
    let email: EmailAddress = email.parse().map_err(usage_error("email"))?;
    let username = match username {
        Some(username) => username.parse().map_err(usage_error("username"))?,
        None => Username::from_email(&email),
    };
    Ok(AccountRegistration {
        email,
        username,
        password: PlainPassword::try_from(password).map_err(usage_error("password"))?,
    })
}

/// A password for the first admin: 120 random bits, easy to copy.
pub(super) fn generate_password() -> anyhow::Result<String> {
    let mut bits = [0; 15];
    getrandom::fill(&mut bits)?;
    Ok(base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bits))
}
