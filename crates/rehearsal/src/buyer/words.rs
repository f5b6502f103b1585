//! The shop's replies, read: what they say as far as it matters to a buyer.

use crate::client::Reply;
use crate::told::{Code, OrderStatus, Said, What};
use hyper::header::RETRY_AFTER;
use sale::{OrderId, Ticket};
use serde::Deserialize;

/// A place in line, as a reply tells it.
pub(super) struct Place {
    pub(super) ticket: Ticket,
    pub(super) position: u32,
    pub(super) estimated_wait_s: f64,
    pub(super) is_sold_out: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlaceDocument<'a> {
    ticket: Ticket,
    position: u32,
    status: &'a str,
    estimated_wait_seconds: f64,
    availability: Option<&'a str>,
}

#[derive(Deserialize)]
struct OrderDocument<'a> {
    id: OrderId,
    status: &'a str,
    quantity: u32,
    total: MoneyDocument,
}

#[derive(Deserialize)]
struct MoneyDocument {
    amount: i64,
}

#[derive(Deserialize)]
struct ProblemDocument<'a> {
    code: &'a str,
}

/// What a reply says to someone who asked for this.
pub(super) fn said(what: What, reply: &Reply) -> Said {
    if !reply.status.is_success() {
        return code(reply).map_or(Said::Nonsense, Said::Refused);
    }
    match what {
        What::Join => place(reply)
            .map_or(Said::Nonsense, |place| Said::Place { ticket: place.ticket, position: place.position }),
        What::Leave => Said::Done,
        What::Order { .. } | What::Pay { .. } | What::Cancel { .. } => order(reply).unwrap_or(Said::Nonsense),
    }
}

/// The place that a reply tells.
pub(super) fn place(reply: &Reply) -> Option<Place> {
    if !reply.status.is_success() {
        return None;
    }
    let document: PlaceDocument<'_> = serde_json::from_slice(&reply.body).ok()?;
    let position = match document.status {
        "admitted" => 0,
        "waiting" if document.position > 0 => document.position,
        _ => return None,
    };
    Some(Place {
        ticket: document.ticket,
        position,
        estimated_wait_s: document.estimated_wait_seconds,
        is_sold_out: document.availability == Some("sold_out"),
    })
}

fn order(reply: &Reply) -> Option<Said> {
    let document: OrderDocument<'_> = serde_json::from_slice(&reply.body).ok()?;
    let status = match document.status {
        "pending" => OrderStatus::Pending,
        "confirmed" => OrderStatus::Confirmed,
        "expired" | "cancelled" | "declined" | "refunded" => OrderStatus::Over,
        _ => return None,
    };
    let (units, total_minor) = (document.quantity, document.total.amount);
    Some(Said::Order { order: document.id, units, total_minor, status })
}

/// The refusal's code, if it is one. A 5xx of a proxy in between has none, and passes.
pub(super) fn code(reply: &Reply) -> Option<Code> {
    if reply.status.is_success() || reply.status.is_redirection() {
        return None;
    }
    match serde_json::from_slice::<ProblemDocument<'_>>(&reply.body) {
        Ok(problem) => Some(Code::of(problem.code)),
        Err(_) if reply.status.is_server_error() => Some(Code::Unavailable),
        Err(_) => None,
    }
}

/// Seconds of `Retry-After`, cut to `max_s`.
pub(super) fn retry_after_s(reply: &Reply, max_s: f64) -> Option<f64> {
    let seconds: f64 = reply.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(seconds.clamp(0.0, max_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::{HeaderMap, StatusCode};
    use uuid::Uuid;

    fn reply(status: u16, body: &str) -> Reply {
        let status = StatusCode::from_u16(status).expect("a status");
        Reply { status, headers: HeaderMap::new(), body: body.to_owned().into() }
    }

    #[test]
    fn an_order_is_read() {
        let body = format!(
            r#"{{"id":"{}","status":"pending","quantity":2,"total":{{"amount":998,"currency":"EUR"}},"more":1}}"#,
            Uuid::nil()
        );
        let what = What::Order { units: 2, key: 1 };
        let order = OrderId(Uuid::nil());
        let pending = Said::Order { order, units: 2, total_minor: 998, status: OrderStatus::Pending };
        assert_eq!(said(what, &reply(201, &body)), pending);
        assert_eq!(said(what, &reply(409, r#"{"code":"sold_out"}"#)), Said::Refused(Code::SoldOut));
    }

    #[test]
    fn what_the_api_does_not_say_is_nonsense_and_a_proxys_error_passes() {
        let what = What::Join;
        assert_eq!(said(what, &reply(200, "<html>")), Said::Nonsense);
        assert_eq!(said(what, &reply(404, "<html>")), Said::Nonsense);
        assert_eq!(said(what, &reply(502, "<html>")), Said::Refused(Code::Unavailable));
        let place = r#"{"ticket":3,"position":0,"status":"waiting","estimatedWaitSeconds":0}"#;
        assert_eq!(said(what, &reply(200, place)), Said::Nonsense, "nobody waits at position 0");
    }
}
