//! The moment at which a view says that a unit comes back by itself, in random histories: it does so then, not before, and no moment is
//! named where nothing can come back.

use crate::history::any_sale;
use crate::support::sale_id;
use engine::SaleView;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngAlgorithm};
use sale::{Command, Event, SaleState, Timestamp};
use std::sync::Arc;

/// Histories a run.
const CASES: u32 = 1_000;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_view_names_the_first_moment_at_which_a_unit_comes_back_by_itself(sale in any_sale()) {
        let mut state = SaleState::new();
        for (at, command) in sale.commands() {
            state.step(at, &command, &mut Vec::new());
            check_view(&state)?;
        }
    }
}

fn check_view(state: &SaleState) -> Result<(), TestCaseError> {
    let Some(policy) = state.policy().cloned() else { return Ok(()) };
    let view = SaleView::from_state(sale_id(1), state, Arc::new(policy));
    let (clock, counters) = (state.latest_time(), state.counters());
    match view.next_return_at {
        Some(at) => {
            prop_assert_eq!(counters.available, 0);
            prop_assert!(counters.held + counters.admitted > 0, "nothing can come back");
            prop_assert!(comes_back(state, at), "nothing comes back at {:?}", at);
            prop_assert!(at == clock || !comes_back(state, at.plus_ms(-1)), "one comes back before {:?}", at);
        }
        None if counters.available > 0 => {}
        None => prop_assert!(!comes_back(state, Timestamp::MAX), "one comes back, though no moment is named"),
    }
    Ok(())
}

/// Whether a hold or an admission has ended by this moment.
fn comes_back(state: &SaleState, by: Timestamp) -> bool {
    let mut events = Vec::new();
    state.decide(by, &Command::Tick, &mut events);
    events.iter().any(|event| matches!(event, Event::Released { .. } | Event::Lapsed { .. }))
}
