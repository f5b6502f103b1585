//! Promises about units that somebody was told to own: not more than there are, not more than one may have, and each of
//! them recorded. They never ask how it came about.

use super::books::{Books, Order};
use super::tally::Tally;
use super::told::{Telling, Tellings};
use super::{Evidence, Finding, Offence, OrderRow};
use crate::told::{Account, OrderStatus, PlaceTold, Said};
use sale::{BuyerId, OrderId, Ticket};
use std::collections::{BTreeSet, HashMap};

/// `units`: never more units told "confirmed" than there are.
pub(super) fn units(books: &Books, tellings: &Tellings) -> Finding {
    let mut tally = books.sold_within.clone();
    let mut sum = 0;
    for telling in tellings.confirmed() {
        let known = books.orders.get(&telling.order);
        if known.is_some_and(|order| order.restocked) {
            continue;
        }
        sum += i64::from(telling.units);
        let quantity = books.quantity();
        tally.check(sum <= quantity, || {
            let detail =
                format!("{sum} units were told \"confirmed\" with this order, the sale has {quantity}");
            about(&telling, known, detail)
        });
    }
    tally.finding("units", "Never are more units told \"confirmed\" than the sale has.")
}

/// `limit`: nobody was told to own more than one buyer may.
pub(super) fn limit(books: &Books, tellings: &Tellings) -> Finding {
    let mut tally = Tally::default();
    let mut owned: HashMap<BuyerId, i64> = HashMap::new();
    for telling in tellings.confirmed() {
        let known = books.orders.get(&telling.order);
        if known.is_some_and(|order| order.refunded.is_some()) {
            continue;
        }
        let units = owned.entry(telling.buyer).or_default();
        *units += i64::from(telling.units);
        let (units, limit) = (*units, books.limit());
        tally.check(units <= limit, || {
            let detail = format!("{units} units were told \"confirmed\" to one buyer, the limit is {limit}");
            about(&telling, known, detail)
        });
    }
    tally.finding("limit", "No buyer is told \"confirmed\" for more units than the limit for one buyer.")
}

/// `recorded`: what was told as done is in the ledger, and what is confirmed is in the tables.
pub(super) fn recorded(books: &Books, tellings: &Tellings, evidence: &Evidence<'_>) -> Finding {
    let mut tally = Tally::default();
    for order in tellings.orders() {
        let confirmed = order.iter().find(|telling| telling.status == OrderStatus::Confirmed);
        recorded_order(books, confirmed.unwrap_or(&order[0]), &mut tally);
    }
    for account in evidence.accounts {
        for ticket in tickets(account) {
            tally.check(books.place(account.buyer, ticket).is_some(), || {
                let detail = format!("number {ticket} was told, and the ledger never gave it to this buyer");
                Offence::new(detail).buyer(account.buyer)
            });
        }
    }
    if let Some(rows) = evidence.orders {
        let rows: HashMap<OrderId, &OrderRow> = rows.iter().map(|row| (row.order, row)).collect();
        for telling in tellings.confirmed() {
            recorded_row(books, &telling, rows.get(&telling.order).copied(), &mut tally);
        }
        if evidence.sees_all && evidence.alone {
            rows_of_nothing(books, &rows, &mut tally);
        }
    }
    tally.finding(
        "recorded",
        "Whatever was told as done is in the ledger, and every order that was told \"confirmed\" is in the tables.",
    )
}

fn recorded_order(books: &Books, telling: &Telling, tally: &mut Tally) {
    let Telling { buyer, units, status, .. } = *telling;
    let known = books.orders.get(&telling.order);
    let wrong = match known {
        None => Some("is not in the ledger".to_owned()),
        Some(known) if known.buyer != buyer => Some(format!("belongs to {} in the ledger", known.buyer)),
        Some(known) if known.units != units => Some(format!("has {} units in the ledger", known.units)),
        Some(known) if status == OrderStatus::Confirmed && known.confirmed.is_none() => {
            Some(format!("is {} in the ledger", known.status()))
        }
        Some(_) => None,
    };
    tally.check(wrong.is_none(), || {
        let told = match status {
            OrderStatus::Confirmed => "confirmed",
            OrderStatus::Pending => "pending",
            OrderStatus::Over => "over",
        };
        let detail =
            format!("an order of {units} units that was told \"{told}\" {}", wrong.unwrap_or_default());
        about(telling, known, detail)
    });
}

fn recorded_row(books: &Books, telling: &Telling, row: Option<&OrderRow>, tally: &mut Tally) {
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
        about(telling, books.orders.get(&telling.order), detail)
    });
}

/// The tables show nothing that the ledger does not say: they were read first, and nobody bought any more.
fn rows_of_nothing(books: &Books, rows: &HashMap<OrderId, &OrderRow>, tally: &mut Tally) {
    let mut bought: Vec<&OrderRow> = rows.values().copied().filter(|row| row.status == "confirmed").collect();
    bought.sort_unstable_by_key(|row| row.order);
    for row in bought {
        let known = books.orders.get(&row.order);
        tally.check(known.is_some_and(|order| order.confirmed.is_some()), || {
            let detail = "the tables show the order as confirmed, and the ledger does not";
            Offence::new(detail).buyer(row.buyer).order(row.order).event(known.map(|order| order.made))
        });
    }
}

/// Every number that an account was told.
pub(super) fn tickets(account: &Account) -> BTreeSet<Ticket> {
    let places = account.place.iter().chain(&account.past_places).map(|PlaceTold { ticket, .. }| *ticket);
    let replies = account.asked.iter().flat_map(|asked| &asked.replies);
    let told = replies.filter_map(|reply| match reply.said {
        Said::Place { ticket, .. } => Some(ticket),
        _ => None,
    });
    places.chain(told).collect()
}

/// An offence about an order that was told.
pub(super) fn about(telling: &Telling, known: Option<&Order>, detail: String) -> Offence {
    let event = known.map(|order| order.confirmed.unwrap_or(order.made));
    Offence::new(detail).buyer(telling.buyer).order(telling.order).event(event)
}
