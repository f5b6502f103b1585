//! New ids, whose time is an argument: UUIDv7, and one that nobody can guess. An id never says anything about order in a line.

use sale::time::Timestamp;
use uuid::{Builder, Uuid};

/// Milliseconds for which [`new_unguessable`] has the same beginning.
const PREFIX_MS: i64 = 64;

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

/// A new id that nobody can guess: a UUID of version 4. Its first 32 bits are those of all ids of the moment, so that an index takes the ids of
/// a batch into a few pages, and not each into another one; 90 bits are random.
#[must_use]
pub fn new_unguessable(now: Timestamp) -> Uuid {
    let mut bytes = Uuid::new_v4().into_bytes();
    let prefix = u32::try_from((now.0 / PREFIX_MS) & i64::from(u32::MAX)).unwrap_or(0);
    bytes[..4].copy_from_slice(&prefix.to_be_bytes());
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_of_a_moment_lie_together_and_are_random_otherwise() {
        let at = |ms| new_unguessable(Timestamp(1_800_000_000_000 + ms));
        let ids: HashSet<Uuid> = (0..1_000).map(|_| at(0)).collect();
        assert_eq!(ids.len(), 1_000);
        let first = |id: &Uuid| id.as_u128() >> 96;
        let beginnings: HashSet<u128> = ids.iter().map(first).collect();
        assert_eq!(beginnings.len(), 1);
        let rest: HashSet<u128> = ids.iter().map(|id| id.as_u128() >> 80).collect();
        assert!(rest.len() > 900, "{}", rest.len());
        assert!(ids.iter().all(|id| id.get_version_num() == 4 && id.get_variant() == uuid::Variant::RFC4122));
        assert_eq!(first(&at(PREFIX_MS)), first(&at(0)) + 1);
    }
}
