//! What an event of the ledger changes: who waits in line, a buyer's place, an order. Pure functions.

use crate::realtime::documents::LineStatus;
use sale::{BuyerId, Event, LedgerEntry, OrderId, OrderStatus, Policy, ReleaseCause, Ticket, UnitSource};

/// The buyer whose place an event changes, and the new status; `None` in its place means waiting, at the position that the line
/// gives.
pub fn extract_place_change(
    entry: &LedgerEntry,
    policy: &Policy,
) -> Option<(BuyerId, Ticket, Option<LineStatus>)> {
    let at = entry.at;
    match entry.event {
        Event::Joined { buyer, ticket } => Some((buyer, ticket, None)),
        Event::Left { buyer, ticket, .. } => Some((buyer, ticket, Some(LineStatus::Left { at }))),
        Event::Admitted { buyer, ticket, until } => {
            let status = LineStatus::Admitted { until, extension_s: policy.extension_s() };
            Some((buyer, ticket, Some(status)))
        }
        Event::Extended { buyer, ticket, until } => {
            Some((buyer, ticket, Some(LineStatus::Admitted { until, extension_s: 0 })))
        }
        Event::Lapsed { buyer, ticket } => Some((buyer, ticket, Some(LineStatus::Lapsed { at }))),
        Event::Held { buyer, from: UnitSource::Admission { ticket }, .. }
        | Event::Confirmed { buyer, from: UnitSource::Admission { ticket }, .. } => {
            Some((buyer, ticket, Some(LineStatus::Served)))
        }
        _ => None,
    }
}

/// The order that an event changes, and its new status.
pub fn extract_order_change(event: &Event) -> Option<(BuyerId, OrderId, OrderStatus)> {
    match *event {
        Event::Held { buyer, order, until, .. } | Event::PaymentEnded { buyer, order, until, .. } => {
            Some((buyer, order, OrderStatus::Pending { until, paying_until: None }))
        }
        Event::PaymentBegun { buyer, order, held_until, until, .. } => {
            Some((buyer, order, OrderStatus::Pending { until: held_until, paying_until: Some(until) }))
        }
        Event::Confirmed { buyer, order, .. } => Some((buyer, order, OrderStatus::Confirmed)),
        Event::Released { buyer, order, reason, .. } => {
            let status = match reason {
                ReleaseCause::Cancelled => OrderStatus::Cancelled,
                ReleaseCause::Declined => OrderStatus::Declined,
                ReleaseCause::Expired => OrderStatus::Expired,
            };
            Some((buyer, order, status))
        }
        Event::Refunded { buyer, order, restocked, .. } => {
            Some((buyer, order, OrderStatus::Refunded { restocked }))
        }
        _ => None,
    }
}
