//! A runtime for connections that several threads use, on a thread of its own. A connection belongs to the runtime in which it
//! was made, and the runtimes of readers come and go.

use crate::record::ReadError;
use std::io;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The thread and its runtime; both end when this is dropped.
pub(super) struct PgRuntime {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl PgRuntime {
    pub(super) fn start() -> Result<Self, io::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("postgres".into()).spawn(move || {
            let _dropped = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, _stop: stop })
    }

    /// Runs `work` there, and waits for it on any runtime.
    pub(super) async fn run<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<ReadError> + Send + 'static,
    {
        match self.handle.spawn(work).await {
            Ok(result) => result,
            Err(error) => Err(ReadError::Store(Box::new(error)).into()),
        }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}
