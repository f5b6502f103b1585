//! Moments on the wire: RFC 3339 in UTC with milliseconds and `Z`, always of the same length.
//!
//! `#[serde(with = "moment")]` writes and reads a [`Timestamp`] so, and `with = "moment::optional"` an optional one.

use sale::Timestamp;
use serde::{Deserialize, Deserializer, Serializer, de};

/// Characters of `2026-01-02T03:04:05.678Z`.
pub const RFC3339_LEN: usize = 24;

/// A moment as text of [`RFC3339_LEN`] characters.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    // Three decimals, also when they are zeros.
    format!("{:.3}", jiff_moment(at))
}

fn jiff_moment(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.0.clamp(0, Timestamp::MAX.0)).unwrap_or(jiff::Timestamp::MAX)
}

/// # Errors
/// When the moment cannot be written.
pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    // Written where it belongs, without a text in between: an order has three moments.
    serializer.collect_str(&format_args!("{:.3}", jiff_moment(*at)))
}

/// # Errors
/// When the text is not RFC 3339.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    let moment: jiff::Timestamp =
        text.parse().map_err(|error| de::Error::custom(format_args!("{text:?} is not a moment: {error}")))?;
    Ok(Timestamp(moment.as_millisecond()))
}

/// As the module itself, for moments that may be absent.
pub mod optional {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Moment(#[serde(with = "super")] Timestamp);

    /// # Errors
    /// When the moment cannot be written.
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// # Errors
    /// When there is a text, and it is not RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<Moment>::deserialize(deserializer)?.map(|moment| moment.0))
    }
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
