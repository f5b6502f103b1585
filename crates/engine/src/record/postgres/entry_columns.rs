//! Events as rows of `ledger_entries`, by column, for a statement that inserts many. It writes none.

use crate::record::encode_event;
use crate::record::row::{row_checksum, row_key};
use sale::LedgerEntry;

#[derive(Default)]
pub(super) struct EntryColumns {
    pub(super) keys: Vec<i64>,
    pub(super) ats: Vec<i64>,
    pub(super) bodies: Vec<Vec<u8>>,
    pub(super) crcs: Vec<i64>,
}

impl EntryColumns {
    /// Adds an event of the sale with this number.
    pub(super) fn push(&mut self, no: i64, entry: &LedgerEntry) {
        let mut body = Vec::with_capacity(64);
        encode_event(&entry.event, &mut body);
        let key = row_key(no, entry.seq);
        self.crcs.push(row_checksum(key, entry.at.0, &body));
        self.keys.push(key);
        self.ats.push(entry.at.0);
        self.bodies.push(body);
    }
}
