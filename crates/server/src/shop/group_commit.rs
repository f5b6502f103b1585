//! Writes the rows of concurrent callers in one transaction: a transaction each would cost a wait for the disk each. A caller is answered
//! after the commit, so what was answered is durable.

use crate::store::StoreError;
use engine::clock::start_stopwatch;
use engine::error_text::describe_error;
use futures::future::BoxFuture;
use std::fmt;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Rows that one transaction takes at most.
const BATCH_LEN_MAX: usize = 512;
/// Rows that wait for a transaction; further callers wait for a place.
const QUEUE_LEN_MAX: usize = 16_384;

/// A row was not written, or it is not known whether it was. The log has the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tables did not take a row")]
pub struct RowNotWritten;

/// Takes rows; clones share one writer, which ends with the last of them.
pub struct GroupCommit<Row, Reply> {
    rows: mpsc::Sender<WaitingRow<Row, Reply>>,
}

struct WaitingRow<Row, Reply> {
    row: Row,
    reply: oneshot::Sender<Reply>,
}

/// Writes a batch in one transaction and returns a reply for each row, in the order of the rows.
pub type WriteBatch<Row, Reply> =
    Box<dyn Fn(Vec<Row>) -> BoxFuture<'static, Result<Vec<Reply>, StoreError>> + Send>;

impl<Row, Reply> fmt::Debug for GroupCommit<Row, Reply> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupCommit").finish_non_exhaustive()
    }
}

impl<Row, Reply> Clone for GroupCommit<Row, Reply> {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone() }
    }
}

impl<Row: Send + 'static, Reply: Send + 'static> GroupCommit<Row, Reply> {
    /// Starts the writer of `table`, which is named in the log.
    #[must_use]
    pub fn start(table: &'static str, write: WriteBatch<Row, Reply>) -> Self {
        Self::start_on(&Handle::current(), table, write)
    }

    /// The same with a writer that belongs to a runtime.
    #[must_use]
    pub fn start_on(runtime: &Handle, table: &'static str, write: WriteBatch<Row, Reply>) -> Self {
        let (rows, inbox) = mpsc::channel(QUEUE_LEN_MAX);
        runtime.spawn(write_batches(table, write, inbox));
        Self { rows }
    }

    /// Writes a row and returns when it is durable.
    ///
    /// # Errors
    /// When the tables do not answer. The row may be written all the same.
    pub async fn write(&self, row: Row) -> Result<Reply, RowNotWritten> {
        let (reply, written) = oneshot::channel();
        self.rows.send(WaitingRow { row, reply }).await.map_err(|_| RowNotWritten)?;
        written.await.map_err(|_| RowNotWritten)
    }
}

async fn write_batches<Row, Reply>(
    table: &'static str,
    write: WriteBatch<Row, Reply>,
    mut inbox: mpsc::Receiver<WaitingRow<Row, Reply>>,
) {
    let mut waiting = Vec::with_capacity(BATCH_LEN_MAX);
    let mut last_took = Duration::ZERO;
    while inbox.recv_many(&mut waiting, BATCH_LEN_MAX).await > 0 {
        gather_rows(&mut inbox, &mut waiting, last_took).await;
        let (rows, replies): (Vec<Row>, Vec<_>) =
            waiting.drain(..).map(|waiting| (waiting.row, waiting.reply)).unzip();
        let began = start_stopwatch();
        let written = write(rows).await;
        last_took = began.elapsed();
        match written {
            Ok(written) => {
                for (reply, caller) in written.into_iter().zip(replies) {
                    let _gone = caller.send(reply);
                }
            }
            // The callers see that their reply is dropped.
            Err(error) => {
                let rows = replies.len();
                let error = describe_error(&error);
                tracing::warn!(
                    error,
                    table,
                    rows,
                    "writing a batch of rows failed; its callers get 503, and may ask again; check the database"
                );
            }
        }
    }
}

/// Lets the callers whose tasks are ready add their rows: those that the last transaction answered often have the next one at once, and
/// would wait for a transaction of a few rows. It ends when a turn of the tasks brings no row, so a caller that is alone does not wait, and
/// after the time that the last transaction took.
async fn gather_rows<T>(inbox: &mut mpsc::Receiver<T>, waiting: &mut Vec<T>, limit: Duration) {
    let began = start_stopwatch();
    while waiting.len() < BATCH_LEN_MAX && began.elapsed() < limit {
        tokio::task::yield_now().await;
        let before = waiting.len();
        while waiting.len() < BATCH_LEN_MAX
            && let Ok(row) = inbox.try_recv()
        {
            waiting.push(row);
        }
        if waiting.len() == before {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::{Arc, Mutex};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn callers_who_wait_share_a_transaction_and_get_their_own_replies() {
        let batches = Arc::new(Mutex::new(Vec::new()));
        let may_write = Arc::new(Semaphore::new(0));
        let (seen, permits) = (Arc::clone(&batches), Arc::clone(&may_write));
        let group = GroupCommit::start(
            "numbers",
            Box::new(move |rows: Vec<u32>| {
                let (seen, permits) = (Arc::clone(&seen), Arc::clone(&permits));
                async move {
                    permits.acquire().await.unwrap().forget();
                    seen.lock().unwrap().push(rows.len());
                    Ok(rows.into_iter().map(|row| row * 2).collect())
                }
                .boxed()
            }),
        );
        let callers: Vec<_> = (0..100_u32)
            .map(|row| {
                let group = group.clone();
                tokio::spawn(async move { (row, group.write(row).await) })
            })
            .collect();
        may_write.add_permits(100);
        for caller in callers {
            let (row, reply) = caller.await.unwrap();
            assert_eq!(reply, Ok(row * 2));
        }
        let batches = batches.lock().unwrap().clone();
        assert_eq!(batches.iter().sum::<usize>(), 100);
        assert!(batches.len() < 100, "callers share transactions: {batches:?}");
    }

    #[tokio::test]
    async fn a_batch_that_fails_fails_for_its_callers_alone() {
        let group = GroupCommit::start(
            "numbers",
            Box::new(|rows: Vec<u32>| {
                async move { if rows.contains(&13) { Err(StoreError::Address) } else { Ok(rows) } }.boxed()
            }),
        );
        assert_eq!(group.write(13).await, Err(RowNotWritten));
        assert_eq!(group.write(14).await, Ok(14), "the writer goes on");
    }
}
