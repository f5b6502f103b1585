//! Promises about units that somebody was told to own: not more than there are, not more than one may have, and each of
//! them recorded. They never ask how it came about.

use super::shown_orders::{ShownOrder, ShownOrders};
use super::state::{JudgeState, TrackedOrder};
use super::tally::JudgeTally;
use super::{Evidence, PromiseFinding, PromiseOffence, TableOrder};
use crate::observations::{AccountLog, OrderPhase, PlaceRecord, ReplyBody};
use sale::{BuyerId, OrderId, Ticket};
use std::collections::{BTreeSet, HashMap};

/// `units`: never more units told "confirmed" than there are.
pub(super) fn units(books: &JudgeState, tellings: &ShownOrders) -> PromiseFinding {
    let mut tally = books.sold_within_quantity.clone();
    let mut sum = 0;
    for telling in tellings.first_confirmations() {
        let known = books.orders.get(&telling.order);
        if known.is_some_and(|order| order.restocked) {
            continue;
        }
        sum += i64::from(telling.units);
        let quantity = books.quantity();
        tally.check(sum <= quantity, || {
            let detail =
                format!("{sum} units were told \"confirmed\" with this order, the sale has {quantity}");
            order_offence(&telling, known, detail)
        });
    }
    tally.to_finding("units", "Never are more units told \"confirmed\" than the sale has.")
}

/// `limit`: nobody was told to own more than one buyer may.
pub(super) fn limit(books: &JudgeState, tellings: &ShownOrders) -> PromiseFinding {
    let mut tally = JudgeTally::default();
    let mut owned: HashMap<BuyerId, i64> = HashMap::new();
    for telling in tellings.first_confirmations() {
        let known = books.orders.get(&telling.order);
        if known.is_some_and(|order| order.refunded.is_some()) {
            continue;
        }
        let units = owned.entry(telling.buyer).or_default();
        *units += i64::from(telling.units);
        let (units, limit) = (*units, books.limit_per_buyer());
        tally.check(units <= limit, || {
            let detail = format!("{units} units were told \"confirmed\" to one buyer, the limit is {limit}");
            order_offence(&telling, known, detail)
        });
    }
    tally.to_finding("limit", "No buyer is told \"confirmed\" for more units than the limit for one buyer.")
}

/// `recorded`: what was told as done is in the ledger, and what is confirmed is in the tables.
pub(super) fn recorded(
    books: &JudgeState,
    tellings: &ShownOrders,
    evidence: &Evidence<'_>,
) -> PromiseFinding {
    let mut tally = JudgeTally::default();
    for order in tellings.by_order() {
        let confirmed = order.iter().find(|telling| telling.status == OrderPhase::Confirmed);
        check_recorded_order(books, confirmed.unwrap_or(&order[0]), &mut tally);
    }
    for account in evidence.accounts {
        for ticket in shown_tickets(account) {
            tally.check(books.find_place(account.buyer, ticket).is_some(), || {
                let detail = format!("number {ticket} was told, and the ledger never gave it to this buyer");
                PromiseOffence::new(detail).buyer(account.buyer)
            });
        }
    }
    if let Some(rows) = evidence.orders {
        let rows: HashMap<OrderId, &TableOrder> = rows.iter().map(|row| (row.order, row)).collect();
        for telling in tellings.first_confirmations() {
            check_recorded_row(books, &telling, rows.get(&telling.order).copied(), &mut tally);
        }
        if evidence.is_complete && evidence.is_exclusive {
            check_unbacked_rows(books, &rows, &mut tally);
        }
    }
    tally.to_finding(
        "recorded",
        "Whatever was told as done is in the ledger, and every order that was told \"confirmed\" is in the tables.",
    )
}

fn check_recorded_order(books: &JudgeState, telling: &ShownOrder, tally: &mut JudgeTally) {
    let ShownOrder { buyer, units, status, .. } = *telling;
    let known = books.orders.get(&telling.order);
    let wrong = match known {
        None => Some("is not in the ledger".to_owned()),
        Some(known) if known.buyer != buyer => Some(format!("belongs to {} in the ledger", known.buyer)),
        Some(known) if known.units != units => Some(format!("has {} units in the ledger", known.units)),
        Some(known) if status == OrderPhase::Confirmed && known.confirmed.is_none() => {
            Some(format!("is {} in the ledger", known.status()))
        }
        Some(_) => None,
    };
    tally.check(wrong.is_none(), || {
        let told = match status {
            OrderPhase::Confirmed => "confirmed",
            OrderPhase::Pending => "pending",
            OrderPhase::Ended => "over",
        };
        let detail =
            format!("an order of {units} units that was told \"{told}\" {}", wrong.unwrap_or_default());
        order_offence(telling, known, detail)
    });
}

fn check_recorded_row(
    books: &JudgeState,
    telling: &ShownOrder,
    row: Option<&TableOrder>,
    tally: &mut JudgeTally,
) {
    let wrong = match row {
        None => Some("is not in the tables".to_owned()),
        Some(row) if (row.buyer, row.units) != (telling.buyer, telling.units) => {
            Some(format!("has {} units of {} in the tables", row.units, row.buyer))
        }
        Some(row) if !matches!(row.status.as_str(), "confirmed" | "refunded") => {
            Some(format!("is {} in the tables", row.status))
        }
        Some(_) => None,
    };
    tally.check(wrong.is_none(), || {
        let detail = format!("an order that was told \"confirmed\" {}", wrong.unwrap_or_default());
        order_offence(telling, books.orders.get(&telling.order), detail)
    });
}

/// The tables show nothing that the ledger does not say: they were read first, and nobody bought any more.
fn check_unbacked_rows(books: &JudgeState, rows: &HashMap<OrderId, &TableOrder>, tally: &mut JudgeTally) {
    let mut bought: Vec<&TableOrder> =
        rows.values().copied().filter(|row| row.status == "confirmed").collect();
    bought.sort_unstable_by_key(|row| row.order);
    for row in bought {
        let known = books.orders.get(&row.order);
        tally.check(known.is_some_and(|order| order.confirmed.is_some()), || {
            let detail = "the tables show the order as confirmed, and the ledger does not";
            PromiseOffence::new(detail).buyer(row.buyer).order(row.order).event(known.map(|order| order.made))
        });
    }
}

/// Every number that an account was told.
pub(super) fn shown_tickets(account: &AccountLog) -> BTreeSet<Ticket> {
    let places = account.place.iter().chain(&account.past_places).map(|PlaceRecord { ticket, .. }| *ticket);
    let replies = account.requests.iter().flat_map(|asked| &asked.replies);
    let told = replies.filter_map(|reply| match reply.body {
        ReplyBody::Place { ticket, .. } => Some(ticket),
        _ => None,
    });
    places.chain(told).collect()
}

/// An offence about an order that was told.
pub(super) fn order_offence(
    telling: &ShownOrder,
    known: Option<&TrackedOrder>,
    detail: String,
) -> PromiseOffence {
    let event = known.map(|order| order.confirmed.unwrap_or(order.made));
    PromiseOffence::new(detail).buyer(telling.buyer).order(telling.order).event(event)
}
