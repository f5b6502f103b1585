//! The end of a rehearsal: the sale is closed and settles, the evidence is gathered and judged, and everything becomes one
//! report. What was measured and found is passed on as it is.

use super::sources::{self, EvidenceError};
use super::{RehearsalRun, RehearsalSetup, RunInterruption, TargetInstance};
use crate::crowd::{Crowd, PaymentBehaviour, preset};
use crate::judge::{EventJudge, Evidence, Judge, JudgeFindings};
use crate::observations::{AccountLog, ReplyBody};
use crate::report::{CpuTime, NamedCount, RehearsalReport, RehearsalVerdict, RunProgress};
use sale::AdmissionMode;
use std::time::Duration;
use tokio::sync::watch;

/// Beyond the longest hold: how long the rest of a sale may take to settle, and the tables to catch up.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
/// After a rehearsal was cut short, the evidence is collected for no longer than this.
const STOPPED_TIMEOUT: Duration = Duration::from_secs(20);
/// How long events may take to arrive after the sale has settled: a delivery that a crash has cut is tried again within a second.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(60);
const SETTLE_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Behind one address there may be several instances, each of which may show how a sale was a quarter of a second ago (and more,
/// where the machine is busy with a rehearsal). A private instance shows what is.
const STALE_MAX: Duration = Duration::from_secs(1);

/// The judge's findings, or why there are none; and why they are not of the whole drop, if they are not.
pub(super) struct JudgedRun {
    /// With whether a buyer had an order.
    findings: Result<(JudgeFindings, bool), String>,
    cut_short: Option<RunInterruption>,
}

/// Closes the sale, waits until nothing is held any more and the tables show it, and has it judged.
pub(super) async fn settle_and_judge(
    run: &mut RehearsalRun,
    rehearsal: &RehearsalSetup,
    (mut cut, cut_short): (watch::Receiver<bool>, Option<RunInterruption>),
    report_progress: &mut dyn FnMut(&RunProgress),
) -> JudgedRun {
    if let Some(RunInterruption { reason, is_instance_down: true }) = &cut_short {
        return JudgedRun { findings: Err(reason.clone()), cut_short };
    }
    let sees_all = cut_short.is_none();
    let timeout =
        if sees_all { SETTLE_TIMEOUT + longest_promise(&rehearsal.plan.sale) } else { STOPPED_TIMEOUT };
    let alone = matches!(rehearsal.instance, TargetInstance::Private(_));
    // A whole drop is judged however long its ledger takes to read; what was cut short is not waited for.
    let limit = if sees_all { Duration::MAX } else { STOPPED_TIMEOUT };
    let evidence =
        tokio::time::timeout(limit, gather_evidence(run, timeout, (sees_all, alone), report_progress));
    let findings = tokio::select! {
        evidence = evidence => match evidence {
            Ok(Ok(findings)) => Ok(findings),
            Ok(Err(error)) => Err(format!("the ledger could not be read: {}", format_error_chain(error.as_ref()))),
            Err(_) => Err(format!("the ledger could not be read within {} s", STOPPED_TIMEOUT.as_secs())),
        },
        _ = cut.wait_for(|cut| *cut), if sees_all => Err("it was stopped before it was judged".to_owned()),
    };
    JudgedRun { findings, cut_short }
}

/// The longest time for which a buyer may have been promised a unit.
pub(super) fn longest_promise(sale: &preset::SalePlan) -> Duration {
    let window_s = match sale.admission {
        AdmissionMode::Open => 0,
        AdmissionMode::Fifo { checkout_s, extension_s, .. } => checkout_s.saturating_add(extension_s),
    };
    Duration::from_secs(u64::from(sale.hold_s) + u64::from(window_s))
}

/// What does not settle within `timeout` is judged as it is: the judge decides what should be over.
async fn gather_evidence(
    run: &mut RehearsalRun,
    timeout: Duration,
    (sees_all, alone): (bool, bool),
    report_progress: &mut dyn FnMut(&RunProgress),
) -> Result<(JudgeFindings, bool), EvidenceError> {
    let (sources, watch, id) = (&run.sources, run.context.clock, run.sale.id);
    let closed = sources.merchant.close_sale(id).await?;
    let deadline = watch.now().plus(timeout);
    let (tables, looked_at) = loop {
        report_progress(&run.progress("settling"));
        let overview = sources.merchant.load_overview(id, &watch).await?;
        let units = overview.stock;
        let (tables, lag) = sources.read_tables(id, units.version, (overview.tables, overview.lag)).await?;
        // Another instance than the one that closed the sale may not know yet that it is closed.
        let shows_close = units.version >= closed;
        let is_settled = shows_close && lag == 0 && (!sees_all || units.held + units.admitted == 0);
        if is_settled || watch.now() > deadline {
            break (tables, overview.server_time);
        }
        tokio::time::sleep(SETTLE_POLL_INTERVAL).await;
    };
    report_progress(&run.progress("judging"));
    let orders = sources.read_orders(id).await?;
    run.sampler.stop();
    let observations = run.sampler.samples();
    let mut judge = Judge::new(&observations, if alone { Duration::ZERO } else { STALE_MAX });
    let mut event_judge = run.events.as_ref().map(|_| EventJudge::new(id));
    sources
        .read_ledger(id, |entry| {
            judge.read(entry);
            event_judge.iter_mut().for_each(|judge| judge.read(entry));
        })
        .await?;
    let accounts = run.context.account_logs();
    let mut findings = judge.verdict(&Evidence {
        accounts: &accounts,
        orders: Some(&orders),
        tables: Some(&tables),
        server_time: Some(looked_at),
        is_complete: sees_all,
        // On a running instance, others may buy what they see.
        is_exclusive: alone,
    });
    if let (Some(stream), Some(judge)) = (&run.events, event_judge) {
        let deadline = run.context.clock.now().plus(if sees_all { EVENTS_TIMEOUT } else { Duration::ZERO });
        while !stream.collector.look(|events| judge.has_everything(events))
            && run.context.clock.now() < deadline
        {
            tokio::time::sleep(SETTLE_POLL_INTERVAL).await;
        }
        findings.events = stream.collector.look(|events| judge.verdict(events));
        if !sees_all {
            // What was cut short has not sent everything.
            findings.events.retain(|finding| finding.name != "events_sent");
        }
        findings.notes.push(stream.collector.look(|events| {
            let (requests, distinct) = (events.count_deliveries(), events.by_id.len());
            format!("The receiver of events got {requests} requests with {distinct} events.")
        }));
        // A private instance is thrown away.
        let _an_endpoint_is_left = run.sources.merchant.delete_webhook(stream.endpoint).await;
    }
    Ok((findings, anyone_ordered(&accounts)))
}

/// Whether a reply named an order. If not, the promises about orders were not tested.
fn anyone_ordered(accounts: &[AccountLog]) -> bool {
    let mut replies =
        accounts.iter().flat_map(|account| &account.requests).flat_map(|request| &request.replies);
    replies.any(|reply| matches!(reply.body, ReplyBody::Order { .. }) || reply.body.is_owned())
}

pub(super) struct RunTimes {
    pub(super) started_at: String,
    pub(super) cpu_before: Option<(f64, f64)>,
    pub(super) cpu_after: Option<(f64, f64)>,
}

pub(super) fn build_report(
    rehearsal: &mut RehearsalSetup,
    run: RehearsalRun,
    judged: JudgedRun,
    times: RunTimes,
) -> RehearsalReport {
    let context = &run.context;
    let mut notes = std::mem::take(&mut rehearsal.notes);
    let (replies, ledger, events, verdict) = match judged.findings {
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
                (false, _) => RehearsalVerdict::Broken { promises: broken },
                (true, None) if !anyone_ordered => RehearsalVerdict::Unjudged {
                    reason: "no buyer could order anything: see the refusals".to_owned(),
                },
                (true, None) => RehearsalVerdict::Kept,
                (true, Some(cut)) => RehearsalVerdict::Unjudged { reason: cut.reason },
            };
            (findings.replies, findings.ledger, findings.events, verdict)
        }
        Err(reason) => {
            if matches!(rehearsal.instance, TargetInstance::Running { .. }) {
                notes
                    .push(format!("The rehearsal's sale {} may still be open there: close it.", run.sale.id));
            }
            (Vec::new(), Vec::new(), Vec::new(), RehearsalVerdict::Unjudged { reason })
        }
    };
    let (timeline, slot_ms) = context.metrics.timeline();
    let client_s = match (times.cpu_before, times.cpu_after) {
        (Some((before, _)), Some((after, _))) => after - before,
        _ => 0.0,
    };
    RehearsalReport {
        verdict,
        replies,
        ledger,
        events,
        started_at: times.started_at,
        program: rehearsal.program.clone(),
        instance: rehearsal.instance.name(),
        evidence: sources::describe_source(rehearsal.evidence_store.as_deref()),
        seed: rehearsal.plan.crowd.seed,
        command: rehearsal.command.clone(),
        settings: rehearsal.settings.clone(),
        duration_s: context.clock.now().0 as f64 / 1e6,
        start_ms: context.start.0 / 1000,
        quantity: rehearsal.plan.sale.quantity,
        crowd: count_crowd(&run.crowd),
        outcomes: context.outcomes.counts(),
        refusals: context.metrics.refusals(),
        requests: context.metrics.requests(),
        estimates: context.estimates.quality(),
        latency: context.metrics.latency(),
        timeline,
        slot_ms,
        stock: run.sampler.samples(),
        faults: run.fault_log.list(),
        notes,
        cpu: CpuTime { client_s, server_s: None },
    }
}

fn count_crowd(crowd: &Crowd) -> Vec<NamedCount> {
    let counts: [(&str, u64); 13] = [
        ("people", crowd.people.len() as u64),
        ("accounts", u64::from(crowd.accounts)),
        ("pay promptly", crowd.count(|person| person.payment == PaymentBehaviour::Promptly)),
        ("let the hold run out", crowd.count(|person| person.payment == PaymentBehaviour::Never)),
        ("are declined", crowd.count(|person| person.payment == PaymentBehaviour::Declined)),
        ("pay late", crowd.count(|person| person.payment == PaymentBehaviour::Late)),
        ("cancel", crowd.count(|person| person.payment == PaymentBehaviour::Cancels)),
        ("click twice", crowd.count(|person| person.habits.double_clicks)),
        ("have two tabs", crowd.count(|person| person.habits.two_tabs)),
        ("leave the line", crowd.count(|person| person.habits.leaves)),
        ("lose replies", crowd.count(|person| person.habits.loses_replies)),
        ("hammer", crowd.count(|person| person.habits.hammers)),
        ("addresses", u64::from(crowd.addresses)),
    ];
    counts.into_iter().map(|(name, count)| NamedCount { name: name.to_owned(), count }).collect()
}

/// An error with its causes, in one line.
pub(super) fn format_error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
