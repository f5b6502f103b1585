//! The merchant's views of a line: overview, members, audit.

use super::super::error::DialectError;
use super::super::fields::{LenientFields, LenientQuery, PathId};
use super::super::reply::DialectReply;
use super::super::{DialectContext, DialectState};
use super::documents::PageDocument;
use super::request::{PageNumber, invalid, read_text, require_admin, require_sale};
use crate::http::caller::RequestCaller;
use crate::shop::holds::seconds_left;
use crate::shop::line_pages::{self, LinePage, LinePlace, LineSummary};
use crate::shop::order_pages::PageOffset;
use crate::shop::sales::ListedSale;
use axum::extract::State;
use sale::{LinePosition, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

/// The name that the clients know the line by.
const QUEUE_NAME: &str = "sale-processing-queue";
/// Members of a page.
const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;
/// Members of an audit.
const SAMPLE_DEFAULT: i64 = 20;

/// A member of a line.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberDocument {
    email: Option<String>,
    position: u64,
    /// When the buyer joined, in milliseconds since 1970.
    score: i64,
    hold_ttl_sec: u32,
}

pub(super) async fn show_overview(
    State(state): State<DialectState>,
    caller: RequestCaller,
    PathId(id): PathId,
) -> Result<DialectReply, DialectError> {
    require_admin(&state, &caller).await?;
    describe_overview(&state, &id).await
}

pub(super) async fn show_overview_of_query(
    State(state): State<DialectState>,
    caller: RequestCaller,
    LenientQuery(fields): LenientQuery,
) -> Result<DialectReply, DialectError> {
    require_admin(&state, &caller).await?;
    describe_overview(&state, &read_sale(&fields)?).await
}

pub(super) async fn list_members(
    State(state): State<DialectState>,
    caller: RequestCaller,
    PathId(id): PathId,
    LenientQuery(fields): LenientQuery,
) -> Result<DialectReply, DialectError> {
    require_admin(&state, &caller).await?;
    describe_members(&state, &id, &fields).await
}

pub(super) async fn list_members_of_query(
    State(state): State<DialectState>,
    caller: RequestCaller,
    LenientQuery(fields): LenientQuery,
) -> Result<DialectReply, DialectError> {
    require_admin(&state, &caller).await?;
    describe_members(&state, &read_sale(&fields)?, &fields).await
}

/// The head of the line and its holds. There are no other queues, and no hold outside of the line.
pub(super) async fn audit(
    State(state): State<DialectState>,
    caller: RequestCaller,
    LenientQuery(fields): LenientQuery,
) -> Result<DialectReply, DialectError> {
    require_admin(&state, &caller).await?;
    let sale = require_sale(&state, &read_sale(&fields)?).await?;
    let sample = fields.whole_number("sample")?.unwrap_or(SAMPLE_DEFAULT).clamp(1, i64::from(LIMIT_MAX));
    let limit = u32::try_from(sample).unwrap_or(LIMIT_MAX);
    let (shop, id) = (&state.app.shop, sale.view.id);
    let summary = line_pages::load_summary(shop, id).await?;
    let page = line_pages::list_members(shop, id, PageOffset { offset: 0, limit }).await?;
    let now = shop.engine.now();
    let members: Vec<MemberDocument> = describe_page(&page, now);
    let holds: Vec<Value> = members
        .iter()
        .filter(|member| member.hold_ttl_sec > 0)
        .map(|member| {
            let email = member.email.as_deref().unwrap_or_default();
            json!({
                "key": format!("hold:{id}:{email}"),
                "email": email,
                "ttlSec": member.hold_ttl_sec,
                "inQueue": true,
            })
        })
        .collect();
    Ok(DialectReply::ok(&json!({
        "ts": now.0,
        "queueName": QUEUE_NAME,
        "jobCounts": count_jobs(&summary),
        "flashSaleId": id,
        "head": members,
        "holds": holds,
        "otherQueues": [],
        "strays": [],
    })))
}

fn read_sale(fields: &LenientFields) -> Result<String, DialectError> {
    read_text(fields, "flashSaleId")?.ok_or_else(|| invalid("flashSaleId is required"))
}

async fn describe_overview(state: &DialectContext, id: &str) -> Result<DialectReply, DialectError> {
    let ListedSale { view, .. } = require_sale(state, id).await?;
    let shop = &state.app.shop;
    let summary = line_pages::load_summary(shop, view.id).await?;
    let size = summary.waiting.saturating_add(summary.holders);
    Ok(DialectReply::ok(&json!({
        "totalInQueue": size,
        "processing": summary.holders,
        "waiting": summary.waiting,
        "lineSize": size,
        "activeHolds": summary.holders,
        "jobCounts": count_jobs(&summary),
        "isPaused": summary.is_paused,
        "queueName": QUEUE_NAME,
        "flashSaleId": view.id,
        "ts": shop.engine.now().0,
    })))
}

async fn describe_members(
    state: &DialectContext,
    id: &str,
    fields: &LenientFields,
) -> Result<DialectReply, DialectError> {
    let sale = require_sale(state, id).await?;
    let page = PageNumber::read(fields, "limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let shop = &state.app.shop;
    let found = line_pages::list_members(shop, sale.view.id, page.offset()).await?;
    let items = describe_page(&found, shop.engine.now());
    Ok(DialectReply::ok(&PageDocument { items, total: found.total, page: page.page, limit: page.limit }))
}

fn describe_page(page: &LinePage, now: Timestamp) -> Vec<MemberDocument> {
    let describe = |place: &LinePlace| MemberDocument {
        email: page.people.get(&place.member.buyer).map(|person| person.email.clone()),
        position: place.rank,
        score: place.joined_at.0,
        hold_ttl_sec: match place.member.place {
            LinePosition::Waiting { .. } => 0,
            LinePosition::Admitted { until, .. } => seconds_left(&page.view, until, now),
        },
    };
    page.places.iter().map(describe).collect()
}

fn count_jobs(summary: &LineSummary) -> Value {
    json!({
        "waiting": summary.waiting,
        "active": summary.holders,
        "completed": summary.sold,
        "failed": summary.lapsed,
        "delayed": 0,
        "paused": 0,
    })
}
