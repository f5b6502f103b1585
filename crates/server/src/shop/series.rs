//! What happened in a sale over time, for charts: a range of time in pieces. It reads the tables, and says up to when they are
//! complete.

use super::Shop;
use super::sales::ListedSale;
use crate::store::StoreError;
use crate::store::series::{self, bucket_start};
use sale::{EventSeq, Timestamp};

pub use crate::store::series::{EventCounts, SeriesBucket, SeriesRange, UnitLevels};

/// Buckets of a range, at most: a chart cannot show more.
pub const BUCKETS_MAX: i64 = 600;
/// Buckets of a range without a given step, at most.
const BUCKETS_DEFAULT: i64 = 240;
/// The lengths that are chosen from, in seconds; beyond them whole days.
const STEPS_S: [i64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200];
const DAY_S: i64 = 86_400;
const STEP_MAX_S: i64 = 36_525 * DAY_S;

/// A requested range; a missing value is chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct RangeRequest {
    /// From when on: by default from where the line, or the sale, opens.
    pub from: Option<Timestamp>,
    /// Until when: by default until now.
    pub to: Option<Timestamp>,
    /// The length of a piece in seconds.
    pub step_s: Option<i64>,
}

/// Why a range cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// It ends before it begins.
    Backwards,
    /// The step is none that can be added up.
    Step,
    /// It has more than [`BUCKETS_MAX`] pieces.
    TooFine,
}

/// A range, as it was read.
#[derive(Clone, Debug)]
pub struct SaleSeries {
    /// Its ends and its step.
    pub range: SeriesRange,
    /// Units and waiting buyers when it began.
    pub before: Option<UnitLevels>,
    /// The pieces in which something happened.
    pub buckets: Vec<SeriesBucket>,
    /// Up to when the ledger's part is complete.
    pub complete_until: Timestamp,
    /// The last event that the tables show.
    pub projected: EventSeq,
}

/// Makes a range from a request. Its ends are moved outwards to multiples of the step.
///
/// # Errors
/// When it cannot be shown.
pub fn resolve_range(
    sale: &ListedSale,
    wanted: RangeRequest,
    now: Timestamp,
) -> Result<SeriesRange, RangeError> {
    let policy = &sale.view.policy;
    let opens = policy.opens_at();
    let to = wanted.to.unwrap_or_else(|| now.max(wanted.from.unwrap_or(opens)));
    let from = wanted.from.unwrap_or(opens.min(to));
    if from > to {
        return Err(RangeError::Backwards);
    }
    let step_s = wanted.step_s.unwrap_or_else(|| choose_step_s(to.ms_since(from)));
    let is_sum = match step_s {
        1..60 => true,
        60..3600 => step_s % 60 == 0,
        3600..=STEP_MAX_S => step_s % 3600 == 0,
        _ => false,
    };
    if !is_sum {
        return Err(RangeError::Step);
    }
    let step_ms = step_s * 1000;
    let from = bucket_start(from, step_s);
    let to = bucket_start(to.plus_ms(step_ms - 1), step_s).max(from.plus_ms(step_ms));
    if to.ms_since(from) / step_ms > BUCKETS_MAX {
        return Err(RangeError::TooFine);
    }
    Ok(SeriesRange { from, to, step_s })
}

fn choose_step_s(length_ms: i64) -> i64 {
    let needed_s = length_ms / 1000 / BUCKETS_DEFAULT;
    STEPS_S.into_iter().find(|step| *step > needed_s).unwrap_or((needed_s / DAY_S + 1) * DAY_S)
}

/// Reads a range.
///
/// # Errors
/// When the tables do not answer.
pub async fn load_series(
    shop: &Shop,
    sale: &ListedSale,
    range: SeriesRange,
) -> Result<SaleSeries, StoreError> {
    let id = sale.listing.sale;
    let now = shop.engine.now();
    let is_complete = shop.projected.wait_for(id, sale.view.seq, shop.catch_up_timeouts.admin).await;
    let projected = shop.projected.delivered_seq(id);
    let complete_until = if is_complete {
        now
    } else {
        series::find_last_second(&shop.store, id).await?.unwrap_or(range.from)
    };
    Ok(SaleSeries {
        range,
        before: series::find_units_before(&shop.store, id, range).await?,
        buckets: series::list_buckets(&shop.store, id, range).await?,
        complete_until,
        projected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_chosen_so_that_a_chart_has_room() {
        for (length_s, step_s) in [
            (0, 1),
            (239, 1),
            (240, 2),
            (3_600, 30),
            (86_400, 600),
            (30 * DAY_S, 14_400),
            (900 * DAY_S, 4 * DAY_S),
        ] {
            assert_eq!(choose_step_s(length_s * 1000), step_s, "{length_s} s");
        }
    }
}
