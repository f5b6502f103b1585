//! A simulated shop that keeps every promise under faults: it has the real law, crashes, loses replies, answers out of order and
//! has its own clock. Its buyers have many tabs and log every reply.

use super::*;
use crate::judge::settled::order_in_reply;
use proptest::prelude::*;
use sale::{
    AdmissionMode, Command, CommandOutcome, LinePosition, Money, OrderId, Policy, ReleaseReason, RequestKey,
    tape::ORIGIN,
};
use std::collections::HashSet;

const BUYERS: [&str; 6] = ["ann", "bob", "cem", "dea", "eve", "fay"];

/// A drop: what is promised, and a number for each thing that happens.
#[derive(Clone, Debug)]
pub(super) struct WorldScript {
    policy: Policy,
    steps: Vec<u32>,
}

pub(super) fn any_story() -> impl Strategy<Value = WorldScript> {
    let fifo = (1..=4u32, 1..=4u32, 0..=4u32).prop_map(|(per_second, checkout_s, extension_s)| {
        AdmissionMode::Fifo { per_second, checkout_s, line_opens_s: 1, extension_s }
    });
    let admission = prop_oneof![1 => Just(AdmissionMode::Open), 2 => fifo];
    let hold_s = prop_oneof![1 => Just(0u32), 4 => 1..=5u32];
    let policy =
        (1..=4u32, 1..=2u32, hold_s, admission).prop_map(|(quantity, limit_per_buyer, hold_s, admission)| {
            let unit_price = Money { minor: 1_000, currency: "EUR".parse().expect("a currency") };
            let (starts_at, ends_at) = (ORIGIN, ORIGIN.plus_s(600));
            Policy { quantity, unit_price, starts_at, ends_at, limit_per_buyer, hold_s, admission }
        });
    let happenings = prop::collection::vec(any::<u32>(), 0..500);
    (policy, happenings).prop_map(|(policy, happenings)| WorldScript { policy, steps: happenings })
}

/// What the judge is given in the end.
pub(super) struct WorldEvidence {
    pub(super) ledger: Vec<LedgerEntry>,
    pub(super) accounts: Vec<AccountLog>,
    pub(super) observations: Vec<StockSample>,
    pub(super) rows: Vec<TableOrder>,
    pub(super) tables: ShownTableTotals,
    pub(super) server_time: Timestamp,
}

/// A request under way. `None` for a buyer who does not listen any more.
#[derive(Clone, Debug)]
struct WorldRequest {
    listener: Option<(usize, Option<usize>)>,
    buyer: BuyerId,
    ask: WorldAction,
    sent: RunInstant,
    answer: Option<ReplyBody>,
    /// The reply may be sent: its events are recorded.
    is_recorded: bool,
}

#[derive(Clone, Copy, Debug)]
enum WorldAction {
    Look,
    Do(BuyerAction),
}

struct SimulatedWorld {
    state: SaleState,
    ledger: Vec<LedgerEntry>,
    unrecorded: Vec<LedgerEntry>,
    shown: SaleState,
    now: Timestamp,
    instant: RunInstant,
    accounts: Vec<AccountLog>,
    requests: Vec<WorldRequest>,
    observations: Vec<StockSample>,
    /// Payments that were declined, by key.
    declined: HashSet<(BuyerId, u64)>,
    /// Payments that are settled later, whatever becomes of the request.
    left_open: Vec<(BuyerId, BuyerAction)>,
    keys: u64,
    orders: u128,
    payments: u64,
}

impl WorldScript {
    pub(super) fn run(&self) -> WorldEvidence {
        let mut world = SimulatedWorld::new(&self.policy);
        for happening in &self.steps {
            world.take_step(happening % 100, (happening >> 8) as usize);
        }
        world.end()
    }
}

impl SimulatedWorld {
    fn new(policy: &Policy) -> Self {
        let mut world = Self {
            state: SaleState::new(),
            ledger: vec![],
            unrecorded: vec![],
            shown: SaleState::new(),
            now: ORIGIN.plus_ms(-500),
            instant: RunInstant(5_000),
            accounts: BUYERS.iter().map(|name| AccountLog::new(buyer(name))).collect(),
            requests: vec![],
            observations: vec![],
            declined: HashSet::new(),
            left_open: vec![],
            keys: 0,
            orders: 0,
            payments: 0,
        };
        world.step(&Command::Configure { policy: Box::new(policy.clone()) });
        world.record();
        world
    }

    fn take_step(&mut self, what: u32, pick: usize) {
        self.instant = RunInstant(self.instant.0 + 1 + pick as u64 % 1_500);
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
            95 => self.extend_admission(pick),
            96..98 => self.observe(),
            98 => self.act_as_merchant(pick),
            _ => {
                self.step(&Command::Tick);
            }
        }
    }

    fn step(&mut self, command: &Command) -> CommandOutcome {
        self.state.step(self.now, command, &mut self.unrecorded)
    }

    /// A buyer sends a request, or repeats one.
    fn send(&mut self, account: usize, pick: usize) {
        let request = &self.accounts[account].requests;
        let again = (pick.is_multiple_of(3) && !request.is_empty())
            .then(|| request[pick / 3 % request.len().max(1)].action);
        let orders: Vec<OrderId> =
            request.iter().flat_map(|request| &request.replies).filter_map(order_in_reply).collect();
        self.keys += 1;
        let key = self.keys;
        let on_order = |orders: &[OrderId]| {
            let order = *orders.get(pick / 16 % orders.len().max(1))?;
            Some(match pick / 4 % 7 {
                0 => BuyerAction::Cancel { order },
                1 | 2 => BuyerAction::Pay { order, key, declines: true },
                _ => BuyerAction::Pay { order, key, declines: false },
            })
        };
        let what =
            again.or_else(|| on_order(&orders).filter(|_| pick % 4 != 3)).unwrap_or(match pick / 4 % 12 {
                0..4 => BuyerAction::Join,
                4 => BuyerAction::Leave,
                5 => BuyerAction::Order { units: 2, key },
                _ => BuyerAction::Order { units: 1, key },
            });
        let sent = self.instant;
        let ask =
            if pick / 4 % 12 >= 10 && again.is_none() { WorldAction::Look } else { WorldAction::Do(what) };
        let place = if let WorldAction::Do(what) = ask {
            if what == BuyerAction::Join {
                self.accounts[account].request_place(sent);
            }
            Some(self.begin(account, what))
        } else {
            None
        };
        let buyer = self.accounts[account].buyer;
        self.requests.push(WorldRequest {
            listener: Some((account, place)),
            buyer,
            ask,
            sent,
            answer: None,
            is_recorded: false,
        });
    }

    fn begin(&mut self, account: usize, what: BuyerAction) -> usize {
        let request = &mut self.accounts[account].requests;
        let is_new = matches!(what, BuyerAction::Join | BuyerAction::Leave);
        request.iter().position(|request| request.action == what && !is_new).unwrap_or_else(|| {
            request.push(RequestLog::new(what, self.instant));
            request.len() - 1
        })
    }

    /// The shop decides one of the requests that are under way, whichever comes first over the wire.
    fn decide(&mut self, pick: usize) {
        let open: Vec<usize> =
            (0..self.requests.len()).filter(|index| self.requests[*index].answer.is_none()).collect();
        let Some(index) = open.get(pick % open.len().max(1)).copied() else { return };
        let WorldRequest { buyer, ask, .. } = self.requests[index];
        let answer = match ask {
            WorldAction::Look => {
                let view = self.state.buyer(buyer);
                place_body(view.ticket.zip(view.place)).unwrap_or(ReplyBody::Refused(Code::NotInLine))
            }
            WorldAction::Do(_) if pick.is_multiple_of(37) => ReplyBody::Refused(Code::Overloaded),
            WorldAction::Do(what) => self.act(buyer, what),
        };
        self.requests[index].answer = Some(answer);
    }

    fn act(&mut self, buyer: BuyerId, what: BuyerAction) -> ReplyBody {
        match what {
            BuyerAction::Join => match self.step(&Command::Join { buyer }) {
                CommandOutcome::Joined { ticket, position } => {
                    ReplyBody::Place { ticket, position, estimate_s: None }
                }
                CommandOutcome::Refused(sale::Refusal::AlreadyInLine { ticket, place }) => {
                    place_body(Some((ticket, place))).expect("a place")
                }
                other => reply_body(&other),
            },
            BuyerAction::Leave => reply_body(&self.step(&Command::Leave { buyer })),
            BuyerAction::Order { units, key } => {
                self.orders += 1;
                let order = OrderId(uuid::Uuid::from_u128(self.orders));
                let key = Some(RequestKey(u128::from(key).to_be_bytes()));
                reply_body(&self.step(&Command::Reserve { buyer, order, quantity: units, key }))
            }
            BuyerAction::Cancel { order } => {
                reply_body(&self.step(&Command::Release { buyer, order, reason: ReleaseReason::Cancelled }))
            }
            BuyerAction::Pay { order, key, declines } => self.pay(buyer, order, key, declines),
            // The simulated shop answers native calls.
            BuyerAction::Purchase { .. } | BuyerAction::ReadPurchase { .. } => ReplyBody::Malformed,
        }
    }

    fn pay(&mut self, buyer: BuyerId, order: OrderId, key: u64, declines: bool) -> ReplyBody {
        use sale::OrderStatus as Status;
        let Some(view) = self.state.order(order) else { return ReplyBody::Refused(Code::OrderUnknown) };
        let is_pending = matches!(view.status, Status::Pending { .. });
        if self.declined.contains(&(buyer, key)) {
            return ReplyBody::Refused(Code::PaymentDeclined);
        }
        // An earlier payment whose end is not known comes first: the shop settles it before it takes another one.
        let earlier = self.left_open.iter().find_map(|(_, action)| match action {
            BuyerAction::Pay { order: same, key: earlier, declines: false } if *same == order => {
                Some(*earlier)
            }
            _ => None,
        });
        if let Some(earlier) = earlier.filter(|earlier| is_pending && *earlier != key) {
            return self.pay(buyer, order, earlier, false);
        }
        match view.status {
            Status::Confirmed => return reply_body(&CommandOutcome::Order { order: view, repeated: true }),
            Status::Refunded { .. } => return ReplyBody::Refused(Code::OrderState),
            Status::Expired | Status::Cancelled | Status::Declined => {
                return ReplyBody::Refused(Code::OrderExpired);
            }
            Status::Pending { .. } => {}
        }
        if let CommandOutcome::Refused(_) = self.step(&Command::BeginPayment { buyer, order }) {
            return ReplyBody::Refused(Code::OrderExpired);
        }
        if declines {
            self.declined.insert((buyer, key));
            self.step(&Command::EndPayment { buyer, order });
            return ReplyBody::Refused(Code::PaymentDeclined);
        }
        self.payments += 1;
        if self.payments.is_multiple_of(5) {
            // The provider's reply is lost: the order is being paid until the payment is settled.
            self.left_open.push((buyer, BuyerAction::Pay { order, key, declines }));
            return ReplyBody::Refused(Code::PaymentUnknown);
        }
        match self.step(&Command::Confirm { buyer, order }) {
            done @ CommandOutcome::Order { .. } => {
                self.left_open.push((buyer, BuyerAction::Pay { order, key, declines }));
                reply_body(&done)
            }
            CommandOutcome::Refused(sale::Refusal::OrderState) => ReplyBody::Refused(Code::OrderState),
            _ => ReplyBody::Refused(Code::OrderExpired),
        }
    }

    /// Records the decided events: now they are visible, and their replies may be sent.
    fn record(&mut self) {
        self.unrecorded.iter().for_each(|entry| self.shown.apply(entry));
        self.ledger.append(&mut self.unrecorded);
        for flight in self.requests.iter_mut().filter(|flight| flight.answer.is_some()) {
            flight.is_recorded = true;
        }
    }

    fn deliver(&mut self, pick: usize) {
        let due: Vec<usize> =
            (0..self.requests.len()).filter(|index| self.requests[*index].is_recorded).collect();
        let Some(index) = due.get(pick % due.len().max(1)).copied() else { return };
        let flight = self.requests.swap_remove(index);
        if let (Some(listener), Some(body)) = (flight.listener, flight.answer) {
            self.receive_reply(listener, flight.sent, body);
        }
    }

    /// As the rehearsal's buyers hear it.
    fn receive_reply(&mut self, (account, place): (usize, Option<usize>), sent: RunInstant, body: ReplyBody) {
        let span = RequestSpan { sent, received: self.instant };
        let account = &mut self.accounts[account];
        if let ReplyBody::Place { ticket, position, .. } = body {
            account.record_place(ticket, position, span);
        }
        let Some(place) = place else {
            if body == ReplyBody::Refused(Code::NotInLine) {
                account.end_place(span.received);
            }
            return;
        };
        account.requests[place].record_reply(LoggedReply { span, status: 200, retry_after_s: None, body });
        let is_over = matches!(
            (account.requests[place].action, body),
            (BuyerAction::Leave, ReplyBody::NoContent | ReplyBody::Refused(_))
                | (BuyerAction::Order { .. }, ReplyBody::Order { .. } | ReplyBody::Refused(Code::NotInLine))
        );
        if is_over {
            account.end_place(span.received);
        }
    }

    /// Cuts a connection: the buyer gets no reply, and the shop may still carry out the request.
    fn stop_listening(&mut self, pick: usize) {
        let index = pick % self.requests.len().max(1);
        if let Some(listener) = self.requests.get_mut(index).and_then(|flight| flight.listener.take()) {
            self.count_unanswered(listener);
        }
    }

    fn count_unanswered(&mut self, (account, place): (usize, Option<usize>)) {
        if let Some(place) = place {
            self.accounts[account].requests[place].unanswered += 1;
        }
    }

    /// What was not recorded is lost, and no buyer gets a reply.
    fn crash(&mut self, pick: usize) {
        self.discard_unrecorded();
        for flight in std::mem::take(&mut self.requests) {
            flight.listener.into_iter().for_each(|listener| self.count_unanswered(listener));
        }
        // The machine's clock may have been set back meanwhile; the ledger's is not.
        let jump = i64::try_from(pick % 8_000).unwrap_or(0) - 2_000;
        self.now = self.now.plus_ms(jump).max(self.state.latest_time());
    }

    /// The disk is full: buyers who wait get an error.
    fn fail_to_record(&mut self) {
        self.discard_unrecorded();
        for flight in self.requests.iter_mut().filter(|flight| !flight.is_recorded && flight.answer.is_some())
        {
            flight.answer = Some(ReplyBody::Refused(Code::NotRecorded));
            flight.is_recorded = true;
        }
    }

    fn discard_unrecorded(&mut self) {
        self.unrecorded.clear();
        self.state = SaleState::new();
        self.ledger.iter().for_each(|entry| self.state.apply(entry));
    }

    /// The reconciler brings a payment to the end that the law gives it.
    fn settle_later(&mut self, pick: usize) {
        let Some((buyer, what)) = self.left_open.get(pick % self.left_open.len().max(1)).copied() else {
            return;
        };
        let BuyerAction::Pay { order, .. } = what else { return };
        self.step(&Command::Confirm { buyer, order });
    }

    /// A slow admitted buyer extends the admission, in another tab whose reply is not logged.
    fn extend_admission(&mut self, pick: usize) {
        let admitted: Vec<BuyerId> = self
            .state
            .line_members(None, usize::MAX)
            .into_iter()
            .filter(|member| matches!(member.place, LinePosition::Admitted { .. }))
            .map(|member| member.buyer)
            .collect();
        if let Some(buyer) = admitted.get(pick % admitted.len().max(1)) {
            self.step(&Command::Extend { buyer: *buyer });
        }
    }

    fn observe(&mut self) {
        let sale::SaleCounters { quantity, available, admitted, held, sold, waiting, .. } =
            self.shown.counters();
        let (at_ms, version) = (self.instant.0 / 1_000, self.shown.seq().0);
        self.observations.push(StockSample {
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

    fn act_as_merchant(&mut self, pick: usize) {
        let orders: Vec<OrderId> = self.state.orders().map(|order| order.id).collect();
        let command = match (pick % 5, orders.get(pick / 5 % orders.len().max(1))) {
            (0, _) => Command::Pause,
            (1 | 2, _) => Command::Resume,
            (3, Some(order)) => Command::Refund { order: *order, restock: (pick / 64).is_multiple_of(2) },
            _ => Command::Restock { quantity: 1 },
        };
        self.step(&command);
    }

    /// Stops all buyers; holds and admissions then expire.
    fn end(mut self) -> WorldEvidence {
        self.record();
        while let Some(flight) = self.requests.pop() {
            match (flight.listener, flight.answer) {
                (Some(listener), Some(body)) if flight.is_recorded => {
                    self.receive_reply(listener, flight.sent, body)
                }
                (Some(listener), _) => self.count_unanswered(listener),
                _ => {}
            }
        }
        self.step(&Command::Resume);
        (0..self.left_open.len()).for_each(|open| self.settle_later(open));
        for _ in 0..400 {
            self.now = self.now.plus_ms(500);
            self.step(&Command::Tick);
        }
        self.record();
        self.instant = RunInstant(self.instant.0 + 1_000_000);
        self.observe();
        let rows: Vec<TableOrder> = self
            .state
            .orders()
            .map(|order| TableOrder {
                order: order.id,
                buyer: order.buyer,
                units: order.quantity,
                status: order.status.as_str().to_owned(),
            })
            .collect();
        let mut tables = ShownTableTotals { version: self.state.seq().0, statuses: vec![] };
        for row in &rows {
            let known = tables.statuses.iter().position(|totals| totals.status == row.status);
            let place = known.unwrap_or_else(|| {
                tables
                    .statuses
                    .push(ShownStatusTotal { status: row.status.clone(), ..ShownStatusTotal::default() });
                tables.statuses.len() - 1
            });
            tables.statuses[place].orders += 1;
            tables.statuses[place].units += u64::from(row.units);
        }
        let Self { ledger, accounts, observations, now: looked_at, .. } = self;
        WorldEvidence { ledger, accounts, observations, rows, tables, server_time: looked_at }
    }
}

fn place_body(place: Option<(Ticket, LinePosition)>) -> Option<ReplyBody> {
    place.map(|(ticket, place)| match place {
        LinePosition::Waiting { position } => ReplyBody::Place { ticket, position, estimate_s: None },
        LinePosition::Admitted { .. } => ReplyBody::Place { ticket, position: 0, estimate_s: None },
    })
}

fn reply_body(outcome: &CommandOutcome) -> ReplyBody {
    match outcome {
        CommandOutcome::Order { order, .. } => {
            let status = match order.status {
                sale::OrderStatus::Pending { .. } => OrderPhase::Pending,
                sale::OrderStatus::Confirmed => OrderPhase::Confirmed,
                _ => OrderPhase::Ended,
            };
            let total_minor = i64::from(order.quantity) * 1_000;
            ReplyBody::Order { order: order.id, units: order.quantity, total_minor, status }
        }
        CommandOutcome::Refused(refusal) => ReplyBody::Refused(Code::of(refusal.code())),
        CommandOutcome::Done
        | CommandOutcome::Joined { .. }
        | CommandOutcome::Left { .. }
        | CommandOutcome::Extended { .. } => ReplyBody::NoContent,
    }
}
