//! Where it is recorded: the port of the ledger, an append-only list of events keyed by `(sale, seq)`. *A decision
//! counts only when its row is committed.* A recorder never decides and never answers; a reader never changes anything.

mod codec;
mod row;

pub mod postgres;
pub mod sqlite;

pub use codec::{CodecError, decode_event, encode_event};

use crate::batch::{Batch, Epoch, StaleEpoch};
use futures::future::BoxFuture;
use sale::{EventSeq, LedgerEntry, SaleId};
use std::error::Error;
use std::future::Future;
use tokio::sync::mpsc;

/// The epochs of sales. They are kept beside the ledger, because the ledger's transactions look at them.
pub trait EpochStore: Send + Sync + 'static {
    /// A sale's epoch; nothing for a sale that never had one.
    fn load_epoch(&self, sale: SaleId) -> BoxFuture<'_, Result<Option<Epoch>, ReadError>>;

    /// All sales of the ledger, each with its epoch; zero where it never had one.
    fn list_epochs(&self) -> BoxFuture<'_, Result<Vec<(SaleId, Epoch)>, ReadError>>;

    /// Begins a new epoch, the first one for a sale that had none. When this returns, all that was decided under an earlier
    /// one is in the ledger, or never will be.
    fn raise_epoch(&self, sale: SaleId) -> BoxFuture<'_, Result<Epoch, ReadError>>;
}

/// Appends to the ledger.
pub trait LedgerRecorder: Send + 'static {
    /// Makes the whole batch durable, or keeps nothing of it. When this returns `Ok`, the batch survives a crash of the
    /// process and of the machine (as far as the disk keeps its word on `fdatasync`), and so does whatever its
    /// [`Batch::calls`] rest on. After an error it may have been kept or not: only reading the ledger tells.
    ///
    /// # Errors
    /// When the batch is not known to be durable. With [`RecordError::Outdated`] all of it is but the sales that are named.
    fn append(&mut self, batch: &Batch) -> impl Future<Output = Result<(), RecordError>> + Send;

    /// Writes something durable that is not an event: tells whether [`Record::append`] would work again. When this
    /// returns `Ok`, whatever a failed append left behind is settled: it is in the ledger for good, or it never will be.
    ///
    /// # Errors
    /// When it would not.
    fn probe(&mut self) -> impl Future<Output = Result<(), RecordError>> + Send;

    /// Resolves when the recorder learns without being asked that another one has taken the ledger over: what is decided
    /// here may be old from then on, also where nothing is to be recorded. Most never learn it.
    fn wait_until_taken_over(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

pub trait LedgerReader: Send + Sync + 'static {
    /// All sales of the ledger, in the order in which they were first recorded. May block for as long as a disk takes.
    fn list_sales(&self) -> BoxFuture<'_, Result<Vec<SaleId>, ReadError>>;

    /// Up to `limit` events of `sale` that follow `after`, in order. May block for as long as a disk takes: call it where
    /// that does no harm.
    fn read_entries(
        &self,
        sale: SaleId,
        after: EventSeq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<LedgerEntry>, ReadError>>;

    /// Everything that was recorded before this call, a page at a time; each sale's events in order, one sale after the
    /// other. Ends at the first error. What is recorded meanwhile may be in it or not, but never a later event of a sale
    /// without the earlier ones.
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
    /// The ledger has an event of that number already: someone else decides too, or the decider was behind.
    #[error("the ledger of sale {sale} already has an event {seq}")]
    Collision { sale: SaleId, seq: EventSeq },
    /// These sales were decided from a state whose time is over; the rest of the batch is durable.
    #[error("{} of the batch's sales were decided from a state whose time is over", .0.len())]
    StaleEpochs(Vec<StaleEpoch>),
    /// Another recorder has taken the ledger over. This one never records again.
    #[error("another instance has taken over the ledger")]
    TakenOver,
    /// The ledger is there, and cannot be used.
    #[error(transparent)]
    Ledger(#[from] ReadError),
    /// The store failed: disk full, connection lost.
    #[error("the ledger cannot be written: {0}")]
    Store(#[source] Box<dyn Error + Send + Sync>),
}

/// The ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing was ever recorded there.
    #[error("there is no ledger in {place}")]
    Missing { place: String },
    /// Something else stands where the ledger should.
    #[error("{file} is not a ledger for this version of doorbuster: {what}")]
    Foreign { file: &'static str, what: &'static str },
    /// A row is missing or is not what was written.
    #[error(
        "the ledger is damaged: sale {sale}, event {seq}: {what}. Nothing is sold from a damaged ledger: restore it from \
         a backup, or look at it with `doorbuster verify`"
    )]
    Damaged {
        sale: SaleId,
        seq: EventSeq,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The store itself is not what was written, so that no row can be named.
    #[error(
        "the ledger is damaged: {file}: {cause}. Nothing is sold from a damaged ledger: restore it from a backup, or \
         look at it with `doorbuster verify`"
    )]
    Corrupt {
        file: String,
        /// What is wrong with it; told in the sentence itself, and so not as its source.
        cause: Box<dyn Error + Send + Sync>,
    },
    #[error("the ledger cannot be read")]
    Store(#[source] Box<dyn Error + Send + Sync>),
}
