//! Reads the shop's replies, as far as they matter to a buyer.

use crate::client::InstanceReply;
use crate::observations::{BuyerAction, Code, OrderPhase, ReplyBody};
use documents::place::PlaceStatusDocument;
use documents::{AvailabilityDocument, OrderDocument, OrderStatusDocument, PlaceDocument};
use hyper::header::RETRY_AFTER;
use sale::Ticket;
use serde::Deserialize;

/// What a reply says of a place.
pub(super) enum PlaceReply {
    InLine(ShownPlace),
    /// The buyer waited, and no turn comes any more.
    Over,
    /// The turn passed, or the place was given up.
    Ended,
}

/// A place in line, as a reply shows it.
pub(super) struct ShownPlace {
    pub(super) ticket: Ticket,
    pub(super) position: u32,
    pub(super) estimate_s: Option<u64>,
    pub(super) is_sold_out: bool,
}

#[derive(Deserialize)]
struct ProblemReplyDocument<'a> {
    code: &'a str,
}

/// Reads the reply to an action.
pub(super) fn read_reply(what: BuyerAction, reply: &InstanceReply) -> ReplyBody {
    if !reply.status.is_success() {
        return read_code(reply).map_or(ReplyBody::Malformed, ReplyBody::Refused);
    }
    match what {
        BuyerAction::Join => match read_place(reply) {
            Some(PlaceReply::InLine(ShownPlace { ticket, position, estimate_s, .. })) => {
                ReplyBody::Place { ticket, position, estimate_s }
            }
            Some(PlaceReply::Over | PlaceReply::Ended) | None => ReplyBody::Malformed,
        },
        BuyerAction::Leave => ReplyBody::NoContent,
        BuyerAction::Order { .. } | BuyerAction::Pay { .. } | BuyerAction::Cancel { .. } => {
            read_order(reply).unwrap_or(ReplyBody::Malformed)
        }
        // The native API has no such calls.
        BuyerAction::Purchase { .. } | BuyerAction::ReadPurchase { .. } => ReplyBody::Malformed,
    }
}

/// Reads the place from a reply.
pub(super) fn read_place(reply: &InstanceReply) -> Option<PlaceReply> {
    if !reply.status.is_success() {
        return None;
    }
    let document: PlaceDocument = serde_json::from_slice(&reply.body).ok()?;
    let position = match document.status {
        PlaceStatusDocument::Admitted => 0,
        PlaceStatusDocument::Waiting if document.position > 0 => document.position,
        PlaceStatusDocument::Waiting => return None,
        PlaceStatusDocument::Over => return Some(PlaceReply::Over),
        PlaceStatusDocument::Lapsed | PlaceStatusDocument::Left => return Some(PlaceReply::Ended),
    };
    Some(PlaceReply::InLine(ShownPlace {
        ticket: document.ticket,
        position,
        estimate_s: document.estimated_wait_seconds,
        is_sold_out: document.availability == AvailabilityDocument::SoldOut,
    }))
}

fn read_order(reply: &InstanceReply) -> Option<ReplyBody> {
    let document: OrderDocument = serde_json::from_slice(&reply.body).ok()?;
    let status = match document.status {
        OrderStatusDocument::Pending => OrderPhase::Pending,
        OrderStatusDocument::Confirmed => OrderPhase::Confirmed,
        OrderStatusDocument::Expired
        | OrderStatusDocument::Cancelled
        | OrderStatusDocument::Declined
        | OrderStatusDocument::Refunded => OrderPhase::Ended,
    };
    let (units, total_minor) = (document.quantity, document.total.amount);
    Some(ReplyBody::Order { order: document.id, units, total_minor, status })
}

/// The code of a refusal. A 5xx of a proxy in between has none, and counts as transient.
pub(super) fn read_code(reply: &InstanceReply) -> Option<Code> {
    if reply.status.is_success() || reply.status.is_redirection() {
        return None;
    }
    match serde_json::from_slice::<ProblemReplyDocument<'_>>(&reply.body) {
        Ok(problem) => Some(Code::of(problem.code)),
        Err(_) if reply.status.is_server_error() => Some(Code::Unavailable),
        Err(_) => None,
    }
}

/// Seconds of `Retry-After`. No buyer waits for more than the 18 hours that fit.
pub(super) fn read_retry_after_s(reply: &InstanceReply) -> Option<u16> {
    reply.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use hyper::{HeaderMap, StatusCode};
    use sale::OrderId;
    use serde_json::json;
    use uuid::Uuid;

    fn reply(status: u16, body: &str) -> InstanceReply {
        let status = StatusCode::from_u16(status).expect("a status");
        InstanceReply { status, headers: HeaderMap::new(), body: body.to_owned().into() }
    }

    #[test]
    fn whole_seconds_of_retry_after_are_read() {
        let read = |value: &'static str| {
            let mut reply = reply(409, r#"{"code":"all_held"}"#);
            reply.headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            read_retry_after_s(&reply)
        };
        assert_eq!([read("17"), read("0")], [Some(17), Some(0)]);
        assert_eq!([read("Wed, 21 Oct 2026 07:28:00 GMT"), read("99999")], [None, None]);
        assert_eq!(read_retry_after_s(&reply(409, "")), None);
    }

    #[test]
    fn an_order_is_read() {
        let price = |amount: i64| json!({"amount": amount, "currency": "EUR"});
        let made_at = "2026-11-21T03:41:48.529Z";
        let body = json!({
            "id": Uuid::nil(), "flashSaleId": Uuid::nil(), "status": "pending", "quantity": 2,
            "unitPrice": price(499), "total": price(998), "expiresAt": made_at, "createdAt": made_at,
            "updatedAt": made_at, "more": 1, "paying": false, "paymentRequired": true,
            "product": {"id": Uuid::nil(), "name": "Lamp", "description": ""},
        })
        .to_string();
        let what = BuyerAction::Order { units: 2, key: 1 };
        let order = OrderId(Uuid::nil());
        let pending = ReplyBody::Order { order, units: 2, total_minor: 998, status: OrderPhase::Pending };
        assert_eq!(read_reply(what, &reply(201, &body)), pending);
        assert_eq!(
            read_reply(what, &reply(409, r#"{"code":"sold_out"}"#)),
            ReplyBody::Refused(Code::SoldOut)
        );
    }

    #[test]
    fn what_the_api_does_not_say_is_nonsense_and_a_proxys_error_passes() {
        let what = BuyerAction::Join;
        assert_eq!(read_reply(what, &reply(200, "<html>")), ReplyBody::Malformed);
        assert_eq!(read_reply(what, &reply(404, "<html>")), ReplyBody::Malformed);
        assert_eq!(read_reply(what, &reply(502, "<html>")), ReplyBody::Refused(Code::Unavailable));
        let place = |position: u32, status: &str, estimate_s: Option<u64>| {
            let place = json!({
                "flashSaleId": Uuid::nil(), "ticket": 3, "position": position, "ahead": 0, "status": status,
                "availability": "available", "unitsLeft": 4, "estimatedWaitSeconds": estimate_s, "receipt": "r",
            });
            read_reply(what, &reply(200, &place.to_string()))
        };
        let first = |estimate_s| ReplyBody::Place { ticket: Ticket(3), position: 1, estimate_s };
        assert_eq!(place(1, "waiting", Some(7)), first(Some(7)));
        assert_eq!(place(1, "waiting", None), first(None));
        assert_eq!(place(0, "waiting", Some(0)), ReplyBody::Malformed, "no buyer waits at position 0");
        assert_eq!(place(0, "lapsed", None), ReplyBody::Malformed, "a buyer who joins has a place");
    }
}
