//! `POST /admin/mails/{id}/resend`: sends a mail again that was not delivered.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Path};
use crate::http::problem::{Problem, kind};
use crate::shop::mails::{self, ResendResult};
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(resend_mail))
}

/// Send a mail again that failed, bounced or was suppressed.
///
/// It is tried at once, and then as a new one. Its recipient gets mails again, also after a bounce. A mail whose link, turn or moment is
/// over is not sent again.
#[utoipa::path(
    post,
    path = "/api/v1/admin/mails/{id}/resend",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The mail")),
    responses((status = 202, description = "The mail waits to be sent")),
    security(("token" = []))
)]
async fn resend_mail(
    State(app): State<AppState>,
    _: AdminSession,
    Path(mail): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let Some(outbox) = &app.shop.accounts.mails else { return Err(Problem::mail_off()) };
    match mails::send_again(&app.shop.store, outbox, mail, (app.shop.now)()).await? {
        ResendResult::Waiting => Ok(StatusCode::ACCEPTED),
        ResendResult::Unknown => Err(Problem::new(&kind::MAIL_UNKNOWN)),
        ResendResult::Expired => Err(Problem::new(&kind::MAIL_EXPIRED)),
    }
}
