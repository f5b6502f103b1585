//! Promises about ends: every request comes to one end, every hold and every turn too, what is freed is offered again, and
//! "sold out" is the truth. Where the rehearsal was cut short, what is open is told and not judged.

use super::books::Books;
use super::tally::Tally;
use super::told::{is_open, name_of};
use super::watch::Watch;
use super::{Evidence, Finding, Offence};
use crate::told::{Account, Asked, Code, Reply, Said, Span, What};
use sale::{Admission, OrderId, Timestamp};
use std::collections::HashSet;

/// How long after its moment something that happens by itself may be missing from the ledger, in milliseconds: far more than
/// a tick takes, also on a machine that is busy with a rehearsal.
const TICK_WITHIN_MS: i64 = 5_000;

/// `settled`: every request settles one way.
pub(super) fn settled(books: &Books, evidence: &Evidence<'_>) -> Finding {
    let mut tally = books.one_end.clone();
    if evidence.sees_all {
        for account in evidence.accounts {
            one_order_a_request(books, account, &mut tally);
        }
        if let Some(looked_at) = evidence.looked_at {
            nothing_overdue(books, looked_at.plus_ms(-TICK_WITHIN_MS), &mut tally);
        }
    }
    tally.finding(
        "settled",
        "Every request settles one way, whether its answer was heard or not, and every hold and every turn comes to \
         its end.",
    )
}

/// A buyer has no more orders than requests that can have made one.
fn one_order_a_request(books: &Books, account: &Account, tally: &mut Tally) {
    let orders = account.asked.iter().filter(|asked| matches!(asked.what, What::Order { .. }));
    let (mut keys, mut told) = (HashSet::new(), HashSet::new());
    for asked in orders {
        let What::Order { key, .. } = asked.what else { continue };
        let shown: Vec<OrderId> = asked.replies.iter().filter_map(order_of).collect();
        if is_open(asked) || !shown.is_empty() {
            keys.insert(key);
        }
        told.extend(shown);
    }
    let buyer = account.buyer;
    let made = books.orders_of.get(&buyer).copied().unwrap_or_default();
    if made == 0 && keys.is_empty() {
        return;
    }
    tally.check(made as usize <= keys.len(), || {
        let own = books.orders.iter().filter(|(_, order)| order.buyer == buyer);
        let untold = own.filter(|(id, _)| !told.contains(id)).min_by_key(|(_, order)| order.made);
        let detail =
            format!("{made} orders are in the ledger, and {} requests can have made one", keys.len());
        let event = untold.map(|(_, order)| order.made);
        Offence { order: untold.map(|(id, _)| *id), ..Offence::new(detail) }.buyer(buyer).event(event)
    });
}

fn order_of(reply: &Reply) -> Option<OrderId> {
    match reply.said {
        Said::Order { order, .. } => Some(order),
        _ => None,
    }
}

/// What had to happen by itself before this moment has happened.
fn nothing_overdue(books: &Books, by: Timestamp, tally: &mut Tally) {
    let mut held: Vec<_> = books.orders.iter().filter(|(_, order)| order.is_held()).collect();
    held.sort_unstable_by_key(|(_, order)| order.made);
    for (id, order) in held {
        tally.check(order.until.is_none_or(|until| until > by), || {
            let over_ms = order.until.map_or(0, |until| by.ms_since(until));
            let detail = format!("the order is still held {over_ms} ms after its hold was over");
            Offence::new(detail).buyer(order.buyer).order(*id).event(order.made)
        });
    }
    for (ticket, buyer, until) in books.open_admissions() {
        tally.check(until > by, || {
            let over_ms = by.ms_since(until);
            let detail = format!("the turn of number {ticket} is still open {over_ms} ms after its end");
            Offence::new(detail).buyer(buyer).event(books.place(buyer, ticket).map(|place| place.joined))
        });
    }
}

/// `freed`: no unit lies idle while somebody wants it.
pub(super) fn freed(books: &Books, watch: &Watch, evidence: &Evidence<'_>) -> Finding {
    let mut tally = books.offered.clone();
    if let Some(looked_at) = evidence.looked_at.filter(|_| evidence.sees_all) {
        let idle_since = books.idle_too_long(looked_at.plus_ms(-TICK_WITHIN_MS));
        tally.check(idle_since.is_none(), || {
            let (free, waiting) = (books.free(), books.waiting());
            Offence::new(format!("{free} units are still free at the end, and {waiting} buyers wait for one"))
                .event(idle_since)
        });
    }
    let is_open_to_all = books.policy.as_ref().is_some_and(|policy| policy.admission == Admission::Open);
    if is_open_to_all {
        for (account, asked, reply) in replies(evidence.accounts) {
            let (What::Order { units, .. }, Said::Refused(Code::AllHeld)) = (asked.what, reply.said) else {
                continue;
            };
            let Some(around) = watch.around(reply.span) else { continue };
            tally.check(around.low < i64::from(units), || {
                let detail = format!(
                    "{units} units were refused as in other carts, while at least {} were free all the time",
                    around.low
                );
                Offence::new(detail).buyer(account.buyer).event(around.until)
            });
        }
    }
    tally.finding(
        "freed",
        "Every unit that comes free is offered again: none lies idle while somebody waits for it or asks for it.",
    )
}

/// `sold_out_true`: "sold out" is told only when it is so.
pub(super) fn sold_out_true(books: &Books, watch: &Watch, evidence: &Evidence<'_>) -> Finding {
    let mut tally = Tally::default();
    for (account, span, units) in told_sold_out(evidence.accounts) {
        let around = watch.around(span);
        let since = books.sold_out_since;
        let was_so = since.is_some_and(|since| around.is_none_or(|around| since <= around.until));
        let was_free = around.is_some_and(|around| around.low >= units);
        tally.check(was_so && !was_free, || {
            let (sold, quantity) = (books.sold, books.quantity());
            let detail = match (since, around) {
                (None, _) => format!("\"sold out\" was told, and {sold} of {quantity} units were ever sold"),
                (Some(since), Some(around)) if !was_so => {
                    format!(
                        "\"sold out\" was told before event {}, and it was so after event {since}",
                        around.until
                    )
                }
                _ => "\"sold out\" was told while units were free all the time".to_owned(),
            };
            Offence::new(detail).buyer(account.buyer).event(around.map(|around| around.until).or(since))
        });
    }
    tally.finding("sold_out_true", "\"Sold out\" is told only when every unit is sold.")
}

/// Everyone who was told so, when, and how many units they had wanted: by a refusal, or by a look at their place in line.
fn told_sold_out(accounts: &[Account]) -> impl Iterator<Item = (&Account, Span, i64)> {
    let refused = replies(accounts).filter(|(_, _, reply)| reply.said == Said::Refused(Code::SoldOut)).map(
        |(account, asked, reply)| {
            let units = match asked.what {
                What::Order { units, .. } => i64::from(units),
                _ => 1,
            };
            (account, reply.span, units)
        },
    );
    let looked = accounts.iter().filter_map(|account| Some((account, account.looked_sold_out?, 1)));
    refused.chain(looked)
}

/// What a reader should know besides.
pub(super) fn notes(books: &Books, evidence: &Evidence<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let nonsense: Vec<_> =
        replies(evidence.accounts).filter(|(_, _, reply)| reply.said == Said::Nonsense).collect();
    if let Some((account, asked, reply)) = nonsense.first() {
        notes.push(format!(
            "{} replies were not what the API says; the first was one with status {} to \"{}\" of buyer {}.",
            nonsense.len(),
            reply.status,
            name_of(asked.what),
            account.buyer
        ));
    }
    if evidence.orders.is_none() {
        notes.push("The tables were not read: nothing is said about them.".to_owned());
    }
    if !evidence.sees_all {
        let held = books.orders.values().filter(|order| order.is_held()).count();
        let turns = books.open_admissions().count();
        let open = evidence
            .accounts
            .iter()
            .flat_map(|account| &account.asked)
            .filter(|asked| is_open(asked) && asked.settled().is_none())
            .count();
        notes.push(format!(
            "It was cut short: {open} requests have no answer that settles them, {held} orders are still held and \
             {turns} turns are still open. They are not judged."
        ));
    }
    notes
}

fn replies(accounts: &[Account]) -> impl Iterator<Item = (&Account, &Asked, &Reply)> {
    accounts.iter().flat_map(|account| {
        account
            .asked
            .iter()
            .flat_map(move |asked| asked.replies.iter().map(move |reply| (account, asked, reply)))
    })
}
