//! `GET /admin/mails`: the mails of the shop, newest first.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Query};
use crate::http::page::{Page, PageQuery, parse_time_cursor};
use crate::http::problem::{FieldError, Problem, kind};
use crate::http::v1::rfc3339;
use crate::shop::mails::{self, MailCursor, MailRow, MailState};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_mails))
}

/// Which mails.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MailQuery {
    /// Only mails in this state: `waiting`, `sent`, `failed`, `bounced`, `suppressed` or `given_up`.
    state: Option<String>,
    /// Items in a page, 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// A mail. What links and codes it holds is nowhere shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MailJson {
    id: Uuid,
    /// What it is about, such as `reset_password`.
    kind: String,
    /// The address that gets it.
    recipient: String,
    /// `waiting`; `sent`: the relay took it; `failed`: every try failed; `bounced`: the relay refused the recipient for good;
    /// `suppressed`: the recipient had bounced within a week; `given_up`: it was of no use any more.
    state: &'static str,
    /// How often it was given to the relay.
    tries: u32,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it is tried next.
    #[schema(format = DateTime, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_try_at: Option<String>,
    /// When it was sent, or ended otherwise.
    #[schema(format = DateTime, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    /// What the relay replied last, or why the mail was given up.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<MailRow> for MailJson {
    fn from(mail: MailRow) -> Self {
        let is_waiting = mail.state == MailState::Waiting;
        Self {
            id: mail.id,
            kind: mail.kind,
            recipient: mail.recipient,
            state: mail.state.as_str(),
            tries: mail.tries,
            created_at: rfc3339(mail.created_at),
            next_try_at: is_waiting.then(|| rfc3339(mail.next_try_at)),
            finished_at: mail.finished_at.map(rfc3339),
            reason: mail.reason,
        }
    }
}

/// The mails of the shop, newest first. They are kept for 90 days.
#[utoipa::path(
    get,
    path = "/api/v1/admin/mails",
    tag = "admin",
    params(MailQuery),
    responses((status = 200, description = "A page of mails", body = Page<MailJson>)),
    security(("token" = []))
)]
async fn list_mails(
    State(app): State<AppState>,
    _: AdminSession,
    Query(query): Query<MailQuery>,
) -> Result<Json<Page<MailJson>>, Problem> {
    let state = query.state.map(|state| state.parse::<MailState>()).transpose().map_err(|()| {
        let detail = "one of waiting, sent, failed, bounced, suppressed and given_up";
        Problem::new(&kind::INVALID_QUERY).errors(vec![FieldError::new("/state", detail)])
    })?;
    let page = PageQuery { limit: query.limit, cursor: query.cursor }.into_request()?;
    let after = page.after.as_deref().map(parse_time_cursor::<Uuid>).transpose()?;
    let after = after.map(|(created_at, id)| MailCursor { created_at, id });
    let mails = mails::list_mails(&app.shop.store, state, after, page.limit).await?;
    let key = |mail: &MailRow| format!("{}/{}", mail.created_at.0, mail.id);
    Ok(Json(Page::new(mails, page.limit, key).map(MailJson::from)))
}
