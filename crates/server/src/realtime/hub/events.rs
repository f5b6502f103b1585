//! What an event of the ledger means for those who listen: for the line, for a buyer's place, for an order. Pure.

use crate::realtime::documents::LineStatus;
use sale::{BuyerId, Event, OrderId, OrderStatus, Policy, ReleaseCause, Ticket, UnitSource};

/// Whose place an event is about, and what it is now; `None` when the line tells.
pub fn extract_place_change(event: &Event, policy: &Policy) -> Option<(BuyerId, Ticket, Option<LineStatus>)> {
    match *event {
        Event::Joined { buyer, ticket } => Some((buyer, ticket, None)),
        Event::Left { buyer, ticket, .. } => Some((buyer, ticket, Some(LineStatus::Left))),
        Event::Admitted { buyer, ticket, until } => {
            let spot = LineStatus::Admitted { until, extension_s: policy.extension_s() };
            Some((buyer, ticket, Some(spot)))
        }
        Event::Extended { buyer, ticket, until } => {
            Some((buyer, ticket, Some(LineStatus::Admitted { until, extension_s: 0 })))
        }
        Event::Lapsed { buyer, ticket } => Some((buyer, ticket, Some(LineStatus::Lapsed))),
        Event::Held { buyer, from: UnitSource::Admission { ticket }, .. }
        | Event::Confirmed { buyer, from: UnitSource::Admission { ticket }, .. } => {
            Some((buyer, ticket, Some(LineStatus::Served)))
        }
        _ => None,
    }
}

/// Which order an event is about, and what has become of it.
pub fn extract_order_change(event: &Event) -> Option<(BuyerId, OrderId, OrderStatus)> {
    match *event {
        Event::Held { buyer, order, until, .. } => Some((buyer, order, OrderStatus::Pending { until })),
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
