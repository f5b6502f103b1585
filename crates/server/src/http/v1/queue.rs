//! The waiting line over HTTP: join, position, extend, leave. Where a buyer stands is the engine's to say, never this file's.

use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json, Query};
use crate::http::problem::{Problem, ProblemSchema, kind};
use crate::shop::line;
use crate::shop::sales;
use axum::extract::State;
use axum::http::StatusCode;
use documents::PlaceDocument;
use sale::SaleId;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of the line.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(join))
        .routes(routes!(position))
        .routes(routes!(extend))
        .routes(routes!(leave))
}

/// Which line.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Line)]
#[into_params(parameter_in = Query)]
pub struct LineRequest {
    /// The sale's id.
    flash_sale_id: Uuid,
}

/// Join the line.
///
/// Whoever is in line already keeps the place and is told it again (200), so a repeated request or a second tab is safe.
#[utoipa::path(
    post,
    path = "/api/v1/queue/join",
    tag = "queue",
    request_body = LineRequest,
    responses(
        (status = 201, description = "In line", body = PlaceDocument),
        (status = 200, description = "In line already", body = PlaceDocument),
        (status = 409, description = "`sold_out`, `limit_reached`, `no_line`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 410, description = "`ended`, `closed`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 425, description = "`not_started`: the line is not open yet", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn join(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Json(body): Json<LineRequest>,
) -> Result<(StatusCode, Json<PlaceDocument>), Problem> {
    let sale = find_listed_sale(&app, body.flash_sale_id).await?;
    let joined = line::join(&app.shop, sale, session.buyer).await??;
    let status = if joined.fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(joined.status.into())))
}

/// Where am I?
#[utoipa::path(
    get,
    path = "/api/v1/queue/position",
    tag = "queue",
    params(LineRequest),
    responses(
        (status = 200, description = "The buyer's place", body = PlaceDocument),
        (status = 404, description = "`not_in_line`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn position(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Query(query): Query<LineRequest>,
) -> Result<Json<PlaceDocument>, Problem> {
    find_place(&app, query.flash_sale_id, session.buyer).await
}

/// Ask for more time to buy.
///
/// Each admission can be made longer once, before it is over, where the sale promises it (`admission.extensionSeconds`).
/// Asking again is answered with the same end, so a repeated request is safe.
#[utoipa::path(
    post,
    path = "/api/v1/queue/extend",
    tag = "queue",
    request_body = LineRequest,
    responses(
        (status = 200, description = "The place with its later `admittedUntil`", body = PlaceDocument),
        (status = 403, description = "`not_admitted`: it is not the buyer's turn yet", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 404, description = "`not_in_line`: there is no place, or the turn is over", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`no_extension`, `no_line`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn extend(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Json(body): Json<LineRequest>,
) -> Result<Json<PlaceDocument>, Problem> {
    let sale = find_listed_sale(&app, body.flash_sale_id).await?;
    let extended = line::extend(&app.shop, sale, session.buyer).await?;
    extended.map(|standing| Json(standing.into())).map_err(place_problem)
}

/// Leave the line, or give an admission back.
#[utoipa::path(
    delete,
    path = "/api/v1/queue/leave",
    tag = "queue",
    params(LineRequest),
    responses(
        (status = 204, description = "Left"),
        (status = 404, description = "`not_in_line`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn leave(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Query(query): Query<LineRequest>,
) -> Result<StatusCode, Problem> {
    let sale = find_listed_sale(&app, query.flash_sale_id).await?;
    let left = line::leave(&app.shop, sale, session.buyer).await?;
    left.map(|_ticket| StatusCode::NO_CONTENT).map_err(place_problem)
}

/// Here a place is what is asked for: without one there is nothing, where a purchase would be forbidden.
fn place_problem(refusal: sale::Refusal) -> Problem {
    match refusal {
        sale::Refusal::NotInLine => Problem::new(&kind::NO_PLACE),
        refusal => refusal.into(),
    }
}

/// The buyer's place; shared with `/flash-sales/{id}/queue-position`.
pub(super) async fn find_place(
    app: &AppState,
    sale: Uuid,
    buyer: sale::BuyerId,
) -> Result<Json<PlaceDocument>, Problem> {
    let sale = find_listed_sale(app, sale).await?;
    let standing = line::find_position(&app.shop, sale, buyer).await?;
    standing.map(|standing| Json(standing.into())).ok_or(Problem::new(&kind::NO_PLACE))
}

/// The id of a sale that is shown; a deleted one is as unknown as one that never was.
pub(in crate::http) async fn find_listed_sale(app: &AppState, sale: Uuid) -> Result<SaleId, Problem> {
    let sale = SaleId(sale);
    if sales::exists(&app.shop, sale).await { Ok(sale) } else { Err(Problem::new(&kind::SALE_UNKNOWN)) }
}
