//! The admin that the first start makes, so that an operator can sign in.

use super::super::settings::Serve;
use super::super::{CommandError, admin};
use crate::shop::accounts::{self, AccountService};

/// The admin's address when the first start gets none.
const ADMIN_EMAIL: &str = "admin@doorbuster.local";

/// An admin with a generated password. Its `Display` is the only place where the password is ever shown.
pub struct FirstAdmin {
    /// The address to sign in with.
    pub email: String,
    /// The password to sign in with.
    pub password: String,
}

impl std::fmt::Display for FirstAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "First start: made the admin {} with the password {} (shown only now).",
            self.email, self.password
        )
    }
}

/// Makes an admin while there is none. Returns it when its password was generated.
pub(super) async fn make_first_admin(
    settings: &Serve,
    service: &AccountService,
) -> Result<Option<FirstAdmin>, CommandError> {
    if accounts::has_admin(&service.store).await.map_err(anyhow::Error::from)? {
        return Ok(None);
    }
    let email = settings.admin_email.clone().unwrap_or_else(|| ADMIN_EMAIL.to_owned());
    let (password, generated) = match &settings.admin_password {
        Some(password) => (password.clone(), false),
        None => (admin::generate_password()?, true),
    };
    let registration = admin::parse_registration("admin-", email.clone(), None, password.clone())?;
    match accounts::create_first_admin(service, registration).await.map_err(anyhow::Error::from)? {
        Ok(Some(_)) => Ok(generated.then_some(FirstAdmin { email, password })),
        // Another process made the admin first: its password counts.
        Ok(None) => Ok(None),
        Err(_) => Err(CommandError::Usage("--admin-email: another account has its username".to_owned())),
    }
}
