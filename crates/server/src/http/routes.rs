//! What the edge needs to know of a route before the router runs: its name, its metrics and its rate limit. The table is built
//! from the OpenAPI description, so it always agrees with the router. It never calls a handler.

use super::dialects::{Dialect, DialectEndpoint};
use super::limits::LimitClass;
use super::load_shedding::SheddingClass;
use super::{docs, payment_pages, provider_notices, sockets, web};
use crate::telemetry::metrics::{RouteMetrics, ServerMetrics};
use axum::http::Method;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

/// One method of one route.
#[derive(Debug)]
pub struct Endpoint {
    pub metrics: RouteMetrics,
    /// `None` for probes and documentation, which have no rate limit.
    pub class: Option<LimitClass>,
    /// What a busy server refuses first; `None` for what it refuses last.
    pub shedding: Option<SheddingClass>,
    /// Whether it is a documentation page, which needs scripts.
    pub is_page: bool,
    /// Whether its JSON replies are compressed. Replies with tokens are not: their length would tell of them. Line feeds are not: base64
    /// hardly gets shorter, and one form of a document is all that caches have to keep.
    pub is_compressed: bool,
}

impl Endpoint {
    /// No page, never refused first, never compressed.
    fn new(metrics: RouteMetrics, class: Option<LimitClass>) -> Self {
        Self { metrics, class, shedding: None, is_page: false, is_compressed: false }
    }
}

pub struct RouteTable {
    paths: matchit::Router<[Option<Box<Endpoint>>; METHODS.len()]>,
    unknown: Endpoint,
}

/// The end of the path of line feeds.
const LINE_FEED: &str = "/line-feed";

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

impl RouteTable {
    /// The endpoints of the description, of the documentation, of the shop's pages and of the sockets.
    ///
    /// # Panics
    /// When two paths of the description collide. The router panics on them before.
    #[must_use]
    pub fn new(openapi: &OpenApi, metrics: &ServerMetrics) -> Self {
        let mut paths = matchit::Router::new();
        for (path, item) in &openapi.paths.paths {
            let endpoint = |method: usize| {
                is_described(item, method).then(|| {
                    let method = METHODS[method];
                    let metrics = metrics.route_metrics(method, path);
                    let class = limit_class(method, path);
                    let shedding = shedding_class(method, path);
                    let is_compressed = !path.contains("/auth/") && !path.ends_with(LINE_FEED);
                    Box::new(Endpoint { shedding, is_compressed, ..Endpoint::new(metrics, class) })
                })
            };
            paths.insert(path, std::array::from_fn(endpoint)).expect("the description's paths are distinct");
        }
        // The shop's pages set a stricter content security policy themselves.
        let documentation = docs::PATHS.into_iter().map(|path| (path, true));
        for (path, is_page) in documentation.chain(web::paths().map(|path| (path, false))) {
            let metrics = metrics.route_metrics("GET", path);
            let mut endpoints = std::array::from_fn(|_| None);
            endpoints[0] =
                Some(Box::new(Endpoint { is_page, is_compressed: true, ..Endpoint::new(metrics, None) }));
            paths.insert(path, endpoints).expect("pages have paths of their own");
        }
        for (method, path) in payment_pages::PATHS {
            // A flood of them would make the shop ask a provider.
            let class = Some(if method == "GET" { LimitClass::Read } else { LimitClass::Buy });
            let metrics = metrics.route_metrics(method, path);
            let mut endpoints = std::array::from_fn(|_| None);
            let index = METHODS.iter().position(|known| *known == method).expect("the method is known");
            endpoints[index] =
                Some(Box::new(Endpoint { is_compressed: true, ..Endpoint::new(metrics, class) }));
            paths.insert(path, endpoints).expect("pages have paths of their own");
        }
        let metrics_of_notices = metrics.route_metrics("POST", provider_notices::PATH);
        let mut endpoints = std::array::from_fn(|_| None);
        endpoints[1] = Some(Box::new(Endpoint::new(metrics_of_notices, None)));
        paths.insert(provider_notices::PATH, endpoints).expect("webhooks have a path of their own");
        let endpoint = |method: usize| {
            let metrics = metrics.route_metrics(METHODS[method], sockets::PREFIX);
            (method < 2).then(|| Box::new(Endpoint::new(metrics, None)))
        };
        paths
            .insert(sockets::PREFIX, std::array::from_fn(endpoint))
            .expect("sockets have a path of their own");
        let metrics = metrics.route_metrics("any", "unknown");
        Self {
            paths,
            unknown: Endpoint {
                shedding: Some(SheddingClass::StrangerRead),
                ..Endpoint::new(metrics, Some(LimitClass::Read))
            },
        }
    }

    /// The endpoints of a dialect, named by their path below the dialect's prefix: two dialects may share a path.
    ///
    /// # Panics
    /// When two paths collide. The router panics on them before.
    #[must_use]
    pub fn for_dialect(dialect: Dialect, endpoints: &[DialectEndpoint], metrics: &ServerMetrics) -> Self {
        let class = Some(LimitClass::DialectAddress);
        let mut paths = matchit::Router::new();
        let mut known: Vec<&'static str> = endpoints.iter().map(|endpoint| endpoint.path).collect();
        known.sort_unstable();
        known.dedup();
        for path in known {
            let endpoint = |method: usize| {
                let same = |endpoint: &&DialectEndpoint| {
                    endpoint.path == path && endpoint.method.as_str() == METHODS[method]
                };
                endpoints.iter().find(same).map(|found| {
                    let name = format!("{}{path}", dialect.prefix());
                    let metrics = metrics.route_metrics(METHODS[method], &name);
                    Box::new(Endpoint { is_page: found.is_page, ..Endpoint::new(metrics, class) })
                })
            };
            paths.insert(path, std::array::from_fn(endpoint)).expect("the paths of a dialect are distinct");
        }
        let endpoint = |method: usize| {
            let name = format!("{}{}", dialect.prefix(), sockets::PREFIX);
            let metrics = metrics.route_metrics(METHODS[method], &name);
            (method < 2).then(|| Box::new(Endpoint::new(metrics, class)))
        };
        if dialect == Dialect::Turnstile {
            paths
                .insert(sockets::PREFIX, std::array::from_fn(endpoint))
                .expect("sockets have a path of their own");
        }
        let metrics = metrics.route_metrics("any", &format!("{}/unknown", dialect.prefix()));
        Self { paths, unknown: Endpoint::new(metrics, class) }
    }

    /// The endpoint of all requests that belong to no other.
    #[must_use]
    pub fn unknown(&self) -> &Endpoint {
        &self.unknown
    }

    /// The endpoint of a request. All unknown ones share one.
    #[must_use]
    pub fn find_endpoint(&self, method: &Method, path: &str) -> &Endpoint {
        let index = match *method {
            Method::GET | Method::HEAD => 0,
            Method::POST => 1,
            Method::PUT => 2,
            Method::PATCH => 3,
            Method::DELETE => 4,
            _ => return &self.unknown,
        };
        let found = self.paths.at(path).ok();
        found.and_then(|found| found.value[index].as_deref()).unwrap_or(&self.unknown)
    }
}

fn is_described(item: &PathItem, method: usize) -> bool {
    match method {
        0 => item.get.is_some(),
        1 => item.post.is_some(),
        2 => item.put.is_some(),
        3 => item.patch.is_some(),
        _ => item.delete.is_some(),
    }
}

/// The limit of an endpoint. `auth` is for endpoints where passwords can be guessed, and is counted by address: otherwise each account
/// that an attacker registers would bring more guesses.
fn limit_class(method: &str, path: &str) -> Option<LimitClass> {
    if !path.starts_with("/api/") {
        return None;
    }
    match method {
        // One document for everyone, which costs less than counting.
        "GET" if path.ends_with(LINE_FEED) => None,
        "GET" => Some(LimitClass::Read),
        _ if path.ends_with("/auth/logout") || path.ends_with("/auth/sign-out-everywhere") => {
            Some(LimitClass::Buy)
        }
        _ if path.ends_with("/auth/refresh") => Some(LimitClass::Refresh),
        _ if path.contains("/auth/") || path.ends_with("/orders/find") => Some(LimitClass::Auth),
        // The one-click requests of all buyers of a mail provider come from a few addresses.
        _ if path.ends_with("/reminders/unsubscribe") => Some(LimitClass::Read),
        // Admins are trusted, and work in bulk.
        _ if path.contains("/admin/") => Some(LimitClass::Read),
        _ => Some(LimitClass::Buy),
    }
}

/// What a busy server refuses first. Probes, pages, documentation and line feeds cost less than a refusal would save.
fn shedding_class(method: &str, path: &str) -> Option<SheddingClass> {
    match (method, path) {
        ("GET", _) if limit_class(method, path) == Some(LimitClass::Read) => {
            Some(SheddingClass::StrangerRead)
        }
        ("POST", "/api/v1/auth/register" | "/api/v1/auth/guest") => Some(SheddingClass::NewAccount),
        ("POST", "/api/v1/queue/join") => Some(SheddingClass::Join),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_guessed_is_limited_most() {
        for (method, path, expected) in [
            ("POST", "/api/v1/auth/login", Some(LimitClass::Auth)),
            ("POST", "/api/v1/auth/password", Some(LimitClass::Auth)),
            ("POST", "/api/v1/auth/refresh", Some(LimitClass::Refresh)),
            ("POST", "/api/v1/auth/sign-out-everywhere", Some(LimitClass::Buy)),
            ("POST", "/api/v1/auth/logout", Some(LimitClass::Buy)),
            ("GET", "/api/v1/auth/me", Some(LimitClass::Read)),
            ("POST", "/api/v1/orders", Some(LimitClass::Buy)),
            ("DELETE", "/api/v1/queue/leave", Some(LimitClass::Buy)),
            ("POST", "/api/v1/admin/products", Some(LimitClass::Read)),
            ("POST", "/api/v1/reminders/unsubscribe", Some(LimitClass::Read)),
            ("GET", "/livez", None),
            ("GET", "/api/v1/flash-sales/{id}/line-feed", None),
        ] {
            assert_eq!(limit_class(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn orders_and_payments_are_refused_last() {
        for (method, path, expected) in [
            ("GET", "/api/v1/flash-sales/{id}", Some(SheddingClass::StrangerRead)),
            ("GET", "/api/v1/flash-sales/{id}/line-feed", None),
            ("GET", "/livez", None),
            ("POST", "/api/v1/auth/register", Some(SheddingClass::NewAccount)),
            ("POST", "/api/v1/auth/guest", Some(SheddingClass::NewAccount)),
            ("POST", "/api/v1/auth/login", None),
            ("POST", "/api/v1/auth/refresh", None),
            ("POST", "/api/v1/queue/join", Some(SheddingClass::Join)),
            ("POST", "/api/v1/orders", None),
            ("POST", "/api/v1/orders/{id}/pay", None),
        ] {
            assert_eq!(shedding_class(method, path), expected, "{method} {path}");
        }
        let described = crate::http::openapi();
        for path in ["/api/v1/auth/register", "/api/v1/auth/guest", "/api/v1/queue/join"] {
            assert!(described.paths.paths[path].post.is_some(), "{path} is no endpoint any more");
        }
    }

    #[test]
    fn an_endpoint_is_found_by_method_and_pattern() {
        let metrics = ServerMetrics::default();
        let routes = RouteTable::new(&crate::http::openapi(), &metrics);
        assert_eq!(routes.find_endpoint(&Method::HEAD, "/livez").metrics.route(), "/livez");
        assert_eq!(routes.find_endpoint(&Method::POST, "/livez").metrics.route(), "unknown");
        assert_eq!(routes.find_endpoint(&Method::GET, "/nowhere").metrics.route(), "unknown");
        assert_eq!(
            routes.find_endpoint(&Method::GET, "/docs/swagger-ui.css").metrics.route(),
            "/docs/{*file}"
        );
    }
}
