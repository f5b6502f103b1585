//! When a delivery is tried again, and what a receiver's reply means for its endpoint. Time and chance are arguments.

use sale::Timestamp;
use std::time::Duration;

/// The waits after the first, second … failed try, by Standard Webhooks.
pub const RETRY_DELAYS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// A wait is longer by up to this share, so that the deliveries of an outage do not all come back in one moment.
const JITTER_SHARE: f64 = 0.1;

/// An endpoint that has only failed for so long is disabled.
pub const DISABLE_AFTER: Duration = Duration::from_hours(5 * 24);

/// The longest wait that a receiver may ask for with `Retry-After`: the longest of the schedule.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// How long an endpoint that is overloaded gets nothing, when it does not say how long it needs. Doubled with each such reply in a row.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// When to try again after a failure. `step` counts the failed tries before this one; `chance` is from 0 up to 1. `None` when this was the
/// last try. The receiver's own `Retry-After` can only make the wait longer.
#[must_use]
pub fn next_try(
    step: usize,
    now: Timestamp,
    retry_after: Option<Duration>,
    chance: f64,
) -> Option<Timestamp> {
    let delay = RETRY_DELAYS.get(step)?;
    let delay = delay.mul_f64(1.0 + JITTER_SHARE * chance.clamp(0.0, 1.0));
    let delay = delay.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
    Some(after(now, delay))
}

/// Until when an overloaded endpoint gets nothing, after so many such replies in a row before this one.
#[must_use]
pub fn pause_until(replies_before: u32, now: Timestamp, retry_after: Option<Duration>) -> Timestamp {
    let pause = PAUSE_MIN.saturating_mul(1 << replies_before.min(16)).min(PAUSE_MAX);
    after(now, pause.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)))
}

/// Whether an endpoint that has failed since then is to be disabled.
#[must_use]
pub fn is_given_up(failing_since: Timestamp, now: Timestamp) -> bool {
    now >= after(failing_since, DISABLE_AFTER)
}

/// A moment so much later.
#[must_use]
pub fn after(moment: Timestamp, delay: Duration) -> Timestamp {
    moment.plus_ms(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX))
}

/// What a status says about the delivery and its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMeaning {
    Delivered,
    /// The receiver wants no more: the endpoint is disabled.
    Gone,
    /// The receiver is overloaded: its endpoint slows down.
    Overloaded,
    Failed,
}

impl StatusMeaning {
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            410 => Self::Gone,
            429 | 502 | 504 => Self::Overloaded,
            _ => Self::Failed,
        }
    }
}

/// Reads `Retry-After`: seconds, or a date as of HTTP.
#[must_use]
pub fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(Duration::from_millis(u64::try_from(at.saturating_sub(now.0)).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_follow_the_schedule_and_end() {
        let waits: Vec<i64> =
            (0..9).map(|step| next_try(step, Timestamp(0), None, 0.0).unwrap().0 / 1_000).collect();
        assert_eq!(waits, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
        assert_eq!(next_try(9, Timestamp(0), None, 0.0), None);
        assert_eq!(next_try(9, Timestamp(0), Some(Duration::from_secs(1)), 0.0), None);
    }

    #[test]
    fn chance_makes_a_wait_longer_by_a_tenth_at_most() {
        assert_eq!(next_try(1, Timestamp(0), None, 0.5), Some(Timestamp(315_000)));
        assert_eq!(next_try(1, Timestamp(0), None, 1.0), Some(Timestamp(330_000)));
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_of_a_day_at_most() {
        let wait = |asked| next_try(0, Timestamp(0), Some(asked), 0.0);
        assert_eq!(wait(Duration::from_secs(1)), Some(Timestamp(5_000)));
        assert_eq!(wait(Duration::from_secs(60)), Some(Timestamp(60_000)));
        assert_eq!(wait(Duration::from_secs(u64::MAX)), Some(Timestamp(86_400_000)));
    }

    #[test]
    fn a_pause_doubles_up_to_a_minute_unless_the_receiver_asks_for_more() {
        let pauses: Vec<i64> =
            [0, 1, 2, 6, 40].map(|before| pause_until(before, Timestamp(0), None).0).into();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 60_000, 60_000]);
        assert_eq!(pause_until(0, Timestamp(0), Some(Duration::from_secs(90))), Timestamp(90_000));
    }

    #[test]
    fn an_endpoint_is_given_up_after_five_days_of_failures() {
        let five_days = 5 * 86_400_000;
        assert!(!is_given_up(Timestamp(0), Timestamp(five_days - 1)));
        assert!(is_given_up(Timestamp(0), Timestamp(five_days)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp(784_111_777_000);
        assert_eq!(parse_retry_after("120", now), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(parse_retry_after(date, now), Some(Duration::from_secs(60)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        for bad in ["", "soon", "-5", "1.5"] {
            assert_eq!(parse_retry_after(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn statuses_have_their_meaning() {
        for (status, meaning) in [
            (200, StatusMeaning::Delivered),
            (204, StatusMeaning::Delivered),
            (301, StatusMeaning::Failed),
            (410, StatusMeaning::Gone),
            (429, StatusMeaning::Overloaded),
            (500, StatusMeaning::Failed),
            (502, StatusMeaning::Overloaded),
            (503, StatusMeaning::Failed),
            (504, StatusMeaning::Overloaded),
        ] {
            assert_eq!(StatusMeaning::of(status), meaning, "{status}");
        }
    }
}
