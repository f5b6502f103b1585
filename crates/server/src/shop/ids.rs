//! New ids: UUIDv7, whose time is an argument. An id never says anything about order in a line.

use sale::time::Timestamp;
use uuid::{Builder, Uuid};

/// A new id. Its first 48 bits are `now`, so that tables grow at their end; the rest is random.
#[must_use]
pub fn new(now: Timestamp) -> Uuid {
    // Bytes 6 and 8 of a v4 UUID hold its version and variant; all others are random.
    let random = Uuid::new_v4().into_bytes();
    let mut tail = [0; 10];
    tail[..6].copy_from_slice(&random[..6]);
    tail[6..].copy_from_slice(&random[9..13]);
    Builder::from_unix_timestamp_millis(u64::try_from(now.0).unwrap_or(0), &tail).into_uuid()
}
