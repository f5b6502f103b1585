//! The follower for live updates: reads the ledger a few times a second and hands what it finds to whoever listens, each
//! sale's events in order and each once. When the listener is slow it waits, and reads on where it was; it keeps nothing, and
//! it knows no socket.

use crate::shop::live_updates::{SaleEvents, SubscriberCount};
use crate::telemetry::metrics::Counter;
use engine::{Engine, SaleView};
use sale::{EventSeq, SaleId, SalePhase};
use std::collections::HashMap;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Events read at once.
const BATCH_LEN: usize = 1024;
/// Between two looks: news of one buyer is that late at most, and a rush is read in long stretches.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// After the ledger could not be read.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub struct LiveFollower {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// What it works with.
pub struct LiveDependencies {
    /// Whose ledger it reads.
    pub engine: Engine,
    /// Whether anyone wants to hear of single buyers.
    pub subscribers: SubscriberCount,
    pub events: mpsc::Sender<SaleEvents>,
    pub followed: Counter,
    pub failures: Counter,
}

impl LiveFollower {
    /// Starts it on a thread of its own, because reading may wait for the disk.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(tools: LiveDependencies) -> io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("live".into()).spawn(move || {
            runtime.block_on(run(tools, stopping));
        })?;
        Ok(Self { stop, thread })
    }

    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the follower for live updates had panicked");
        }
    }
}

async fn run(tools: LiveDependencies, mut stopping: watch::Receiver<bool>) {
    let mut bell = tools.engine.views().subscribe_changes();
    let mut offsets = HashMap::new();
    let mut is_first = true;
    loop {
        bell.borrow_and_update();
        let followed = tokio::select! {
            followed = read_events(&tools, &mut offsets, is_first) => followed,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let rest = match followed {
            Ok(FollowResult::All) => POLL_INTERVAL,
            Ok(FollowResult::ListenerGone) => return,
            Err(error) => {
                tools.failures.inc();
                tracing::warn!(%error, "the ledger cannot be read for live updates; trying again");
                RETRY_INTERVAL
            }
        };
        is_first = false;
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        if rest == POLL_INTERVAL {
            tokio::select! {
                rung = bell.changed() => if rung.is_err() { return },
                () = tools.subscribers.wait_for_first() => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }
}

enum FollowResult {
    All,
    ListenerGone,
}

async fn read_events(
    tools: &LiveDependencies,
    offsets: &mut HashMap<SaleId, EventSeq>,
    is_first: bool,
) -> Result<FollowResult, engine::record::ReadError> {
    for view in tools.engine.views().list() {
        let first = || if is_first { start_offset(tools, &view) } else { EventSeq(0) };
        let offset = offsets.entry(view.id).or_insert_with(first);
        if !tools.subscribers.has_subscribers() {
            // A line is read on from where it was when somebody comes, because positions are counted from its beginning; of
            // everything else, who comes is told how it stands.
            if !has_line(tools, &view) {
                *offset = view.seq;
            }
            continue;
        }
        while *offset < view.seq {
            let entries = tools.engine.ledger().read_entries(view.id, *offset, BATCH_LEN).await?;
            let Some(last) = entries.last() else { break };
            tools.followed.inc_by(entries.len() as u64);
            let reached = last.seq;
            if tools.events.send(SaleEvents { sale: view.id, entries }).await.is_err() {
                return Ok(FollowResult::ListenerGone);
            }
            *offset = reached;
        }
    }
    Ok(FollowResult::All)
}

/// Where a new process begins: at the present, because who comes is told how things stand; but a line from its beginning.
fn start_offset(tools: &LiveDependencies, view: &SaleView) -> EventSeq {
    if has_line(tools, view) { EventSeq(0) } else { view.seq }
}

/// Whether anyone moves on in a line of this sale.
fn has_line(tools: &LiveDependencies, view: &SaleView) -> bool {
    let is_over = matches!(view.phase(tools.engine.now()), SalePhase::Ended | SalePhase::Closed);
    view.policy.line_opens_at().is_some() && !is_over
}
