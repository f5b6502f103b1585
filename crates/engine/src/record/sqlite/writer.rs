//! Appends batches to `ledger.db`, and checkpoints its WAL on a thread of its own.

use super::row::{UuidBlob, load_sales};
use super::{FILE, LOG_BYTES, checkpoint, empty_log, open_for_writing};
use crate::batch::Batch;
use crate::record::row::{row_checksum, row_key, sale_checksum};
use crate::record::{LedgerRecorder, RecordError, encode_event};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior};
use sale::{LedgerEntry, SaleId};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the log is copied back into the file.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(500);
/// A log this long, in bytes, is copied back by the recorder itself: under a continuous load the other thread never copies
/// all of it, so the log would grow without end.
const LOG_BYTES_MAX: u64 = LOG_BYTES / 4 * 3;
/// Batches between two checks of the log's length.
const BATCHES_PER_CHECK: u32 = 64;

/// The writing side of one machine's ledger. There is one; [`crate::start_on_sqlite`] holds the lock that ensures it.
pub struct SqliteRecorder {
    connection: Connection,
    numbers: HashMap<SaleId, i64>,
    body: Vec<u8>,
    log: PathBuf,
    /// False once the log's file has its length, or cannot get it.
    log_may_be_short: bool,
    /// The log's length when it was last copied back, in bytes; the checkpointer sets it.
    log_bytes: Arc<AtomicU64>,
    batches_until_check: u32,
    _checkpointer: WalCheckpointer,
}

impl SqliteRecorder {
    /// Opens, or makes, the ledger in `folder`.
    ///
    /// # Errors
    /// When the file cannot be opened or is not a ledger.
    pub fn open(folder: &Path) -> Result<Self, RecordError> {
        let connection = open_for_writing(folder)?;
        let numbers = load_sales(&connection)?.into_iter().map(|(no, sale)| (sale, no)).collect();
        let log_bytes = Arc::new(AtomicU64::new(0));
        Ok(Self {
            connection,
            numbers,
            body: Vec::with_capacity(256),
            log: folder.join(format!("{FILE}-wal")),
            log_may_be_short: true,
            log_bytes: Arc::clone(&log_bytes),
            batches_until_check: BATCHES_PER_CHECK,
            _checkpointer: WalCheckpointer::start(folder, log_bytes)?,
        })
    }

    fn append_batch(&mut self, batch: &Batch) -> Result<(), RecordError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut fresh = Vec::new();
        for (sale, entries) in &batch.sales {
            let no = match self.numbers.get(sale) {
                Some(no) => *no,
                None => {
                    let no = find_or_add_sale(&transaction, *sale)?;
                    fresh.push((*sale, no));
                    no
                }
            };
            insert_entries(&transaction, &mut self.body, (no, *sale), entries)?;
        }
        transaction.commit()?;
        self.numbers.extend(fresh);
        Ok(())
    }

    /// Keeps the log's file at one length. Waits for no reader: a long-running one makes the log longer.
    fn maintain_log(&mut self) {
        self.batches_until_check -= 1;
        if self.batches_until_check > 0 {
            return;
        }
        self.batches_until_check = BATCHES_PER_CHECK;
        if std::mem::take(&mut self.log_may_be_short)
            && let Err(error) = self.lengthen_log()
        {
            tracing::warn!(%error, "preallocating the WAL (16 MiB) failed; each record takes longer; make room");
        }
        if self.log_bytes.load(Ordering::Relaxed) > LOG_BYTES_MAX {
            match checkpoint(&self.connection) {
                Ok(bytes) => self.log_bytes.store(bytes, Ordering::Relaxed),
                Err(error) => {
                    tracing::warn!(%error, "checkpointing the ledger's WAL failed; the WAL grows meanwhile; retrying; make room if it repeats")
                }
            }
        }
    }

    /// Writes zeros behind the log, which SQLite takes for its end and overwrites. The transaction keeps other writers out.
    fn lengthen_log(&mut self) -> Result<(), RecordError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        extend_with_zeros(&self.log, LOG_BYTES).map_err(|error| RecordError::Store(Box::new(error)))?;
        transaction.rollback()?;
        Ok(())
    }
}

/// Makes a file `bytes` long, or leaves it as it is.
fn extend_with_zeros(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    let had_bytes = file.metadata()?.len();
    let mut zeros = io::repeat(0).take(bytes.saturating_sub(had_bytes));
    let put = io::copy(&mut zeros, &mut file).and_then(|_| file.sync_all());
    if put.is_err() {
        file.set_len(had_bytes)?;
    }
    put
}

impl LedgerRecorder for SqliteRecorder {
    async fn append(&mut self, batch: &Batch) -> Result<(), RecordError> {
        self.append_batch(batch)?;
        self.maintain_log();
        Ok(())
    }

    /// Clears what a failed append left in the log: the next commit overwrites it.
    async fn probe(&mut self) -> Result<(), RecordError> {
        self.connection.execute(
            "INSERT INTO probe (id, count) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET count = count + 1",
            [],
        )?;
        Ok(())
    }
}

/// The number of a sale that this process has not recorded yet; a failed append may have given it one.
fn find_or_add_sale(transaction: &Transaction<'_>, sale: SaleId) -> Result<i64, rusqlite::Error> {
    let known = transaction
        .query_row("SELECT no FROM sales WHERE id = ?1", [UuidBlob(sale.0)], |row| row.get(0))
        .optional()?;
    if let Some(no) = known {
        return Ok(no);
    }
    let no = transaction.query_row("SELECT coalesce(max(no), 0) + 1 FROM sales", [], |row| row.get(0))?;
    transaction.execute(
        "INSERT INTO sales (no, id, crc) VALUES (?1, ?2, ?3)",
        (no, UuidBlob(sale.0), sale_checksum(no, sale)),
    )?;
    Ok(no)
}

fn insert_entries(
    transaction: &Transaction<'_>,
    body: &mut Vec<u8>,
    (no, sale): (i64, SaleId),
    entries: &[LedgerEntry],
) -> Result<(), RecordError> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO entries (key, at, body, crc) VALUES (?1, ?2, ?3, ?4)")?;
    for entry in entries {
        body.clear();
        encode_event(&entry.event, body);
        let key = row_key(no, entry.seq);
        insert.raw_bind_parameter(1, key)?;
        insert.raw_bind_parameter(2, entry.at.0)?;
        insert.raw_bind_parameter(3, body.as_slice())?;
        insert.raw_bind_parameter(4, row_checksum(key, entry.at.0, body))?;
        insert.raw_execute().map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => RecordError::Collision { sale, seq: entry.seq },
            _ => error.into(),
        })?;
    }
    Ok(())
}

/// Checkpoints the WAL now and then, on a connection and a thread of its own, so that no batch waits for it.
struct WalCheckpointer {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WalCheckpointer {
    fn start(folder: &Path, log_bytes: Arc<AtomicU64>) -> Result<Self, RecordError> {
        let connection = open_for_writing(folder)?;
        let (stop, stopped) = sync_channel::<()>(0);
        let thread = std::thread::Builder::new()
            .name("checkpointer".into())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(CHECKPOINT_INTERVAL) {
                    match checkpoint(&connection) {
                        Ok(bytes) => log_bytes.store(bytes, Ordering::Relaxed),
                        Err(error) => {
                            tracing::warn!(%error, "checkpointing the ledger's WAL failed; the WAL grows meanwhile; retrying; make room if it repeats");
                        }
                    }
                }
                // The recorder's connection is closed, and nothing is written any more. Readers may keep theirs until the process ends, and
                // the log with them; emptied, it says that nothing is left in it.
                if let Err(error) = empty_log(&connection) {
                    tracing::debug!(%error, "the ledger's log is left to the next start");
                }
            })
            .map_err(|error| RecordError::Store(Box::new(error)))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for WalCheckpointer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(
                "the thread that checkpoints the ledger's WAL panicked; the WAL grows until the next start; restart and report it"
            );
        }
    }
}
