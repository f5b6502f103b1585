//! `PATCH /api/v1/admin/webhooks/{id}`: edit an endpoint, disable it, or enable it again.

use super::WebhookJson;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::http::valid_json::{ValidJson, fields};
use crate::shop::catalogue_text::WebhookDescription;
use crate::shop::webhooks::endpoints::{self, EndpointEdit};
use axum::extract::State;
use garde::Validate;
use sale::SaleId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The changes. An absent field stays as it is; null empties `description`.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = WebhookEdit)]
#[garde(allow_unvalidated)]
pub(super) struct WebhookPatch {
    /// An https address that does not lead to an internal network.
    #[serde(default, deserialize_with = "fields::string")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2000, nullable = false)]
    url: Option<String>,
    /// Types of events without their prefix, or `*` for all.
    #[serde(default, deserialize_with = "fields::strings")]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, nullable = false)]
    types: Option<Vec<String>>,
    #[serde(default, deserialize_with = "fields::nullable")]
    #[schema(value_type = Option<String>, max_length = 500)]
    description: Option<Option<WebhookDescription>>,
    /// Only events of these sales; of all when empty.
    #[serde(default, deserialize_with = "fields::ids")]
    #[schema(value_type = Option<Vec<Uuid>>, max_items = 100, nullable = false)]
    flash_sale_ids: Option<Vec<SaleId>>,
    #[serde(default, deserialize_with = "fields::flag")]
    #[schema(value_type = Option<bool>, nullable = false)]
    include_email: Option<bool>,
    /// False: nothing is sent, and events meanwhile get no delivery. True: what waited is sent.
    #[serde(default, deserialize_with = "fields::flag")]
    #[schema(value_type = Option<bool>, nullable = false)]
    enabled: Option<bool>,
}

impl From<WebhookPatch> for EndpointEdit {
    fn from(body: WebhookPatch) -> Self {
        Self {
            url: body.url,
            types: body.types,
            description: body.description.map(|text| text.map(WebhookDescription::into_text)),
            sales: body.flash_sale_ids,
            include_email: body.include_email,
            enabled: body.enabled,
        }
    }
}

/// Edit a webhook endpoint.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/webhooks/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The endpoint")),
    request_body = WebhookPatch,
    responses(
        (status = 200, description = "Edited", body = WebhookJson),
    ),
    security(("token" = []))
)]
pub(super) async fn edit(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<Uuid>,
    ValidJson(body): ValidJson<WebhookPatch>,
) -> Result<Json<WebhookJson>, Problem> {
    let endpoint = endpoints::edit(&app.shop, id, body.into()).await??;
    Ok(Json(WebhookJson::new(endpoint, (app.shop.now)())))
}
