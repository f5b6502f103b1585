//! The recording stage: makes batches durable, in order, shows what they changed, and answers their callers.

use super::{Caller, Job, Pending, Redo, TRIES_MAX, ToRecord};
use crate::clock::stopwatch;
use crate::decide::Told;
use crate::metrics::Metrics;
use crate::record::{Outdated, Record, RecordError};
use crate::view::Views;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// The recording stage.
pub struct RecordStage<R> {
    pub(super) recorder: R,
    pub(super) batches: mpsc::Receiver<ToRecord>,
    /// What is shown once it is recorded.
    pub(super) views: Arc<Views>,
    /// What is to be decided again.
    pub(super) redo: mpsc::Sender<Redo>,
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
            match self.recorder.append(&pending.batch).await {
                Ok(()) => {}
                Err(RecordError::Outdated(outdated)) => {
                    self.part(pending, outdated);
                    return true;
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        callers = pending.callers.len(),
                        "a batch could not be recorded; nobody in it is told yes"
                    );
                    self.note(&error);
                    self.metrics.record_failures.inc();
                    pending.refuse();
                    return false;
                }
            }
            self.metrics.record_s.observe(started.elapsed().as_secs_f64());
            self.metrics.events.inc_by(pending.batch.len() as u64);
        }
        pending.answer(&self.views);
        true
    }

    /// Answers those whose answer is durable, and has the others decided again.
    fn part(&self, mut pending: Pending, outdated: Vec<Outdated>) {
        let asks = std::mem::take(&mut pending.asks);
        let (callers, told) = (std::mem::take(&mut pending.callers), std::mem::take(&mut pending.told));
        pending.views.retain(|view| outdated.iter().all(|outdated| outdated.sale != view.id));
        let mut again = Vec::new();
        for ((ask, mut caller), told) in asks.into_iter().zip(callers).zip(told) {
            let mut of = outdated.iter().filter(|outdated| ask.concerns(outdated.sale));
            if of.clone().all(|outdated| is_kept(outdated, &told)) {
                pending.callers.push(caller);
                pending.told.push(told);
            } else if caller.tries < TRIES_MAX && of.all(|outdated| outdated.kept.is_some()) {
                caller.tries += 1;
                again.push(Job { ask, caller });
            } else {
                caller.refuse();
            }
        }
        tracing::warn!(
            sales = outdated.len(),
            callers = again.len(),
            "a batch was decided from a state that is over; it is decided again"
        );
        self.metrics.redone.inc_by(again.len() as u64);
        if let Err(unsent) = self.redo.try_send(Redo { outdated, jobs: again }) {
            unsent.into_inner().jobs.into_iter().for_each(|job| job.caller.refuse());
        }
        pending.answer(&self.views);
    }
}

/// Whether what was told rests on nothing but what is in the ledger.
fn is_kept(outdated: &Outdated, told: &Told) -> bool {
    matches!(told, Told::Outcome { seq, .. } if outdated.kept.is_some_and(|kept| *seq <= kept))
}

impl Pending {
    fn answer(self, views: &Views) {
        views.publish(self.views);
        for (caller, told) in self.callers.into_iter().zip(self.told) {
            // A caller that hung up has its answer in the ledger.
            let _gone = caller.reply.send(Ok(told));
        }
    }

    fn refuse(self) {
        self.callers.into_iter().for_each(Caller::refuse);
    }
}
