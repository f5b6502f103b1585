//! `POST /api/v1/flash-sales/{id}/reminders` and `POST /api/v1/reminders/unsubscribe`: hearing of a sale by mail, and not any more.
//! `GET /api/v1/reminders` and `DELETE /api/v1/reminders/{id}`: the same of the caller's own address, without a mail at hand.

use super::auth::parse_language;
use crate::http::AppState;
use crate::http::caller::RequestCaller;
use crate::http::extract::{BuyerSession, FieldErrors, Json, Path, PreferredLanguage, Query};
use crate::http::problem::{Problem, kind};
use crate::mail::language::BuyerLanguage;
use crate::shop::accounts::{self, AccountTextError, EmailAddress};
use crate::shop::mails::{self, SubscriptionTopic};
use crate::shop::{confirmed_emails, native_guests, sales};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use sale::SaleId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(subscribe))
        .routes(routes!(unsubscribe))
        .routes(routes!(list_own))
        .routes(routes!(end_own))
}

/// Who wants to hear of what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReminderBody {
    /// `start`: a day and a quarter of an hour before the sale starts; `unit`: once, when a unit comes back.
    #[schema(pattern = "^(start|unit)$")]
    topic: String,
    /// The address that gets the mails. Without it that of the caller.
    #[schema(format = Email, max_length = 254, nullable = false)]
    email: Option<String>,
    /// The language of the mails: `en`, `de` or `ar`. Without it the one that `Accept-Language` prefers.
    #[schema(pattern = "^(en|de|ar)$", nullable = false)]
    language: Option<String>,
}

/// Who hears of it.
#[derive(Serialize, ToSchema)]
struct ReminderReply {
    email: String,
    topic: &'static str,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UnsubscribeQuery {
    /// Of a link in a mail.
    token: String,
}

/// What the caller's address waits for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OwnReminders {
    email: String,
    /// Whether the caller has proved to read the mails of this address. Before that the list is empty: others may have asked for them.
    is_confirmed: bool,
    /// The oldest first, at most a hundred.
    items: Vec<OwnReminder>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OwnReminder {
    id: Uuid,
    #[schema(value_type = Uuid)]
    flash_sale_id: SaleId,
    slug: String,
    /// The name of the product.
    product: String,
    /// `start`: before the sale starts; `unit`: when a unit comes back.
    #[schema(pattern = "^(start|unit)$")]
    topic: String,
}

/// Hears of a sale by mail.
///
/// No account is needed. Each mail has a link that ends it. A repeat changes nothing. There is no such call unless the shop sends mail
/// (`mail` of `/api/v1/features`).
#[utoipa::path(
    post,
    path = "/api/v1/flash-sales/{id}/reminders",
    tag = "flash-sales",
    request_body = ReminderBody,
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 202, description = "The address hears of it", body = ReminderReply))
)]
async fn subscribe(
    State(app): State<AppState>,
    Extension(caller): Extension<RequestCaller>,
    PreferredLanguage(preferred): PreferredLanguage,
    Path(name): Path<String>,
    Json(body): Json<ReminderBody>,
) -> Result<(StatusCode, Json<ReminderReply>), Problem> {
    let shop = &app.shop;
    if shop.accounts.mails.is_none() {
        return Err(Problem::mail_off());
    }
    let own = find_own_address(&app, caller).await?;
    let (topic, email, language) = body.validate(own, preferred)?;
    let sale = sales::find_named_or_refresh(shop, &name).await.ok_or(Problem::new(&kind::SALE_UNKNOWN))?;
    let of = (sale.view.id, sale.view.policy.starts_at);
    mails::subscribe(&shop.store, of, topic, (&email, language), (shop.now)()).await?;
    Ok((StatusCode::ACCEPTED, Json(ReminderReply { email: email.into_text(), topic: topic.as_str() })))
}

/// The address of the caller's account or visit.
async fn find_own_address(app: &AppState, caller: RequestCaller) -> Result<Option<EmailAddress>, Problem> {
    let Some(session) = caller.session else { return Ok(None) };
    let email = match accounts::find_account(&app.shop.accounts, session).await? {
        Some(account) => Some(account.email),
        None => native_guests::find_guest(&app.shop, session.buyer).await?.map(|guest| guest.email),
    };
    Ok(email.and_then(|email| email.parse().ok()))
}

impl ReminderBody {
    fn validate(
        self,
        own: Option<EmailAddress>,
        preferred: BuyerLanguage,
    ) -> Result<(SubscriptionTopic, EmailAddress, BuyerLanguage), Problem> {
        let mut fields = FieldErrors::new();
        let topic = match self.topic.as_str() {
            "start" => Some(SubscriptionTopic::Start),
            "unit" => Some(SubscriptionTopic::Unit),
            _ => fields.check("/topic", Err(AccountTextError("start or unit"))),
        };
        let email = match (self.email, own) {
            (Some(email), _) => fields.check("/email", email.parse()),
            (None, Some(own)) => Some(own),
            (None, None) => {
                fields.check("/email", Err(AccountTextError("an e-mail address, such as ada@example.com")))
            }
        };
        let language = match self.language {
            None => Some(preferred),
            Some(code) => fields.check("/language", parse_language(&code)),
        };
        match (topic, email, language) {
            (Some(topic), Some(email), Some(language)) => Ok((topic, email, language)),
            _ => Err(fields.into_problem()),
        }
    }
}

/// Ends the mails about a sale, with the link of one of them.
///
/// Mail programs send this with one press (RFC 8058); no sign-in is needed. A repeat, and a link that is of no use any more, are fine.
#[utoipa::path(
    post,
    path = "/api/v1/reminders/unsubscribe",
    tag = "flash-sales",
    params(UnsubscribeQuery),
    responses((status = 204, description = "The address hears no more of the sale"))
)]
async fn unsubscribe(
    State(app): State<AppState>,
    Query(query): Query<UnsubscribeQuery>,
) -> Result<StatusCode, Problem> {
    let Some(outbox) = &app.shop.accounts.mails else { return Err(Problem::mail_off()) };
    mails::unsubscribe(&app.shop.store, outbox, &query.token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the mails about sales that the caller's own address gets.
#[utoipa::path(
    get,
    path = "/api/v1/reminders",
    tag = "flash-sales",
    security(("token" = [])),
    responses((status = 200, description = "What the address waits for", body = OwnReminders))
)]
async fn list_own(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Extension(caller): Extension<RequestCaller>,
) -> Result<Json<OwnReminders>, Problem> {
    let shop = &app.shop;
    if shop.accounts.mails.is_none() {
        return Err(Problem::mail_off());
    }
    let Some(own) = find_own_address(&app, caller).await? else {
        return Err(Problem::new(&kind::UNAUTHORIZED));
    };
    let is_confirmed = confirmed_emails::is_confirmed(&shop.store, session.buyer).await?;
    let mut items = Vec::new();
    if is_confirmed {
        for subscription in mails::list_subscriptions(&shop.store, &own).await? {
            // A sale that was deleted sends no mail.
            let Some(sale) = sales::find_or_refresh(shop, subscription.sale).await else { continue };
            items.push(OwnReminder {
                id: subscription.id,
                flash_sale_id: subscription.sale,
                slug: sale.listing.slug.clone(),
                product: sale.listing.product.name.clone(),
                topic: subscription.topic,
            });
        }
    }
    Ok(Json(OwnReminders { email: own.into_text(), is_confirmed, items }))
}

/// End one of the mails about sales that the caller's own address gets.
///
/// One that has ended already is fine.
#[utoipa::path(
    delete,
    path = "/api/v1/reminders/{id}",
    tag = "flash-sales",
    params(("id" = Uuid, Path, description = "The id of the list")),
    security(("token" = [])),
    responses((status = 204, description = "The address hears no more of it"))
)]
async fn end_own(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Extension(caller): Extension<RequestCaller>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let shop = &app.shop;
    if shop.accounts.mails.is_none() {
        return Err(Problem::mail_off());
    }
    let Some(own) = find_own_address(&app, caller).await? else {
        return Err(Problem::new(&kind::UNAUTHORIZED));
    };
    if confirmed_emails::is_confirmed(&shop.store, session.buyer).await? {
        mails::end_subscription(&shop.store, id, &own).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
