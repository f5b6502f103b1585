//! The deciding stage: takes what is asked and what is due, a batch at a time, has it decided, and hands it to the
//! recording stage. Starts over from the ledger when that fails.

use super::{PendingBatch, RecorderMessage, RetryRequest, StageInterrupted};
use crate::clock::{Clock, start_stopwatch};
use crate::decide::{BatchDecider, DecidedBatch, Request};
use crate::job::{PipelineJob, WaitingCaller};
use crate::metrics::PipelineMetrics;
use crate::record::LedgerReader;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// How long the pipeline waits between two looks at a ledger that does not take records, in milliseconds.
const PROBE_INTERVAL_MS: i64 = 100;

pub struct DecideStage<D> {
    /// Already folded from the ledger.
    pub(super) decider: D,
    /// Where state comes from after a failure.
    pub(super) ledger: Arc<dyn LedgerReader>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) inbox: JobInbox,
    pub(super) record: mpsc::Sender<RecorderMessage>,
    /// What is to be decided again.
    pub(super) retries: mpsc::Receiver<RetryRequest>,
    /// The last generation that failed to be recorded.
    pub(super) failed: watch::Receiver<u64>,
    pub(super) metrics: PipelineMetrics,
}

pub(super) struct JobInbox {
    pub(super) jobs: mpsc::Receiver<PipelineJob>,
    /// Becomes true when the engine shall answer what it has and end.
    pub(super) stopping: watch::Receiver<bool>,
    /// Requests a batch, at most.
    pub(super) batch_len_max: usize,
}

impl<D: BatchDecider> DecideStage<D> {
    /// Runs until the engine stops.
    pub async fn run(mut self) {
        let mut generation = 1;
        let mut jobs = Vec::with_capacity(self.inbox.batch_len_max);
        loop {
            let (mut recording_failed, mut ended) = (false, false);
            tokio::select! {
                biased;
                () = wait_until_at_least(&mut self.failed, generation) => recording_failed = true,
                Some(redo) = self.retries.recv() => {
                    redo.stale.iter().for_each(|outdated| self.decider.invalidate(outdated));
                    jobs.extend(redo.jobs);
                }
                received = receive_batch(&self.record, &mut self.inbox, &mut jobs) => ended = received == 0,
                () = sleep_until_due(self.clock.as_ref(), self.decider.next_due()) => {}
            }
            if ended {
                return;
            }
            if !recording_failed && (!jobs.is_empty() || self.is_due()) {
                recording_failed = self.decide_batch(generation, &mut jobs).await.is_err();
            }
            if recording_failed {
                generation += 1;
                if self.wait_for_recovery(generation).await.is_err() {
                    return;
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        self.decider.next_due().is_some_and(|due| due <= self.clock.now())
    }

    async fn decide_batch(
        &mut self,
        generation: u64,
        jobs: &mut Vec<PipelineJob>,
    ) -> Result<(), StageInterrupted> {
        let started = start_stopwatch();
        let (asks, callers): (Vec<Request>, Vec<WaitingCaller>) =
            jobs.drain(..).map(|job| (job.request, job.caller)).unzip();
        self.metrics.waiting.set(i64::try_from(self.inbox.jobs.len()).unwrap_or(i64::MAX));
        let decided = match self.decider.decide(self.clock.now(), &asks).await {
            Ok(decided) => decided,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a batch could not be decided");
                callers.into_iter().for_each(WaitingCaller::refuse);
                return Err(StageInterrupted);
            }
        };
        self.metrics.deciding.set(i64::from(!self.decider.is_unavailable()));
        debug_assert_eq!(decided.replies.len(), callers.len(), "one answer a request");
        #[expect(clippy::cast_precision_loss, reason = "a figure for a histogram")]
        self.metrics.batch_len.observe(asks.len() as f64);
        self.metrics.decide_s.observe(started.elapsed().as_secs_f64());
        self.send_batch(generation, decided, (asks, callers)).await
    }

    async fn send_batch(
        &self,
        generation: u64,
        decided: DecidedBatch,
        (asks, callers): (Vec<Request>, Vec<WaitingCaller>),
    ) -> Result<(), StageInterrupted> {
        let DecidedBatch { batch, replies: told, views } = decided;
        let pending = PendingBatch { generation, batch, requests: asks, callers, replies: told, views };
        self.record.send(RecorderMessage::Batch(pending)).await.map_err(|_| StageInterrupted)
    }

    /// Refuses whoever comes until the ledger takes records again and the state is what it says.
    async fn wait_for_recovery(&mut self, generation: u64) -> Result<(), StageInterrupted> {
        self.metrics.recording.set(0);
        let mut unreadable_told = false;
        let rebuilt = loop {
            let (reply, probed) = oneshot::channel();
            self.record.send(RecorderMessage::Probe(reply)).await.map_err(|_| StageInterrupted)?;
            if self.inbox.refuse_until(probed).await?.unwrap_or(false) {
                match self.inbox.refuse_until(self.decider.rebuild(self.ledger.as_ref())).await? {
                    Ok(rebuilt) => break rebuilt,
                    Err(error) if unreadable_told => {
                        tracing::debug!(
                            error = &error as &dyn std::error::Error,
                            "the ledger cannot be folded yet"
                        );
                    }
                    Err(error) => {
                        unreadable_told = true;
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the ledger cannot be folded; nothing is sold, and it is tried again"
                        );
                    }
                }
            }
            self.inbox
                .refuse_until(self.clock.sleep_until(self.clock.now().plus_ms(PROBE_INTERVAL_MS)))
                .await?;
        };
        self.metrics.rebuilds.inc();
        self.metrics.recording.set(1);
        tracing::warn!("the ledger takes records again; the state is what it says");
        // A failed batch may have been kept: show what it changed.
        self.send_batch(generation, rebuilt, Default::default()).await
    }
}

impl JobInbox {
    /// Waits for requests and takes what is there; 0 when there will never be any again. Loses nothing when dropped.
    async fn receive_jobs(&mut self, jobs: &mut Vec<PipelineJob>) -> usize {
        if !self.jobs.is_closed() {
            tokio::select! {
                biased;
                () = wait_until_at_least(&mut self.stopping, true) => self.jobs.close(),
                received = self.jobs.recv_many(jobs, self.batch_len_max) => return received,
            }
        }
        self.jobs.recv_many(jobs, self.batch_len_max).await
    }

    /// Refuses whoever comes until `event`. When the engine stops meanwhile, refuses all and gives up.
    async fn refuse_until<T>(&mut self, event: impl Future<Output = T>) -> Result<T, StageInterrupted> {
        tokio::pin!(event);
        let mut jobs = Vec::new();
        loop {
            tokio::select! {
                biased;
                happened = &mut event => return Ok(happened),
                received = self.receive_jobs(&mut jobs) => {
                    jobs.drain(..).for_each(|job| job.caller.refuse());
                    if received == 0 {
                        return Err(StageInterrupted);
                    }
                }
            }
        }
    }
}

/// Resolves once the watched value is at least `value`, or nobody can change it any more.
async fn wait_until_at_least<T: PartialOrd>(watched: &mut watch::Receiver<T>, value: T) {
    let _gone = watched.wait_for(|now| *now >= value).await.is_err();
}

/// Takes the next batch, when there is a place for it: whoever comes while the recorder is behind goes into this batch
/// and not into one behind it. This stage is the only one to fill places, so a place that was free stays free. 0 when
/// there will never be a batch again.
async fn receive_batch(
    record: &mpsc::Sender<RecorderMessage>,
    inbox: &mut JobInbox,
    jobs: &mut Vec<PipelineJob>,
) -> usize {
    match record.reserve().await {
        Ok(_place) => inbox.receive_jobs(jobs).await,
        Err(_) => 0,
    }
}

async fn sleep_until_due(clock: &dyn Clock, at: Option<sale::Timestamp>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}
