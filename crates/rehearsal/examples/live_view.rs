//! Shows the live view with a made-up drop of half a minute, to be looked at after a change: in narrow and wide terminals, in
//! the colours of the terminal or with `NO_COLOR=1`, and written into a file.
//!
//! `cargo run -p rehearsal --example live_view`

#[path = "../tests/report/sample.rs"]
#[expect(dead_code, reason = "one of the samples is enough here")]
mod sample;

use rehearsal::live::LiveView;
use rehearsal::report::{NamedCount, RequestCounts, RunProgress};
use std::path::PathBuf;
use std::time::Duration;

/// The interval of the view's updates, in milliseconds.
const STEP_MS: i64 = 250;

fn main() {
    let report = sample::kept();
    let mut live = LiveView::start();
    for phase in ["preparing", "buyers sign in"] {
        live.update(&RunProgress { phase, ..RunProgress::default() });
        std::thread::sleep(Duration::from_secs(1));
    }
    for step in -8..112 {
        live.update(&progress_at(step * STEP_MS, &report));
        std::thread::sleep(Duration::from_millis(STEP_MS.unsigned_abs()));
    }
    live.finish(&report, &[PathBuf::from("rehearsals/sample.html"), PathBuf::from("rehearsals/sample.json")]);
}

/// How the sample went until then.
fn progress_at(since_start_ms: i64, report: &rehearsal::report::RehearsalReport) -> RunProgress {
    let now_ms = report.start_ms.saturating_add_signed(since_start_ms);
    let past: Vec<_> = report.timeline.iter().filter(|slot| slot.at_ms < now_ms).collect();
    let requests = past.iter().fold(RequestCounts::default(), |sum, slot| RequestCounts {
        sent: sum.sent + slot.sent,
        answered: sum.answered + slot.accepted + slot.refused,
        unanswered: sum.unanswered + slot.unanswered,
        ..sum
    });
    let refused: u64 = past.iter().map(|slot| slot.refused).sum();
    let refusals =
        [("sold_out", 70), ("all_held", 20), ("limit_reached", 6), ("unavailable", 3), ("timeout", 1)];
    let last = past.last();
    RunProgress {
        now_ms,
        since_start_ms: Some(since_start_ms),
        phase: match since_start_ms {
            ..0 => "the crowd gathers",
            0..24_000 => "on sale",
            24_000..26_000 => "settling",
            _ => "judging",
        },
        people: 100_000,
        arrived: past.iter().map(|slot| slot.arrivals).sum::<u64>().min(100_000),
        gone: refused.min(99_000),
        stock: report.stock.iter().rev().find(|units| units.at_ms < now_ms).copied(),
        requests,
        per_second: last.map_or(0, |slot| (slot.accepted + slot.refused) * 10),
        p50_ms: last.map_or(0.0, |slot| slot.p50_ms),
        p99_ms: last.map_or(0.0, |slot| slot.p99_ms),
        refusals: refusals
            .map(|(name, percent)| NamedCount { name: name.to_owned(), count: refused * percent / 100 })
            .into_iter()
            .filter(|refusal| refusal.count > 0)
            .collect(),
        faults: report.faults.iter().filter(|fault| fault.at_ms < now_ms).cloned().collect(),
    }
}
