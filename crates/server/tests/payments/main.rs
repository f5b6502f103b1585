//! Payments with a real engine, real tables and the sandbox provider, behind a stage that can lose replies, hang, or be
//! killed with everything around it. HTTP is tested in `tests/api`.

#![expect(clippy::unwrap_used, reason = "a test program: what fails ends it")]

mod support;

mod crash;
mod pay;
mod property;
mod redirect;
mod refund;
mod two_processes;
