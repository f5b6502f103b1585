//! The routes of a dialect: a list from which both the router and the edge's table are made.

use super::DialectState;
use super::error::DialectError;
use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

/// One method of one path of a dialect.
#[derive(Debug, Clone)]
pub struct DialectEndpoint {
    pub method: Method,
    /// The path below the dialect's root, with `{name}` for a variable.
    pub path: &'static str,
    /// Whether it is a documentation page, which needs scripts.
    pub is_page: bool,
}

/// The calls of a dialect. Every other path or method is 404 in its shape.
#[derive(Default)]
pub struct DialectRoutes {
    router: Router<DialectState>,
    endpoints: Vec<DialectEndpoint>,
}

impl DialectRoutes {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn get<T: 'static>(self, path: &'static str, handler: impl Handler<T, DialectState>) -> Self {
        self.route((Method::GET, MethodFilter::GET), path, false, handler)
    }

    /// A documentation page.
    #[must_use]
    pub fn page<T: 'static>(self, path: &'static str, handler: impl Handler<T, DialectState>) -> Self {
        self.route((Method::GET, MethodFilter::GET), path, true, handler)
    }

    #[must_use]
    pub fn post<T: 'static>(self, path: &'static str, handler: impl Handler<T, DialectState>) -> Self {
        self.route((Method::POST, MethodFilter::POST), path, false, handler)
    }

    #[must_use]
    pub fn put<T: 'static>(self, path: &'static str, handler: impl Handler<T, DialectState>) -> Self {
        self.route((Method::PUT, MethodFilter::PUT), path, false, handler)
    }

    #[must_use]
    pub fn delete<T: 'static>(self, path: &'static str, handler: impl Handler<T, DialectState>) -> Self {
        self.route((Method::DELETE, MethodFilter::DELETE), path, false, handler)
    }

    fn route<T: 'static>(
        mut self,
        (method, filter): (Method, MethodFilter),
        path: &'static str,
        is_page: bool,
        handler: impl Handler<T, DialectState>,
    ) -> Self {
        self.endpoints.push(DialectEndpoint { method, path, is_page });
        Self { router: self.router.route(path, on(filter, handler)), endpoints: self.endpoints }
    }

    /// The endpoints alone.
    #[must_use]
    pub fn endpoints(&self) -> &[DialectEndpoint] {
        &self.endpoints
    }

    /// The endpoints, and the router with their handlers.
    pub fn into_router(self, state: DialectState) -> (Vec<DialectEndpoint>, Router) {
        let router = self
            .router
            .fallback(async || DialectError::unknown_path())
            .method_not_allowed_fallback(async || DialectError::unknown_path());
        (self.endpoints, router.with_state(state))
    }
}
