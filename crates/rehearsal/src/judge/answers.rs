//! Promises about answers: a request is answered the same each time, a no stays a no, and nobody buys who did not ask. What
//! was asked at the same time has no order, and is never compared as if it had.

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
    books: &JudgeState,
    tellings: &ShownOrders,
    accounts: &[AccountLog],
) -> PromiseFinding {
    let mut tally = JudgeTally::default();
    let mut made_by: HashMap<OrderId, u64> = HashMap::new();
    for account in accounts {
        for asked in &account.requests {
            match asked.action {
                BuyerAction::Order { units, key } => {
                    check_same_order(books, account.buyer, asked, units, &mut tally);
                    check_order_per_key(account.buyer, asked, key, &mut made_by, &mut tally);
                }
                BuyerAction::Pay { order, .. } => {
                    check_stays_paid(books.orders.get(&order), account.buyer, asked, order, &mut tally);
                }
                BuyerAction::Join | BuyerAction::Leave | BuyerAction::Cancel { .. } => {}
            }
        }
    }
    for order in tellings.by_order() {
        check_consistent_replies(books, order, &mut tally);
    }
    tally.to_finding(
        "same_answer",
        "The answers to the same request are the same: one key makes one order, and what was told as done stays done.",
    )
}

/// Every answer to one order request shows the same order, and a refusal never follows it.
fn check_same_order(
    books: &JudgeState,
    buyer: BuyerId,
    asked: &RequestLog,
    units: u32,
    tally: &mut JudgeTally,
) {
    let mut shown = asked.replies.iter().filter_map(|reply| read_shown_order(buyer, reply));
    let Some(first) = shown.next() else {
        check_key_reuse(buyer, asked, tally);
        return;
    };
    let known = books.orders.get(&first.order);
    tally.check(first.units == units, || {
        order_offence(
            &first,
            known,
            format!("{units} units were asked for, and the order has {}", first.units),
        )
    });
    for other in shown {
        tally.check(other.order == first.order, || {
            let detail = format!("the same key made order {} and then order {}", first.order, other.order);
            order_offence(&other, books.orders.get(&other.order), detail)
        });
    }
    check_key_reuse(buyer, asked, tally);
    for code in refusals_after(asked, first.span.heard) {
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
    asked: &RequestLog,
    key: u64,
    made_by: &mut HashMap<OrderId, u64>,
    tally: &mut JudgeTally,
) {
    for told in asked.replies.iter().filter_map(|reply| read_shown_order(buyer, reply)) {
        let first = *made_by.entry(told.order).or_insert(key);
        tally.check(first == key, || {
            PromiseOffence::new("two different keys were answered with the same order")
                .buyer(buyer)
                .order(told.order)
        });
    }
}

/// Paid is paid, also when it is asked again.
fn check_stays_paid(
    known: Option<&TrackedOrder>,
    buyer: BuyerId,
    asked: &RequestLog,
    order: OrderId,
    tally: &mut JudgeTally,
) {
    check_key_reuse(buyer, asked, tally);
    let paid = asked
        .replies
        .iter()
        .find(|reply| matches!(reply.body, ReplyBody::Order { status: OrderPhase::Confirmed, .. }));
    let Some(paid) = paid else { return };
    let was_refunded = known.is_some_and(|order| order.refunded.is_some());
    for code in refusals_after(asked, paid.span.heard) {
        let contradicts = match code {
            Code::PaymentDeclined | Code::OrderExpired | Code::OrderUnknown => true,
            Code::OrderState => !was_refunded,
            _ => false,
        };
        tally.check(!contradicts, || {
            let detail =
                format!("the order was told \"confirmed\", and then refused with \"{}\"", code.as_str());
            let event = known.map(|order| order.confirmed.unwrap_or(order.made));
            PromiseOffence::new(detail).buyer(buyer).order(order).event(event)
        });
    }
}

/// A crowd that never uses a key for another content is never told that it did.
fn check_key_reuse(buyer: BuyerId, asked: &RequestLog, tally: &mut JudgeTally) {
    let reused = asked.replies.iter().any(|reply| reply.body == ReplyBody::Refused(Code::KeyReused));
    tally.check(!reused, || {
        PromiseOffence::new("a key was refused as used for another request, which it never was").buyer(buyer)
    });
}

/// Refusals of what was asked again after an answer had been heard.
fn refusals_after(asked: &RequestLog, heard: RunInstant) -> impl Iterator<Item = Code> + '_ {
    let later = asked.replies.iter().filter(move |reply| reply.span.sent >= heard);
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

/// What is told of one order, by whichever reply, is one story.
fn check_consistent_replies(books: &JudgeState, order: &[ShownOrder], tally: &mut JudgeTally) {
    let first = &order[0];
    let known = books.orders.get(&first.order);
    let was_refunded = known.is_some_and(|order| order.refunded.is_some());
    let mut confirmed: Option<RunInstant> = None;
    let mut past_pending: Option<RunInstant> = None;
    for telling in order {
        let same = (telling.buyer, telling.units, telling.total_minor)
            == (first.buyer, first.units, first.total_minor);
        tally.check(same, || {
            let detail = format!(
                "{} units for {} were told to {}, and {} for {} to {}",
                first.units,
                first.total_minor,
                first.buyer,
                telling.units,
                telling.total_minor,
                telling.buyer
            );
            order_offence(telling, known, detail)
        });
        let follows = |before: Option<RunInstant>| before.is_some_and(|heard| telling.span.sent >= heard);
        let contradicts = match telling.status {
            OrderPhase::Pending => follows(past_pending),
            OrderPhase::Confirmed => false,
            OrderPhase::Ended => follows(confirmed) && !was_refunded,
        };
        tally.check(!contradicts, || {
            let now = if telling.status == OrderPhase::Ended { "over" } else { "pending again" };
            order_offence(telling, known, format!("the order was told as done, and then as {now}"))
        });
        let heard = telling.span.heard;
        if telling.status != OrderPhase::Pending {
            past_pending.get_or_insert(heard);
        }
        if telling.status == OrderPhase::Confirmed {
            confirmed.get_or_insert(heard);
        }
    }
}

/// What one buyer asked and was told about one order's end.
#[derive(Clone, Copy, Debug, Default)]
struct OrderClaims {
    /// A payment was asked for that may have come through.
    may_have_paid: bool,
    was_confirmed: bool,
    /// The order was told to be over, though neither time nor a refund had ended it.
    was_ended: bool,
    /// A payment was declined: that ends an order whose hold was not over.
    was_declined: bool,
    /// The order was told to be too late, which a later payment may still change.
    was_too_late: bool,
}

impl OrderClaims {
    /// The no that the buyer was told, and that does not go with a confirmed order.
    fn contradicting_refusal(&self, order: &TrackedOrder) -> Option<&'static str> {
        let was_paid_from_hold = order.expired.is_none();
        if self.was_ended {
            Some("over")
        } else if self.was_declined && was_paid_from_hold {
            Some("payment_declined")
        } else if self.was_too_late && was_paid_from_hold && !self.was_confirmed {
            Some("order_expired")
        } else {
            None
        }
    }
}

/// `no_means_no`: whoever was told no owns nothing by it, and whoever owns something asked for it.
pub(super) fn no_means_no(
    books: &JudgeState,
    tellings: &ShownOrders,
    evidence: &Evidence<'_>,
) -> PromiseFinding {
    let mut tally = JudgeTally::default();
    let (claims, may_have_ordered) = collect_claims(books, tellings, evidence);
    let mut confirmed: Vec<_> =
        books.orders.iter().filter_map(|(id, order)| Some((order.confirmed?, *id, *order))).collect();
    confirmed.sort_unstable_by_key(|(event, id, _)| (*event, *id));
    for (event, id, order) in confirmed {
        let claim = claims.get(&id).copied().unwrap_or_default();
        let no = claim.contradicting_refusal(&order);
        tally.check(no.is_none(), || {
            let detail =
                format!("the buyer was told \"{}\", and the order is confirmed", no.unwrap_or_default());
            PromiseOffence::new(detail).buyer(order.buyer).order(id).event(event)
        });
        if !(evidence.is_exclusive && evidence.is_complete) {
            continue;
        }
        let asked = match order.until {
            Some(_) => claim.may_have_paid || claim.was_confirmed,
            None => claim.was_confirmed || may_have_ordered.contains(&order.buyer),
        };
        tally.check(asked || no.is_some(), || {
            let detail = "the order is confirmed, and no request of this buyer can have brought it about";
            PromiseOffence::new(detail).buyer(order.buyer).order(id).event(event)
        });
    }
    tally.to_finding(
        "no_means_no",
        "Whoever was told no owns nothing by that order, and nobody owns what they never asked for.",
    )
}

/// What was claimed by order, and who has an order request that may have come through.
fn collect_claims(
    books: &JudgeState,
    tellings: &ShownOrders,
    evidence: &Evidence<'_>,
) -> (HashMap<OrderId, OrderClaims>, HashSet<BuyerId>) {
    let mut claims: HashMap<OrderId, OrderClaims> = HashMap::new();
    let mut may_have_ordered = HashSet::new();
    for account in evidence.accounts {
        for asked in &account.requests {
            match asked.action {
                BuyerAction::Pay { order, .. } if is_owner(books, account.buyer, order) => {
                    record_payment_claims(asked, claims.entry(order).or_default());
                }
                BuyerAction::Cancel { order } if is_owner(books, account.buyer, order) => {
                    let too_late = |reply: &LoggedReply| reply.body == ReplyBody::Refused(Code::OrderExpired);
                    claims.entry(order).or_default().was_too_late |= asked.replies.iter().any(too_late);
                }
                BuyerAction::Order { .. } if is_unsettled(asked) => {
                    may_have_ordered.insert(account.buyer);
                }
                _ => {}
            }
        }
    }
    for order in tellings.by_order() {
        let claim = claims.entry(order[0].order).or_default();
        let known = books.orders.get(&order[0].order);
        let owner = known.map(|order| order.buyer);
        claim.was_confirmed |= order
            .iter()
            .any(|telling| telling.status == OrderPhase::Confirmed && Some(telling.buyer) == owner);
        let may_be_over = known.is_some_and(|known| known.refunded.is_some() || known.expired.is_some());
        claim.was_ended |= !may_be_over && order.iter().any(|telling| telling.status == OrderPhase::Ended);
    }
    (claims, may_have_ordered)
}

fn is_owner(books: &JudgeState, buyer: BuyerId, order: OrderId) -> bool {
    books.orders.get(&order).is_some_and(|order| order.buyer == buyer)
}

fn record_payment_claims(asked: &RequestLog, claim: &mut OrderClaims) {
    claim.may_have_paid |= is_unsettled(asked);
    let said = |code| asked.replies.iter().any(|reply| reply.body == ReplyBody::Refused(code));
    claim.was_declined |= said(Code::PaymentDeclined);
    claim.was_too_late |= said(Code::OrderExpired);
}
