//! `GET /api/v1/features`: what this shop offers, so that pages offer nothing else.

use crate::http::AppState;
use crate::http::extract::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_features))
}

/// What the settings of this shop switch on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FeaturesReply {
    /// Whether it sends mails: forgotten passwords, confirmed addresses, codes for guests.
    mail: bool,
    /// Whether buyers may come without an account.
    guests: bool,
}

/// What this shop offers.
#[utoipa::path(get, path = "/api/v1/features", tag = "auth", responses(
    (status = 200, description = "What the settings switch on", body = FeaturesReply),
))]
async fn get_features(State(app): State<AppState>) -> Json<FeaturesReply> {
    Json(FeaturesReply { mail: app.shop.accounts.mails.is_some(), guests: app.shop.guest_limits.is_on })
}
