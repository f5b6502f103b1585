//! Deciding in Redis, on a real server: the same outcomes and events as in memory, and what happens when the server is
//! restarted, emptied, full, or no longer the one it was.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bad_days;
mod conformance;
mod deciding;
mod fixture;
mod histories;
#[path = "../../../sale/tests/promises/history.rs"]
mod history;
mod ledger;
mod machine;
mod pipeline;
mod polling;
