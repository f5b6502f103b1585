//! The outbox of a sale: a stream of events that were decided in Valkey and are not known to be recorded. An instance that has
//! recorded them removes them; events that a killed instance left are recorded by others. Nothing here decides.

use super::calls::ValkeyLibrary;
use super::error::ValkeyError;
use super::records;
use super::wire::{WireError, decode_outbox};
use crate::batch::Epoch;
use crate::valkey_connection::ValkeyAddress;
use redis::{Cmd, Value, cmd};
use sale::{EventSeq, LedgerEntry, SaleId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxItem {
    /// The epoch under which they were decided.
    pub epoch: Epoch,
    /// The events; never none.
    pub entries: Vec<LedgerEntry>,
}

impl OutboxItem {
    #[must_use]
    pub fn first(&self) -> Option<EventSeq> {
        self.entries.first().map(|entry| entry.seq)
    }

    #[must_use]
    pub fn last(&self) -> EventSeq {
        self.entries.last().map_or(EventSeq(0), |entry| entry.seq)
    }
}

/// The outboxes of all sales, on a connection of its own, so that it never waits behind a batch.
pub struct Outbox {
    library: ValkeyLibrary,
}

impl Outbox {
    /// The outboxes of the servers at `address`. Connects to nothing yet.
    #[must_use]
    pub fn new(address: &ValkeyAddress) -> Self {
        Self { library: ValkeyLibrary::new(address, "outbox") }
    }

    /// Up to `limit` calls that wait, oldest first, also those that are being recorded now.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn read_items(&mut self, sale: SaleId, limit: usize) -> Result<Vec<OutboxItem>, ValkeyError> {
        let mut range = cmd("XRANGE");
        range.arg(records::outbox_key(sale)).arg("-").arg("+").arg("COUNT").arg(limit);
        let Value::Array(items) = self.send(sale, &range).await? else { return Err(WireError.into()) };
        items.iter().map(|item| decode_item(item).ok_or_else(|| WireError.into())).collect()
    }

    /// Removes recorded events: all up to these. The ledger has a sale's events in their order, and a restored state begins
    /// behind all of them, so no other event can be removed.
    ///
    /// # Errors
    /// When a server cannot be asked. Events that stay are found again, and recording them again changes nothing.
    pub async fn trim(&mut self, recorded: &[(SaleId, EventSeq)]) -> Result<(), ValkeyError> {
        for (sale, last) in recorded {
            let mut trim = cmd("XTRIM");
            trim.arg(records::outbox_key(*sale)).arg("MINID").arg(format!("{}-0", last.next()));
            self.send(*sale, &trim).await?;
        }
        Ok(())
    }

    async fn send(&mut self, sale: SaleId, command: &Cmd) -> Result<Value, ValkeyError> {
        match self.library.send_for_sale(sale, command.clone()).await {
            Ok(value) => Ok(value),
            // Both commands may be repeated: this covers a connection that was cut and a sale that has moved.
            Err(_) => self.library.send_for_sale(sale, command.clone()).await.map_err(|(error, _)| error),
        }
    }
}

/// An item of a stream: its id, and one field with its value.
fn decode_item(item: &Value) -> Option<OutboxItem> {
    let Value::Array(parts) = item else { return None };
    let [_, Value::Array(fields)] = parts.as_slice() else { return None };
    let [_, Value::BulkString(bytes)] = fields.as_slice() else { return None };
    let (epoch, entries) = decode_outbox(bytes).ok()?;
    (!entries.is_empty()).then_some(OutboxItem { epoch, entries })
}
