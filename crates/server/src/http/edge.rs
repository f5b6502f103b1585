//! What all requests share, in one hand-written piece: request id, client address, token, limit, body and time limit, panics,
//! problem documents, security headers, CORS, metrics, access log. It never knows what a request is about.
//!
//! One piece, because five tower layers cost 7 µs a request and this should cost a tenth of it (design §6).

use super::cors::Cors;
use super::limits::{LimitClass, LimitDecision, LimitKey};
use super::problem::{Problem, ProblemKind, kind};
use super::routes::{Endpoint, RouteTable};
use super::sockets::{self, SocketService};
use super::{AppState, client_address, extract};
use crate::auth::Session;
use crate::telemetry::WorkTimer;
use crate::telemetry::metrics::{Counter, Gauge, ServerMetrics};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use futures::FutureExt;
use hyper::body::Incoming;
use ipnet::IpNet;
use sale::time::Timestamp;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use tower::Service;
use utoipa::openapi::OpenApi;

/// What the edge goes by.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// Bytes of a body at most.
    pub body_len_max: usize,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Whose pages may call.
    pub cors: Cors,
}

/// Who makes a request. Every handler finds it in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct RequestCaller {
    /// From where.
    pub address: IpAddr,
    /// With what valid access token, if any.
    pub session: Option<Session>,
}

/// The edge in front of the router.
pub struct HttpEdge {
    app: AppState,
    router: Router,
    sockets: Option<SocketService>,
    routes: RouteTable,
    ids: RequestIds,
    problems: ProblemCounters,
    api_headers: HeaderMap,
    page_headers: HeaderMap,
}

impl HttpEdge {
    /// The edge in front of `router`, whose description is `openapi`.
    #[must_use]
    pub fn new(app: AppState, router: Router<AppState>, openapi: &OpenApi) -> Self {
        Self {
            router: router.with_state(AppState::clone(&app)),
            sockets: None,
            routes: RouteTable::new(openapi, &app.metrics),
            ids: RequestIds::new(),
            problems: ProblemCounters::new(&app.metrics),
            api_headers: security_headers(API_POLICY),
            page_headers: security_headers(PAGE_POLICY),
            app,
        }
    }

    /// Sends what is meant for the sockets through `door`.
    #[must_use]
    pub fn with_sockets(self, door: SocketService) -> Self {
        Self { sockets: Some(door), ..self }
    }

    /// Answers one request; `is_late` tells whether it has taken too long, and whoever knows that wakes this.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        is_late: &(impl Fn() -> bool + Sync),
    ) -> Response<Body> {
        let watch = WorkTimer::start();
        let _in_flight = InFlightRequest::start(&self.app.metrics.in_flight);
        let endpoint = self.routes.find_endpoint(request.method(), request.uri().path());
        let id = self.ids.id_for(request.headers());
        let origin = self.app.edge.cors.allowed_origin(request.headers());
        // A problem document names its path, but few replies are problems: the path is kept only by reference count.
        let uri = request.uri().clone();
        let method = request.method().clone();

        let (mut response, decision) = self.answer_request(request, peer, endpoint, is_late).await;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            self.problems.count(problem.kind());
            response = render_problem(problem, uri.path(), response);
        } else if let Some(kind) = response.extensions_mut().remove::<&'static ProblemKind>() {
            self.problems.count(kind);
        }
        let template = if endpoint.is_page { &self.page_headers } else { &self.api_headers };
        apply_default_headers(response.headers_mut(), template);
        if let Some(decision) = decision {
            decision.write_headers(response.headers_mut());
        }
        self.app.edge.cors.write_headers(origin, response.headers_mut());

        let (status, seconds) = (response.status().as_u16(), watch.elapsed_s());
        endpoint.metrics.observe(status, seconds);
        // The route, not the path: what a client writes into a path may be somebody's address.
        let name = || id.to_str().unwrap_or("?");
        // A 503 is said on purpose, and on a bad day to everyone: a line for each would fill the disk that is full.
        if status >= 500 && status != 503 {
            tracing::warn!(id = name(), %method, route = endpoint.metrics.route(), status, seconds, "answered");
        } else {
            tracing::debug!(id = name(), %method, route = endpoint.metrics.route(), status, seconds, "answered");
        }
        response.headers_mut().insert(X_REQUEST_ID, id);
        response
    }

    /// The gauge of open connections.
    #[must_use]
    pub fn connections(&self) -> &Gauge {
        &self.app.metrics.connections
    }

    async fn answer_request(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        endpoint: &Endpoint,
        is_late: &(impl Fn() -> bool + Sync),
    ) -> (Response<Body>, Option<LimitDecision<'_>>) {
        let settings = &self.app.edge;
        if let Some(reply) = settings.cors.preflight(request.method(), request.headers()) {
            return (reply, None);
        }
        let now = (self.app.shop.now)();
        let caller = self.identify_caller(&request, peer, now);
        let door = self.sockets.as_ref().filter(|_| request.uri().path().starts_with(sockets::PREFIX));
        let class = match door {
            // A socket that is open may ask as often as it likes; opening one is what can be done too often.
            Some(_) => sockets::opens_socket(request.uri()).then_some(LimitClass::Read),
            None => endpoint.class,
        };
        let decision = self.count_request(class, caller, now).await;
        if let Some(seconds) = decision.as_ref().and_then(|decision| decision.retry_after_s) {
            let problem = Problem::new(&kind::RATE_LIMITED).retry_after_s(seconds);
            return (axum::response::IntoResponse::into_response(problem), decision);
        }
        if let Some(door) = door {
            return (forward_to_sockets(door, request, caller.address, is_late).await, decision);
        }
        let mut request =
            request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(body) });
        if is_too_long(request.headers(), settings.body_len_max) {
            if !request.headers().contains_key(header::EXPECT) {
                extract::discard_body(request.into_body()).await;
            }
            let problem = extract::body_too_large(settings.body_len_max);
            return (axum::response::IntoResponse::into_response(problem), decision);
        }
        request.extensions_mut().insert(caller);
        (self.route_request(request, is_late).await, decision)
    }

    async fn route_request(
        &self,
        request: Request<Body>,
        is_late: &(impl Fn() -> bool + Sync),
    ) -> Response<Body> {
        let mut answer = pin!(AssertUnwindSafe(self.router.clone().call(request)).catch_unwind());
        let answered = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Pending if is_late() => Poll::Ready(None),
            answered => answered.map(Some),
        });
        let problem = match answered.await {
            Some(Ok(Ok(response))) => return response,
            Some(Ok(Err(never))) => match never {},
            // The panic hook has logged what and where.
            Some(Err(_panic)) => Problem::new(&kind::INTERNAL),
            None => Problem::new(&kind::TIMEOUT),
        };
        axum::response::IntoResponse::into_response(problem)
    }

    fn identify_caller<B>(&self, request: &Request<B>, peer: IpAddr, now: Timestamp) -> RequestCaller {
        let headers = request.headers();
        let address = client_address::resolve_address(peer, headers, &self.app.edge.trusted_proxies);
        let tokens = &self.app.shop.accounts.tokens;
        let session = bearer_token(headers).and_then(|token| tokens.verify(token, now).ok());
        RequestCaller { address, session }
    }

    async fn count_request(
        &self,
        class: Option<LimitClass>,
        caller: RequestCaller,
        now: Timestamp,
    ) -> Option<LimitDecision<'_>> {
        let (limits, class) = (self.app.limits.as_ref()?, class?);
        let key = match caller.session {
            Some(session) if class != LimitClass::Auth => LimitKey::from_buyer(session.buyer),
            _ => LimitKey::from_address(caller.address),
        };
        Some(limits.count_request(class, key, now).await)
    }
}

/// Sends a request through the door. What a client says has the time of any request; what it waits for, in a long poll, comes
/// with the next ping at the latest.
async fn forward_to_sockets(
    door: &SocketService,
    request: Request<Incoming>,
    address: IpAddr,
    is_late: &(impl Fn() -> bool + Sync),
) -> Response<Body> {
    let is_said = request.method() == Method::POST;
    let mut answer = door.handle_request(request, address);
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Pending if is_said && is_late() => {
            Poll::Ready(axum::response::IntoResponse::into_response(Problem::new(&kind::TIMEOUT)))
        }
        answered => answered,
    })
    .await
}

/// The token of `Authorization: Bearer …`; the scheme's case does not matter (RFC 9110).
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    // Faster than `to_str`, which looks at each byte of a long token on its own.
    let value = std::str::from_utf8(headers.get(header::AUTHORIZATION)?.as_bytes()).ok()?;
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case("Bearer ").then(|| token.trim())
}

fn is_too_long(headers: &HeaderMap, len_max: usize) -> bool {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return false };
    let len = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    len.is_some_and(|len| len > len_max as u64)
}

/// Writes the document of a problem, keeping headers that came with it, such as `Allow`.
fn render_problem(problem: Problem, instance: &str, response: Response<Body>) -> Response<Body> {
    let mut rendered = problem.into_reply(instance);
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            rendered.headers_mut().insert(name, value.clone());
        }
    }
    rendered
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What Helmet 8 sets, with a policy for an API: its replies are never a page.
static SECURITY_HEADERS: [(HeaderName, HeaderValue); 11] = [
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::X_XSS_PROTECTION, HeaderValue::from_static("0")),
    (header::X_DNS_PREFETCH_CONTROL, HeaderValue::from_static("off")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("origin-agent-cluster"), HeaderValue::from_static("?1")),
    (HeaderName::from_static("x-download-options"), HeaderValue::from_static("noopen")),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), HeaderValue::from_static("none")),
];

const API_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The headers of every reply, with this content policy, and what a reply says of caching when it says nothing itself.
fn security_headers(policy: HeaderValue) -> HeaderMap {
    let mut headers: HeaderMap = SECURITY_HEADERS.iter().cloned().collect();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

/// Adds `template` to a reply's own headers, which win. Copying the template and adding the few own ones costs half of
/// hashing all of the template's names into the reply.
fn apply_default_headers(headers: &mut HeaderMap, template: &HeaderMap) {
    let own = std::mem::replace(headers, template.clone());
    let mut last = None;
    for (name, value) in own {
        match (name, &last) {
            (Some(name), _) => {
                headers.insert(name.clone(), value);
                last = Some(name);
            }
            // Further values of the name before.
            (None, Some(name)) => drop(headers.append(name, value)),
            (None, None) => {}
        }
    }
}

/// A counter for each of [`kind::ALL`], in its order.
struct ProblemCounters(Vec<Counter>);

impl ProblemCounters {
    fn new(metrics: &ServerMetrics) -> Self {
        Self(kind::ALL.iter().map(|kind| metrics.problem_counter(kind.code)).collect())
    }

    fn count(&self, kind: &'static ProblemKind) {
        let at = kind::ALL.iter().position(|known| std::ptr::eq(*known, kind));
        if let Some(counter) = at.and_then(|at| self.0.get(at)) {
            counter.inc();
        }
    }
}

/// Names for requests: the caller's own, or the process's random number and a count.
struct RequestIds {
    process: u32,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        let (process, ..) = uuid::Uuid::new_v4().as_fields();
        Self { process, next: AtomicU64::new(0) }
    }

    fn id_for(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(X_REQUEST_ID) {
            Some(id) if is_valid_id(id.as_bytes()) => id.clone(),
            _ => self.generate_id(),
        }
    }

    fn generate_id(&self) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let number = (u128::from(self.process) << 64) | u128::from(self.next.fetch_add(1, Ordering::Relaxed));
        let mut text = [0; 24];
        for (at, digit) in text.iter_mut().rev().enumerate() {
            *digit = DIGITS[(number >> (4 * at)) as usize & 15];
        }
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("?"))
    }
}

/// Whether it can stand in a log: 1 to 64 letters, digits, `-`, `_`, `.`, `:`, `+`, `/`, `=`.
fn is_valid_id(id: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
    (1..=64).contains(&id.len()) && id.iter().all(good)
}

/// Counts a request for as long as it is being answered, also when its client hangs up.
struct InFlightRequest<'a>(&'a Gauge);

impl<'a> InFlightRequest<'a> {
    fn start(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlightRequest<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
