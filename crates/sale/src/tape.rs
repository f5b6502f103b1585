//! Tapes: a sale written line by line, readable by people and by machines.
//!
//! ```text
//! # Two buyers and one unit.
//! 0s    configure quantity=1 hold=300s         -> done
//! 1s    reserve alice o1 1 key=k1              -> held until 301s
//!       + held alice o1 1 until 301s from=stock
//! 1s    reserve bob o2 1                       -> refused all_held
//! 301s  tick                                   -> done
//!       + released alice o1 1 expired
//!       state available=1 held=0
//! ```
//!
//! A line is a moment (left out: the moment before), a command and, after `->`, the expected answer. Lines that begin with
//! `+` name the events expected of the command above them, all of them and in order; `+ nothing` expects none. `state`
//! compares counters. What a line does not name is not compared. Moments are counted from [`ORIGIN`]; a name is the id
//! whose bytes it spells, so names mean the same on every engine.
//!
//! A tape never decides: it runs on a [`SaleMachine`]: the law itself, or an engine that claims to keep it.

mod parse;

mod expectation;

mod token;

use crate::command::Command;
use crate::counters::SaleCounters;
use crate::event::LedgerEntry;
use crate::outcome::CommandOutcome;
use crate::state::SaleState;
use crate::time::Timestamp;
use expectation::TapeExpectation;
use std::fmt;
pub use token::{buyer, key, order};

/// The moment that a tape calls `0s`: 2027-01-15T08:00:00Z, far enough from the epoch for moments before it.
pub const ORIGIN: Timestamp = Timestamp(1_800_000_000_000);

/// Anything that keeps the law of a sale and runs it step by step.
pub trait SaleMachine {
    /// As [`SaleState::step`]: lets time pass, decides, applies; answers with the outcome and the new entries.
    fn step(&mut self, now: Timestamp, command: &Command) -> (CommandOutcome, Vec<LedgerEntry>);

    /// As [`SaleState::counters`].
    fn counters(&mut self) -> SaleCounters;
}

impl SaleMachine for SaleState {
    fn step(&mut self, now: Timestamp, command: &Command) -> (CommandOutcome, Vec<LedgerEntry>) {
        let mut entries = Vec::new();
        let outcome = SaleState::step(self, now, command, &mut entries);
        (outcome, entries)
    }

    fn counters(&mut self) -> SaleCounters {
        SaleState::counters(self)
    }
}

/// A parsed or recorded tape. Its `Display` is a tape again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    lines: Vec<TapeLine>,
}

/// A command or a comparison, with the number of its line in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TapeLine {
    Command {
        number: usize,
        at: Timestamp,
        command: Command,
        /// The answer that is expected, if any is.
        outcome: Option<TapeExpectation>,
        /// The events that are expected with their own lines, if any were named.
        events: Option<Vec<(usize, TapeExpectation)>>,
    },
    State {
        number: usize,
        expected: TapeExpectation,
    },
}

/// Why a tape cannot be read, or which expectation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TapeError {
    /// The line is not tape.
    #[error("line {line}: {detail}")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// The machine did something else.
    #[error("line {line}: {command_text}\n  expected: {expected}\n       got: {got}")]
    Mismatch {
        /// The line whose expectation was not met, counted from 1.
        line: usize,
        /// The command, or `state`.
        command_text: String,
        expected: String,
        /// The machine's whole outcome.
        got: String,
    },
}

impl TapeError {
    /// The line in question, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        match self {
            Self::Syntax { line, .. } | Self::Mismatch { line, .. } => *line,
        }
    }
}

impl Tape {
    /// Reads a tape.
    ///
    /// # Errors
    ///
    /// [`TapeError::Syntax`] for the first line that is not tape.
    pub fn parse(text: &str) -> Result<Self, TapeError> {
        parse::parse(text).map(|lines| Self { lines })
    }

    /// Runs a history on a machine and writes down all that the machine answers and does.
    pub fn record(
        machine: &mut impl SaleMachine,
        history: impl IntoIterator<Item = (Timestamp, Command)>,
    ) -> Self {
        let mut number = 0;
        let lines = history.into_iter().map(|(at, command)| {
            number += 1;
            let (outcome, entries) = machine.step(at, &command);
            let outcome = Some(TapeExpectation::from_outcome(&outcome, &command));
            let events = Some(
                entries.iter().map(|entry| (number, TapeExpectation::from_event(&entry.event))).collect(),
            );
            TapeLine::Command { number, at, command, outcome, events }
        });
        Self { lines: lines.collect() }
    }

    /// The commands of the tape with their moments, in order.
    pub fn commands(&self) -> impl Iterator<Item = (Timestamp, &Command)> {
        self.lines.iter().filter_map(|line| match line {
            TapeLine::Command { at, command, .. } => Some((*at, command)),
            TapeLine::State { .. } => None,
        })
    }

    /// Runs the tape on a machine that is at its beginning.
    ///
    /// # Errors
    ///
    /// [`TapeError::Mismatch`] for the first line whose expectation failed.
    pub fn run(&self, machine: &mut impl SaleMachine) -> Result<(), TapeError> {
        for line in &self.lines {
            match line {
                TapeLine::Command { number, at, command, outcome, events } => {
                    let (answer, entries) = machine.step(*at, command);
                    let command_text = token::format_command(command);
                    if let Some(expected) = outcome {
                        expected.compare(
                            *number,
                            &command_text,
                            &TapeExpectation::from_outcome(&answer, command),
                        )?;
                    }
                    if let Some(expected) = events {
                        compare_events(*number, &command_text, expected, &entries)?;
                    }
                }
                TapeLine::State { number, expected } => {
                    expected.compare(
                        *number,
                        "state",
                        &TapeExpectation::from_counters(&machine.counters()),
                    )?;
                }
            }
        }
        Ok(())
    }
}

impl FromIterator<(Timestamp, Command)> for Tape {
    /// A tape that expects nothing: commands only.
    fn from_iter<T: IntoIterator<Item = (Timestamp, Command)>>(history: T) -> Self {
        let lines = (1..).zip(history).map(|(number, (at, command))| {
            let (outcome, events) = (None, None);
            TapeLine::Command { number, at, command, outcome, events }
        });
        Self { lines: lines.collect() }
    }
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            match line {
                TapeLine::Command { at, command, outcome, events, .. } => {
                    let command = token::format_command(command);
                    match outcome {
                        Some(outcome) => {
                            writeln!(f, "{:<7} {command:<40} -> {outcome}", token::format_moment(*at))?
                        }
                        None => writeln!(f, "{:<7} {command}", token::format_moment(*at))?,
                    }
                    for (_, event) in events.iter().flatten() {
                        writeln!(f, "        + {event}")?;
                    }
                    if events.as_ref().is_some_and(Vec::is_empty) {
                        writeln!(f, "        + nothing")?;
                    }
                }
                TapeLine::State { expected, .. } => writeln!(f, "        {expected}")?,
            }
        }
        Ok(())
    }
}

fn compare_events(
    number: usize,
    command_text: &str,
    expected: &[(usize, TapeExpectation)],
    entries: &[LedgerEntry],
) -> Result<(), TapeError> {
    let mut got = entries.iter().map(|entry| TapeExpectation::from_event(&entry.event));
    for (line, expected) in expected {
        let got = got.next().unwrap_or_else(TapeExpectation::no_event);
        expected.compare(*line, command_text, &got)?;
    }
    let rest = got.next();
    let line = expected.last().map_or(number, |(line, _)| *line);
    rest.map_or(Ok(()), |rest| TapeExpectation::no_event().compare(line, command_text, &rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0s configure quantity=1 -> done\n1s reserve alice o1 1 key=k1 -> held until 301s\n";

    #[test]
    fn a_tape_that_comes_out_as_it_says_is_accepted() {
        assert_eq!(Tape::parse(TEXT).unwrap().run(&mut SaleState::new()), Ok(()));
    }

    #[test]
    fn a_mismatch_shows_the_line_and_both_answers() {
        let tape =
            Tape::parse(&format!("{TEXT}# and now\n2s reserve bob o2 1 -> refused sold_out\n")).unwrap();
        let error = tape.run(&mut SaleState::new()).unwrap_err();
        assert_eq!(error.line(), 4);
        let text = error.to_string();
        assert!(text.contains("expected: refused sold_out\n       got: refused all_held"), "{text}");
    }

    #[test]
    fn an_event_that_is_missing_or_too_many_is_a_mismatch() {
        for events in ["+ nothing", "+ held alice o1 1 until 301s\n+ paused", "+ held bob o1 1 until 301s"] {
            let tape = Tape::parse(&format!("{TEXT}{events}")).unwrap();
            assert!(tape.run(&mut SaleState::new()).is_err(), "{events}");
        }
    }

    #[test]
    fn a_fact_that_is_not_so_is_a_mismatch() {
        for line in ["state held=0", "state colour=red", "confirm alice o1 -> confirmed quantity=2"] {
            let tape = Tape::parse(&format!("{TEXT}{line}")).unwrap();
            assert!(tape.run(&mut SaleState::new()).is_err(), "{line}");
        }
    }

    #[test]
    fn what_is_not_tape_is_refused_with_its_line() {
        for line in [
            "0s jump",
            "0s reserve alice o1",
            "0s reserve alice o1 1 2",
            "0s reserve alice o1 -1",
            "0s reserve Alice o1 1",
            "0s reserve a_name_far_too_long_ o1 1",
            "0s reserve alice o1 1 colour=red",
            "0s reserve alice o1 1 key=k1 key=k2",
            "0s configure hold=1.5s",
            "0s configure price=10",
            "0s release alice o1 lost",
            "1.2345s tick",
            "0s",
            "0s tick ->",
            "0s state held=1",
            "state held",
            "+ held alice",
        ] {
            let error = Tape::parse(&format!("# a comment\n{line}")).unwrap_err();
            assert!(matches!(error, TapeError::Syntax { line: 2, .. }), "{line}: {error}");
        }
    }

    #[test]
    fn a_recorded_tape_reads_back_and_runs() {
        let text = "0s configure quantity=3 starts=1s hold=0s limit=2 fifo per_second=1 checkout=5s opens=1s extension=9s
            join alice
            500ms join bob
            1s tick
            extend alice
            extend alice
            reserve alice o1 2 key=k1
            refund o1 restock
            begin_payment alice o1
            end_payment alice o1
            1.5s leave bob
            pause
            resume
            restock 2
            close";
        let commands: Vec<_> =
            Tape::parse(text).unwrap().commands().map(|(at, command)| (at, command.clone())).collect();
        let recorded = Tape::record(&mut SaleState::new(), commands.clone());
        let read = Tape::parse(&recorded.to_string()).unwrap();
        assert_eq!(read.run(&mut SaleState::new()), Ok(()), "{recorded}");
        assert!(read.commands().eq(commands.iter().map(|(at, command)| (*at, command))));
        let bare: Tape = commands.into_iter().collect();
        assert!(Tape::parse(&bare.to_string()).unwrap().commands().eq(bare.commands()));
    }
}
