//! `GET /admin/followers`: how far each shared follower of the ledger has come.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Json};
use crate::http::problem::Problem;
use crate::http::v1::rfc3339;
use crate::shop::followers::{self, FollowerFailure, FollowerStatus, SaleProgress};
use axum::extract::State;
use sale::{SaleId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Sales of one follower in a reply, at most.
const SALES_MAX: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_followers))
}

/// The followers of the ledger.
#[derive(Debug, Serialize, ToSchema)]
struct FollowersJson {
    items: Vec<FollowerJson>,
}

/// One follower.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FollowerJson {
    /// Its name.
    name: String,
    /// Whether it runs. A receiver of events that was switched off is behind until it is switched on again; that it is off is known after
    /// half an hour.
    is_on: bool,
    /// Events of all sales that it has not delivered yet.
    events_behind: u64,
    /// How far it has come in each sale, the longest lag first; at most 1,000 sales.
    sales: Vec<FollowerSaleJson>,
    /// The last time that its receiver did not take events.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failure: Option<FollowerFailureJson>,
}

/// An outage of a follower's receiver.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FollowerFailureJson {
    /// When it first did not take events.
    #[schema(format = DateTime)]
    began_at: String,
    /// When it last did not.
    #[schema(format = DateTime)]
    failed_at: String,
    /// What it said, or why it could not be reached.
    reason: String,
    /// When it took events again; absent while it takes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    ended_at: Option<String>,
}

impl From<FollowerFailure> for FollowerFailureJson {
    fn from(failure: FollowerFailure) -> Self {
        Self {
            began_at: rfc3339(failure.began_at),
            failed_at: rfc3339(failure.failed_at),
            reason: failure.reason,
            ended_at: failure.ended_at.map(rfc3339),
        }
    }
}

/// How far a follower has come in one sale.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FollowerSaleJson {
    #[schema(value_type = uuid::Uuid)]
    flash_sale_id: SaleId,
    /// The last event that it has delivered; 0 before the first.
    seq: u64,
    /// The sale's last event.
    version: u64,
    /// Events that it has not delivered yet.
    events_behind: u64,
}

impl FollowerJson {
    fn new(status: FollowerStatus, now: Timestamp) -> Self {
        let is_on = status.is_on(now);
        let events_behind = status.count_behind();
        let sales = status.sales.into_iter().take(SALES_MAX).map(Into::into).collect();
        let failure = status.failure.map(Into::into);
        Self { name: status.name, is_on, events_behind, sales, failure }
    }
}

impl From<SaleProgress> for FollowerSaleJson {
    fn from(progress: SaleProgress) -> Self {
        Self {
            flash_sale_id: progress.sale,
            seq: progress.delivered.0,
            version: progress.last.0,
            events_behind: progress.count_behind(),
        }
    }
}

/// How far the followers of the ledger have come.
///
/// A follower delivers the ledger's events to something else: the projector writes the tables behind lists. What each process
/// follows for itself, such as live updates, is not listed here; the metrics show it.
#[utoipa::path(
    get,
    path = "/api/v1/admin/followers",
    tag = "admin",
    responses((status = 200, description = "The followers", body = FollowersJson)),
    security(("token" = []))
)]
async fn list_followers(
    State(app): State<AppState>,
    _: AdminSession,
) -> Result<Json<FollowersJson>, Problem> {
    let heads = followers::published_heads(app.shop.engine.views());
    let statuses = followers::list(&app.shop.store, &heads).await?;
    let now = (app.shop.now)();
    let items = statuses.into_iter().map(|status| FollowerJson::new(status, now));
    Ok(Json(FollowersJson { items: items.collect() }))
}
