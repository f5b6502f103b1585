//! What was decided in Valkey and is not known to be recorded: a stream a sale. Whoever records it takes it out; what a
//! process left behind when it died is found here by others. Nothing here decides.

use super::calls::ValkeyLibrary;
use super::error::ValkeyError;
use super::records;
use super::wire::{WireError, decode_outbox};
use crate::batch::Epoch;
use crate::valkey_connection::ValkeyAddress;
use redis::{Cmd, Value, cmd};
use sale::{EventSeq, LedgerEntry, SaleId};

/// The events of one call that wait to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxItem {
    /// The epoch under which they were decided.
    pub epoch: Epoch,
    /// The events; never none.
    pub entries: Vec<LedgerEntry>,
}

impl OutboxItem {
    /// The first of its events.
    #[must_use]
    pub fn first(&self) -> Option<EventSeq> {
        self.entries.first().map(|entry| entry.seq)
    }

    /// The last of its events.
    #[must_use]
    pub fn last(&self) -> EventSeq {
        self.entries.last().map_or(EventSeq(0), |entry| entry.seq)
    }
}

/// The outboxes of all sales. A connection of its own, so that it never waits behind a batch.
pub struct Outbox {
    library: ValkeyLibrary,
}

impl Outbox {
    /// The outboxes of the servers at `address`. Connects to nothing yet.
    #[must_use]
    pub fn new(address: &ValkeyAddress) -> Self {
        Self { library: ValkeyLibrary::new(address, "outbox") }
    }

    /// Up to `limit` calls that wait, oldest first. `at` of their events says for how long: a call that is being recorded waits
    /// here too.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn read_items(&mut self, sale: SaleId, limit: usize) -> Result<Vec<OutboxItem>, ValkeyError> {
        let mut range = cmd("XRANGE");
        range.arg(records::outbox_key(sale)).arg("-").arg("+").arg("COUNT").arg(limit);
        let Value::Array(items) = self.send(sale, &range).await? else { return Err(WireError.into()) };
        items.iter().map(|item| decode_item(item).ok_or_else(|| WireError.into())).collect()
    }

    /// Takes out what is recorded: all up to these events. The ledger has a sale's events in their order, and a state that is
    /// handed over begins behind all of them, so that nothing else can be meant.
    ///
    /// # Errors
    /// When a server cannot be asked. What stays is found again, and recording it again changes nothing.
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
            // Doing it twice is doing it once: a connection that was cut meanwhile, and a sale that has moved, are met so.
            Err(_) => self.library.send_for_sale(sale, command.clone()).await.map_err(|(error, _)| error),
        }
    }
}

/// An item of a stream: its name, and one field with its value.
fn decode_item(item: &Value) -> Option<OutboxItem> {
    let Value::Array(parts) = item else { return None };
    let [_, Value::Array(fields)] = parts.as_slice() else { return None };
    let [_, Value::BulkString(bytes)] = fields.as_slice() else { return None };
    let (epoch, entries) = decode_outbox(bytes).ok()?;
    (!entries.is_empty()).then_some(OutboxItem { epoch, entries })
}
