//! Accounts: one file for each operation. It never shows a password, a hash or another account's token, and takes the same time for
//! a name that it does not know.

mod register;

mod sign_in;

mod refresh;

mod change_password;

mod mail_links;

mod sessions;

mod admins;

mod roles;

mod guesses;

mod revocations;

mod import;

mod text;

pub use admins::{
    AdminCreation, ExistingAccount, create_admin, create_first_admin, has_admin, register_admin,
};
pub use change_password::{PasswordChange, change_password};
pub use guesses::{GuessKey, GuessLimits, SignInOrigin};
pub use import::{AccountImport, ImportedAccount, ImportedHash, import_accounts};
pub use mail_links::{MailedLink, confirm_address, forgot_password, request_confirmation, reset_password};
pub use refresh::{REFRESH_GRACE_MS, refresh};
pub use register::{create_account, register};
pub use revocations::{forget_expired_sessions, load_revocations, read_new_revocations};
pub use roles::{RoleChange, set_role};
pub use sessions::{end_sessions, is_admin_session, logout};
pub use sign_in::{LoginName, login};
pub use text::{AccountTextError, EmailAddress, FullName, PlainPassword, Username};

use super::ids;
use super::mails::MailOutbox;
use crate::auth::passwords::{PasswordPool, PasswordQueueFull};
use crate::auth::refresh::RefreshToken;
use crate::auth::tokens::AccessTokens;
use crate::auth::{Role, Session};
use crate::clock::TimeSource;
use crate::mail::language::BuyerLanguage;
use crate::store::accounts::{self as users, TakenName, UserRow};
use crate::store::integer_ids::{self, IntegerIdKind};
use crate::store::{Store, StoreError};
use sale::id::BuyerId;
use sale::time::Timestamp;

/// What accounts need: less than a whole shop, so that the command line makes an admin beside a running one.
pub struct AccountService {
    pub now: TimeSource,
    pub store: Store,
    pub tokens: AccessTokens,
    pub passwords: PasswordPool,
    /// How long a session lives without being refreshed, in milliseconds.
    pub refresh_ttl_ms: i64,
    /// Where mails are left, if the shop sends any.
    pub mails: Option<MailOutbox>,
}

/// A rule that an account operation met. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountRefusal {
    /// Another account has the e-mail address.
    EmailTaken,
    /// Another account has the username, in some case.
    UsernameTaken,
    /// No account has this name and password. It does not say which of them is wrong.
    BadCredentials,
    /// The refresh token is unknown, expired, used or revoked.
    BadRefreshToken,
    /// The password that was given to confirm a change is not that of the account.
    WrongPassword,
    /// Too many wrong passwords were given for this account.
    TooManyGuesses { retry_after_s: u32 },
    /// There is no such account.
    AccountUnknown,
    /// The account is the last admin, which keeps the role.
    LastAdmin,
    /// The link or code from a mail is unknown, used, late, or of another account.
    BadMailToken,
    /// The shop sends no mail.
    MailOff,
}

/// Why an account operation failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The tables did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many passwords wait to be hashed.
    #[error(transparent)]
    Overloaded(#[from] PasswordQueueFull),
}

type AccountOutcome<T> = Result<Result<T, AccountRefusal>, AccountError>;

/// An account as its owner sees it.
#[derive(Debug, Clone)]
pub struct AccountProfile {
    pub id: BuyerId,
    pub email: String,
    pub username: String,
    pub role: Role,
    pub created_at: Timestamp,
    /// When its address, name, role or password last changed.
    pub updated_at: Timestamp,
    /// See [`crate::shop::integer_ids`]; `None` until the next start for an account that an older version made.
    pub integer_id: Option<i64>,
    pub full_name: Option<String>,
}

/// A signed-in account with its tokens.
pub struct SignedInAccount {
    pub account: AccountProfile,
    pub access_token: String,
    /// The refresh token, usable once.
    pub refresh_token: RefreshToken,
    /// Seconds until the access token expires.
    pub expires_in_s: i64,
}

/// What a new account needs.
pub struct AccountRegistration {
    pub email: EmailAddress,
    pub username: Username,
    pub password: PlainPassword,
    /// The language in which the owner reads the shop.
    pub language: BuyerLanguage,
}

/// The account of a session; `None` when it was deleted since.
///
/// # Errors
/// When the tables do not answer.
pub async fn find_account(
    service: &AccountService,
    session: Session,
) -> Result<Option<AccountProfile>, AccountError> {
    Ok(users::find(&service.store, session.buyer).await?.map(AccountProfile::from))
}

/// The account with this address; `None` when there is none.
///
/// # Errors
/// When the tables do not answer.
pub async fn find_by_email(
    service: &AccountService,
    email: &EmailAddress,
) -> Result<Option<AccountProfile>, AccountError> {
    Ok(users::find_by_email(&service.store, &email.0).await?.map(AccountProfile::from))
}

async fn new_user(
    service: &AccountService,
    email: EmailAddress,
    username: Username,
    password: PlainPassword,
    role: Role,
) -> Result<UserRow, AccountError> {
    let password_hash = service.passwords.hash(password.0).await?;
    let created_at = (service.now)();
    let id = BuyerId(ids::new(created_at));
    let (email, username) = (email.0, username.0);
    Ok(UserRow {
        id,
        email,
        username,
        password_hash,
        role,
        created_at,
        updated_at: created_at,
        session_epoch: 0,
        integer_id: None,
        full_name: None,
        language: BuyerLanguage::default().as_str().to_owned(),
    })
}

/// The account with its integer id, which one that another version or an import made may not have yet.
async fn fill_integer_id(service: &AccountService, user: UserRow) -> Result<UserRow, AccountError> {
    if user.integer_id.is_some() {
        return Ok(user);
    }
    integer_ids::fill_missing(&service.store, IntegerIdKind::Users).await?;
    let integer_id = integer_ids::find_user(&service.store, user.id).await?;
    Ok(UserRow { integer_id, ..user })
}

impl From<UserRow> for AccountProfile {
    fn from(user: UserRow) -> Self {
        let UserRow { id, email, username, role, created_at, updated_at, integer_id, full_name, .. } = user;
        Self { id, email, username, role, created_at, updated_at, integer_id, full_name }
    }
}

impl From<TakenName> for AccountRefusal {
    fn from(taken: TakenName) -> Self {
        match taken {
            TakenName::Email => Self::EmailTaken,
            TakenName::Username => Self::UsernameTaken,
        }
    }
}
