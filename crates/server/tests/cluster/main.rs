//! Bad days of a whole cluster, with real servers and real processes: instances, workers, Redis, PostgreSQL and the network between them
//! are killed, cut, stalled, slowed, filled and brought back while buyers buy. After each, every promise is kept by `verify`, what
//! buyers got confirmed is what is in the ledger, no more and no less, and it recovers soon.
//!
//! `cargo test -p server --test cluster`; what is drawn by chance prints its seed, and `DOORBUSTER_SEED=…` draws it again.

#![expect(clippy::unwrap_used, reason = "a test program: what fails ends it")]

#[path = "../real/mod.rs"]
#[expect(dead_code, reason = "the tests of whole drops use more")]
mod real;

#[cfg(feature = "kafka")]
#[path = "../receivers/mod.rs"]
#[expect(dead_code, reason = "the tests of Kafka use more")]
mod receivers;

mod flood;
mod topology;

#[cfg(feature = "kafka")]
mod followers;
mod instances;
mod line_feed;
mod network;
mod outbox;
mod postgres;
mod redis;
mod shared;
mod single_instance;
mod webhooks;
