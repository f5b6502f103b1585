//! `POST /api/v1/admin/webhooks`: create an endpoint.

use super::WebhookWithSecretJson;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json};
use crate::http::problem::{Problem, kind};
use crate::http::valid_json::ValidJson;
use crate::http::valid_json::fields::{self, required};
use crate::shop::catalogue_text::WebhookDescription;
use crate::shop::webhooks::WebhookSecret;
use crate::shop::webhooks::endpoints::{self, EndpointDraft};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use garde::Validate;
use sale::SaleId;
use serde::Deserialize;
use utoipa::ToSchema;

/// A new endpoint.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewWebhook)]
#[garde(allow_unvalidated)]
pub(super) struct WebhookBody {
    /// An https address that does not lead to an internal network.
    #[serde(default, deserialize_with = "fields::string")]
    #[schema(value_type = String, min_length = 1, max_length = 2000, required = true)]
    #[garde(custom(required))]
    url: Option<String>,
    /// Types of events without their prefix, such as `order.confirmed`, or `*` for all.
    #[serde(default, deserialize_with = "fields::strings")]
    #[schema(value_type = Vec<String>, min_items = 1, required = true)]
    #[garde(custom(required))]
    types: Option<Vec<String>>,
    #[serde(default, deserialize_with = "fields::nullable")]
    #[schema(value_type = Option<String>, max_length = 500)]
    description: Option<Option<WebhookDescription>>,
    /// Only events of these sales; of all when it is absent or empty.
    #[serde(default, deserialize_with = "fields::ids")]
    #[schema(value_type = Option<Vec<Uuid>>, max_items = 100, nullable = false)]
    flash_sale_ids: Option<Vec<SaleId>>,
    /// Whether it gets the buyer's e-mail address in `data.buyerEmail`. The default is false.
    #[serde(default, deserialize_with = "fields::flag")]
    #[schema(value_type = Option<bool>, nullable = false)]
    include_email: Option<bool>,
    /// `whsec_` and the base64 of 24 to 64 bytes. The default is a new one.
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = Option<String>, nullable = false)]
    secret: Option<WebhookSecret>,
}

impl WebhookBody {
    fn into_draft(self) -> Option<EndpointDraft> {
        Some(EndpointDraft {
            url: self.url?,
            types: self.types?,
            description: self.description.flatten().map(WebhookDescription::into_text),
            sales: self.flash_sale_ids.unwrap_or_default(),
            include_email: self.include_email.unwrap_or_default(),
            secret: self.secret,
        })
    }
}

/// Create a webhook endpoint.
///
/// It gets the events from now on, signed by Standard Webhooks. The reply is the only one with the secret.
#[utoipa::path(
    post,
    path = "/api/v1/admin/webhooks",
    tag = "admin",
    request_body = WebhookBody,
    responses(
        (status = 201, description = "Created", body = WebhookWithSecretJson),
    ),
    security(("token" = []))
)]
pub(super) async fn create(
    State(app): State<AppState>,
    _: AdminSession,
    ValidJson(body): ValidJson<WebhookBody>,
) -> Result<impl IntoResponse, Problem> {
    let draft = body.into_draft().ok_or(Problem::new(&kind::INVALID_BODY))?;
    let created = endpoints::create(&app.shop, draft).await??;
    let location = format!("/api/v1/admin/webhooks/{}", created.endpoint.id);
    let created = WebhookWithSecretJson::new(created, (app.shop.now)());
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(created)))
}
