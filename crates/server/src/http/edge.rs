//! What all requests share: request id, client address, access token, rate limit, size and time limits, panics, problem
//! documents, security headers, CORS, metrics, access log. It never knows what a request is about.
//!
//! It is one hand-written function instead of a stack of tower layers: five layers cost 7 µs a request, this a tenth of it.

mod compression;
mod default_headers;
mod head_reply;
mod request_ids;

use super::caller::RequestCaller;
use super::cors::Cors;
use super::dialects::error::DialectError;
use super::dialects::reply::json_response;
use super::dialects::{Dialect, DialectContext, DialectState};
use super::failure_log::{RequestName, name_failures};
use super::limits::{LimitClass, LimitDecision, LimitKey};
use super::load_shedding::{OpenSocket, SheddingClass};
use super::problem::{Problem, ProblemKind, kind};
use super::routes::{Endpoint, RouteTable};
use super::server::ConnectionLimit;
use super::sockets::{self, SocketService};
use super::{AppState, client_address, extract, provider_notices};
use crate::auth::tokens::TokenError;
use crate::telemetry::WorkTimer;
use crate::telemetry::metrics::{Counter, Gauge, ServerMetrics};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use default_headers::DefaultHeaders;
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use ipnet::IpNet;
use request_ids::{RequestIds, X_REQUEST_ID};
use sale::BuyerId;
use sale::time::Timestamp;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tower::Service;
use utoipa::openapi::OpenApi;

#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// Bytes of a request's body.
    pub body_len_max: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Sites whose pages may call the API.
    pub cors: Cors,
}

/// The edge in front of the router.
pub struct HttpEdge {
    app: AppState,
    router: Router,
    sockets: Option<SocketService>,
    routes: RouteTable,
    ids: RequestIds,
    problems: ProblemCounters,
    default_headers: DefaultHeaders,
    /// The dialect that this edge serves; `None` for the native API.
    dialect: Option<DialectState>,
    /// Dialects that are served below their prefix.
    mounted: Vec<Arc<HttpEdge>>,
}

impl HttpEdge {
    /// `openapi` describes `router`; the limits and metrics of each route come from it.
    #[must_use]
    pub fn new(app: AppState, router: Router<AppState>, openapi: &OpenApi) -> Self {
        Self {
            router: router.with_state(AppState::clone(&app)),
            sockets: None,
            routes: RouteTable::new(openapi, &app.metrics),
            ids: RequestIds::new(),
            problems: ProblemCounters::new(&app.metrics),
            default_headers: DefaultHeaders::new(),
            dialect: None,
            mounted: Vec::new(),
            app,
        }
    }

    /// The edge of a dialect.
    #[must_use]
    pub fn for_dialect(state: DialectState) -> Self {
        let app = AppState::clone(&state.app);
        let (endpoints, router) = state.dialect.routes().into_router(DialectState::clone(&state));
        Self {
            router,
            sockets: None,
            routes: RouteTable::for_dialect(state.dialect, &endpoints, &app.metrics),
            ids: RequestIds::new(),
            problems: ProblemCounters::new(&app.metrics),
            default_headers: DefaultHeaders::new(),
            dialect: Some(state),
            mounted: Vec::new(),
            app,
        }
    }

    /// Serves dialects below their prefix.
    #[must_use]
    pub fn with_dialects(self, mounted: Vec<Arc<HttpEdge>>) -> Self {
        Self { mounted, ..self }
    }

    /// Forwards requests below [`sockets::PREFIX`] to `sockets`.
    #[must_use]
    pub fn with_sockets(self, sockets: SocketService) -> Self {
        Self { sockets: Some(sockets), ..self }
    }

    /// Answers one request. Above a `limit` of connections only probes are answered. `is_late` returns true once the request has taken
    /// too long; the future must be woken when that changes.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        limit: Option<ConnectionLimit>,
        is_late: &(impl Fn() -> bool + Sync),
    ) -> Response<Body> {
        match self.find_mounted(request.uri().path()) {
            None => self.answer(request, peer, limit, is_late).await,
            Some((edge, dialect)) => {
                edge.answer(without_prefix(request, dialect.dialect.prefix()), peer, limit, is_late).await
            }
        }
    }

    /// The dialect below whose prefix a path is.
    fn find_mounted(&self, path: &str) -> Option<(&Self, &DialectContext)> {
        if self.mounted.is_empty() || !path.starts_with("/dialects/") {
            return None;
        }
        let edges = self.mounted.iter().filter_map(|edge| Some((&**edge, &**edge.dialect.as_ref()?)));
        edges.into_iter().find(|(_, dialect)| {
            let rest = path.strip_prefix(dialect.dialect.prefix());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        limit: Option<ConnectionLimit>,
        is_late: &(impl Fn() -> bool + Sync),
    ) -> Response<Body> {
        let timer = WorkTimer::start();
        let _in_flight = InFlightRequest::start(&self.app.metrics.in_flight);
        let endpoint = self.routes.find_endpoint(request.method(), request.uri().path());
        let id = self.ids.id_for(request.headers());
        let origin = self.cors_at(request.uri().path()).allowed_origin(request.headers());
        // A problem document names its path. Few replies are problems, so the path is shared, not copied.
        let uri = request.uri().clone();
        let method = request.method().clone();
        let accept_encoding = request.headers().get(header::ACCEPT_ENCODING).cloned();

        let (mut response, decision) = match limit.filter(|_| !PROBES.contains(&uri.path())) {
            Some(limit) => (connection_problem(limit).into_response(), None),
            None => {
                let route = endpoint.metrics.shared_route();
                let name = RequestName { id: id.clone(), method: method.clone(), route };
                name_failures(name, self.answer_request(request, peer, endpoint, is_late)).await
            }
        };
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            self.problems.count(problem.kind());
            response = self.render_problem(problem, uri.path(), response);
        } else if let Some(dialect) = &self.dialect
            && let Some(error) = response.extensions_mut().remove::<DialectError>()
        {
            response = render_dialect_error(dialect, &error, uri.path(), response);
        } else if let Some(kind) = response.extensions_mut().remove::<&'static ProblemKind>() {
            self.problems.count(kind);
        }
        if endpoint.is_compressed {
            response = compression::compress_json(response, accept_encoding).await;
        }
        self.default_headers.apply(response.headers_mut(), endpoint.is_page);
        if let Some(decision) = decision {
            decision.write_headers(response.headers_mut());
        }
        self.cors_at(uri.path()).write_headers(origin, response.headers_mut());

        let (status, seconds) = (response.status().as_u16(), timer.elapsed_s());
        endpoint.metrics.observe(status, seconds);
        // The log has the route, not the path: a path may contain an e-mail address.
        let name = || id.to_str().unwrap_or("?");
        // A 503 is deliberate, and in an outage every reply is one: its failures are logged once a second.
        if status >= 500 && status != 503 {
            tracing::warn!(id = name(), %method, route = endpoint.metrics.route(), status, seconds, "a request got a server error; the lines before have the cause");
        } else {
            tracing::debug!(id = name(), %method, route = endpoint.metrics.route(), status, seconds, "answered");
        }
        response.headers_mut().insert(X_REQUEST_ID, id);
        response
    }

    /// The whole reply to a request whose head is refused, with which the connection ends. Of the head there is only what was read.
    #[must_use]
    pub fn refuse_head(&self, problem: Problem, head: &[u8]) -> Bytes {
        let path = head_reply::find_path(head).unwrap_or("*");
        let edge = self.find_mounted(path).map_or(self, |(edge, _)| edge);
        edge.problems.count(problem.kind());
        let status = problem.kind().status;
        edge.routes.unknown().metrics.observe(status, 0.0);
        let mut response = edge.render_problem(problem, "*", Response::new(Body::empty()));
        edge.default_headers.apply(response.headers_mut(), false);
        let headers = head_reply::find_origin(head).map(|origin| (header::ORIGIN, origin));
        let cors = edge.cors_at(path);
        cors.write_headers(cors.allowed_origin(&headers.into_iter().collect()), response.headers_mut());
        let now = (self.app.shop.now)();
        head_reply::encode(response, now)
    }

    /// Whether a peer is a proxy that brings the connections of many clients.
    #[must_use]
    pub fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        client_address::is_trusted(peer.to_canonical(), &self.app.edge.trusted_proxies)
    }

    pub fn count_limited_connection(&self, limit: ConnectionLimit) {
        let reason = match limit {
            ConnectionLimit::Total => "total",
            ConnectionLimit::Network => "address",
        };
        self.app.metrics.count_limited_connection(reason);
    }

    /// Counts a connection that has become a WebSocket until the result is dropped.
    #[must_use]
    pub fn begin_socket(&self) -> OpenSocket {
        self.app.shedder.begin_socket()
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
        let cors = self.cors_at(request.uri().path());
        if let Some(reply) = cors.preflight(request.method(), request.headers()) {
            return (reply, None);
        }
        let now = (self.app.shop.now)();
        let (caller, is_stranger) = self.identify_caller(&request, peer, now);
        let sockets = self.sockets.as_ref().filter(|_| request.uri().path().starts_with(sockets::PREFIX));
        let sockets = sockets.map(|sockets| (sockets, sockets.find_session(request.uri(), caller.address)));
        let shedding = match &sockets {
            Some((_, session)) => session.is_opening().then_some(SheddingClass::NewSocket),
            None => endpoint.shedding.filter(|class| is_stranger || *class != SheddingClass::StrangerRead),
        };
        if let Some(problem) = shedding.and_then(|class| self.app.shedder.refusal(class)) {
            return (problem.into_response(), None);
        }
        // A long poll waits, and is no work.
        let _working = sockets.is_none().then(|| self.app.shedder.begin_request());
        let (class, buyer) = match &sockets {
            // A poll has no token: the session knows who signed in on it.
            Some((_, session)) if self.dialect.is_none() => (Some(LimitClass::Read), session.buyer()),
            _ => (endpoint.class, caller.session.map(|session| session.buyer)),
        };
        let decision = self.count_request(class, buyer, caller.address, now).await;
        if let Some(seconds) = decision.as_ref().and_then(|decision| decision.retry_after_s) {
            let problem = Problem::new(&kind::RATE_LIMITED).retry_after_s(seconds);
            return (problem.into_response(), decision);
        }
        if let Some((sockets, session)) = sockets {
            let is_post = request.method() == Method::POST;
            let answer = sockets.handle_request(request, &session, caller.address);
            return (await_sockets(answer, is_post, is_late).await, decision);
        }
        let mut request =
            request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(body) });
        // Webhooks of a provider have a limit of their own, in their handler.
        let is_webhook = request.uri().path() == provider_notices::PATH;
        if !is_webhook && extract::is_longer_than(request.headers(), settings.body_len_max) {
            if !request.headers().contains_key(header::EXPECT) {
                extract::discard_body(request.into_body()).await;
            }
            let problem = extract::body_too_large(settings.body_len_max);
            return (problem.into_response(), decision);
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
            // The panic hook has logged it.
            Some(Err(_panic)) => Problem::new(&kind::INTERNAL),
            None => Problem::new(&kind::TIMEOUT),
        };
        problem.into_response()
    }

    /// Who sends a request, and whether it is a stranger: without a token that was issued here. The client of one that has expired is no
    /// stranger: it needs its 401, or it would not renew the token.
    fn identify_caller<B>(
        &self,
        request: &Request<B>,
        peer: IpAddr,
        now: Timestamp,
    ) -> (RequestCaller, bool) {
        let headers = request.headers();
        let address = client_address::resolve_address(peer, headers, &self.app.edge.trusted_proxies);
        let tokens = &self.app.shop.accounts.tokens;
        let verified = self.bearer_token(headers).map(|token| tokens.verify(token, now));
        let is_stranger = matches!(verified, None | Some(Err(TokenError::NotOurs)));
        (RequestCaller { address, session: verified.and_then(Result::ok) }, is_stranger)
    }

    /// The token of the request. Some clients of dialects write the scheme twice.
    fn bearer_token<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let token = bearer_token(headers)?;
        match self.dialect {
            Some(_) => Some(split_bearer(token).unwrap_or(token)),
            None => Some(token),
        }
    }

    /// The sites whose pages may call this path. The sockets of a dialect that is served below its prefix are at the path of all sockets,
    /// and its settings have the sites of the API too.
    fn cors_at(&self, path: &str) -> &Cors {
        let mounted = || {
            let dialects = self.mounted.iter().filter_map(|edge| edge.dialect.as_ref());
            dialects.into_iter().find(|dialect| dialect.dialect == Dialect::Turnstile)
        };
        let dialect = match &self.dialect {
            None if path.starts_with(sockets::PREFIX) => mounted(),
            dialect => dialect.as_ref(),
        };
        dialect.map_or(&self.app.edge.cors, |dialect| &dialect.settings.cors)
    }

    /// Renders a problem in the shape that the clients of this edge expect. Headers that the reply already had, such as `Allow`, stay.
    fn render_problem(&self, problem: Problem, path: &str, response: Response<Body>) -> Response<Body> {
        match &self.dialect {
            None => keep_headers(problem.into_reply(path), &response),
            Some(dialect) => render_dialect_error(dialect, &problem.into(), path, response),
        }
    }

    async fn count_request(
        &self,
        class: Option<LimitClass>,
        buyer: Option<BuyerId>,
        address: IpAddr,
        now: Timestamp,
    ) -> Option<LimitDecision<'_>> {
        let (limits, class) = (self.app.limits.as_ref()?, class?);
        let key = match buyer {
            Some(buyer) if !class.is_by_address() => LimitKey::from_buyer(buyer),
            _ => LimitKey::from_address(address),
        };
        Some(limits.count_request(class, key, now).await)
    }
}

/// Waits for the socket service. A POST has the time limit of any request; a GET is a long poll, which the next ping ends at the
/// latest.
async fn await_sockets(
    mut answer: BoxFuture<'static, Response<Body>>,
    is_post: bool,
    is_late: &(impl Fn() -> bool + Sync),
) -> Response<Body> {
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Pending if is_post && is_late() => Poll::Ready(Problem::new(&kind::TIMEOUT).into_response()),
        answered => answered,
    })
    .await
}

/// Seconds after which a client of a dialect may send a request again that got 503, where nothing else is known.
const RETRY_AFTER_UNAVAILABLE_S: u32 = 1;

/// What a load balancer asks, also of a server that is full.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/health"];

fn connection_problem(limit: ConnectionLimit) -> Problem {
    let detail = match limit {
        ConnectionLimit::Total => "too many connections are open; nothing was done, try again in a moment",
        ConnectionLimit::Network => {
            "too many connections from your address are open; nothing was done, close some or try again in a moment"
        }
    };
    Problem::new(&kind::OVERLOADED).detail(detail)
}

/// The token of `Authorization: Bearer …`; the scheme's case does not matter (RFC 9110).
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    // `from_utf8` is faster on a long token than `to_str`, which checks each byte on its own.
    split_bearer(std::str::from_utf8(headers.get(header::AUTHORIZATION)?.as_bytes()).ok()?)
}

fn split_bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case("Bearer ").then(|| token.trim())
}

/// The request as the router of a dialect expects it, whose paths begin at its own root.
fn without_prefix(mut request: Request<Incoming>, prefix: &str) -> Request<Incoming> {
    let mut parts = request.uri().clone().into_parts();
    let rest = parts.path_and_query.as_ref().and_then(|path| path.as_str().strip_prefix(prefix));
    let rest = rest
        .filter(|rest| rest.starts_with('/'))
        .map_or_else(|| format!("/{}", rest.unwrap_or_default()), str::to_owned);
    if let Ok(path) = PathAndQuery::try_from(rest) {
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn render_dialect_error(
    dialect: &DialectContext,
    error: &DialectError,
    path: &str,
    response: Response<Body>,
) -> Response<Body> {
    let document = dialect.dialect.render_error(error, path);
    let mut rendered = keep_headers(json_response(error.status, &document), &response);
    let headers = rendered.headers_mut();
    let unavailable = (error.status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_UNAVAILABLE_S);
    if let Some(seconds) = error.retry_after_s.or(unavailable) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    rendered
}

/// Gives a rendered error the headers that the reply already had.
fn keep_headers(mut rendered: Response<Body>, response: &Response<Body>) -> Response<Body> {
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            rendered.headers_mut().insert(name, value.clone());
        }
    }
    rendered
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

/// Counts a request as in flight until it is dropped, which is also what happens when its client hangs up.
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
