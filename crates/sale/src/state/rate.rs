//! The number of admissions in the last second. It keeps nothing older.

use crate::time::Timestamp;
use std::collections::VecDeque;

/// The width of the sliding window: a rate is promised "a second".
const WINDOW_MS: i64 = 1000;

/// The admissions of the last second, run-length coded by millisecond: at most a thousand runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateWindow {
    runs: VecDeque<(Timestamp, u32)>,
    total: u32,
}

impl RateWindow {
    pub(crate) fn record_admission(&mut self, at: Timestamp) {
        while let Some((oldest, count)) = self.runs.front().copied()
            && at.ms_since(oldest) >= WINDOW_MS
        {
            self.total -= count;
            self.runs.pop_front();
        }
        match self.runs.back_mut() {
            // The law writes no ledger whose time runs backwards; if one comes, the runs stay in order.
            Some((last, count)) if *last >= at => *count += 1,
            _ => self.runs.push_back((at, 1)),
        }
        self.total += 1;
    }

    /// Moments of the last second with how many were admitted at each, oldest first; some may be older.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (Timestamp, u32)> + '_ {
        self.runs.iter().copied()
    }

    /// How many may still be admitted at `now`.
    pub(crate) fn remaining_at(&self, now: Timestamp, per_second: u32) -> u32 {
        let past = self.runs.iter().take_while(|(at, _)| now.ms_since(*at) >= WINDOW_MS);
        let recent = self.total - past.map(|(_, count)| count).sum::<u32>();
        per_second.saturating_sub(recent)
    }

    /// The first moment at which the pace allows one more, or `None` when it always did.
    pub(crate) fn remaining_from(&self, per_second: u32) -> Option<Timestamp> {
        let mut recent = self.total;
        let mut from = None;
        for (at, count) in &self.runs {
            if recent < per_second {
                break;
            }
            recent -= count;
            from = Some(at.plus_ms(WINDOW_MS));
        }
        from
    }
}

#[cfg(test)]
mod tests {
    use super::RateWindow;
    use crate::time::Timestamp;

    #[test]
    fn a_place_in_the_window_is_free_again_exactly_one_second_later() {
        let mut window = RateWindow::default();
        window.record_admission(Timestamp(0));
        window.record_admission(Timestamp(400));
        assert_eq!(window.remaining_at(Timestamp(999), 2), 0);
        assert_eq!(window.remaining_at(Timestamp(1_000), 2), 1);
        assert_eq!(window.remaining_at(Timestamp(1_400), 2), 2);
        assert_eq!(window.remaining_from(2), Some(Timestamp(1_000)));
        assert_eq!(window.remaining_from(1), Some(Timestamp(1_400)));
        assert_eq!(window.remaining_from(3), None);
    }
}
