//! The live view: what is going on while a rehearsal plays. In a terminal it is redrawn in place; elsewhere it is a few plain
//! lines. It reads no clock: each progress carries its moment.

mod plain;

mod screen;

use crate::report::{RehearsalReport, RunProgress};
use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use plain::PlainLog;
use std::io::Write;
use std::path::PathBuf;

/// Redraws a second: more is not read.
const HZ: u8 = 4;
/// Columns of text without a terminal, and at most.
const TEXT_WIDTH: usize = 100;
/// Columns of the view at most: longer bars show no more.
const VIEW_WIDTH_MAX: usize = 110;

/// The live view on standard error, and the result on standard output.
pub struct LiveView {
    view: LiveOutput,
}

enum LiveOutput {
    Screen { bar: ProgressBar, faults_told: usize },
    Plain(PlainLog),
}

impl LiveView {
    /// A view that suits standard error.
    #[must_use]
    pub fn start() -> Self {
        let term = Term::buffered_stderr();
        if !term.is_term() || console::is_dumb() {
            return Self { view: LiveOutput::Plain(PlainLog::new(Box::new(std::io::stderr()))) };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term(term, HZ));
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is right"));
        Self { view: LiveOutput::Screen { bar, faults_told: 0 } }
    }

    /// Shows the progress. Call it a few times a second.
    pub fn update(&mut self, progress: &RunProgress) {
        match &mut self.view {
            LiveOutput::Plain(plain) => plain.update(progress),
            LiveOutput::Screen { bar, faults_told } => {
                let (width, colours) = (columns(&Term::stderr()), console::colors_enabled_stderr());
                for fault in progress.faults.iter().skip(*faults_told) {
                    bar.println(screen::fault_line(
                        fault,
                        progress.fault_since_start_ms(fault),
                        width,
                        colours,
                    ));
                }
                *faults_told = progress.faults.len();
                bar.set_message(screen::lines(progress, width, colours).join("\n"));
            }
        }
    }

    /// Removes the view, so that other text can be printed.
    pub fn clear(&mut self) {
        if let LiveOutput::Screen { bar, .. } = &self.view {
            bar.finish_and_clear();
        }
    }

    /// Removes the view and prints the result, with the names of the report's files.
    pub fn finish(mut self, report: &RehearsalReport, files: &[PathBuf]) {
        self.clear();
        let term = Term::stdout();
        let width = if term.is_term() { columns(&term).min(TEXT_WIDTH) } else { TEXT_WIDTH };
        let is_coloured = term.is_term() && console::colors_enabled();
        let text = crate::report::render_text(report, files, width, is_coloured);
        // Apart from what the view left behind.
        let gap = if term.is_term() { "\n" } else { "" };
        // A closed pipe has no reader.
        let _closed = writeln!(std::io::stdout().lock(), "{gap}{text}");
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The last column stays empty: some terminals wrap after it.
fn columns(term: &Term) -> usize {
    usize::from(term.size().1).saturating_sub(1).clamp(20, VIEW_WIDTH_MAX)
}
