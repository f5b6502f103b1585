//! Why a decision store did not do what it was asked to.

use super::wire::WireError;
use crate::record::ReadError;
use redis::RedisError;
use sale::SaleId;

#[derive(Debug, thiserror::Error)]
pub enum ValkeyError {
    /// The server, or the network, failed.
    #[error("Valkey failed")]
    Server(#[from] RedisError),
    /// The server cannot be reached; a task in the background tries again.
    #[error("the Valkey at {server} cannot be reached")]
    Unreachable { server: String },
    /// The server's settings could lose a sale's state.
    #[error("the Valkey at {server} cannot be decided in: {what}")]
    Unfit { server: String, what: String },
    /// A newer doorbuster has loaded its library into the server.
    #[error("the Valkey at {server} has library {theirs}, this doorbuster has {ours}: update it")]
    NewerLibrary { server: String, theirs: u32, ours: u32 },
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The ledger cannot be read, or an epoch cannot be raised, for a state that is to be restored.
    #[error(transparent)]
    Ledger(#[from] ReadError),
    /// A sale's state could not be restored in time.
    #[error("the state of sale {sale} could not be rebuilt: {what}")]
    RestoreFailed {
        sale: SaleId,
        /// The last cause.
        what: String,
    },
}
