//! A small world in which everything goes right and nothing goes smoothly: the real law behind a shop that crashes, loses
//! replies, answers out of order and has a clock of its own; and buyers with many tabs, who write down what they are told.

use super::*;
use proptest::prelude::*;
use sale::{
    Admission, Command, Money, OrderId, Outcome, Place, Policy, ReleaseReason, RequestKey, tape::ORIGIN,
};
use std::collections::HashSet;

const BUYERS: [&str; 6] = ["ann", "bob", "cem", "dea", "eve", "fay"];

/// A drop: what is promised, and a number for each thing that happens.
#[derive(Clone, Debug)]
pub(super) struct Story {
    policy: Policy,
    happenings: Vec<u32>,
}

pub(super) fn any_story() -> impl Strategy<Value = Story> {
    let fifo = (1..=4u32, 1..=4u32, 0..=4u32).prop_map(|(per_second, checkout_s, extension_s)| {
        Admission::Fifo { per_second, checkout_s, line_opens_s: 1, extension_s }
    });
    let admission = prop_oneof![1 => Just(Admission::Open), 2 => fifo];
    let hold_s = prop_oneof![1 => Just(0u32), 4 => 1..=5u32];
    let policy =
        (1..=4u32, 1..=2u32, hold_s, admission).prop_map(|(quantity, limit_per_buyer, hold_s, admission)| {
            let unit_price = Money { minor: 1_000, currency: "EUR".parse().expect("a currency") };
            let (starts_at, ends_at) = (ORIGIN, ORIGIN.plus_s(600));
            Policy { quantity, unit_price, starts_at, ends_at, limit_per_buyer, hold_s, admission }
        });
    let happenings = prop::collection::vec(any::<u32>(), 0..500);
    (policy, happenings).prop_map(|(policy, happenings)| Story { policy, happenings })
}

/// What the judge is given in the end.
pub(super) struct Seen {
    pub(super) ledger: Vec<Entry>,
    pub(super) accounts: Vec<Account>,
    pub(super) observations: Vec<Observation>,
    pub(super) rows: Vec<OrderRow>,
    pub(super) tables: TableSums,
    pub(super) looked_at: Timestamp,
}

/// A request under way. `None` for a buyer who does not listen any more.
#[derive(Clone, Debug)]
struct Flight {
    listener: Option<(usize, Option<usize>)>,
    buyer: BuyerId,
    ask: Ask,
    sent: Moment,
    answer: Option<Said>,
    /// The answer may be told: what it rests on is recorded.
    is_recorded: bool,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Look,
    Do(What),
}

struct World {
    state: State,
    ledger: Vec<Entry>,
    fresh: Vec<Entry>,
    shown: State,
    now: Timestamp,
    moment: Moment,
    accounts: Vec<Account>,
    flights: Vec<Flight>,
    observations: Vec<Observation>,
    /// Payments that were declined, by key.
    declined: HashSet<(BuyerId, u64)>,
    /// Orders of which a payment was declined: while they are held, nobody can pay them in another way.
    declined_orders: HashSet<OrderId>,
    /// Payments that somebody settles later, whatever becomes of who asked.
    left_open: Vec<(BuyerId, What)>,
    keys: u64,
    orders: u128,
}

impl Story {
    pub(super) fn play(&self) -> Seen {
        let mut world = World::new(&self.policy);
        for happening in &self.happenings {
            world.happens(happening % 100, (happening >> 8) as usize);
        }
        world.end()
    }
}

impl World {
    fn new(policy: &Policy) -> Self {
        let mut world = Self {
            state: State::new(),
            ledger: vec![],
            fresh: vec![],
            shown: State::new(),
            now: ORIGIN.plus_ms(-500),
            moment: Moment(5_000),
            accounts: BUYERS.iter().map(|name| Account::new(buyer(name))).collect(),
            flights: vec![],
            observations: vec![],
            declined: HashSet::new(),
            declined_orders: HashSet::new(),
            left_open: vec![],
            keys: 0,
            orders: 0,
        };
        world.step(&Command::Configure { policy: Box::new(policy.clone()) });
        world.record();
        world
    }

    fn happens(&mut self, what: u32, pick: usize) {
        self.moment = Moment(self.moment.0 + 1 + pick as u64 % 1_500);
        self.now = self.now.plus_ms(i64::try_from(pick / 7 % 40).unwrap_or(0));
        let account = pick % BUYERS.len();
        match what {
            0..36 => self.send(account, pick / 8),
            36..60 => (0..2).for_each(|back| self.decide(pick + back)),
            60..70 => self.record(),
            70..86 => (0..3).for_each(|back| self.deliver(pick + back)),
            86..89 => self.stop_listening(pick),
            89..91 => self.now = self.now.plus_ms(i64::try_from(pick % 3_000).unwrap_or(0)),
            91 => self.crash(pick),
            92 => self.fail_to_record(),
            93..95 => self.settle_later(pick),
            95 => self.take_more_time(pick),
            96..98 => self.observe(),
            98 => self.merchant(pick),
            _ => {
                self.step(&Command::Tick);
            }
        }
    }

    fn step(&mut self, command: &Command) -> Outcome {
        self.state.step(self.now, command, &mut self.fresh)
    }

    /// Somebody asks for something, or asks for it again.
    fn send(&mut self, account: usize, pick: usize) {
        let asked = &self.accounts[account].asked;
        let again =
            (pick.is_multiple_of(3) && !asked.is_empty()).then(|| asked[pick / 3 % asked.len().max(1)].what);
        let orders: Vec<OrderId> =
            asked.iter().flat_map(|asked| &asked.replies).filter_map(told_order).collect();
        self.keys += 1;
        let key = self.keys;
        let on_order = |orders: &[OrderId]| {
            let order = *orders.get(pick / 16 % orders.len().max(1))?;
            Some(match pick / 4 % 6 {
                0 => What::Cancel { order },
                1 => What::Pay { order, key, declines: true },
                _ => What::Pay { order, key, declines: false },
            })
        };
        let what =
            again.or_else(|| on_order(&orders).filter(|_| pick % 4 != 3)).unwrap_or(match pick / 4 % 12 {
                0..4 => What::Join,
                4 => What::Leave,
                5 => What::Order { units: 2, key },
                _ => What::Order { units: 1, key },
            });
        let sent = self.moment;
        let ask = if pick / 4 % 12 >= 10 && again.is_none() { Ask::Look } else { Ask::Do(what) };
        let place = if let Ask::Do(what) = ask {
            if what == What::Join {
                self.accounts[account].ask_for_place(sent);
            }
            Some(self.begin(account, what))
        } else {
            None
        };
        let buyer = self.accounts[account].buyer;
        self.flights.push(Flight {
            listener: Some((account, place)),
            buyer,
            ask,
            sent,
            answer: None,
            is_recorded: false,
        });
    }

    fn begin(&mut self, account: usize, what: What) -> usize {
        let asked = &mut self.accounts[account].asked;
        let is_new = matches!(what, What::Join | What::Leave);
        asked.iter().position(|asked| asked.what == what && !is_new).unwrap_or_else(|| {
            asked.push(Asked::new(what, self.moment));
            asked.len() - 1
        })
    }

    /// The shop decides one of the requests that are under way, whichever comes first over the wire.
    fn decide(&mut self, pick: usize) {
        let open: Vec<usize> =
            (0..self.flights.len()).filter(|index| self.flights[*index].answer.is_none()).collect();
        let Some(index) = open.get(pick % open.len().max(1)).copied() else { return };
        let Flight { buyer, ask, .. } = self.flights[index];
        let answer = match ask {
            Ask::Look => {
                let view = self.state.buyer(buyer);
                place_said(view.ticket.zip(view.place)).unwrap_or(Said::Refused(Code::NotInLine))
            }
            Ask::Do(_) if pick.is_multiple_of(37) => Said::Refused(Code::Overloaded),
            Ask::Do(what) => self.act(buyer, what),
        };
        self.flights[index].answer = Some(answer);
    }

    fn act(&mut self, buyer: BuyerId, what: What) -> Said {
        match what {
            What::Join => match self.step(&Command::Join { buyer }) {
                Outcome::Joined { ticket, position } => Said::Place { ticket, position },
                Outcome::Refused(sale::Refusal::AlreadyInLine { ticket, place }) => {
                    place_said(Some((ticket, place))).expect("a place")
                }
                other => said(&other),
            },
            What::Leave => said(&self.step(&Command::Leave { buyer })),
            What::Order { units, key } => {
                self.orders += 1;
                let order = OrderId(uuid::Uuid::from_u128(self.orders));
                let key = Some(RequestKey(u128::from(key).to_be_bytes()));
                said(&self.step(&Command::Reserve { buyer, order, quantity: units, key }))
            }
            What::Cancel { order } => {
                said(&self.step(&Command::Release { buyer, order, reason: ReleaseReason::Cancelled }))
            }
            What::Pay { order, key, declines } => self.pay(buyer, order, key, declines),
        }
    }

    fn pay(&mut self, buyer: BuyerId, order: OrderId, key: u64, declines: bool) -> Said {
        use sale::OrderStatus as Status;
        let Some(view) = self.state.order(order) else { return Said::Refused(Code::OrderUnknown) };
        let is_pending = matches!(view.status, Status::Pending { .. });
        if self.declined.contains(&(buyer, key)) && !is_pending {
            return Said::Refused(Code::PaymentDeclined);
        }
        match view.status {
            Status::Confirmed => return said(&Outcome::Order { order: view, repeated: true }),
            Status::Refunded { .. } => return Said::Refused(Code::OrderState),
            Status::Cancelled | Status::Declined => return Said::Refused(Code::OrderExpired),
            Status::Pending { .. } | Status::Expired => {}
        }
        if declines || is_pending && self.declined_orders.contains(&order) {
            self.declined.insert((buyer, key));
            self.declined_orders.insert(order);
            self.left_open.push((buyer, What::Pay { order, key, declines: true }));
            self.step(&Command::Release { buyer, order, reason: ReleaseReason::Declined });
            return Said::Refused(Code::PaymentDeclined);
        }
        match self.step(&Command::Confirm { buyer, order }) {
            done @ Outcome::Order { .. } => {
                self.left_open.push((buyer, What::Pay { order, key, declines }));
                said(&done)
            }
            Outcome::Refused(sale::Refusal::OrderState) => Said::Refused(Code::OrderState),
            _ => Said::Refused(Code::OrderExpired),
        }
    }

    /// What was decided is recorded: it is shown, and may be told.
    fn record(&mut self) {
        self.fresh.iter().for_each(|entry| self.shown.apply(entry));
        self.ledger.append(&mut self.fresh);
        for flight in self.flights.iter_mut().filter(|flight| flight.answer.is_some()) {
            flight.is_recorded = true;
        }
    }

    fn deliver(&mut self, pick: usize) {
        let due: Vec<usize> =
            (0..self.flights.len()).filter(|index| self.flights[*index].is_recorded).collect();
        let Some(index) = due.get(pick % due.len().max(1)).copied() else { return };
        let flight = self.flights.swap_remove(index);
        if let (Some(listener), Some(said)) = (flight.listener, flight.answer) {
            self.hear(listener, flight.sent, said);
        }
    }

    /// As the rehearsal's buyers hear it.
    fn hear(&mut self, (account, place): (usize, Option<usize>), sent: Moment, said: Said) {
        let span = Span { sent, heard: self.moment };
        let account = &mut self.accounts[account];
        if let Said::Place { ticket, position } = said {
            account.hear_place(ticket, position, span);
        }
        let Some(place) = place else {
            if said == Said::Refused(Code::NotInLine) {
                account.place_ends(span.heard);
            }
            return;
        };
        account.asked[place].hear(Reply { span, status: 200, said });
        let is_over = matches!(
            (account.asked[place].what, said),
            (What::Leave, Said::Done | Said::Refused(_))
                | (What::Order { .. }, Said::Order { .. } | Said::Refused(Code::NotInLine))
        );
        if is_over {
            account.place_ends(span.heard);
        }
    }

    /// A connection is cut: the buyer hears nothing, and the shop may do it all the same.
    fn stop_listening(&mut self, pick: usize) {
        let index = pick % self.flights.len().max(1);
        if let Some(listener) = self.flights.get_mut(index).and_then(|flight| flight.listener.take()) {
            self.give_up(listener);
        }
    }

    fn give_up(&mut self, (account, place): (usize, Option<usize>)) {
        if let Some(place) = place {
            self.accounts[account].asked[place].unanswered += 1;
        }
    }

    /// What was not recorded is gone, and nobody hears anything.
    fn crash(&mut self, pick: usize) {
        self.forget_fresh();
        for flight in std::mem::take(&mut self.flights) {
            flight.listener.into_iter().for_each(|listener| self.give_up(listener));
        }
        // The machine's clock may have been set back meanwhile; the ledger's is not.
        let jump = i64::try_from(pick % 8_000).unwrap_or(0) - 2_000;
        self.now = self.now.plus_ms(jump).max(self.state.clock());
    }

    /// The disk is full: whoever waits is told that it is not known.
    fn fail_to_record(&mut self) {
        self.forget_fresh();
        for flight in self.flights.iter_mut().filter(|flight| !flight.is_recorded && flight.answer.is_some())
        {
            flight.answer = Some(Said::Refused(Code::NotRecorded));
            flight.is_recorded = true;
        }
    }

    fn forget_fresh(&mut self) {
        self.fresh.clear();
        self.state = State::new();
        self.ledger.iter().for_each(|entry| self.state.apply(entry));
    }

    /// The reconciler brings a payment to the end that the law gives it.
    fn settle_later(&mut self, pick: usize) {
        let Some((buyer, what)) = self.left_open.get(pick % self.left_open.len().max(1)).copied() else {
            return;
        };
        let What::Pay { order, declines, .. } = what else { return };
        if declines {
            self.step(&Command::Release { buyer, order, reason: ReleaseReason::Declined });
        } else {
            self.step(&Command::Confirm { buyer, order });
        }
    }

    /// Whoever is admitted, and reads slowly, asks for more time; in another tab, which tells nobody.
    fn take_more_time(&mut self, pick: usize) {
        let admitted: Vec<BuyerId> = self
            .state
            .line(None, usize::MAX)
            .into_iter()
            .filter(|member| matches!(member.place, Place::Admitted { .. }))
            .map(|member| member.buyer)
            .collect();
        if let Some(buyer) = admitted.get(pick % admitted.len().max(1)) {
            self.step(&Command::Extend { buyer: *buyer });
        }
    }

    fn observe(&mut self) {
        let sale::Counters { quantity, available, admitted, held, sold, waiting, .. } = self.shown.counters();
        let (at_ms, version) = (self.moment.0 / 1_000, self.shown.seq().0);
        self.observations.push(Observation {
            at_ms,
            version,
            quantity,
            available,
            admitted,
            held,
            sold,
            waiting,
        });
    }

    fn merchant(&mut self, pick: usize) {
        let orders: Vec<OrderId> = self.state.orders().map(|order| order.id).collect();
        let command = match (pick % 5, orders.get(pick / 5 % orders.len().max(1))) {
            (0, _) => Command::Pause,
            (1 | 2, _) => Command::Resume,
            (3, Some(order)) => Command::Refund { order: *order, restock: (pick / 64).is_multiple_of(2) },
            _ => Command::Restock { quantity: 1 },
        };
        self.step(&command);
    }

    /// Everybody goes home; what is over ends by itself.
    fn end(mut self) -> Seen {
        self.record();
        while let Some(flight) = self.flights.pop() {
            match (flight.listener, flight.answer) {
                (Some(listener), Some(said)) if flight.is_recorded => self.hear(listener, flight.sent, said),
                (Some(listener), _) => self.give_up(listener),
                _ => {}
            }
        }
        self.step(&Command::Resume);
        for _ in 0..400 {
            self.now = self.now.plus_ms(500);
            self.step(&Command::Tick);
        }
        self.record();
        self.moment = Moment(self.moment.0 + 1_000_000);
        self.observe();
        let rows: Vec<OrderRow> = self
            .state
            .orders()
            .map(|order| OrderRow {
                order: order.id,
                buyer: order.buyer,
                units: order.quantity,
                status: order.status.as_str().to_owned(),
            })
            .collect();
        let mut tables = TableSums { version: self.state.seq().0, statuses: vec![] };
        for row in &rows {
            let known = tables.statuses.iter().position(|sum| sum.status == row.status);
            let place = known.unwrap_or_else(|| {
                tables.statuses.push(StatusSum { status: row.status.clone(), ..StatusSum::default() });
                tables.statuses.len() - 1
            });
            tables.statuses[place].orders += 1;
            tables.statuses[place].units += u64::from(row.units);
        }
        let Self { ledger, accounts, observations, now: looked_at, .. } = self;
        Seen { ledger, accounts, observations, rows, tables, looked_at }
    }
}

fn told_order(reply: &Reply) -> Option<OrderId> {
    match reply.said {
        Said::Order { order, .. } => Some(order),
        _ => None,
    }
}

fn place_said(place: Option<(Ticket, Place)>) -> Option<Said> {
    place.map(|(ticket, place)| match place {
        Place::Waiting { position } => Said::Place { ticket, position },
        Place::Admitted { .. } => Said::Place { ticket, position: 0 },
    })
}

fn said(outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Order { order, .. } => {
            let status = match order.status {
                sale::OrderStatus::Pending { .. } => OrderStatus::Pending,
                sale::OrderStatus::Confirmed => OrderStatus::Confirmed,
                _ => OrderStatus::Over,
            };
            let total_minor = i64::from(order.quantity) * 1_000;
            Said::Order { order: order.id, units: order.quantity, total_minor, status }
        }
        Outcome::Refused(refusal) => Said::Refused(Code::of(refusal.code())),
        Outcome::Done | Outcome::Joined { .. } | Outcome::Left { .. } | Outcome::Extended { .. } => {
            Said::Done
        }
    }
}
