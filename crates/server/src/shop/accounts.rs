//! Making an account, signing in and out, staying signed in. It never lets anyone see a password, a hash or a token of
//! another, and takes the same time for a name it does not know.

use super::ids;
use crate::auth::passwords::{PasswordCheck, PasswordPool, PasswordQueueFull};
use crate::auth::refresh::{self, RefreshToken};
use crate::auth::revocation::REVOKED_MAX;
use crate::auth::tokens::AccessTokens;
use crate::auth::{Role, Session};
use crate::clock::TimeSource;
use crate::store::accounts::{self as users, TakenName, UserRow};
use crate::store::changes::{self, ChangeCounter};
use crate::store::sessions::{self, NewRefreshToken, TokenUse};
use crate::store::{Store, StoreError, StoreTransaction};
use sale::id::BuyerId;
use sale::time::Timestamp;
use uuid::Uuid;

/// What accounts need: less than a whole shop, so that an admin can be made beside a running one.
pub struct AccountService {
    /// What the time is.
    pub now: TimeSource,
    pub store: Store,
    pub tokens: AccessTokens,
    pub passwords: PasswordPool,
    /// How long a session lives without being refreshed, in milliseconds.
    pub refresh_ttl_ms: i64,
}

/// Why an account use case did not happen, by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountRefusal {
    /// Another account has the e-mail address.
    EmailTaken,
    /// Another account has the username, in some case.
    UsernameTaken,
    /// No account has this name and password. Which of them was wrong is not told.
    BadCredentials,
    /// The refresh token is unknown, expired, used or revoked.
    BadRefreshToken,
}

/// Why an account use case failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The tables cannot be asked.
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
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Someone who is signed in, with their tokens.
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
}

/// By which of its names an account is meant.
pub enum LoginName {
    Email(EmailAddress),
    Username(Username),
}

/// Makes a buyer's account and signs it in.
///
/// # Errors
/// When the tables or the password threads cannot serve.
pub async fn register(
    desk: &AccountService,
    registration: AccountRegistration,
) -> AccountOutcome<SignedInAccount> {
    let AccountRegistration { email, username, password } = registration;
    // Told before the hash is paid for. The unique columns decide, this only saves work.
    if let Some(taken) = users::find_taken_name(&desk.store, &email.0, &username.0).await? {
        return Ok(Err(taken.into()));
    }
    let user = new_user(desk, email, username, password, Role::Buyer).await?;
    let mut writing = desk.store.begin().await?;
    if !users::insert(&mut writing, &user).await? {
        writing.rollback().await?;
        let taken = users::find_taken_name(&desk.store, &user.email, &user.username).await?;
        return Ok(Err(taken.map_or(AccountRefusal::UsernameTaken, AccountRefusal::from)));
    }
    let (session, refresh_token) = begin_session(desk, &mut writing, user.id).await?;
    writing.commit().await?;
    Ok(Ok(issue_tokens(desk, user, session, refresh_token)))
}

/// Signs in. A hash of an older kind is replaced on the way.
///
/// # Errors
/// When the tables or the password threads cannot serve.
pub async fn login(
    desk: &AccountService,
    name: LoginName,
    password: PlainPassword,
) -> AccountOutcome<SignedInAccount> {
    let user = match &name {
        LoginName::Email(email) => users::find_by_email(&desk.store, &email.0).await?,
        LoginName::Username(username) => users::find_by_username(&desk.store, &username.0).await?,
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let verdict = desk.passwords.verify(password.0.clone(), hash).await?;
    let Some(user) = user else { return Ok(Err(AccountRefusal::BadCredentials)) };
    match verdict {
        PasswordCheck::Mismatch => return Ok(Err(AccountRefusal::BadCredentials)),
        PasswordCheck::Match => {}
        PasswordCheck::MatchNeedsRehash => upgrade_hash(desk, &user, password).await,
    }
    let mut writing = desk.store.begin().await?;
    let (session, refresh_token) = begin_session(desk, &mut writing, user.id).await?;
    writing.commit().await?;
    Ok(Ok(issue_tokens(desk, user, session, refresh_token)))
}

/// Trades a refresh token for new tokens. One that is used twice was stolen from someone: its whole session ends.
///
/// # Errors
/// When the tables cannot serve.
pub async fn refresh(desk: &AccountService, token: &str) -> AccountOutcome<SignedInAccount> {
    let now = (desk.now)();
    let mut writing = desk.store.begin().await?;
    let (session, user) = match sessions::use_token(&mut writing, &refresh::hash_token(token), now).await? {
        TokenUse::Fresh { session, user } => (session, user),
        TokenUse::Invalid => {
            writing.commit().await?;
            return Ok(Err(AccountRefusal::BadRefreshToken));
        }
        TokenUse::Reused { session } => {
            sessions::revoke(&mut writing, session, now).await?;
            writing.commit().await?;
            desk.tokens.revoke(session, now, now);
            tracing::warn!(%session, "a refresh token was used twice, its session is revoked");
            return Ok(Err(AccountRefusal::BadRefreshToken));
        }
    };
    let next = RefreshToken::generate();
    sessions::insert_token(&mut writing, &new_token(desk, session, &next.hash(), now)).await?;
    writing.commit().await?;
    let Some(user) = users::find(&desk.store, user).await? else {
        return Ok(Err(AccountRefusal::BadRefreshToken));
    };
    Ok(Ok(issue_tokens(desk, user, session, next)))
}

/// Ends a session: its refresh tokens and its access tokens, on this instance at once, on others within a second.
///
/// # Errors
/// When the tables cannot serve; the session then lives on.
pub async fn logout(desk: &AccountService, session: Session) -> Result<(), AccountError> {
    let now = (desk.now)();
    let mut writing = desk.store.begin().await?;
    sessions::revoke(&mut writing, session.id, now).await?;
    writing.commit().await?;
    desk.tokens.revoke(session.id, now, now);
    Ok(())
}

/// The account of a session; `None` when it was deleted since.
///
/// # Errors
/// When the tables cannot serve.
pub async fn find_account(
    desk: &AccountService,
    session: Session,
) -> Result<Option<AccountProfile>, AccountError> {
    Ok(users::find(&desk.store, session.buyer).await?.map(AccountProfile::from))
}

/// Makes an admin: a new account, or an existing one that gets the role and this password.
///
/// # Errors
/// When the tables or the password threads cannot serve.
pub async fn create_admin(
    desk: &AccountService,
    registration: AccountRegistration,
) -> AccountOutcome<AccountProfile> {
    let AccountRegistration { email, username, password } = registration;
    if let Some(user) = users::find_by_email(&desk.store, &email.0).await? {
        let hash = desk.passwords.hash(password.0).await?;
        users::set_password_hash(&desk.store, user.id, &hash).await?;
        users::set_role(&desk.store, user.id, Role::Admin).await?;
        return Ok(Ok(AccountProfile { role: Role::Admin, ..user.into() }));
    }
    let user = new_user(desk, email, username, password, Role::Admin).await?;
    let mut writing = desk.store.begin().await?;
    if users::insert(&mut writing, &user).await? {
        writing.commit().await?;
        return Ok(Ok(user.into()));
    }
    writing.rollback().await?;
    let taken = users::find_taken_name(&desk.store, &user.email, &user.username).await?;
    Ok(Err(taken.map_or(AccountRefusal::UsernameTaken, AccountRefusal::from)))
}

/// Makes the first admin, as [`make_admin`] would, unless there is one: of many starts at once, one does.
///
/// # Errors
/// When the tables or the password threads cannot serve.
pub async fn create_first_admin(
    desk: &AccountService,
    registration: AccountRegistration,
) -> AccountOutcome<Option<AccountProfile>> {
    let AccountRegistration { email, username, password } = registration;
    let user = new_user(desk, email, username, password, Role::Admin).await?;
    let mut writing = desk.store.begin().await?;
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
/// When the tables cannot serve.
pub async fn has_admin(store: &Store) -> Result<bool, AccountError> {
    Ok(users::has_admin(store).await?)
}

/// Tells the tokens which sessions were ended before this start. Returns from where [`follow_revocations`] goes on.
///
/// # Errors
/// When the tables cannot serve.
pub async fn load_revocations(desk: &AccountService) -> Result<i64, StoreError> {
    // Asked first: what is ended meanwhile is told twice, and not missed.
    let last = changes::current_count(&desk.store, ChangeCounter::Sessions).await?;
    let now = (desk.now)();
    let since = now.plus_ms(-desk.tokens.ttl_ms());
    for (session, revoked_at) in sessions::list_revoked_since(&desk.store, since, REVOKED_MAX).await? {
        desk.tokens.revoke(session, revoked_at, now);
    }
    Ok(last)
}

/// Sessions that were ended elsewhere and are told in one go, so that a look is short.
const FOLLOW_BATCH: u32 = 1_000;

/// Tells the tokens which sessions were ended, by whomever, after the one with the number `last`. Returns the number to go on
/// from.
///
/// # Errors
/// When the tables cannot serve.
pub async fn read_new_revocations(desk: &AccountService, mut last: i64) -> Result<i64, StoreError> {
    loop {
        let ended = sessions::list_revoked_after(&desk.store, last, FOLLOW_BATCH).await?;
        let now = (desk.now)();
        for (session, revoked_at, number) in &ended {
            // Each new one has all sockets looked at; what was ended here is known.
            if !desk.tokens.is_revoked(*session) {
                desk.tokens.revoke(*session, *revoked_at, now);
            }
            last = *number;
        }
        if ended.len() < FOLLOW_BATCH as usize {
            return Ok(last);
        }
    }
}

/// Sessions forgotten in one go by [`sweep`], so that nobody waits long for the writer.
const SWEEP_BATCH: u32 = 500;

/// Forgets sessions and revocations that no longer matter. Called now and then.
///
/// # Errors
/// When the tables cannot serve.
pub async fn forget_expired_sessions(desk: &AccountService) -> Result<(), AccountError> {
    let now = (desk.now)();
    desk.tokens.forget_expired(now);
    while sessions::delete_expired(&desk.store, now, SWEEP_BATCH).await? == u64::from(SWEEP_BATCH) {}
    Ok(())
}

async fn new_user(
    desk: &AccountService,
    email: EmailAddress,
    username: Username,
    password: PlainPassword,
    role: Role,
) -> Result<UserRow, AccountError> {
    let password_hash = desk.passwords.hash(password.0).await?;
    let created_at = (desk.now)();
    let id = BuyerId(ids::new(created_at));
    Ok(UserRow { id, email: email.0, username: username.0, password_hash, role, created_at })
}

/// An upgrade that fails is tried again at the next login; this one goes on.
async fn upgrade_hash(desk: &AccountService, user: &UserRow, password: PlainPassword) {
    let Ok(hash) = desk.passwords.hash(password.0).await else { return };
    if let Err(error) = users::upgrade_password_hash(&desk.store, user.id, &user.password_hash, &hash).await {
        tracing::warn!(user = %user.id, %error, "an old password hash could not be replaced");
    }
}

async fn begin_session(
    desk: &AccountService,
    writing: &mut StoreTransaction,
    user: BuyerId,
) -> Result<(Uuid, RefreshToken), AccountError> {
    let now = (desk.now)();
    let session = ids::new(now);
    let token = RefreshToken::generate();
    sessions::insert(writing, user, &new_token(desk, session, &token.hash(), now)).await?;
    Ok((session, token))
}

fn new_token<'a>(desk: &AccountService, session: Uuid, hash: &'a str, now: Timestamp) -> NewRefreshToken<'a> {
    NewRefreshToken { session, hash, created_at: now, expires_at: now.plus_ms(desk.refresh_ttl_ms) }
}

fn issue_tokens(
    desk: &AccountService,
    user: UserRow,
    session: Uuid,
    refresh_token: RefreshToken,
) -> SignedInAccount {
    let access_token = desk.tokens.issue(user.id, user.role, session, (desk.now)());
    SignedInAccount {
        account: user.into(),
        access_token,
        refresh_token,
        expires_in_s: desk.tokens.ttl_ms() / 1000,
    }
}

impl From<UserRow> for AccountProfile {
    fn from(user: UserRow) -> Self {
        let UserRow { id, email, username, password_hash: _, role, created_at } = user;
        Self { id, email, username, role, created_at }
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

/// An e-mail address, in lower case.
#[derive(Clone)]
pub struct EmailAddress(String);

/// A username: 3 to 32 of `A-Z a-z 0-9 _ . -`.
#[derive(Clone)]
pub struct Username(String);

/// A password: 8 to 256 characters.
#[derive(Clone)]
pub struct PlainPassword(String);

/// Why a name or password cannot be one, told to the one who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AccountTextError(pub &'static str);

impl std::str::FromStr for EmailAddress {
    type Err = AccountTextError;
    /// At most 254 characters (RFC 5321, with errata), no display name, no quoted or bracketed oddities.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let options = email_address::Options::default().without_display_text().without_domain_literal();
        // A quoted local part may hold blanks, brackets and whatever else; nobody has had such an address for decades.
        let fits = text.len() <= 254
            && !text.contains('"')
            && email_address::EmailAddress::parse_with_options(text, options).is_ok();
        if fits {
            Ok(Self(text.to_lowercase()))
        } else {
            Err(AccountTextError("an e-mail address, such as ada@example.com"))
        }
    }
}

impl std::str::FromStr for Username {
    type Err = AccountTextError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if (3..=32).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AccountTextError("3 to 32 letters, digits, '_', '.' or '-'"))
        }
    }
}

impl TryFrom<String> for PlainPassword {
    type Error = AccountTextError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        // A character is at most four bytes: the second comparison keeps the first from counting a huge text.
        if text.len() <= 1024 && (8..=256).contains(&text.chars().count()) {
            Ok(Self(text))
        } else {
            Err(AccountTextError("8 to 256 characters"))
        }
    }
}

impl PlainPassword {
    /// A password someone signs in with: any length that a hash may have been made of, so that imported ones work.
    ///
    /// # Errors
    /// When it is longer than any password can be.
    pub fn for_login(text: String) -> Result<Self, AccountTextError> {
        if text.len() <= 1024 { Ok(Self(text)) } else { Err(AccountTextError("at most 256 characters")) }
    }
}

impl Username {
    /// A username for an account that was asked for by e-mail address only: what stands before the `@`, made to fit.
    #[must_use]
    pub fn from_email(email: &EmailAddress) -> Self {
        let local = email.0.split('@').next().unwrap_or_default();
        let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let mut name: String = local.chars().filter(good).take(32).collect();
        while name.len() < 3 {
            name.push('_');
        }
        Self(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_checked_at_the_door() {
        for good in ["ada@example.com", "ADA+drop@mail.example.co.uk", "a@localhost"] {
            assert!(good.parse::<EmailAddress>().is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(300));
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "Ada <ada@example.com>",
            "a b@example.com",
            "a@[127.0.0.1]",
            "\"a <script> b\"@example.com",
            &long,
        ] {
            assert!(bad.parse::<EmailAddress>().is_err(), "{bad}");
        }
        assert_eq!("Ada@Example.COM".parse::<EmailAddress>().ok().unwrap().0, "ada@example.com");
        for bad in ["", "ab", "a b c", "ada<script>", "ädä", &"a".repeat(33)] {
            assert!(bad.parse::<Username>().is_err(), "{bad}");
        }
        assert!(PlainPassword::try_from("ü".repeat(256)).is_ok());
        for bad in ["1234567".to_owned(), "x".repeat(257), "x".repeat(100_000)] {
            assert!(PlainPassword::try_from(bad).is_err());
        }
    }
}
