//! Makes admins: new accounts, or accounts that exist already and are promoted on purpose.

use super::guesses::remember_first_network;
use super::sessions::{begin_session, end_all_sessions, forget_sessions, issue_tokens};
use super::{
    AccountError, AccountOutcome, AccountProfile, AccountRefusal, AccountRegistration, AccountService,
    EmailAddress, FullName, PlainPassword, SignedInAccount, Username, new_user,
};
use crate::auth::Role;
use crate::store::accounts as users;
use crate::store::{Store, sessions};

/// Characters of a username before the part that makes it unique.
const USERNAME_PREFIX_LEN: usize = 23;

/// What became of an attempt to create an admin.
pub enum AdminCreation {
    /// There was no account with the address, and now there is an admin.
    Created(AccountProfile),
    /// The account got the role and the password, and its sessions ended.
    Promoted { account: ExistingAccount },
    /// There is an account with the address. Nothing was changed.
    Exists { account: ExistingAccount },
}

/// An account that was there before the command.
pub struct ExistingAccount {
    /// As it was.
    pub profile: AccountProfile,
    /// The sessions that went on, or were ended.
    pub session_count: u64,
}

/// Makes an admin. An account that has the address already gets the role and this password only when `promote` is set: someone else may
/// have registered it. All its sessions end then.
///
/// # Errors
/// When the tables do not answer, or too many passwords wait to be hashed.
pub async fn create_admin(
    service: &AccountService,
    registration: AccountRegistration,
    promote: bool,
) -> AccountOutcome<AdminCreation> {
    let AccountRegistration { email, username, password, .. } = registration;
    if let Some(user) = users::find_by_email(&service.store, &email.0).await? {
        if !promote {
            let session_count = sessions::count_open(&service.store, user.id, (service.now)()).await?;
            let account = ExistingAccount { profile: user.into(), session_count };
            return Ok(Ok(AdminCreation::Exists { account }));
        }
        let hash = service.passwords.hash(password.0).await?;
        let mut writing = service.store.begin().await?;
        let Some(ended) = end_all_sessions(service, &mut writing, user.id).await? else {
            writing.rollback().await?;
            return Ok(Err(AccountRefusal::AccountUnknown));
        };
        let now = (service.now)();
        users::set_password_hash(&mut writing, user.id, &hash, now).await?;
        users::set_role(&mut writing, user.id, Role::Admin, now).await?;
        writing.commit().await?;
        let session_count = ended.count();
        forget_sessions(service, &ended);
        let account = ExistingAccount { profile: user.into(), session_count };
        return Ok(Ok(AdminCreation::Promoted { account }));
    }
    let user = new_user(service, email, username, password, Role::Admin).await?;
    let mut writing = service.store.begin().await?;
    if users::insert(&mut writing, &user).await? {
        writing.commit().await?;
        return Ok(Ok(AdminCreation::Created(user.into())));
    }
    writing.rollback().await?;
    let taken = users::find_taken_name(&service.store, &user.email, &user.username).await?;
    Ok(Err(taken.map_or(AccountRefusal::UsernameTaken, AccountRefusal::from)))
}

/// Makes an admin's account, gives it a username, and signs it in: for callers that know addresses only. `network` is that of
/// [`super::SignInOrigin`].
///
/// # Errors
/// When the tables do not answer, or too many passwords wait to be hashed.
pub async fn register_admin(
    service: &AccountService,
    email: EmailAddress,
    password: PlainPassword,
    full_name: Option<FullName>,
    network: u128,
) -> AccountOutcome<SignedInAccount> {
    // Checked before the hash is computed, to save the work.
    if users::find_by_email(&service.store, &email.0).await?.is_some() {
        return Ok(Err(AccountRefusal::EmailTaken));
    }
    let username = Username::from_email(&email);
    let mut user = new_user(service, email, username, password, Role::Admin).await?;
    user.full_name = full_name.map(FullName::into_text);
    let mut writing = service.store.begin().await?;
    if !users::insert(&mut writing, &user).await? {
        // The part before the `@` is another account's username: the last 32 bits of the id, which are random, tell them apart.
        let id = user.id.to_string();
        let prefix: String = user.username.chars().take(USERNAME_PREFIX_LEN).collect();
        user.username = format!("{prefix}-{}", &id[id.len() - 8..]);
        if !users::insert(&mut writing, &user).await? {
            writing.rollback().await?;
            let taken = users::find_taken_name(&service.store, &user.email, &user.username).await?;
            return Ok(Err(taken.map_or(AccountRefusal::EmailTaken, AccountRefusal::from)));
        }
    }
    // With what the table adds.
    let user = users::find_within(&mut writing, user.id).await?.unwrap_or(user);
    let Some((session, refresh_token)) = begin_session(service, &mut writing, &user).await? else {
        writing.rollback().await?;
        return Ok(Err(AccountRefusal::AccountUnknown));
    };
    remember_first_network(service, &mut writing, user.id, network).await?;
    writing.commit().await?;
    Ok(Ok(issue_tokens(service, user, session, refresh_token)))
}

/// Makes the first admin, as [`create_admin`] would with `promote`, unless there is one: of several starts at once, one makes it.
///
/// # Errors
/// When the tables do not answer, or too many passwords wait to be hashed.
pub async fn create_first_admin(
    service: &AccountService,
    registration: AccountRegistration,
) -> AccountOutcome<Option<AccountProfile>> {
    let AccountRegistration { email, username, password, .. } = registration;
    let user = new_user(service, email, username, password, Role::Admin).await?;
    let mut writing = service.store.begin().await?;
    users::lock_admins(&mut writing).await?;
    if users::has_admin_locked(&mut writing).await? {
        writing.rollback().await?;
        return Ok(Ok(None));
    }
    let made = match users::promote_to_admin(&mut writing, &user.email, &user.password_hash, user.created_at)
        .await?
    {
        Some(promoted) => {
            let ended = end_all_sessions(service, &mut writing, promoted.id).await?.unwrap_or_default();
            writing.commit().await?;
            forget_sessions(service, &ended);
            return Ok(Ok(Some(promoted.into())));
        }
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
