//! What happened in a sale over time, for charts: a range of time in pieces. It reads the tables, and says up to when they are
//! complete.

use super::Shop;
use super::board::PATIENCE;
use super::sales::Sale;
use crate::store::StoreError;
use crate::store::series::{self, start_of};
use sale::{Seq, Timestamp};

pub use crate::store::series::{Bucket, Counts, Range, Units};

/// Pieces of a range, at most: more than a screen has room for.
pub const BUCKETS_MAX: i64 = 600;
/// Pieces that a range is cut into when nobody says how many, at most.
const BUCKETS_DEFAULT: i64 = 240;
/// The lengths that are chosen from, in seconds; beyond them whole days.
const STEPS_S: [i64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200];
const DAY_S: i64 = 86_400;
/// A century.
const STEP_MAX_S: i64 = 36_525 * DAY_S;

/// What is asked for; what is not given is chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// From when on: by default from where the line, or the sale, opens.
    pub from: Option<Timestamp>,
    /// Until when: by default until now.
    pub to: Option<Timestamp>,
    /// The length of a piece in seconds.
    pub step_s: Option<i64>,
}

/// Why a range cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It ends before it begins.
    Backwards,
    /// The step is none that can be added up.
    Step,
    /// It has more than [`BUCKETS_MAX`] pieces.
    TooFine,
}

/// A range, as it was read.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its ends and its step.
    pub range: Range,
    /// How things stood when it began.
    pub before: Option<Units>,
    /// The pieces in which something happened.
    pub buckets: Vec<Bucket>,
    /// Up to when the ledger's part is complete.
    pub complete_until: Timestamp,
    /// The last event that the tables show.
    pub projected: Seq,
}

/// Makes a range out of what is asked for. Its ends are moved outwards to multiples of the step.
///
/// # Errors
/// When it cannot be shown.
pub fn range(sale: &Sale, wanted: Wanted, now: Timestamp) -> Result<Range, Unfit> {
    let policy = &sale.view.policy;
    let opens = policy.line_opens_at().unwrap_or(policy.starts_at);
    let to = wanted.to.unwrap_or_else(|| now.max(wanted.from.unwrap_or(opens)));
    let from = wanted.from.unwrap_or(opens.min(to));
    if from > to {
        return Err(Unfit::Backwards);
    }
    let step_s = wanted.step_s.unwrap_or_else(|| fitting(to.ms_since(from)));
    let is_sum = match step_s {
        1..60 => true,
        60..3600 => step_s % 60 == 0,
        3600..=STEP_MAX_S => step_s % 3600 == 0,
        _ => false,
    };
    if !is_sum {
        return Err(Unfit::Step);
    }
    let step_ms = step_s * 1000;
    let from = start_of(from, step_s);
    let to = start_of(to.plus_ms(step_ms - 1), step_s).max(from.plus_ms(step_ms));
    if to.ms_since(from) / step_ms > BUCKETS_MAX {
        return Err(Unfit::TooFine);
    }
    Ok(Range { from, to, step_s })
}

fn fitting(length_ms: i64) -> i64 {
    let needed_s = length_ms / 1000 / BUCKETS_DEFAULT;
    STEPS_S.into_iter().find(|step| *step > needed_s).unwrap_or((needed_s / DAY_S + 1) * DAY_S)
}

/// Reads a range.
///
/// # Errors
/// When the tables cannot be asked.
pub async fn series(shop: &Shop, sale: &Sale, range: Range) -> Result<Series, StoreError> {
    let id = sale.listing.sale;
    let now = shop.engine.now();
    let is_complete = shop.projected.wait(id, sale.view.seq, PATIENCE).await;
    let projected = shop.projected.applied(id);
    let complete_until =
        if is_complete { now } else { series::last_second(&shop.store, id).await?.unwrap_or(range.from) };
    Ok(Series {
        range,
        before: series::units_before(&shop.store, id, range).await?,
        buckets: series::buckets(&shop.store, id, range).await?,
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
            assert_eq!(fitting(length_s * 1000), step_s, "{length_s} s");
        }
    }
}
