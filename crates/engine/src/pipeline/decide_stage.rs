//! The deciding stage: takes requests and due sales a batch at a time, has them decided, and sends the batch to the recording
//! stage. After a failure `DecideStage::wait_for_recovery` refuses all requests until the ledger takes records again and the state
//! is rebuilt.

use super::job_queue::JobInbox;
use super::{PendingBatch, RecorderMessage, RetryRequest, StageInterrupted};
use crate::clock::{Clock, start_stopwatch};
use crate::damage::DamageFlag;
use crate::decide::{BatchDecider, DecidedBatch, Request};
use crate::error_text::describe_error;
use crate::job::{PipelineJob, WaitingCaller};
use crate::metrics::PipelineMetrics;
use crate::record::LedgerReader;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// How long the stage waits between two probes of a ledger that takes no records, in milliseconds.
const PROBE_INTERVAL_MS: i64 = 100;

pub struct DecideStage<D> {
    /// Already folded from the ledger.
    pub(super) decider: D,
    /// The state is rebuilt from it after a failure.
    pub(super) ledger: Arc<dyn LedgerReader>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) inbox: JobInbox,
    pub(super) record: mpsc::Sender<RecorderMessage>,
    /// Requests to be decided again.
    pub(super) retries: mpsc::Receiver<RetryRequest>,
    /// The last generation that failed to be recorded.
    pub(super) failed: watch::Receiver<u64>,
    pub(super) metrics: PipelineMetrics,
    pub(super) damage: DamageFlag,
}

impl<D: BatchDecider> DecideStage<D> {
    /// Runs until the engine stops.
    pub async fn run(mut self) {
        let mut generation = 1;
        let mut jobs = Vec::with_capacity(self.inbox.batch_len_max());
        loop {
            let (mut recording_failed, mut ended) = (false, false);
            tokio::select! {
                biased;
                () = wait_until_at_least(&mut self.failed, generation) => recording_failed = true,
                Some(retry) = self.retries.recv() => {
                    retry.stale.iter().for_each(|stale| self.decider.invalidate(stale));
                    jobs.extend(retry.jobs);
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
        let (requests, callers): (Vec<Request>, Vec<WaitingCaller>) =
            jobs.drain(..).map(|job| (job.request, job.caller)).unzip();
        self.metrics.waiting.set(i64::try_from(self.inbox.len()).unwrap_or(i64::MAX));
        let decided = match self.decider.decide(self.clock.now(), &requests).await {
            Ok(decided) => decided,
            Err(error) => {
                tracing::error!(
                    error = describe_error(&error),
                    "deciding a batch failed; its callers get 503; the state is rebuilt from the ledger"
                );
                callers.into_iter().for_each(WaitingCaller::refuse);
                return Err(StageInterrupted);
            }
        };
        self.metrics.deciding.set(i64::from(!self.decider.is_unavailable()));
        debug_assert_eq!(decided.replies.len(), callers.len(), "one answer a request");
        #[expect(clippy::cast_precision_loss, reason = "a histogram takes floats")]
        self.metrics.batch_len.observe(requests.len() as f64);
        self.metrics.decide_s.observe(started.elapsed().as_secs_f64());
        self.send_batch(generation, decided, (requests, callers)).await
    }

    async fn send_batch(
        &self,
        generation: u64,
        decided: DecidedBatch,
        (requests, callers): (Vec<Request>, Vec<WaitingCaller>),
    ) -> Result<(), StageInterrupted> {
        let DecidedBatch { batch, replies, views } = decided;
        let pending = PendingBatch { generation, batch, requests, callers, replies, views };
        self.record.send(RecorderMessage::Batch(pending)).await.map_err(|_| StageInterrupted)
    }

    /// Refuses all requests until the ledger takes records again and the state is rebuilt from it.
    async fn wait_for_recovery(&mut self, generation: u64) -> Result<(), StageInterrupted> {
        self.metrics.recording.set(0);
        let mut is_logged = false;
        let rebuilt = loop {
            let (reply, probed) = oneshot::channel();
            self.record.send(RecorderMessage::Probe(reply)).await.map_err(|_| StageInterrupted)?;
            if self.inbox.refuse_until(probed).await?.unwrap_or(false) {
                match self.inbox.refuse_until(self.decider.rebuild(self.ledger.as_ref())).await? {
                    Ok(rebuilt) => break rebuilt,
                    // The recording stage refuses every probe from now on.
                    Err(error) if error.is_damage() => self.damage.report_read_error(&error),
                    Err(error) if is_logged => {
                        tracing::debug!(error = describe_error(&error), "the ledger cannot be folded yet");
                    }
                    Err(error) => {
                        is_logged = true;
                        tracing::error!(
                            error = describe_error(&error),
                            "the state cannot be rebuilt from the ledger; nothing is sold; retrying every 100 ms"
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
        tracing::warn!("the ledger takes records again; selling continues from the state in memory");
        // A failed batch may have been recorded: publish what it changed.
        self.send_batch(generation, rebuilt, Default::default()).await
    }
}

impl JobInbox {
    /// Refuses all requests until `event`. When the engine stops meanwhile, refuses all and returns an error.
    async fn refuse_until<T>(&mut self, event: impl Future<Output = T>) -> Result<T, StageInterrupted> {
        tokio::pin!(event);
        let mut jobs = Vec::new();
        loop {
            tokio::select! {
                biased;
                happened = &mut event => return Ok(happened),
                received = self.receive(&mut jobs) => {
                    jobs.drain(..).for_each(|job| job.caller.refuse());
                    if received == 0 {
                        return Err(StageInterrupted);
                    }
                }
            }
        }
    }
}

/// Resolves once the watched value is at least `value`, or its sender is dropped.
async fn wait_until_at_least<T: PartialOrd>(watched: &mut watch::Receiver<T>, value: T) {
    let _gone = watched.wait_for(|now| *now >= value).await.is_err();
}

/// Takes the next batch once the recorder's channel has a free slot, so that requests that arrive meanwhile join this batch and
/// not a later one. Only this stage sends on the channel, so a free slot stays free. 0 when the engine has stopped.
async fn receive_batch(
    record: &mpsc::Sender<RecorderMessage>,
    inbox: &mut JobInbox,
    jobs: &mut Vec<PipelineJob>,
) -> usize {
    match record.reserve().await {
        Ok(_place) => inbox.receive(jobs).await,
        Err(_) => 0,
    }
}

async fn sleep_until_due(clock: &dyn Clock, at: Option<sale::Timestamp>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}
