//! The Stripe provider against the stand-in for Stripe's API: what buyers do, lost replies, failures, refused keys and rights. A real server
//! and the stand-in as processes: killed ([`kills`]), by clocks that jump ([`clocks`]), and two servers at once ([`two_instances`]). Each request
//! against Stripe's published description: [`request_shapes`]. The whole shop over HTTP is in `tests/api/stripe.rs`.

#![expect(clippy::unwrap_used, reason = "a test program: what fails ends it")]

#[path = "../real/mod.rs"]
#[expect(dead_code, reason = "the tests of whole drops use more")]
mod real;

mod crash_shop;
mod process;
mod support;

mod clocks;
mod failures;
mod keys;
mod kills;
mod paying;
mod refunds;
mod request_shapes;
mod two_instances;
