//! What the time is, as an argument. This module never asks the machine: the one clock is built in `commands`.

use sale::time::Timestamp;
use std::sync::Arc;

/// A source of the present moment, handed down from `commands` (or from a test).
pub type TimeSource = Arc<dyn Fn() -> Timestamp + Send + Sync>;
