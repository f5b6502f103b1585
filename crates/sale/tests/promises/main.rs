//! Every promise of the law, in twenty thousand random sales, after every event.
//!
//! A failure prints the shortest history that shows it, as a tape: paste it into `tapes/`, with the answers that should
//! have come. The seed is kept in `tests/promises/main.regressions` and tried first from then on.

mod history;

use history::{Sale, TimedCommand};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngAlgorithm};
use sale::{
    BuyerId, BuyerView, Command, CommandOutcome, Event, EventSeq, LedgerAuditor, LedgerEntry, LineMember,
    LinePosition, OrderView, Refusal, ReleaseCause, RequestKey, SaleCounters, SaleState, Timestamp,
    WaitingTickets,
};

/// Histories a run of the main property.
const CASES: u32 = 20_000;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        // The default, ChaCha, takes seven tenths of the whole run when it is not optimised.
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn every_promise_holds_after_every_event(sale in history::any_sale()) {
        PromiseChecker::default().play(&sale.commands())?;
    }
}

proptest! {
    #![proptest_config(config(CASES / 10))]

    #[test]
    fn a_sale_continues_from_any_recorded_prefix(sale in history::any_sale(), cut in 0.0..1.0f64) {
        let commands = sale.commands();
        let mut run = PromiseChecker::default();
        run.play(&commands)?;
        let kept = share(run.entries.len(), cut);
        let mut after_crash = PromiseChecker::default();
        for entry in &run.entries[..kept] {
            after_crash.apply_entry(entry)?;
        }
        after_crash.state = after_crash.fold.clone();
        after_crash.play(&commands)?;
    }

    #[test]
    fn more_ticks_change_nothing(sale in history::any_sale()) {
        let (mut quiet, mut ticked) = (SaleState::new(), SaleState::new());
        let (mut quiet_entries, mut ticked_entries) = (Vec::new(), Vec::new());
        for (at, command) in sale.commands() {
            let answer = quiet.step(at, &command, &mut quiet_entries);
            ticked.step(at, &Command::Tick, &mut ticked_entries);
            prop_assert_eq!(answer, ticked.step(at, &command, &mut ticked_entries));
        }
        prop_assert_eq!(quiet_entries, ticked_entries);
    }

    /// The ledger lacks entries and the sale continues: counts still agree, nothing panics, and nothing is
    /// sold beyond the quantity.
    #[test]
    fn a_ledger_with_holes_still_adds_up(sale in history::any_sale(), holes in prop::collection::vec(0.0..1.0f64, 1..4)) {
        let commands = sale.commands();
        let mut run = PromiseChecker::default();
        run.play(&commands)?;
        let lost: Vec<usize> = holes.iter().map(|hole| share(run.entries.len(), *hole)).collect();
        let mut state = SaleState::new();
        for (index, entry) in run.entries.iter().enumerate() {
            if !lost.contains(&index) {
                state.apply(entry);
                prop_assert_eq!(state.check(), Ok(()));
            }
        }
        let sold = state.counters().sold.max(state.counters().quantity);
        for (at, command) in &commands {
            state.step(*at, command, &mut Vec::new());
            prop_assert_eq!(state.check(), Ok(()));
            check_due(&state)?;
        }
        let SaleCounters { quantity, sold: sold_after, .. } = state.counters();
        prop_assert!(sold_after <= quantity.max(sold), "sold {sold_after} of {quantity}");
    }

    /// Any entries at all, in any order, with any numbers: applying never panics, and the counts agree.
    #[test]
    fn a_ledger_of_nonsense_is_taken_without_panic(
        sale in history::any_sale(),
        order in prop::collection::vec((0.0..1.0f64, 0u64..3, -5_000i64..5_000), 0..60),
    ) {
        let mut run = PromiseChecker::default();
        run.play(&sale.commands())?;
        let (mut state, mut auditor, mut seq) = (SaleState::new(), LedgerAuditor::allowing_gaps(), EventSeq(0));
        for (which, skip, late_ms) in order {
            let Some(entry) = run.entries.get(share(run.entries.len(), which)) else { continue };
            seq = EventSeq(seq.0 + skip);
            let entry = LedgerEntry { seq, at: entry.at.plus_ms(late_ms), event: entry.event.clone() };
            state.apply(&entry);
            auditor.read_entry(&entry);
            prop_assert_eq!(state.seq(), seq);
        }
    }
}

/// The index at a share of a length.
fn share(len: usize, share: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small length")]
    let index = (share * len as f64) as usize;
    index
}

/// One sale as it is stepped, as it is folded from its entries, and as the auditor reads it.
#[derive(Default)]
struct PromiseChecker {
    state: SaleState,
    fold: SaleState,
    auditor: LedgerAuditor,
    /// The same ledger as a reader without orders and buyers folds it.
    counters: SaleCounters,
    waiting: WaitingTickets,
    entries: Vec<LedgerEntry>,
    /// Accepted requests with a key: buyer, key, quantity and order.
    accepted: Vec<(BuyerId, RequestKey, u32, OrderView)>,
}

impl PromiseChecker {
    fn play(&mut self, commands: &[TimedCommand]) -> Result<(), TestCaseError> {
        for (number, (at, command)) in commands.iter().enumerate() {
            check_due(&self.state)?;
            if number % 4 == 1 {
                check_unticked(&self.state, *at, command)?;
            }
            let now = (*at).max(self.state.latest_time());
            let mut entries = Vec::new();
            let outcome = self.state.step(*at, command, &mut entries);
            self.check_answer(now, command, &outcome, &entries)?;
            for entry in &entries {
                prop_assert_eq!(entry.at, now, "time never runs backwards");
                self.apply_entry(entry)?;
            }
            // A whole picture costs as much as all other checks together: every fourth command, and the last.
            if number % 4 == 0 || number + 1 == commands.len() {
                let (stepped, folded) =
                    (StateSnapshot::from_state(&self.state), StateSnapshot::from_state(&self.fold));
                prop_assert_eq!(stepped, folded, "the state is the fold of its entries");
            }
            self.check_keys(now, command, &outcome)?;
            self.check_admitted(now)?;
        }
        Ok(())
    }

    /// One more event: every promise holds after it, by two independent counts.
    fn apply_entry(&mut self, entry: &LedgerEntry) -> Result<(), TestCaseError> {
        self.fold.apply(entry);
        self.auditor.read_entry(entry);
        self.counters.apply(&entry.event);
        self.waiting.apply(&entry.event);
        self.entries.push(entry.clone());
        prop_assert_eq!(self.fold.check(), Ok(()));
        let broken: Vec<_> = self.auditor.first_offences().collect();
        prop_assert!(broken.is_empty(), "{:?}", broken);
        prop_assert_eq!(self.fold.counters(), self.auditor.counters());
        prop_assert_eq!(self.fold.counters(), self.counters);
        for member in self.fold.line_members(None, usize::MAX) {
            let LinePosition::Waiting { position } = member.place else { continue };
            prop_assert_eq!(self.waiting.position(member.ticket), Some(position));
        }
        let SaleCounters { quantity, available, admitted, held, sold, short, .. } = self.fold.counters();
        prop_assert_eq!((available + admitted + held + sold, short), (quantity, 0));
        Ok(())
    }

    fn check_answer(
        &self,
        now: Timestamp,
        command: &Command,
        outcome: &CommandOutcome,
        entries: &[LedgerEntry],
    ) -> Result<(), TestCaseError> {
        let is_from_tick = |entry: &LedgerEntry| {
            let expired = matches!(entry.event, Event::Released { reason: ReleaseCause::Expired, .. });
            expired || matches!(entry.event, Event::Lapsed { .. } | Event::Admitted { .. })
        };
        let own = entries.iter().filter(|entry| !is_from_tick(entry)).count();
        let is_free = is_nothing_new(outcome);
        prop_assert!(own <= 1 && (own == 0 || !is_free), "{:?} came with {:?}", outcome, entries);
        if let CommandOutcome::Order { order, .. } = outcome {
            prop_assert_eq!(self.state.order(order.id), Some(*order));
        }
        // A second `decide` repeats, refuses or finds it done already: deciding changes nothing.
        let mut events = Vec::new();
        let again = self.state.decide(now, command, &mut events);
        let mut same = Vec::new();
        prop_assert_eq!(&again, &self.state.decide(now, command, &mut same));
        prop_assert_eq!(&events, &same);
        if is_nothing_new(&again) {
            prop_assert_eq!(events, vec![]);
        }
        if let (Command::Extend { buyer }, CommandOutcome::Extended { ticket, until, .. }) =
            (command, outcome)
        {
            let place = Some(LinePosition::Admitted { until: *until, extension_s: 0 });
            let BuyerView { ticket: own, place: stands, .. } = self.state.buyer(*buyer);
            prop_assert_eq!((own, stands), (Some(*ticket), place));
            prop_assert_eq!(
                again,
                CommandOutcome::Extended { ticket: *ticket, until: *until, repeated: true }
            );
        }
        Ok(())
    }

    /// The same key gives the same order and changes nothing; with another quantity it is refused. For ever.
    fn check_keys(
        &mut self,
        now: Timestamp,
        command: &Command,
        outcome: &CommandOutcome,
    ) -> Result<(), TestCaseError> {
        if let Command::Reserve { buyer, key: Some(key), quantity, .. } = command
            && let CommandOutcome::Order { order, repeated: false } = outcome
        {
            self.accepted.push((*buyer, *key, *quantity, *order));
        }
        let newest = self.accepted.len().saturating_sub(2);
        for (buyer, key, quantity, made) in self.accepted.iter().take(1).chain(&self.accepted[newest..]) {
            let mut events = Vec::new();
            let mut reserve = |quantity| {
                let order = sale::tape::order("another");
                let command = Command::Reserve { buyer: *buyer, order, quantity, key: Some(*key) };
                self.state.decide(now, &command, &mut events)
            };
            prop_assert_eq!(reserve(*quantity + 1), CommandOutcome::Refused(Refusal::KeyReused));
            match reserve(*quantity) {
                CommandOutcome::Order { order, repeated: true } => {
                    prop_assert_eq!((order.id, order.buyer, order.quantity), (made.id, *buyer, *quantity));
                    prop_assert_eq!(order.made_at, made.made_at);
                }
                other => prop_assert!(false, "a repeated key was answered with {:?}", other),
            }
            prop_assert_eq!(events, vec![]);
        }
        Ok(())
    }

    /// An admitted buyer can buy now, unless other orders reached the limit.
    fn check_admitted(&self, now: Timestamp) -> Result<(), TestCaseError> {
        for LineMember { buyer, place, .. } in self.state.line_members(None, 8) {
            let LinePosition::Admitted { until, .. } = place else {
                continue;
            };
            if until <= now {
                continue;
            }
            let order = sale::tape::order("another");
            let command = Command::Reserve { buyer, order, quantity: 1, key: None };
            match self.state.decide(now, &command, &mut Vec::new()) {
                CommandOutcome::Order { .. }
                | CommandOutcome::Refused(Refusal::Paused | Refusal::LimitReached) => {}
                other => prop_assert!(false, "an admitted buyer was answered with {:?}", other),
            }
        }
        Ok(())
    }
}

/// Whether an answer says that nothing was changed.
fn is_nothing_new(outcome: &CommandOutcome) -> bool {
    matches!(
        outcome,
        CommandOutcome::Refused(_)
            | CommandOutcome::Extended { repeated: true, .. }
            | CommandOutcome::Order { repeated: true, .. }
    )
}

/// Decided without the tick that was due, a command may be unfair to the line, but no unit is given out twice by it.
fn check_unticked(state: &SaleState, at: Timestamp, command: &Command) -> Result<(), TestCaseError> {
    let (mut state, mut events) = (state.clone(), Vec::new());
    let at = at.max(state.latest_time()).plus_ms(2_000);
    state.decide(at, command, &mut events);
    for event in events {
        let seq = state.seq().next();
        state.apply(&LedgerEntry { seq, at, event });
        prop_assert_eq!(state.check(), Ok(()));
    }
    Ok(())
}

/// A tick does something at the moment that `next_due` names, and nothing before.
fn check_due(state: &SaleState) -> Result<(), TestCaseError> {
    let ticked_at = |at: Timestamp| {
        let mut events = Vec::new();
        state.decide(at, &Command::Tick, &mut events);
        events
    };
    let clock = state.latest_time();
    match state.next_due() {
        Some(due) => {
            prop_assert!(due >= clock);
            prop_assert!(!ticked_at(due).is_empty(), "nothing happens when due at {:?}", due);
            if due > clock {
                prop_assert_eq!(ticked_at(due.plus_ms(-1)), vec![], "something happens before {:?}", due);
                prop_assert_eq!(ticked_at(clock), vec![], "something happens before {:?}", due);
            }
        }
        None => {
            for later_ms in [0, 1, 999, 10_000, 86_400_000] {
                prop_assert_eq!(
                    ticked_at(clock.plus_ms(later_ms)),
                    vec![],
                    "something happens, though never due"
                );
            }
        }
    }
    Ok(())
}

/// Everything that can be read from a state.
#[derive(Debug, PartialEq)]
struct StateSnapshot {
    seq: EventSeq,
    clock: Timestamp,
    policy: Option<sale::Policy>,
    counters: SaleCounters,
    next_due: Option<Timestamp>,
    line: Vec<LineMember>,
    buyers: Vec<(BuyerId, BuyerView, Vec<OrderView>)>,
    orders: Vec<OrderView>,
}

impl StateSnapshot {
    fn from_state(state: &SaleState) -> Self {
        let buyers = state.buyers().map(|(buyer, view)| (buyer, view, state.buyer_orders(buyer).collect()));
        Self {
            seq: state.seq(),
            clock: state.latest_time(),
            policy: state.policy().cloned(),
            counters: state.counters(),
            next_due: state.next_due(),
            line: state.line_members(None, usize::MAX),
            buyers: buyers.collect(),
            orders: state.orders().collect(),
        }
    }
}

/// The generator must reach what the properties speak of: a property over sales in which nothing happens proves nothing.
#[test]
fn random_sales_reach_every_event_and_refusal() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut events, mut refusals) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for _ in 0..1_000 {
        let sale: Sale = history::any_sale().new_tree(&mut runner).unwrap().current();
        let (mut state, mut entries) = (SaleState::new(), Vec::new());
        for (at, command) in sale.commands() {
            if let CommandOutcome::Refused(refusal) = state.step(at, &command, &mut entries) {
                refusals.insert(refusal.code());
            }
        }
        events.extend(entries.iter().map(|entry| entry.event.name()));
    }
    assert_eq!(events, Event::NAMES.into());
    assert_eq!(refusals, Refusal::CODES.into());
}
