//! One fixed hash for ids: fast, the same on every machine and in every run. It never defends against chosen ids.
//!
//! A keyed hash would need randomness, and the law has none. That is fine here: the ids of buyers and orders are minted
//! by the server and carry 74 random bits, and a request key is a digest. No client can choose sixteen bytes so that
//! many of them meet in one bucket at a price worth paying, and a bucket that grew would cost time, never a wrong answer.

use std::hash::Hasher;

/// Odd constants without structure: the first digits of π and of √2, as used by wyhash-like mixers.
const SEED_HIGH: u64 = 0x243f_6a88_85a3_08d3;
const SEED_LOW: u64 = 0x6a09_e667_f3bc_c909;

/// Multiplies to 128 bits and folds the halves: every bit of the input reaches every bit of the output.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are the point")]
    let (high, low) = ((product >> 64) as u64, product as u64);
    high ^ low
}

/// Hashes the sixteen bytes of an id or a key, salted.
pub(crate) fn hash16(bytes: &[u8; 16], salt: u32) -> u64 {
    let whole = u128::from_le_bytes(*bytes);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are the point")]
    let (high, low) = ((whole >> 64) as u64, whole as u64);
    let mixed = fold(low ^ SEED_LOW, high ^ SEED_HIGH ^ u64::from(salt));
    // The second round spreads ids that differ in few bits, such as UUIDv7s of one millisecond, over the whole table.
    fold(mixed ^ SEED_HIGH, SEED_LOW | 1)
}

/// The same mix behind the standard interface, for maps that have lookups and no iteration.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(16) {
            let mut padded = [0; 16];
            padded[..chunk.len()].copy_from_slice(chunk);
            self.0 = self.0.rotate_left(23) ^ hash16(&padded, 0);
        }
    }

    fn write_usize(&mut self, _length: usize) {
        // Only the length of a fixed-size array comes this way: it is the same for every key.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map from ids, without randomness.
pub(crate) type IdMap<K, V> = std::collections::HashMap<K, V, std::hash::BuildHasherDefault<IdHasher>>;
