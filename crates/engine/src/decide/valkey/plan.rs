//! Plans a batch of requests as calls, one sale's together and in their order, and puts the answers back into the order of the
//! requests. It sends nothing.

use super::calls::CALL_LEN_MAX;
use super::wire::{LibraryAnswer, LibraryReply, LibraryRequest};
use crate::decide::{Reply, Request};
use crate::view::SaleView;
use sale::{Command, CommandOutcome, EventSeq, OrderId, OrderView, Refusal, SaleCounters, SaleId, Timestamp};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Ends every call: a unit that the batch has freed is offered in the same batch.
const TICK: &Command = &Command::Tick;

pub(super) struct CallPlan<'a> {
    requests: &'a [Request],
    /// Sales in the order of their first requests; each with the requests and their indices.
    sales: Vec<(SaleId, Vec<(usize, LibraryRequest<'a>)>)>,
    sale_indices: HashMap<SaleId, usize>,
    replies: Vec<Option<Reply>>,
    /// Orders found for requests that concern several sales.
    found: HashMap<usize, Vec<(SaleId, OrderView)>>,
    /// Requests that a server could not answer wholly.
    unanswered: HashSet<usize>,
}

pub(super) struct PlannedCall<'a> {
    pub(super) sale: SaleId,
    requests: Vec<(usize, LibraryRequest<'a>)>,
}

impl<'a> CallPlan<'a> {
    /// Plans `requests`; an order without a sale is searched in those `known` sales that may have it.
    pub(super) fn new(requests: &'a [Request], known: impl Iterator<Item = SaleId> + Clone) -> Self {
        let mut plan = Self {
            requests,
            sales: Vec::new(),
            sale_indices: HashMap::new(),
            replies: requests.iter().map(|_| None).collect(),
            found: HashMap::new(),
            unanswered: HashSet::new(),
        };
        for (place, request) in requests.iter().enumerate() {
            match request {
                Request::Command { sale, command } => {
                    plan.add_request(*sale, place, LibraryRequest::Command(command))
                }
                Request::Buyer { sale, buyer } => {
                    plan.add_request(*sale, place, LibraryRequest::Buyer(*buyer))
                }
                Request::Sale { sale } => plan.add_request(*sale, place, LibraryRequest::Counters),
                Request::Order { order } => {
                    let may_have_it = known.clone().filter(|sale| order.may_belong_to(*sale));
                    may_have_it.for_each(|sale| plan.add_order_request(place, *order, sale));
                }
                Request::OrdersOf { buyer, sales } => {
                    sales
                        .iter()
                        .for_each(|id| plan.add_request(*id, place, LibraryRequest::OrdersOf(*buyer)));
                }
                Request::Line { sale, after, limit } => {
                    let limit = u32::try_from(*limit).unwrap_or(u32::MAX);
                    plan.add_request(
                        *sale,
                        place,
                        LibraryRequest::Line(after.map_or(0, |after| after.0), limit),
                    );
                }
            }
        }
        plan
    }

    /// Lets time pass in these sales, too.
    pub(super) fn add_ticks(&mut self, sales: impl IntoIterator<Item = SaleId>) {
        for sale in sales {
            self.list_requests(sale);
        }
    }

    /// Searches these sales, too, for orders that were not found so far.
    pub(super) fn search_orders_in(&mut self, sales: &[SaleId]) {
        for (place, request) in self.requests.iter().enumerate() {
            let Request::Order { order } = request else { continue };
            if self.found.contains_key(&place) {
                continue;
            }
            let may_have_it = sales.iter().filter(|sale| order.may_belong_to(**sale));
            may_have_it.for_each(|sale| self.add_order_request(place, *order, *sale));
        }
    }

    fn add_order_request(&mut self, place: usize, order: OrderId, sale: SaleId) {
        self.add_request(sale, place, LibraryRequest::Order(order));
    }

    /// The calls to send now; each is returned once.
    pub(super) fn take_calls(&mut self) -> Vec<PlannedCall<'a>> {
        self.sale_indices.clear();
        let mut calls = Vec::new();
        for (sale, requests) in std::mem::take(&mut self.sales) {
            if requests.is_empty() {
                calls.push(PlannedCall { sale, requests });
                continue;
            }
            let chunks = requests.chunks(CALL_LEN_MAX);
            calls.extend(chunks.map(|chunk| PlannedCall { sale, requests: chunk.to_vec() }));
        }
        calls
    }

    /// Takes the answers of a call; without a view the sale was never announced.
    pub(super) fn apply_reply(
        &mut self,
        call: &PlannedCall<'_>,
        reply: &LibraryReply,
        view: Option<&Arc<SaleView>>,
    ) {
        let mut seq = reply.seq_before;
        let unsold = count_unsold(reply);
        let answers = reply.answers.iter().zip(unsold);
        for ((place, _), ((happened, answer), unsold)) in call.requests.iter().zip(answers) {
            seq = EventSeq(seq.0 + u64::from(*happened));
            let request = &self.requests[*place];
            if let (Request::Order { .. } | Request::OrdersOf { .. }, LibraryAnswer::Orders(orders)) =
                (request, answer)
            {
                if view.is_some() && !orders.is_empty() {
                    let found = orders.iter().map(|order| (call.sale, *order));
                    self.found.entry(*place).or_default().extend(found);
                }
                continue;
            }
            let Some(view) = view else {
                self.replies[*place] = Some(Reply::NoSuchSale);
                continue;
            };
            // An answer that does not fit its request is passed on: the engine reports it as an internal error.
            self.replies[*place] = Some(match answer {
                LibraryAnswer::Outcome(_) if matches!(request, Request::Sale { .. }) => {
                    Reply::Sale(Arc::clone(view))
                }
                LibraryAnswer::Outcome(outcome) => {
                    Reply::Outcome { outcome: outcome.clone(), seq, at: reply.at, unsold }
                }
                LibraryAnswer::Buyer(view) => Reply::Buyer(*view),
                LibraryAnswer::Line(members) => Reply::Line(members.clone()),
                LibraryAnswer::Orders(orders) => {
                    Reply::Orders(orders.iter().map(|order| (call.sale, *order)).collect())
                }
            });
        }
    }

    /// Discards the replies of a sale: its epoch turned out to be over.
    pub(super) fn revoke_replies(&mut self, sale: SaleId) {
        for (place, request) in self.requests.iter().enumerate() {
            if request.concerns(sale) && (self.replies[place].is_some() || self.found.contains_key(&place)) {
                self.replies[place] = None;
                self.found.remove(&place);
                self.unanswered.insert(place);
            }
        }
    }

    pub(super) fn mark_unanswered(&mut self, call: &PlannedCall<'_>) {
        self.unanswered.extend(call.requests.iter().map(|(place, _)| *place));
    }

    /// Replies to a call of a sale that does not exist.
    pub(super) fn reply_no_such_sale(&mut self, now: Option<Timestamp>, call: &PlannedCall<'_>) {
        for (place, request) in &call.requests {
            match request {
                // Not announced, because its policy makes no sense.
                LibraryRequest::Command(Command::Configure { .. }) => {
                    let outcome = CommandOutcome::Refused(Refusal::BadPolicy);
                    let at = now.unwrap_or_default();
                    self.replies[*place] = Some(Reply::Outcome { outcome, seq: EventSeq(0), at, unsold: 0 });
                }
                LibraryRequest::Order(_) | LibraryRequest::OrdersOf(_) => {}
                LibraryRequest::Command(_)
                | LibraryRequest::Counters
                | LibraryRequest::Buyer(_)
                | LibraryRequest::Line(..) => {
                    self.replies[*place] = Some(Reply::NoSuchSale);
                }
            }
        }
    }

    /// Whether a request looks for an order that was in no sale so far.
    pub(super) fn has_orders_not_found(&self) -> bool {
        let mut orders =
            self.requests.iter().enumerate().filter(|(_, request)| matches!(request, Request::Order { .. }));
        orders.any(|(place, _)| !self.found.contains_key(&place))
    }

    /// One reply for each request, in their order.
    pub(super) fn into_replies(mut self) -> Vec<Reply> {
        let replies = self.replies.into_iter().enumerate().map(|(place, reply)| {
            let mut orders = self.found.remove(&place).unwrap_or_default();
            let is_unanswered = self.unanswered.contains(&place);
            match (&self.requests[place], reply) {
                (Request::Order { .. }, None) if !orders.is_empty() || !is_unanswered => {
                    Reply::Order(orders.into_iter().next())
                }
                _ if is_unanswered => Reply::Unavailable,
                (Request::OrdersOf { sales, .. }, None) => {
                    orders.sort_by_key(|(id, _)| sales.iter().position(|sale| sale == id));
                    Reply::Orders(orders)
                }
                (_, reply) => reply.unwrap_or(Reply::Unavailable),
            }
        });
        replies.collect()
    }

    fn add_request(&mut self, sale: SaleId, place: usize, request: LibraryRequest<'a>) {
        self.list_requests(sale).push((place, request));
    }

    fn list_requests(&mut self, sale: SaleId) -> &mut Vec<(usize, LibraryRequest<'a>)> {
        let next = self.sales.len();
        let place = *self.sale_indices.entry(sale).or_insert(next);
        if place == next {
            self.sales.push((sale, Vec::new()));
        }
        &mut self.sales[place].1
    }
}

/// Units that are not sold right after each answer: counted back from the last one, because the reply has the counters after it.
fn count_unsold(reply: &LibraryReply) -> Vec<u32> {
    let mut unsold = vec![0; reply.answers.len()];
    let mut left = reply.counters.unsold();
    let mut entries = reply.entries.iter().rev();
    for ((happened, _), after_answer) in reply.answers.iter().zip(&mut unsold).rev() {
        *after_answer = left;
        for entry in entries.by_ref().take(*happened as usize) {
            left = SaleCounters::unsold_before(&entry.event, left);
        }
    }
    unsold
}

impl<'a> PlannedCall<'a> {
    /// The requests as they are sent.
    pub(super) fn requests(&self) -> Vec<LibraryRequest<'a>> {
        let requests = self.requests.iter().map(|(_, request)| *request);
        requests.chain([LibraryRequest::Command(TICK)]).collect()
    }

    /// True when the call announces the sale if it is not announced yet.
    pub(super) fn announces(&self) -> bool {
        self.requests.iter().any(|(_, request)| {
            matches!(request, LibraryRequest::Command(Command::Configure { policy }) if policy.problems().is_empty())
        })
    }
}
