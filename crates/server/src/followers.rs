//! Followers of the ledger: each reads the events of every sale in order, with an offset and a speed of its own, and delivers them
//! in batches. A follower that is slow, down or restarted delays only its own deliveries. Nothing here decides anything, and no
//! purchase waits for it.
//!
//! A *shared* follower delivers once for all processes; a *local* one delivers in every process. A new follower implements
//! [`follower::SharedFollower`] or [`follower::LocalFollower`] and is started in `commands::instance`. A follower that sends events to
//! other systems implements [`event_receiver::EventReceiver`] alone.

pub mod follower;

pub mod projector;

pub mod event_follower;
pub mod event_receiver;
pub mod webhooks;

#[cfg(feature = "kafka")]
pub mod kafka;

pub mod live_updates;
pub mod mail_receiver;

pub mod idempotency_warmup;

pub mod local;
pub mod shared;

pub mod backoff;
mod reader;
pub mod rounds;

#[cfg(test)]
mod tests;
