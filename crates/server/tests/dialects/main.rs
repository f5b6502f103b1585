//! The dialects from outside: each test starts a shop of its own and speaks to it as the clients of another system do.

#![expect(clippy::unwrap_used, reason = "a test program: what fails ends it")]

#[expect(dead_code, reason = "the tests of the native API use more of it")]
#[path = "../api/described.rs"]
mod described;
#[expect(dead_code, reason = "the tests of the native API use more of it")]
#[path = "../api/merchant.rs"]
mod merchant;
#[expect(dead_code, reason = "the tests of the native API use more of it")]
#[path = "../api/support.rs"]
mod support;

mod client;

#[expect(dead_code, reason = "the tests of many instances use more")]
#[path = "../real/mod.rs"]
mod real;

mod attempts;
mod drop;
mod frame;
mod holds;
mod turnstile;
mod turnstile_unsettled;
mod views;
