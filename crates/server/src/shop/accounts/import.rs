//! Imports accounts of another system with their password hashes. It never changes an account that is there: its owner may have a new
//! password, and its old hash is replaced when the owner signs in.

use super::{EmailAddress, FullName, Username};
use crate::auth::Role;
use crate::auth::passwords::{HashRefusal, check_hash};
use crate::mail::language::BuyerLanguage;
use crate::shop::ids;
use crate::store::accounts::{self as users, TakenName, UserRow};
use crate::store::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, Timestamp};
use sha2::{Digest, Sha256};
use std::fmt;

/// The hash of a password, of a kind and a cost that a sign-in takes. It is never shown.
pub struct ImportedHash(String);

impl TryFrom<String> for ImportedHash {
    type Error = HashRefusal;
    fn try_from(hash: String) -> Result<Self, HashRefusal> {
        check_hash(&hash)?;
        Ok(Self(hash))
    }
}

impl fmt::Debug for ImportedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImportedHash(…)")
    }
}

/// An account as another system kept it. It becomes a buyer.
pub struct ImportedAccount {
    /// The id that it had, if that is one here.
    pub id: Option<BuyerId>,
    pub email: EmailAddress,
    /// Without one the account gets the part of its address before the `@`, with a suffix if that is taken.
    pub username: Option<Username>,
    pub password_hash: ImportedHash,
    pub full_name: Option<FullName>,
}

/// What became of an account in an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountImport {
    Imported,
    /// There is an account of this address, and it stays as it is.
    Known,
    /// Another account has the username.
    UsernameTaken,
    /// Another account has the id.
    IdTaken,
}

/// Imports accounts in one transaction, and says what became of each.
///
/// # Errors
/// When the database fails. Then none of them is imported.
pub async fn import_accounts(
    store: &Store,
    accounts: &[ImportedAccount],
    now: Timestamp,
) -> Result<Vec<AccountImport>, StoreError> {
    let mut writing = store.begin().await?;
    let mut imports = Vec::with_capacity(accounts.len());
    for account in accounts {
        imports.push(import_account(&mut writing, account, now).await?);
    }
    writing.commit().await?;
    Ok(imports)
}

async fn import_account(
    writing: &mut StoreTransaction,
    account: &ImportedAccount,
    now: Timestamp,
) -> Result<AccountImport, StoreError> {
    let own_name = account.username.clone();
    let mut user = UserRow {
        id: account.id.unwrap_or_else(|| BuyerId(ids::new(now))),
        email: account.email.0.clone(),
        username: own_name.unwrap_or_else(|| Username::from_email(&account.email)).0,
        password_hash: account.password_hash.0.clone(),
        role: Role::Buyer,
        created_at: now,
        updated_at: now,
        session_epoch: 0,
        integer_id: None,
        full_name: account.full_name.clone().map(FullName::into_text),
        language: BuyerLanguage::default().as_str().to_owned(),
    };
    if let Some(refused) = find_refusal(writing, &user).await? {
        if refused != AccountImport::UsernameTaken || account.username.is_some() {
            return Ok(refused);
        }
        user.username = name_with_suffix(&account.email);
        if let Some(refused) = find_refusal(writing, &user).await? {
            return Ok(refused);
        }
    }
    if users::insert(writing, &user).await? {
        return Ok(AccountImport::Imported);
    }
    // Another process has made an account since.
    Ok(find_refusal(writing, &user).await?.unwrap_or(AccountImport::IdTaken))
}

/// Why the account is not imported, if it is not. It is asked before the row is written: a row that is refused would use up a number.
async fn find_refusal(
    writing: &mut StoreTransaction,
    user: &UserRow,
) -> Result<Option<AccountImport>, StoreError> {
    Ok(match users::find_taken_name_within(writing, &user.email, &user.username).await? {
        Some(TakenName::Email) => Some(AccountImport::Known),
        Some(TakenName::Username) => Some(AccountImport::UsernameTaken),
        None => users::find_within(writing, user.id).await?.map(|_| AccountImport::IdTaken),
    })
}

/// A username that is always the same for an address, and that no other address gets.
fn name_with_suffix(email: &EmailAddress) -> String {
    /// Of the 32 characters that a username may have, 13 are for the suffix.
    const LEN_MAX: usize = 19;
    let name = Username::from_email(email).0;
    let digest = Sha256::digest(email.0.as_bytes());
    let suffix: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{suffix}", &name[..name.len().min(LEN_MAX)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_suffix_is_a_username_and_always_the_same() {
        for address in ["ada@one.example", "ada@two.example", &format!("{}@x.example", "a".repeat(64))] {
            let email: EmailAddress = address.parse().ok().unwrap();
            let name = name_with_suffix(&email);
            assert!(name.parse::<Username>().is_ok(), "{name}");
            assert_eq!(name_with_suffix(&email), name);
        }
        let [one, two] = ["ada@one.example", "ada@two.example"]
            .map(|address| name_with_suffix(&address.parse().ok().unwrap()));
        assert_ne!(one, two);
    }
}
