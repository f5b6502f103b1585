//! What an event of the ledger means for those who listen: for the line, for a buyer's place, for an order. Pure.

use super::Line;
use crate::realtime::words::Spot;
use sale::{BuyerId, Event, OrderId, OrderStatus, Policy, Release, Source, Ticket};

/// Counts who begins and who ceases to wait.
pub fn count(line: &mut Line, event: &Event) {
    match event {
        Event::Joined { ticket, .. } => line.join(*ticket),
        Event::Admitted { ticket, .. } | Event::Left { ticket, admitted: false, .. } => line.leave(*ticket),
        _ => {}
    }
}

/// Whose place an event is about, and what it is now; `None` when the line tells.
pub fn moved(event: &Event, policy: &Policy) -> Option<(BuyerId, Ticket, Option<Spot>)> {
    match *event {
        Event::Joined { buyer, ticket } => Some((buyer, ticket, None)),
        Event::Left { buyer, ticket, .. } => Some((buyer, ticket, Some(Spot::Left))),
        Event::Admitted { buyer, ticket, until } => {
            let spot = Spot::Admitted { until, extension_s: policy.extension_s() };
            Some((buyer, ticket, Some(spot)))
        }
        Event::Extended { buyer, ticket, until } => {
            Some((buyer, ticket, Some(Spot::Admitted { until, extension_s: 0 })))
        }
        Event::Lapsed { buyer, ticket } => Some((buyer, ticket, Some(Spot::Lapsed))),
        Event::Held { buyer, from: Source::Admission { ticket }, .. }
        | Event::Confirmed { buyer, from: Source::Admission { ticket }, .. } => {
            Some((buyer, ticket, Some(Spot::Served)))
        }
        _ => None,
    }
}

/// Which order an event is about, and what has become of it.
pub fn ordered(event: &Event) -> Option<(BuyerId, OrderId, OrderStatus)> {
    match *event {
        Event::Held { buyer, order, until, .. } => Some((buyer, order, OrderStatus::Pending { until })),
        Event::Confirmed { buyer, order, .. } => Some((buyer, order, OrderStatus::Confirmed)),
        Event::Released { buyer, order, reason, .. } => {
            let status = match reason {
                Release::Cancelled => OrderStatus::Cancelled,
                Release::Declined => OrderStatus::Declined,
                Release::Expired => OrderStatus::Expired,
            };
            Some((buyer, order, status))
        }
        Event::Refunded { buyer, order, restocked, .. } => {
            Some((buyer, order, OrderStatus::Refunded { restocked }))
        }
        _ => None,
    }
}
