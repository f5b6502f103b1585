//! Refused attempts on their way to the table: a bounded buffer that never makes a buyer wait. A few refusals a second are
//! kept one by one; in a flood the rest are counted by sale, code and second. It never writes: [`crate::followers`] does.

use crate::shop::ids;
use crate::store::attempts::AttemptRow;
use crate::telemetry::metrics::Counter;
use sale::{BuyerId, SaleId, Timestamp};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use tokio::sync::mpsc;

/// Refusals of one sale in one second that are kept one by one. More are only counted, so that an attack does not grow the table.
pub const SINGLES_PER_SECOND: u32 = 200;
/// Refusals that wait to be written one by one. The writer comes several times a second.
const SINGLES_MAX: usize = 8192;
/// Sales whose singles are budgeted apart; two sales that share a slot share the budget.
const BUDGETS: usize = 256;
/// Counters are spread, so that cores do not wait for each other.
const SHARDS: usize = 16;
/// Different (sale, action, code, second) a shard remembers between two visits of the writer.
const KEYS_MAX: usize = 1024;

/// Takes refusals; clones share it.
#[derive(Clone)]
pub struct AttemptBuffer {
    shared: Arc<SharedAttempts>,
    singles: mpsc::Sender<RefusedAttempt>,
}

/// The writer's end: refusals that are not written yet.
pub struct AttemptsInbox {
    shared: Arc<SharedAttempts>,
    singles: mpsc::Receiver<RefusedAttempt>,
}

struct SharedAttempts {
    /// Each the second (high 32 bits) and how many singles it had (low 32 bits).
    budgets: [AtomicU64; BUDGETS],
    counts: [Mutex<HashMap<AttemptKey, u64>>; SHARDS],
    hasher: RandomState,
    dropped: Counter,
}

#[derive(Clone, Copy)]
struct RefusedAttempt {
    sale: SaleId,
    buyer: BuyerId,
    action: &'static str,
    code: &'static str,
    at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct AttemptKey {
    sale: SaleId,
    action: &'static str,
    code: &'static str,
    second: i64,
}

/// A buffer and its other end. `dropped` counts what neither could be kept nor counted.
#[must_use]
pub fn buffer(dropped: Counter) -> (AttemptBuffer, AttemptsInbox) {
    let (sender, receiver) = mpsc::channel(SINGLES_MAX);
    let shared = Arc::new(SharedAttempts {
        budgets: std::array::from_fn(|_| AtomicU64::new(0)),
        counts: std::array::from_fn(|_| Mutex::default()),
        hasher: RandomState::new(),
        dropped,
    });
    (
        AttemptBuffer { shared: Arc::clone(&shared), singles: sender },
        AttemptsInbox { shared, singles: receiver },
    )
}

impl AttemptBuffer {
    /// Records a refusal. It never waits; it costs a few atomic operations, in a flood an uncontended lock.
    pub fn record_refusal(
        &self,
        sale: SaleId,
        buyer: Option<BuyerId>,
        action: &'static str,
        code: &'static str,
        at: Timestamp,
    ) {
        let second = at.0.div_euclid(1000);
        if let Some(buyer) = buyer
            && self.shared.take_budget(sale, second)
            && self.singles.try_send(RefusedAttempt { sale, buyer, action, code, at }).is_ok()
        {
            return;
        }
        let first_shard = buyer.map_or(0, |buyer| buyer.0.as_bytes()[15]);
        self.shared.count_refusal(AttemptKey { sale, action, code, second }, usize::from(first_shard));
    }
}

impl SharedAttempts {
    /// Takes one from the sale's budget for this second.
    fn take_budget(&self, sale: SaleId, second: i64) -> bool {
        let second = (second.cast_unsigned() & u64::from(u32::MAX)) << 32;
        let slot = self.hasher.hash_one(sale) % BUDGETS as u64;
        let Some(budget) = usize::try_from(slot).ok().and_then(|slot| self.budgets.get(slot)) else {
            return false;
        };
        let taken = budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |was| {
            let is_this_second = was & !u64::from(u32::MAX) == second;
            let kept = if is_this_second { was & u64::from(u32::MAX) } else { 0 };
            (kept < u64::from(SINGLES_PER_SECOND)).then_some(second | (kept + 1))
        });
        taken.is_ok()
    }

    /// Counts one more in the first shard whose lock is free.
    fn count_refusal(&self, key: AttemptKey, first_shard: usize) {
        for shard in 0..SHARDS {
            let mut counts = match self.counts[(first_shard + shard) % SHARDS].try_lock() {
                Ok(counts) => counts,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            if counts.len() < KEYS_MAX || counts.contains_key(&key) {
                *counts.entry(key).or_default() += 1;
                return;
            }
        }
        self.dropped.inc();
    }
}

impl AttemptsInbox {
    /// Takes up to `limit` single refusals, and the counts of all seconds before `now`'s (of all seconds, when this is the
    /// last visit), as rows.
    pub fn drain(&mut self, now: Timestamp, limit: usize, is_last: bool) -> Vec<AttemptRow> {
        let mut rows = Vec::new();
        while rows.len() < limit
            && let Ok(refused) = self.singles.try_recv()
        {
            let RefusedAttempt { sale, buyer, action, code, at } = refused;
            let id = ids::new(at);
            rows.push(AttemptRow {
                id,
                sale,
                buyer: Some(buyer),
                action: action.into(),
                code: code.into(),
                count: 1,
                at,
            });
        }
        let open_second = if is_last { i64::MAX } else { now.0.div_euclid(1000) };
        let mut totals: HashMap<AttemptKey, u64> = HashMap::new();
        for shard in &self.shared.counts {
            let mut counts = shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            counts.retain(|key, count| {
                let is_over = key.second < open_second;
                if is_over {
                    *totals.entry(*key).or_default() += *count;
                }
                !is_over
            });
        }
        rows.extend(totals.into_iter().map(|(key, count)| {
            let AttemptKey { sale, action, code, second } = key;
            let at = Timestamp(second * 1000);
            AttemptRow {
                id: ids::new(at),
                sale,
                buyer: None,
                action: action.into(),
                code: code.into(),
                count,
                at,
            }
        }));
        rows
    }

    /// Drops rows whose writing failed for too long.
    pub fn drop_rows(&self, rows: impl IntoIterator<Item = AttemptRow>) {
        for row in rows {
            self.shared.dropped.inc_by(row.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const SALE: SaleId = SaleId(Uuid::from_u128(1));

    fn buyer(n: u128) -> BuyerId {
        BuyerId(Uuid::from_u128(n))
    }

    #[test]
    fn a_flood_is_counted_and_nothing_of_it_is_lost() {
        let (attempts, mut inbox) = buffer(Counter::default());
        for n in 0..10_000 {
            attempts.record_refusal(SALE, Some(buyer(n)), "order", "sold_out", Timestamp(5_500));
        }
        assert_eq!(
            inbox.drain(Timestamp(5_999), 10_000, false).len(),
            200,
            "the second is not over: no count yet"
        );
        let rows = inbox.drain(Timestamp(6_000), 10_000, false);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].count, rows[0].at, rows[0].buyer), (9_800, Timestamp(5_000), None));
        assert_eq!(attempts.shared.dropped.get(), 0);
    }

    #[test]
    fn the_next_second_has_a_budget_of_its_own_and_so_has_another_sale() {
        let (attempts, mut inbox) = buffer(Counter::default());
        let other = (2..50).map(|n| SaleId(Uuid::from_u128(n)));
        let slot = |sale: SaleId| attempts.shared.hasher.hash_one(sale) % BUDGETS as u64;
        let other = other.into_iter().find(|other| slot(*other) != slot(SALE)).unwrap();
        for n in 0..300 {
            attempts.record_refusal(SALE, Some(buyer(n)), "order", "ended", Timestamp(1_000));
            attempts.record_refusal(other, Some(buyer(n)), "order", "ended", Timestamp(1_000));
        }
        attempts.record_refusal(SALE, Some(buyer(1)), "join", "ended", Timestamp(2_000));
        let rows = inbox.drain(Timestamp(3_000), 1_000, false);
        assert_eq!(rows.iter().filter(|row| row.buyer.is_some()).count(), 401);
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 601);
    }

    #[test]
    fn many_threads_lose_nothing() {
        let (attempts, mut inbox) = buffer(Counter::default());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let attempts = attempts.clone();
                scope.spawn(move || {
                    for n in 0..5_000 {
                        attempts.record_refusal(
                            SALE,
                            Some(buyer(n * 7 + thread)),
                            "order",
                            "sold_out",
                            Timestamp(9_000),
                        );
                    }
                });
            }
        });
        let rows = inbox.drain(Timestamp(10_000), 100_000, false);
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>() + attempts.shared.dropped.get(), 20_000);
    }

    #[test]
    fn what_cannot_be_kept_is_counted_as_dropped() {
        let (attempts, inbox) = buffer(Counter::default());
        for second in 0..(SHARDS * KEYS_MAX + 5) as i64 {
            attempts.record_refusal(SALE, None, "order", "sold_out", Timestamp(second * 1000));
        }
        assert_eq!(attempts.shared.dropped.get(), 5);
        let rows = AttemptRow {
            id: Uuid::nil(),
            sale: SALE,
            buyer: None,
            action: "order".into(),
            code: "ended".into(),
            count: 7,
            at: Timestamp(0),
        };
        inbox.drop_rows([rows]);
        assert_eq!(attempts.shared.dropped.get(), 12);
    }
}
