//! `GET` and `PATCH /admin/mail-switches`: which mails the merchant wants to be sent.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Json};
use crate::http::problem::{FieldError, Problem, kind};
use crate::shop::mails::{self, MailKind, MailSwitch};
use axum::extract::State;
use std::collections::BTreeMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_mail_switches, set_mail_switches))
}

/// Kinds of mails, and whether each is sent.
type SwitchesJson = BTreeMap<String, bool>;

fn describe_switches(switches: Vec<MailSwitch>) -> SwitchesJson {
    switches.into_iter().map(|switch| (switch.kind.to_string(), switch.is_on)).collect()
}

/// Which mails are sent.
///
/// Every kind is on until it is switched off. Mails with links and codes of accounts and guests have no switch.
#[utoipa::path(
    get,
    path = "/api/v1/admin/mail-switches",
    tag = "admin",
    responses((status = 200, description = "Whether each kind of mail is sent", body = BTreeMap<String, bool>)),
    security(("token" = []))
)]
async fn list_mail_switches(
    State(app): State<AppState>,
    _: AdminSession,
) -> Result<Json<SwitchesJson>, Problem> {
    Ok(Json(describe_switches(mails::list_switches(&app.shop.store).await?)))
}

/// Switch kinds of mails on or off.
///
/// Kinds that are not named stay as they are. Mails that wait and are switched off are given up.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/mail-switches",
    tag = "admin",
    request_body = BTreeMap<String, bool>,
    responses((status = 200, description = "Whether each kind of mail is sent now", body = BTreeMap<String, bool>)),
    security(("token" = []))
)]
async fn set_mail_switches(
    State(app): State<AppState>,
    _: AdminSession,
    Json(body): Json<SwitchesJson>,
) -> Result<Json<SwitchesJson>, Problem> {
    let (mut switches, mut errors) = (Vec::new(), Vec::new());
    for (name, is_on) in body {
        match name.parse::<MailKind>() {
            Ok(kind) if kind.has_switch() => switches.push(MailSwitch { kind, is_on }),
            _ => errors.push(FieldError::new(format!("/{name}"), "is no kind of mail that has a switch")),
        }
    }
    if !errors.is_empty() {
        return Err(Problem::new(&kind::INVALID_BODY).errors(errors));
    }
    mails::set_switches(&app.shop.store, &switches, (app.shop.now)()).await?;
    Ok(Json(describe_switches(mails::list_switches(&app.shop.store).await?)))
}
