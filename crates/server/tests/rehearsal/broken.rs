//! What can be broken in an engine: each fault does one thing wrong, as a careless change of the law would, and everything
//! else right.

use engine::SaleView;
use engine::decide::Reply;
use sale::{
    Command, CommandOutcome, Event, LineMember, LinePosition, OrderStatus, OrderView, Refusal, ReleaseCause,
    SaleState, Timestamp, UnitSource,
};

/// A fault of an engine, by the steps at which it may strike.
pub trait Fault: Send + Sync + 'static {
    /// Before a command is decided.
    fn asked(&mut self, _: &mut Command) {}

    /// After it was decided by the law, and before it is applied.
    fn decided(&mut self, _: &Scene<'_>, _: &mut CommandOutcome, _: &mut Vec<Event>) {}

    /// What the state makes of an event.
    fn applied(&mut self, event: &Event) -> Vec<Event> {
        vec![event.clone()]
    }

    /// Whether an event does not reach the ledger, though its caller is answered.
    fn loses(&mut self, _: &Event) -> bool {
        false
    }

    /// What is told.
    fn told(&mut self, _: Timestamp, _: &mut Reply) {}

    /// What is shown to everyone.
    fn shown(&self, _: &mut SaleView) {}
}

/// What is decided, and upon what.
pub struct Scene<'a> {
    pub state: &'a SaleState,
    pub now: Timestamp,
    pub command: &'a Command,
}

/// Nothing is broken.
pub struct Nothing;

impl Fault for Nothing {}

/// Counts one unit more than there is, and does not show it.
pub struct Oversells;

impl Fault for Oversells {
    fn applied(&mut self, event: &Event) -> Vec<Event> {
        let mut event = event.clone();
        if let Event::Configured { policy } = &mut event {
            policy.quantity += 1;
        }
        vec![event]
    }

    fn shown(&self, view: &mut SaleView) {
        view.counters.quantity -= 1;
        view.counters.available = view.counters.available.saturating_sub(1);
    }
}

/// Admits the last in line before the first.
pub struct OutOfOrder;

impl Fault for OutOfOrder {
    fn decided(&mut self, scene: &Scene<'_>, _: &mut CommandOutcome, events: &mut Vec<Event>) {
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
pub struct LosesASale {
    has_lost: bool,
}

impl Fault for LosesASale {
    fn loses(&mut self, event: &Event) -> bool {
        let loses = matches!(event, Event::Confirmed { .. }) && !self.has_lost;
        self.has_lost |= loses;
        loses
    }
}

/// Takes an expired hold for good, also when its unit has gone on.
pub struct ConfirmsLate;

impl Fault for ConfirmsLate {
    fn decided(&mut self, scene: &Scene<'_>, outcome: &mut CommandOutcome, events: &mut Vec<Event>) {
        let Command::Confirm { buyer, order } = *scene.command else { return };
        let Some(view) = scene.state.order(order) else { return };
        if view.status != OrderStatus::Expired || *outcome != CommandOutcome::Refused(Refusal::OrderExpired) {
            return;
        }
        let quantity = view.quantity;
        events.push(Event::Confirmed { buyer, order, quantity, from: UnitSource::Stock, key: None });
        let order = OrderView { changed_at: scene.now, status: OrderStatus::Confirmed, ..view };
        *outcome = CommandOutcome::Order { order, repeated: false };
    }

    fn told(&mut self, now: Timestamp, told: &mut Reply) {
        if let Reply::Order(Some((_, view))) = told
            && view.status == OrderStatus::Expired
        {
            view.status = OrderStatus::Pending { until: now.plus_s(60) };
        }
    }
}

/// Does not know a request again.
pub struct ForgetsKeys;

impl Fault for ForgetsKeys {
    fn asked(&mut self, command: &mut Command) {
        if let Command::Reserve { key, .. } = command {
            *key = None;
        }
    }
}

/// Shows one held unit as free.
pub struct WrongSums;

impl Fault for WrongSums {
    fn shown(&self, view: &mut SaleView) {
        if view.counters.held > 0 {
            view.counters.held -= 1;
            view.counters.available += 1;
        }
    }
}

/// Loses the unit of the first hold that runs out: the state takes it for sold.
#[derive(Default)]
pub struct Leaks {
    has_leaked: bool,
}

impl Fault for Leaks {
    fn applied(&mut self, event: &Event) -> Vec<Event> {
        let Event::Released { reason: ReleaseCause::Expired, buyer, order, quantity } = *event else {
            return vec![event.clone()];
        };
        if std::mem::replace(&mut self.has_leaked, true) {
            return vec![event.clone()];
        }
        vec![Event::Refunded { buyer, order, quantity, restocked: false }]
    }
}

/// Says "sold out" where the rest is only in other carts.
pub struct DeniesTheRest;

impl Fault for DeniesTheRest {
    fn decided(&mut self, _: &Scene<'_>, outcome: &mut CommandOutcome, _: &mut Vec<Event>) {
        if *outcome == CommandOutcome::Refused(Refusal::AllHeld) {
            *outcome = CommandOutcome::Refused(Refusal::SoldOut);
        }
    }
}

/// Tells each who asks a later position than the one before.
#[derive(Default)]
pub struct MovesBack {
    asked: u32,
}

impl Fault for MovesBack {
    fn told(&mut self, _: Timestamp, told: &mut Reply) {
        if let Reply::Buyer(view) = told
            && let Some(LinePosition::Waiting { position }) = &mut view.place
        {
            *position += self.asked;
            self.asked += 1;
        }
    }
}
