//! What happens in a sale: overview, line and attempts. Its orders and its ledger have files of their own.

use super::buyer_json::BuyerJson;
use super::flash_sales::AdminSaleJson;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path, Query};
use crate::http::page::{Page, PageQuery};
use crate::http::problem::{FieldError, Problem, ProblemSchema, kind};
use crate::http::v1::rfc3339;
use crate::shop::dashboard::{
    self, AttemptFilter, AttemptRow, BuyerSelector, DashboardOverview, LineStart, RowsWithBuyers,
    StatusTotals,
};
use crate::shop::sales::{self, ListedSale};
use axum::extract::State;
use documents::MoneyDocument as MoneyJson;
use sale::{LineMember, LinePosition, Money, SaleId, Ticket};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(overview)).routes(routes!(queue)).routes(routes!(attempts))
}

/// How a sale goes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OverviewJson {
    /// The sale, with its counters as the engine has them now.
    sale: AdminSaleJson,
    /// Its orders by status.
    orders: Vec<StatusSumJson>,
    /// What buyers paid and did not get back.
    revenue: MoneyJson,
    /// Orders made in the last 60 seconds.
    orders_last_minute: u64,
    /// Refused attempts by code.
    refusals: Vec<RefusalsJson>,
    /// The `version` of the sale that orders, revenue and attempts are of.
    projected_version: u64,
    /// Events that the tables are behind the sale above; 0 when they show all of it.
    projection_lag: u64,
}

/// Orders in one status.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusSumJson {
    /// The status.
    status: String,
    /// How many orders.
    orders: u64,
    /// Their units.
    units: u64,
    /// Their price.
    total: MoneyJson,
}

/// Refusals of one sort.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RefusalsJson {
    /// The refusal's code.
    code: String,
    /// How many.
    count: u64,
}

/// How a sale goes: units, orders, money, refusals, line.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/overview",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "The figures", body = OverviewJson),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn overview(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
) -> Result<Json<OverviewJson>, Problem> {
    let DashboardOverview { sale, orders, orders_last_minute, refusals, projected } =
        dashboard::load_overview(&app.shop, find_sale(&app, id).await?).await?;
    let revenue = sale_money(&sale, dashboard::revenue_minor(&orders));
    Ok(Json(OverviewJson {
        orders: status_totals(&sale, &orders),
        revenue,
        orders_last_minute,
        refusals: refusal_counts(refusals),
        projected_version: projected.0,
        projection_lag: sale.view.seq.0.saturating_sub(projected.0),
        sale: AdminSaleJson::from_sale(&sale, app.shop.engine.now()),
    }))
}

/// An amount in the sale's currency.
pub(super) fn sale_money(sale: &ListedSale, minor: i64) -> MoneyJson {
    Money { minor, ..sale.view.policy.unit_price }.into()
}

pub(super) fn status_totals(sale: &ListedSale, orders: &[StatusTotals]) -> Vec<StatusSumJson> {
    let sum = |sum: &StatusTotals| StatusSumJson {
        status: sum.status.clone(),
        orders: sum.orders,
        units: sum.units,
        total: sale_money(sale, sum.amount_minor),
    };
    orders.iter().map(sum).collect()
}

pub(super) fn refusal_counts(refusals: Vec<(String, u64)>) -> Vec<RefusalsJson> {
    refusals.into_iter().map(|(code, count)| RefusalsJson { code, count }).collect()
}

/// Someone in line.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MemberJson {
    /// The buyer's number.
    ticket: u32,
    /// Who.
    buyer: BuyerJson,
    /// `waiting` or `admitted`.
    #[schema(pattern = "^(waiting|admitted)$")]
    status: &'static str,
    /// Waiting buyers ahead, plus one; absent once admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
    /// Until when an admitted buyer may order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    admitted_until: Option<String>,
}

/// From where on the line is told.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LineQuery {
    /// Begin at the place of this buyer: an e-mail address or an id. Empty when they have none. Not looked at with a `cursor`.
    #[param(value_type = Option<String>)]
    buyer: Option<BuyerSelector>,
    /// Items in a page, 1 to 200; 50 when not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// Who stands in line, in the order of the line.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/queue",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale"), LineQuery),
    responses(
        (status = 200, description = "A page of the line", body = Page<MemberJson>),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn queue(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
    Query(LineQuery { buyer, limit, cursor: next }): Query<LineQuery>,
) -> Result<Json<Page<MemberJson>>, Problem> {
    find_sale(&app, id).await?;
    let slice = PageQuery { limit, cursor: next }.into_request()?;
    let start = match (slice.after.as_deref(), buyer) {
        (Some(after), _) => LineStart::Behind(Ticket(parse_cursor(after)?)),
        (None, Some(buyer)) => LineStart::AtBuyer(buyer),
        (None, None) => LineStart::Head,
    };
    let RowsWithBuyers { rows, people } = dashboard::list_line(&app.shop, id, start, slice.limit + 1).await?;
    let page = Page::new(rows, slice.limit, |member| member.ticket.to_string());
    Ok(Json(page.map(|LineMember { buyer, ticket, place }| {
        let (status, position, until) = match place {
            LinePosition::Waiting { position } => ("waiting", Some(position), None),
            LinePosition::Admitted { until, .. } => ("admitted", None, Some(rfc3339(until))),
        };
        let buyer = BuyerJson::from_people(buyer, &people);
        MemberJson { ticket: ticket.0, buyer, status, position, admitted_until: until }
    })))
}

/// A request to buy, or a count of alike refusals.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptJson {
    /// Its id.
    id: Uuid,
    /// Who; null for a count.
    buyer: Option<BuyerJson>,
    /// What was tried: `join` or `order`.
    action: String,
    /// `accepted`, or the refusal's code.
    code: String,
    /// How many requests this row stands for.
    count: u64,
    /// When; of a count, the beginning of its second.
    #[schema(format = DateTime)]
    at: String,
}

/// A page of attempts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AttemptsJson {
    /// The attempts.
    items: Vec<AttemptJson>,
    /// Give this as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
    /// Refusals of this sale that came too fast to be kept one by one: they are counted by code and second, without buyers.
    counted_only: u64,
    /// Says so in a sentence; null when every refusal is kept.
    note: Option<String>,
}

/// Which attempts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AttemptsQuery {
    /// `join` or `order`.
    action: Option<String>,
    /// `accepted`, or the code of a refusal, such as `sold_out`.
    code: Option<String>,
    /// Items in a page, 1 to 200; 50 when not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// Every request to buy, accepted or refused, newest first.
///
/// In a flood, refusals are counted by code and second instead of kept one by one; `countedOnly` and `note` say so.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/attempts",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale"), AttemptsQuery),
    responses(
        (status = 200, description = "A page of attempts", body = AttemptsJson),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn attempts(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
    Query(AttemptsQuery { action, code, limit, cursor: next }): Query<AttemptsQuery>,
) -> Result<Json<AttemptsJson>, Problem> {
    find_sale(&app, id).await?;
    let slice = PageQuery { limit, cursor: next }.into_request()?;
    let after = slice.after.as_deref().map(parse_cursor).transpose()?;
    let filter = AttemptFilter { action: action.as_deref(), code: code.as_deref(), after };
    let (RowsWithBuyers { rows, people }, counted_only) =
        dashboard::list_attempts(&app.shop, id, filter, slice.limit + 1).await?;
    let page = Page::new(rows, slice.limit, |row| row.id.to_string());
    let page = page.map(|AttemptRow { id, buyer, action, code, count, at, .. }| AttemptJson {
        id,
        buyer: buyer.map(|buyer| BuyerJson::from_people(buyer, &people)),
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

pub(super) async fn find_sale(app: &AppState, id: SaleId) -> Result<ListedSale, Problem> {
    sales::find_or_refresh(&app.shop, id).await.ok_or(Problem::new(&kind::SALE_UNKNOWN))
}

/// The key in a cursor, of whichever sort this list has.
pub(super) fn parse_cursor<T: std::str::FromStr>(key: &str) -> Result<T, Problem> {
    key.parse().map_err(|_| {
        let wrong = FieldError::new("/cursor", "not a cursor of this list");
        Problem::new(&kind::INVALID_QUERY).errors(vec![wrong])
    })
}
