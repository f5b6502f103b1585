//! Random sales: few buyers, few units, much happening at the same moment, and clocks that jump.

use proptest::prelude::*;
use sale::tape::{self, ORIGIN, Tape};
use sale::{
    AdmissionMode, BuyerId, Command, CommandOutcome, Money, Policy, ReleaseReason, SaleState, Timestamp,
};
use std::fmt;

/// A command and its moment.
pub type TimedCommand = (Timestamp, Command);

/// One random sale. Prints as a tape.
#[derive(Clone)]
pub struct Sale {
    policy: Policy,
    is_announced: bool,
    steps: Vec<(i64, Step)>,
}

/// What a buyer or the merchant does; numbers are resolved to names when the sale is played.
#[derive(Clone, Debug)]
enum Step {
    Tick,
    Join { buyer: u8 },
    Leave { buyer: u8 },
    Extend { buyer: u8 },
    Reserve { buyer: u8, quantity: u32, key: Option<u8>, repeats_order: bool },
    BeginPayment { order: usize, by_stranger: bool },
    EndPayment { order: usize, by_stranger: bool },
    Confirm { order: usize, by_stranger: bool },
    Release { order: usize, by_stranger: bool, reason: ReleaseReason },
    Refund { order: usize, restock: bool },
    Restock { quantity: u32 },
    Configure { change: Change },
    Pause,
    Resume,
    Close,
}

#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Quantity(i32),
    Hold(u32),
    EndsLater(i64),
    StartsLater(i64),
    Limit(u32),
    Extension(u32),
    Open,
}

pub fn any_sale() -> impl Strategy<Value = Sale> {
    let steps = prop::collection::vec((any_pause_ms(), any_step()), 0..60);
    (any_policy(), prop::bool::weighted(0.98), steps).prop_map(|(policy, is_announced, steps)| Sale {
        policy,
        is_announced,
        steps,
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let fifo = (1..=3u32, 1..=4u32, 0..=3u32, 0..=3u32).prop_map(
        |(per_second, checkout_s, line_opens_s, extension_s)| AdmissionMode::Fifo {
            per_second,
            checkout_s,
            line_opens_s,
            extension_s,
        },
    );
    let admission = prop_oneof![2 => Just(AdmissionMode::Open), 5 => fifo];
    let hold_s = prop_oneof![1 => Just(0u32), 2 => Just(1), 3 => Just(3), 1 => Just(10)];
    (1..=4u32, 0..2_000i64, 3_000..40_000i64, 1..=3u32, hold_s, admission).prop_map(
        |(quantity, starts_ms, lasts_ms, limit_per_buyer, hold_s, admission)| {
            let starts_at = ORIGIN.plus_ms(starts_ms);
            let unit_price = Money { minor: 1_000, currency: "EUR".parse().expect("EUR is a currency") };
            let ends_at = starts_at.plus_ms(lasts_ms);
            Policy { quantity, unit_price, starts_at, ends_at, limit_per_buyer, hold_s, admission }
        },
    )
}

/// Milliseconds until the next step: mostly none or few, sometimes long, sometimes a clock that is set back.
fn any_pause_ms() -> impl Strategy<Value = i64> {
    prop_oneof![
        10 => Just(0),
        8 => 1..400i64,
        6 => 400..1_500i64,
        2 => 1_500..6_000i64,
        // As long as a payment may prolong a hold.
        1 => 55_000..75_000i64,
        2 => -3_000..0i64,
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let buyer = || 0..5u8;
    let key = prop::option::weighted(0.4, 0..4u8);
    let quantity = prop_oneof![1 => Just(0u32), 20 => Just(1), 6 => Just(2), 2 => Just(3)];
    let rare = || prop::bool::weighted(0.05);
    let reason = prop_oneof![Just(ReleaseReason::Cancelled), Just(ReleaseReason::Declined)];
    let change = prop_oneof![
        Just(Change::Nothing),
        (-2..=2i32).prop_map(Change::Quantity),
        (0..=4u32).prop_map(Change::Hold),
        (-2_000..=8_000i64).prop_map(Change::EndsLater),
        (-1_000..=1_000i64).prop_map(Change::StartsLater),
        (0..=3u32).prop_map(Change::Limit),
        (0..=4u32).prop_map(Change::Extension),
        Just(Change::Open),
    ];
    prop_oneof![
        10 => Just(Step::Tick),
        22 => buyer().prop_map(|buyer| Step::Join { buyer }),
        4 => buyer().prop_map(|buyer| Step::Leave { buyer }),
        6 => buyer().prop_map(|buyer| Step::Extend { buyer }),
        26 => (buyer(), quantity, key, rare()).prop_map(|(buyer, quantity, key, repeats_order)| Step::Reserve {
            buyer,
            quantity,
            key,
            repeats_order
        }),
        10 => (0..12usize, rare()).prop_map(|(order, by_stranger)| Step::BeginPayment { order, by_stranger }),
        7 => (0..12usize, rare()).prop_map(|(order, by_stranger)| Step::EndPayment { order, by_stranger }),
        14 => (0..12usize, rare()).prop_map(|(order, by_stranger)| Step::Confirm { order, by_stranger }),
        8 => (0..12usize, rare(), reason).prop_map(|(order, by_stranger, reason)| Step::Release {
            order,
            by_stranger,
            reason
        }),
        5 => (0..12usize, any::<bool>()).prop_map(|(order, restock)| Step::Refund { order, restock }),
        2 => (0..=2u32).prop_map(|quantity| Step::Restock { quantity }),
        3 => change.prop_map(|change| Step::Configure { change }),
        2 => Just(Step::Pause),
        3 => Just(Step::Resume),
        1 => Just(Step::Close),
    ]
}

impl Sale {
    /// The whole history, with names for numbers.
    pub fn commands(&self) -> Vec<TimedCommand> {
        let mut players =
            HistoryBuilder { policy: self.policy.clone(), orders: Vec::new(), state: SaleState::new() };
        let mut at = ORIGIN.plus_ms(-4_000);
        let mut commands = Vec::new();
        if self.is_announced {
            commands.push((at, Command::Configure { policy: Box::new(self.policy.clone()) }));
        }
        at = ORIGIN.plus_ms(-2_000);
        for (pause_ms, step) in &self.steps {
            at = at.plus_ms(*pause_ms);
            let command = players.command(step);
            players.step_state(at, &command);
            commands.push((at, command));
        }
        commands
    }
}

/// The orders made so far, so that most commands fit something. Only orders that were made are numbered: a step that
/// changes nothing can be taken out of a failing history without changing what the others mean.
struct HistoryBuilder {
    policy: Policy,
    orders: Vec<u8>,
    state: SaleState,
}

impl HistoryBuilder {
    fn command(&mut self, step: &Step) -> Command {
        let buyer = buyer_named;
        match *step {
            Step::Tick => Command::Tick,
            Step::Join { buyer: number } => Command::Join { buyer: buyer(number) },
            Step::Leave { buyer: number } => Command::Leave { buyer: buyer(number) },
            Step::Extend { buyer: number } => Command::Extend { buyer: buyer(number) },
            Step::Reserve { buyer: number, quantity, key, repeats_order } => {
                let order = tape::order(&format!("o{}", self.orders.len() + usize::from(!repeats_order)));
                let key = key.map(|key| tape::key(&format!("k{key}")));
                Command::Reserve { buyer: buyer(number), order, quantity, key }
            }
            Step::BeginPayment { order, by_stranger } => {
                let (order, owner) = self.pick(order, by_stranger);
                Command::BeginPayment { buyer: buyer(owner), order }
            }
            Step::EndPayment { order, by_stranger } => {
                let (order, owner) = self.pick(order, by_stranger);
                Command::EndPayment { buyer: buyer(owner), order }
            }
            Step::Confirm { order, by_stranger } => {
                let (order, owner) = self.pick(order, by_stranger);
                Command::Confirm { buyer: buyer(owner), order }
            }
            Step::Release { order, by_stranger, reason } => {
                let (order, owner) = self.pick(order, by_stranger);
                Command::Release { buyer: buyer(owner), order, reason }
            }
            Step::Refund { order, restock } => Command::Refund { order: self.pick(order, false).0, restock },
            Step::Restock { quantity } => {
                self.policy.quantity += quantity;
                Command::Restock { quantity }
            }
            Step::Configure { ref change } => Command::Configure { policy: Box::new(self.changed(change)) },
            Step::Pause => Command::Pause,
            Step::Resume => Command::Resume,
            Step::Close => Command::Close,
        }
    }

    fn step_state(&mut self, at: Timestamp, command: &Command) {
        let outcome = self.state.step(at, command, &mut Vec::new());
        if let (Command::Reserve { buyer, .. }, CommandOutcome::Order { repeated: false, .. }) =
            (command, outcome)
        {
            self.orders.extend((0..5).find(|number| buyer_named(*number) == *buyer));
        }
    }

    /// One of the last orders made, and its owner or another buyer.
    fn pick(&self, back: usize, by_stranger: bool) -> (sale::OrderId, u8) {
        let number = self.orders.len().saturating_sub(back).max(1);
        let owner = self.orders.get(number - 1).copied().unwrap_or(0);
        (tape::order(&format!("o{number}")), if by_stranger { owner + 1 } else { owner })
    }

    fn changed(&mut self, change: &Change) -> Policy {
        let mut policy = self.policy.clone();
        match *change {
            Change::Nothing => {}
            Change::Quantity(by) => policy.quantity = policy.quantity.saturating_add_signed(by),
            Change::Hold(hold_s) => policy.hold_s = hold_s,
            Change::EndsLater(ms) => policy.ends_at = policy.ends_at.plus_ms(ms),
            Change::StartsLater(ms) => policy.starts_at = policy.starts_at.plus_ms(ms),
            Change::Limit(limit) => policy.limit_per_buyer = limit,
            Change::Extension(to) => {
                if let AdmissionMode::Fifo { extension_s, .. } = &mut policy.admission {
                    *extension_s = to;
                }
            }
            Change::Open => policy.admission = AdmissionMode::Open,
        }
        if matches!(change, Change::Hold(_)) || matches!(change, Change::Quantity(by) if *by > 0) {
            self.policy = policy.clone();
        }
        policy
    }
}

fn buyer_named(number: u8) -> BuyerId {
    tape::buyer(["ann", "bob", "cem", "dea", "eve"][usize::from(number % 5)])
}

impl fmt::Debug for Sale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::panic::catch_unwind(|| Tape::record(&mut SaleState::new(), self.commands())) {
            Ok(tape) => write!(f, "a sale that went like this:\n\n{tape}\n"),
            Err(_) => write!(f, "a sale that panics: {:?}, then {:?}", self.policy, self.steps),
        }
    }
}
