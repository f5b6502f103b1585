//! `POST /api/v1/orders/find`: an order of a guest, by its id and the guest's e-mail address.

use crate::http::AppState;
use crate::http::extract::{FieldErrors, Json};
use crate::http::problem::{Problem, kind};
use crate::shop::accounts::EmailAddress;
use crate::shop::native_guests;
use crate::shop_documents::order_document;
use axum::extract::State;
use documents::OrderDocument;
use sale::OrderId;
use serde::Deserialize;
use utoipa::ToSchema;

/// Both must be right.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindOrderBody {
    /// The address that the guest gave.
    #[schema(format = Email, max_length = 254)]
    email: String,
    #[schema(value_type = uuid::Uuid)]
    order: String,
}

/// Finds an order of a guest.
///
/// For a buyer without an account whose token is gone. It is limited as signing in is, and does not tell which of the two is wrong.
#[utoipa::path(post, path = "/api/v1/orders/find", tag = "orders", request_body = FindOrderBody, responses(
    (status = 200, description = "The order", body = OrderDocument),
))]
pub(super) async fn find(
    State(app): State<AppState>,
    Json(body): Json<FindOrderBody>,
) -> Result<Json<OrderDocument>, Problem> {
    let (email, order) = body.validate()?;
    let order = native_guests::find_order(&app.shop, &email, order).await?;
    order.map(|order| Json(order_document(&app.shop, &order))).ok_or(Problem::new(&kind::ORDER_UNKNOWN))
}

impl FindOrderBody {
    fn validate(self) -> Result<(EmailAddress, OrderId), Problem> {
        let mut fields = FieldErrors::new();
        let email = fields.check("/email", self.email.parse());
        // What is no id is an order that does not exist.
        let order = self.order.parse().map_err(|_| Problem::new(&kind::ORDER_UNKNOWN));
        Ok((email.ok_or_else(|| fields.into_problem())?, order?))
    }
}
