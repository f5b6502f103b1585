//! A batch of asks as calls, a sale's together and in their order, and the answers put back into the order of the asks. It
//! talks to nobody.

use super::calls::CALL_LEN_MAX;
use super::wire::{Answer, Reply, Request};
use crate::decide::{Ask, Told};
use sale::{Command, OrderView, Outcome, Refusal, SaleId, Seq, Timestamp};
use std::collections::HashMap;

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
}

/// One call.
pub(super) struct Planned<'a> {
    pub(super) sale: SaleId,
    asked: Vec<(usize, Request<'a>)>,
}

impl<'a> Plan<'a> {
    /// Plans `asks`; an order without a sale is looked for in all those that are `known`.
    pub(super) fn of(asks: &'a [Ask], known: impl Iterator<Item = SaleId> + Clone) -> Self {
        let told = asks.iter().map(|_| None).collect();
        let mut plan = Self { asks, sales: Vec::new(), places: HashMap::new(), told, found: HashMap::new() };
        for (place, ask) in asks.iter().enumerate() {
            match ask {
                Ask::Command { sale, command } => plan.add(*sale, place, Request::Command(command)),
                Ask::Buyer { sale, buyer } => plan.add(*sale, place, Request::Buyer(*buyer)),
                Ask::Order { order } => {
                    known.clone().for_each(|id| plan.add(id, place, Request::Order(*order)))
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
    pub(super) fn tick(&mut self, sales: Vec<SaleId>) {
        for sale in sales {
            self.requests_of(sale);
        }
    }

    /// Looks for orders that were not found in these sales too.
    pub(super) fn ask_also(&mut self, sales: impl Iterator<Item = SaleId>) {
        for sale in sales {
            for (place, ask) in self.asks.iter().enumerate() {
                if let Ask::Order { order } = ask
                    && !self.found.contains_key(&place)
                {
                    self.add(sale, place, Request::Order(*order));
                }
            }
        }
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

    /// Takes the answers of a call; `is_announced` is false when the sale never was.
    pub(super) fn take(&mut self, call: &Planned<'_>, reply: &Reply, is_announced: bool) {
        let mut seq = reply.seq_before;
        for ((place, _), (happened, answer)) in call.asked.iter().zip(&reply.answers) {
            seq = Seq(seq.0 + u64::from(*happened));
            let is_one = !matches!(self.asks[*place], Ask::Order { .. } | Ask::OrdersOf { .. });
            if is_one && !is_announced {
                self.told[*place] = Some(Told::NoSuchSale);
                continue;
            }
            self.told[*place] = match answer {
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

    /// Answers a call of a sale that there is not.
    pub(super) fn no_such_sale(&mut self, now: Timestamp, call: &Planned<'_>) {
        for (place, request) in &call.asked {
            match request {
                // Not announced, because it makes no sense.
                Request::Command(Command::Configure { .. }) => {
                    let outcome = Outcome::Refused(Refusal::BadPolicy);
                    self.told[*place] = Some(Told::Outcome { outcome, seq: Seq(0), at: now });
                }
                Request::Order(_) | Request::OrdersOf(_) => {}
                Request::Command(_) | Request::Buyer(_) | Request::Line(..) => {
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
            match &self.asks[place] {
                Ask::Order { .. } => Told::Order(orders.into_iter().next()),
                Ask::OrdersOf { sales, .. } => {
                    orders.sort_by_key(|(id, _)| sales.iter().position(|sale| sale == id));
                    Told::Orders(orders)
                }
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
