//! Guests of the native API: a buyer for each visit, bound to its access token. Nobody gets the orders of an address by knowing it. The
//! limit per buyer counts the orders of all guests of an address together, so that a new visit is no new limit.

use super::accounts::EmailAddress;
use super::group_commit::RowNotWritten;
use super::guests::GuestOrigin;
use super::mails::MailOutbox;
use super::mails::tokens::{CODE_TRIES_MAX, TokenPurpose};
use super::orders::{PricedOrder, refusal_for_all, with_price};
use super::unanswered::UnansweredError;
use super::{Shop, ids};
use crate::auth::Role;
use crate::mail::language::BuyerLanguage;
use crate::store::guests::{self, GuestRow};
use crate::store::locks::AdvisoryLock;
use crate::store::{StoreError, guest_orders, mail_tokens};
use engine::{EngineError, SaleView};
use futures::{StreamExt, TryStreamExt};
use quick_cache::sync::Cache;
use sale::{BuyerId, BuyerView, OrderId, Refusal, SaleId, Timestamp};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};
use uuid::{Builder, Uuid};

/// Locks of addresses in this process. Two addresses that share one wait for each other.
const LOCKS: usize = 256;
/// Locks of addresses that a process of a cluster holds at a time. Each takes one of the connections that write until its order is made, and
/// half of them stay free for payments and everyone else.
const CLUSTER_LOCKS: usize = 4;
/// How long an order waits for one of them.
const CLUSTER_LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a guest's row is written again that an earlier request of the guest, which was refused, has removed before this one had the lock.
const INSERTS_MAX: usize = 8;
/// Guests of an address in a sale, at most: each further order asks for all of them.
const GUESTS_MAX: u32 = 1_000;
/// Of how many guests the engine is asked at a time.
const BUYER_QUERIES_IN_FLIGHT: usize = 64;
/// Addresses of guests that are remembered, some 150 bytes each.
const KNOWN_MAX: usize = 100_000;

/// A guest with a new token.
#[derive(Clone, Debug)]
pub struct GuestVisit {
    pub guest: GuestProfile,
    pub access_token: String,
    /// Seconds until the access token expires.
    pub expires_in_s: i64,
}

/// A guest as the guest sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestProfile {
    pub id: BuyerId,
    pub email: String,
    pub created_at: Timestamp,
}

/// What the limit of guests needs.
pub struct GuestLimits {
    /// Whether new guests may come.
    pub is_on: bool,
    locks: Vec<Mutex<()>>,
    cluster_locks: Semaphore,
    hasher: RandomState,
    addresses: Cache<BuyerId, String>,
}

impl GuestLimits {
    #[must_use]
    pub fn new(is_on: bool) -> Self {
        Self {
            is_on,
            locks: (0..LOCKS).map(|_| Mutex::default()).collect(),
            cluster_locks: Semaphore::new(CLUSTER_LOCKS),
            hasher: RandomState::new(),
            addresses: Cache::new(KNOWN_MAX),
        }
    }

    async fn lock(&self, sale: SaleId, address: &str) -> MutexGuard<'_, ()> {
        let at = self.hasher.hash_one((sale, address)) % LOCKS as u64;
        self.locks[usize::try_from(at).unwrap_or_default()].lock().await
    }
}

/// The right to order for an address in a sale, until it is dropped.
pub(super) struct AddressLock<'a> {
    guest: (SaleId, String, BuyerId),
    /// Whether this is the only request of the guest that may become an order.
    is_new: bool,
    cluster_lock: Option<(AdvisoryLock, SemaphorePermit<'a>)>,
    _local_lock: MutexGuard<'a, ()>,
}

impl AddressLock<'_> {
    /// Releases it after a reply; without a reply, when the order may have been made or not, it is dropped. A guest whose first request
    /// is refused is removed: otherwise each visit of an address would make the next order of the address dearer.
    pub(super) async fn release(self, shop: &Shop, is_refused: bool) {
        if let Err(error) = self.try_release(shop, is_refused).await {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "the lock of an address was not released in order");
        }
    }

    async fn try_release(self, shop: &Shop, is_refused: bool) -> Result<(), StoreError> {
        let (sale, address, buyer) = &self.guest;
        let is_removed = is_refused && self.is_new;
        let Some((mut lock, _permit)) = self.cluster_lock else {
            if is_removed {
                let mut writing = shop.store.begin().await?;
                guest_orders::remove(&mut writing, *sale, address, *buyer).await?;
                writing.commit().await?;
            }
            return Ok(());
        };
        if is_removed && let Some(writing) = lock.transaction() {
            guest_orders::remove(writing, *sale, address, *buyer).await?;
        }
        // The permit is free when the connection is.
        lock.commit().await
    }
}

/// Makes a guest for one visit. Its row is durable before its token is given away.
///
/// # Errors
/// When the tables do not answer.
pub async fn begin_visit(shop: &Shop, email: EmailAddress) -> Result<GuestVisit, RowNotWritten> {
    let now = (shop.now)();
    let guest = GuestProfile { id: new_guest_id(), email: email.into_text(), created_at: now };
    let row = GuestRow {
        buyer: guest.id,
        origin: GuestOrigin::Native.as_str(),
        name: guest.email.clone(),
        created_at: now,
    };
    shop.guests.store_row(row).await?;
    let tokens = &shop.accounts.tokens;
    let access_token = tokens.issue(guest.id, Role::Buyer, ids::new(now), now);
    Ok(GuestVisit { guest, access_token, expires_in_s: tokens.ttl_ms() / 1000 })
}

/// The guest who has proved an address by a code from a mail: the same buyer each time, apart from the guests of visits, which prove nothing.
/// `Ok(None)` when the code is wrong, used or late; each try counts against all codes of the address.
///
/// # Errors
/// When the tables do not answer.
pub async fn return_with_code(
    shop: &Shop,
    outbox: &MailOutbox,
    (email, language): (EmailAddress, BuyerLanguage),
    code: &str,
) -> Result<Option<GuestVisit>, StoreError> {
    let now = (shop.now)();
    let digest = outbox.tokens.digest_code(email.as_str(), code);
    let purpose = TokenPurpose::GuestCode.as_str();
    let mut writing = shop.store.begin().await?;
    let known = mail_tokens::count_try(&mut writing, (email.as_str(), purpose), now, CODE_TRIES_MAX).await?;
    let right = known.into_iter().find(|(_, known)| known.as_bytes().ct_eq(digest.as_bytes()).into());
    let is_right = match right {
        Some((id, _)) => mail_tokens::use_code(&mut writing, &id, now).await?,
        None => false,
    };
    if !is_right {
        // The try counts.
        writing.commit().await?;
        return Ok(None);
    }
    let origin = GuestOrigin::Proved.as_str();
    let row = GuestRow {
        buyer: mark_native(outbox.tokens.guest_bytes(email.as_str())),
        origin,
        name: email.into_text(),
        created_at: now,
    };
    guests::insert(&mut writing, std::slice::from_ref(&row)).await?;
    // Mails about orders come in it.
    guests::set_language(&mut writing, (&row.name, origin), language.as_str()).await?;
    writing.commit().await?;
    // The first id stays, although one that another secret of the shop gives would differ.
    let stored = guests::find_by_origin(&shop.store, &row.name, origin).await?;
    let (id, created_at) = stored.unwrap_or((row.buyer, now));
    let guest = GuestProfile { id, email: row.name, created_at };
    let tokens = &shop.accounts.tokens;
    let access_token = tokens.issue(guest.id, Role::Buyer, ids::new(now), now);
    Ok(Some(GuestVisit { guest, access_token, expires_in_s: tokens.ttl_ms() / 1000 }))
}

/// A guest of the native API; `None` when the buyer is none.
///
/// # Errors
/// When the tables do not answer.
pub async fn find_guest(shop: &Shop, buyer: BuyerId) -> Result<Option<GuestProfile>, StoreError> {
    if !is_native_guest(buyer) {
        return Ok(None);
    }
    let row = guests::find(&shop.store, buyer).await?;
    Ok(row.map(|row| GuestProfile { id: buyer, email: row.name, created_at: row.created_at }))
}

/// An order of a guest of any origin, for someone who knows both its id and the e-mail address. One of them alone finds nothing.
///
/// # Errors
/// When the engine or the tables do not answer.
pub async fn find_order(
    shop: &Shop,
    email: &EmailAddress,
    order: OrderId,
) -> Result<Option<PricedOrder>, UnansweredError> {
    let Some((sale, view)) = shop.engine.order(order).await? else { return Ok(None) };
    let row = guests::find(&shop.store, view.buyer).await?;
    // Names of dialects may have capitals; an address is in lower case.
    let is_theirs = row.is_some_and(|row| row.name.to_lowercase() == email.as_str());
    Ok(if is_theirs { with_price(shop, sale, view) } else { None })
}

/// Whether a guest may order so many units more: the units of all guests of the address in this sale count together. Hold what it
/// returns until the order is made or refused, so that two guests of an address do not order at once. Other buyers pass.
///
/// A repeated request of a guest is refused, and not answered again, when another guest of the address has used the limit up meanwhile;
/// the order is in the guest's list.
///
/// # Errors
/// When the engine or the tables do not answer: then no guest orders.
pub(super) async fn claim_units<'a>(
    shop: &'a Shop,
    view: &SaleView,
    buyer: BuyerId,
    quantity: u32,
) -> Result<Result<Option<AddressLock<'a>>, Refusal>, EngineError> {
    if !is_native_guest(buyer) {
        return Ok(Ok(None));
    }
    // In a box, so that it does not enlarge what the requests of all buyers move.
    let claimed = Box::pin(claim_guest_units(shop, view, buyer, quantity)).await;
    claimed.map_err(|error| match error {
        UnansweredError::Engine(error) => error,
        UnansweredError::Store(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "the orders of a guest's address could not be counted; the guest gets 503, and may ask again; check the database"
            );
            EngineError::StateUnknown
        }
    })
}

async fn claim_guest_units<'a>(
    shop: &'a Shop,
    view: &SaleView,
    buyer: BuyerId,
    quantity: u32,
) -> Result<Result<Option<AddressLock<'a>>, Refusal>, UnansweredError> {
    let sale = view.id;
    // Where everyone is refused, a guest who has had no order needs no lock: there is none to repeat.
    if let Some(refusal) = refusal_for_all(shop, view)
        && !shop.engine.buyer(sale, buyer).await?.has_history
    {
        return Ok(Err(refusal));
    }
    let Some(address) = find_address(shop, buyer).await? else {
        return Ok(Err(Refusal::LimitReached));
    };
    let _local_lock = shop.guest_limits.lock(sale, &address).await;
    let EnteredGuest { is_new, cluster_lock, guests } = enter_guest(shop, sale, &address, buyer).await?;
    let lock = AddressLock { guest: (sale, address, buyer), is_new, cluster_lock, _local_lock };
    if guests.len() >= GUESTS_MAX as usize {
        lock.release(shop, true).await;
        return Ok(Err(Refusal::LimitReached));
    }
    let others = futures::stream::iter(guests.into_iter().filter(|guest| *guest != buyer));
    let units_of = async |guest| shop.engine.buyer(sale, guest).await.map(count_units);
    let units_of_others: u64 = others
        .map(units_of)
        .buffer_unordered(BUYER_QUERIES_IN_FLIGHT)
        .try_fold(0, async |sum, units| Ok(sum + units))
        .await?;
    if units_of_others > 0 {
        let own = count_units(shop.engine.buyer(sale, buyer).await?);
        if units_of_others + own + u64::from(quantity) > u64::from(view.policy.limit_per_buyer) {
            lock.release(shop, true).await;
            return Ok(Err(Refusal::LimitReached));
        }
    }
    Ok(Ok(Some(lock)))
}

fn count_units(view: BuyerView) -> u64 {
    u64::from(view.held) + u64::from(view.owned)
}

/// A guest who is counted among those of the address.
struct EnteredGuest<'a> {
    /// False when an earlier request has entered the guest.
    is_new: bool,
    cluster_lock: Option<(AdvisoryLock, SemaphorePermit<'a>)>,
    /// All guests of the address.
    guests: Vec<BuyerId>,
}

/// Counts a guest among those of the address, and locks the address.
async fn enter_guest<'a>(
    shop: &'a Shop,
    sale: SaleId,
    address: &str,
    buyer: BuyerId,
) -> Result<EnteredGuest<'a>, UnansweredError> {
    for _ in 0..INSERTS_MAX {
        // Before the lock: a claim has one connection that writes at a time, or claims would wait for each other.
        let is_new = guest_orders::insert(&shop.store, sale, address, buyer).await?;
        let cluster_lock = lock_in_cluster(shop, sale, address).await?;
        let guests = guest_orders::list(&shop.store, sale, address, GUESTS_MAX).await?;
        if guests.contains(&buyer) || guests.len() >= GUESTS_MAX as usize {
            return Ok(EnteredGuest { is_new, cluster_lock, guests });
        }
    }
    Err(EngineError::Overloaded.into())
}

/// The lock of an address for all processes that share the tables; `None` where there is one.
async fn lock_in_cluster<'a>(
    shop: &'a Shop,
    sale: SaleId,
    address: &str,
) -> Result<Option<(AdvisoryLock, SemaphorePermit<'a>)>, UnansweredError> {
    if !shop.tenancy.is_cluster() {
        return Ok(None);
    }
    let waiting = tokio::time::timeout(CLUSTER_LOCK_TIMEOUT, shop.guest_limits.cluster_locks.acquire());
    // More guests order than the database follows.
    let Ok(Ok(permit)) = waiting.await else { return Err(EngineError::Overloaded.into()) };
    let lock = shop.store.lock_address(&format!("{sale} {address}")).await?;
    Ok(Some((lock, permit)))
}

async fn find_address(shop: &Shop, buyer: BuyerId) -> Result<Option<String>, StoreError> {
    if let Some(known) = shop.guest_limits.addresses.get(&buyer) {
        return Ok(Some(known));
    }
    let Some(row) = guests::find(&shop.store, buyer).await? else { return Ok(None) };
    shop.guest_limits.addresses.insert(buyer, row.name.clone());
    Ok(Some(row.name))
}

/// A UUID of version 8 whose last bit is set. The guests of dialects have version 8 too, without that bit, and no account has it.
fn new_guest_id() -> BuyerId {
    mark_native(Uuid::new_v4().into_bytes())
}

fn mark_native(mut bytes: [u8; 16]) -> BuyerId {
    bytes[15] |= 1;
    BuyerId(Builder::from_custom_bytes(bytes).into_uuid())
}

fn is_native_guest(buyer: BuyerId) -> bool {
    buyer.0.get_version_num() == 8 && buyer.0.as_bytes()[15] & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::super::guests::DialectGuest;
    use super::*;

    #[test]
    fn a_native_guest_is_known_by_its_id_and_no_other_buyer_is_one() {
        for n in 0..1_000 {
            assert!(is_native_guest(new_guest_id()));
            let dialect = DialectGuest::new(GuestOrigin::Drop, &format!("user-{n}")).unwrap();
            assert!(!is_native_guest(dialect.buyer()), "user-{n}");
            assert!(!is_native_guest(BuyerId(ids::new(Timestamp(n)))));
        }
    }
}
