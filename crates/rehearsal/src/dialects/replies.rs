//! Reads the replies of each dialect as its clients do: by status, field and the words that its contract promises. What the contract does
//! not say is malformed.

use super::RehearsedDialect;
use crate::client::InstanceReply;
use crate::observations::{BuyerAction, Code, ReplyBody};
use hyper::StatusCode;
use sale::OrderId;
use serde::Deserialize;
use uuid::Uuid;

/// What a poll of the place in line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpotReply {
    /// In line: the position, 0 for a buyer who has a hold.
    InLine(u32),
    /// No place any more.
    NotInLine,
}

/// The fields of all dialects' replies that a client reads.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ReplyFields {
    success: Option<bool>,
    message: String,
    /// The native code of a refusal.
    code: Option<String>,
    has_purchased: Option<bool>,
    /// A UUID at `turnstile`; `holds` has another form, which nothing is read from.
    job_id: Option<String>,
    state: Option<String>,
    order_status: Option<String>,
    ok: Option<bool>,
    order_id: Option<OrderId>,
    status: Option<serde_json::Value>,
    position: Option<u32>,
    has_active_hold: Option<bool>,
    items: Option<Vec<ListedOrder>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedOrder {
    #[serde(rename = "_id")]
    id: OrderId,
    payment_status: String,
}

/// The words by which clients know a refusal that has no native code.
const REFUSAL_WORDS: [(&str, Code); 10] = [
    ("sold out", Code::SoldOut),
    ("Sold out", Code::SoldOut),
    ("stock", Code::SoldOut),
    ("not started", Code::NotStarted),
    ("not yet active", Code::NotStarted),
    ("paused", Code::Paused),
    ("ended", Code::Ended),
    ("expired", Code::NotInLine),
    ("line", Code::NoLine),
    ("not found", Code::SaleUnknown),
];

/// Reads the reply to an action.
pub(crate) fn read_reply(dialect: RehearsedDialect, what: BuyerAction, reply: &InstanceReply) -> ReplyBody {
    if let Some(code) = read_transient_code(reply) {
        return ReplyBody::Refused(code);
    }
    let Ok(fields) = serde_json::from_slice::<ReplyFields>(&reply.body) else { return ReplyBody::Malformed };
    let is_success = reply.status == StatusCode::OK;
    let body = match (dialect, what) {
        (RehearsedDialect::Turnstile, BuyerAction::Purchase { .. }) => {
            read_turnstile_purchase(reply.status, &fields)
        }
        (RehearsedDialect::Turnstile, BuyerAction::ReadPurchase { job: Some(job) }) if is_success => {
            read_job(job, &fields)
        }
        (RehearsedDialect::Turnstile, BuyerAction::ReadPurchase { job: Some(_) })
            if reply.status == StatusCode::NOT_FOUND =>
        {
            Some(ReplyBody::Refused(Code::OrderUnknown))
        }
        (RehearsedDialect::Turnstile, BuyerAction::ReadPurchase { job: None }) if is_success => {
            Some(ReplyBody::NoContent)
        }
        (RehearsedDialect::Attempts, BuyerAction::Purchase { .. }) if is_success => {
            let is_received = fields.success == Some(true) && fields.message.contains("received");
            is_received.then_some(ReplyBody::Owned { order: None })
        }
        (RehearsedDialect::Attempts, BuyerAction::ReadPurchase { .. }) if is_success => {
            match fields.status.as_ref().and_then(serde_json::Value::as_str) {
                Some("SUCCESS") => Some(ReplyBody::Owned { order: None }),
                Some("FAILED" | "PENDING") => Some(ReplyBody::NotOwned),
                _ => None,
            }
        }
        (RehearsedDialect::Holds, BuyerAction::Join) if is_success => read_joined(&fields),
        (RehearsedDialect::Holds, BuyerAction::Join) if is_already_purchased(reply.status, &fields) => {
            Some(ReplyBody::Owned { order: fields.order_id })
        }
        (RehearsedDialect::Holds, BuyerAction::Purchase { .. }) if is_success => {
            let order = fields.order_id.filter(|_| fields.ok == Some(true));
            order.map(|order| ReplyBody::Owned { order: Some(order) })
        }
        (RehearsedDialect::Holds, BuyerAction::ReadPurchase { .. }) if is_success => read_orders(&fields),
        (RehearsedDialect::Drop, BuyerAction::Purchase { .. }) if is_success => {
            let is_sold = fields.success == Some(true) && fields.message.contains("successful");
            is_sold.then_some(ReplyBody::Owned { order: None })
        }
        (RehearsedDialect::Drop, BuyerAction::Purchase { .. })
            if is_already_purchased(reply.status, &fields) =>
        {
            Some(ReplyBody::Owned { order: None })
        }
        (RehearsedDialect::Drop, BuyerAction::ReadPurchase { .. }) if is_success => {
            match fields.has_purchased {
                Some(true) => Some(ReplyBody::Owned { order: None }),
                Some(false) => Some(ReplyBody::NotOwned),
                None => None,
            }
        }
        _ => read_refusal(reply.status, &fields),
    };
    body.unwrap_or(ReplyBody::Malformed)
}

/// Reads a poll of the place in line; `None` when the reply is none of it.
pub(crate) fn read_spot(reply: &InstanceReply) -> Option<SpotReply> {
    if reply.status != StatusCode::OK {
        return None;
    }
    let fields: ReplyFields = serde_json::from_slice(&reply.body).ok()?;
    match fields.status.as_ref()?.as_str()? {
        "ready" if fields.has_active_hold == Some(true) => Some(SpotReply::InLine(0)),
        "queued" => fields.position.filter(|position| *position > 0).map(SpotReply::InLine),
        "none" => Some(SpotReply::NotInLine),
        _ => None,
    }
}

/// A reply that leaves the outcome open: the same request again is safe.
fn read_transient_code(reply: &InstanceReply) -> Option<Code> {
    if reply.status == StatusCode::TOO_MANY_REQUESTS {
        return Some(Code::RateLimited);
    }
    if !reply.status.is_server_error() {
        return None;
    }
    let fields: ReplyFields = serde_json::from_slice(&reply.body).unwrap_or_default();
    let code = fields.code.as_deref().map(Code::of).filter(|code| code.is_transient());
    Some(code.unwrap_or(Code::Unavailable))
}

fn read_refusal(status: StatusCode, fields: &ReplyFields) -> Option<ReplyBody> {
    if !status.is_client_error() {
        return None;
    }
    let named = fields.code.as_deref().map(Code::of).filter(|code| *code != Code::Other);
    let from_words =
        || REFUSAL_WORDS.iter().find(|(word, _)| fields.message.contains(word)).map(|(_, code)| *code);
    Some(ReplyBody::Refused(named.or_else(from_words).unwrap_or(Code::Other)))
}

fn is_already_purchased(status: StatusCode, fields: &ReplyFields) -> bool {
    status.is_client_error() && fields.message.contains("already purchased")
}

/// An acknowledged purchase, or the job of a key that was used before. Its outcome is decided when it is shown.
fn read_turnstile_purchase(status: StatusCode, fields: &ReplyFields) -> Option<ReplyBody> {
    let is_sold = match fields.state.as_deref() {
        Some("completed") => Some(true),
        Some("failed") => Some(false),
        _ => None,
    };
    let job_id = fields.job_id.as_deref().and_then(|job| job.parse().ok());
    match (status, job_id) {
        (StatusCode::OK | StatusCode::CONFLICT, Some(job)) => {
            is_sold.map(|is_sold| ReplyBody::Job { job, is_sold })
        }
        (StatusCode::CONFLICT, None) => Some(ReplyBody::Refused(Code::KeyReused)),
        _ => read_refusal(status, fields),
    }
}

fn read_job(wanted: Uuid, fields: &ReplyFields) -> Option<ReplyBody> {
    let job: Uuid = fields.job_id.as_deref()?.parse().ok().filter(|job| *job == wanted)?;
    let is_sold = match (fields.state.as_deref()?, fields.order_status.as_deref()?) {
        ("completed", "COMPLETED") => true,
        // A unit that was given back, or one that was never sold.
        ("completed" | "failed", "CANCELLED") => false,
        _ => return None,
    };
    Some(ReplyBody::Job { job, is_sold })
}

fn read_joined(fields: &ReplyFields) -> Option<ReplyBody> {
    match (fields.has_active_hold?, fields.position?) {
        (true, _) => Some(ReplyBody::Spot { position: 0 }),
        (false, position) => (position > 0).then_some(ReplyBody::Spot { position }),
    }
}

/// The buyer's orders of the sale: one that is paid is a unit.
fn read_orders(fields: &ReplyFields) -> Option<ReplyBody> {
    let orders = fields.items.as_ref()?;
    let paid = orders.iter().find(|order| order.payment_status == "paid");
    Some(paid.map_or(ReplyBody::NotOwned, |order| ReplyBody::Owned { order: Some(order.id) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::HeaderMap;
    use serde_json::{Value, json};

    const PURCHASE: BuyerAction = BuyerAction::Purchase { key: 1 };
    const READ: BuyerAction = BuyerAction::ReadPurchase { job: None };
    const OWNED: ReplyBody = ReplyBody::Owned { order: None };

    fn reply(status: u16, body: &Value) -> InstanceReply {
        let status = StatusCode::from_u16(status).expect("a status");
        InstanceReply { status, headers: HeaderMap::new(), body: body.to_string().into() }
    }

    #[track_caller]
    fn assert_read(
        dialect: RehearsedDialect,
        what: BuyerAction,
        cases: impl IntoIterator<Item = (u16, Value, ReplyBody)>,
    ) {
        for (status, body, expected) in cases {
            assert_eq!(read_reply(dialect, what, &reply(status, &body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_replies_of_drop_are_read() {
        let refused =
            |message: &str| json!({"success": false, "message": message, "remainingStock": 0, "more": 1});
        assert_read(
            RehearsedDialect::Drop,
            PURCHASE,
            [
                (200, json!({"success": true, "message": "Purchase successful", "remainingStock": 3}), OWNED),
                (200, json!({"success": true, "message": "bought"}), ReplyBody::Malformed),
                (400, refused("you have already purchased this item"), OWNED),
                (400, refused("sold out"), ReplyBody::Refused(Code::SoldOut)),
                (400, refused("the sale has not started"), ReplyBody::Refused(Code::NotStarted)),
                (400, refused("the sale has ended"), ReplyBody::Refused(Code::Ended)),
                (
                    400,
                    json!({"success": false, "message": "has not started", "code": "paused"}),
                    ReplyBody::Refused(Code::Paused),
                ),
                (429, json!({}), ReplyBody::Refused(Code::RateLimited)),
                (503, json!({"code": "not_recorded"}), ReplyBody::Refused(Code::NotRecorded)),
                (502, json!("<html>"), ReplyBody::Refused(Code::Unavailable)),
            ],
        );
        assert_read(
            RehearsedDialect::Drop,
            READ,
            [
                (200, json!({"hasPurchased": true, "purchaseTime": "2026-01-01T00:00:00.000Z"}), OWNED),
                (200, json!({"hasPurchased": false}), ReplyBody::NotOwned),
                (200, json!({}), ReplyBody::Malformed),
            ],
        );
    }

    #[test]
    fn the_replies_of_turnstile_are_read() {
        let job = Uuid::from_u128(7);
        let decided = |is_sold| ReplyBody::Job { job, is_sold };
        let acknowledged = |state: &str| json!({"success": true, "acknowledged": true, "message": "", "jobId": job, "state": state});
        assert_read(
            RehearsedDialect::Turnstile,
            PURCHASE,
            [
                (200, acknowledged("completed"), decided(true)),
                (200, acknowledged("failed"), decided(false)),
                (200, acknowledged("active"), ReplyBody::Malformed),
                (409, json!({"success": false, "jobId": job, "state": "completed"}), decided(true)),
                (409, json!({"success": false, "message": "used"}), ReplyBody::Refused(Code::KeyReused)),
                (
                    403,
                    json!({"message": "closed", "code": "not_started"}),
                    ReplyBody::Refused(Code::NotStarted),
                ),
                (403, json!({"message": "closed"}), ReplyBody::Refused(Code::Other)),
                (503, json!({"message": "no answer"}), ReplyBody::Refused(Code::Unavailable)),
            ],
        );
        let shown =
            |id: Uuid, state: &str, order: &str| json!({"jobId": id, "state": state, "orderStatus": order});
        assert_read(
            RehearsedDialect::Turnstile,
            BuyerAction::ReadPurchase { job: Some(job) },
            [
                (200, shown(job, "completed", "COMPLETED"), decided(true)),
                (200, shown(job, "failed", "CANCELLED"), decided(false)),
                (200, shown(job, "waiting", "PENDING"), ReplyBody::Malformed),
                (200, shown(Uuid::nil(), "completed", "COMPLETED"), ReplyBody::Malformed),
                (404, json!({"message": "unknown"}), ReplyBody::Refused(Code::OrderUnknown)),
            ],
        );
    }

    #[test]
    fn the_replies_of_attempts_are_read() {
        let refused =
            |message: &str| json!({"success": false, "error": "Validation error", "message": message});
        assert_read(
            RehearsedDialect::Attempts,
            PURCHASE,
            [
                (200, json!({"success": true, "message": "the attempt was received"}), OWNED),
                (200, json!({"success": true}), ReplyBody::Malformed),
                (400, refused("out of stock"), ReplyBody::Refused(Code::SoldOut)),
                (400, refused("not yet active; it starts at …"), ReplyBody::Refused(Code::NotStarted)),
                (400, refused("it has ended at …"), ReplyBody::Refused(Code::Ended)),
                (
                    401,
                    json!({"success": false, "code": "unauthorized"}),
                    ReplyBody::Refused(Code::Unauthorized),
                ),
            ],
        );
        let status = |word: &str| json!({"success": true, "data": {"status": word}, "status": word});
        assert_read(
            RehearsedDialect::Attempts,
            READ,
            [
                (200, status("SUCCESS"), OWNED),
                (200, status("FAILED"), ReplyBody::NotOwned),
                (200, status("PENDING"), ReplyBody::NotOwned),
                (200, status("ACTIVE"), ReplyBody::Malformed),
            ],
        );
    }

    #[test]
    fn the_replies_of_holds_are_read() {
        let (order, owned) =
            (Uuid::from_u128(9), ReplyBody::Owned { order: Some(OrderId(Uuid::from_u128(9))) });
        let joined = |position: u32, holds: bool| json!({"queued": true, "position": position, "hasActiveHold": holds});
        let refused =
            |status: u16, message: &str| json!({"statusCode": status, "error": "", "message": message});
        assert_read(
            RehearsedDialect::Holds,
            BuyerAction::Join,
            [
                (200, joined(4, false), ReplyBody::Spot { position: 4 }),
                (200, joined(1, true), ReplyBody::Spot { position: 0 }),
                (200, joined(0, false), ReplyBody::Malformed),
                (409, json!({"message": "already purchased", "orderId": order}), owned),
                (409, refused(409, "Sold out"), ReplyBody::Refused(Code::SoldOut)),
                (409, refused(409, "it has not started"), ReplyBody::Refused(Code::NotStarted)),
                (409, refused(409, "it has ended"), ReplyBody::Refused(Code::Ended)),
            ],
        );
        assert_read(
            RehearsedDialect::Holds,
            PURCHASE,
            [
                (200, json!({"ok": true, "orderId": order, "inventoryLeft": 3}), owned),
                (200, json!({"ok": true}), ReplyBody::Malformed),
                (410, refused(410, "your hold has expired"), ReplyBody::Refused(Code::NotInLine)),
                (409, refused(409, "it is paused"), ReplyBody::Refused(Code::Paused)),
            ],
        );
        let list = |status: &str| json!({"items": [{"_id": order, "paymentStatus": status}], "total": 1});
        assert_read(
            RehearsedDialect::Holds,
            READ,
            [
                (200, list("paid"), owned),
                (200, list("cancelled"), ReplyBody::NotOwned),
                (200, json!({"items": [], "total": 0}), ReplyBody::NotOwned),
                (200, json!({}), ReplyBody::Malformed),
            ],
        );
    }

    #[test]
    fn a_poll_of_the_place_is_read() {
        let poll = |status: &str, position: Value, holds: bool| {
            read_spot(&reply(200, &json!({"status": status, "position": position, "hasActiveHold": holds})))
        };
        assert_eq!(poll("queued", json!(3), false), Some(SpotReply::InLine(3)));
        assert_eq!(poll("ready", json!(1), true), Some(SpotReply::InLine(0)));
        assert_eq!(poll("none", Value::Null, false), Some(SpotReply::NotInLine));
        assert_eq!(poll("queued", json!(0), false), None, "no buyer waits at position 0");
        assert_eq!(poll("ready", json!(1), false), None);
        assert_eq!(read_spot(&reply(503, &json!({"status": "none"}))), None);
    }
}
