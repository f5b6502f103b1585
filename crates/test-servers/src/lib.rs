//! PostgreSQL, Redis, Kafka, nginx, an SMTP server, a stand-in for Stripe, receivers of webhooks and network proxies for tests: started in temporary folders on
//! reserved ports, killed, frozen and repaired as the test wants, and deleted when it ends. It never touches a server that it did not start,
//! and nothing that ships depends on it.
#![expect(clippy::missing_panics_doc, reason = "a failure here ends the test")]
#![expect(clippy::unwrap_used, reason = "a failure here ends the test")]

pub mod kafka;
pub mod mail;
pub mod nginx;
pub mod postgres;
pub mod receiver;
pub mod redis;
pub mod stripe;

pub mod cluster;
pub mod doorbuster;

pub mod process;
pub mod proxy;

pub mod delay;
pub mod histories;
pub mod wait;

pub mod port;

pub use port::ReservedPort;
