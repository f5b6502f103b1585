//! Why a use case that asks both the engine and the tables got no answer.

use crate::store::StoreError;
use engine::EngineError;

/// One of the two did not answer.
#[derive(Debug, thiserror::Error)]
pub enum UnansweredError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
