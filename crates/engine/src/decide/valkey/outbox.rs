//! What was decided in Valkey and is not known to be recorded: a stream a sale. Whoever records it takes it out; what a
//! process left behind when it died is found here by others. Nothing here decides.

use super::calls::Library;
use super::nodes::ValkeyError;
use super::records;
use super::wire::{WireError, decode_outbox};
use crate::record::{Call, Epoch};
use redis::{Cmd, Value, cmd};
use sale::{Entry, SaleId, Seq};

/// The events of one call that wait to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The epoch under which they were decided.
    pub epoch: Epoch,
    /// The events; never none.
    pub entries: Vec<Entry>,
}

/// The outboxes of all sales. A connection of its own, so that it never waits behind a batch.
pub struct Outbox {
    library: Library,
}

impl Outbox {
    /// The outboxes of the servers at `url`.
    ///
    /// # Errors
    /// When the address is none. Nothing is connected to yet.
    pub fn at(url: &str) -> Result<Self, ValkeyError> {
        Ok(Self { library: Library::at(url, "outbox")? })
    }

    /// Up to `limit` calls that wait, oldest first. `at` of their events says for how long: a call that is being recorded waits
    /// here too.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn waiting(&mut self, sale: SaleId, limit: usize) -> Result<Vec<Waiting>, ValkeyError> {
        let mut range = cmd("XRANGE");
        range.arg(records::outbox_key(sale)).arg("-").arg("+").arg("COUNT").arg(limit);
        let Value::Array(items) = self.send(sale, &range).await? else { return Err(WireError.into()) };
        items.iter().map(|item| read(item).ok_or_else(|| WireError.into())).collect()
    }

    /// Takes recorded calls out; one that is not there is left alone.
    ///
    /// # Errors
    /// When the server cannot be asked. What stays is found again, and recording it again changes nothing.
    pub async fn forget(&mut self, calls: &[Call]) -> Result<(), ValkeyError> {
        let mut sales: Vec<SaleId> = calls.iter().map(|call| call.sale).collect();
        sales.sort_unstable();
        sales.dedup();
        for sale in sales {
            let mut delete = cmd("XDEL");
            delete.arg(records::outbox_key(sale));
            for call in calls.iter().filter(|call| call.sale == sale) {
                delete.arg(name(call.last));
            }
            self.send(sale, &delete).await?;
        }
        Ok(())
    }

    async fn send(&mut self, sale: SaleId, command: &Cmd) -> Result<Value, ValkeyError> {
        match self.library.send(sale, command.clone()).await {
            Ok(value) => Ok(value),
            // Doing it twice is doing it once: a connection that was cut meanwhile, and a sale that has moved, are met so.
            Err(_) => self.library.send(sale, command.clone()).await.map_err(|(error, _)| error),
        }
    }
}

impl Waiting {
    /// How the call is named when it is recorded.
    #[must_use]
    pub fn call(&self, sale: SaleId) -> Call {
        let last = self.entries.last().map_or(Seq(0), |entry| entry.seq);
        Call { sale, epoch: self.epoch, last }
    }
}

/// The stream's own name for a call.
fn name(last: Seq) -> String {
    format!("{last}-0")
}

/// An item of a stream: its name, and one field with its value.
fn read(item: &Value) -> Option<Waiting> {
    let Value::Array(parts) = item else { return None };
    let [_, Value::Array(fields)] = parts.as_slice() else { return None };
    let [_, Value::BulkString(bytes)] = fields.as_slice() else { return None };
    let (epoch, entries) = decode_outbox(bytes).ok()?;
    (!entries.is_empty()).then_some(Waiting { epoch, entries })
}
