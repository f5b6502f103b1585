//! Appends batches to `ledger.db`, and copies its log back into the file on a thread of its own.

use super::row::{Blob, crc, key, sale_crc, sales};
use super::{FILE, checkpoint, open};
use crate::record::{Batch, Record, RecordError, encode_event};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior};
use sale::{Entry, SaleId};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the log is copied back into the file.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);
/// A log this long, in bytes, is copied back by the recorder itself: under a load without a pause the other thread never
/// gets to the end of it, and it would never begin anew. SQLite reads this much in about 0.1 s after a crash.
const WAL_BYTES_MAX: u64 = 128 << 20;
/// How many batches pass between two looks at the log's length.
const WAL_LOOK_EVERY: u32 = 64;

/// The writing side of one machine's ledger. There is one; see [`crate::start_embedded`] for the lock that says so.
pub struct SqliteRecorder {
    connection: Connection,
    numbers: HashMap<SaleId, i64>,
    body: Vec<u8>,
    wal: PathBuf,
    batches_until_look: u32,
    _checkpointer: Checkpointer,
}

impl SqliteRecorder {
    /// Opens, or makes, the ledger in `folder`.
    ///
    /// # Errors
    /// When the file cannot be opened or is not a ledger.
    pub fn open(folder: &Path) -> Result<Self, RecordError> {
        let connection = open(folder)?;
        let numbers = sales(&connection)?.into_iter().map(|(no, sale)| (sale, no)).collect();
        Ok(Self {
            connection,
            numbers,
            body: Vec::with_capacity(256),
            wal: folder.join(format!("{FILE}-wal")),
            batches_until_look: WAL_LOOK_EVERY,
            _checkpointer: Checkpointer::start(folder)?,
        })
    }

    fn append_now(&mut self, batch: &Batch) -> Result<(), RecordError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut fresh = Vec::new();
        for (sale, entries) in &batch.sales {
            let no = match self.numbers.get(sale) {
                Some(no) => *no,
                None => {
                    let no = number(&transaction, *sale)?;
                    fresh.push((*sale, no));
                    no
                }
            };
            insert(&transaction, &mut self.body, (no, *sale), entries)?;
        }
        transaction.commit()?;
        self.numbers.extend(fresh);
        Ok(())
    }

    /// Keeps the log bounded when the checkpointer cannot. Waits for no reader: a long one makes the log longer.
    fn bound_log(&mut self) {
        self.batches_until_look -= 1;
        if self.batches_until_look > 0 {
            return;
        }
        self.batches_until_look = WAL_LOOK_EVERY;
        let too_long = std::fs::metadata(&self.wal).is_ok_and(|file| file.len() > WAL_BYTES_MAX);
        if too_long && let Err(error) = checkpoint(&self.connection) {
            tracing::warn!(%error, "the ledger's log could not be copied back; it is tried again");
        }
    }
}

impl Record for SqliteRecorder {
    async fn append(&mut self, batch: &Batch) -> Result<(), RecordError> {
        self.append_now(batch)?;
        self.bound_log();
        Ok(())
    }

    /// Settles what a failed append left in the log: the next commit is written over it.
    async fn probe(&mut self) -> Result<(), RecordError> {
        self.connection.execute(
            "INSERT INTO probe (id, count) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET count = count + 1",
            [],
        )?;
        Ok(())
    }
}

/// The number of a sale that this process has not recorded yet; a failed append may have left it one.
fn number(transaction: &Transaction<'_>, sale: SaleId) -> Result<i64, rusqlite::Error> {
    let known = transaction
        .query_row("SELECT no FROM sales WHERE id = ?1", [Blob(sale.0)], |row| row.get(0))
        .optional()?;
    if let Some(no) = known {
        return Ok(no);
    }
    let no = transaction.query_row("SELECT coalesce(max(no), 0) + 1 FROM sales", [], |row| row.get(0))?;
    transaction
        .execute("INSERT INTO sales (no, id, crc) VALUES (?1, ?2, ?3)", (no, Blob(sale.0), sale_crc(no, sale)))?;
    Ok(no)
}

fn insert(
    transaction: &Transaction<'_>,
    body: &mut Vec<u8>,
    (no, sale): (i64, SaleId),
    entries: &[Entry],
) -> Result<(), RecordError> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO entries (key, at, body, crc) VALUES (?1, ?2, ?3, ?4)")?;
    for entry in entries {
        body.clear();
        encode_event(&entry.event, body);
        let key = key(no, entry.seq);
        insert.raw_bind_parameter(1, key)?;
        insert.raw_bind_parameter(2, entry.at.0)?;
        insert.raw_bind_parameter(3, body.as_slice())?;
        insert.raw_bind_parameter(4, crc(key, entry.at.0, body))?;
        insert.raw_execute().map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => RecordError::Collision { sale, seq: entry.seq },
            _ => error.into(),
        })?;
    }
    Ok(())
}

/// Copies the log back into the file now and then, on a connection and a thread of its own, so that no batch waits for it.
struct Checkpointer {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    fn start(folder: &Path) -> Result<Self, RecordError> {
        let connection = open(folder)?;
        let (stop, stopped) = sync_channel::<()>(0);
        let thread = std::thread::Builder::new()
            .name("checkpointer".into())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(CHECKPOINT_EVERY) {
                    if let Err(error) = checkpoint(&connection) {
                        tracing::warn!(%error, "the ledger's log could not be copied back; it is tried again");
                    }
                }
                // The last connection to close copies the rest.
            })
            .map_err(|error| RecordError::Store(Box::new(error)))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpointer had panicked");
        }
    }
}
