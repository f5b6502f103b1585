//! Faults of an engine: each does one thing wrong, as a careless change of the law would, and never anything else.

use engine::SaleView;
use engine::decide::Reply;
use sale::{
    Command, CommandOutcome, Event, LineMember, LinePosition, OrderStatus, OrderView, Refusal, ReleaseCause,
    SaleState, Timestamp, UnitSource,
};

/// A fault of an engine: a hook for each step of a decision.
pub trait EngineFault: Send + Sync + 'static {
    /// Before a command is decided.
    fn before_decision(&mut self, _: &mut Command) {}

    /// After the law has decided it, and before its events are applied.
    fn after_decision(&mut self, _: &DecisionContext<'_>, _: &mut CommandOutcome, _: &mut Vec<Event>) {}

    /// The events that are applied to the state in place of one.
    fn change_event(&mut self, event: &Event) -> Vec<Event> {
        vec![event.clone()]
    }

    /// Whether an event is left out of the ledger, though its caller gets a reply.
    fn loses_event(&mut self, _: &Event) -> bool {
        false
    }

    /// Before a reply is sent.
    fn change_reply(&mut self, _: Timestamp, _: &mut Reply) {}

    /// Before a view is published.
    fn change_view(&self, _: &mut SaleView) {}
}

/// A command, and the state that it was decided on.
pub struct DecisionContext<'a> {
    pub state: &'a SaleState,
    pub now: Timestamp,
    pub command: &'a Command,
}

/// The engine without a fault.
pub struct NoFault;

impl EngineFault for NoFault {}

/// Counts one unit more than there is, and does not show it.
pub struct OversellFault;

impl EngineFault for OversellFault {
    fn change_event(&mut self, event: &Event) -> Vec<Event> {
        let mut event = event.clone();
        if let Event::Configured { policy } = &mut event {
            policy.quantity += 1;
        }
        vec![event]
    }

    fn change_view(&self, view: &mut SaleView) {
        view.counters.quantity -= 1;
        view.counters.available = view.counters.available.saturating_sub(1);
    }
}

/// Admits the last in line before the first.
pub struct AdmissionOrderFault;

impl EngineFault for AdmissionOrderFault {
    fn after_decision(
        &mut self,
        scene: &DecisionContext<'_>,
        _: &mut CommandOutcome,
        events: &mut Vec<Event>,
    ) {
        let line = scene.state.line_members(None, usize::MAX);
        let mut waiting = line.iter().filter(|member| matches!(member.place, LinePosition::Waiting { .. }));
        for event in events {
            if let Event::Admitted { buyer, ticket, .. } = event
                && let Some(LineMember { buyer: last, ticket: number, .. }) = waiting.next_back()
            {
                (*buyer, *ticket) = (*last, *number);
            }
        }
    }
}

/// Answers one payment whose event it never records.
#[derive(Default)]
pub struct LostSaleFault {
    has_lost: bool,
}

impl EngineFault for LostSaleFault {
    fn loses_event(&mut self, event: &Event) -> bool {
        let loses = matches!(event, Event::Confirmed { .. }) && !self.has_lost;
        self.has_lost |= loses;
        loses
    }
}

/// Confirms an expired hold, also when its unit is another buyer's.
pub struct LateConfirmFault;

impl EngineFault for LateConfirmFault {
    fn after_decision(
        &mut self,
        scene: &DecisionContext<'_>,
        outcome: &mut CommandOutcome,
        events: &mut Vec<Event>,
    ) {
        let (Command::Confirm { buyer, order } | Command::BeginPayment { buyer, order }) = *scene.command
        else {
            return;
        };
        let Some(view) = scene.state.order(order) else { return };
        if view.status != OrderStatus::Expired || *outcome != CommandOutcome::Refused(Refusal::OrderExpired) {
            return;
        }
        if matches!(scene.command, Command::BeginPayment { .. }) {
            let status = OrderStatus::Pending { until: scene.now.plus_s(60), paying_until: None };
            *outcome = CommandOutcome::Order { order: OrderView { status, ..view }, repeated: true };
            return;
        }
        let quantity = view.quantity;
        events.push(Event::Confirmed { buyer, order, quantity, from: UnitSource::Stock, key: None });
        let order = OrderView { changed_at: scene.now, status: OrderStatus::Confirmed, ..view };
        *outcome = CommandOutcome::Order { order, repeated: false };
    }

    fn change_reply(&mut self, now: Timestamp, result: &mut Reply) {
        if let Reply::Order(Some((_, view))) = result
            && view.status == OrderStatus::Expired
        {
            view.status = OrderStatus::Pending { until: now.plus_s(60), paying_until: None };
        }
    }
}

/// Forgets idempotency keys.
pub struct ForgottenKeyFault;

impl EngineFault for ForgottenKeyFault {
    fn before_decision(&mut self, command: &mut Command) {
        if let Command::Reserve { key, .. } = command {
            *key = None;
        }
    }
}

/// Shows one held unit as free.
pub struct WrongCountersFault;

impl EngineFault for WrongCountersFault {
    fn change_view(&self, view: &mut SaleView) {
        if view.counters.held > 0 {
            view.counters.held -= 1;
            view.counters.available += 1;
        }
    }
}

/// Loses the unit of the first hold that runs out: the state takes it for sold.
#[derive(Default)]
pub struct UnitLeakFault {
    has_leaked: bool,
}

impl EngineFault for UnitLeakFault {
    fn change_event(&mut self, event: &Event) -> Vec<Event> {
        let Event::Released { reason: ReleaseCause::Expired, buyer, order, quantity } = *event else {
            return vec![event.clone()];
        };
        if std::mem::replace(&mut self.has_leaked, true) {
            return vec![event.clone()];
        }
        vec![Event::Refunded { buyer, order, quantity, restocked: false }]
    }
}

/// Replies "sold out" while the rest is only held.
pub struct DeniedRestFault;

impl EngineFault for DeniedRestFault {
    fn after_decision(&mut self, _: &DecisionContext<'_>, outcome: &mut CommandOutcome, _: &mut Vec<Event>) {
        if *outcome == CommandOutcome::Refused(Refusal::AllHeld) {
            *outcome = CommandOutcome::Refused(Refusal::SoldOut);
        }
    }
}

/// Replies with a later position each time.
#[derive(Default)]
pub struct BackwardPositionFault {
    asked: u32,
}

impl EngineFault for BackwardPositionFault {
    fn change_reply(&mut self, _: Timestamp, result: &mut Reply) {
        if let Reply::Buyer(view) = result
            && let Some(LinePosition::Waiting { position }) = &mut view.place
        {
            *position += self.asked;
            self.asked += 1;
        }
    }
}
