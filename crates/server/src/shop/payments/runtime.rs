//! Where payments run. A payment waits for the engine, the tables and its provider some ten times, one after the other; as a task beside the
//! requests of a rush it would wait behind all of them each time. So a shop has a thread for its payments.

use std::io;
use std::sync::Arc;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A runtime for payments and the writer of their steps. Clones share it.
#[derive(Clone, Debug)]
pub struct PaymentRuntime {
    handle: Handle,
    /// The thread ends when the last clone is dropped.
    _thread: Option<Arc<oneshot::Sender<()>>>,
}

impl PaymentRuntime {
    /// The caller's own runtime.
    #[must_use]
    pub fn current() -> Self {
        Self { handle: Handle::current(), _thread: None }
    }

    /// A thread of its own.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn start_thread() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (thread, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("payments".to_owned()).spawn(move || {
            let _dropped = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, _thread: Some(Arc::new(thread)) })
    }

    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_servers::wait::{HANG_LIMIT, eventually};

    #[tokio::test]
    async fn work_runs_on_the_thread_until_the_last_clone_is_dropped() {
        let payments = PaymentRuntime::start_thread().unwrap();
        let name = payments.handle().spawn(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(name.await.unwrap().as_deref(), Some("payments"));
        let waiting = payments.clone().handle().spawn(std::future::pending::<()>());
        drop(payments);
        eventually("the thread has ended", HANG_LIMIT, async || waiting.is_finished()).await;
    }
}
