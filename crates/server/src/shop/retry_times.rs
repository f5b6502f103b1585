//! When a buyer should ask again who was refused because all units are held by others. It decides nothing: a buyer who asks earlier is
//! answered by the law all the same.

use super::holds::count_seconds;
use engine::SaleView;
use sale::{BuyerId, Timestamp};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// The longest wait for a known return, in seconds. A buyer may cancel earlier; with the spread, that unit is found within half a minute.
const WAIT_MAX_S: u32 = 13;

/// The shortest wait, in seconds. Where a return is always near, a buyer then asks 90 times in the 15 minutes of which the limit of purchases
/// is, and that allows 100.
const WAIT_MIN_S: u32 = 3;

/// Seconds over which buyers are spread: a crowd of 100,000 makes fewer than 7,000 requests a second.
const SPREAD_S: u32 = 15;

/// Seconds after which to ask again, from [`WAIT_MIN_S`] to 30: the time until a unit comes back by itself, the shortest wait, and a part of
/// the spread. The part follows from the buyer and the sale's last event, so buyers get different ones, and no buyer is always first.
pub(super) fn choose_retry_after_s(view: &SaleView, buyer: BuyerId, now: Timestamp) -> u32 {
    let wait_s = view.next_return_at.map_or(0, |at| count_seconds(at, now)).min(WAIT_MAX_S);
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((buyer, view.seq));
    let spread_s = u32::try_from(hash % u64::from(SPREAD_S)).unwrap_or(0);
    wait_s + WAIT_MIN_S + spread_s
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::tape::ORIGIN;
    use sale::{EventSeq, SaleId, SaleState, Tape};
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use uuid::Uuid;

    /// A sale whose only unit is held for so long, from the origin of tapes on.
    fn held_sale(hold_s: u32) -> SaleView {
        let mut state = SaleState::new();
        let text = format!("0s configure quantity=1 hold={hold_s}s\nreserve ann o1 1");
        Tape::parse(&text).unwrap().run(&mut state).unwrap();
        let policy = Arc::new(state.policy().unwrap().clone());
        SaleView::from_state(SaleId(Uuid::nil()), &state, policy)
    }

    /// What a crowd is answered.
    fn retries_of_crowd(view: &SaleView, now: Timestamp) -> BTreeSet<u32> {
        (0..1_000).map(|no| choose_retry_after_s(view, BuyerId(Uuid::from_u128(no)), now)).collect()
    }

    #[test]
    fn a_crowd_comes_back_after_the_unit_and_over_many_seconds() {
        let view = held_sale(10);
        assert!(retries_of_crowd(&view, ORIGIN.plus_ms(4_001)).into_iter().eq(9..=23), "5.999 s are left");
        assert!(retries_of_crowd(&view, ORIGIN.plus_s(60)).into_iter().eq(3..=17), "the hold is over");
    }

    #[test]
    fn no_buyer_waits_longer_than_half_a_minute() {
        assert!(retries_of_crowd(&held_sale(3_600), ORIGIN).into_iter().eq(16..=30));
    }

    #[test]
    fn where_no_return_is_known_the_crowd_is_spread_all_the_same() {
        let mut view = held_sale(60);
        view.next_return_at = None;
        assert!(retries_of_crowd(&view, ORIGIN).into_iter().eq(3..=17));
    }

    #[test]
    fn one_buyer_is_answered_alike_until_the_sale_changes() {
        let mut view = held_sale(60);
        let mut choose_at = |seq| {
            view.seq = EventSeq(seq);
            choose_retry_after_s(&view, BuyerId(Uuid::from_u128(1)), ORIGIN)
        };
        assert_eq!(choose_at(2), choose_at(2));
        let chosen: BTreeSet<u32> = (1..1_000).map(choose_at).collect();
        assert_eq!(chosen.len(), 15, "no buyer is always first");
    }
}
