//! Making an account, signing in and out, staying signed in. It never lets anyone see a password, a hash or a token of
//! another, and takes the same time for a name it does not know.

use super::ids;
use crate::auth::passwords::{Overloaded, Passwords, Verdict};
use crate::auth::refresh::{self, RefreshToken};
use crate::auth::revocation::REVOKED_MAX;
use crate::auth::tokens::Tokens;
use crate::auth::{Role, Session};
use crate::clock::Now;
use crate::store::accounts::{self as users, Taken, User};
use crate::store::changes::{self, Change};
use crate::store::sessions::{self, NewToken, Use};
use crate::store::{Store, StoreError, Writing};
use sale::id::BuyerId;
use sale::time::Timestamp;
use uuid::Uuid;

/// What accounts need: less than a whole shop, so that an admin can be made beside a running one.
pub struct Accounts {
    /// What the time is.
    pub now: Now,
    /// The tables.
    pub store: Store,
    /// Access tokens.
    pub tokens: Tokens,
    /// Password hashing.
    pub passwords: Passwords,
    /// How long a session lives without being refreshed, in milliseconds.
    pub refresh_ttl_ms: i64,
}

/// Why an account use case did not happen, by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
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
    Overloaded(#[from] Overloaded),
}

type Outcome<T> = Result<Result<T, Refused>, AccountError>;

/// An account as its owner sees it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: BuyerId,
    /// Its e-mail address.
    pub email: String,
    /// Its name.
    pub username: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Someone who is signed in, with their tokens.
pub struct SignedIn {
    /// Who.
    pub account: Account,
    /// The access token.
    pub access_token: String,
    /// The refresh token, usable once.
    pub refresh_token: RefreshToken,
    /// Seconds until the access token expires.
    pub expires_in_s: i64,
}

/// What a new account needs.
pub struct Registration {
    /// Its address.
    pub email: Email,
    /// Its name.
    pub username: Username,
    /// Its password.
    pub password: Password,
}

/// By which of its names an account is meant.
pub enum Name {
    /// The e-mail address.
    Email(Email),
    /// The username.
    Username(Username),
}

/// Makes a buyer's account and signs it in.
///
/// # Errors
/// When the tables or the password threads cannot serve.
pub async fn register(desk: &Accounts, registration: Registration) -> Outcome<SignedIn> {
    let Registration { email, username, password } = registration;
    // Told before the hash is paid for. The unique columns decide, this only saves work.
    if let Some(taken) = users::taken(&desk.store, &email.0, &username.0).await? {
        return Ok(Err(taken.into()));
    }
    let user = new_user(desk, email, username, password, Role::Buyer).await?;
    let mut writing = desk.store.begin().await?;
    if !users::insert(&mut writing, &user).await? {
        writing.undo().await?;
        let taken = users::taken(&desk.store, &user.email, &user.username).await?;
        return Ok(Err(taken.map_or(Refused::UsernameTaken, Refused::from)));
    }
    let (session, refresh_token) = begin_session(desk, &mut writing, user.id).await?;
    writing.commit().await?;
    Ok(Ok(signed_in(desk, user, session, refresh_token)))
}

/// Signs in. A hash of an older kind is replaced on the way.
///
/// # Errors
/// When the tables or the password threads cannot serve.
pub async fn login(desk: &Accounts, name: Name, password: Password) -> Outcome<SignedIn> {
    let user = match &name {
        Name::Email(email) => users::find_by_email(&desk.store, &email.0).await?,
        Name::Username(username) => users::find_by_username(&desk.store, &username.0).await?,
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let verdict = desk.passwords.verify(password.0.clone(), hash).await?;
    let Some(user) = user else { return Ok(Err(Refused::BadCredentials)) };
    match verdict {
        Verdict::Wrong => return Ok(Err(Refused::BadCredentials)),
        Verdict::Right => {}
        Verdict::RightButOutdated => upgrade(desk, &user, password).await,
    }
    let mut writing = desk.store.begin().await?;
    let (session, refresh_token) = begin_session(desk, &mut writing, user.id).await?;
    writing.commit().await?;
    Ok(Ok(signed_in(desk, user, session, refresh_token)))
}

/// Trades a refresh token for new tokens. One that is used twice was stolen from someone: its whole session ends.
///
/// # Errors
/// When the tables cannot serve.
pub async fn refresh(desk: &Accounts, token: &str) -> Outcome<SignedIn> {
    let now = (desk.now)();
    let mut writing = desk.store.begin().await?;
    let (session, user) = match sessions::use_token(&mut writing, &refresh::hash(token), now).await? {
        Use::Fresh { session, user } => (session, user),
        Use::Void => {
            writing.commit().await?;
            return Ok(Err(Refused::BadRefreshToken));
        }
        Use::Reused { session } => {
            sessions::revoke(&mut writing, session, now).await?;
            writing.commit().await?;
            desk.tokens.revoke(session, now, now);
            tracing::warn!(%session, "a refresh token was used twice, its session is revoked");
            return Ok(Err(Refused::BadRefreshToken));
        }
    };
    let next = RefreshToken::generate();
    sessions::insert_token(&mut writing, &new_token(desk, session, &next.hash(), now)).await?;
    writing.commit().await?;
    let Some(user) = users::find(&desk.store, user).await? else { return Ok(Err(Refused::BadRefreshToken)) };
    Ok(Ok(signed_in(desk, user, session, next)))
}

/// Ends a session: its refresh tokens and its access tokens, on this instance at once, on others within a second.
///
/// # Errors
/// When the tables cannot serve; the session then lives on.
pub async fn logout(desk: &Accounts, session: Session) -> Result<(), AccountError> {
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
pub async fn me(desk: &Accounts, session: Session) -> Result<Option<Account>, AccountError> {
    Ok(users::find(&desk.store, session.buyer).await?.map(Account::from))
}

/// Makes an admin: a new account, or an existing one that gets the role and this password.
///
/// # Errors
/// When the tables or the password threads cannot serve.
pub async fn make_admin(desk: &Accounts, registration: Registration) -> Outcome<Account> {
    let Registration { email, username, password } = registration;
    if let Some(user) = users::find_by_email(&desk.store, &email.0).await? {
        let hash = desk.passwords.hash(password.0).await?;
        users::set_password_hash(&desk.store, user.id, &hash).await?;
        users::set_role(&desk.store, user.id, Role::Admin).await?;
        return Ok(Ok(Account { role: Role::Admin, ..user.into() }));
    }
    let user = new_user(desk, email, username, password, Role::Admin).await?;
    let mut writing = desk.store.begin().await?;
    if users::insert(&mut writing, &user).await? {
        writing.commit().await?;
        return Ok(Ok(user.into()));
    }
    writing.undo().await?;
    let taken = users::taken(&desk.store, &user.email, &user.username).await?;
    Ok(Err(taken.map_or(Refused::UsernameTaken, Refused::from)))
}

/// Makes the first admin, as [`make_admin`] would, unless there is one: of many starts at once, one does.
///
/// # Errors
/// When the tables or the password threads cannot serve.
pub async fn make_first_admin(desk: &Accounts, registration: Registration) -> Outcome<Option<Account>> {
    let Registration { email, username, password } = registration;
    let user = new_user(desk, email, username, password, Role::Admin).await?;
    let mut writing = desk.store.begin().await?;
    if users::first_admin_is_there(&mut writing).await? {
        writing.undo().await?;
        return Ok(Ok(None));
    }
    let made = match users::promote(&mut writing, &user.email, &user.password_hash).await? {
        Some(promoted) => promoted,
        None if users::insert(&mut writing, &user).await? => user,
        None => {
            writing.undo().await?;
            return Ok(Err(Refused::UsernameTaken));
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
pub async fn restore_revocations(desk: &Accounts) -> Result<i64, StoreError> {
    // Asked first: what is ended meanwhile is told twice, and not missed.
    let last = changes::last(&desk.store, Change::Sessions).await?;
    let now = (desk.now)();
    let since = now.plus_ms(-desk.tokens.ttl_ms());
    for (session, revoked_at) in sessions::revoked_since(&desk.store, since, REVOKED_MAX).await? {
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
pub async fn follow_revocations(desk: &Accounts, mut last: i64) -> Result<i64, StoreError> {
    loop {
        let ended = sessions::revoked_after(&desk.store, last, FOLLOW_BATCH).await?;
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
pub async fn sweep(desk: &Accounts) -> Result<(), AccountError> {
    let now = (desk.now)();
    desk.tokens.sweep(now);
    while sessions::delete_expired(&desk.store, now, SWEEP_BATCH).await? == u64::from(SWEEP_BATCH) {}
    Ok(())
}

async fn new_user(
    desk: &Accounts,
    email: Email,
    username: Username,
    password: Password,
    role: Role,
) -> Result<User, AccountError> {
    let password_hash = desk.passwords.hash(password.0).await?;
    let created_at = (desk.now)();
    let id = BuyerId(ids::new(created_at));
    Ok(User { id, email: email.0, username: username.0, password_hash, role, created_at })
}

/// An upgrade that fails is tried again at the next login; this one goes on.
async fn upgrade(desk: &Accounts, user: &User, password: Password) {
    let Ok(hash) = desk.passwords.hash(password.0).await else { return };
    if let Err(error) = users::upgrade_password_hash(&desk.store, user.id, &user.password_hash, &hash).await {
        tracing::warn!(user = %user.id, %error, "an old password hash could not be replaced");
    }
}

async fn begin_session(
    desk: &Accounts,
    writing: &mut Writing,
    user: BuyerId,
) -> Result<(Uuid, RefreshToken), AccountError> {
    let now = (desk.now)();
    let session = ids::new(now);
    let token = RefreshToken::generate();
    sessions::insert(writing, user, &new_token(desk, session, &token.hash(), now)).await?;
    Ok((session, token))
}

fn new_token<'a>(desk: &Accounts, session: Uuid, hash: &'a str, now: Timestamp) -> NewToken<'a> {
    NewToken { session, hash, created_at: now, expires_at: now.plus_ms(desk.refresh_ttl_ms) }
}

fn signed_in(desk: &Accounts, user: User, session: Uuid, refresh_token: RefreshToken) -> SignedIn {
    let access_token = desk.tokens.issue(user.id, user.role, session, (desk.now)());
    SignedIn { account: user.into(), access_token, refresh_token, expires_in_s: desk.tokens.ttl_ms() / 1000 }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        let User { id, email, username, password_hash: _, role, created_at } = user;
        Self { id, email, username, role, created_at }
    }
}

impl From<Taken> for Refused {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Email => Self::EmailTaken,
            Taken::Username => Self::UsernameTaken,
        }
    }
}

/// An e-mail address, in lower case.
#[derive(Clone)]
pub struct Email(String);

/// A username: 3 to 32 of `A-Z a-z 0-9 _ . -`.
#[derive(Clone)]
pub struct Username(String);

/// A password: 8 to 256 characters.
#[derive(Clone)]
pub struct Password(String);

/// Why a name or password cannot be one, told to the one who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotValid(pub &'static str);

impl std::str::FromStr for Email {
    type Err = NotValid;
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
            Err(NotValid("an e-mail address, such as ada@example.com"))
        }
    }
}

impl std::str::FromStr for Username {
    type Err = NotValid;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if (3..=32).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotValid("3 to 32 letters, digits, '_', '.' or '-'"))
        }
    }
}

impl TryFrom<String> for Password {
    type Error = NotValid;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        // A character is at most four bytes: the second comparison keeps the first from counting a huge text.
        if text.len() <= 1024 && (8..=256).contains(&text.chars().count()) {
            Ok(Self(text))
        } else {
            Err(NotValid("8 to 256 characters"))
        }
    }
}

impl Password {
    /// A password someone signs in with: any length that a hash may have been made of, so that imported ones work.
    ///
    /// # Errors
    /// When it is longer than any password can be.
    pub fn to_check(text: String) -> Result<Self, NotValid> {
        if text.len() <= 1024 { Ok(Self(text)) } else { Err(NotValid("at most 256 characters")) }
    }
}

impl Username {
    /// A username for an account that was asked for by e-mail address only: what stands before the `@`, made to fit.
    #[must_use]
    pub fn from_email(email: &Email) -> Self {
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
            assert!(good.parse::<Email>().is_ok(), "{good}");
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
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
        assert_eq!("Ada@Example.COM".parse::<Email>().ok().unwrap().0, "ada@example.com");
        for bad in ["", "ab", "a b c", "ada<script>", "ädä", &"a".repeat(33)] {
            assert!(bad.parse::<Username>().is_err(), "{bad}");
        }
        assert!(Password::try_from("ü".repeat(256)).is_ok());
        for bad in ["1234567".to_owned(), "x".repeat(257), "x".repeat(100_000)] {
            assert!(Password::try_from(bad).is_err());
        }
    }
}
