//! Writes the clock checkpoint, which is how far the clock of the sales has come: often while the machine's clock is behind the ledger, so that the next start goes on from there; and
//! seldom otherwise, so that the next start can tell a clock that is far ahead from a shop in which nothing was bought.

use super::StartError;
use crate::clock::Clock;
use crate::error_text::describe_error;
use crate::record::RecordError;
use sale::Timestamp;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a kill may cost while the machine's clock is behind: a process that runs for longer brings time forward, so every hold runs out.
const WRITE_INTERVAL: Duration = Duration::from_millis(500);
/// Every so many intervals it writes in any case: once a minute.
const INTERVALS_PER_WRITE: u32 = 120;

/// The thread that writes. It ends when this is dropped.
pub(super) struct ClockCheckpointer {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ClockCheckpointer {
    /// Starts it. `write` blocks for as long as a disk takes.
    pub(super) fn start(
        clock: Arc<dyn Clock>,
        mut write: impl FnMut(Timestamp) -> Result<(), RecordError> + Send + 'static,
    ) -> Result<Self, StartError> {
        let (stop, stopped) = sync_channel::<()>(0);
        let run = move || {
            let mut is_logged = false;
            let mut go_on = true;
            let mut intervals = 0;
            while go_on {
                go_on = matches!(stopped.recv_timeout(WRITE_INTERVAL), Err(RecvTimeoutError::Timeout));
                intervals += 1;
                if !clock.is_ahead_of_machine() && intervals < INTERVALS_PER_WRITE {
                    continue;
                }
                intervals = 0;
                match write(clock.now()) {
                    Ok(()) => is_logged = false,
                    Err(error) => {
                        if !std::mem::replace(&mut is_logged, true) {
                            tracing::warn!(
                                error = describe_error(&error),
                                "the clock checkpoint cannot be written; after a restart, holds and turns last longer; retrying \
                                 within a minute; make room, or check the database"
                            );
                        }
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("clock-writer".into()).spawn(run);
        Ok(Self { stop: Some(stop), thread: Some(thread.map_err(StartError::Thread)?) })
    }
}

impl Drop for ClockCheckpointer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(
                "the thread that writes the clock checkpoint panicked; after a restart, holds and turns last longer; report it"
            );
        }
    }
}
