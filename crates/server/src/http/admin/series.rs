//! `GET /admin/flash-sales/{id}/series`: events of a sale over time, for charts.

use super::dashboard::find_sale;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path, Query};
use crate::http::problem::{FieldError, Problem, kind};
use crate::http::timestamp::parse_rfc3339;
use crate::http::v1::rfc3339;
use crate::shop::series::{
    self, BUCKETS_MAX, EventCounts, RangeError, RangeRequest, SaleSeries, SeriesBucket, UnitLevels,
};
use axum::extract::State;
use sale::{SaleId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(sale_series))
}

/// The period, and the size of a bucket.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SeriesQuery {
    /// The start. The default is the opening of the line, or of the sale.
    #[param(format = DateTime)]
    from: Option<String>,
    /// The end. The default is now.
    #[param(format = DateTime)]
    to: Option<String>,
    /// Seconds of a bucket: 1 to 59, whole minutes, or whole hours. Chosen by the server when absent.
    step: Option<i64>,
}

/// Events over time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SeriesJson {
    /// The start, a multiple of the step.
    #[schema(format = DateTime)]
    from: String,
    /// The end, exclusive, a multiple of the step.
    #[schema(format = DateTime)]
    to: String,
    /// Seconds of a bucket.
    step_seconds: i64,
    /// The levels at the start; null without earlier events.
    before: Option<SeriesUnitsJson>,
    /// The buckets with events, oldest first; at most 600.
    buckets: Vec<BucketJson>,
    /// The numbers are complete up to this time: now, unless the tables lag. Refusals arrive about two seconds later.
    #[schema(format = DateTime)]
    complete_until: String,
    /// The `version` of the sale to which the numbers belong.
    projected_version: u64,
    /// Events by which the numbers lag behind the sale.
    projection_lag: u64,
    /// The server's time.
    #[schema(format = DateTime)]
    server_time: String,
}

/// Counts of events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CountsJson {
    /// Joins of the line.
    joined: u64,
    /// Admissions.
    admitted: u64,
    /// Buyers who left the line or gave up an admission.
    left: u64,
    /// Admissions that expired.
    lapsed: u64,
    /// New orders.
    ordered: u64,
    /// Confirmed orders.
    confirmed: u64,
    /// Expired orders.
    expired: u64,
    /// Cancelled orders.
    cancelled: u64,
    /// Declined orders.
    declined: u64,
    /// Refunded orders.
    refunded: u64,
}

/// Units by state, and waiting buyers.
#[derive(Debug, Serialize, ToSchema)]
struct SeriesUnitsJson {
    /// Free units.
    available: u32,
    /// Units reserved for admitted buyers.
    admitted: u32,
    /// Units held by pending orders.
    held: u32,
    /// Units sold.
    sold: u32,
    /// Buyers in line.
    waiting: u32,
}

/// One bucket.
#[derive(Debug, Serialize, ToSchema)]
struct BucketJson {
    /// Its start.
    #[schema(format = DateTime)]
    at: String,
    #[serde(flatten)]
    counts: CountsJson,
    /// Refused attempts.
    refused: u64,
    /// The levels at its end; null when it has only refused attempts.
    units: Option<SeriesUnitsJson>,
}

impl From<EventCounts> for CountsJson {
    fn from(counts: EventCounts) -> Self {
        let EventCounts { joined, admitted, left, lapsed, ordered, .. } = counts;
        let EventCounts { confirmed, expired, cancelled, declined, refunded, .. } = counts;
        Self { joined, admitted, left, lapsed, ordered, confirmed, expired, cancelled, declined, refunded }
    }
}

impl From<UnitLevels> for SeriesUnitsJson {
    fn from(UnitLevels { available, admitted, held, sold, waiting }: UnitLevels) -> Self {
        Self { available, admitted, held, sold, waiting }
    }
}

impl From<SeriesBucket> for BucketJson {
    fn from(SeriesBucket { at, counts, refused, units }: SeriesBucket) -> Self {
        Self { at: rfc3339(at), counts: counts.into(), refused, units: units.map(Into::into) }
    }
}

/// Events of a sale over time, in at most 600 buckets.
///
/// Counted from the ledger, refusals from the attempts, so that a restart changes nothing. Empty buckets are left out.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/series",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale"), SeriesQuery),
    responses(
        (status = 200, description = "The numbers", body = SeriesJson),
    ),
    security(("token" = []))
)]
async fn sale_series(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
    Query(query): Query<SeriesQuery>,
) -> Result<Json<SeriesJson>, Problem> {
    let sale = find_sale(&app, id).await?;
    let range = series::resolve_range(&sale, query.parse()?, app.shop.engine.now()).map_err(range_problem)?;
    let SaleSeries { range, before, buckets, complete_until, projected } =
        series::load_series(&app.shop, &sale, range).await?;
    Ok(Json(SeriesJson {
        from: rfc3339(range.from),
        to: rfc3339(range.to),
        step_seconds: range.step_s,
        before: before.map(Into::into),
        buckets: buckets.into_iter().map(Into::into).collect(),
        complete_until: rfc3339(complete_until),
        projected_version: projected.0,
        projection_lag: sale.view.seq.0.saturating_sub(projected.0),
        server_time: rfc3339(app.shop.engine.now()),
    }))
}

impl SeriesQuery {
    fn parse(&self) -> Result<RangeRequest, Problem> {
        let moment = |name: &'static str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => match parse_rfc3339(text) {
                Some(moment) => Ok::<Option<Timestamp>, Problem>(Some(moment)),
                None => Err(invalid_query(name, "an RFC 3339 date, such as 2026-11-27T09:00:00Z".to_owned())),
            },
        };
        Ok(RangeRequest {
            from: moment("/from", &self.from)?,
            to: moment("/to", &self.to)?,
            step_s: self.step,
        })
    }
}

fn range_problem(error: RangeError) -> Problem {
    match error {
        RangeError::Backwards => invalid_query("/to", "must not be before the beginning".to_owned()),
        RangeError::Step => invalid_query(
            "/step",
            "1 to 59 seconds, or whole minutes, or from 3600 on whole hours".to_owned(),
        ),
        RangeError::TooFine => {
            invalid_query("/step", format!("too fine: the range has more than {BUCKETS_MAX} such buckets"))
        }
    }
}

fn invalid_query(pointer: &'static str, detail: String) -> Problem {
    Problem::new(&kind::INVALID_QUERY).errors(vec![FieldError::new(pointer, detail)])
}
