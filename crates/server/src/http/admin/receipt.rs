//! `GET /admin/flash-sales/{id}/receipt`: checks the receipt of a place in line.

use crate::http::AppState;
use crate::http::extract::Json;
use crate::http::extract::{AdminSession, Path, Query};
use crate::http::problem::Problem;
use crate::http::v1::queue::find_listed_sale;
use crate::shop::dashboard::{self, BuyerSelector};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(check))
}

/// A receipt to check.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReceiptQuery {
    /// The buyer who shows it: an e-mail address or an id.
    #[param(value_type = String)]
    buyer: BuyerSelector,
    /// The `receipt` of a place, such as `17-dGhlIHByb29m`.
    receipt: String,
}

/// What a receipt proves.
#[derive(Debug, Serialize, ToSchema)]
struct ReceiptJson {
    /// Whether this shop gave this ticket to this buyer in this sale.
    genuine: bool,
    /// The ticket that it proves.
    ticket: Option<u32>,
}

/// Check a receipt.
///
/// A receipt proves that this shop gave a ticket in this sale's line to this buyer. The sale's events show what happened to the
/// place.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/receipt",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale"), ReceiptQuery),
    responses(
        (status = 200, description = "What it proves", body = ReceiptJson),
    ),
    security(("token" = []))
)]
async fn check(
    State(app): State<AppState>,
    _: AdminSession,
    Path(sale): Path<Uuid>,
    Query(shown): Query<ReceiptQuery>,
) -> Result<Json<ReceiptJson>, Problem> {
    let sale = find_listed_sale(&app, sale).await?;
    let ticket = dashboard::verify_receipt(&app.shop, sale, &shown.buyer, &shown.receipt).await?;
    Ok(Json(ReceiptJson { genuine: ticket.is_some(), ticket: ticket.map(|ticket| ticket.0) }))
}
