//! One row of a ledger, in any store: its key, its checksum, its event, and its order after the row before. It never reads or
//! writes one.

use super::{LedgerPage, ReadError, decode_event, encode_event};
use sale::{EventSeq, LedgerEntry, SaleId, Timestamp};

/// Bits of a key that hold the event's number: 10^12 events a sale, and 8 million sales.
const SEQ_BITS: u32 = 40;
const SEQ_MASK: i64 = (1 << SEQ_BITS) - 1;

/// Events in a page of a scan: large enough that a channel hop costs nothing beside it, small enough for any cache.
pub(super) const PAGE_LEN: usize = 1024;
/// Pages that a scan reads ahead of its receiver.
pub(super) const PAGES_AHEAD: usize = 8;

pub(super) const BAD_CHECKSUM: &str = "its checksum does not fit";

/// The key of an event: the sale's number in the ledger, and the event's own.
pub(super) fn row_key(no: i64, seq: EventSeq) -> i64 {
    (no << SEQ_BITS) | (i64::try_from(seq.0).unwrap_or(SEQ_MASK) & SEQ_MASK)
}

pub(super) fn sale_number(key: i64) -> i64 {
    key >> SEQ_BITS
}

pub(super) fn event_seq(key: i64) -> EventSeq {
    EventSeq((key & SEQ_MASK).unsigned_abs())
}

/// The number of a sale in one ledger. The checksums of its rows are made with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaleNumber(i64);

impl SaleNumber {
    #[must_use]
    pub fn new(no: i64) -> Self {
        Self(no)
    }

    /// The checksum of the row of an event of this sale. An event is always written as the same bytes, so it is the one in the row.
    #[must_use]
    pub fn row_checksum(self, entry: &LedgerEntry) -> u32 {
        let mut body = Vec::new();
        encode_event(&entry.event, &mut body);
        checksum_bytes(row_key(self.0, entry.seq), entry.at.0, &body)
    }
}

/// The checksum of a row of events.
pub(super) fn row_checksum(key: i64, at: i64, body: &[u8]) -> i64 {
    i64::from(checksum_bytes(key, at, body))
}

fn checksum_bytes(key: i64, at: i64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.to_le_bytes());
    hasher.update(&at.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// The checksum of a row of sales.
pub(super) fn sale_checksum(no: i64, sale: SaleId) -> i64 {
    row_checksum(no, 0, sale.0.as_bytes())
}

/// The event in a row whose checksum fits, or what is wrong with it.
pub(super) fn decode_entry(key: i64, at: i64, body: &[u8]) -> Result<LedgerEntry, &'static str> {
    match decode_event(body) {
        Ok(event) => Ok(LedgerEntry { seq: event_seq(key), at: Timestamp(at), event }),
        Err(_) => Err("this version does not know this kind of event"),
    }
}

/// Rows of a sale whose own row is gone.
#[derive(Debug, thiserror::Error)]
#[error("there are events of sale number {no}, and no such sale")]
pub(super) struct OrphanRows {
    pub(super) no: i64,
}

/// Appends an entry to the page, or returns what is wrong with its row. Events are numbered without a gap: a number that is
/// skipped means that a row was lost.
pub(super) fn push_entry(
    page: &mut LedgerPage,
    last: EventSeq,
    key: i64,
    read: Result<LedgerEntry, &'static str>,
) -> Result<EventSeq, ReadError> {
    let damaged = |seq, what| Err(ReadError::Damaged { sale: page.sale, seq, what });
    if event_seq(key) != last.next() {
        return damaged(last.next(), "the row is missing");
    }
    match read {
        Ok(entry) => {
            page.entries.push(entry);
            Ok(event_seq(key))
        }
        Err(what) => damaged(event_seq(key), what),
    }
}
