//! Promises about replies: a repeated request gets the same answer, a refusal stays a refusal, and no buyer owns an order that
//! was not requested. Requests that overlap have no order, and are never compared as if they had.

use super::claims;
use super::ownership::order_offence;
use super::shown_orders::{ShownOrder, ShownOrders, is_unsettled, read_shown_order};
use super::state::{JudgeState, TrackedOrder};
use super::tally::JudgeTally;
use super::{Evidence, PromiseFinding, PromiseOffence};
use crate::observations::{
    AccountLog, BuyerAction, Code, LoggedReply, OrderPhase, ReplyBody, RequestLog, RunInstant,
};
use sale::{BuyerId, OrderId};
use std::collections::{HashMap, HashSet};

/// `same_answer`: one key, one order, one answer.
pub(super) fn same_answer(
    state: &JudgeState,
    shown_orders: &ShownOrders,
    accounts: &[AccountLog],
) -> PromiseFinding {
    let mut tally = JudgeTally::default();
    let mut made_by: HashMap<OrderId, u64> = HashMap::new();
    for account in accounts {
        for request in &account.requests {
            match request.action {
                BuyerAction::Order { units, key } => {
                    check_same_order(state, account.buyer, request, units, &mut tally);
                    check_order_per_key(account.buyer, request, key, &mut made_by, &mut tally);
                }
                BuyerAction::Pay { order, .. } => {
                    check_stays_paid(state.orders.get(&order), account.buyer, request, order, &mut tally);
                }
                BuyerAction::Join
                | BuyerAction::Leave
                | BuyerAction::Cancel { .. }
                | BuyerAction::Purchase { .. }
                | BuyerAction::ReadPurchase { .. } => {}
            }
        }
    }
    for order in shown_orders.by_order() {
        check_consistent_replies(state, order, &mut tally);
    }
    claims::check_same_answer(state, accounts, &mut tally);
    tally.to_finding(
        "same_answer",
        "The answers to the same request are the same: one key makes one order, and a confirmed result stays.",
    )
}

/// Every answer to one order request shows the same order, and a refusal never follows it.
fn check_same_order(
    state: &JudgeState,
    buyer: BuyerId,
    request: &RequestLog,
    units: u32,
    tally: &mut JudgeTally,
) {
    let mut shown = request.replies.iter().filter_map(|reply| read_shown_order(buyer, reply));
    let Some(first) = shown.next() else {
        check_key_reuse(buyer, request, tally);
        return;
    };
    let known = state.orders.get(&first.order);
    tally.check(first.units == units, || {
        order_offence(
            &first,
            known,
            format!("{units} units were requested, and the order has {}", first.units),
        )
    });
    for other in shown {
        tally.check(other.order == first.order, || {
            let detail = format!("the same key made order {} and then order {}", first.order, other.order);
            order_offence(&other, state.orders.get(&other.order), detail)
        });
    }
    check_key_reuse(buyer, request, tally);
    for code in refusals_after(request, first.span.received) {
        tally.check(!is_refusal_of_order(code), || {
            let detail =
                format!("the key had made this order, and then was refused with \"{}\"", code.as_str());
            order_offence(&first, known, detail)
        });
    }
}

/// Two keys never give the same order.
fn check_order_per_key(
    buyer: BuyerId,
    request: &RequestLog,
    key: u64,
    made_by: &mut HashMap<OrderId, u64>,
    tally: &mut JudgeTally,
) {
    for shown in request.replies.iter().filter_map(|reply| read_shown_order(buyer, reply)) {
        let first = *made_by.entry(shown.order).or_insert(key);
        tally.check(first == key, || {
            PromiseOffence::new("two different keys were answered with the same order")
                .buyer(buyer)
                .order(shown.order)
        });
    }
}

/// A paid order stays paid when the request is repeated.
fn check_stays_paid(
    known: Option<&TrackedOrder>,
    buyer: BuyerId,
    request: &RequestLog,
    order: OrderId,
    tally: &mut JudgeTally,
) {
    check_key_reuse(buyer, request, tally);
    let paid = request
        .replies
        .iter()
        .find(|reply| matches!(reply.body, ReplyBody::Order { status: OrderPhase::Confirmed, .. }));
    let Some(paid) = paid else { return };
    let was_refunded = known.is_some_and(|order| order.refunded.is_some());
    for code in refusals_after(request, paid.span.received) {
        let contradicts = match code {
            Code::PaymentDeclined | Code::OrderExpired | Code::OrderUnknown => true,
            Code::OrderState => !was_refunded,
            _ => false,
        };
        tally.check(!contradicts, || {
            let detail =
                format!("a reply said \"confirmed\", and a later one refused with \"{}\"", code.as_str());
            let event = known.map(|order| order.confirmed.unwrap_or(order.made));
            PromiseOffence::new(detail).buyer(buyer).order(order).event(event)
        });
    }
}

/// A crowd that never reuses a key for another request never gets that refusal.
fn check_key_reuse(buyer: BuyerId, request: &RequestLog, tally: &mut JudgeTally) {
    let reused = request.replies.iter().any(|reply| reply.body == ReplyBody::Refused(Code::KeyReused));
    tally.check(!reused, || {
        PromiseOffence::new("a key was refused as used for another request, which it never was").buyer(buyer)
    });
}

/// Refusals of a repeated request after an answer had been received.
fn refusals_after(request: &RequestLog, received: RunInstant) -> impl Iterator<Item = Code> + '_ {
    let later = request.replies.iter().filter(move |reply| reply.span.sent >= received);
    later.filter_map(|reply: &LoggedReply| match reply.body {
        ReplyBody::Refused(code) => Some(code),
        _ => None,
    })
}

fn is_refusal_of_order(code: Code) -> bool {
    matches!(
        code,
        Code::SoldOut
            | Code::AllHeld
            | Code::FewerLeft
            | Code::LimitReached
            | Code::NotAdmitted
            | Code::NotInLine
            | Code::NotStarted
            | Code::Ended
            | Code::Closed
            | Code::Paused
            | Code::OrderState
    )
}

/// All replies about one order agree.
fn check_consistent_replies(state: &JudgeState, order: &[ShownOrder], tally: &mut JudgeTally) {
    let first = &order[0];
    let known = state.orders.get(&first.order);
    let was_refunded = known.is_some_and(|order| order.refunded.is_some());
    let mut confirmed: Option<RunInstant> = None;
    let mut past_pending: Option<RunInstant> = None;
    for shown in order {
        let same =
            (shown.buyer, shown.units, shown.total_minor) == (first.buyer, first.units, first.total_minor);
        tally.check(same, || {
            let detail = format!(
                "{} units for {} were shown to {}, and {} for {} to {}",
                first.units, first.total_minor, first.buyer, shown.units, shown.total_minor, shown.buyer
            );
            order_offence(shown, known, detail)
        });
        let follows = |before: Option<RunInstant>| before.is_some_and(|received| shown.span.sent >= received);
        let contradicts = match shown.status {
            OrderPhase::Pending => follows(past_pending),
            OrderPhase::Confirmed => false,
            OrderPhase::Ended => follows(confirmed) && !was_refunded,
        };
        tally.check(!contradicts, || {
            let now = if shown.status == OrderPhase::Ended { "over" } else { "pending again" };
            order_offence(
                shown,
                known,
                format!("a reply showed the order as confirmed, and a later one as {now}"),
            )
        });
        let received = shown.span.received;
        if shown.status != OrderPhase::Pending {
            past_pending.get_or_insert(received);
        }
        if shown.status == OrderPhase::Confirmed {
            confirmed.get_or_insert(received);
        }
    }
}

/// One buyer's requests and replies about the end of one order.
#[derive(Clone, Copy, Debug, Default)]
struct OrderClaims {
    /// A payment was sent that may have succeeded.
    may_have_paid: bool,
    was_confirmed: bool,
    /// A reply showed the order as over, though neither time nor a refund had ended it.
    was_ended: bool,
    /// A payment was declined; another one may have succeeded.
    was_declined: bool,
    /// One and the same payment was declined and confirmed.
    was_both: bool,
    /// A reply refused the payment as too late, which is final.
    was_too_late: bool,
}

impl OrderClaims {
    /// The refusal that the buyer got, and that contradicts a confirmed order.
    fn contradicting_refusal(&self) -> Option<&'static str> {
        if self.was_ended {
            Some("over")
        } else if self.was_both || self.was_declined && !self.may_have_paid && !self.was_confirmed {
            Some("payment_declined")
        } else if self.was_too_late {
            Some("order_expired")
        } else {
            None
        }
    }
}

/// `no_means_no`: a refused buyer owns nothing by that order, and every owner requested the order.
pub(super) fn no_means_no(
    state: &JudgeState,
    shown_orders: &ShownOrders,
    evidence: &Evidence<'_>,
) -> PromiseFinding {
    let mut tally = JudgeTally::default();
    let (order_claims, may_have_ordered) = collect_claims(state, shown_orders, evidence);
    let may_have_purchased = claims::find_possible_purchasers(evidence.accounts);
    claims::check_refusals(state, evidence.accounts, &mut tally);
    let mut confirmed: Vec<_> =
        state.orders.iter().filter_map(|(id, order)| Some((order.confirmed?, *id, *order))).collect();
    confirmed.sort_unstable_by_key(|(event, id, _)| (*event, *id));
    for (event, id, order) in confirmed {
        let claim = order_claims.get(&id).copied().unwrap_or_default();
        let no = claim.contradicting_refusal();
        tally.check(no.is_none(), || {
            let detail = format!("the buyer got \"{}\", and the order is confirmed", no.unwrap_or_default());
            PromiseOffence::new(detail).buyer(order.buyer).order(id).event(event)
        });
        if !(evidence.is_exclusive && evidence.is_complete) {
            continue;
        }
        let request = match order.until {
            Some(_) => {
                claim.may_have_paid || claim.was_confirmed || may_have_purchased.contains(&order.buyer)
            }
            None => {
                claim.was_confirmed
                    || may_have_ordered.contains(&order.buyer)
                    || may_have_purchased.contains(&order.buyer)
            }
        };
        tally.check(request || no.is_some(), || {
            let detail = "the order is confirmed, and no request of this buyer can have brought it about";
            PromiseOffence::new(detail).buyer(order.buyer).order(id).event(event)
        });
    }
    tally.to_finding(
        "no_means_no",
        "A refused buyer owns nothing by that order, and no buyer owns what they never requested.",
    )
}

/// The claims in replies, by order, and the buyers with an order request that the shop may have carried out.
fn collect_claims(
    state: &JudgeState,
    shown_orders: &ShownOrders,
    evidence: &Evidence<'_>,
) -> (HashMap<OrderId, OrderClaims>, HashSet<BuyerId>) {
    let mut claims: HashMap<OrderId, OrderClaims> = HashMap::new();
    let mut may_have_ordered = HashSet::new();
    for account in evidence.accounts {
        for request in &account.requests {
            match request.action {
                BuyerAction::Pay { order, .. } if is_owner(state, account.buyer, order) => {
                    record_payment_claims(request, claims.entry(order).or_default());
                }
                BuyerAction::Cancel { order } if is_owner(state, account.buyer, order) => {
                    let too_late = |reply: &LoggedReply| reply.body == ReplyBody::Refused(Code::OrderExpired);
                    claims.entry(order).or_default().was_too_late |= request.replies.iter().any(too_late);
                }
                BuyerAction::Order { .. } if is_unsettled(request) => {
                    may_have_ordered.insert(account.buyer);
                }
                _ => {}
            }
        }
    }
    for order in shown_orders.by_order() {
        let claim = claims.entry(order[0].order).or_default();
        let known = state.orders.get(&order[0].order);
        let owner = known.map(|order| order.buyer);
        claim.was_confirmed |=
            order.iter().any(|shown| shown.status == OrderPhase::Confirmed && Some(shown.buyer) == owner);
        let may_be_over = known.is_some_and(|known| known.refunded.is_some() || known.expired.is_some());
        claim.was_ended |= !may_be_over && order.iter().any(|shown| shown.status == OrderPhase::Ended);
    }
    (claims, may_have_ordered)
}

fn is_owner(state: &JudgeState, buyer: BuyerId, order: OrderId) -> bool {
    state.orders.get(&order).is_some_and(|order| order.buyer == buyer)
}

fn record_payment_claims(request: &RequestLog, claim: &mut OrderClaims) {
    let has_refusal = |code| request.replies.iter().any(|reply| reply.body == ReplyBody::Refused(code));
    let is_declined = has_refusal(Code::PaymentDeclined);
    let is_confirmed = request
        .replies
        .iter()
        .any(|reply| matches!(reply.body, ReplyBody::Order { status: OrderPhase::Confirmed, .. }));
    claim.may_have_paid |= is_unsettled(request) && !is_declined;
    claim.was_declined |= is_declined;
    claim.was_both |= is_declined && is_confirmed;
    claim.was_too_late |= has_refusal(Code::OrderExpired);
}
