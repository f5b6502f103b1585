//! Where a ledger stands in time before its engine starts: its last moment, and what each sale does then. A start may be refused
//! here, before anything is decided by a clock that is wrong. Nothing here reads a clock.

use super::StartError;
use crate::view::SaleView;
use sale::{SaleId, Timestamp};
use std::sync::Arc;

/// Decides whether an engine may start.
pub type StartCheck<'a> = &'a dyn Fn(&StartMoment) -> Result<(), StartError>;

/// A ledger at its last moment.
#[derive(Clone, Debug)]
pub struct StartMoment {
    /// When the last event was decided, or the clock checkpoint, if it is later.
    pub last: Timestamp,
    pub sales: Vec<Arc<SaleView>>,
}

/// A sale that would start or end because time jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SalePhaseChange {
    pub sale: SaleId,
    /// True when it would end, false when it would only start.
    pub ends: bool,
}

impl StartMoment {
    /// The first sale that does something else at `now` than at the last moment, ends before starts.
    #[must_use]
    pub fn find_phase_change(&self, now: Timestamp) -> Option<SalePhaseChange> {
        let changes = self.sales.iter().filter_map(|view| {
            let (before, after) = (view.phase(self.last), view.phase(now));
            (before != after)
                .then(|| SalePhaseChange { sale: view.id, ends: after == sale::SalePhase::Ended })
        });
        changes.min_by_key(|change| (!change.ends, change.sale))
    }
}

/// The check of a start that is never refused.
pub(super) fn accept_any_moment(_: &StartMoment) -> Result<(), StartError> {
    Ok(())
}
