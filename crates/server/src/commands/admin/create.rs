//! `admin create`: creates an admin, or gives an account the role and a new password on purpose.

use super::super::{CommandError, print_line};
use super::{TablesArgs, count_sessions, with_accounts};
use crate::auth::Role;
use crate::clock::TimeSource;
use crate::http::v1::rfc3339;
use crate::mail::language::BuyerLanguage;
use crate::shop::accounts::{
    self, AccountRefusal, AccountRegistration, AdminCreation, EmailAddress, ExistingAccount, PlainPassword,
    Username,
};
use base64::Engine;
use clap::Args;

/// Creates an admin.
#[derive(Debug, Args)]
pub struct CreateAdmin {
    /// Its e-mail address.
    #[arg(long, env = "DOORBUSTER_ADMIN_EMAIL", value_name = "ADDRESS")]
    email: String,
    /// Its password, 8 to 256 characters, and none of the most common ones.
    #[arg(long, env = "DOORBUSTER_ADMIN_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    password: String,
    /// Its username; by default the part of the address before the @. An account that exists keeps its own.
    #[arg(long, env = "DOORBUSTER_ADMIN_USERNAME", value_name = "NAME")]
    username: Option<String>,
    /// Makes an account that has the address already an admin, with this password; all its sessions end.
    #[arg(long, env = "DOORBUSTER_ADMIN_PROMOTE", value_parser = clap::builder::BoolishValueParser::new())]
    promote: bool,
    #[command(flatten)]
    tables: TablesArgs,
}

pub(super) fn run(create: CreateAdmin, now: TimeSource) -> Result<(), CommandError> {
    let CreateAdmin { email, password, username, promote, tables } = create;
    let registration = parse_registration("", email.clone(), username, password)?;
    let created = with_accounts(&tables, now, async |service| {
        Ok(accounts::create_admin(service, registration, promote).await.map_err(anyhow::Error::from)?)
    })?;
    match created {
        Ok(AdminCreation::Created(account)) => {
            print_line(&format!("{email} is an admin now (username {}).", account.username));
            Ok(())
        }
        Ok(AdminCreation::Promoted { account }) => {
            print_line(&format!(
                "{}. It is an admin now, with the new password. All its sessions have ended.",
                describe(&account, "was")
            ));
            Ok(())
        }
        Ok(AdminCreation::Exists { account }) => Err(CommandError::Usage(format!(
            "--promote: needed, because there is an account already: {}. Nothing was changed. With --promote it becomes an admin with this password, and all its sessions end",
            describe(&account, "is")
        ))),
        Err(AccountRefusal::UsernameTaken) => {
            Err(CommandError::Usage("--username: another account has this name".to_owned()))
        }
        Err(_) => Err(CommandError::Usage("--email: another account has this address".to_owned())),
    }
}

/// Whose an account is, so that nobody promotes a stranger by mistake.
fn describe(account: &ExistingAccount, verb: &str) -> String {
    let ExistingAccount { profile, session_count } = account;
    let kind = match profile.role {
        Role::Buyer => "a buyer",
        Role::Admin => "an admin",
    };
    format!(
        "{} {verb} {kind} (username {}, made {}) with {} open",
        profile.email,
        profile.username,
        rfc3339(profile.created_at),
        count_sessions(*session_count)
    )
}

/// Checks an admin's names and password; `prefix` is what the flags begin with.
pub fn parse_registration(
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
        language: BuyerLanguage::default(),
    })
}

/// A password for the first admin: 120 random bits, easy to copy.
pub fn generate_password() -> anyhow::Result<String> {
    let mut bits = [0; 15];
    getrandom::fill(&mut bits)?;
    Ok(base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bits))
}
