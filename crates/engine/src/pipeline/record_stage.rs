//! The recording stage: makes batches durable in order, publishes their views, and sends the replies.

use super::{PendingBatch, RecorderMessage, RetryRequest, TRIES_MAX};
use crate::batch::StaleEpoch;
use crate::clock::start_stopwatch;
use crate::damage::DamageFlag;
use crate::decide::Reply;
use crate::error_text::describe_error;
use crate::job::{PipelineJob, WaitingCaller};
use crate::metrics::PipelineMetrics;
use crate::record::{LedgerRecorder, RecordError};
use crate::view::SaleViews;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

pub struct RecordStage<R> {
    pub(super) recorder: R,
    pub(super) batches: mpsc::Receiver<RecorderMessage>,
    /// Views are published once their batch is recorded.
    pub(super) views: Arc<SaleViews>,
    /// Requests to be decided again.
    pub(super) retries: mpsc::Sender<RetryRequest>,
    /// Reports to the deciding stage which generation failed.
    pub(super) failed: watch::Sender<u64>,
    pub(super) metrics: PipelineMetrics,
    /// Once it is set, nothing is recorded and no caller gets another reply than a refusal.
    pub(super) damage: DamageFlag,
}

impl<R: LedgerRecorder> RecordStage<R> {
    /// Runs until the deciding stage has ended and every batch is recorded and answered.
    pub async fn run(mut self) {
        let (mut failed, mut generation) = (0, 1);
        loop {
            let message = tokio::select! {
                biased;
                // From now on decisions may rest on an old state, also where nothing is to be recorded.
                () = self.recorder.wait_until_taken_over(), if failed < generation => {
                    self.report_taken_over();
                    failed = generation;
                    self.failed.send_replace(failed);
                    continue;
                }
                message = self.batches.recv() => message,
            };
            match message {
                None => return,
                Some(RecorderMessage::Probe(reply)) if self.damage.is_seen() => {
                    let _gone = reply.send(false);
                }
                Some(RecorderMessage::Probe(reply)) => {
                    let probed = self.recorder.probe().await;
                    if let Err(error) = &probed {
                        self.check_final_error(error);
                        tracing::debug!(error = describe_error(error), "the ledger takes no records yet");
                    }
                    let _gone = reply.send(probed.is_ok());
                }
                // The batch rests on one that was not recorded.
                Some(RecorderMessage::Batch(pending)) if pending.generation <= failed => {
                    pending.refuse_callers()
                }
                Some(RecorderMessage::Batch(pending)) => {
                    generation = pending.generation;
                    if !self.record_batch(pending).await {
                        failed = generation;
                        self.failed.send_replace(failed);
                    }
                }
            }
        }
    }

    /// Notes an error after which this process never records again.
    fn check_final_error(&self, error: &RecordError) {
        match error {
            RecordError::TakenOver => self.report_taken_over(),
            RecordError::Ledger(error) => self.damage.report_read_error(error),
            _ => {}
        }
    }

    /// Logs it once. There is nothing to wait for: only a start claims the ledger.
    fn report_taken_over(&self) {
        if self.metrics.taken_over.set(1) == 0 {
            tracing::error!(
                "another instance has taken over the ledger: this one decides nothing any more and wants no requests; \
                 stop it, or start it again to take the ledger back"
            );
        }
    }

    async fn record_batch(&mut self, pending: PendingBatch) -> bool {
        if self.damage.is_seen() {
            pending.refuse_callers();
            return false;
        }
        if !pending.batch.is_empty() {
            let started = start_stopwatch();
            match self.recorder.append(&pending.batch).await {
                Ok(()) => {}
                Err(RecordError::StaleEpochs(stale)) => {
                    self.retry_stale_requests(pending, stale);
                    return true;
                }
                Err(error) => {
                    tracing::error!(
                        error = describe_error(&error),
                        callers = pending.callers.len(),
                        "recording a batch failed; its callers get 503; retrying every 100 ms"
                    );
                    self.check_final_error(&error);
                    self.metrics.record_failures.inc();
                    pending.refuse_callers();
                    return false;
                }
            }
            self.metrics.record_s.observe(started.elapsed().as_secs_f64());
            self.metrics.events.inc_by(pending.batch.len() as u64);
        }
        // Followers may have met damage meanwhile: the batch is recorded, and its callers get 503.
        if self.damage.is_seen() {
            pending.refuse_callers();
            return false;
        }
        pending.send_replies(&self.views);
        true
    }

    /// Replies to callers whose reply is durable, and sends the other requests back to be decided again.
    fn retry_stale_requests(&self, mut pending: PendingBatch, stale: Vec<StaleEpoch>) {
        let requests = std::mem::take(&mut pending.requests);
        let (callers, reply) = (std::mem::take(&mut pending.callers), std::mem::take(&mut pending.replies));
        pending.views.retain(|view| stale.iter().all(|stale| stale.sale != view.id));
        let mut again = Vec::new();
        for ((request, mut caller), reply) in requests.into_iter().zip(callers).zip(reply) {
            let mut concerned = stale.iter().filter(|stale| request.concerns(stale.sale));
            if concerned.clone().all(|stale| is_recorded(stale, &reply)) {
                pending.callers.push(caller);
                pending.replies.push(reply);
            } else if caller.tries < TRIES_MAX && concerned.all(|stale| stale.last_recorded.is_some()) {
                caller.tries += 1;
                again.push(PipelineJob { request, caller });
            } else {
                caller.refuse();
            }
        }
        tracing::warn!(
            sales = stale.len(),
            callers = again.len(),
            "a batch was decided under an epoch that is over; its requests are decided again"
        );
        self.metrics.redone.inc_by(again.len() as u64);
        if let Err(unsent) = self.retries.try_send(RetryRequest { stale, jobs: again }) {
            unsent.into_inner().jobs.into_iter().for_each(|job| job.caller.refuse());
        }
        pending.send_replies(&self.views);
    }
}

/// Whether a reply depends only on events that are in the ledger.
fn is_recorded(stale: &StaleEpoch, reply: &Reply) -> bool {
    matches!(reply, Reply::Outcome { seq, .. } if stale.last_recorded.is_some_and(|last| *seq <= last))
}

impl PendingBatch {
    fn send_replies(self, views: &SaleViews) {
        views.publish(self.views);
        self.callers.into_iter().zip(self.replies).for_each(|(caller, reply)| caller.send_reply(reply));
    }

    fn refuse_callers(self) {
        self.callers.into_iter().for_each(WaitingCaller::refuse);
    }
}
