//! `/admin/webhooks`: endpoints that get events, and deliveries to them.

mod create;
mod delete;
mod deliveries;
mod edit;
mod list;
mod resend;
mod resend_failed;
mod rotate_secret;
mod send_test;
mod show;

use crate::http::AppState;
use crate::http::v1::rfc3339;
use crate::shop::webhooks::endpoints::{EndpointWithSecret, is_rotating};
use crate::shop::webhooks::{DeliveryRow, EndpointRow, WebhookSecret};
use sale::{SaleId, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(show::show, edit::edit, delete::delete))
        .routes(routes!(rotate_secret::rotate_secret))
        .routes(routes!(send_test::send_test))
        .routes(routes!(deliveries::deliveries))
        .routes(routes!(resend::resend))
        .routes(routes!(resend_failed::resend_failed))
}

/// An endpoint of webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook)]
struct WebhookJson {
    id: Uuid,
    /// With an international name in ASCII.
    url: String,
    /// Types of events without their prefix, or `*`.
    types: Vec<String>,
    description: Option<String>,
    /// Only events of these sales; of all when empty.
    #[schema(value_type = Vec<Uuid>)]
    flash_sale_ids: Vec<SaleId>,
    /// Whether it gets the buyer's e-mail address in `data.buyerEmail`.
    include_email: bool,
    enabled: bool,
    /// `gone`: its receiver replied 410. `failing`: it has failed for five days. `merchant`: somebody switched it off.
    disabled_reason: Option<&'static str>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// Since when every try has failed; null after a success.
    #[schema(format = DateTime)]
    failing_since: Option<String>,
    /// When a delivery was given up after its last try; null after a success.
    #[schema(format = DateTime)]
    gave_up_at: Option<String>,
    /// Until when it gets nothing, because its receiver is overloaded.
    #[schema(format = DateTime)]
    paused_until: Option<String>,
    /// During a rotation: until when the secret before the current one signs too.
    #[schema(format = DateTime)]
    previous_secret_valid_until: Option<String>,
}

/// An endpoint with its new secret, which no other reply shows.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookWithSecret)]
struct WebhookWithSecretJson {
    #[serde(flatten)]
    webhook: WebhookJson,
    /// Signs what is sent: `whsec_` and base64.
    secret: String,
}

/// A delivery of one event to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookDelivery)]
struct DeliveryJson {
    id: Uuid,
    /// The `id` of the event, which is the header `webhook-id` too.
    event_id: String,
    /// The type of the event without its prefix.
    r#type: String,
    /// `pending`, `delivered` or `failed`.
    state: &'static str,
    tries: i64,
    /// When it is tried next; null when it has ended.
    #[schema(format = DateTime)]
    next_try_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    tried_at: Option<String>,
    /// When it arrived or was given up.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// The status of the last reply; null without a reply.
    last_status: Option<i64>,
    /// Why there was no reply.
    last_error: Option<String>,
    /// The first 4 KiB of the last reply, when it was a failure.
    last_reply: Option<String>,
    /// The event document, which is the body of each request. An e-mail address that the endpoint may get is added when it is sent.
    #[schema(value_type = serde_json::Value)]
    event: Box<RawValue>,
}

impl WebhookJson {
    fn new(endpoint: EndpointRow, now: Timestamp) -> Self {
        let moment = |at: Option<Timestamp>| at.map(rfc3339);
        Self {
            id: endpoint.id,
            url: endpoint.url.to_string(),
            previous_secret_valid_until: moment(
                endpoint.previous_secret_until.filter(|_| is_rotating(&endpoint, now)),
            ),
            types: endpoint.types,
            description: endpoint.description,
            flash_sale_ids: endpoint.sales,
            include_email: endpoint.include_email,
            enabled: endpoint.disabled.is_none(),
            disabled_reason: endpoint.disabled.map(|reason| reason.as_str()),
            created_at: rfc3339(endpoint.created_at),
            updated_at: rfc3339(endpoint.updated_at),
            failing_since: moment(endpoint.failing_since),
            gave_up_at: moment(endpoint.gave_up_at),
            paused_until: moment(endpoint.paused_until.filter(|until| now < *until)),
        }
    }
}

impl WebhookWithSecretJson {
    fn new(created: EndpointWithSecret, now: Timestamp) -> Self {
        let EndpointWithSecret { endpoint, secret } = created;
        Self { webhook: WebhookJson::new(endpoint, now), secret: WebhookSecret::to_text(&secret) }
    }
}

impl From<DeliveryRow> for DeliveryJson {
    fn from(row: DeliveryRow) -> Self {
        let moment = |at: Option<Timestamp>| at.map(rfc3339);
        Self {
            id: row.id,
            event_id: row.event,
            r#type: row.kind,
            state: row.state.as_str(),
            tries: row.tries,
            next_try_at: moment(row.next_try_at),
            created_at: rfc3339(row.created_at),
            tried_at: moment(row.tried_at),
            ended_at: moment(row.ended_at),
            last_status: row.last_status,
            last_error: row.last_error,
            last_reply: row.last_reply,
            event: RawValue::from_string(row.body).unwrap_or_default(),
        }
    }
}
