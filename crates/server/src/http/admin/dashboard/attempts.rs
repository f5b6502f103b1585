//! `GET /api/v1/admin/flash-sales/{id}/attempts`: every request to buy, accepted or refused, newest first.

use super::{find_sale, parse_cursor};
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path, Query};
use crate::http::page::{Page, PageQuery};
use crate::http::problem::Problem;
use crate::http::v1::rfc3339;
use crate::shop::dashboard::{self, AttemptFilter, AttemptRow, RowsWithBuyers};
use crate::shop_documents::buyer_document;
use axum::extract::State;
use documents::BuyerDocument;
use sale::SaleId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A request to buy, or a count of refusals with one code in one second.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AttemptJson {
    id: Uuid,
    /// Null for a count.
    buyer: Option<BuyerDocument>,
    /// `join` or `order`.
    action: String,
    /// `accepted`, or the refusal's code.
    code: String,
    /// Requests in this row.
    count: u64,
    /// Of a count, the start of its second.
    #[schema(format = DateTime)]
    at: String,
}

/// A page of attempts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttemptsJson {
    /// The attempts.
    items: Vec<AttemptJson>,
    /// The `cursor` of the next page; null on the last page.
    next_cursor: Option<String>,
    /// Refusals of this sale that came too fast to be stored one by one, and are counted by code and second, without buyers.
    counted_only: u64,
    /// The same in a sentence; null when every refusal is stored.
    note: Option<String>,
}

/// A filter of attempts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AttemptsQuery {
    /// `join` or `order`.
    action: Option<String>,
    /// `accepted`, or the code of a refusal, such as `sold_out`.
    code: Option<String>,
    /// Items in a page, 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// Every request to buy, accepted or refused, newest first.
///
/// In a flood, refusals are counted by code and second instead of stored one by one; `countedOnly` and `note` show it.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/attempts",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale"), AttemptsQuery),
    responses(
        (status = 200, description = "A page of attempts", body = AttemptsJson),
    ),
    security(("token" = []))
)]
pub(super) async fn attempts(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
    Query(AttemptsQuery { action, code, limit, cursor: next }): Query<AttemptsQuery>,
) -> Result<Json<AttemptsJson>, Problem> {
    find_sale(&app, id).await?;
    let request = PageQuery { limit, cursor: next }.into_request()?;
    let after = request.after.as_deref().map(parse_cursor).transpose()?;
    let filter = AttemptFilter { action: action.as_deref(), code: code.as_deref(), after };
    let (RowsWithBuyers { rows, people }, counted_only) =
        dashboard::list_attempts(&app.shop, id, filter, request.limit + 1).await?;
    let page = Page::new(rows, request.limit, |row| row.id.to_string());
    let page = page.map(|AttemptRow { id, buyer, action, code, count, at, .. }| AttemptJson {
        id,
        buyer: buyer.map(|buyer| buyer_document(buyer, &people)),
        action: action.into_owned(),
        code: code.into_owned(),
        count,
        at: rfc3339(at),
    });
    let note = (counted_only > 0).then(|| {
        format!(
            "{counted_only} refusals came too fast to be kept one by one: they are counted by code and second"
        )
    });
    Ok(Json(AttemptsJson { items: page.items, next_cursor: page.next_cursor, counted_only, note }))
}
