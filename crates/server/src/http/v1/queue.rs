//! `/queue`, the waiting line: join, position, extend, leave. The engine computes every place; this module never does.

mod extend;
mod join;
mod leave;
mod position;

use super::sale_json::AvailabilityJson;
use crate::http::AppState;
use crate::http::extract::Json;
use crate::http::problem::{Problem, kind};
use crate::shop::line::{self, QueueStatus};
use crate::shop::sales;
use sale::{LinePosition, SaleId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(join::join))
        .routes(routes!(position::position))
        .routes(routes!(extend::extend))
        .routes(routes!(leave::leave))
}

/// The line of a sale.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Line)]
#[into_params(parameter_in = Query)]
pub struct LineRequest {
    flash_sale_id: Uuid,
}

/// A buyer's place in a line.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaceJson {
    flash_sale_id: Uuid,
    /// The buyer's number in the line: 1, 2, 3, …; it never changes.
    ticket: u32,
    /// Waiting buyers ahead, plus one. 0 once admitted.
    position: u32,
    /// Waiting buyers ahead.
    ahead: u32,
    /// Whether it is the buyer's turn.
    status: PlaceStatus,
    /// An admitted buyer may order until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    admitted_until: Option<String>,
    /// Seconds that `POST /queue/extend` can still add to `admittedUntil`, once. Absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    extension_seconds: Option<u32>,
    /// Whether units are left. In a sale that is `sold_out`, a waiting buyer gets a unit only if an order is refunded.
    #[schema(value_type = AvailabilityJson)]
    availability: &'static str,
    /// Seconds until admission at the sale's rate. 0 once admitted. Buyers who leave shorten it; a pause, or units that are all held,
    /// lengthen it.
    estimated_wait_seconds: u64,
    /// Proof of the ticket, which only the shop can issue.
    receipt: String,
}

/// Whether it is the buyer's turn.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum PlaceStatus {
    Waiting,
    Admitted,
}

impl From<QueueStatus> for PlaceJson {
    fn from(queue_status: QueueStatus) -> Self {
        let (position, status, until, extension_s) = match queue_status.place {
            LinePosition::Waiting { position } => (position, PlaceStatus::Waiting, None, 0),
            LinePosition::Admitted { until, extension_s } => {
                (0, PlaceStatus::Admitted, Some(until), extension_s)
            }
        };
        Self {
            flash_sale_id: queue_status.sale.0,
            ticket: queue_status.ticket.0,
            position,
            ahead: position.saturating_sub(1),
            status,
            admitted_until: until.map(super::time::rfc3339),
            extension_seconds: (extension_s > 0).then_some(extension_s),
            availability: queue_status.availability.as_str(),
            estimated_wait_seconds: queue_status.estimated_wait_s,
            receipt: queue_status.receipt.to_string(),
        }
    }
}

/// A request for a place without one is a 404, where a purchase without one is a 403.
fn place_problem(refusal: sale::Refusal) -> Problem {
    match refusal {
        sale::Refusal::NotInLine => Problem::new(&kind::NO_PLACE),
        refusal => refusal.into(),
    }
}

/// The buyer's place; also for `/flash-sales/{id}/queue-position`.
pub(super) async fn find_place(
    app: &AppState,
    sale: Uuid,
    buyer: sale::BuyerId,
) -> Result<Json<PlaceJson>, Problem> {
    let sale = find_listed_sale(app, sale).await?;
    let place = line::find_position(&app.shop, sale, buyer).await?;
    place.map(|place| Json(place.into())).ok_or(Problem::new(&kind::NO_PLACE))
}

/// The id of a listed sale. A deleted sale is unknown.
pub(in crate::http) async fn find_listed_sale(app: &AppState, sale: Uuid) -> Result<SaleId, Problem> {
    let sale = SaleId(sale);
    if sales::exists(&app.shop, sale).await { Ok(sale) } else { Err(Problem::new(&kind::SALE_UNKNOWN)) }
}
