//! Estimates of the wait, compared with the true waits in simulated sales: many crowds, each from a seed, which a failure prints.

#![expect(clippy::unwrap_used, reason = "a test program: what fails ends it")]

use sale::{
    AdmissionMode, BuyerId, Command, CommandOutcome, Event, LineMoment, LinePosition, Money, OrderId,
    OrderStatus, Policy, ReleaseReason, SaleState, Timestamp,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use uuid::Uuid;

const START: Timestamp = Timestamp(1_000_000_000);
/// A buyer without an estimate asks again after this time.
const ASK_AGAIN_MS: i64 = 5_000;
/// An estimate that is this near the true wait is good, whatever its share.
const NEAR_S: f64 = 10.0;

/// Numbers from a seed (SplitMix64).
struct SeededNumbers(u64);

impl SeededNumbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % (high - low + 1).unsigned_abs()).unwrap()
    }

    fn units(&mut self, low: u32, high: u32) -> u32 {
        u32::try_from(self.between(i64::from(low), i64::from(high))).unwrap()
    }

    fn percent(&mut self, share: i64) -> bool {
        self.between(1, 100) <= share
    }
}

/// What a simulated buyer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum BuyerAction {
    Join,
    Ask,
    Leave,
    Order,
    Confirm,
    Cancel,
}

#[derive(Clone, Copy, Default)]
struct SimulatedBuyer {
    leaves_early: bool,
    /// The first estimate after the start, and when it was given.
    estimate: Option<(Timestamp, u64)>,
    admitted_at: Option<Timestamp>,
}

/// How good the estimates of a sale were.
#[derive(Debug, Default)]
struct EstimateScore {
    given: u32,
    good: u32,
    /// Buyers who were admitted and got no estimate before.
    admitted_without: u32,
}

struct SimulatedSale {
    numbers: SeededNumbers,
    state: SaleState,
    policy: Policy,
    buyers: Vec<SimulatedBuyer>,
    agenda: BinaryHeap<Reverse<(Timestamp, BuyerAction, usize)>>,
    abandons_percent: i64,
    takes_all_percent: i64,
}

impl SimulatedSale {
    fn new(seed: u64) -> Self {
        let mut numbers = SeededNumbers(seed);
        let quantity = numbers.units(20, 400);
        let policy = Policy {
            quantity,
            unit_price: Money { minor: 1_000, currency: "EUR".parse().unwrap() },
            starts_at: START,
            ends_at: START.plus_s(3_600),
            limit_per_buyer: numbers.units(1, 4),
            hold_s: numbers.units(20, 120),
            admission: AdmissionMode::Fifo {
                per_second: numbers.units(1, 10),
                checkout_s: numbers.units(20, 120),
                line_opens_s: 60,
                extension_s: 0,
            },
        };
        let people = quantity * numbers.units(3, 20) / 5;
        let over_ms = numbers.between(1_000, 120_000);
        let (leaves_percent, abandons_percent) = (numbers.between(0, 10), numbers.between(0, 40));
        let takes_all_percent = numbers.between(0, 100);
        let (mut agenda, mut buyers) = (BinaryHeap::new(), Vec::new());
        for index in 0..people as usize {
            let joins = START.plus_ms(numbers.between(-30_000.min(over_ms), over_ms));
            let leaves_early = numbers.percent(leaves_percent);
            agenda.push(Reverse((joins, BuyerAction::Join, index)));
            agenda.push(Reverse((
                joins.max(START).plus_ms(numbers.between(0, 1_000)),
                BuyerAction::Ask,
                index,
            )));
            if leaves_early {
                agenda.push(Reverse((
                    joins.plus_ms(numbers.between(1_000, 60_000)),
                    BuyerAction::Leave,
                    index,
                )));
            }
            buyers.push(SimulatedBuyer { leaves_early, ..SimulatedBuyer::default() });
        }
        let mut state = SaleState::new();
        let announced = Command::Configure { policy: Box::new(policy.clone()) };
        state.step(START.plus_ms(-3_600_000), &announced, &mut Vec::new());
        Self { numbers, state, policy, buyers, agenda, abandons_percent, takes_all_percent }
    }

    fn play(mut self) -> EstimateScore {
        while let Some(Reverse((at, action, index))) = self.agenda.pop() {
            while let Some(due) = self.state.next_due().filter(|due| *due < at) {
                self.step(due, &Command::Tick);
            }
            self.act(at, action, index);
        }
        let mut score = EstimateScore::default();
        for buyer in self.buyers.iter().filter(|buyer| !buyer.leaves_early) {
            match (buyer.estimate, buyer.admitted_at) {
                (Some((given_at, estimate_s)), admitted_at) => {
                    let wait_s = admitted_at.map(|at| at.ms_since(given_at) as f64 / 1_000.0);
                    score.given += 1;
                    score.good += u32::from(wait_s.is_some_and(|wait_s| is_good(estimate_s as f64, wait_s)));
                }
                (None, Some(admitted_at)) if admitted_at > START.plus_s(2) => score.admitted_without += 1,
                (None, _) => {}
            }
        }
        score
    }

    fn act(&mut self, at: Timestamp, action: BuyerAction, index: usize) {
        let (buyer, order) = (BuyerId(uuid(index)), OrderId(uuid(index)));
        match action {
            BuyerAction::Join => drop(self.step(at, &Command::Join { buyer })),
            BuyerAction::Leave => drop(self.step(at, &Command::Leave { buyer })),
            BuyerAction::Ask => self.ask(at, index),
            BuyerAction::Order => {
                let limit = self.policy.limit_per_buyer;
                let wanted = if self.numbers.percent(self.takes_all_percent) { limit } else { 1 };
                for quantity in [wanted, 1] {
                    let command = Command::Reserve { buyer, order, quantity, key: None };
                    if let CommandOutcome::Order { .. } = self.step(at, &command) {
                        let pays = !self.numbers.percent(self.abandons_percent);
                        let is_cancelled = !pays && self.numbers.percent(50);
                        let later = at.plus_ms(self.numbers.between(1_000, 15_000));
                        if pays || is_cancelled {
                            let next = if pays { BuyerAction::Confirm } else { BuyerAction::Cancel };
                            self.agenda.push(Reverse((later, next, index)));
                        }
                        return;
                    }
                }
            }
            BuyerAction::Confirm => {
                self.step(at, &Command::Confirm { buyer, order });
            }
            BuyerAction::Cancel => {
                self.step(at, &Command::Release { buyer, order, reason: ReleaseReason::Cancelled });
            }
        }
    }

    /// Asks for the place, as a page does until it has an estimate.
    fn ask(&mut self, at: Timestamp, index: usize) {
        let view = self.state.buyer(BuyerId(uuid(index)));
        let (Some(ticket), Some(LinePosition::Waiting { position })) = (view.ticket, view.place) else {
            return;
        };
        let (counters, switches) = (self.state.counters(), self.state.switches());
        let moment = LineMoment { policy: &self.policy, counters, switches, now: at };
        match moment.estimate_wait_s(ticket, position) {
            Some(estimate_s) => {
                assert!(
                    position <= counters.unsold(),
                    "an estimate behind all units: {counters:?}, {position}"
                );
                assert!(counters.available > 0, "an estimate while nothing is free: {counters:?}");
                self.buyers[index].estimate = Some((at, estimate_s));
            }
            None if at < self.policy.ends_at => {
                self.agenda.push(Reverse((at.plus_ms(ASK_AGAIN_MS), BuyerAction::Ask, index)));
            }
            None => {}
        }
    }

    fn step(&mut self, at: Timestamp, command: &Command) -> CommandOutcome {
        let mut entries = Vec::new();
        let outcome = self.state.step(at, command, &mut entries);
        for entry in entries {
            if let Event::Admitted { buyer, .. } = entry.event {
                let index = usize::try_from(buyer.0.as_u128()).unwrap();
                self.buyers[index].admitted_at = Some(entry.at);
                if !self.buyers[index].leaves_early {
                    let orders_at = entry.at.plus_ms(self.numbers.between(500, 8_000));
                    self.agenda.push(Reverse((orders_at, BuyerAction::Order, index)));
                }
            }
        }
        outcome
    }
}

fn uuid(index: usize) -> Uuid {
    Uuid::from_u128(index as u128)
}

fn is_good(estimate_s: f64, wait_s: f64) -> bool {
    (estimate_s - wait_s).abs() <= NEAR_S || (estimate_s <= 2.0 * wait_s && wait_s <= 2.0 * estimate_s)
}

#[test]
fn nine_of_ten_first_estimates_are_good_in_simulated_sales() {
    let (mut all, mut worst) = (EstimateScore::default(), (1.0, 0));
    for seed in 0..40 {
        let score = SimulatedSale::new(seed).play();
        let share = f64::from(score.good) / f64::from(score.given.max(1));
        if score.given >= 30 && share < worst.0 {
            worst = (share, seed);
        }
        all.given += score.given;
        all.good += score.good;
        all.admitted_without += score.admitted_without;
    }
    assert!(all.given > 4_000, "{all:?}");
    assert!(f64::from(all.good) >= 0.95 * f64::from(all.given), "{all:?}");
    assert!(worst.0 >= 0.7, "seed {}: {} of the estimates were good", worst.1, worst.0);
    // The others wait for units that come back, and nobody can say when.
    assert!(all.admitted_without < all.given / 2, "too many got no estimate: {all:?}");
}

#[test]
fn the_pace_is_the_truth_where_everyone_buys_at_once() {
    let policy = Policy {
        quantity: 50,
        unit_price: Money { minor: 1_000, currency: "EUR".parse().unwrap() },
        starts_at: START,
        ends_at: START.plus_s(3_600),
        limit_per_buyer: 1,
        hold_s: 60,
        admission: AdmissionMode::Fifo { per_second: 1, checkout_s: 60, line_opens_s: 60, extension_s: 0 },
    };
    let mut state = SaleState::new();
    let mut entries = Vec::new();
    state.step(
        START.plus_ms(-60_000),
        &Command::Configure { policy: Box::new(policy.clone()) },
        &mut entries,
    );
    for index in 0..60 {
        state.step(START.plus_ms(-30_000), &Command::Join { buyer: BuyerId(uuid(index)) }, &mut entries);
    }
    let estimates: Vec<Option<u64>> = (0..60)
        .map(|index| {
            let view = state.buyer(BuyerId(uuid(index)));
            let Some(LinePosition::Waiting { position }) = view.place else { panic!("{view:?}") };
            let (counters, switches, now) = (state.counters(), state.switches(), START.plus_ms(-30_000));
            LineMoment { policy: &policy, counters, switches, now }.estimate_wait_s(view.ticket?, position)
        })
        .collect();
    while let Some(due) = state.next_due() {
        state.step(due, &Command::Tick, &mut entries);
        if let Some(admitted) = entries.iter().find_map(|entry| match entry.event {
            Event::Admitted { buyer, .. } => Some((buyer, entry.at)),
            _ => None,
        }) {
            let (buyer, at) = admitted;
            let order = OrderId(buyer.0);
            state.step(at, &Command::Reserve { buyer, order, quantity: 1, key: None }, &mut entries);
            state.step(at, &Command::Confirm { buyer, order }, &mut entries);
            assert_eq!(state.order(order).map(|order| order.status), Some(OrderStatus::Confirmed));
            let index = usize::try_from(buyer.0.as_u128()).unwrap();
            let wait_ms = at.ms_since(START.plus_ms(-30_000));
            assert_eq!(estimates[index], Some(wait_ms.unsigned_abs() / 1_000), "buyer {index}");
        }
        entries.clear();
    }
    assert_eq!(state.counters().sold, 50);
    assert_eq!(estimates[50..], [None; 10], "ten buyers are behind the units");
}
