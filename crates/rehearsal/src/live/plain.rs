//! The live view where there is no terminal: a line for each new phase and each fault, and one now and then. It never draws.

use crate::report::RunProgress;
use crate::report::format::{count, moment, percent, printable, span_ms};
use std::io::Write;

/// Milliseconds between two lines when nothing changed, so that the log of an hour stays readable.
const LINE_INTERVAL_MS: i64 = 10_000;

pub(super) struct PlainLog {
    out: Box<dyn Write + Send>,
    phase: &'static str,
    faults_shown: usize,
    shown_at_ms: Option<i64>,
}

impl PlainLog {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, phase: "", faults_shown: 0, shown_at_ms: None }
    }

    pub(super) fn update(&mut self, progress: &RunProgress) {
        for fault in progress.faults.iter().skip(self.faults_shown) {
            self.write_line(progress.fault_since_start_ms(fault), &printable(&fault.what));
        }
        self.faults_shown = progress.faults.len();
        let is_new = progress.phase != self.phase;
        let is_due = match (progress.since_start_ms, self.shown_at_ms) {
            (Some(now_ms), Some(shown_ms)) => now_ms - shown_ms >= LINE_INTERVAL_MS,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_new || is_due {
            self.phase = progress.phase;
            self.shown_at_ms = progress.since_start_ms.or(self.shown_at_ms);
            self.write_line(progress.since_start_ms, &format_progress(progress));
        }
    }

    fn write_line(&mut self, since_start_ms: Option<i64>, text: &str) {
        let at = since_start_ms.map(|ms| format!("{:>8}  ", moment(ms / 100 * 100)));
        // The reader closed the pipe; the rehearsal continues.
        let _closed = writeln!(self.out, "{}{text}", at.unwrap_or_default());
    }
}

/// The progress in one line.
fn format_progress(progress: &RunProgress) -> String {
    let mut parts = vec![progress.phase.to_owned()];
    if progress.people > 0 {
        let came = percent(progress.arrived, progress.people);
        parts.push(format!("{} of {} came ({came})", count(progress.arrived), count(progress.people)));
    }
    if let Some(units) = progress.stock {
        let [sold, of, waiting] =
            [units.sold, units.quantity, units.waiting].map(|number| count(u64::from(number)));
        parts.push(format!("{sold} of {of} sold"));
        parts.push(format!("{waiting} waiting"));
    }
    if progress.requests.sent > 0 {
        parts.push(format!("{} replies/s", count(progress.per_second)));
        parts.push(format!("p99 {}", span_ms(progress.p99_ms)));
    }
    if progress.requests.unanswered > 0 {
        parts.push(format!("{} unanswered", count(progress.requests.unanswered)));
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{FaultKind, InjectedFault, RequestCounts};
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

    impl Write for SharedBuffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_has_a_line_for_each_phase_and_fault_and_one_every_ten_seconds() {
        let log = SharedBuffer::default();
        let mut plain = PlainLog::new(Box::new(log.clone()));
        let mut progress = RunProgress { phase: "preparing", ..RunProgress::default() };
        plain.update(&progress);
        (progress.phase, progress.people) = ("buyers sign in", 300);
        plain.update(&progress);
        progress.phase = "on sale";
        progress.requests =
            RequestCounts { sent: 900, answered: 898, unanswered: 2, ..RequestCounts::default() };
        (progress.per_second, progress.p99_ms) = (120, 4.2);
        for quarter in 0..50_u64 {
            progress.now_ms = 2_000 + quarter * 250;
            progress.since_start_ms = Some(i64::try_from(quarter).unwrap() * 250);
            progress.arrived = quarter * 6;
            if quarter == 20 {
                progress.faults.push(InjectedFault {
                    at_ms: 6_810,
                    sort: FaultKind::Killed,
                    what: "killed".to_owned(),
                });
            }
            plain.update(&progress);
        }
        let lines = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let expected = "\
preparing
buyers sign in · 0 of 300 came (0 %)
     0 s  on sale · 0 of 300 came (0 %) · 120 replies/s · p99 4.2 ms · 2 unanswered
   4.8 s  killed
    10 s  on sale · 240 of 300 came (80 %) · 120 replies/s · p99 4.2 ms · 2 unanswered
";
        assert_eq!(lines, expected);
    }
}
