//! How often updates are sent. Pure functions.

/// Milliseconds between two updates of one sale to all who watch it: five a second at most.
pub const UPDATE_INTERVAL_MS: i64 = 200;

/// Milliseconds added to the interval for each watcher. Sending one update to one socket takes some 10 µs of a core, so a crowd
/// of any size costs about a tenth of a core; 15,000 watchers get an update every 1.5 s.
const PAUSE_PER_WATCHER_MS: f64 = 0.1;
/// The same for an update in which only the length of the line differs: the units are as they were.
const PAUSE_PER_WATCHER_OF_A_LINE_MS: f64 = 0.4;

/// Milliseconds between two updates of a sale with this many watchers; more if only the length of the line differs.
#[must_use]
pub fn update_interval_ms(watchers: usize, is_only_line: bool) -> i64 {
    let pause_ms = if is_only_line { PAUSE_PER_WATCHER_OF_A_LINE_MS } else { PAUSE_PER_WATCHER_MS };
    #[expect(clippy::cast_possible_truncation, reason = "a time between two updates is no large number")]
    let interval_ms = (watchers as f64 * pause_ms) as i64;
    interval_ms.max(UPDATE_INTERVAL_MS)
}

/// Milliseconds between two updates of a position: a second near the head of the line, more behind it.
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
    fn a_crowd_gets_fewer_updates_and_the_head_of_the_line_one_a_second() {
        let watchers = [0, 1, 500, 2_000, 15_000];
        assert_eq!(watchers.map(|count| update_interval_ms(count, false)), [200, 200, 200, 200, 1_500]);
        assert_eq!(watchers.map(|count| update_interval_ms(count, true)), [200, 200, 200, 800, 6_000]);
        assert_eq!(
            [1, 100, 101, 1_001, 5_001, 20_001].map(position_interval_ms),
            [1_000, 1_000, 2_000, 5_000, 10_000, 15_000]
        );
    }
}
