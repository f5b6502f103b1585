//! Buyers without an account. A guest of a dialect is derived from the text by which the dialect's client names the buyer: the same text is
//! always the same buyer, on every instance, and nothing has to be read to know who it is.

use super::group_commit::{GroupCommit, RowNotWritten};
use crate::clock::TimeSource;
use crate::store::guests::{self, GuestRow};
use crate::store::{Store, StoreError};
use futures::FutureExt;
use quick_cache::sync::Cache;
use sale::BuyerId;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use uuid::Builder;

/// Characters of a guest's name.
pub const NAME_LEN_MAX: usize = 255;
/// Guests that this process remembers as stored, some 50 bytes each; others are written again, which changes nothing.
const KNOWN_MAX: usize = 500_000;

/// Where guests come from. The same name of two origins is two buyers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestOrigin {
    Turnstile,
    Holds,
    Drop,
    /// The native API.
    Native,
    /// The native API, after a code from a mail.
    Proved,
}

impl GuestOrigin {
    /// The word for it in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Turnstile => "turnstile",
            Self::Holds => "holds",
            Self::Drop => "drop",
            Self::Native => "guest",
            Self::Proved => "proved",
        }
    }
}

/// A guest of a dialect, by the text that its client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialectGuest {
    origin: GuestOrigin,
    name: String,
    buyer: BuyerId,
}

/// The text names no buyer: it is blank, too long, or one that PostgreSQL does not store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a buyer's id is a text of 1 to {NAME_LEN_MAX} characters, not only blanks, without the character U+0000"
)]
pub struct GuestNameError;

impl DialectGuest {
    /// The guest with this name. An e-mail address is trimmed and in lower case; any other name is taken as it is.
    ///
    /// # Errors
    /// When the text is blank, longer than [`NAME_LEN_MAX`] characters, or contains the character U+0000.
    pub fn new(origin: GuestOrigin, name: &str) -> Result<Self, GuestNameError> {
        let name = match origin {
            GuestOrigin::Holds => name.trim().to_lowercase(),
            GuestOrigin::Turnstile | GuestOrigin::Drop | GuestOrigin::Native | GuestOrigin::Proved => {
                name.to_owned()
            }
        };
        // PostgreSQL stores no U+0000.
        let is_valid =
            !name.trim().is_empty() && name.chars().count() <= NAME_LEN_MAX && !name.contains('\0');
        if !is_valid {
            return Err(GuestNameError);
        }
        Ok(Self { origin, buyer: derive_buyer(origin, &name), name })
    }

    #[must_use]
    pub fn buyer(&self) -> BuyerId {
        self.buyer
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The guest's row.
    #[must_use]
    pub fn row(&self, now: sale::Timestamp) -> GuestRow {
        GuestRow { buyer: self.buyer, origin: self.origin.as_str(), name: self.name.clone(), created_at: now }
    }
}

/// The buyer of a name: a UUID of version 8, which no account has.
fn derive_buyer(origin: GuestOrigin, name: &str) -> BuyerId {
    let digest = Sha256::new()
        .chain_update(b"doorbuster guest\0")
        .chain_update(origin.as_str())
        .chain_update(b"\0")
        .chain_update(name)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    // The last bit is that of native guests.
    bytes[15] &= !1;
    BuyerId(Builder::from_custom_bytes(bytes).into_uuid())
}

/// Stores guests before their first change is answered.
pub struct GuestBook {
    writer: GroupCommit<GuestRow, ()>,
    known: Cache<BuyerId, ()>,
    now: TimeSource,
}

impl GuestBook {
    #[must_use]
    pub fn start(store: Store, now: TimeSource) -> Self {
        let write = move |rows: Vec<GuestRow>| {
            let store = store.clone();
            async move { insert_guests(&store, rows).await }.boxed()
        };
        Self { writer: GroupCommit::start("guests", Box::new(write)), known: Cache::new(KNOWN_MAX), now }
    }

    /// Stores a guest, if this process has not done so yet, and returns when that is durable.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn remember(&self, guest: &DialectGuest) -> Result<(), RowNotWritten> {
        if self.known.get(&guest.buyer).is_some() {
            return Ok(());
        }
        self.writer.write(guest.row((self.now)())).await?;
        self.mark_known(guest);
        Ok(())
    }

    /// [`Self::remember`] while `work` runs: for work that almost always changes something for the guest.
    ///
    /// # Errors
    /// When the tables do not answer; the work is done all the same.
    pub async fn remember_during<T>(
        &self,
        guest: &DialectGuest,
        work: impl Future<Output = T>,
    ) -> Result<T, RowNotWritten> {
        let (result, stored) = tokio::join!(work, self.remember(guest));
        stored?;
        Ok(result)
    }

    /// Stores the row of a guest that was made for one visit.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn store_row(&self, row: GuestRow) -> Result<(), RowNotWritten> {
        self.writer.write(row).await
    }

    /// Whether this process knows that a guest is stored.
    #[must_use]
    pub fn is_known(&self, guest: &DialectGuest) -> bool {
        self.known.get(&guest.buyer).is_some()
    }

    /// Remembers that another writer has stored the guest.
    pub fn mark_known(&self, guest: &DialectGuest) {
        self.known.insert(guest.buyer, ());
    }
}

async fn insert_guests(store: &Store, mut rows: Vec<GuestRow>) -> Result<Vec<()>, StoreError> {
    let callers = rows.len();
    let mut seen = HashSet::with_capacity(callers);
    rows.retain(|row| seen.insert(row.buyer));
    let mut writing = store.begin().await?;
    guests::insert(&mut writing, &rows).await?;
    writing.commit().await?;
    Ok(vec![(); callers])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_buyer_at_one_origin() {
        let buyer = |origin, name| DialectGuest::new(origin, name).unwrap().buyer();
        assert_eq!(buyer(GuestOrigin::Drop, "ada"), buyer(GuestOrigin::Drop, "ada"));
        assert_ne!(buyer(GuestOrigin::Drop, "ada"), buyer(GuestOrigin::Turnstile, "ada"));
        assert_ne!(buyer(GuestOrigin::Drop, "ada"), buyer(GuestOrigin::Drop, "Ada"));
        assert_ne!(buyer(GuestOrigin::Drop, "ada"), buyer(GuestOrigin::Drop, " ada"));
        assert_eq!(
            buyer(GuestOrigin::Holds, " Ada@Example.com "),
            buyer(GuestOrigin::Holds, "ada@example.com")
        );
        assert_eq!(buyer(GuestOrigin::Drop, "ada").0.get_version_num(), 8);
    }

    #[test]
    fn a_name_has_1_to_255_characters() {
        let is_guest = |name: &str| DialectGuest::new(GuestOrigin::Drop, name).is_ok();
        assert!(is_guest("😀") && is_guest(&"ä".repeat(NAME_LEN_MAX)));
        for bad in ["", " ", "\t\n", "a\0b", &"a".repeat(NAME_LEN_MAX + 1)] {
            assert!(!is_guest(bad), "{bad:?}");
        }
    }
}
