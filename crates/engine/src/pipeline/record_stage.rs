//! The recording stage: makes batches durable, in order, shows what they changed, and answers their callers.

use super::{NotDone, Pending, ToRecord};
use crate::clock::stopwatch;
use crate::metrics::Metrics;
use crate::record::{Record, RecordError};
use crate::view::Views;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// The recording stage.
pub struct RecordStage<R> {
    pub(super) recorder: R,
    pub(super) batches: mpsc::Receiver<ToRecord>,
    /// What is shown once it is recorded.
    pub(super) views: Arc<Views>,
    /// Tells the deciding stage which generation failed.
    pub(super) failed: watch::Sender<u64>,
    pub(super) metrics: Metrics,
}

impl<R: Record> RecordStage<R> {
    /// Runs until the deciding stage has ended and everything it decided is recorded and answered.
    pub async fn run(mut self) {
        let (mut failed, mut generation) = (0, 1);
        loop {
            let message = tokio::select! {
                biased;
                // What is decided from now on may be old, also where nothing is to be recorded.
                () = self.recorder.taken_over(), if failed < generation => {
                    self.is_taken_over();
                    failed = generation;
                    self.failed.send_replace(failed);
                    continue;
                }
                message = self.batches.recv() => message,
            };
            match message {
                None => return,
                Some(ToRecord::Probe(reply)) => {
                    let probed = self.recorder.probe().await;
                    if let Err(error) = &probed {
                        self.note(error);
                        tracing::debug!(
                            error = error as &dyn std::error::Error,
                            "the ledger takes no records yet"
                        );
                    }
                    let _gone = reply.send(probed.is_ok());
                }
                // Decided from a state that never came to be.
                Some(ToRecord::Batch(pending)) if pending.generation <= failed => pending.refuse(),
                Some(ToRecord::Batch(pending)) => {
                    generation = pending.generation;
                    if !self.record(pending).await {
                        failed = generation;
                        self.failed.send_replace(failed);
                    }
                }
            }
        }
    }

    fn note(&self, error: &RecordError) {
        if matches!(error, RecordError::TakenOver) {
            self.is_taken_over();
        }
    }

    /// Said once. There is nothing to wait for: only a start claims the ledger.
    fn is_taken_over(&self) {
        if self.metrics.taken_over.set(1) == 0 {
            tracing::error!(
                "another instance has taken over the ledger: this one decides nothing any more and wants no requests; \
                 stop it, or start it again to take the ledger back"
            );
        }
    }

    async fn record(&mut self, pending: Pending) -> bool {
        if !pending.batch.is_empty() {
            let started = stopwatch();
            if let Err(error) = self.recorder.append(&pending.batch).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    callers = pending.replies.len(),
                    "a batch could not be recorded; nobody in it is told yes"
                );
                self.note(&error);
                self.metrics.record_failures.inc();
                pending.refuse();
                return false;
            }
            self.metrics.record_s.observe(started.elapsed().as_secs_f64());
            self.metrics.events.inc_by(pending.batch.len() as u64);
        }
        pending.answer(&self.views);
        true
    }
}

impl Pending {
    fn answer(self, views: &Views) {
        views.publish(self.views);
        for (reply, told) in self.replies.into_iter().zip(self.told) {
            // A caller that hung up has its answer in the ledger.
            let _gone = reply.send(Ok(told));
        }
    }

    fn refuse(self) {
        for reply in self.replies {
            let _gone = reply.send(Err(NotDone::NotRecorded));
        }
    }
}
