//! The present time as an argument. This module never reads the machine's clock: `commands` builds the one clock.

use sale::time::Timestamp;
use std::sync::Arc;

/// A source of the present moment, passed down from `commands` or a test.
pub type TimeSource = Arc<dyn Fn() -> Timestamp + Send + Sync>;
