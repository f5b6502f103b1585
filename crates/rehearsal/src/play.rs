//! The conductor: sets the stage, lets the crowd play, waits until everything is settled, and hands the evidence to the judge.
//! It decides when things happen, and judges nothing.

mod faults;

mod ending;

mod instance;

mod sources;
mod watcher;

pub use faults::Faults;
pub use instance::{Instance, Sign, Tokens};

use crate::archive::Archive;
use crate::buyer;
use crate::client::{Client, Target, TargetError};
use crate::crowd::{Crowd, Person, preset};
use crate::private::{PrivateError, cpu_s};
use crate::report::{Progress, Report, Row};
use crate::scene::{Sale, Scene};
use crate::stage::{LiveSale, OwnSale, Stage, StageError};
use crate::told::Moment;
use crate::watch::{Stopwatch, wall_clock};
use faults::Struck;
use sale::Admission;
use sources::Sources;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use watcher::Watcher;

/// From everything being ready to the crowd's first look.
const MARGIN: Duration = Duration::from_millis(1_500);
/// The sale could go on for this long when everyone should be gone; the rehearsal closes it.
const SPARE: Duration = Duration::from_secs(3600);
/// Whoever is sent home has this long to go.
const GO_HOME_WITHIN: Duration = Duration::from_secs(3);
/// How often the one who watches is told how it goes.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// A rehearsal to be played.
pub struct Rehearsal {
    /// What is sold, and who comes.
    pub drop: preset::Drop,
    /// Against what.
    pub instance: Instance,
    /// Where buyers' tokens come from.
    pub tokens: Tokens,
    /// What is done to the instance.
    pub faults: Faults,
    /// Where the evidence is read; over the API where there is none.
    pub archive: Option<Arc<dyn Archive>>,
    /// Connections at a time.
    pub connections: usize,
    /// Play also beside somebody else's sale.
    pub though_live: bool,
    /// The settings, for the report.
    pub settings: Vec<Row>,
    /// The command that repeats it, for the report.
    pub command: String,
    /// Sentences for the report.
    pub notes: Vec<String>,
    /// The version of the program, for the report.
    pub program: String,
}

/// Why a rehearsal was not played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The address is none.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no private instance.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The instance does not do what is needed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// Real buyers are there.
    #[error(
        "the sale {} is {} on this instance, and a rehearsal would stand in its buyers' way: choose another instance or another \
         time, or say --i-know-this-is-live", .0.slug, .0.status
    )]
    Live(LiveSale),
    /// The instance allows no more accounts.
    #[error(
        "the instance let {made} of {wanted} buyers sign up and then limited it: give its --token-key, start it with --limits off, \
         or take fewer buyers"
    )]
    Limited {
        /// How many have signed up.
        made: u32,
        /// How many are needed.
        wanted: u32,
    },
    /// What the instance announced is not in the archive.
    #[error(
        "the sale that the instance has just announced is not in the ledger there: is it the database of this instance?"
    )]
    OtherArchive,
    /// The archive cannot be read.
    #[error("the database cannot be read")]
    Archive(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The tokens are none of this instance.
    #[error("the instance does not know tokens signed with this key: give the one that it signs with")]
    ForeignKey,
    /// It was stopped before anything was played.
    #[error("stopped before the first buyer came")]
    Stopped,
}

/// Everything that goes on at once while the crowd plays.
struct Show {
    sources: Sources,
    scene: Arc<Scene>,
    sale: OwnSale,
    struck: Struck,
    watcher: Watcher,
    crowd: Crowd,
}

/// Plays a rehearsal. `cut` turns true when it is to be stopped; `tell` is called a few times a second.
///
/// # Errors
/// When it could not be begun. What goes wrong later is in the report.
pub async fn play(
    rehearsal: &mut Rehearsal,
    cut: watch::Receiver<bool>,
    tell: &mut dyn FnMut(&Progress),
) -> Result<Report, PlayError> {
    let began = wall_clock();
    let cpu_before = cpu_s();
    let watch = Stopwatch::start();
    tell(&Progress { phase: "setting the stage", ..Progress::default() });
    let mut show = begin(rehearsal, watch, cut.clone(), tell).await?;
    let cut_short = perform(&mut show, rehearsal, cut.clone(), tell).await;
    let judged = ending::settle(&mut show, rehearsal, (cut, cut_short), tell).await;
    let cpu_after = cpu_s();
    show.watcher.stop();
    Ok(ending::report(
        rehearsal,
        show,
        judged,
        ending::Times { began: began.to_string(), cpu_before, cpu_after },
    ))
}

/// Signs in, makes the sale, and gets the crowd ready.
async fn begin(
    rehearsal: &mut Rehearsal,
    watch: Stopwatch,
    cut: watch::Receiver<bool>,
    tell: &mut dyn FnMut(&Progress),
) -> Result<Show, PlayError> {
    let target = Target::new(&rehearsal.instance.url())?;
    let stage = Stage::enter(target.clone(), &rehearsal.instance.admin()).await?;
    if !rehearsal.though_live
        && let Some(live) = stage.live_sales().await?.into_iter().next()
    {
        return Err(PlayError::Live(live));
    }
    let drop = &rehearsal.drop;
    let crowd = Crowd::draw(&drop.crowd);
    tell(&Progress { phase: "buyers sign in", people: crowd.people.len() as u64, ..Progress::default() });
    let credentials = instance::credentials(&stage, &rehearsal.tokens, &crowd, drop.crowd.seed, &cut).await?;
    let scene_client = Client::new(target, rehearsal.connections);
    if !instance::is_known(&scene_client, &credentials).await {
        return Err(PlayError::ForeignKey);
    }
    let first_us = crowd.people.first().map_or(0, |person| person.opens_us.min(0).unsigned_abs());
    let lead = MARGIN + Duration::from_micros(first_us);
    let last_us =
        crowd.people.iter().map(|person| person.presses_us.max(0).unsigned_abs()).max().unwrap_or(0);
    let length = Duration::from_micros(last_us) + drop.patience + ending::longest_promise(&drop.sale) + SPARE;
    let own = stage.announce(&drop.sale, &watch, lead, length).await?;
    let admissions_per_s = match drop.sale.admission {
        Admission::Open => None,
        Admission::Fifo { per_second, .. } => Some(per_second),
    };
    let scene = Scene::new(
        (scene_client, Sale::new(own.id, admissions_per_s, drop.sale.hold_s)),
        (watch, own.start, drop.patience),
        credentials,
    );
    let (scene, stage) = (Arc::new(scene), Arc::new(stage));
    let sources = Sources { stage: Arc::clone(&stage), archive: rehearsal.archive.clone() };
    sources.belong_together(&own).await?;
    let watcher = Watcher::start(stage, own.id, watch);
    Ok(Show { sources, scene, sale: own, struck: Struck::default(), watcher, crowd })
}

/// Why a rehearsal was not played to its end.
struct CutShort {
    reason: String,
    /// True when nobody is there who could be asked for the ledger.
    is_dead: bool,
}

impl CutShort {
    fn dead(reason: String) -> Self {
        Self { reason, is_dead: true }
    }

    fn broken(error: &JoinError) -> Self {
        Self {
            reason: format!("a simulated buyer broke down, which is a fault of the rehearsal: {error}"),
            is_dead: false,
        }
    }

    fn stopped() -> Self {
        Self { reason: "it was stopped in the middle".to_owned(), is_dead: false }
    }
}

/// Lets the crowd come and play until everyone is gone; why not, if it was cut short.
async fn perform(
    show: &mut Show,
    rehearsal: &mut Rehearsal,
    mut cut: watch::Receiver<bool>,
    tell: &mut dyn FnMut(&Progress),
) -> Option<CutShort> {
    let scene = Arc::clone(&show.scene);
    let people = show.crowd.people.clone();
    let mut arrivals = tokio::spawn(arrive(Arc::clone(&scene), people));
    let mut faults = faults::Agenda::new(&rehearsal.faults, show.sale.start);
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let why = loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = scene.watch.until(faults.next()) => {
                if let Err(reason) = faults.strike(&mut rehearsal.instance, &scene.watch, &mut show.struck).await {
                    break Some(CutShort::dead(reason));
                }
                show.watcher.excuse(scene.watch.now());
                continue;
            }
            everyone = &mut arrivals => break everyone.err().map(|error| CutShort::broken(&error)),
            _ = cut.wait_for(|cut| *cut) => break Some(CutShort::stopped()),
        }
        tell(&show.progress("on sale"));
        if let Some((reason, log)) = rehearsal.instance.ended() {
            rehearsal.notes.push(format!("The end of its log:\n{log}"));
            break Some(CutShort::dead(reason));
        }
        if let Some(reason) = show.watcher.silence(scene.watch.now(), scene.meter.last_answer()) {
            break Some(CutShort::dead(reason));
        }
    };
    scene.send_home();
    if why.is_some() && tokio::time::timeout(GO_HOME_WITHIN, &mut arrivals).await.is_err() {
        // Whoever waits for an instance that does not answer would wait for as long as a request may take.
        arrivals.abort();
    }
    scene.outcomes.send_home_rest_of(show.crowd.people.len() as u64);
    faults.undo(&mut rehearsal.instance, &scene.watch, &mut show.struck).await;
    why
}

/// Brings everyone when they are due, whether or not the instance keeps up, and waits until all are gone.
async fn arrive(scene: Arc<Scene>, people: Vec<Person>) {
    let mut everyone = JoinSet::new();
    for person in people {
        let opens = Moment(scene.start.0.saturating_add_signed(person.opens_us));
        if !scene.until(opens).await {
            break;
        }
        everyone.spawn(buyer::play(Arc::clone(&scene), person));
        while let Some(gone) = everyone.try_join_next() {
            go_on(gone);
        }
    }
    while let Some(gone) = everyone.join_next().await {
        go_on(gone);
    }
}

/// A buyer who breaks breaks the rehearsal: without a word, the others' verdict would be that of a smaller crowd.
fn go_on(gone: Result<(), JoinError>) {
    if let Err(error) = gone
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl Show {
    fn progress(&self, phase: &'static str) -> Progress {
        let scene = &self.scene;
        let now = scene.watch.now();
        let since_start_ms =
            (i64::try_from(now.0).unwrap_or(i64::MAX) - i64::try_from(scene.start.0).unwrap_or(0)) / 1000;
        let (per_second, p50_ms, p99_ms) = scene.meter.recent(now);
        Progress {
            now_ms: now.0 / 1000,
            since_start_ms: Some(since_start_ms),
            phase: if since_start_ms < 0 && phase == "on sale" { "the crowd gathers" } else { phase },
            people: self.crowd.people.len() as u64,
            arrived: scene.outcomes.arrived(),
            gone: scene.outcomes.gone(),
            stock: self.watcher.latest(),
            requests: scene.meter.requests(),
            per_second,
            p50_ms,
            p99_ms,
            refusals: scene.meter.refusals(),
            faults: self.struck.list(),
        }
    }
}
