//! Promises about units that a reply confirmed: not more than there are, not more than one buyer may have, and each of them
//! recorded. How a buyer got them does not matter here.

use super::claims;
use super::shown_orders::{ShownOrder, ShownOrders};
use super::state::{JudgeState, TrackedOrder};
use super::tally::JudgeTally;
use super::{Evidence, PromiseFinding, PromiseOffence, TableOrder};
use crate::observations::{AccountLog, OrderPhase, PlaceRecord, ReplyBody};
use sale::{BuyerId, OrderId, Ticket};
use std::collections::{BTreeSet, HashMap};

/// `units`: replies never confirm more units than there are.
pub(super) fn units(
    state: &JudgeState,
    shown_orders: &ShownOrders,
    accounts: &[AccountLog],
) -> PromiseFinding {
    let mut tally = state.sold_within_quantity.clone();
    claims::check_units(state, accounts, &mut tally);
    let mut sum = 0;
    for shown in shown_orders.first_confirmations() {
        let known = state.orders.get(&shown.order);
        if known.is_some_and(|order| order.restocked) {
            continue;
        }
        sum += i64::from(shown.units);
        let quantity = state.quantity();
        tally.check(sum <= quantity, || {
            let detail = format!("replies confirm {sum} units with this order, the sale has {quantity}");
            order_offence(&shown, known, detail)
        });
    }
    tally.to_finding("units", "Replies never confirm more units than the sale has.")
}

/// `limit`: replies never confirm more units to one buyer than the limit.
pub(super) fn limit(
    state: &JudgeState,
    shown_orders: &ShownOrders,
    accounts: &[AccountLog],
) -> PromiseFinding {
    let mut tally = JudgeTally::default();
    claims::check_limit(state, accounts, &mut tally);
    let mut owned: HashMap<BuyerId, i64> = HashMap::new();
    for shown in shown_orders.first_confirmations() {
        let known = state.orders.get(&shown.order);
        if known.is_some_and(|order| order.refunded.is_some()) {
            continue;
        }
        let units = owned.entry(shown.buyer).or_default();
        *units += i64::from(shown.units);
        let (units, limit) = (*units, state.limit_per_buyer());
        tally.check(units <= limit, || {
            let detail = format!("replies confirm {units} units to one buyer, the limit is {limit}");
            order_offence(&shown, known, detail)
        });
    }
    tally.to_finding("limit", "Replies never confirm more units to one buyer than the limit allows.")
}

/// `recorded`: every result that a reply shows is in the ledger, and every confirmed order is in the tables.
pub(super) fn recorded(
    state: &JudgeState,
    shown_orders: &ShownOrders,
    evidence: &Evidence<'_>,
) -> PromiseFinding {
    let mut tally = JudgeTally::default();
    for order in shown_orders.by_order() {
        let confirmed = order.iter().find(|shown| shown.status == OrderPhase::Confirmed);
        check_recorded_order(state, confirmed.unwrap_or(&order[0]), &mut tally);
    }
    for account in evidence.accounts {
        for ticket in shown_tickets(account) {
            tally.check(state.find_place(account.buyer, ticket).is_some(), || {
                let detail =
                    format!("a reply shows number {ticket}, and the ledger never gave it to this buyer");
                PromiseOffence::new(detail).buyer(account.buyer)
            });
        }
    }
    claims::check_recorded(state, evidence, &mut tally);
    if let Some(rows) = evidence.orders {
        let rows: HashMap<OrderId, &TableOrder> = rows.iter().map(|row| (row.order, row)).collect();
        for shown in shown_orders.first_confirmations() {
            check_recorded_row(state, &shown, rows.get(&shown.order).copied(), &mut tally);
        }
        if evidence.is_complete && evidence.is_exclusive {
            check_unbacked_rows(state, &rows, &mut tally);
        }
    }
    tally.to_finding(
        "recorded",
        "Every result in a reply is in the ledger, and every order that a reply confirms is in the tables.",
    )
}

fn check_recorded_order(state: &JudgeState, shown: &ShownOrder, tally: &mut JudgeTally) {
    let ShownOrder { buyer, units, status, .. } = *shown;
    let known = state.orders.get(&shown.order);
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
        let status_name = match status {
            OrderPhase::Confirmed => "confirmed",
            OrderPhase::Pending => "pending",
            OrderPhase::Ended => "over",
        };
        let detail = format!(
            "an order of {units} units that a reply shows as \"{status_name}\" {}",
            wrong.unwrap_or_default()
        );
        order_offence(shown, known, detail)
    });
}

fn check_recorded_row(
    state: &JudgeState,
    shown: &ShownOrder,
    row: Option<&TableOrder>,
    tally: &mut JudgeTally,
) {
    let wrong = match row {
        None => Some("is not in the tables".to_owned()),
        Some(row) if (row.buyer, row.units) != (shown.buyer, shown.units) => {
            Some(format!("has {} units of {} in the tables", row.units, row.buyer))
        }
        Some(row) if !matches!(row.status.as_str(), "confirmed" | "refunded") => {
            Some(format!("is {} in the tables", row.status))
        }
        Some(_) => None,
    };
    tally.check(wrong.is_none(), || {
        let detail = format!("an order that a reply confirms {}", wrong.unwrap_or_default());
        order_offence(shown, state.orders.get(&shown.order), detail)
    });
}

/// The tables show nothing that the ledger does not have: they were read first, after the last purchase.
fn check_unbacked_rows(state: &JudgeState, rows: &HashMap<OrderId, &TableOrder>, tally: &mut JudgeTally) {
    let mut bought: Vec<&TableOrder> =
        rows.values().copied().filter(|row| row.status == "confirmed").collect();
    bought.sort_unstable_by_key(|row| row.order);
    for row in bought {
        let known = state.orders.get(&row.order);
        tally.check(known.is_some_and(|order| order.confirmed.is_some()), || {
            let detail = "the tables show the order as confirmed, and the ledger does not";
            PromiseOffence::new(detail).buyer(row.buyer).order(row.order).event(known.map(|order| order.made))
        });
    }
}

/// Every ticket number in an account's replies.
pub(super) fn shown_tickets(account: &AccountLog) -> BTreeSet<Ticket> {
    let places = account.place.iter().chain(&account.past_places).map(|PlaceRecord { ticket, .. }| *ticket);
    let replies = account.requests.iter().flat_map(|request| &request.replies);
    let tickets = replies.filter_map(|reply| match reply.body {
        ReplyBody::Place { ticket, .. } => Some(ticket),
        _ => None,
    });
    places.chain(tickets).collect()
}

/// An offence about an order in a reply.
pub(super) fn order_offence(
    shown: &ShownOrder,
    known: Option<&TrackedOrder>,
    detail: String,
) -> PromiseOffence {
    let event = known.map(|order| order.confirmed.unwrap_or(order.made));
    PromiseOffence::new(detail).buyer(shown.buyer).order(shown.order).event(event)
}
