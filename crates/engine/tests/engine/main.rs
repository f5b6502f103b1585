//! The engine from outside: in a simulation, on real files, under a real clock.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::cast_possible_truncation, reason = "the ledgers of tests are short")]

mod behaviour;
mod damage;
mod epochs;
mod executor;
mod faults;
mod files;
#[path = "../../../sale/tests/promises/history.rs"]
mod history;
mod ledger;
mod ledgers;
mod line_history;
mod line_reader;
mod replies;
mod returns;
mod simulation;
mod support;
mod test_ledger;
