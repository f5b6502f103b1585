//! Leaky buckets (GCRA) in memory: the arithmetic, and a table of bounded size. It never talks to another process, and the time
//! is always an argument.

use super::{LimitKey, RateLimit};
use sale::time::Timestamp;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys of a class, at 32 bytes each and as much again for the table. Only a key with a request within the window has a bucket;
/// when there are more, those with the lowest level are evicted first.
pub const KEYS_MAX: usize = 1 << 20;

/// Tables with a lock of their own, so that two requests rarely wait for each other.
const SHARDS: usize = 64;

/// Keys in the queue of reports. A key that finds it full is queued again with a later request.
const REPORTS_MAX: usize = 1 << 16;

/// Below this fraction of the quota a key is not reported: few readers come near their limit, and each report is work for
/// Valkey. The error is at most the whole quota with this many instances.
const UNREPORTED_FRACTION: i64 = 64;

#[derive(Debug)]
pub struct BucketTable {
    parameters: GcraParameters,
    keys_max: usize,
    hasher: std::hash::RandomState,
    shards: Box<[Mutex<BucketShard>]>,
    pending_reports: Mutex<Vec<LimitKey>>,
}

type BucketShard = HashMap<LimitKey, LeakyBucket>;

#[derive(Debug)]
struct LeakyBucket {
    /// In microseconds: when the bucket will be empty (the theoretical arrival time of GCRA).
    empty_at: i64,
    /// Requests that were not reported yet.
    unreported: u32,
}

#[derive(Debug, Clone, Copy)]
pub struct UsageReport {
    pub key: LimitKey,
    /// The level in this process.
    pub level_us: i64,
    pub served: u32,
}

impl BucketTable {
    /// Empty buckets, for about `keys_max` keys.
    pub fn new(parameters: GcraParameters, keys_max: usize) -> Self {
        Self {
            parameters,
            keys_max,
            hasher: std::hash::RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            pending_reports: Mutex::default(),
        }
    }

    pub fn parameters(&self) -> GcraParameters {
        self.parameters
    }

    pub fn count_request(&self, key: LimitKey, now: Timestamp) -> BucketLevel {
        self.count_with(key, now, |_, _| {})
    }

    /// Counts one request, and does the rest with its bucket before another request or a report can look at it.
    fn count_with(
        &self,
        key: LimitKey,
        now: Timestamp,
        finish: impl FnOnce(&mut LeakyBucket, BucketLevel),
    ) -> BucketLevel {
        let now_us = to_micros(now);
        let mut shard = self.lock_shard(key);
        let len = shard.len();
        let bucket = shard.entry(key).or_insert(LeakyBucket { empty_at: now_us, unreported: 0 });
        let level = self.parameters.count_request(bucket.empty_at - now_us);
        bucket.empty_at = now_us + level.level_us;
        finish(bucket, level);
        self.evict_if_full(shard, len, now_us);
        level
    }

    /// Takes back a request that was counted.
    pub fn return_request(&self, key: LimitKey, now: Timestamp) {
        let now_us = to_micros(now);
        if let Some(bucket) = self.lock_shard(key).get_mut(&key) {
            let level = self.parameters.return_request(bucket.empty_at - now_us);
            bucket.empty_at = now_us + level.level_us;
        }
    }

    /// Counts one request, and queues it for the next report. A report has either both, the request in its level and in what was served, or
    /// neither: otherwise Valkey would count it twice.
    pub fn count_and_report(&self, key: LimitKey, now: Timestamp) -> BucketLevel {
        let mut is_first = false;
        let level = self.count_with(key, now, |bucket, level| {
            if level.allowed && level.level_us > self.parameters.burst_us / UNREPORTED_FRACTION {
                bucket.unreported = bucket.unreported.saturating_add(1);
                is_first = bucket.unreported == 1;
            }
        });
        if is_first && !self.enqueue_report(key) {
            self.take_report(key, now);
        }
        level
    }

    /// The level that a request would find, without counting it.
    pub fn peek_level(&self, key: LimitKey, now: Timestamp) -> BucketLevel {
        let empty_at = self.lock_shard(key).get(&key).map(|bucket| bucket.empty_at);
        let level_us = empty_at.map_or(0, |empty_at| self.parameters.clamp_level(empty_at - to_micros(now)));
        BucketLevel { allowed: self.parameters.allows(level_us), level_us }
    }

    /// Merges the shared level. Requests that are not reported yet are added to it, and the level here never falls.
    pub fn merge_level(&self, key: LimitKey, now: Timestamp, level_us: i64) {
        let now_us = to_micros(now);
        let mut shard = self.lock_shard(key);
        let len = shard.len();
        let bucket = shard.entry(key).or_insert(LeakyBucket { empty_at: now_us, unreported: 0 });
        let level_us = level_us.saturating_add(self.parameters.interval_us * i64::from(bucket.unreported));
        bucket.empty_at = now_us + self.parameters.clamp_level(level_us.max(bucket.empty_at - now_us));
        self.evict_if_full(shard, len, now_us);
    }

    /// Takes up to `len_max` reports; the rest stays queued.
    pub fn take_reports(&self, now: Timestamp, len_max: usize) -> Vec<UsageReport> {
        let keys: Vec<LimitKey> = {
            let mut pending = self.pending_reports.lock().unwrap_or_else(PoisonError::into_inner);
            let rest = pending.len().saturating_sub(len_max);
            pending.split_off(rest)
        };
        let report = |key| self.take_report(key, now).filter(|report| report.served > 0);
        keys.into_iter().filter_map(report).collect()
    }

    fn take_report(&self, key: LimitKey, now: Timestamp) -> Option<UsageReport> {
        let mut shard = self.lock_shard(key);
        let bucket = shard.get_mut(&key)?;
        let served = std::mem::take(&mut bucket.unreported);
        Some(UsageReport {
            key,
            level_us: self.parameters.clamp_level(bucket.empty_at - to_micros(now)),
            served,
        })
    }

    fn enqueue_report(&self, key: LimitKey) -> bool {
        let mut pending = self.pending_reports.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = pending.len() < REPORTS_MAX;
        if has_room {
            pending.push(key);
        }
        has_room
    }

    fn lock_shard(&self, key: LimitKey) -> MutexGuard<'_, BucketShard> {
        let at = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn evict_if_full(&self, mut shard: MutexGuard<'_, BucketShard>, len: usize, now_us: i64) {
        if len >= self.keys_max / SHARDS {
            evict_emptier_half(&mut shard, now_us);
        }
    }
}

/// Evicts the keys whose buckets are empty, or else the emptier half, so that the next eviction is far away.
#[cold]
fn evict_emptier_half(shard: &mut BucketShard, now_us: i64) {
    let mut levels: Vec<i64> = shard.values().map(|bucket| bucket.empty_at).collect();
    let middle = levels.len() / 2;
    let (_, median, _) = levels.select_nth_unstable(middle);
    let cutoff = now_us.max(*median);
    shard.retain(|_, bucket| bucket.empty_at > cutoff);
}

fn to_micros(now: Timestamp) -> i64 {
    now.0.saturating_mul(1000)
}

/// How a bucket fills. It leaks a microsecond each microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcraParameters {
    /// What a request adds: the time until one more is allowed.
    pub interval_us: i64,
    /// The capacity: the whole quota at once.
    pub burst_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketLevel {
    /// Whether the request was allowed. Only then was it counted.
    pub allowed: bool,
    /// The time until the bucket is empty.
    pub level_us: i64,
}

impl GcraParameters {
    pub fn from_rate(rate: RateLimit) -> Self {
        let interval_us = (i64::from(rate.window_s) * 1_000_000 / i64::from(rate.quota.max(1))).max(1);
        Self { interval_us, burst_us: interval_us * i64::from(rate.quota) }
    }

    /// Counts one request at a level. `shared/level.lua` computes the same.
    pub fn count_request(self, level_us: i64) -> BucketLevel {
        let level_us = self.clamp_level(level_us);
        let allowed = self.allows(level_us);
        BucketLevel { allowed, level_us: if allowed { level_us + self.interval_us } else { level_us } }
    }

    /// Takes back one request at a level. `shared/level.lua` computes the same.
    pub fn return_request(self, level_us: i64) -> BucketLevel {
        let level_us = self.clamp_level(self.clamp_level(level_us) - self.interval_us);
        BucketLevel { allowed: true, level_us }
    }

    /// Whether one more request is allowed.
    fn allows(self, level_us: i64) -> bool {
        level_us + self.interval_us <= self.burst_us
    }

    /// Keeps a level between empty and full, so that a clock that jumped back delays a client by at most one window.
    pub fn clamp_level(self, level_us: i64) -> i64 {
        level_us.clamp(0, self.burst_us)
    }

    pub fn remaining(self, level: BucketLevel) -> u32 {
        u32::try_from((self.burst_us - level.level_us) / self.interval_us).unwrap_or(0)
    }

    /// Seconds until the whole quota is available again.
    pub fn reset_s(self, level: BucketLevel) -> u64 {
        u64::try_from(ceil_s(level.level_us)).unwrap_or(0)
    }

    /// Seconds until the next request is allowed, when this one was not.
    pub fn retry_after_s(self, level: BucketLevel) -> Option<u32> {
        let wait_us = level.level_us + self.interval_us - self.burst_us;
        (!level.allowed).then(|| u32::try_from(ceil_s(wait_us.max(1))).unwrap_or(u32::MAX))
    }
}

/// Microseconds as whole seconds, rounded up.
fn ceil_s(us: i64) -> i64 {
    (us + 999_999).div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const PARAMETERS: GcraParameters = GcraParameters { interval_us: 10_000_000, burst_us: 30_000_000 };

    fn now(s: i64) -> Timestamp {
        Timestamp(1_800_000_000_000 + s * 1000)
    }

    fn key(n: u8) -> LimitKey {
        LimitKey::from_address(IpAddr::from([10, 0, 0, n]))
    }

    /// Remaining requests, and seconds until the next.
    fn take(buckets: &BucketTable, n: u8, at_s: i64) -> (u32, Option<u32>) {
        let level = buckets.count_request(key(n), now(at_s));
        (PARAMETERS.remaining(level), PARAMETERS.retry_after_s(level))
    }

    #[test]
    fn the_whole_quota_may_come_at_once_and_comes_back_evenly() {
        assert_eq!(GcraParameters::from_rate(RateLimit { quota: 3, window_s: 30 }), PARAMETERS);
        let buckets = BucketTable::new(PARAMETERS, 1000);
        for remaining in [2, 1, 0] {
            assert_eq!(take(&buckets, 1, 0), (remaining, None));
        }
        assert_eq!(take(&buckets, 1, 0), (0, Some(10)));
        assert_eq!(take(&buckets, 1, 4), (0, Some(6)));
        assert_eq!(take(&buckets, 2, 4), (2, None), "another key has its own bucket");
        assert_eq!(take(&buckets, 1, 10), (0, None));
        assert_eq!(take(&buckets, 1, 10), (0, Some(10)));
        assert_eq!(take(&buckets, 1, 1000), (2, None));
    }

    #[test]
    fn peeking_counts_nothing() {
        let buckets = BucketTable::new(PARAMETERS, 1000);
        for _ in 0..10 {
            assert_eq!(buckets.peek_level(key(1), now(0)), BucketLevel { allowed: true, level_us: 0 });
        }
        for _ in 0..3 {
            take(&buckets, 1, 0);
        }
        assert_eq!(buckets.peek_level(key(1), now(4)), BucketLevel { allowed: false, level_us: 26_000_000 });
    }

    #[test]
    fn a_request_that_is_taken_back_may_come_again() {
        let buckets = BucketTable::new(PARAMETERS, 1000);
        for _ in 0..3 {
            take(&buckets, 1, 0);
        }
        buckets.return_request(key(1), now(0));
        assert_eq!(take(&buckets, 1, 0), (0, None));
        assert_eq!(take(&buckets, 1, 0), (0, Some(10)));
        buckets.return_request(key(1), now(1_000));
        buckets.return_request(key(2), now(1_000));
        assert_eq!(take(&buckets, 1, 1_000), (2, None), "no bucket is emptier than empty");
    }

    #[test]
    fn a_shared_level_is_merged_and_the_own_level_never_falls() {
        let buckets = BucketTable::new(PARAMETERS, 1000);
        take(&buckets, 1, 0);
        buckets.merge_level(key(1), now(0), 25_000_000);
        assert_eq!(take(&buckets, 1, 0), (0, Some(5)));
        buckets.merge_level(key(1), now(0), 0);
        assert_eq!(take(&buckets, 1, 0), (0, Some(5)));
        buckets.merge_level(key(1), now(0), i64::MAX);
        assert_eq!(take(&buckets, 1, 10), (0, None), "no bucket is fuller than full");
    }

    #[test]
    fn a_report_has_each_request_once_and_light_readers_are_not_reported() {
        let buckets = BucketTable::new(GcraParameters { interval_us: 1_000, burst_us: 1_000_000 }, 1000);
        for _ in 0..15 {
            buckets.count_and_report(key(1), now(0));
        }
        assert!(buckets.take_reports(now(0), 10).is_empty(), "15 of 1,000 are less than a 64th");
        for _ in 0..5 {
            buckets.count_and_report(key(1), now(0));
        }
        // The shared level is from before these five, which are added.
        buckets.merge_level(key(1), now(0), 100_000);
        let reports = buckets.take_reports(now(0), 10);
        assert_eq!(reports.len(), 1);
        assert_eq!((reports[0].key, reports[0].served, reports[0].level_us), (key(1), 5, 105_000));
        assert!(buckets.take_reports(now(0), 10).is_empty());
    }

    #[test]
    fn a_report_that_is_taken_while_requests_are_counted_has_each_in_its_level_and_as_served() {
        const REQUESTS: i64 = 200_000;
        const UNREPORTED: i64 = 1_000_000 / UNREPORTED_FRACTION;
        let buckets = BucketTable::new(GcraParameters { interval_us: 1, burst_us: 1_000_000 }, 1000);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..REQUESTS {
                    buckets.count_and_report(key(1), now(0));
                }
            });
            let mut served = 0;
            while served < REQUESTS - UNREPORTED {
                for report in buckets.take_reports(now(0), 1) {
                    served += i64::from(report.served);
                    assert_eq!(report.level_us, UNREPORTED + served);
                }
            }
        });
    }

    #[test]
    fn the_queue_of_reports_is_bounded_and_a_dropped_key_is_queued_later() {
        let buckets = BucketTable::new(PARAMETERS, KEYS_MAX);
        let network = |n: usize| LimitKey((n as u128) << 64);
        for n in 0..=REPORTS_MAX {
            buckets.count_and_report(network(n), now(0));
        }
        assert_eq!(buckets.take_reports(now(0), usize::MAX).len(), REPORTS_MAX);
        buckets.count_and_report(network(REPORTS_MAX), now(0));
        assert_eq!(buckets.take_reports(now(0), 1).len(), 1);
    }

    #[test]
    fn a_clock_that_jumps_back_locks_no_client_out() {
        let buckets = BucketTable::new(PARAMETERS, 1000);
        assert_eq!(take(&buckets, 1, 3600).1, None);
        assert!(take(&buckets, 1, 0).1.is_none_or(|s| s <= 10));
        assert_eq!(take(&buckets, 1, 11).1, None);
    }

    #[test]
    fn memory_is_bounded_and_the_busiest_keys_stay() {
        let buckets = BucketTable::new(PARAMETERS, SHARDS * 8);
        for _ in 0..4 {
            take(&buckets, 1, 0);
        }
        for n in 0..10_000_u128 {
            buckets.count_request(LimitKey(n << 64), now(0));
        }
        let kept: usize = buckets.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * 9, "{kept}");
        assert!(take(&buckets, 1, 0).1.is_some());
    }
}
