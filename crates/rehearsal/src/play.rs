//! The conductor: sets the stage, lets the crowd play, waits until everything is settled, and hands the evidence to the judge.
//! It decides when things happen, and judges nothing.

mod faults;

mod instance;

mod watcher;

pub use faults::Faults;
pub use instance::{Instance, Sign, Tokens};

use crate::buyer;
use crate::client::{Client, Target, TargetError};
use crate::crowd::{Crowd, Pays, Person, preset};
use crate::judge::{Evidence, Findings, Judge};
use crate::private::{PrivateError, cpu_s};
use crate::report::{Count, Cpu, Progress, Report, Row, Verdict};
use crate::scene::{Sale, Scene};
use crate::stage::{LiveSale, OwnSale, Stage, StageError};
use crate::told::Moment;
use crate::watch::{Stopwatch, wall_clock};
use faults::Struck;
use sale::Admission;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use watcher::Watcher;

/// Between the crowd's first look and everything being ready for it.
const MARGIN: Duration = Duration::from_millis(1_500);
/// How often the one who watches is told how it goes.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Beyond the longest hold: how long the rest of a sale may take to settle, and the tables to catch up.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
/// After a rehearsal was cut short, the evidence is asked for no longer than this.
const CUT_PATIENCE: Duration = Duration::from_secs(20);
const SETTLE_LOOK_EVERY: Duration = Duration::from_millis(200);

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
    /// It was stopped before anything was played.
    #[error("stopped before the first buyer came")]
    Stopped,
}

/// Everything that goes on at once while the crowd plays.
struct Show {
    stage: Arc<Stage>,
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
    let evidence = settle(&mut show, rehearsal, (cut, cut_short), tell).await;
    let cpu_after = cpu_s();
    show.watcher.stop();
    Ok(report(rehearsal, show, evidence, Times { began: began.to_string(), cpu_before, cpu_after }))
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
    let first_us = crowd.people.first().map_or(0, |person| person.opens_us.min(0).unsigned_abs());
    let lead = MARGIN + Duration::from_micros(first_us);
    let own = stage.announce(&drop.sale, &watch, lead).await?;
    let has_line = matches!(drop.sale.admission, Admission::Fifo { .. });
    let scene = Scene::new(
        (Client::new(target, rehearsal.connections), Sale::new(own.id, has_line, drop.sale.hold_s)),
        (watch, own.start, drop.patience),
        credentials,
    );
    let (scene, stage) = (Arc::new(scene), Arc::new(stage));
    let watcher = Watcher::start(Arc::clone(&stage), own.id, watch);
    Ok(Show { stage, scene, sale: own, struck: Struck::default(), watcher, crowd })
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
    let arrivals = tokio::spawn(arrive(Arc::clone(&scene), people));
    let mut faults = faults::Agenda::new(&rehearsal.faults, show.sale.start);
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    let total = show.crowd.people.len() as u64;
    let why = loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = scene.watch.until(faults.next()) => {
                if let Err(reason) = faults.strike(&mut rehearsal.instance, &scene.watch, &mut show.struck).await {
                    break Some(CutShort::dead(reason));
                }
                continue;
            }
            _ = cut.wait_for(|cut| *cut) => break Some(CutShort::stopped()),
        }
        tell(&show.progress("on sale"));
        if scene.outcomes.gone() >= total {
            break None;
        }
        if let Some(reason) = rehearsal.instance.ended().or_else(|| show.watcher.silence(scene.watch.now())) {
            break Some(CutShort::dead(reason));
        }
    };
    scene.send_home();
    let _ended = arrivals.await;
    faults.undo(&mut rehearsal.instance, &scene.watch, &mut show.struck).await;
    why
}

/// Brings everyone when they are due, whether or not the instance keeps up.
async fn arrive(scene: Arc<Scene>, people: Vec<Person>) {
    let mut everyone = tokio::task::JoinSet::new();
    for person in people {
        let opens = Moment(scene.start.0.saturating_add_signed(person.opens_us));
        if !scene.until(opens).await {
            scene.outcomes.end(crate::scene::Outcome::SentHome);
            continue;
        }
        everyone.spawn(buyer::play(Arc::clone(&scene), person));
        while everyone.try_join_next().is_some() {}
    }
    while everyone.join_next().await.is_some() {}
}

/// The judge's findings, or why there are none; and why they are not of the whole drop, if they are not.
struct Judged {
    findings: Result<Findings, String>,
    cut_short: Option<CutShort>,
}

/// Closes the sale, waits until nothing is held any more and the tables show it, and has it judged.
async fn settle(
    show: &mut Show,
    rehearsal: &Rehearsal,
    (mut cut, cut_short): (watch::Receiver<bool>, Option<CutShort>),
    tell: &mut dyn FnMut(&Progress),
) -> Judged {
    if let Some(CutShort { reason, is_dead: true }) = &cut_short {
        return Judged { findings: Err(reason.clone()), cut_short };
    }
    let sees_all = cut_short.is_none();
    let patience =
        if sees_all { SETTLE_PATIENCE + longest_promise(&rehearsal.drop.sale) } else { CUT_PATIENCE };
    let findings = tokio::select! {
        evidence = evidence(show, patience, sees_all, tell) => evidence.map_err(|error| {
            format!("the ledger could not be read: {}", told(&error))
        }),
        _ = cut.wait_for(|cut| *cut), if sees_all => Err("it was stopped before it was judged".to_owned()),
    };
    Judged { findings, cut_short }
}

/// The longest time for which somebody may have been promised a unit.
fn longest_promise(sale: &preset::Sale) -> Duration {
    let window_s = match sale.admission {
        Admission::Open => 0,
        Admission::Fifo { checkout_s, .. } => checkout_s,
    };
    Duration::from_secs(u64::from(sale.hold_s) + u64::from(window_s))
}

/// What does not settle within `patience` is judged as it is: then it is for the judge to say what should be over.
async fn evidence(
    show: &mut Show,
    patience: Duration,
    sees_all: bool,
    tell: &mut dyn FnMut(&Progress),
) -> Result<Findings, StageError> {
    let (stage, watch, id) = (Arc::clone(&show.stage), show.scene.watch, show.sale.id);
    stage.close(id).await?;
    let deadline = watch.now().plus(patience);
    let overview = loop {
        tell(&show.progress("settling"));
        let overview = stage.look(id, &watch).await?;
        let units = overview.observation;
        let is_settled = overview.lag == 0 && (!sees_all || units.held + units.admitted == 0);
        if is_settled || watch.now() > deadline {
            break overview;
        }
        tokio::time::sleep(SETTLE_LOOK_EVERY).await;
    };
    tell(&show.progress("judging"));
    let orders = stage.orders(id).await?;
    show.watcher.stop();
    let observations = show.watcher.observations();
    let mut judge = Judge::new(&observations);
    stage.read_ledger(id, |entry| judge.read(entry)).await?;
    let accounts = show.scene.told();
    Ok(judge.verdict(&Evidence {
        accounts: &accounts,
        orders: Some(&orders),
        tables: Some(&overview.tables),
        looked_at: Some(overview.server_time),
        sees_all,
        alone: true,
    }))
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

struct Times {
    began: String,
    cpu_before: Option<(f64, f64)>,
    cpu_after: Option<(f64, f64)>,
}

fn report(rehearsal: &mut Rehearsal, show: Show, judged: Judged, times: Times) -> Report {
    let scene = &show.scene;
    let mut notes = std::mem::take(&mut rehearsal.notes);
    let (told, ledger, verdict) = match judged.findings {
        Ok(findings) => {
            // The same promise may be broken to the buyers and in the ledger.
            let mut broken: Vec<String> = Vec::new();
            for finding in findings.broken() {
                if !broken.iter().any(|name| name == finding.name) {
                    broken.push(finding.name.to_owned());
                }
            }
            notes.extend(findings.notes);
            let verdict = match (broken.is_empty(), judged.cut_short) {
                (false, _) => Verdict::Broken { promises: broken },
                (true, None) => Verdict::Kept,
                (true, Some(cut)) => Verdict::Unjudged { reason: cut.reason },
            };
            (findings.told, findings.ledger, verdict)
        }
        Err(reason) => {
            if matches!(rehearsal.instance, Instance::Running { .. }) {
                notes.push(format!(
                    "The rehearsal's sale {} may still be open there: close it.",
                    show.sale.id
                ));
            }
            (Vec::new(), Vec::new(), Verdict::Unjudged { reason })
        }
    };
    let (timeline, slot_ms) = scene.meter.timeline();
    let client_s = match (times.cpu_before, times.cpu_after) {
        (Some((before, _)), Some((after, _))) => after - before,
        _ => 0.0,
    };
    Report {
        verdict,
        told,
        ledger,
        started_at: times.began,
        program: rehearsal.program.clone(),
        instance: rehearsal.instance.name(),
        seed: rehearsal.drop.crowd.seed,
        command: rehearsal.command.clone(),
        settings: rehearsal.settings.clone(),
        duration_s: scene.watch.now().0 as f64 / 1e6,
        start_ms: scene.start.0 / 1000,
        quantity: rehearsal.drop.sale.quantity,
        crowd: crowd_counts(&show.crowd),
        outcomes: scene.outcomes.counts(),
        refusals: scene.meter.refusals(),
        requests: scene.meter.requests(),
        latency: scene.meter.latency(),
        timeline,
        slot_ms,
        stock: show.watcher.observations(),
        faults: show.struck.list(),
        notes,
        cpu: Cpu { client_s, server_s: None },
    }
}

fn crowd_counts(crowd: &Crowd) -> Vec<Count> {
    let counts: [(&str, u64); 13] = [
        ("people", crowd.people.len() as u64),
        ("accounts", u64::from(crowd.accounts)),
        ("pay promptly", crowd.count(|person| person.pays == Pays::Promptly)),
        ("let the hold run out", crowd.count(|person| person.pays == Pays::Never)),
        ("are declined", crowd.count(|person| person.pays == Pays::Declined)),
        ("pay late", crowd.count(|person| person.pays == Pays::Late)),
        ("cancel", crowd.count(|person| person.pays == Pays::Cancels)),
        ("click twice", crowd.count(|person| person.habits.double_clicks)),
        ("have two tabs", crowd.count(|person| person.habits.two_tabs)),
        ("leave the line", crowd.count(|person| person.habits.leaves)),
        ("lose replies", crowd.count(|person| person.habits.loses_replies)),
        ("hammer", crowd.count(|person| person.habits.hammers)),
        ("addresses", u64::from(crowd.addresses)),
    ];
    counts.into_iter().map(|(name, count)| Count { name: name.to_owned(), count }).collect()
}

/// An error with its causes, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(": ");
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    told
}
