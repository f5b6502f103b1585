//! Times in requests: RFC 3339 with `Z` or an offset, from 1970 to [`Timestamp::MAX`], a day before the year 10000.

use jiff::fmt::temporal::DateTimeParser;
use sale::Timestamp;

/// The rule, for the caller that broke it.
pub const BAD_TIMESTAMP: &str =
    "must be an RFC 3339 date with Z or an offset, 1970-01-01 to 9999-12-30, such as 2026-11-27T09:00:00Z";

#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    // Jiff also reads annotations, blanks, times without seconds and longer years.
    const PARSER: DateTimeParser = DateTimeParser::new();
    let bytes = text.as_bytes();
    let is_strict = (20..=40).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_digit() || b"-:.+TtZz".contains(byte))
        && bytes[0].is_ascii_digit()
        && bytes[13] == b':'
        && bytes[16] == b':';
    let timestamp = PARSER.parse_timestamp(text).ok().filter(|_| is_strict)?;
    Some(Timestamp(timestamp.as_millisecond())).filter(|timestamp| timestamp.0 >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_rfc_3339_and_nothing_else() {
        let noon = Some(Timestamp(1_795_780_800_000));
        for good in ["2026-11-27T12:00:00Z", "2026-11-27T13:00:00+01:00", "2026-11-27t12:00:00.000z"] {
            assert_eq!(parse_rfc3339(good), noon, "{good}");
        }
        let bad = [
            "",
            "2026-11-27",
            "2026-11-27T12:00Z",
            "2026-11-27T12:00:00",
            "2026-11-27 12:00:00Z",
            "2026-11-27T12:00:00Z[UTC]",
            "+010000-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1795780800",
        ];
        for bad in bad {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
