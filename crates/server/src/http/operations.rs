//! The operations of the API, one a line: the name that generated clients give it, who may call it, and every problem that it may
//! answer. The OpenAPI description takes names, security and error replies from here and nowhere else, and the API tests compare
//! every reply with that description. It never calls a handler.

use super::problem::kind::*;
use super::problem::{self, ProblemKind};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{
    ContentBuilder, OpenApi, Ref, RefOr, Required, Response, SecurityRequirement, ServerBuilder,
};

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    Anyone,
    /// A load balancer or a monitor: no limit counts its calls.
    Probe,
    /// A buyer or an admin who is signed in.
    Buyer,
    Admin,
}

/// What the table says of one operation.
#[derive(Debug)]
pub struct ApiOperation {
    pub method: &'static str,
    pub path: &'static str,
    /// A verb and its object, in camel case.
    pub id: &'static str,
    pub caller: CallerKind,
    /// Its own problems. Those that follow from its form (a token, a body, a query, an id in the path) are added to them.
    kinds: &'static [&'static ProblemKind],
}

const fn operation(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    caller: CallerKind,
    kinds: &'static [&'static ProblemKind],
) -> ApiOperation {
    ApiOperation { method, path, id, caller, kinds }
}

#[rustfmt::skip]
static OPERATIONS: &[ApiOperation] = {
    use CallerKind::{Admin, Anyone, Buyer, Probe};
    &[
        operation("POST", "/api/v1/auth/register", "registerAccount", Anyone, &[&EMAIL_TAKEN, &USERNAME_TAKEN]),
        operation("POST", "/api/v1/auth/login", "signIn", Anyone, &[&BAD_CREDENTIALS]),
        operation("POST", "/api/v1/auth/guest", "beginGuestVisit", Anyone, &[&NOT_FOUND, &BAD_MAIL_TOKEN]),
        operation("POST", "/api/v1/auth/forgot", "forgotPassword", Anyone, &[&NOT_FOUND]),
        operation("POST", "/api/v1/auth/reset", "resetPassword", Anyone, &[&NOT_FOUND, &BAD_MAIL_TOKEN]),
        operation("POST", "/api/v1/auth/verify", "verifyAddress", Anyone, &[&NOT_FOUND, &BAD_MAIL_TOKEN]),
        operation("POST", "/api/v1/auth/refresh", "refreshSession", Anyone, &[&BAD_REFRESH_TOKEN]),
        operation("POST", "/api/v1/auth/logout", "signOut", Buyer, &[]),
        operation("POST", "/api/v1/auth/sign-out-everywhere", "signOutEverywhere", Buyer, &[&ACCOUNT_UNKNOWN]),
        operation("POST", "/api/v1/auth/password", "changePassword", Buyer, &[&ACCOUNT_UNKNOWN]),
        operation("GET", "/api/v1/auth/me", "getAccount", Buyer, &[]),

        operation("GET", "/api/v1/features", "getFeatures", Anyone, &[]),

        operation("GET", "/api/v1/products", "listProducts", Anyone, &[]),
        operation("GET", "/api/v1/products/{id}", "getProduct", Anyone, &[&PRODUCT_UNKNOWN]),
        operation("GET", "/api/v1/flash-sales", "listFlashSales", Anyone, &[]),
        operation("GET", "/api/v1/flash-sales/{id}", "getFlashSale", Anyone, &[&SALE_UNKNOWN]),

        operation("POST", "/api/v1/flash-sales/{id}/reminders", "subscribeToSale", Anyone, &[&SALE_UNKNOWN]),
        operation("GET", "/api/v1/reminders", "listReminders", Buyer, &[&NOT_FOUND]),
        operation("DELETE", "/api/v1/reminders/{id}", "endReminder", Buyer, &[&NOT_FOUND]),
        operation("POST", "/api/v1/reminders/unsubscribe", "unsubscribeFromSale", Anyone, &[&NOT_FOUND]),
        operation("GET", "/api/v1/flash-sales/{id}/queue-position", "getFlashSalePosition", Buyer, &[&SALE_UNKNOWN, &NO_PLACE]),
        operation("GET", "/api/v1/flash-sales/{id}/line-feed", "getLineFeed", Anyone, &[&SALE_UNKNOWN, &NO_LINE]),
        operation("POST", "/api/v1/queue/join", "joinQueue", Buyer, &[
            &SALE_UNKNOWN, &SOLD_OUT, &LIMIT_REACHED, &NO_LINE, &ALREADY_IN_LINE, &EMAIL_UNCONFIRMED, &ENDED, &CLOSED, &NOT_STARTED,
        ]),
        operation("GET", "/api/v1/queue/position", "getQueuePosition", Buyer, &[&SALE_UNKNOWN, &NO_PLACE]),
        operation("POST", "/api/v1/queue/extend", "extendAdmission", Buyer, &[
            &SALE_UNKNOWN, &NO_PLACE, &NOT_ADMITTED, &NO_EXTENSION, &NO_LINE,
        ]),
        operation("DELETE", "/api/v1/queue/leave", "leaveQueue", Buyer, &[&SALE_UNKNOWN, &NO_PLACE]),

        operation("POST", "/api/v1/orders", "createOrder", Buyer, &[
            &SALE_UNKNOWN, &SOLD_OUT, &ALL_HELD, &FEWER_LEFT, &LIMIT_REACHED, &PAUSED, &NOT_ADMITTED, &NOT_IN_LINE, &ENDED, &CLOSED, &NOT_STARTED,
            &EMAIL_UNCONFIRMED, &KEY_REUSED, &REQUEST_IN_FLIGHT, &BAD_IDEMPOTENCY_KEY,
        ]),
        operation("GET", "/api/v1/orders", "listOrders", Buyer, &[]),
        operation("POST", "/api/v1/orders/find", "findGuestOrder", Anyone, &[&ORDER_UNKNOWN]),
        operation("GET", "/api/v1/orders/{id}", "getOrder", Buyer, &[&ORDER_UNKNOWN]),
        operation("DELETE", "/api/v1/orders/{id}", "cancelOrder", Buyer, &[&ORDER_UNKNOWN, &ORDER_STATE, &ORDER_PAYING, &ORDER_EXPIRED]),
        operation("POST", "/api/v1/orders/{id}/pay", "payOrder", Buyer, &[
            &ORDER_UNKNOWN, &PAYMENT_DECLINED, &ORDER_STATE, &ORDER_PAYING, &ORDER_EXPIRED, &PAYMENT_UNKNOWN,
            &PAYMENT_UNAVAILABLE,
            &KEY_REUSED, &REQUEST_IN_FLIGHT, &BAD_IDEMPOTENCY_KEY,
        ]),

        operation("POST", "/api/v1/admin/products", "createProduct", Admin, &[
            &PRODUCT_UNKNOWN, &KEY_REUSED, &REQUEST_IN_FLIGHT, &BAD_IDEMPOTENCY_KEY,
        ]),
        operation("PATCH", "/api/v1/admin/products/{id}", "editProduct", Admin, &[&PRODUCT_UNKNOWN]),
        operation("DELETE", "/api/v1/admin/products/{id}", "deleteProduct", Admin, &[&PRODUCT_UNKNOWN, &PRODUCT_IN_USE]),

        operation("POST", "/api/v1/admin/flash-sales", "createFlashSale", Admin, &[
            &SALE_UNKNOWN, &SLUG_TAKEN, &BAD_POLICY, &KEY_REUSED, &REQUEST_IN_FLIGHT, &BAD_IDEMPOTENCY_KEY,
        ]),
        operation("PATCH", "/api/v1/admin/flash-sales/{id}", "editFlashSale", Admin, &[
            &SALE_UNKNOWN, &PROMISE_MADE, &SLUG_TAKEN, &TOO_MANY_EDITS, &CLOSED, &BAD_POLICY,
        ]),
        operation("DELETE", "/api/v1/admin/flash-sales/{id}", "deleteFlashSale", Admin, &[&SALE_UNKNOWN]),
        operation("POST", "/api/v1/admin/flash-sales/{id}/pause", "pauseFlashSale", Admin, &[&SALE_UNKNOWN, &CLOSED]),
        operation("POST", "/api/v1/admin/flash-sales/{id}/resume", "resumeFlashSale", Admin, &[&SALE_UNKNOWN, &CLOSED]),
        operation("POST", "/api/v1/admin/flash-sales/{id}/close", "closeFlashSale", Admin, &[&SALE_UNKNOWN]),
        operation("POST", "/api/v1/admin/flash-sales/{id}/restock", "restockFlashSale", Admin, &[
            &SALE_UNKNOWN, &CLOSED, &BAD_POLICY, &KEY_REUSED, &REQUEST_IN_FLIGHT, &BAD_IDEMPOTENCY_KEY,
        ]),

        operation("GET", "/api/v1/admin/flash-sales/{id}/overview", "getFlashSaleOverview", Admin, &[&SALE_UNKNOWN]),
        operation("GET", "/api/v1/admin/flash-sales/{id}/series", "getFlashSaleSeries", Admin, &[&SALE_UNKNOWN]),
        operation("GET", "/api/v1/admin/flash-sales/{id}/summary", "getFlashSaleSummary", Admin, &[&SALE_UNKNOWN]),
        operation("GET", "/api/v1/admin/flash-sales/{id}/queue", "listQueue", Admin, &[&SALE_UNKNOWN]),
        operation("GET", "/api/v1/admin/flash-sales/{id}/orders", "listFlashSaleOrders", Admin, &[&SALE_UNKNOWN]),
        operation("GET", "/api/v1/admin/flash-sales/{id}/attempts", "listAttempts", Admin, &[&SALE_UNKNOWN]),
        operation("GET", "/api/v1/admin/flash-sales/{id}/events", "listEvents", Admin, &[&SALE_UNKNOWN]),
        operation("GET", "/api/v1/admin/flash-sales/{id}/receipt", "checkReceipt", Admin, &[&SALE_UNKNOWN]),

        operation("GET", "/api/v1/admin/orders", "listAllOrders", Admin, &[]),
        operation("GET", "/api/v1/admin/orders.csv", "exportOrders", Admin, &[]),
        operation("GET", "/api/v1/admin/orders/{id}/payments", "listOrderPayments", Admin, &[]),
        operation("POST", "/api/v1/admin/orders/{id}/refund", "refundOrder", Admin, &[
            &PAYMENT_MISSING, &REFUND_TOO_HIGH, &REFUND_REFUSED,
            &ORDER_UNKNOWN, &ORDER_STATE, &PAYMENT_UNKNOWN, &KEY_REUSED, &REQUEST_IN_FLIGHT, &BAD_IDEMPOTENCY_KEY,
        ]),

        operation("POST", "/api/v1/admin/accounts/{id}/end-sessions", "endAccountSessions", Admin, &[&ACCOUNT_UNKNOWN]),
        operation("POST", "/api/v1/admin/accounts/{id}/role", "setAccountRole", Admin, &[&ACCOUNT_UNKNOWN, &LAST_ADMIN]),

        operation("GET", "/api/v1/admin/followers", "listFollowers", Admin, &[]),
        operation("POST", "/api/v1/admin/followers/{name}/rewind", "rewindFollower", Admin, &[&FOLLOWER_UNKNOWN, &SALE_UNKNOWN]),
        operation("GET", "/api/v1/admin/webhooks", "listWebhooks", Admin, &[]),
        operation("POST", "/api/v1/admin/webhooks", "createWebhook", Admin, &[&PUBLIC_URL_MISSING, &TOO_MANY_WEBHOOKS]),
        operation("GET", "/api/v1/admin/webhooks/{id}", "getWebhook", Admin, &[&WEBHOOK_UNKNOWN]),
        operation("PATCH", "/api/v1/admin/webhooks/{id}", "editWebhook", Admin, &[&WEBHOOK_UNKNOWN]),
        operation("DELETE", "/api/v1/admin/webhooks/{id}", "deleteWebhook", Admin, &[&WEBHOOK_UNKNOWN]),
        operation("POST", "/api/v1/admin/webhooks/{id}/rotate-secret", "rotateWebhookSecret", Admin, &[&WEBHOOK_UNKNOWN]),
        operation("POST", "/api/v1/admin/webhooks/{id}/test", "testWebhook", Admin, &[&WEBHOOK_UNKNOWN, &WEBHOOK_DISABLED, &DELIVERY_UNKNOWN]),
        operation("GET", "/api/v1/admin/webhooks/{id}/deliveries", "listWebhookDeliveries", Admin, &[&WEBHOOK_UNKNOWN]),
        operation("POST", "/api/v1/admin/webhooks/{id}/deliveries/{deliveryId}/resend", "resendWebhookDelivery", Admin, &[
            &WEBHOOK_UNKNOWN, &WEBHOOK_DISABLED, &DELIVERY_UNKNOWN,
        ]),
        operation("POST", "/api/v1/admin/webhooks/{id}/resend-failed", "resendFailedWebhookDeliveries", Admin, &[
            &WEBHOOK_UNKNOWN, &WEBHOOK_DISABLED,
        ]),

        operation("GET", "/api/v1/admin/mails", "listMails", Admin, &[]),
        operation("GET", "/api/v1/admin/mail-switches", "listMailSwitches", Admin, &[]),
        operation("PATCH", "/api/v1/admin/mail-switches", "setMailSwitches", Admin, &[]),
        operation("POST", "/api/v1/admin/mails/{id}/resend", "resendMail", Admin, &[&MAIL_UNKNOWN, &MAIL_EXPIRED]),
        operation("POST", "/api/v1/admin/mails/resend-failed", "resendFailedMails", Admin, &[&NOT_FOUND]),
        operation("GET", "/api/v1/admin/server", "getServerReport", Admin, &[]),

        operation("GET", "/livez", "getLiveness", Probe, &[]),
        operation("GET", "/readyz", "getReadiness", Probe, &[&UNAVAILABLE]),
        operation("GET", "/health", "getHealth", Probe, &[]),
        operation("GET", "/.well-known/jwks.json", "getSigningKeys", Probe, &[]),
        operation("GET", "/schemas/events/{file}", "getEventSchema", Probe, &[]),
    ]
};

/// The operation of the table with this method and path pattern.
#[must_use]
pub fn find_operation(method: &str, path: &str) -> Option<&'static ApiOperation> {
    OPERATIONS.iter().find(|known| known.method == method && known.path == path)
}

impl ApiOperation {
    /// Every kind of problem that the operation may answer, given its form in the description.
    fn all_kinds(&self, described: &Operation) -> Vec<&'static ProblemKind> {
        let has =
            |place: &ParameterIn| parameters(described).any(|parameter| parameter.parameter_in == *place);
        let mut kinds: Vec<&ProblemKind> = self.kinds.to_vec();
        kinds.extend([&INTERNAL, &TIMEOUT, &BODY_TOO_LARGE]);
        if self.caller != CallerKind::Probe {
            kinds.extend([&RATE_LIMITED, &OVERLOADED, &UNAVAILABLE]);
        }
        if self.method != "GET" {
            kinds.push(&NOT_RECORDED);
        }
        if matches!(self.caller, CallerKind::Buyer | CallerKind::Admin) {
            kinds.push(&UNAUTHORIZED);
        }
        if self.caller == CallerKind::Admin {
            kinds.push(&FORBIDDEN);
        }
        if described.request_body.is_some() {
            kinds.extend([&BAD_REQUEST, &BAD_JSON, &REQUEST_TIMEOUT, &UNSUPPORTED_MEDIA_TYPE, &INVALID_BODY]);
        }
        if has(&ParameterIn::Query) {
            kinds.push(&INVALID_QUERY);
        }
        if has(&ParameterIn::Path) {
            kinds.push(&NOT_FOUND);
        }
        kinds
    }
}

fn parameters(described: &Operation) -> impl Iterator<Item = &Parameter> {
    described.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

/// Writes what the table says into the description: names, security, error replies and the `Idempotency-Key` that every change accepts.
pub fn describe_operations(openapi: &mut OpenApi) {
    let server = ServerBuilder::new().url("/").description(Some("The instance that serves this description"));
    openapi.servers = Some(vec![server.build()]);
    let mut replies = BTreeMap::new();
    for (path, item) in &mut openapi.paths.paths {
        for (method, described) in list_operations(item) {
            let Some(known) = find_operation(method, path) else { continue };
            described.operation_id = Some(known.id.to_owned());
            described.security = Some(match known.caller {
                CallerKind::Anyone | CallerKind::Probe => Vec::new(),
                CallerKind::Buyer | CallerKind::Admin => {
                    vec![SecurityRequirement::new("token", Vec::<String>::new())]
                }
            });
            for (status, kinds) in group_by_status(&known.all_kinds(described)) {
                let name = reply_name(&kinds);
                let reply = RefOr::Ref(Ref::from_response_name(&name));
                described.responses.responses.insert(status.to_string(), reply);
                replies.entry(name).or_insert_with(|| RefOr::T(problem_reply(status, &kinds)));
            }
            if method != "GET" {
                accept_key(described);
            }
        }
    }
    openapi.components.get_or_insert_default().responses.extend(replies);
}

/// The described methods of a path.
pub fn list_operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let methods = [
        ("GET", &mut item.get),
        ("POST", &mut item.post),
        ("PUT", &mut item.put),
        ("PATCH", &mut item.patch),
        ("DELETE", &mut item.delete),
    ];
    methods.into_iter().filter_map(|(method, described)| Some((method, described.as_mut()?)))
}

/// Problems by status. Two kinds of one code and status, which clients cannot tell apart, are one.
fn group_by_status(kinds: &[&'static ProblemKind]) -> BTreeMap<u16, Vec<&'static ProblemKind>> {
    let mut by_status: BTreeMap<u16, Vec<&ProblemKind>> = BTreeMap::new();
    for kind in kinds {
        let same = by_status.entry(kind.status).or_default();
        if same.iter().all(|known| known.code != kind.code) {
            same.push(kind);
        }
    }
    by_status.values_mut().for_each(|kinds| kinds.sort_unstable_by_key(|kind| kind.code));
    by_status
}

/// Operations with the same problems share a reply, whose name is made of its codes.
fn reply_name(kinds: &[&ProblemKind]) -> String {
    let words = kinds.iter().flat_map(|kind| kind.code.split('_'));
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

fn problem_reply(status: u16, kinds: &[&ProblemKind]) -> Response {
    let lines: Vec<String> = kinds.iter().map(|kind| format!("`{}`: {}.", kind.code, kind.detail)).collect();
    let codes: Vec<&str> = kinds.iter().map(|kind| kind.code).collect();
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(problem::ProblemSchema::name())));
    let mut reply = ResponseBuilder::new()
        .description(lines.join("\n\n"))
        .content("application/problem+json", problem.build())
        .extensions(Some(ExtensionsBuilder::new().add("x-codes", codes).build()));
    if kinds.iter().any(|kind| kind.retry_after_s.is_some()) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        let header =
            HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds after which to try again."));
        reply = reply.header("Retry-After", header.build());
    }
    if status == 401 {
        let text = ObjectBuilder::new().schema_type(Type::String);
        reply = reply.header("WWW-Authenticate", HeaderBuilder::new().schema(Some(text)).build());
    }
    reply.build()
}

/// A change that takes no key accepts one: to do it twice is to do it once.
fn accept_key(described: &mut Operation) {
    const NAME: &str = "Idempotency-Key";
    if parameters(described).any(|parameter| parameter.name == NAME) {
        return;
    }
    let text = ObjectBuilder::new().schema_type(Type::String);
    let key = ParameterBuilder::new()
        .name(NAME)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("Accepted without effect: a repeated request changes nothing more."))
        .schema(Some(text));
    described.parameters.get_or_insert_default().push(RefOr::T(key.build()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_has_every_operation_and_no_other() {
        let mut openapi = crate::http::openapi();
        let mut described = BTreeSet::new();
        for (path, item) in &mut openapi.paths.paths {
            for (method, _) in list_operations(item) {
                described.insert((method, path.clone()));
            }
        }
        let known = OPERATIONS.iter().map(|known| (known.method, known.path.to_owned()));
        assert_eq!(described, known.collect(), "add the operation to the table, with its problems");
    }

    #[test]
    fn names_are_unique_and_in_camel_case() {
        let names: BTreeSet<&str> = OPERATIONS.iter().map(|known| known.id).collect();
        assert_eq!(names.len(), OPERATIONS.len());
        assert!(
            names
                .iter()
                .all(|name| name.chars().all(char::is_alphanumeric) && name.starts_with(char::is_lowercase))
        );
    }

    #[test]
    fn the_caller_is_the_one_of_the_path() {
        for known in OPERATIONS {
            let expected = known.path.starts_with("/api/v1/admin/");
            assert_eq!(known.caller == CallerKind::Admin, expected, "{}", known.path);
            assert_eq!(known.caller == CallerKind::Probe, !known.path.starts_with("/api/"), "{}", known.path);
        }
    }
}
