//! `/queue`, the waiting line: join, position, extend, leave. The engine computes every place; this module never does.

mod extend;
mod join;
mod leave;
mod position;

use crate::http::AppState;
use crate::http::extract::Json;
use crate::http::problem::{Problem, kind};
use crate::shop::line;
use crate::shop::sales;
use documents::PlaceDocument;
use sale::SaleId;
use serde::Deserialize;
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

/// A request for a place without one is a 404, where a purchase without one is a 403.
fn place_problem(refusal: sale::Refusal) -> Problem {
    match refusal {
        sale::Refusal::NotInLine => Problem::new(&kind::NO_PLACE),
        refusal => refusal.into(),
    }
}

/// The buyer's place, or how it ended; also for `/flash-sales/{id}/queue-position`.
pub(super) async fn find_place(
    app: &AppState,
    sale: Uuid,
    buyer: sale::BuyerId,
) -> Result<Json<PlaceDocument>, Problem> {
    let sale = SaleId(sale);
    let is_listed = sales::exists(&app.shop, sale).await;
    // Who waits in a sale that is not listed any more is answered that it is over.
    let place = if is_listed || line::is_known_sale(&app.shop, sale) {
        line::find_position(&app.shop, sale, buyer).await?
    } else {
        None
    };
    let missing = if is_listed { &kind::NO_PLACE } else { &kind::SALE_UNKNOWN };
    place.map(|place| Json(place.into())).ok_or(Problem::new(missing))
}

/// The id of a listed sale. A deleted sale is unknown.
pub(in crate::http) async fn find_listed_sale(app: &AppState, sale: Uuid) -> Result<SaleId, Problem> {
    let sale = SaleId(sale);
    if sales::exists(&app.shop, sale).await { Ok(sale) } else { Err(Problem::new(&kind::SALE_UNKNOWN)) }
}
