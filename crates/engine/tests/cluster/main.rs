//! Engines that share their sales, on a real Redis and a real PostgreSQL: what each may say, and when, while the others do the same, die
//! halfway, or decide from a state whose time is over.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bad_days;
mod damage;
mod fixture;
mod idle;
mod left;
#[path = "../engine/line_history.rs"]
mod line_history;
mod rush;
mod set_back;
#[path = "../engine/support.rs"]
#[expect(dead_code, reason = "the tests of one engine ask more")]
mod support;
mod writing;
