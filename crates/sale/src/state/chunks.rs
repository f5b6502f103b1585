//! Records by number, in chunks that never move: adding one never copies a million others, nor needs memory for two million.

use std::ops::{Index, IndexMut};

/// Stands for "no such record" in the chains of records.
pub(crate) const NO_RECORD: u32 = u32::MAX;

/// Records of a chunk: a quarter of a megabyte of orders, so that a small sale stays small and a large one has few chunks.
const CHUNK_LEN: usize = 4096;

/// A list of records that only grows, numbered from 0.
#[derive(Clone, Debug)]
pub(crate) struct ChunkedVec<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for ChunkedVec<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T> ChunkedVec<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The number that the next record gets. Numbers are 32 bits wide: four thousand million records are hundreds of
    /// gigabytes, beyond any machine this runs on.
    pub(crate) fn next_number(&self) -> u32 {
        u32::try_from(self.len)
            .ok()
            .filter(|number| *number != NO_RECORD)
            .expect("fewer than 2^32 records fit in memory")
    }

    pub(crate) fn push(&mut self, record: T) {
        if self.len.is_multiple_of(CHUNK_LEN) {
            // The first chunk grows with its sale; a sale that fills it will need the next one whole.
            let capacity = if self.len == 0 { 0 } else { CHUNK_LEN };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        self.chunks[self.len / CHUNK_LEN].push(record);
        self.len += 1;
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let index = number as usize;
        self.chunks.get(index / CHUNK_LEN)?.get(index % CHUNK_LEN)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }
}

impl<T> Index<u32> for ChunkedVec<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        let index = number as usize;
        &self.chunks[index / CHUNK_LEN][index % CHUNK_LEN]
    }
}

impl<T> IndexMut<u32> for ChunkedVec<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        let index = number as usize;
        &mut self.chunks[index / CHUNK_LEN][index % CHUNK_LEN]
    }
}

#[cfg(test)]
mod tests {
    use super::ChunkedVec;

    #[test]
    fn records_are_found_by_number_across_chunks() {
        let mut chunks = ChunkedVec::default();
        for number in 0..10_000 {
            assert_eq!(chunks.next_number(), number);
            chunks.push(number);
        }
        chunks[5_000] = 7;
        assert_eq!((chunks[4_095], chunks[4_096], chunks[5_000], chunks.len()), (4_095, 4_096, 7, 10_000));
        assert_eq!(chunks.get(10_000), None);
        assert_eq!(chunks.iter().count(), 10_000);
    }
}
