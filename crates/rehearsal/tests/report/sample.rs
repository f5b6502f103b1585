//! Reports as rehearsals leave them, made up: kept in spite of crashes, broken, not judged, long, and all but empty. The same
//! each time.

use rehearsal::judge::{PromiseFinding, PromiseOffence, StockSample};
use rehearsal::report::{
    CpuTime, EstimateQuality, FaultKind, InjectedFault, NamedCount, RehearsalReport, RehearsalVerdict,
    RequestCounts, RequestLatency, SettingRow, TimelineSlot,
};
use sale::{BuyerId, EventSeq, OrderId};
use uuid::Uuid;

/// The names of the samples, and the samples.
pub fn all() -> Vec<(&'static str, RehearsalReport)> {
    vec![("kept", kept()), ("broken", broken()), ("unjudged", unjudged()), ("long", long())]
}

/// 100,000 buyers, 1,000 units, killed every five seconds, the disk full once: and every promise kept.
pub fn kept() -> RehearsalReport {
    let (slot_ms, slots) = (100, 420_u64);
    let faults = faults();
    let timeline: Vec<TimelineSlot> = (0..slots).map(|index| slot(index, slot_ms, &faults)).collect();
    let sum = |pick: fn(&TimelineSlot) -> u64| timeline.iter().map(pick).sum::<u64>();
    let answered = sum(|slot| slot.accepted + slot.refused);
    RehearsalReport {
        verdict: RehearsalVerdict::Kept,
        replies: promises(&REPLY_PROMISES),
        ledger: promises(&LEDGER),
        events: Vec::new(),
        started_at: "2026-11-27T08:00:00.123456Z".to_owned(),
        program: "doorbuster 0.1.0".to_owned(),
        instance: "a private instance".to_owned(),
        evidence: "read through the API".to_owned(),
        seed: 2_718_281_828,
        command: "doorbuster rehearse --preset sneaker-drop --buyers 100000 --units 1000 --over 1s --crash-every 5s \
                  --disk-full-at 12s --seed 2718281828"
            .to_owned(),
        settings: settings(),
        duration_s: 44.2,
        start_ms: 2_000,
        quantity: 1_000,
        crowd: counts(&[
            ("people", 100_000),
            ("accounts", 97_150),
            ("pay promptly", 84_020),
            ("let the hold run out", 7_991),
            ("are declined", 4_010),
            ("pay late", 2_004),
            ("cancel", 1_975),
            ("click twice", 10_042),
            ("have two tabs", 4_987),
            ("leave the line", 0),
            ("lose replies", 3_020),
            ("hammer", 1_011),
            ("addresses", 95_300),
        ]),
        outcomes: counts(&[
            ("bought", 1_000),
            ("sold out", 96_204),
            ("card declined", 31),
            ("let the hold run out", 84),
            ("paid too late", 12),
            ("gave it back", 19),
            ("limit reached", 1_640),
            ("lost patience", 1_008),
            ("got no reply", 2),
        ]),
        refusals: counts(&[
            ("sold_out", sum(|slot| slot.refused) * 7 / 10),
            ("all_held", sum(|slot| slot.refused) / 5),
            ("limit_reached", 4_210),
            ("unavailable", 2_004),
            ("not_recorded", 118),
            ("order_expired", 12),
        ]),
        requests: RequestCounts {
            sent: sum(|slot| slot.sent),
            answered,
            unanswered: sum(|slot| slot.unanswered),
            lost: 214,
            open: 0,
            repeated: 8_114,
        },
        estimates: EstimateQuality::default(),
        latency: latencies(answered),
        stock: stock(slots * slot_ms),
        timeline,
        slot_ms,
        faults,
        notes: vec![
            "100000 people shared 1000 connections, as behind a load balancer.".to_owned(),
            "2 people got no reply to the end; the ledger shows that nothing was sold to them.".to_owned(),
        ],
        cpu: CpuTime { client_s: 18.4, server_s: Some(31.7) },
    }
}

/// The same, sold once too often: with long details and names that are no good guests of a page.
pub fn broken() -> RehearsalReport {
    let mut report = kept();
    report.verdict = RehearsalVerdict::Broken { promises: vec!["units".to_owned(), "recorded".to_owned()] };
    let (first, rest) = report.replies.split_at_mut(1);
    first[0].broken = 1;
    first[0].first = Some(PromiseOffence {
        buyer: Some(BuyerId(Uuid::from_u128(0x0193_5d2a_77aa_7c31_8b52_5d0b_12aa_90ff))),
        order: Some(OrderId(Uuid::from_u128(0x0193_5d2a_77ab_7001_9b00_000c_21bb_4ac2))),
        event: Some(EventSeq(40_213)),
        detail: "a reply confirmed the 1,001st unit though the sale has 1,000".to_owned(),
    });
    rest[0].broken = 12_345;
    rest[0].first = Some(PromiseOffence {
        buyer: Some(BuyerId(Uuid::from_u128(7))),
        order: None,
        event: None,
        detail: format!(
            "told <script>alert(\"confirmed\")</script> & more: {} {}",
            "a-word-without-a-single-place-to-break-it-".repeat(6),
            "but the ledger has no such order, and neither have the tables. ".repeat(8)
        ),
    });
    report.instance = "http://drop.example.test:8080/<b>".to_owned();
    report.notes.push("</ul><script>alert(1)</script>".to_owned());
    report.cpu.server_s = None;
    report
}

/// Stopped before anything happened.
pub fn unjudged() -> RehearsalReport {
    let mut report = kept();
    report.verdict =
        RehearsalVerdict::Unjudged { reason: "the instance has not answered for 45 s".to_owned() };
    (report.replies, report.ledger) = (Vec::new(), Vec::new());
    (report.crowd, report.outcomes, report.refusals) = (Vec::new(), Vec::new(), Vec::new());
    (report.timeline, report.stock, report.faults) = (Vec::new(), Vec::new(), Vec::new());
    (report.latency, report.settings, report.notes) = (Vec::new(), Vec::new(), Vec::new());
    report.requests = RequestCounts::default();
    (report.duration_s, report.start_ms, report.cpu) = (0.0, 0, CpuTime { client_s: 0.0, server_s: None });
    report
}

/// An hour with a line, killed every half a minute.
pub fn long() -> RehearsalReport {
    let mut report = kept();
    let (slot_ms, slots) = (6_400, 580_u64);
    report.slot_ms = slot_ms;
    report.start_ms = 30_000;
    report.duration_s = 3_712.0;
    report.quantity = 4_000;
    report.estimates = EstimateQuality {
        given: 3_002,
        good: 2_911,
        too_short: 40,
        too_long: 30,
        never_admitted: 21,
        admitted_without: 412,
        refused_without: 2_200,
    };
    report.faults = (1..=120)
        .flat_map(|no| {
            let at_ms = 30_000 + no * 30_000;
            let back = format!("listens again after {} ms", 300 + no);
            [(at_ms, FaultKind::Killed, "killed".to_owned()), (at_ms + 300 + no, FaultKind::Back, back)]
        })
        .map(|(at_ms, sort, what)| InjectedFault { at_ms, sort, what })
        .collect();
    report.timeline = (0..slots)
        .map(|index| TimelineSlot {
            at_ms: index * slot_ms,
            arrivals: if index < 300 { 40 + wave(index, 13) } else { 0 },
            sent: 2_000 + wave(index, 400),
            accepted: 1_700 + wave(index, 300),
            refused: 300 + wave(index, 90),
            unanswered: wave(index, 5),
            p50_ms: 0.6 + wave(index, 3) as f64 / 10.0,
            p90_ms: 2.0 + wave(index, 20) as f64 / 10.0,
            p99_ms: 5.0 + wave(index, 200) as f64,
            max_ms: 300.0 + wave(index, 900) as f64,
        })
        .collect();
    report.stock = (0..7_200_u64)
        .map(|look| {
            let sold = u32::try_from((look * 4_000 / 6_000).min(4_000)).expect("small");
            let held = (4_000 - sold).min(120);
            let admitted = (4_000 - sold - held).min(60);
            StockSample {
                at_ms: 28_000 + look * 500,
                version: look * 9,
                quantity: 4_000,
                available: 4_000 - sold - held - admitted,
                admitted,
                held,
                sold,
                waiting: u32::try_from(6_000_u64.saturating_sub(look.abs_diff(2_400) * 2)).expect("small"),
            }
        })
        .collect();
    report
}

const REPLY_PROMISES: [(&str, &str, u64); 12] = [
    ("units", "Never more units confirmed than are on sale.", 1_000),
    ("recorded", "Every \"confirmed\" is in the ledger and in the tables.", 1_000),
    ("limit", "Replies never confirm more units to one buyer than the limit.", 97_150),
    (
        "ticket_order",
        "Buyers are admitted in ticket order; only those who left or lapsed are passed over.",
        0,
    ),
    ("first_come", "Who had a number before another asked for one has the smaller number.", 0),
    ("place_kept", "A place in line never gets worse while its buyer does nothing.", 0),
    ("freed", "Every freed unit is offered again, at once.", 146),
    ("sold_out_true", "No reply says \"sold out\" while a unit is free.", 96_204),
    ("settled", "Every request without an answer is settled one way or the other.", 2_341),
    ("sums", "Available, admitted, held and sold add up at each moment.", 84),
    ("same_answer", "The same key has the same answer.", 8_114),
    ("no_means_no", "What was refused did not happen.", 98_841),
];

const LEDGER: [(&str, &str, u64); 4] = [
    ("units", "No more units are given out than there are.", 2_294),
    ("limit", "No buyer holds and owns more units than the limit for one buyer.", 1_146),
    ("holds", "A hold lasts as long as the sale promises, unless it is paid or given back.", 1_146),
    ("sequence", "Events are numbered without a gap, and time never goes back.", 2_294),
];

fn promises(rows: &[(&'static str, &'static str, u64)]) -> Vec<PromiseFinding> {
    let finding =
        |(name, sentence, checked)| PromiseFinding { name, sentence, checked, broken: 0, first: None };
    rows.iter().copied().map(finding).collect()
}

fn counts(rows: &[(&str, u64)]) -> Vec<NamedCount> {
    rows.iter().map(|(name, count)| NamedCount { name: (*name).to_owned(), count: *count }).collect()
}

fn settings() -> Vec<SettingRow> {
    let rows = [
        ("units", "1000"),
        ("units per buyer", "1"),
        ("hold", "15 s"),
        ("admission", "open"),
        ("people", "100000"),
        ("arrival", "spike over 1s"),
        ("open the page at most", "2s before"),
        ("patience", "60s"),
        ("click twice", "10%"),
        ("two tabs", "5%"),
        ("connections", "1000"),
    ];
    rows.iter()
        .map(|(name, value)| SettingRow { name: (*name).to_owned(), value: (*value).to_owned() })
        .collect()
}

fn faults() -> Vec<InjectedFault> {
    let fault = |at_ms, sort, what: &str| InjectedFault { at_ms, sort, what: what.to_owned() };
    vec![
        fault(7_000, FaultKind::Killed, "killed"),
        fault(7_310, FaultKind::Back, "listens again after 310 ms"),
        fault(12_310, FaultKind::Killed, "killed"),
        fault(12_604, FaultKind::Back, "listens again after 294 ms"),
        fault(14_000, FaultKind::DiskFull, "disk full"),
        fault(16_200, FaultKind::ClockJump, "clock jumps by 3600 s"),
        fault(17_000, FaultKind::DiskFree, "disk free again"),
        fault(17_604, FaultKind::Killed, "killed"),
        fault(18_210, FaultKind::Back, "listens again after 606 ms"),
        fault(23_210, FaultKind::Killed, "killed"),
        fault(23_502, FaultKind::Back, "listens again after 292 ms"),
        fault(28_502, FaultKind::Killed, "killed"),
        fault(28_811, FaultKind::Back, "listens again after 309 ms"),
    ]
}

/// A spike at the start, then ever fewer polls; no reply while the instance is down.
fn slot(index: u64, slot_ms: u64, faults: &[InjectedFault]) -> TimelineSlot {
    let at_ms = index * slot_ms;
    let is_down = faults
        .windows(2)
        .any(|pair| pair[0].sort == FaultKind::Killed && pair[0].at_ms <= at_ms && at_ms < pair[1].at_ms);
    let is_new =
        faults.iter().any(|fault| fault.sort == FaultKind::Back && at_ms.abs_diff(fault.at_ms) < 300);
    let arrivals = if (20..30).contains(&index) { 10_000 + wave(index, 400) - 200 } else { 0 };
    let polls =
        if index < 20 { index * 60 } else { 4_200_u64.saturating_sub((index - 20) * 11) + wave(index, 300) };
    let sent = arrivals.min(5_200) + polls;
    let sent = if is_down { sent / 6 } else { sent };
    let slow = if is_new { 40.0 } else { 1.0 } * if (20..45).contains(&index) { 30.0 } else { 1.0 };
    let ms =
        |base: f64, swing: u64| if is_down { 0.0 } else { (base + wave(index, swing) as f64 / 10.0) * slow };
    TimelineSlot {
        at_ms,
        arrivals,
        sent,
        accepted: if is_down { 0 } else { sent * 3 / 10 },
        refused: if is_down { 0 } else { sent - sent * 3 / 10 },
        unanswered: if is_down { sent } else { 0 },
        p50_ms: ms(1.2, 6),
        p90_ms: ms(3.4, 12),
        p99_ms: ms(9.0, 40),
        max_ms: ms(22.0, 200),
    }
}

fn latencies(answered: u64) -> Vec<RequestLatency> {
    let rows =
        [("all", 1, 1.0), ("look", 2, 0.7), ("order", 3, 1.4), ("pay", 97, 1.9), ("give back", 2_003, 0.9)];
    let latency = |(name, part, factor): (&str, u64, f64)| RequestLatency {
        name: name.to_owned(),
        count: answered / part,
        p50_ms: 2.31 * factor,
        p90_ms: 41.7 * factor,
        p99_ms: 412.3 * factor,
        p999_ms: 933.0 * factor,
        max_ms: 1_642.0 * factor,
    };
    rows.into_iter().map(latency).collect()
}

/// All held at once, then paid, some of them given back and bought again.
fn stock(until_ms: u64) -> Vec<StockSample> {
    let polls = (1_000..until_ms).step_by(500).filter(|at_ms| !(7_000..7_400).contains(at_ms));
    let seen = polls.map(|at_ms| {
        let since = u32::try_from(at_ms.saturating_sub(2_000)).expect("small");
        let sold =
            if since == 0 { 0 } else { (since / 10).min(854) + (since.saturating_sub(15_000) / 40).min(146) };
        let held = if since == 0 { 0 } else { (1_000 - sold).min(900) };
        StockSample {
            at_ms,
            version: u64::from(sold) * 2,
            quantity: 1_000,
            available: 1_000 - sold - held,
            admitted: 0,
            held,
            sold,
            waiting: 0,
        }
    });
    seen.collect()
}

/// Up and down, without chance.
fn wave(index: u64, size: u64) -> u64 {
    ((index * 2_654_435_761) >> 7) % (size + 1)
}
