//! The live view: what is going on while a rehearsal plays. In a terminal it is redrawn in place; elsewhere it is a few plain
//! lines. It never asks for the time: the progress it is told says when.

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
/// Columns of text where there is no terminal to ask, and at most.
const TEXT_WIDTH: usize = 100;
/// Columns of the view at most: longer bars say no more.
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

    /// Shows how it goes. Call it a few times a second.
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

    /// Takes the view away, so that something else can be said.
    pub fn clear(&mut self) {
        if let LiveOutput::Screen { bar, .. } = &self.view {
            bar.finish_and_clear();
        }
    }

    /// Takes the view away and prints the result, with the files in which it is told in full.
    pub fn finish(mut self, report: &RehearsalReport, files: &[PathBuf]) {
        self.clear();
        let term = Term::stdout();
        let width = if term.is_term() { columns(&term).min(TEXT_WIDTH) } else { TEXT_WIDTH };
        let is_coloured = term.is_term() && console::colors_enabled();
        let text = crate::report::render_text(report, files, width, is_coloured);
        // Apart from what the view left behind.
        let gap = if term.is_term() { "\n" } else { "" };
        // A pipe that was closed wants to hear no more.
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
