//! Every refusal and failure as `application/problem+json` (RFC 9457): the only file that maps refusals and errors to HTTP. It
//! never reveals the cause of a 5xx, which goes to the log.

pub mod kind;

use super::failure_log::log_failure;
use super::reply::begin_reply;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use engine::error_text::describe_error;
use serde::Serialize;
use serde_json::value::Value;
use std::borrow::Cow;

/// The media type of RFC 9457.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

#[derive(Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// Stable, for programs.
    pub code: &'static str,
    pub status: u16,
    /// A short summary, the same for every occurrence.
    pub title: &'static str,
    /// The detail of an occurrence that has none of its own.
    pub detail: &'static str,
    /// Seconds for `Retry-After`, where a retry makes sense.
    pub retry_after_s: Option<u32>,
}

/// A field that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer to the field of the body, or `/name` of a query parameter.
    pub pointer: String,
    /// The rule that the field breaks.
    pub detail: Cow<'static, str>,
}

impl FieldError {
    pub fn new(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// One occurrence of a [`ProblemKind`]. The edge renders it, because only the edge knows the `instance`.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: &'static ProblemKind,
    extras: Option<Box<ProblemExtras>>,
}

#[derive(Debug, Clone, Default)]
struct ProblemExtras {
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    members: Vec<(&'static str, Value)>,
    retry_after_s: Option<u32>,
}

impl Problem {
    #[must_use]
    pub const fn new(kind: &'static ProblemKind) -> Self {
        Self { kind, extras: None }
    }

    /// Replaces the detail. It must not contain a secret, an e-mail address or the cause of a failure.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.extras_mut().detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.extras_mut().errors = errors;
        self
    }

    /// Adds an extension member, such as the `position` of a buyer who is not admitted yet.
    #[must_use]
    pub fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.extras_mut().members.push((name, value.into()));
        self
    }

    /// The reply of what needs mail where there is none.
    #[must_use]
    pub fn mail_off() -> Self {
        Self::new(&kind::NOT_FOUND).detail("this shop sends no mail")
    }

    /// Replaces the `Retry-After` of the kind.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.extras_mut().retry_after_s = Some(seconds);
        self
    }

    #[must_use]
    pub fn kind(&self) -> &'static ProblemKind {
        self.kind
    }

    /// Whether its document is that of its kind.
    #[must_use]
    pub fn has_plain_body(&self) -> bool {
        self.extras.as_deref().is_none_or(|extras| {
            extras.detail.is_none() && extras.errors.is_empty() && extras.members.is_empty()
        })
    }

    /// A failure of the server. Its cause goes to the log, not to the caller.
    pub fn from_failure(kind: &'static ProblemKind, cause: &(dyn std::error::Error + 'static)) -> Self {
        log_failure(kind.code, &describe_error(cause));
        Self::new(kind)
    }

    #[must_use]
    pub fn body(&self, instance: &str) -> Bytes {
        let extras = self.extras.as_deref();
        let detail = extras.and_then(|extras| extras.detail.as_deref()).unwrap_or(self.kind.detail);
        let errors = extras.map(|extras| extras.errors.as_slice()).unwrap_or_default();
        let members = extras.map(|extras| extras.members.as_slice()).unwrap_or_default();
        let document = ProblemBody {
            r#type: format_args!("/problems/{}", self.kind.code),
            title: self.kind.title,
            status: self.kind.status,
            detail,
            instance,
            code: self.kind.code,
            errors,
            members: ExtensionMembers(members),
        };
        Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
    }

    #[must_use]
    pub fn into_reply(self, instance: &str) -> Response<Body> {
        let retry_after_s = self.retry_after();
        build_reply(self.kind, retry_after_s, self.body(instance))
    }

    /// A reply that is built once for a frequent refusal. Each use costs two reference counts.
    #[must_use]
    pub fn prebuilt(self, instance: &str) -> PrebuiltProblem {
        PrebuiltProblem { retry_after_s: self.retry_after(), body: self.body(instance), kind: self.kind }
    }

    /// What happened: the problem's own detail with the fields that are wrong, or its kind's.
    #[must_use]
    pub fn message(&self) -> String {
        let extras = self.extras.as_deref();
        let detail = extras.and_then(|extras| extras.detail.as_deref()).unwrap_or(self.kind.detail);
        let errors = extras.map(|extras| extras.errors.as_slice()).unwrap_or_default();
        let fields: Vec<String> = errors
            .iter()
            .map(|error| format!("{} {}", error.pointer.trim_start_matches('/'), error.detail))
            .collect();
        if fields.is_empty() { detail.to_owned() } else { fields.join("; ") }
    }

    /// Seconds for `Retry-After`, where a retry makes sense.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        self.extras.as_ref().and_then(|extras| extras.retry_after_s).or(self.kind.retry_after_s)
    }

    fn extras_mut(&mut self) -> &mut ProblemExtras {
        self.extras.get_or_insert_default()
    }
}

/// Puts the problem into the extensions of the reply, from which the edge renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status_code(self.kind);
        response.extensions_mut().insert(self);
        response
    }
}

/// See [`Problem::prebuilt`].
#[derive(Debug, Clone)]
pub struct PrebuiltProblem {
    kind: &'static ProblemKind,
    retry_after_s: Option<u32>,
    body: Bytes,
}

impl PrebuiltProblem {
    /// Replaces the `Retry-After`.
    #[must_use]
    pub fn with_retry_after_s(self, retry_after_s: Option<u32>) -> Self {
        Self { retry_after_s, ..self }
    }
}

/// Puts the kind into the extensions of the reply, where the edge counts it.
impl IntoResponse for PrebuiltProblem {
    fn into_response(self) -> Response<Body> {
        let mut response = build_reply(self.kind, self.retry_after_s, self.body);
        response.extensions_mut().insert(self.kind);
        response
    }
}

fn build_reply(kind: &'static ProblemKind, retry_after_s: Option<u32>, body: Bytes) -> Response<Body> {
    let mut response = begin_reply(body);
    *response.status_mut() = status_code(kind);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    if let Some(seconds) = retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if kind.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"doorbuster\""));
    }
    response
}

fn status_code(kind: &ProblemKind) -> StatusCode {
    StatusCode::from_u16(kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: std::fmt::Arguments<'a>,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(flatten)]
    members: ExtensionMembers<'a>,
}

struct ExtensionMembers<'a>(&'a [(&'static str, Value)]);

impl Serialize for ExtensionMembers<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A problem document (RFC 9457).
#[derive(utoipa::ToSchema)]
#[schema(as = Problem, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub struct ProblemSchema {
    /// The page of the kind of problem, such as `/problems/sold_out`.
    r#type: String,
    /// A short summary, the same for every occurrence.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened in this occurrence.
    detail: String,
    /// The path of the request.
    instance: String,
    /// The stable code for programs.
    code: String,
    /// The fields that are not valid.
    #[schema(nullable = false)]
    errors: Option<Vec<FieldError>>,
    /// The limit that was reached, where it is not the one of `RateLimit-Policy`.
    #[schema(nullable = false)]
    limit: Option<String>,
    /// Of a place in line: its number.
    #[schema(nullable = false)]
    ticket: Option<u32>,
    /// Of a place in line: waiting buyers ahead, plus one.
    #[schema(nullable = false)]
    position: Option<u32>,
    /// Of a place in line: waiting buyers ahead.
    #[schema(nullable = false)]
    ahead: Option<u32>,
    /// Units that are set aside for the caller.
    #[schema(nullable = false)]
    set_aside: Option<u32>,
    /// Units that the caller may order now.
    #[schema(nullable = false)]
    orderable: Option<u32>,
    /// What has become of the order.
    #[schema(nullable = false)]
    order_status: Option<String>,
    /// Of a refund that is too high: the most that can still be refunded, in minor units.
    #[schema(nullable = false)]
    left: Option<i64>,
}

// Conversions from the errors of the layers below, for `?` in handlers.

impl From<crate::store::StoreError> for Problem {
    fn from(error: crate::store::StoreError) -> Self {
        Self::from_failure(&kind::UNAVAILABLE, &error)
    }
}

impl From<crate::shop::group_commit::RowNotWritten> for Problem {
    /// The writer of the rows has logged the cause.
    fn from(_: crate::shop::group_commit::RowNotWritten) -> Self {
        Self::new(&kind::UNAVAILABLE)
    }
}

impl From<crate::shop::single_attempts::AttemptError> for Problem {
    fn from(error: crate::shop::single_attempts::AttemptError) -> Self {
        use crate::shop::single_attempts::AttemptError;
        match error {
            AttemptError::Engine(error) => error.into(),
            AttemptError::Store(error) => error.into(),
            AttemptError::Memory(error) => error.into(),
        }
    }
}

impl From<sale::Refusal> for Problem {
    fn from(refusal: sale::Refusal) -> Self {
        use sale::Refusal;
        let kind = match refusal {
            Refusal::NotStarted => &kind::NOT_STARTED,
            Refusal::Ended => &kind::ENDED,
            Refusal::Paused => &kind::PAUSED,
            Refusal::Closed => &kind::CLOSED,
            Refusal::SoldOut => &kind::SOLD_OUT,
            Refusal::AllHeld => &kind::ALL_HELD,
            Refusal::NotInLine => &kind::NOT_IN_LINE,
            Refusal::NotAdmitted { ticket, position } => {
                let ahead = position.saturating_sub(1);
                return Self::new(&kind::NOT_ADMITTED)
                    .detail(format!("it is not your turn yet; buyers ahead of you: {ahead}"))
                    .member("ticket", ticket.0)
                    .member("position", position)
                    .member("ahead", ahead);
            }
            Refusal::AlreadyInLine { .. } => &kind::ALREADY_IN_LINE,
            Refusal::NoLine => &kind::NO_LINE,
            Refusal::NoExtension => &kind::NO_EXTENSION,
            Refusal::LimitReached => &kind::LIMIT_REACHED,
            Refusal::KeyReused => &kind::KEY_REUSED,
            Refusal::OrderUnknown => &kind::ORDER_UNKNOWN,
            Refusal::OrderExpired => &kind::ORDER_EXPIRED,
            Refusal::NotYourOrder => &kind::NOT_YOUR_ORDER,
            Refusal::OrderState => &kind::ORDER_STATE,
            Refusal::PromiseMade => &kind::PROMISE_MADE,
            Refusal::BadPolicy => &kind::BAD_POLICY,
            Refusal::OrderPaying => &kind::ORDER_PAYING,
            Refusal::EmailUnconfirmed => &kind::EMAIL_UNCONFIRMED,
        };
        Self::new(kind)
    }
}

impl From<crate::shop::catalogue::CatalogueRefusal> for Problem {
    fn from(refused: crate::shop::catalogue::CatalogueRefusal) -> Self {
        use crate::shop::catalogue::CatalogueRefusal;
        let invalid =
            |pointer, detail| Self::new(&kind::INVALID_BODY).errors(vec![FieldError::new(pointer, detail)]);
        match refused {
            CatalogueRefusal::SaleUnknown => Self::new(&kind::SALE_UNKNOWN),
            CatalogueRefusal::ProductUnknown => Self::new(&kind::PRODUCT_UNKNOWN),
            CatalogueRefusal::SlugTaken => Self::new(&kind::SLUG_TAKEN),
            CatalogueRefusal::EndIsPast => invalid("/endsAt", "must be in the future"),
            CatalogueRefusal::TooManyEdits => Self::new(&kind::TOO_MANY_EDITS),
            CatalogueRefusal::ProductInUse => Self::new(&kind::PRODUCT_IN_USE),
            CatalogueRefusal::NoSuchProduct => invalid("/productId", "there is no such product"),
            CatalogueRefusal::CurrencyDiffers => invalid(
                "/price/currency",
                "must be the same for a product and the sales of it that are not over",
            ),
            CatalogueRefusal::PriceRefused(reason) => {
                Self::new(&kind::INVALID_BODY).errors(vec![FieldError::new("/price/amount", reason)])
            }
            CatalogueRefusal::BadPolicy(problems) => {
                let errors = problems
                    .into_iter()
                    .map(|problem| FieldError::new(policy_pointer(problem), problem.to_string()));
                Self::new(&kind::INVALID_BODY).errors(errors.collect())
            }
            CatalogueRefusal::Law(refusal) => refusal.into(),
            CatalogueRefusal::Key(refusal) => refusal.into(),
        }
    }
}

impl From<crate::shop::webhooks::WebhookRefusal> for Problem {
    fn from(refusal: crate::shop::webhooks::WebhookRefusal) -> Self {
        use crate::shop::webhooks::WebhookRefusal;
        let invalid = |pointer: String, detail: String| {
            Self::new(&kind::INVALID_BODY).errors(vec![FieldError::new(pointer, detail)])
        };
        match refusal {
            WebhookRefusal::PublicUrlMissing => Self::new(&kind::PUBLIC_URL_MISSING),
            WebhookRefusal::TooManyEndpoints => Self::new(&kind::TOO_MANY_WEBHOOKS),
            WebhookRefusal::EndpointUnknown => Self::new(&kind::WEBHOOK_UNKNOWN),
            WebhookRefusal::DeliveryUnknown => Self::new(&kind::DELIVERY_UNKNOWN),
            WebhookRefusal::Disabled => Self::new(&kind::WEBHOOK_DISABLED),
            WebhookRefusal::Url(error) => invalid("/url".to_owned(), error.to_string()),
            WebhookRefusal::NoTypes => invalid("/types".to_owned(), "must name a type, or *".to_owned()),
            WebhookRefusal::TypeUnknown(at) => invalid(
                format!("/types/{at}"),
                "must be a type of event, such as order.confirmed, or *".to_owned(),
            ),
            WebhookRefusal::SaleUnknown(at) => {
                invalid(format!("/flashSaleIds/{at}"), "there is no such sale".to_owned())
            }
            WebhookRefusal::TooManySales => invalid(
                "/flashSaleIds".to_owned(),
                "must have at most 100 sales; leave it out for all".to_owned(),
            ),
        }
    }
}

/// The pointer to the field of a sale's body that breaks the policy.
#[must_use]
pub fn policy_pointer(problem: sale::PolicyProblem) -> &'static str {
    use sale::PolicyProblem;
    match problem {
        PolicyProblem::Quantity => "/quantity",
        PolicyProblem::UnitPrice => "/price/amount",
        PolicyProblem::Period => "/endsAt",
        PolicyProblem::LimitPerBuyer => "/limitPerBuyer",
        PolicyProblem::Hold => "/holdSeconds",
        PolicyProblem::PerSecond => "/admission/perSecond",
        PolicyProblem::Checkout => "/admission/checkoutSeconds",
        PolicyProblem::Extension => "/admission/extensionSeconds",
    }
}

impl From<crate::shop::idempotency_keys::KeyRefusal> for Problem {
    fn from(refusal: crate::shop::idempotency_keys::KeyRefusal) -> Self {
        use crate::shop::idempotency_keys::KeyRefusal;
        Self::new(match refusal {
            KeyRefusal::Reused => &kind::KEY_REUSED,
            KeyRefusal::InFlight => &kind::REQUEST_IN_FLIGHT,
        })
    }
}

impl From<crate::shop::orders::ReservationRefusal> for Problem {
    fn from(refusal: crate::shop::orders::ReservationRefusal) -> Self {
        use crate::shop::orders::ReservationRefusal;
        match refusal {
            ReservationRefusal::Law(refusal) => refusal.into(),
            ReservationRefusal::AllHeld { retry_after_s } => {
                Self::new(&kind::ALL_HELD).retry_after_s(retry_after_s)
            }
            ReservationRefusal::FewerLeft { set_aside, orderable } => {
                let units = if orderable == 1 { "one".to_owned() } else { orderable.to_string() };
                let detail = match (set_aside, orderable) {
                    (0, _) => format!("fewer units are free than you asked for: order {units}"),
                    (1, 1) => "one unit is set aside for you, and no other is free: order one".to_owned(),
                    _ => format!("a unit is set aside for you, and with the free ones you can order {units}"),
                };
                Self::new(&kind::FEWER_LEFT)
                    .detail(detail)
                    .member("setAside", set_aside)
                    .member("orderable", orderable)
            }
            ReservationRefusal::InFlight => Self::new(&kind::REQUEST_IN_FLIGHT),
        }
    }
}

impl From<crate::shop::catalogue::CatalogueError> for Problem {
    fn from(error: crate::shop::catalogue::CatalogueError) -> Self {
        use crate::shop::catalogue::CatalogueError;
        match error {
            CatalogueError::Store(error) => error.into(),
            CatalogueError::Engine(error) => error.into(),
            CatalogueError::Ledger(error) => Self::from_failure(&kind::UNAVAILABLE, &error),
        }
    }
}

impl From<crate::shop::followers::FollowerQueryError> for Problem {
    fn from(error: crate::shop::followers::FollowerQueryError) -> Self {
        use crate::shop::followers::FollowerQueryError;
        match error {
            FollowerQueryError::Store(error) => error.into(),
            FollowerQueryError::Ledger(error) => Self::from_failure(&kind::UNAVAILABLE, &error),
        }
    }
}

impl From<engine::EngineError> for Problem {
    fn from(error: engine::EngineError) -> Self {
        use engine::EngineError;
        match error {
            EngineError::Overloaded => Self::new(&kind::OVERLOADED),
            EngineError::NotRecorded => Self::new(&kind::NOT_RECORDED),
            EngineError::StateUnknown => Self::new(&kind::UNAVAILABLE)
                .detail("this cannot be looked up right now; nothing is lost, look again in a moment"),
            EngineError::Stopped => Self::new(&kind::UNAVAILABLE).detail("this instance is stopping"),
            EngineError::NoSuchSale => Self::new(&kind::SALE_UNKNOWN),
            EngineError::UnexpectedReply { .. } => Self::from_failure(&kind::INTERNAL, &error),
        }
    }
}

impl From<crate::shop::unanswered::UnansweredError> for Problem {
    fn from(error: crate::shop::unanswered::UnansweredError) -> Self {
        use crate::shop::unanswered::UnansweredError;
        match error {
            UnansweredError::Store(error) => error.into(),
            UnansweredError::Engine(error) => error.into(),
        }
    }
}

impl From<crate::shop::checkout::CheckoutError> for Problem {
    fn from(error: crate::shop::checkout::CheckoutError) -> Self {
        use crate::shop::checkout::CheckoutError;
        match error {
            CheckoutError::Engine(error) => error.into(),
            CheckoutError::Payment(error) => error.into(),
        }
    }
}

impl From<crate::shop::payments::PaymentError> for Problem {
    fn from(error: crate::shop::payments::PaymentError) -> Self {
        use crate::shop::payments::PaymentError;
        match error {
            PaymentError::Engine(error) => error.into(),
            PaymentError::Store(error) => error.into(),
            PaymentError::Overloaded => {
                Self::new(&kind::OVERLOADED).detail("too many payments at once; you were not charged")
            }
            PaymentError::Unsettled => Self::new(&kind::PAYMENT_UNKNOWN),
            PaymentError::Unavailable { until } => {
                let until = documents::rfc3339(until);
                let detail =
                    format!("payment is not available at the moment; your unit is kept until {until}");
                Self::new(&kind::PAYMENT_UNAVAILABLE).detail(detail)
            }
        }
    }
}

impl From<crate::shop::payments::PaymentRefusal> for Problem {
    fn from(refused: crate::shop::payments::PaymentRefusal) -> Self {
        use crate::shop::payments::PaymentRefusal;
        use sale::OrderStatus;
        match refused {
            PaymentRefusal::OrderUnknown => Self::new(&kind::ORDER_UNKNOWN),
            PaymentRefusal::OrderGone(status) => {
                Self::new(&kind::ORDER_EXPIRED).member("orderStatus", status.as_str()).detail(match status {
                    OrderStatus::Cancelled => "the order was cancelled; you were not charged",
                    OrderStatus::Declined => {
                        "the order's payment was declined and its units went on; you were not charged"
                    }
                    _ => "the order was not paid in time and its units went on; you were not charged",
                })
            }
            PaymentRefusal::OrderState(status) => Self::new(&kind::ORDER_STATE)
                .member("orderStatus", status.as_str())
                .detail(format!("the order is {}: this cannot be done with it", status.as_str())),
            PaymentRefusal::Declined { reason } => Self::new(&kind::PAYMENT_DECLINED).detail(reason),
            PaymentRefusal::RefundTooHigh { left_minor } => {
                Self::new(&kind::REFUND_TOO_HIGH).member("left", left_minor)
            }
            PaymentRefusal::PartRestock => {
                let error = FieldError::new("/restock", "must be false: a part leaves the units sold");
                Self::new(&kind::INVALID_BODY).errors(vec![error])
            }
            PaymentRefusal::RefundRefused => Self::new(&kind::REFUND_REFUSED),
            PaymentRefusal::Disputed => Self::new(&kind::REFUND_REFUSED).detail(
                "the buyer disputes the payment at the bank: money that the bank holds or has taken cannot be refunded",
            ),
            PaymentRefusal::PaymentMissing => Self::new(&kind::PAYMENT_MISSING),
            PaymentRefusal::MissingMethod => {
                let error = FieldError::new("/method", "is required: the order costs something");
                Self::new(&kind::INVALID_BODY).errors(vec![error])
            }
            PaymentRefusal::UnknownMethod => {
                let error = FieldError::new("/method", "the payment provider does not know this method");
                Self::new(&kind::INVALID_BODY).errors(vec![error])
            }
            PaymentRefusal::KeyReused => Self::new(&kind::KEY_REUSED),
            PaymentRefusal::InFlight => Self::new(&kind::REQUEST_IN_FLIGHT).detail(
                "this order is being paid, settled or refunded at this moment; ask again for the outcome",
            ),
        }
    }
}

impl From<crate::auth::passwords::PasswordQueueFull> for Problem {
    fn from(_: crate::auth::passwords::PasswordQueueFull) -> Self {
        Self::new(&kind::OVERLOADED).detail("too many people are signing in at once; try again in a moment")
    }
}

impl From<crate::shop::accounts::AccountError> for Problem {
    fn from(error: crate::shop::accounts::AccountError) -> Self {
        use crate::shop::accounts::AccountError;
        match error {
            AccountError::Store(error) => error.into(),
            AccountError::Overloaded(overloaded) => overloaded.into(),
        }
    }
}

impl From<crate::shop::accounts::AccountRefusal> for Problem {
    fn from(refused: crate::shop::accounts::AccountRefusal) -> Self {
        use crate::shop::accounts::AccountRefusal;
        Self::new(match refused {
            AccountRefusal::WrongPassword => {
                let error = FieldError::new("/currentPassword", "is not the password of your account");
                return Self::new(&kind::INVALID_BODY).errors(vec![error]);
            }
            AccountRefusal::TooManyGuesses { retry_after_s } => {
                return Self::new(&kind::RATE_LIMITED)
                    .detail("too many wrong passwords for this account; wait, or sign in where you signed in before")
                    .member("limit", "guess")
                    .retry_after_s(retry_after_s);
            }
            AccountRefusal::MailOff => return Self::mail_off(),
            AccountRefusal::BadMailToken => &kind::BAD_MAIL_TOKEN,
            AccountRefusal::AccountUnknown => &kind::ACCOUNT_UNKNOWN,
            AccountRefusal::LastAdmin => &kind::LAST_ADMIN,
            AccountRefusal::EmailTaken => &kind::EMAIL_TAKEN,
            AccountRefusal::UsernameTaken => &kind::USERNAME_TAKEN,
            AccountRefusal::BadCredentials => &kind::BAD_CREDENTIALS,
            AccountRefusal::BadRefreshToken => &kind::BAD_REFRESH_TOKEN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_all_members_of_rfc_9457_and_the_code() {
        let problem = Problem::new(&kind::NOT_ADMITTED).member("position", 7).detail("six buyers are ahead");
        let document: Value = serde_json::from_slice(&problem.body("/api/v1/orders")).unwrap();
        insta::assert_json_snapshot!(document, @r#"
        {
          "code": "not_admitted",
          "detail": "six buyers are ahead",
          "instance": "/api/v1/orders",
          "position": 7,
          "status": 403,
          "title": "Not admitted yet",
          "type": "/problems/not_admitted"
        }
        "#);
    }

    #[test]
    fn an_unexpected_reply_of_the_engine_is_an_internal_error_and_no_unknown_sale() {
        let problem = Problem::from(engine::EngineError::UnexpectedReply { operation: "reserve" });
        assert_eq!((problem.kind().status, problem.kind().code), (500, "internal"));
    }

    #[test]
    fn an_unknown_order_and_another_buyers_order_look_the_same() {
        let unknown = Problem::new(&kind::ORDER_UNKNOWN).body("/x");
        assert_eq!(unknown, Problem::new(&kind::NOT_YOUR_ORDER).body("/x"));
    }
}
