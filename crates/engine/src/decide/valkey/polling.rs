//! Polling: finds the sales that other processes have changed. A sale that is as it was costs one plain read, shared with all others
//! that are polled with it; only the others are called, recorded and shown. Nothing here decides or records.
//!
//! A read cannot see everything that a call checks, so each sale is also called now and then, and after each new connection,
//! behind which may be a server that was restarted.

use super::ValkeyDecider;
use sale::{SaleId, Timestamp};

/// How often an active sale is polled without requests, so that what other processes decide is shown here: too often for an eye
/// to see a difference.
const POLL_ACTIVE_MS: i64 = 150;
/// How often a sale is polled that begins later, or that has holds or admissions after its end.
const POLL_WAITING_MS: i64 = 1_000;
/// How often a sale is polled in which time changes nothing: another instance may have decided a refund and been killed.
const POLL_IDLE_MS: i64 = 10_000;
/// How long before its line opens, or it starts, a sale counts as active.
const SOON_MS: i64 = 60_000;
/// A poll takes along the sales that are to be polled within this time, so that they come to be polled together.
const POLL_TOGETHER_MS: i64 = POLL_ACTIVE_MS / 2;
/// After how long without a call a polled sale is called even though nothing has changed.
const CALL_INTERVAL_MS: i64 = 5_000;
/// Such calls in one poll, at most: some two milliseconds, for which requests wait.
const OVERDUE_CALLS_MAX: usize = 16;

impl ValkeyDecider {
    /// Polls the sales for which it is time, and returns those that are to be called.
    pub(super) async fn poll_sales(&mut self, now: Timestamp) -> Vec<SaleId> {
        if self.polls.next_at().is_none_or(|next| next > now) {
            return Vec::new();
        }
        let mut polled: Vec<SaleId> = self.polls.list_due(now.plus_ms(POLL_TOGETHER_MS)).collect();
        // Overdue sales first, so that each gets its turn.
        let called_at = |sale: &SaleId| self.sales.get(sale).map(|known| known.called_at);
        polled.sort_by_key(called_at);
        let is_overdue =
            |sale: &&SaleId| called_at(sale).is_none_or(|at| now.ms_since(at) >= CALL_INTERVAL_MS);
        let overdue_len = polled.iter().take(OVERDUE_CALLS_MAX).take_while(is_overdue).count();
        let others = polled.split_off(overdue_len);
        let mut to_call = polled;
        let versions = self.library.read_versions(&others).await;
        if !versions.is_empty() && versions.iter().all(Option::is_none) {
            self.poll_answered_at = Timestamp::default();
        }
        let connection_count = self.library.connection_count();
        let mut overdue_left = 0;
        for (sale, version) in others.into_iter().zip(versions) {
            match self.sales.get(&sale) {
                Some(known)
                    if version == Some(known.version()) && known.connection_count == connection_count =>
                {
                    self.poll_answered_at = now;
                    let mut wait_ms = self.poll_interval_ms(sale, now);
                    if now.ms_since(known.called_at) >= CALL_INTERVAL_MS {
                        // The next polls call them, so many in each.
                        wait_ms = wait_ms.min(POLL_ACTIVE_MS * (1 + overdue_left / OVERDUE_CALLS_MAX as i64));
                        overdue_left += 1;
                    }
                    self.polls.schedule(sale, Some(now.plus_ms(wait_ms)));
                }
                _ => to_call.push(sale),
            }
        }
        // Until the reply says when.
        for sale in &to_call {
            let next = now.plus_ms(self.poll_interval_ms(*sale, now));
            self.polls.schedule(*sale, Some(next));
        }
        to_call
    }

    /// How long a known sale is left alone at `now`.
    pub(super) fn poll_interval_ms(&self, sale: SaleId, now: Timestamp) -> i64 {
        let Some(known) = self.sales.get(&sale) else { return POLL_IDLE_MS };
        let (view, policy) = (&known.view, &known.view.policy);
        // Sales go by the server's clock.
        let now = now.plus_ms(-known.ahead_ms);
        let opens_at = policy.opens_at().min(policy.starts_at);
        let has_pending = view.counters.held > 0 || view.counters.admitted > 0;
        match (!view.is_over(now), has_pending) {
            (true, _) if now >= opens_at.plus_ms(-SOON_MS) => POLL_ACTIVE_MS,
            (true, _) | (_, true) => POLL_WAITING_MS,
            (false, false) => POLL_IDLE_MS,
        }
    }
}
