//! Times in replies: RFC 3339 in UTC with milliseconds and `Z`, always of the same length.

use jiff::fmt::temporal::DateTimePrinter;
use sale::Timestamp;

/// Characters of `2026-01-02T03:04:05.678Z`.
pub const RFC3339_LEN: usize = 24;

/// Always three decimals.
const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A time as text of [`RFC3339_LEN`] characters.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let moment =
        jiff::Timestamp::from_millisecond(at.0.clamp(0, Timestamp::MAX.0)).unwrap_or(jiff::Timestamp::MAX);
    let mut text = String::with_capacity(RFC3339_LEN);
    // Printing into a String cannot fail.
    let _infallible = PRINTER.print_timestamp(&moment, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_has_the_same_length_and_three_decimals() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Timestamp(1_767_323_045_678)), "2026-01-02T03:04:05.678Z");
        assert_eq!(rfc3339(Timestamp::MAX), "9999-12-30T22:00:00.999Z");
        assert_eq!(rfc3339(Timestamp::MAX).len(), RFC3339_LEN);
    }
}
