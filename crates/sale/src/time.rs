//! A moment, as milliseconds since 1970-01-01T00:00:00Z. The law gets the time as an argument; it never reads a clock.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// 9999-12-30T22:00:00.999Z: the last moment that lies in the year 9999 in every time zone, so that no calendar
    /// between here and a buyer overflows.
    pub const MAX: Self = Self(253_402_207_200_999);

    /// This moment plus `ms` milliseconds, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms).min(Self::MAX.0))
    }

    /// This moment plus `s` seconds, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus_s(self, s: u32) -> Self {
        self.plus_ms(i64::from(s) * 1000)
    }

    /// Milliseconds from `earlier` to this moment; negative when `earlier` is later.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}
