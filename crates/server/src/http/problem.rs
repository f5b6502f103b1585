//! Every refusal and failure as `application/problem+json` (RFC 9457): the one file that maps our words to HTTP.
//! It never tells the inside of a failure: a 5xx says that it happened, its cause goes to the log.

pub mod kind;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::Value;
use std::borrow::Cow;

/// The media type of RFC 9457.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A sort of problem: its stable code, its status, and what a person is told.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// The stable code that programs go by.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// A short summary, the same for every occurrence.
    pub title: &'static str,
    /// What is said when the occurrence has nothing of its own to say.
    pub detail: &'static str,
    /// Seconds for `Retry-After`, where coming back makes sense.
    pub retry_after_s: Option<u32>,
}

/// One field that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer to the field of the body (or `/name` of a query parameter).
    pub pointer: String,
    /// What is wrong with it.
    pub detail: Cow<'static, str>,
}

impl FieldError {
    /// What is wrong with the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// One occurrence of a [`Kind`]. The edge renders it, because only the edge knows the `instance`.
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
    /// An occurrence of `kind` with nothing to add.
    #[must_use]
    pub const fn new(kind: &'static ProblemKind) -> Self {
        Self { kind, extras: None }
    }

    /// Says more precisely what happened. Never put a secret, an e-mail address or an inner error here.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.extras_mut().detail = Some(detail.into());
        self
    }

    /// Names the fields that are not valid.
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

    /// Says when to come back.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.extras_mut().retry_after_s = Some(seconds);
        self
    }

    /// The sort of this problem.
    #[must_use]
    pub fn kind(&self) -> &'static ProblemKind {
        self.kind
    }

    /// Whether it says no more than its kind does.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.extras.is_none()
    }

    /// A failure of ours: its cause goes to the log, the caller learns that it happened.
    pub fn from_failure(kind: &'static ProblemKind, cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = cause.to_string();
        let mut next = cause.source();
        while let Some(source) = next {
            text.push_str(": ");
            text.push_str(&source.to_string());
            next = source.source();
        }
        tracing::error!(code = kind.code, cause = %text, "request failed");
        Self::new(kind)
    }

    /// The body for an occurrence at `instance`.
    #[must_use]
    pub fn body(&self, instance: &str) -> Bytes {
        let more = self.extras.as_deref();
        let detail = more.and_then(|more| more.detail.as_deref()).unwrap_or(self.kind.detail);
        let errors = more.map(|more| more.errors.as_slice()).unwrap_or_default();
        let members = more.map(|more| more.members.as_slice()).unwrap_or_default();
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

    /// The whole reply for an occurrence at `instance`.
    #[must_use]
    pub fn into_reply(self, instance: &str) -> Response<Body> {
        let retry_after_s = self.retry_after();
        build_reply(self.kind, retry_after_s, self.body(instance))
    }

    /// A reply built once for a place that refuses often: answering costs two reference counts.
    #[must_use]
    pub fn prebuilt(self, instance: &str) -> PrebuiltProblem {
        PrebuiltProblem { retry_after_s: self.retry_after(), body: self.body(instance), kind: self.kind }
    }

    fn retry_after(&self) -> Option<u32> {
        self.extras.as_ref().and_then(|more| more.retry_after_s).or(self.kind.retry_after_s)
    }

    fn extras_mut(&mut self) -> &mut ProblemExtras {
        self.extras.get_or_insert_default()
    }
}

/// Leaves the problem in the reply's extensions, where the edge finds and renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status_code(self.kind);
        response.extensions_mut().insert(self);
        response
    }
}

/// A refusal whose bytes are ready. See [`Problem::prebuilt`].
#[derive(Debug, Clone)]
pub struct PrebuiltProblem {
    kind: &'static ProblemKind,
    retry_after_s: Option<u32>,
    body: Bytes,
}

/// Leaves its kind in the reply's extensions, where the edge finds and counts it.
impl IntoResponse for PrebuiltProblem {
    fn into_response(self) -> Response<Body> {
        let mut response = build_reply(self.kind, self.retry_after_s, self.body);
        response.extensions_mut().insert(self.kind);
        response
    }
}

fn build_reply(kind: &'static ProblemKind, retry_after_s: Option<u32>, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
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

/// What a problem document looks like, for the OpenAPI description.
#[derive(utoipa::ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct ProblemSchema {
    /// Where the sort of problem is described, such as `/problems/sold_out`.
    r#type: String,
    /// A short summary of the sort of problem.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened this time.
    detail: String,
    /// The path that was asked for.
    instance: String,
    /// The stable code to go by.
    code: String,
    /// The fields that are not valid.
    errors: Option<Vec<FieldError>>,
}

// From the errors of the layers below to problems: every `?` in a handler comes through here.

impl From<crate::store::StoreError> for Problem {
    fn from(error: crate::store::StoreError) -> Self {
        Self::from_failure(&kind::UNAVAILABLE, &error)
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
        };
        Self::new(kind)
    }
}

impl From<crate::shop::catalogue::CatalogueRefusal> for Problem {
    fn from(refused: crate::shop::catalogue::CatalogueRefusal) -> Self {
        use crate::shop::catalogue::CatalogueRefusal;
        let wrong =
            |pointer, detail| Self::new(&kind::INVALID_BODY).errors(vec![FieldError::new(pointer, detail)]);
        match refused {
            CatalogueRefusal::SaleUnknown => Self::new(&kind::SALE_UNKNOWN),
            CatalogueRefusal::ProductUnknown => Self::new(&kind::PRODUCT_UNKNOWN),
            CatalogueRefusal::SlugTaken => Self::new(&kind::SLUG_TAKEN),
            CatalogueRefusal::ProductInUse => Self::new(&kind::PRODUCT_IN_USE),
            CatalogueRefusal::NoSuchProduct => wrong("/productId", "there is no such product"),
            CatalogueRefusal::CurrencyDiffers => wrong(
                "/price/currency",
                "must be the same for a product and the sales of it that are not over",
            ),
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

/// The field of a sale's body that a problem of its policy is about.
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

impl From<crate::shop::orders::OrderListError> for Problem {
    fn from(error: crate::shop::orders::OrderListError) -> Self {
        use crate::shop::orders::OrderListError;
        match error {
            OrderListError::Store(error) => error.into(),
            OrderListError::Engine(error) => error.into(),
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
    fn a_problem_says_all_that_rfc_9457_and_the_contract_ask_for() {
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
