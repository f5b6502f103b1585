//! A batch of asks as calls, a sale's together and in their order, and the answers put back into the order of the asks. It
//! talks to nobody.

use super::calls::CALL_LEN_MAX;
use super::wire::{Answer, Reply, Request};
use crate::decide::{Ask, Told};
use crate::view::SaleView;
use sale::{Command, OrderId, OrderView, Outcome, Refusal, SaleId, Seq, Timestamp};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What ends every call: a unit that the batch has freed is offered in the same batch.
const TICK: &Command = &Command::Tick;

/// A batch of asks on its way.
pub(super) struct Plan<'a> {
    asks: &'a [Ask],
    /// Sales in the order in which they were asked of, with the asks' places and what is requested.
    sales: Vec<(SaleId, Vec<(usize, Request<'a>)>)>,
    places: HashMap<SaleId, usize>,
    told: Vec<Option<Told>>,
    /// Orders of asks that concern several sales.
    found: HashMap<usize, Vec<(SaleId, OrderView)>>,
    /// Sales that were asked for an order.
    asked_for_order: HashSet<(usize, SaleId)>,
    /// Asks of which a part, or all, could not be asked.
    unanswered: HashSet<usize>,
}

/// One call.
pub(super) struct Planned<'a> {
    pub(super) sale: SaleId,
    asked: Vec<(usize, Request<'a>)>,
}

impl<'a> Plan<'a> {
    /// Plans `asks`; an order without a sale is looked for in those that are `known` and may have it.
    pub(super) fn of(asks: &'a [Ask], known: impl Iterator<Item = SaleId> + Clone) -> Self {
        let mut plan = Self {
            asks,
            sales: Vec::new(),
            places: HashMap::new(),
            told: asks.iter().map(|_| None).collect(),
            found: HashMap::new(),
            asked_for_order: HashSet::new(),
            unanswered: HashSet::new(),
        };
        for (place, ask) in asks.iter().enumerate() {
            match ask {
                Ask::Command { sale, command } => plan.add(*sale, place, Request::Command(command)),
                Ask::Buyer { sale, buyer } => plan.add(*sale, place, Request::Buyer(*buyer)),
                Ask::Sale { sale } => plan.add(*sale, place, Request::Sums),
                Ask::Order { order } => {
                    let may_have_it = known.clone().filter(|sale| order.may_be_of(*sale));
                    may_have_it.for_each(|sale| plan.ask_for_order(place, *order, sale));
                }
                Ask::OrdersOf { buyer, sales } => {
                    sales.iter().for_each(|id| plan.add(*id, place, Request::OrdersOf(*buyer)));
                }
                Ask::Line { sale, after, limit } => {
                    let limit = u32::try_from(*limit).unwrap_or(u32::MAX);
                    plan.add(*sale, place, Request::Line(after.map_or(0, |after| after.0), limit));
                }
            }
        }
        plan
    }

    /// Lets time pass in these sales too.
    pub(super) fn tick(&mut self, sales: impl IntoIterator<Item = SaleId>) {
        for sale in sales {
            self.requests_of(sale);
        }
    }

    /// Looks for orders that were not found in these sales too, as far as they were not asked.
    pub(super) fn ask_also(&mut self, sales: impl Iterator<Item = SaleId>) {
        for sale in sales {
            for (place, ask) in self.asks.iter().enumerate() {
                if let Ask::Order { order } = ask
                    && !self.found.contains_key(&place)
                    && !self.asked_for_order.contains(&(place, sale))
                {
                    self.ask_for_order(place, *order, sale);
                }
            }
        }
    }

    fn ask_for_order(&mut self, place: usize, order: OrderId, sale: SaleId) {
        self.asked_for_order.insert((place, sale));
        self.add(sale, place, Request::Order(order));
    }

    /// What is to be called now; each is handed out once.
    pub(super) fn calls(&mut self) -> Vec<Planned<'a>> {
        self.places.clear();
        let mut calls = Vec::new();
        for (sale, asked) in std::mem::take(&mut self.sales) {
            if asked.is_empty() {
                calls.push(Planned { sale, asked });
                continue;
            }
            let chunks = asked.chunks(CALL_LEN_MAX);
            calls.extend(chunks.map(|chunk| Planned { sale, asked: chunk.to_vec() }));
        }
        calls
    }

    /// Takes the answers of a call; without a view the sale was never announced.
    pub(super) fn take(&mut self, call: &Planned<'_>, reply: &Reply, view: Option<&Arc<SaleView>>) {
        let mut seq = reply.seq_before;
        for ((place, _), (happened, answer)) in call.asked.iter().zip(&reply.answers) {
            seq = Seq(seq.0 + u64::from(*happened));
            let is_one = !matches!(self.asks[*place], Ask::Order { .. } | Ask::OrdersOf { .. });
            let Some(view) = view else {
                if is_one {
                    self.told[*place] = Some(Told::NoSuchSale);
                }
                continue;
            };
            self.told[*place] = match answer {
                Answer::Outcome(_) if matches!(self.asks[*place], Ask::Sale { .. }) => {
                    Some(Told::Sale(Arc::clone(view)))
                }
                Answer::Outcome(outcome) => {
                    Some(Told::Outcome { outcome: outcome.clone(), seq, at: reply.at })
                }
                Answer::Buyer(view) => Some(Told::Buyer(*view)),
                Answer::Line(members) => Some(Told::Line(members.clone())),
                Answer::Orders(orders) => {
                    let found = orders.iter().map(|order| (call.sale, *order));
                    if !orders.is_empty() {
                        self.found.entry(*place).or_default().extend(found);
                    }
                    continue;
                }
            };
        }
    }

    /// Takes back what was answered of a sale: it rests on what never was.
    pub(super) fn take_back(&mut self, sale: SaleId) {
        for (place, ask) in self.asks.iter().enumerate() {
            if ask.concerns(sale) && (self.told[place].is_some() || self.found.contains_key(&place)) {
                self.told[place] = None;
                self.found.remove(&place);
                self.unanswered.insert(place);
            }
        }
    }

    /// Leaves a call without an answer.
    pub(super) fn fail(&mut self, call: &Planned<'_>) {
        self.unanswered.extend(call.asked.iter().map(|(place, _)| *place));
    }

    /// Answers a call of a sale that there is not.
    pub(super) fn no_such_sale(&mut self, now: Option<Timestamp>, call: &Planned<'_>) {
        for (place, request) in &call.asked {
            match request {
                // Not announced, because it makes no sense.
                Request::Command(Command::Configure { .. }) => {
                    let outcome = Outcome::Refused(Refusal::BadPolicy);
                    self.told[*place] =
                        Some(Told::Outcome { outcome, seq: Seq(0), at: now.unwrap_or_default() });
                }
                Request::Order(_) | Request::OrdersOf(_) => {}
                Request::Command(_) | Request::Sums | Request::Buyer(_) | Request::Line(..) => {
                    self.told[*place] = Some(Told::NoSuchSale);
                }
            }
        }
    }

    /// Whether somebody asked for an order that was in no sale so far.
    pub(super) fn has_orders_not_found(&self) -> bool {
        let mut orders = self.asks.iter().enumerate().filter(|(_, ask)| matches!(ask, Ask::Order { .. }));
        orders.any(|(place, _)| !self.found.contains_key(&place))
    }

    /// One answer an ask, in their order.
    pub(super) fn answers(mut self) -> Vec<Told> {
        let told = self.told.into_iter().enumerate().map(|(place, told)| {
            let mut orders = self.found.remove(&place).unwrap_or_default();
            let is_unanswered = self.unanswered.contains(&place);
            match &self.asks[place] {
                Ask::Order { .. } if !orders.is_empty() || !is_unanswered => {
                    Told::Order(orders.into_iter().next())
                }
                Ask::OrdersOf { sales, .. } if !is_unanswered => {
                    orders.sort_by_key(|(id, _)| sales.iter().position(|sale| sale == id));
                    Told::Orders(orders)
                }
                _ if is_unanswered => Told::Unavailable,
                _ => told.unwrap_or(Told::NoSuchSale),
            }
        });
        told.collect()
    }

    fn add(&mut self, sale: SaleId, place: usize, request: Request<'a>) {
        self.requests_of(sale).push((place, request));
    }

    fn requests_of(&mut self, sale: SaleId) -> &mut Vec<(usize, Request<'a>)> {
        let next = self.sales.len();
        let place = *self.places.entry(sale).or_insert(next);
        if place == next {
            self.sales.push((sale, Vec::new()));
        }
        &mut self.sales[place].1
    }
}

impl<'a> Planned<'a> {
    /// What goes over the wire.
    pub(super) fn requests(&self) -> Vec<Request<'a>> {
        let asked = self.asked.iter().map(|(_, request)| *request);
        asked.chain([Request::Command(TICK)]).collect()
    }

    /// True when the call announces the sale, should it not be announced yet.
    pub(super) fn announces(&self) -> bool {
        self.asked.iter().any(|(_, request)| {
            matches!(request, Request::Command(Command::Configure { policy }) if policy.problems().is_empty())
        })
    }
}
