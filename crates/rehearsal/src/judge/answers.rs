//! Promises about answers: a request is answered the same each time, a no stays a no, and nobody buys who did not ask. What
//! was asked at the same time has no order, and is never compared as if it had.

use super::books::{Books, Order};
use super::money::about;
use super::tally::Tally;
use super::told::{Telling, Tellings, is_open, telling};
use super::{Evidence, Finding, Offence};
use crate::told::{Account, Asked, Code, Moment, OrderStatus, Reply, Said, What};
use sale::{BuyerId, OrderId};
use std::collections::{HashMap, HashSet};

/// `same_answer`: one key, one order, one answer.
pub(super) fn same_answer(books: &Books, tellings: &Tellings, accounts: &[Account]) -> Finding {
    let mut tally = Tally::default();
    let mut made_by: HashMap<OrderId, u64> = HashMap::new();
    for account in accounts {
        for asked in &account.asked {
            match asked.what {
                What::Order { units, key } => {
                    same_order(books, account.buyer, asked, units, &mut tally);
                    one_key_an_order(account.buyer, asked, key, &mut made_by, &mut tally);
                }
                What::Pay { order, .. } => {
                    stays_paid(books.orders.get(&order), account.buyer, asked, order, &mut tally);
                }
                What::Join | What::Leave | What::Cancel { .. } => {}
            }
        }
    }
    for order in tellings.orders() {
        one_story(books, order, &mut tally);
    }
    tally.finding(
        "same_answer",
        "The answers to the same request are the same: one key makes one order, and what was told as done stays done.",
    )
}

/// Every answer to one order request shows the same order, and a refusal never follows it.
fn same_order(books: &Books, buyer: BuyerId, asked: &Asked, units: u32, tally: &mut Tally) {
    let mut shown = asked.replies.iter().filter_map(|reply| telling(buyer, reply));
    let Some(first) = shown.next() else {
        never_reused(buyer, asked, tally);
        return;
    };
    let known = books.orders.get(&first.order);
    tally.check(first.units == units, || {
        about(&first, known, format!("{units} units were asked for, and the order has {}", first.units))
    });
    for other in shown {
        tally.check(other.order == first.order, || {
            let detail = format!("the same key made order {} and then order {}", first.order, other.order);
            about(&other, books.orders.get(&other.order), detail)
        });
    }
    never_reused(buyer, asked, tally);
    for code in refused_after(asked, first.span.heard) {
        tally.check(!is_refusal_of_order(code), || {
            let detail =
                format!("the key had made this order, and then was refused with \"{}\"", code.as_str());
            about(&first, known, detail)
        });
    }
}

/// Two keys never give the same order.
fn one_key_an_order(
    buyer: BuyerId,
    asked: &Asked,
    key: u64,
    made_by: &mut HashMap<OrderId, u64>,
    tally: &mut Tally,
) {
    for told in asked.replies.iter().filter_map(|reply| telling(buyer, reply)) {
        let first = *made_by.entry(told.order).or_insert(key);
        tally.check(first == key, || {
            Offence::new("two different keys were answered with the same order")
                .buyer(buyer)
                .order(told.order)
        });
    }
}

/// Paid is paid, also when it is asked again.
fn stays_paid(known: Option<&Order>, buyer: BuyerId, asked: &Asked, order: OrderId, tally: &mut Tally) {
    never_reused(buyer, asked, tally);
    let paid = asked
        .replies
        .iter()
        .find(|reply| matches!(reply.said, Said::Order { status: OrderStatus::Confirmed, .. }));
    let Some(paid) = paid else { return };
    let was_refunded = known.is_some_and(|order| order.refunded.is_some());
    for code in refused_after(asked, paid.span.heard) {
        let contradicts = match code {
            Code::PaymentDeclined | Code::OrderExpired | Code::OrderUnknown => true,
            Code::OrderState => !was_refunded,
            _ => false,
        };
        tally.check(!contradicts, || {
            let detail =
                format!("the order was told \"confirmed\", and then refused with \"{}\"", code.as_str());
            let event = known.map(|order| order.confirmed.unwrap_or(order.made));
            Offence::new(detail).buyer(buyer).order(order).event(event)
        });
    }
}

/// A crowd that never uses a key for another content is never told that it did.
fn never_reused(buyer: BuyerId, asked: &Asked, tally: &mut Tally) {
    let reused = asked.replies.iter().any(|reply| reply.said == Said::Refused(Code::KeyReused));
    tally.check(!reused, || {
        Offence::new("a key was refused as used for another request, which it never was").buyer(buyer)
    });
}

/// Refusals of what was asked again after an answer had been heard.
fn refused_after(asked: &Asked, heard: Moment) -> impl Iterator<Item = Code> + '_ {
    let later = asked.replies.iter().filter(move |reply| reply.span.sent >= heard);
    later.filter_map(|reply: &Reply| match reply.said {
        Said::Refused(code) => Some(code),
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
fn one_story(books: &Books, order: &[Telling], tally: &mut Tally) {
    let first = &order[0];
    let known = books.orders.get(&first.order);
    let was_refunded = known.is_some_and(|order| order.refunded.is_some());
    let mut confirmed: Option<Moment> = None;
    let mut past_pending: Option<Moment> = None;
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
            about(telling, known, detail)
        });
        let follows = |before: Option<Moment>| before.is_some_and(|heard| telling.span.sent >= heard);
        let contradicts = match telling.status {
            OrderStatus::Pending => follows(past_pending),
            OrderStatus::Confirmed => false,
            OrderStatus::Over => follows(confirmed) && !was_refunded,
        };
        tally.check(!contradicts, || {
            let now = if telling.status == OrderStatus::Over { "over" } else { "pending again" };
            about(telling, known, format!("the order was told as done, and then as {now}"))
        });
        let heard = telling.span.heard;
        if telling.status != OrderStatus::Pending {
            past_pending.get_or_insert(heard);
        }
        if telling.status == OrderStatus::Confirmed {
            confirmed.get_or_insert(heard);
        }
    }
}

/// What one buyer asked and was told about one order's end.
#[derive(Clone, Copy, Debug, Default)]
struct Claims {
    /// A payment was asked for that may have come through.
    may_have_paid: bool,
    was_told_yes: bool,
    /// The order was told to be over, though neither time nor a refund had ended it.
    over_for_good: bool,
    /// A payment was declined: that ends an order whose hold was not over.
    was_declined: bool,
    /// The order was told to be too late, which a later payment may still change.
    was_too_late: bool,
}

impl Claims {
    /// The no that the buyer was told, and that does not go with a confirmed order.
    fn no(&self, order: &Order) -> Option<&'static str> {
        let was_paid_from_hold = order.expired.is_none();
        if self.over_for_good {
            Some("over")
        } else if self.was_declined && was_paid_from_hold {
            Some("payment_declined")
        } else if self.was_too_late && was_paid_from_hold && !self.was_told_yes {
            Some("order_expired")
        } else {
            None
        }
    }
}

/// `no_means_no`: whoever was told no owns nothing by it, and whoever owns something asked for it.
pub(super) fn no_means_no(books: &Books, tellings: &Tellings, evidence: &Evidence<'_>) -> Finding {
    let mut tally = Tally::default();
    let (claims, may_have_ordered) = claims(books, tellings, evidence);
    let mut confirmed: Vec<_> =
        books.orders.iter().filter_map(|(id, order)| Some((order.confirmed?, *id, *order))).collect();
    confirmed.sort_unstable_by_key(|(event, id, _)| (*event, *id));
    for (event, id, order) in confirmed {
        let claim = claims.get(&id).copied().unwrap_or_default();
        let no = claim.no(&order);
        tally.check(no.is_none(), || {
            let detail =
                format!("the buyer was told \"{}\", and the order is confirmed", no.unwrap_or_default());
            Offence::new(detail).buyer(order.buyer).order(id).event(event)
        });
        if !(evidence.alone && evidence.sees_all) {
            continue;
        }
        let asked = match order.until {
            Some(_) => claim.may_have_paid || claim.was_told_yes,
            None => claim.was_told_yes || may_have_ordered.contains(&order.buyer),
        };
        tally.check(asked || no.is_some(), || {
            let detail = "the order is confirmed, and no request of this buyer can have brought it about";
            Offence::new(detail).buyer(order.buyer).order(id).event(event)
        });
    }
    tally.finding(
        "no_means_no",
        "Whoever was told no owns nothing by that order, and nobody owns what they never asked for.",
    )
}

/// What was claimed by order, and who has an order request that may have come through.
fn claims(
    books: &Books,
    tellings: &Tellings,
    evidence: &Evidence<'_>,
) -> (HashMap<OrderId, Claims>, HashSet<BuyerId>) {
    let mut claims: HashMap<OrderId, Claims> = HashMap::new();
    let mut may_have_ordered = HashSet::new();
    for account in evidence.accounts {
        for asked in &account.asked {
            match asked.what {
                What::Pay { order, .. } if is_owner(books, account.buyer, order) => {
                    paying(asked, claims.entry(order).or_default());
                }
                What::Cancel { order } if is_owner(books, account.buyer, order) => {
                    let too_late = |reply: &Reply| reply.said == Said::Refused(Code::OrderExpired);
                    claims.entry(order).or_default().was_too_late |= asked.replies.iter().any(too_late);
                }
                What::Order { .. } if is_open(asked) => {
                    may_have_ordered.insert(account.buyer);
                }
                _ => {}
            }
        }
    }
    for order in tellings.orders() {
        let claim = claims.entry(order[0].order).or_default();
        let known = books.orders.get(&order[0].order);
        let owner = known.map(|order| order.buyer);
        claim.was_told_yes |= order
            .iter()
            .any(|telling| telling.status == OrderStatus::Confirmed && Some(telling.buyer) == owner);
        let may_be_over = known.is_some_and(|known| known.refunded.is_some() || known.expired.is_some());
        claim.over_for_good |=
            !may_be_over && order.iter().any(|telling| telling.status == OrderStatus::Over);
    }
    (claims, may_have_ordered)
}

fn is_owner(books: &Books, buyer: BuyerId, order: OrderId) -> bool {
    books.orders.get(&order).is_some_and(|order| order.buyer == buyer)
}

fn paying(asked: &Asked, claim: &mut Claims) {
    claim.may_have_paid |= is_open(asked);
    let said = |code| asked.replies.iter().any(|reply| reply.said == Said::Refused(code));
    claim.was_declined |= said(Code::PaymentDeclined);
    claim.was_too_late |= said(Code::OrderExpired);
}
