//! The end of a rehearsal: the sale is closed and settles, the evidence is gathered and judged, and everything becomes one
//! report. What was measured and found is passed on as it is.

use super::sources::{self, NoEvidence};
use super::{CutShort, Instance, Rehearsal, Show};
use crate::crowd::{Crowd, Pays, preset};
use crate::judge::{Evidence, Findings, Judge};
use crate::report::{Count, Cpu, Progress, Report, Verdict};
use crate::told::{Account, Said};
use sale::Admission;
use std::time::Duration;
use tokio::sync::watch;

/// Beyond the longest hold: how long the rest of a sale may take to settle, and the tables to catch up.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
/// After a rehearsal was cut short, the evidence is asked for no longer than this.
const CUT_PATIENCE: Duration = Duration::from_secs(20);
const SETTLE_LOOK_EVERY: Duration = Duration::from_millis(200);
/// Behind one address there may be several instances, each of which may show how a sale was a quarter of a second ago (and more,
/// where the machine is busy with a rehearsal). A private instance shows what is.
const STALE_MAX: Duration = Duration::from_secs(1);

/// The judge's findings, or why there are none; and why they are not of the whole drop, if they are not.
pub(super) struct Judged {
    /// With whether anyone had an order.
    findings: Result<(Findings, bool), String>,
    cut_short: Option<CutShort>,
}

/// Closes the sale, waits until nothing is held any more and the tables show it, and has it judged.
pub(super) async fn settle(
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
    let alone = matches!(rehearsal.instance, Instance::Private(_));
    // A whole drop is judged however long its ledger takes to read; what was cut short is not waited for.
    let limit = if sees_all { Duration::MAX } else { CUT_PATIENCE };
    let evidence = tokio::time::timeout(limit, evidence(show, patience, (sees_all, alone), tell));
    let findings = tokio::select! {
        evidence = evidence => match evidence {
            Ok(Ok(findings)) => Ok(findings),
            Ok(Err(error)) => Err(format!("the ledger could not be read: {}", in_one_line(error.as_ref()))),
            Err(_) => Err(format!("the ledger could not be read within {} s", CUT_PATIENCE.as_secs())),
        },
        _ = cut.wait_for(|cut| *cut), if sees_all => Err("it was stopped before it was judged".to_owned()),
    };
    Judged { findings, cut_short }
}

/// The longest time for which somebody may have been promised a unit.
pub(super) fn longest_promise(sale: &preset::Sale) -> Duration {
    let window_s = match sale.admission {
        Admission::Open => 0,
        Admission::Fifo { checkout_s, extension_s, .. } => checkout_s.saturating_add(extension_s),
    };
    Duration::from_secs(u64::from(sale.hold_s) + u64::from(window_s))
}

/// What does not settle within `patience` is judged as it is: then it is for the judge to say what should be over.
async fn evidence(
    show: &mut Show,
    patience: Duration,
    (sees_all, alone): (bool, bool),
    tell: &mut dyn FnMut(&Progress),
) -> Result<(Findings, bool), NoEvidence> {
    let (sources, watch, id) = (&show.sources, show.scene.watch, show.sale.id);
    let closed = sources.stage.close(id).await?;
    let deadline = watch.now().plus(patience);
    let (tables, looked_at) = loop {
        tell(&show.progress("settling"));
        let look = sources.stage.look(id, &watch).await?;
        let units = look.observation;
        let (tables, lag) = sources.tables(id, units.version, (look.tables, look.lag)).await?;
        // Another instance than the one that closed the sale may not know yet that it is closed.
        let knows = units.version >= closed;
        let is_settled = knows && lag == 0 && (!sees_all || units.held + units.admitted == 0);
        if is_settled || watch.now() > deadline {
            break (tables, look.server_time);
        }
        tokio::time::sleep(SETTLE_LOOK_EVERY).await;
    };
    tell(&show.progress("judging"));
    let orders = sources.orders(id).await?;
    show.watcher.stop();
    let observations = show.watcher.observations();
    let mut judge = Judge::new(&observations, if alone { Duration::ZERO } else { STALE_MAX });
    sources.read_ledger(id, |entry| judge.read(entry)).await?;
    let accounts = show.scene.told();
    let findings = judge.verdict(&Evidence {
        accounts: &accounts,
        orders: Some(&orders),
        tables: Some(&tables),
        looked_at: Some(looked_at),
        sees_all,
        // On a running instance, others may buy what they see.
        alone,
    });
    Ok((findings, anyone_ordered(&accounts)))
}

/// Whether anyone was told of an order. If not, promises about buying were kept by nobody's buying.
fn anyone_ordered(accounts: &[Account]) -> bool {
    let mut replies = accounts.iter().flat_map(|account| &account.asked).flat_map(|asked| &asked.replies);
    replies.any(|reply| matches!(reply.said, Said::Order { .. }))
}

pub(super) struct Times {
    pub(super) began: String,
    pub(super) cpu_before: Option<(f64, f64)>,
    pub(super) cpu_after: Option<(f64, f64)>,
}

pub(super) fn report(rehearsal: &mut Rehearsal, show: Show, judged: Judged, times: Times) -> Report {
    let scene = &show.scene;
    let mut notes = std::mem::take(&mut rehearsal.notes);
    let (told, ledger, verdict) = match judged.findings {
        Ok((findings, anyone_ordered)) => {
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
                (true, None) if !anyone_ordered => Verdict::Unjudged {
                    reason: "nobody could order anything: the refusals say why".to_owned(),
                },
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
        evidence: sources::name(rehearsal.archive.as_deref()),
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
pub(super) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(": ");
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    told
}
