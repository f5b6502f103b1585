//! `GET /api/v1/flash-sales`: all sales, or those in one phase, newest first.

use crate::http::AppState;
use crate::http::extract::{Json, Query};
use crate::http::page::{Page, PageQuery, parse_time_cursor};
use crate::http::problem::{FieldError, Problem, kind};
use crate::shop::sales;
use crate::shop_documents::sale_document;
use axum::extract::State;
use documents::SaleDocument;
use sale::SalePhase;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SaleListQuery {
    /// `upcoming`, `active`, `paused`, `ended` or `closed`: `?status=active` lists the active sales. All when absent.
    status: Option<String>,
    /// Items in a page, 1 to 200. The default is 50.
    limit: Option<u32>,
    /// The `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// All sales, newest first.
///
/// The sales that sell at this moment are `?status=active`.
#[utoipa::path(
    get,
    path = "/api/v1/flash-sales",
    tag = "flash-sales",
    params(SaleListQuery),
    responses((status = 200, description = "A page of sales", body = Page<SaleDocument>))
)]
pub(super) async fn list(
    State(app): State<AppState>,
    Query(filter): Query<SaleListQuery>,
) -> Result<Json<Page<SaleDocument>>, Problem> {
    let phase = filter.status.as_deref().map(parse_phase).transpose()?;
    let request = PageQuery { limit: filter.limit, cursor: filter.cursor }.into_request()?;
    let after = request.after.as_deref().map(parse_time_cursor).transpose()?;
    let sales = sales::list(&app.shop, phase, after, request.limit as usize + 1);
    let page = Page::new(sales, request.limit, |sale| {
        format!("{}/{}", sale.listing.created_at.0, sale.listing.sale)
    });
    let now = app.shop.engine.now();
    Ok(Json(page.map(|sale| sale_document(&sale.listing, &sale.view, now))))
}

fn parse_phase(text: &str) -> Result<SalePhase, Problem> {
    [SalePhase::Upcoming, SalePhase::Active, SalePhase::Paused, SalePhase::Ended, SalePhase::Closed]
        .into_iter()
        .find(|phase| phase.as_str() == text)
        .ok_or_else(|| {
            let error = FieldError::new("/status", "upcoming, active, paused, ended or closed");
            Problem::new(&kind::INVALID_QUERY).errors(vec![error])
        })
}
