//! `POST /api/v1/auth/guest`: a buyer without an account, for one visit.

use super::AccountReply;
use crate::http::AppState;
use crate::http::extract::{FieldErrors, Json};
use crate::http::problem::{Problem, kind};
use crate::shop::accounts::EmailAddress;
use crate::shop::native_guests::{GuestVisit, begin_visit};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the guest can be reached.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GuestBody {
    /// Case does not matter. It is not proven to be the caller's.
    #[schema(format = Email, max_length = 254)]
    email: String,
}

/// A guest and its token. There is no refresh token: a guest who comes back later is a new one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GuestReply {
    /// The guest has the address in place of a username.
    user: AccountReply,
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// Seconds until the access token expires.
    expires_in: i64,
}

/// Makes a guest for one visit.
///
/// Each call makes a new buyer, who sees nothing of others with the same address. A sale's limit per buyer counts the orders of all
/// guests of an address together. There is no such call unless the shop was started with `--guests on`.
#[utoipa::path(post, path = "/api/v1/auth/guest", tag = "auth", request_body = GuestBody, responses(
    (status = 200, description = "A new guest", body = GuestReply),
))]
pub(super) async fn begin_guest_visit(
    State(app): State<AppState>,
    Json(body): Json<GuestBody>,
) -> Result<Json<GuestReply>, Problem> {
    if !app.shop.guest_limits.is_on {
        return Err(Problem::new(&kind::NOT_FOUND).detail("this shop sells to accounts alone"));
    }
    let email = body.validate()?;
    let GuestVisit { guest, access_token, expires_in_s } = begin_visit(&app.shop, email).await?;
    Ok(Json(GuestReply { user: guest.into(), access_token, expires_in: expires_in_s }))
}

impl GuestBody {
    fn validate(self) -> Result<EmailAddress, Problem> {
        let mut fields = FieldErrors::new();
        fields.check("/email", self.email.parse()).ok_or_else(|| fields.into_problem())
    }
}
