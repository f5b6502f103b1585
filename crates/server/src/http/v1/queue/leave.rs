//! `DELETE /api/v1/queue/leave`: leave the line, or give up an admission.

use super::{find_listed_sale, place_problem};
use crate::http::AppState;
use crate::http::extract::{BuyerSession, OptionalJson, Query};
use crate::http::problem::{FieldError, Problem, kind};
use crate::shop::line;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The line of a sale, in the query.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LeaveQuery {
    /// The sale. Give it here or in the body.
    flash_sale_id: Option<Uuid>,
}

/// The line of a sale, in a body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LeaveBody {
    /// The sale. Give it here or in the query.
    flash_sale_id: Option<Uuid>,
}

/// Leave the line, or give up an admission.
///
/// The sale is in the query, or in a JSON body for clients that send one.
#[utoipa::path(
    delete,
    path = "/api/v1/queue/leave",
    tag = "queue",
    params(LeaveQuery),
    request_body = Option<LeaveBody>,
    responses(
        (status = 204, description = "Left"),
    ),
    security(("token" = []))
)]
pub(super) async fn leave(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Query(query): Query<LeaveQuery>,
    OptionalJson(body): OptionalJson<LeaveBody>,
) -> Result<StatusCode, Problem> {
    let sale = choose_sale(query, body.unwrap_or_default())?;
    let sale = find_listed_sale(&app, sale).await?;
    let left = line::leave(&app.shop, sale, session.buyer).await?;
    left.map(|_ticket| StatusCode::NO_CONTENT).map_err(place_problem)
}

fn choose_sale(query: LeaveQuery, body: LeaveBody) -> Result<Uuid, Problem> {
    match (query.flash_sale_id, body.flash_sale_id) {
        (Some(query), Some(body)) if query != body => {
            let detail = "the query and the body have different flashSaleIds; give one of them";
            Err(Problem::new(&kind::BAD_REQUEST).detail(detail))
        }
        (Some(sale), _) | (None, Some(sale)) => Ok(sale),
        (None, None) => {
            let errors = vec![FieldError::new("/flashSaleId", "is required, here or in a JSON body")];
            Err(Problem::new(&kind::INVALID_QUERY).errors(errors))
        }
    }
}
