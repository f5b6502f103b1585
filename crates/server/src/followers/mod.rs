//! Announcing what was recorded: followers of the ledger, each at its own offset and speed. A follower that is slow, down or
//! restarted delays its own news only. Nothing here decides, and nobody waits for it.

pub mod idempotency_keys;
pub mod live;
pub mod projector;

#[cfg(test)]
mod tests;

pub use projector::{Projector, ProjectorSettings};
