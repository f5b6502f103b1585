//! `GET /admin/followers`: how far each shared follower of the ledger has come.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Json};
use crate::http::problem::Problem;
use crate::shop::followers::{self, FollowerStatus, SaleProgress};
use axum::extract::State;
use sale::SaleId;
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
    /// Events of all sales that it has not delivered yet.
    events_behind: u64,
    /// How far it has come in each sale, the longest lag first; at most 1,000 sales.
    sales: Vec<FollowerSaleJson>,
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

impl From<FollowerStatus> for FollowerJson {
    fn from(status: FollowerStatus) -> Self {
        let events_behind = status.count_behind();
        let sales = status.sales.into_iter().take(SALES_MAX).map(Into::into).collect();
        Self { name: status.name, events_behind, sales }
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
    Ok(Json(FollowersJson { items: statuses.into_iter().map(Into::into).collect() }))
}
