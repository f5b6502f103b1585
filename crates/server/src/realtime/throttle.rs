//! How often what is told. Pure: time is an argument, and nothing is sent from here.

/// Milliseconds between two updates of one sale to all who watch it: five a second at most.
pub const UPDATE_INTERVAL_MS: i64 = 200;

/// Milliseconds of rest for each watcher: handing one update to one socket takes some 10 µs of a core, so a crowd of any size
/// costs about a tenth of a core, and 15,000 watchers see an update every 1.5 s.
const PAUSE_PER_WATCHER_MS: f64 = 0.1;

/// Milliseconds from one update of a sale to the next, for so many watchers.
#[must_use]
pub fn update_interval_ms(watchers: usize) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a time between two updates is no large number")]
    let rest_ms = (watchers as f64 * PAUSE_PER_WATCHER_MS) as i64;
    rest_ms.max(UPDATE_INTERVAL_MS)
}

/// Milliseconds from one position to the next: once a second where a place matters, rarer where the next page of the book is
/// far away.
#[must_use]
pub fn position_interval_ms(position: u32) -> i64 {
    match position {
        0..=100 => 1_000,
        101..=1_000 => 2_000,
        1_001..=5_000 => 5_000,
        5_001..=20_000 => 10_000,
        _ => 15_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_told_less_often_and_the_head_of_the_line_once_a_second() {
        assert_eq!([0, 1, 2_000, 15_000].map(update_interval_ms), [200, 200, 200, 1_500]);
        assert_eq!(
            [1, 100, 101, 1_001, 5_001, 20_001].map(position_interval_ms),
            [1_000, 1_000, 2_000, 5_000, 10_000, 15_000]
        );
    }
}
