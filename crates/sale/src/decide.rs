//! The law: what a command does to a sale. Deciding reads the state and the given moment, and changes nothing.

mod line;

mod merchant;

mod orders;

mod tick;

use crate::command::Command;
use crate::event::{Event, LedgerEntry};
use crate::outcome::{CommandOutcome, Refusal};
use crate::state::SaleState;
use crate::time::Timestamp;

impl SaleState {
    /// Answers a command at a moment, and pushes the events that follow from it onto `events`: none for a refusal or a
    /// repetition. Pure: nothing is changed, and the same arguments give the same answer.
    ///
    /// It is safe to call when a tick is overdue (a hold that is over is not confirmed from it, an admission that is
    /// over buys nothing), but only [`SaleState::step`] gives freed units to the next in line first.
    pub fn decide(&self, now: Timestamp, command: &Command, events: &mut Vec<Event>) -> CommandOutcome {
        let decided = match *command {
            Command::Configure { ref policy } => self.configure(now, policy, events),
            Command::Pause => self.pause(now, events),
            Command::Resume => self.resume(events),
            Command::Close => self.close(events),
            Command::Restock { quantity } => self.restock(now, quantity, events),
            Command::Join { buyer } => self.join(now, buyer, events),
            Command::Leave { buyer } => self.leave(now, buyer, events),
            Command::Extend { buyer } => self.extend(now, buyer, events),
            Command::Reserve { buyer, order, quantity, key } => {
                self.reserve(now, &orders::ReserveCommand { buyer, order, quantity, key }, events)
            }
            Command::BeginPayment { buyer, order } => self.begin_payment(now, buyer, order, events),
            Command::EndPayment { buyer, order } => self.end_payment(now, buyer, order, events),
            Command::Confirm { buyer, order } => self.confirm(now, buyer, order, events),
            Command::Release { buyer, order, reason } => self.release(now, buyer, order, reason, events),
            Command::Refund { order, restock } => self.refund(now, order, restock, events),
            Command::Tick => {
                self.tick(now, events);
                Ok(CommandOutcome::Done)
            }
        };
        decided.unwrap_or_else(CommandOutcome::Refused)
    }

    /// Lets time pass, then decides, and applies what was decided: the one way to run the law.
    ///
    /// `now` never runs backwards: a moment before [`SaleState::latest_time`] counts as that time. Whatever is due at that moment
    /// happens before the command, so an outcome does not depend on how often the caller ticks. The new entries are pushed
    /// onto `entries`, numbered on from [`SaleState::seq`].
    pub fn step(
        &mut self,
        now: Timestamp,
        command: &Command,
        entries: &mut Vec<LedgerEntry>,
    ) -> CommandOutcome {
        let now = now.max(self.latest_time());
        if self.next_due().is_some_and(|due| due <= now) {
            self.decide_and_apply(now, &Command::Tick, entries);
        }
        self.decide_and_apply(now, command, entries)
    }

    fn decide_and_apply(
        &mut self,
        now: Timestamp,
        command: &Command,
        entries: &mut Vec<LedgerEntry>,
    ) -> CommandOutcome {
        let mut events = std::mem::take(&mut self.scratch);
        let outcome = self.decide(now, command, &mut events);
        for event in events.drain(..) {
            let entry = LedgerEntry { seq: self.seq().next(), at: now, event };
            self.apply(&entry);
            entries.push(entry);
        }
        self.scratch = events;
        outcome
    }
}

/// The outcome of a rule, or the refusal that ends it early.
type DecideResult = Result<CommandOutcome, Refusal>;

#[cfg(test)]
mod tests {
    use crate::tape::{ORIGIN, Tape, buyer, order};
    use crate::{Command, CommandOutcome, Event, Refusal, ReleaseCause, ReleaseReason, SaleState, Ticket};

    fn after(tape: &str) -> SaleState {
        let mut state = SaleState::new();
        Tape::parse(tape).unwrap().run(&mut state).unwrap();
        state
    }

    /// Decides 60 seconds after the origin, without a tick in between.
    fn decide(state: &SaleState, command: &Command) -> (CommandOutcome, Vec<Event>) {
        let mut events = Vec::new();
        (state.decide(ORIGIN.plus_s(60), command, &mut events), events)
    }

    #[test]
    fn a_hold_that_is_over_is_neither_paid_nor_given_back_without_a_tick() {
        let state = after("0s configure quantity=1 hold=60s\nreserve ann o1 1");
        let (ann, o1) = (buyer("ann"), order("o1"));
        for command in [
            Command::BeginPayment { buyer: ann, order: o1 },
            Command::Confirm { buyer: ann, order: o1 },
            Command::Release { buyer: ann, order: o1, reason: ReleaseReason::Cancelled },
        ] {
            assert_eq!(decide(&state, &command), (CommandOutcome::Refused(Refusal::OrderExpired), vec![]));
        }
    }

    #[test]
    fn a_payment_that_ends_after_the_hold_lets_it_expire_without_a_tick() {
        let state = after("0s configure quantity=1 hold=60s\nreserve ann o1 1\n1s begin_payment ann o1");
        let (ann, o1) = (buyer("ann"), order("o1"));
        let (outcome, events) = decide(&state, &Command::EndPayment { buyer: ann, order: o1 });
        assert!(matches!(outcome, CommandOutcome::Order { repeated: false, .. }), "{outcome:?}");
        let until = ORIGIN.plus_s(60);
        let ended = Event::PaymentEnded { buyer: ann, order: o1, quantity: 1, until };
        let expired = Event::Released { buyer: ann, order: o1, quantity: 1, reason: ReleaseCause::Expired };
        assert_eq!(events, [ended, expired]);
    }

    #[test]
    fn an_admission_that_is_over_buys_nothing_without_a_tick() {
        let state = after("0s configure fifo quantity=1 checkout=60s extension=60s\njoin ann\ntick");
        let ann = buyer("ann");
        let reserve = Command::Reserve { buyer: ann, order: order("o1"), quantity: 1, key: None };
        assert_eq!(decide(&state, &reserve), (CommandOutcome::Refused(Refusal::NotInLine), vec![]));
        for command in [Command::Leave { buyer: ann }, Command::Extend { buyer: ann }] {
            assert_eq!(decide(&state, &command), (CommandOutcome::Refused(Refusal::NotInLine), vec![]));
        }
        let (outcome, events) = decide(&state, &Command::Join { buyer: ann });
        assert_eq!(outcome, CommandOutcome::Joined { ticket: Ticket(2), position: 1 });
        let lapsed = Event::Lapsed { buyer: ann, ticket: Ticket(1) };
        assert_eq!(events, [lapsed, Event::Joined { buyer: ann, ticket: Ticket(2) }]);
    }
}
