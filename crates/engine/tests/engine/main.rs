//! The engine from outside: in a simulated world, on real files, under a real clock.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::cast_possible_truncation, reason = "the ledgers of tests are short")]

mod behaviour;
mod executor;
mod files;
mod ledger;
mod simulation;
mod support;
