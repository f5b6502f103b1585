//! The follower for live updates: reads the ledger a few times a second and hands what it finds to whoever listens, each
//! sale's events in order and each once. When the listener is slow it waits, and reads on where it was; it keeps nothing, and
//! it knows no socket.

use crate::shop::live::{Audience, Stretch};
use crate::telemetry::metrics::Counter;
use engine::{Engine, SaleView};
use sale::{Phase, SaleId, Seq};
use std::collections::HashMap;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Events read at once.
const STRETCH_LEN: usize = 1024;
/// Between two looks: news of one buyer is that late at most, and a rush is read in long stretches.
const REST: Duration = Duration::from_millis(100);
/// After the ledger could not be read.
const RETRY: Duration = Duration::from_secs(1);

/// A running follower.
pub struct Live {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// What it works with.
pub struct Tools {
    /// Whose ledger it reads.
    pub engine: Engine,
    /// Whether anyone wants to hear of single buyers.
    pub audience: Audience,
    /// Who listens.
    pub news: mpsc::Sender<Stretch>,
    /// Counts events.
    pub followed: Counter,
    /// Counts failures.
    pub failures: Counter,
}

impl Live {
    /// Starts it on a thread of its own, because reading may wait for the disk.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(tools: Tools) -> io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("live".into()).spawn(move || {
            runtime.block_on(run(tools, stopping));
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it. Blocks.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the follower for live updates had panicked");
        }
    }
}

async fn run(tools: Tools, mut stopping: watch::Receiver<bool>) {
    let mut bell = tools.engine.views().bell();
    let mut offsets = HashMap::new();
    let mut is_first = true;
    loop {
        bell.borrow_and_update();
        let followed = tokio::select! {
            followed = follow(&tools, &mut offsets, is_first) => followed,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let rest = match followed {
            Ok(Followed::All) => REST,
            Ok(Followed::NobodyListens) => return,
            Err(error) => {
                tools.failures.inc();
                tracing::warn!(%error, "the ledger cannot be read for live updates; trying again");
                RETRY
            }
        };
        is_first = false;
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        if rest == REST {
            tokio::select! {
                rung = bell.changed() => if rung.is_err() { return },
                () = tools.audience.comes() => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }
}

enum Followed {
    All,
    NobodyListens,
}

async fn follow(
    tools: &Tools,
    offsets: &mut HashMap<SaleId, Seq>,
    is_first: bool,
) -> Result<Followed, engine::record::ReadError> {
    for view in tools.engine.views().all() {
        let first = || if is_first { start(tools, &view) } else { Seq(0) };
        let offset = offsets.entry(view.id).or_insert_with(first);
        if !tools.audience.is_there() {
            // A line is read on from where it was when somebody comes, because positions are counted from its beginning; of
            // everything else, who comes is told how it stands.
            if !has_line(tools, &view) {
                *offset = view.seq;
            }
            continue;
        }
        while *offset < view.seq {
            let entries = tools.engine.ledger().read(view.id, *offset, STRETCH_LEN).await?;
            let Some(last) = entries.last() else { break };
            tools.followed.inc_by(entries.len() as u64);
            let reached = last.seq;
            if tools.news.send(Stretch { sale: view.id, entries }).await.is_err() {
                return Ok(Followed::NobodyListens);
            }
            *offset = reached;
        }
    }
    Ok(Followed::All)
}

/// Where a new process begins: at the present, because who comes is told how things stand; but a line from its beginning.
fn start(tools: &Tools, view: &SaleView) -> Seq {
    if has_line(tools, view) { Seq(0) } else { view.seq }
}

/// Whether anyone moves on in a line of this sale.
fn has_line(tools: &Tools, view: &SaleView) -> bool {
    let is_over = matches!(view.phase(tools.engine.now()), Phase::Ended | Phase::Closed);
    view.policy.line_opens_at().is_some() && !is_over
}
