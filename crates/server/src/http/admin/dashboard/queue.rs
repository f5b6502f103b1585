//! `GET /api/v1/admin/flash-sales/{id}/queue`: the buyers in line, in order.

use super::{find_sale, parse_cursor};
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path, Query};
use crate::http::page::{Page, PageQuery};
use crate::http::problem::Problem;
use crate::http::v1::rfc3339;
use crate::shop::dashboard::{self, BuyerSelector, LineStart, RowsWithBuyers};
use crate::shop_documents::buyer_document;
use axum::extract::State;
use documents::BuyerDocument;
use sale::{LineMember, LinePosition, SaleId, Ticket};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A buyer in line.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberJson {
    ticket: u32,
    buyer: BuyerDocument,
    /// `waiting` or `admitted`; `over` for a buyer who waited when the sale ended.
    #[schema(pattern = "^(waiting|admitted|over)$")]
    status: &'static str,
    /// Waiting buyers ahead, plus one; absent for a buyer who does not wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
    /// An admitted buyer may order until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    admitted_until: Option<String>,
}

/// Where a page of the line starts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LineQuery {
    /// Start at the place of this buyer: an e-mail address or an id. The page is empty when the buyer has none. Ignored with a
    /// `cursor`.
    #[param(value_type = Option<String>)]
    buyer: Option<BuyerSelector>,
    /// Items in a page, 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// The buyers in line, in order.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/queue",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale"), LineQuery),
    responses(
        (status = 200, description = "A page of the line", body = Page<MemberJson>),
    ),
    security(("token" = []))
)]
pub(super) async fn queue(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
    Query(LineQuery { buyer, limit, cursor: next }): Query<LineQuery>,
) -> Result<Json<Page<MemberJson>>, Problem> {
    let sale = find_sale(&app, id).await?;
    let request = PageQuery { limit, cursor: next }.into_request()?;
    let start = match (request.after.as_deref(), buyer) {
        (Some(after), _) => LineStart::Behind(Ticket(parse_cursor(after)?)),
        (None, Some(buyer)) => LineStart::AtBuyer(buyer),
        (None, None) => LineStart::Head,
    };
    let RowsWithBuyers { rows, people } =
        dashboard::list_line(&app.shop, id, start, request.limit + 1).await?;
    let page = Page::new(rows, request.limit, |member| member.ticket.to_string());
    let is_over = sale.view.is_over(app.shop.engine.now());
    Ok(Json(page.map(|LineMember { buyer, ticket, place }| {
        let (status, position, until) = match place {
            LinePosition::Waiting { .. } if is_over => ("over", None, None),
            LinePosition::Waiting { position } => ("waiting", Some(position), None),
            LinePosition::Admitted { until, .. } => ("admitted", None, Some(rfc3339(until))),
        };
        let buyer = buyer_document(buyer, &people);
        MemberJson { ticket: ticket.0, buyer, status, position, admitted_until: until }
    })))
}
