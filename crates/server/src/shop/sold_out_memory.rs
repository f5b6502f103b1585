//! Remembers for a day which buyers were refused at a product because every unit was sold. A refusal changes nothing, so it is in no
//! ledger, and the `attempts` table counts most of a flood without buyers. A single process keeps the memory itself; where several
//! share tables, it is in a table too, and a refusal is remembered before it is answered.

use super::group_commit::{GroupCommit, RowNotWritten};
use super::tenancy::Tenancy;
use crate::store::products::ProductId;
use crate::store::sold_out_attempts::{self, SoldOutAttempt};
use crate::store::{Store, StoreError};
use futures::FutureExt;
use sale::{BuyerId, Timestamp};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The last attempts that a process remembers at least; at most twice as many, some 40 bytes each.
const RECENT_MIN: usize = 1_000_000;

/// How long an attempt is remembered: a day, in milliseconds.
const KEPT_MS: i64 = 86_400_000;

/// Remembers sold-out attempts.
pub struct SoldOutMemory {
    place: MemoryPlace,
}

/// Where attempts are remembered.
enum MemoryPlace {
    /// In this process, which has its tables to itself.
    Process(Mutex<RecentAttempts>),
    /// In a table that other processes may share.
    Table { store: Store, writer: GroupCommit<SoldOutAttempt, ()> },
}

/// Attempts in two halves: when the younger one is full, the older one is forgotten.
#[derive(Default)]
struct RecentAttempts {
    younger: HashMap<AttemptKey, Timestamp>,
    older: HashMap<AttemptKey, Timestamp>,
}

/// A buyer and a product, mixed. Both are random, and no client chooses them.
type AttemptKey = [u8; 16];

impl SoldOutMemory {
    /// Starts the memory: in a table where other processes may share it.
    #[must_use]
    pub fn start(store: Store, tenancy: Tenancy) -> Self {
        if !tenancy.is_cluster() {
            return Self { place: MemoryPlace::Process(Mutex::default()) };
        }
        let writing = store.clone();
        let write = move |rows| {
            let store = writing.clone();
            async move { write_attempts(&store, rows).await }.boxed()
        };
        let writer = GroupCommit::start("sold_out_attempts", Box::new(write));
        Self { place: MemoryPlace::Table { store, writer } }
    }

    /// Remembers that the buyer's last attempt at the product was refused as sold out, and returns when all instances know it.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn remember(
        &self,
        buyer: BuyerId,
        product: ProductId,
        now: Timestamp,
    ) -> Result<(), RowNotWritten> {
        match &self.place {
            MemoryPlace::Process(recent) => {
                lock(recent).insert(attempt_key(buyer, product), now, RECENT_MIN);
                Ok(())
            }
            MemoryPlace::Table { writer, .. } => {
                writer.write(SoldOutAttempt { buyer, product, at: now }).await
            }
        }
    }

    /// Forgets it: the buyer's last attempt had another outcome.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn forget(&self, buyer: BuyerId, product: ProductId) -> Result<(), StoreError> {
        match &self.place {
            MemoryPlace::Process(recent) => lock(recent).remove(&attempt_key(buyer, product)),
            MemoryPlace::Table { store, .. } => {
                if sold_out_attempts::find(store, buyer, product).await?.is_some() {
                    sold_out_attempts::delete(store, buyer, product).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether the buyer's last attempt at the product was refused as sold out, in the last day.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn contains(
        &self,
        buyer: BuyerId,
        product: ProductId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let at = match &self.place {
            MemoryPlace::Process(recent) => lock(recent).find(&attempt_key(buyer, product)),
            MemoryPlace::Table { store, .. } => sold_out_attempts::find(store, buyer, product).await?,
        };
        Ok(at.is_some_and(|at| now.ms_since(at) <= KEPT_MS))
    }

    /// Deletes what is remembered no longer.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn forget_old(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = now.plus_ms(-KEPT_MS);
        match &self.place {
            MemoryPlace::Process(recent) => lock(recent).forget_before(before),
            MemoryPlace::Table { store, .. } => sold_out_attempts::delete_old(store, before).await?,
        }
        Ok(())
    }
}

fn lock(recent: &Mutex<RecentAttempts>) -> MutexGuard<'_, RecentAttempts> {
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RecentAttempts {
    fn find(&self, key: &AttemptKey) -> Option<Timestamp> {
        self.younger.get(key).or_else(|| self.older.get(key)).copied()
    }

    fn insert(&mut self, key: AttemptKey, at: Timestamp, half_len_max: usize) {
        if self.younger.len() >= half_len_max && !self.younger.contains_key(&key) {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(key, at);
    }

    fn remove(&mut self, key: &AttemptKey) {
        self.younger.remove(key);
        self.older.remove(key);
    }

    fn forget_before(&mut self, before: Timestamp) {
        for half in [&mut self.younger, &mut self.older] {
            half.retain(|_, at| *at >= before);
        }
    }
}

fn attempt_key(buyer: BuyerId, product: ProductId) -> AttemptKey {
    (buyer.0.as_u128() ^ product.0.as_u128().rotate_left(64)).to_be_bytes()
}

async fn write_attempts(store: &Store, rows: Vec<SoldOutAttempt>) -> Result<Vec<()>, StoreError> {
    let callers = rows.len();
    let mut last: HashMap<(BuyerId, ProductId), SoldOutAttempt> = HashMap::with_capacity(callers);
    for row in rows {
        match last.entry((row.buyer, row.product)) {
            Entry::Occupied(mut known) if known.get().at < row.at => *known.get_mut() = row,
            Entry::Occupied(_) => {}
            Entry::Vacant(free) => drop(free.insert(row)),
        }
    }
    // In one order everywhere, so that two instances do not wait for each other's rows.
    let mut rows: Vec<SoldOutAttempt> = last.into_values().collect();
    rows.sort_unstable_by_key(|row| (row.buyer, row.product));
    let mut writing = store.begin().await?;
    sold_out_attempts::upsert(&mut writing, &rows).await?;
    writing.commit().await?;
    Ok(vec![(); callers])
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_servers::postgres::PostgresServer;
    use uuid::Uuid;

    fn buyer(number: u128) -> BuyerId {
        BuyerId(Uuid::from_u128(number))
    }

    fn product(number: u128) -> ProductId {
        ProductId(Uuid::from_u128(number << 100))
    }

    #[test]
    fn at_least_the_last_attempts_are_remembered_and_at_most_twice_as_many() {
        let mut recent = RecentAttempts::default();
        for number in 0..250_u128 {
            recent.insert(attempt_key(buyer(number), product(1)), Timestamp(1), 100);
        }
        let known = |number| recent.find(&attempt_key(buyer(number), product(1))).is_some();
        assert!((150..250).all(known), "the last hundred are there");
        assert!(!known(0) && recent.younger.len() + recent.older.len() <= 200);
    }

    #[tokio::test]
    async fn an_attempt_is_remembered_for_a_day_or_until_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let memory = SoldOutMemory::start(Store::open(folder.path()).await.unwrap(), Tenancy::Single);
        remembers_for_a_day(&memory, &memory).await;
    }

    #[tokio::test]
    async fn another_instance_remembers_it_too() {
        let url = PostgresServer::shared().create_database();
        let store = Store::connect(&url).await.unwrap();
        store.migrate().await.unwrap();
        let one = SoldOutMemory::start(store.clone(), Tenancy::Cluster);
        let other = SoldOutMemory::start(store.clone(), Tenancy::Cluster);
        remembers_for_a_day(&one, &other).await;
        let many = (100..1_100).map(|number| one.remember(buyer(number % 500), product(1), Timestamp(7)));
        assert!(futures::future::join_all(many).await.iter().all(Result::is_ok));
        assert!(other.contains(buyer(499), product(1), Timestamp(8)).await.unwrap());
    }

    async fn remembers_for_a_day(one: &SoldOutMemory, other: &SoldOutMemory) {
        one.remember(buyer(1), product(1), Timestamp(0)).await.unwrap();
        one.remember(buyer(2), product(1), Timestamp(0)).await.unwrap();
        let known =
            async |number, at| other.contains(buyer(number), product(1), Timestamp(at)).await.unwrap();
        assert!(known(1, KEPT_MS).await && !known(3, 1).await);
        assert!(!other.contains(buyer(1), product(2), Timestamp(1)).await.unwrap());
        // A repeated attempt is remembered for a day from then on.
        let later = 3_600_000;
        one.remember(buyer(1), product(1), Timestamp(later)).await.unwrap();
        assert!(known(1, later + KEPT_MS).await);
        other.forget(buyer(2), product(1)).await.unwrap();
        assert!(!known(2, 1).await && known(1, 1).await);
        one.forget_old(Timestamp(2 * KEPT_MS)).await.unwrap();
        assert!(!known(1, 1).await);
    }
}
