//! `GET /api/v1/admin/webhooks/{id}/deliveries`: what was sent to an endpoint, and what came of it.

use super::DeliveryJson;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path, Query};
use crate::http::page::{Page, PageQuery, parse_time_cursor};
use crate::http::problem::{FieldError, Problem, kind};
use crate::shop::webhooks::DeliveryState;
use crate::shop::webhooks::deliveries;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveriesQuery {
    /// `pending`, `delivered` or `failed`. All when absent.
    state: Option<String>,
    /// Items in a page, 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// List the deliveries of a webhook endpoint, the newest first.
///
/// Deliveries are kept for 30 days.
#[utoipa::path(
    get,
    path = "/api/v1/admin/webhooks/{id}/deliveries",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The endpoint"), DeliveriesQuery),
    responses(
        (status = 200, description = "The deliveries", body = Page<DeliveryJson>),
    ),
    security(("token" = []))
)]
pub(super) async fn deliveries(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<Uuid>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<Page<DeliveryJson>>, Problem> {
    let state = query.state.as_deref().map(parse_state).transpose()?;
    let request = PageQuery { limit: query.limit, cursor: query.cursor }.into_request()?;
    let after = request.after.as_deref().map(parse_time_cursor).transpose()?;
    let rows = deliveries::list(&app.shop, id, state, after, request.limit).await??;
    let page = Page::new(rows, request.limit, |row| format!("{}/{}", row.created_at.0, row.id));
    Ok(Json(page.map(DeliveryJson::from)))
}

fn parse_state(word: &str) -> Result<DeliveryState, Problem> {
    DeliveryState::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(|| {
        let error = FieldError::new("/state", "pending, delivered or failed");
        Problem::new(&kind::INVALID_QUERY).errors(vec![error])
    })
}
