//! Makes admins.

use super::{
    AccountError, AccountOutcome, AccountProfile, AccountRefusal, AccountRegistration, AccountService,
    new_user,
};
use crate::auth::Role;
use crate::store::Store;
use crate::store::accounts as users;

/// Makes an admin: a new account, or an existing one that gets the role and this password.
///
/// # Errors
/// When the tables do not answer, or too many passwords wait to be hashed.
pub async fn create_admin(
    service: &AccountService,
    registration: AccountRegistration,
) -> AccountOutcome<AccountProfile> {
    let AccountRegistration { email, username, password } = registration;
    if let Some(user) = users::find_by_email(&service.store, &email.0).await? {
        let hash = service.passwords.hash(password.0).await?;
        users::set_password_hash(&service.store, user.id, &hash).await?;
        users::set_role(&service.store, user.id, Role::Admin).await?;
        return Ok(Ok(AccountProfile { role: Role::Admin, ..user.into() }));
    }
    let user = new_user(service, email, username, password, Role::Admin).await?;
    let mut writing = service.store.begin().await?;
    if users::insert(&mut writing, &user).await? {
        writing.commit().await?;
        return Ok(Ok(user.into()));
    }
    writing.rollback().await?;
    let taken = users::find_taken_name(&service.store, &user.email, &user.username).await?;
    Ok(Err(taken.map_or(AccountRefusal::UsernameTaken, AccountRefusal::from)))
}

/// Makes the first admin, as [`create_admin`] would, unless there is one: of several starts at once, one makes it.
///
/// # Errors
/// When the tables do not answer, or too many passwords wait to be hashed.
pub async fn create_first_admin(
    service: &AccountService,
    registration: AccountRegistration,
) -> AccountOutcome<Option<AccountProfile>> {
    let AccountRegistration { email, username, password } = registration;
    let user = new_user(service, email, username, password, Role::Admin).await?;
    let mut writing = service.store.begin().await?;
    if users::has_admin_locked(&mut writing).await? {
        writing.rollback().await?;
        return Ok(Ok(None));
    }
    let made = match users::promote_to_admin(&mut writing, &user.email, &user.password_hash).await? {
        Some(promoted) => promoted,
        None if users::insert(&mut writing, &user).await? => user,
        None => {
            writing.rollback().await?;
            return Ok(Err(AccountRefusal::UsernameTaken));
        }
    };
    writing.commit().await?;
    Ok(Ok(Some(made.into())))
}

/// Whether anyone is an admin yet.
///
/// # Errors
/// When the tables do not answer.
pub async fn has_admin(store: &Store) -> Result<bool, AccountError> {
    Ok(users::has_admin(store).await?)
}
