//! The engine from outside: in a simulation, on real files, under a real clock.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::cast_possible_truncation, reason = "the ledgers of tests are short")]

mod behaviour;
mod damage;
mod epochs;
mod executor;
mod faults;
mod files;
mod ledger;
mod ledgers;
mod line_history;
mod line_reader;
mod replies;
mod simulation;
mod support;
mod test_ledger;
