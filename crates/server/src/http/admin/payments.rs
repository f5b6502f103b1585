//! `GET /admin/orders/{id}/payments`: all payments of an order, for a person who looks into them.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::http::v1::rfc3339;
use crate::shop::payments::InspectedPayment;
use axum::extract::State;
use documents::MoneyDocument;
use sale::{Money, OrderId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The payments of an order.
#[derive(Debug, Serialize, ToSchema)]
struct OrderPayments {
    /// The oldest first. At most one is neither declined nor voided.
    items: Vec<OrderPayment>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderPayment {
    id: Uuid,
    /// Who takes the money, such as `stripe`.
    provider: String,
    /// The provider's own id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reference: Option<String>,
    /// Where it is in the provider's dashboard.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    dashboard_url: Option<String>,
    method: String,
    #[schema(pattern = "^(started|open|authorised|captured|declined|voiding|voided|refunding|refunded)$")]
    status: String,
    amount: MoneyDocument,
    /// What went back, or is on its way.
    refunded: MoneyDocument,
    /// Why it was declined; empty otherwise.
    reason: String,
    /// Tries since its status changed that did not settle it.
    tries: i64,
    /// When the shop asks the provider again by itself; in the past: within seconds. Missing when nothing is left to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    next_try_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    findings: Vec<PaymentFinding>,
}

/// What happened to the money at the provider without the shop.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PaymentFinding {
    /// The provider's id of it.
    id: String,
    /// `dispute`: the buyer complained at the bank. `refunded_outside`: somebody refunded in the provider's dashboard. `refund_failed`: a
    /// refund of the shop came back.
    #[schema(pattern = "^(dispute|refunded_outside|refund_failed)$")]
    kind: &'static str,
    /// The provider's word for how it is now.
    status: String,
    /// The provider's word for its cause; empty where it gives none.
    reason: String,
    amount: MoneyDocument,
    /// Until when a person may do something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    due_at: Option<String>,
}

/// List the payments of an order.
///
/// Each with the provider's reference, and with what happened to its money there without the shop: disputes, refunds in the provider's
/// dashboard, refunds that came back.
#[utoipa::path(
    get,
    path = "/api/v1/admin/orders/{id}/payments",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The order")),
    responses(
        (status = 200, description = "Its payments; none for an order without one", body = OrderPayments),
    ),
    security(("token" = []))
)]
async fn list(
    State(app): State<AppState>,
    _: AdminSession,
    Path(order): Path<OrderId>,
) -> Result<Json<OrderPayments>, Problem> {
    let payments = app.shop.payments.inspect_order(order).await?;
    Ok(Json(OrderPayments { items: payments.into_iter().map(render_payment).collect() }))
}

fn render_payment(inspected: InspectedPayment) -> OrderPayment {
    let InspectedPayment { payment, dashboard_url, next_try_at, findings } = inspected;
    let findings = findings.into_iter().map(|finding| PaymentFinding {
        id: finding.id,
        kind: finding.kind.as_str(),
        status: finding.status,
        reason: finding.reason,
        amount: finding.amount.into(),
        due_at: finding.due_at.map(rfc3339),
    });
    OrderPayment {
        id: payment.id,
        provider: payment.provider,
        reference: payment.reference,
        dashboard_url,
        method: payment.method,
        status: payment.state.as_str().to_owned(),
        amount: payment.amount.into(),
        refunded: Money { minor: payment.refunded_minor, ..payment.amount }.into(),
        reason: payment.reason,
        tries: payment.tries,
        next_try_at: next_try_at.map(rfc3339),
        created_at: rfc3339(payment.created_at),
        updated_at: rfc3339(payment.updated_at),
        findings: findings.collect(),
    }
}
