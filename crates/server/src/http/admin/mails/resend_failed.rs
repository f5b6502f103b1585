//! `POST /admin/mails/resend-failed`: sends all mails again that were not delivered since a moment.

use crate::http::AppState;
use crate::http::admin::run_to_completion;
use crate::http::extract::{AdminSession, Json};
use crate::http::problem::{Problem, kind};
use crate::http::valid_json::ValidJson;
use crate::http::valid_json::fields::{self, required};
use crate::shop::mails;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use sale::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(resend_failed_mails))
}

/// Which mails.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MailsFailedSince)]
#[garde(allow_unvalidated)]
struct MailsFailedSinceBody {
    /// Those that failed, bounced or were suppressed at this moment or later.
    #[serde(default, deserialize_with = "fields::timestamp")]
    #[schema(value_type = String, format = DateTime, required = true)]
    #[garde(custom(required))]
    since: Option<Timestamp>,
}

/// How many mails are sent again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResentMails)]
struct ResentMailsJson {
    count: u64,
}

/// Send all mails again that failed, bounced or were suppressed since a moment.
///
/// Each is treated as one that is sent again by itself; those whose link, turn or moment is over are not among them.
#[utoipa::path(
    post,
    path = "/api/v1/admin/mails/resend-failed",
    tag = "admin",
    request_body = MailsFailedSinceBody,
    responses((status = 202, description = "They wait to be sent", body = ResentMailsJson)),
    security(("token" = []))
)]
async fn resend_failed_mails(
    State(app): State<AppState>,
    _: AdminSession,
    ValidJson(body): ValidJson<MailsFailedSinceBody>,
) -> Result<(StatusCode, Json<ResentMailsJson>), Problem> {
    let Some(outbox) = app.shop.accounts.mails.clone() else { return Err(Problem::mail_off()) };
    let since = body.since.ok_or(Problem::new(&kind::INVALID_BODY))?;
    let (store, now) = (app.shop.store.clone(), (app.shop.now)());
    let resent =
        run_to_completion(async move { mails::send_failed_again(&store, &outbox, since, now).await });
    Ok((StatusCode::ACCEPTED, Json(ResentMailsJson { count: resent.await?? })))
}
