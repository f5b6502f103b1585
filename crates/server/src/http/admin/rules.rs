//! Rules of a sale's policy as `garde` rules of a field, in the law's own wording.

use documents::flash_sale::SalePaymentDocument;
use sale::{PolicyProblem, Timestamp};
use std::ops::RangeInclusive;

/// A number that the law limits.
pub(super) fn in_range(
    range: RangeInclusive<u32>,
    problem: PolicyProblem,
) -> impl FnOnce(&Option<u32>, &()) -> garde::Result {
    move |field, ()| match field {
        Some(number) if !range.contains(number) => Err(garde::Error::new(problem)),
        _ => Ok(()),
    }
}

/// The seconds of a hold: where a payment is required, there is time for it.
pub(super) fn holds_for_payment(
    payment: Option<SalePaymentDocument>,
) -> impl FnOnce(&Option<u32>, &()) -> garde::Result {
    move |hold_s, ()| match (payment, hold_s) {
        (Some(SalePaymentDocument::Required), Some(0)) => Err(garde::Error::new(
            "must be at least 1 where a payment is required; with 0 a unit is sold at once",
        )),
        _ => Ok(()),
    }
}

/// The end of a sale, which comes after its start.
pub(super) fn later_than(
    starts_at: Option<Timestamp>,
) -> impl FnOnce(&Option<Timestamp>, &()) -> garde::Result {
    move |ends_at, ()| match (starts_at, ends_at) {
        (Some(starts_at), Some(ends_at)) if starts_at >= *ends_at => {
            Err(garde::Error::new(PolicyProblem::Period))
        }
        _ => Ok(()),
    }
}
