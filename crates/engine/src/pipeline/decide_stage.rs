//! The deciding stage: takes what is asked and what is due, a batch at a time, has it decided, and hands it to the
//! recording stage. Starts over from the ledger when that fails.

use super::{Caller, Job, Lost, Pending, Redo, ToRecord};
use crate::clock::{Clock, stopwatch};
use crate::decide::{Ask, Decide, Decided};
use crate::metrics::Metrics;
use crate::record::Read;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// How long the pipeline waits between two looks at a ledger that does not take records, in milliseconds.
const PROBE_EVERY_MS: i64 = 100;

/// The deciding stage.
pub struct DecideStage<D> {
    /// Already folded from the ledger.
    pub(super) decider: D,
    /// Where state comes from after a failure.
    pub(super) ledger: Arc<dyn Read>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) inbox: Inbox,
    pub(super) record: mpsc::Sender<ToRecord>,
    /// What is to be decided again.
    pub(super) redo: mpsc::Receiver<Redo>,
    /// The last generation that failed to be recorded.
    pub(super) failed: watch::Receiver<u64>,
    pub(super) metrics: Metrics,
}

/// What is asked.
pub(super) struct Inbox {
    pub(super) jobs: mpsc::Receiver<Job>,
    /// Becomes true when the engine shall answer what it has and end.
    pub(super) stopping: watch::Receiver<bool>,
    /// Requests a batch, at most.
    pub(super) batch_len_max: usize,
}

impl<D: Decide> DecideStage<D> {
    /// Runs until the engine stops.
    pub async fn run(mut self) {
        let mut generation = 1;
        let mut jobs = Vec::with_capacity(self.inbox.batch_len_max);
        loop {
            let (mut recording_failed, mut ended) = (false, false);
            tokio::select! {
                biased;
                () = reached(&mut self.failed, generation) => recording_failed = true,
                Some(redo) = self.redo.recv() => {
                    redo.outdated.iter().for_each(|outdated| self.decider.distrust(outdated));
                    jobs.extend(redo.jobs);
                }
                received = next_batch(&self.record, &mut self.inbox, &mut jobs) => ended = received == 0,
                () = due(self.clock.as_ref(), self.decider.next_due()) => {}
            }
            if ended {
                return;
            }
            if !recording_failed && (!jobs.is_empty() || self.something_is_due()) {
                recording_failed = self.decide(generation, &mut jobs).await.is_err();
            }
            if recording_failed {
                generation += 1;
                if self.recover(generation).await.is_err() {
                    return;
                }
            }
        }
    }

    fn something_is_due(&self) -> bool {
        self.decider.next_due().is_some_and(|due| due <= self.clock.now())
    }

    async fn decide(&mut self, generation: u64, jobs: &mut Vec<Job>) -> Result<(), Lost> {
        let started = stopwatch();
        let (asks, callers): (Vec<Ask>, Vec<Caller>) =
            jobs.drain(..).map(|job| (job.ask, job.caller)).unzip();
        self.metrics.waiting.set(i64::try_from(self.inbox.jobs.len()).unwrap_or(i64::MAX));
        let decided = match self.decider.decide(self.clock.now(), &asks).await {
            Ok(decided) => decided,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a batch could not be decided");
                callers.into_iter().for_each(Caller::refuse);
                return Err(Lost);
            }
        };
        self.metrics.deciding.set(i64::from(!self.decider.is_away()));
        debug_assert_eq!(decided.told.len(), callers.len(), "one answer a request");
        #[expect(clippy::cast_precision_loss, reason = "a figure for a histogram")]
        self.metrics.batch_len.observe(asks.len() as f64);
        self.metrics.decide_s.observe(started.elapsed().as_secs_f64());
        self.send(generation, decided, (asks, callers)).await
    }

    async fn send(
        &self,
        generation: u64,
        decided: Decided,
        (asks, callers): (Vec<Ask>, Vec<Caller>),
    ) -> Result<(), Lost> {
        let Decided { batch, told, views } = decided;
        let pending = Pending { generation, batch, asks, callers, told, views };
        self.record.send(ToRecord::Batch(pending)).await.map_err(|_| Lost)
    }

    /// Refuses whoever comes until the ledger takes records again and the state is what it says.
    async fn recover(&mut self, generation: u64) -> Result<(), Lost> {
        self.metrics.recording.set(0);
        let mut unreadable_told = false;
        let rebuilt = loop {
            let (reply, probed) = oneshot::channel();
            self.record.send(ToRecord::Probe(reply)).await.map_err(|_| Lost)?;
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
            self.inbox.refuse_until(self.clock.sleep_until(self.clock.now().plus_ms(PROBE_EVERY_MS))).await?;
        };
        self.metrics.rebuilds.inc();
        self.metrics.recording.set(1);
        tracing::warn!("the ledger takes records again; the state is what it says");
        // A failed batch may have been kept: show what it changed.
        self.send(generation, rebuilt, Default::default()).await
    }
}

impl Inbox {
    /// Waits for requests and takes what is there; 0 when there will never be any again. Loses nothing when dropped.
    async fn next(&mut self, jobs: &mut Vec<Job>) -> usize {
        if !self.jobs.is_closed() {
            tokio::select! {
                biased;
                () = reached(&mut self.stopping, true) => self.jobs.close(),
                received = self.jobs.recv_many(jobs, self.batch_len_max) => return received,
            }
        }
        self.jobs.recv_many(jobs, self.batch_len_max).await
    }

    /// Refuses whoever comes until `event`. When the engine stops meanwhile, refuses all and gives up.
    async fn refuse_until<T>(&mut self, event: impl Future<Output = T>) -> Result<T, Lost> {
        tokio::pin!(event);
        let mut jobs = Vec::new();
        loop {
            tokio::select! {
                biased;
                happened = &mut event => return Ok(happened),
                received = self.next(&mut jobs) => {
                    jobs.drain(..).for_each(|job| job.caller.refuse());
                    if received == 0 {
                        return Err(Lost);
                    }
                }
            }
        }
    }
}

/// Resolves once the watched value is at least `value`, or nobody can change it any more.
async fn reached<T: PartialOrd>(watched: &mut watch::Receiver<T>, value: T) {
    let _gone = watched.wait_for(|now| *now >= value).await.is_err();
}

/// Takes the next batch, when there is a place for it: whoever comes while the recorder is behind goes into this batch
/// and not into one behind it. This stage is the only one to fill places, so a place that was free stays free. 0 when
/// there will never be a batch again.
async fn next_batch(record: &mpsc::Sender<ToRecord>, inbox: &mut Inbox, jobs: &mut Vec<Job>) -> usize {
    match record.reserve().await {
        Ok(_place) => inbox.next(jobs).await,
        Err(_) => 0,
    }
}

async fn due(clock: &dyn Clock, at: Option<sale::Timestamp>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}
