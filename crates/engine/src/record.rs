//! The port of the ledger: an append-only list of events keyed by `(sale, seq)`. *A decision counts only when its row is
//! committed.* A recorder never decides and never replies; a reader never changes anything.

mod codec;
mod copy;
mod row;

pub mod postgres;
pub mod sqlite;

pub use codec::{CodecError, decode_event, encode_event};
pub use copy::{CopiedLedger, copy_ledger};
pub use row::SaleNumber;

use crate::batch::{Batch, Epoch, StaleEpoch};
use futures::future::BoxFuture;
use sale::{EventSeq, LedgerEntry, SaleId};
use std::error::Error;
use std::future::Future;
use tokio::sync::mpsc;

/// The epochs of sales. They are kept beside the ledger, because the ledger's transactions check them.
pub trait EpochStore: Send + Sync + 'static {
    /// A sale's epoch; `None` for a sale that never had one.
    fn load_epoch(&self, sale: SaleId) -> BoxFuture<'_, Result<Option<Epoch>, ReadError>>;

    /// All sales of the ledger, each with its epoch; zero where it never had one.
    fn list_epochs(&self) -> BoxFuture<'_, Result<Vec<(SaleId, Epoch)>, ReadError>>;

    /// Begins a new epoch, the first one for a sale that had none. When this returns, events of earlier epochs are in the
    /// ledger or will never be.
    fn raise_epoch(&self, sale: SaleId) -> BoxFuture<'_, Result<Epoch, ReadError>>;
}

/// Appends to the ledger.
pub trait LedgerRecorder: Send + 'static {
    /// Makes the whole batch durable, or nothing of it. After `Ok`, the batch survives a crash of the process and of the
    /// machine (as far as the disk honours `fdatasync`), and so do the events that its [`Batch::calls`] depend on. After an
    /// error the batch may be recorded or not; only a read of the ledger shows which.
    ///
    /// # Errors
    /// When the batch is not known to be durable. With [`RecordError::StaleEpochs`] all sales of the batch are durable but
    /// the named ones.
    fn append(&mut self, batch: &Batch) -> impl Future<Output = Result<(), RecordError>> + Send;

    /// Makes something durable that is not an event, to find out whether [`LedgerRecorder::append`] would work again. After
    /// `Ok`, the result of an earlier failed append is settled: it is in the ledger, or never will be.
    ///
    /// # Errors
    /// When the write fails.
    fn probe(&mut self) -> impl Future<Output = Result<(), RecordError>> + Send;

    /// Resolves when the recorder notices that another one has claimed the ledger: from then on decisions here may rest on
    /// an old state, also where nothing is to be recorded. Most recorders never resolve it.
    fn wait_until_taken_over(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

pub trait LedgerReader: Send + Sync + 'static {
    /// All sales of the ledger, in the order in which they were first recorded. May block for as long as a disk takes.
    fn list_sales(&self) -> BoxFuture<'_, Result<Vec<SaleId>, ReadError>>;

    /// Up to `limit` events of `sale` that follow `after`, in order. May block for as long as a disk takes.
    fn read_entries(
        &self,
        sale: SaleId,
        after: EventSeq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<LedgerEntry>, ReadError>>;

    /// The number of a sale in this ledger; `None` when the ledger does not have the sale. May block for as long as a disk takes.
    fn find_number(&self, sale: SaleId) -> BoxFuture<'_, Result<Option<SaleNumber>, ReadError>>;

    /// Whether it has an event at all. May block for as long as a disk takes.
    fn has_entries(&self) -> BoxFuture<'_, Result<bool, ReadError>> {
        Box::pin(async {
            for sale in self.list_sales().await? {
                if !self.read_entries(sale, EventSeq(0), 1).await?.is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// All events that were recorded before this call, a page at a time; each sale's events in order, one sale after the
    /// other. Ends at the first error. Events that are recorded meanwhile may be included or not, but never a later event of
    /// a sale without the earlier ones.
    fn scan(&self) -> mpsc::Receiver<Result<LedgerPage, ReadError>>;
}

/// Consecutive events of one sale.
#[derive(Debug)]
pub struct LedgerPage {
    pub sale: SaleId,
    /// Its events, in order.
    pub entries: Vec<LedgerEntry>,
}

/// A batch is not known to be durable.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The ledger already has an event of that number: another process decides too, or the state was behind.
    #[error("the ledger of sale {sale} already has an event {seq}")]
    Collision { sale: SaleId, seq: EventSeq },
    /// These sales were decided under epochs that are over; the rest of the batch is durable.
    #[error("{} of the batch's sales were decided under an epoch that is over", .0.len())]
    StaleEpochs(Vec<StaleEpoch>),
    /// Another recorder has claimed the ledger. This one never records again.
    #[error("another instance has taken over the ledger")]
    TakenOver,
    /// The ledger exists and cannot be used.
    #[error(transparent)]
    Ledger(#[from] ReadError),
    /// The store failed: disk full, connection lost.
    #[error("the ledger cannot be written: {0}")]
    Store(#[source] Box<dyn Error + Send + Sync>),
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing was ever recorded there.
    #[error("there is no ledger in {place}")]
    Missing { place: String },
    /// Another database is in the ledger's place.
    #[error("{file} is not a ledger for this version of doorbuster: {what}")]
    Foreign { file: &'static str, what: &'static str },
    /// A row is missing or is not what was written.
    #[error(
        "the ledger is damaged: sale {sale}, event {seq}: {what}. Nothing is sold from a damaged ledger: restore it from \
         a backup; `doorbuster verify` on a copy says how far it is intact"
    )]
    Damaged {
        sale: SaleId,
        seq: EventSeq,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The store itself is damaged, so that no row can be named.
    #[error(
        "the ledger is damaged: {file}: {cause}. Nothing is sold from a damaged ledger: restore it from a backup; \
         `doorbuster verify` on a copy says how far it is intact"
    )]
    Corrupt {
        file: String,
        /// Part of the sentence, and so not the error's source.
        cause: Box<dyn Error + Send + Sync>,
    },
    #[error("the ledger cannot be read")]
    Store(#[source] Box<dyn Error + Send + Sync>),
}

impl ReadError {
    /// True for damage: what is stored is not what was written. Another error may pass.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Corrupt { .. })
    }

    /// What is damaged and where, without advice; of another error its text.
    #[must_use]
    pub fn describe_damage(&self) -> String {
        match self {
            Self::Damaged { sale, seq, what } => {
                format!("the ledger is damaged: sale {sale}, event {seq}: {what}")
            }
            Self::Corrupt { file, cause } => format!("the ledger is damaged: {file}: {cause}"),
            other => other.to_string(),
        }
    }
}
