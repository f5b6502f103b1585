//! The description of `attempts` for programs, and the page to try it.

use super::super::error::DialectError;
use crate::http::docs::{describe_page, find_page_file};
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::{Arc, LazyLock};
use utoipa_swagger_ui::Config;

/// The OpenAPI 3 description.
pub(super) const DESCRIPTION: &str = include_str!("openapi.json");

/// The page and the description are siblings, on a listener of their own and below a prefix.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    Arc::new(Config::from("api-docs.json").try_it_out_enabled(true).persist_authorization(true))
});

pub(super) async fn show_description() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], DESCRIPTION).into_response()
}

pub(super) async fn show_page() -> Response {
    describe_page("Attempts API", "api-docs")
}

/// The page's relative addresses are those of the address without the slash.
pub(super) async fn redirect_to_page() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, HeaderValue::from_static("../api-docs"))])
        .into_response()
}

/// A script or a style sheet of the page.
pub(super) async fn show_file(Path(file): Path<String>) -> Result<Response, DialectError> {
    find_page_file(&file, &CONFIG).ok_or_else(DialectError::unknown_path)
}

#[cfg(test)]
mod tests {
    use super::super::routes;
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn the_description_has_every_call_and_no_other() {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        assert!(description["openapi"].as_str().unwrap().starts_with("3."));
        let mut described = BTreeSet::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.insert((method.to_uppercase(), path.clone()));
            }
        }
        let routes = routes();
        let served = routes.endpoints().iter().filter(|endpoint| !endpoint.path.starts_with("/api-docs"));
        let served: BTreeSet<_> =
            served.map(|endpoint| (endpoint.method.to_string(), endpoint.path.to_owned())).collect();
        assert_eq!(described, served);
    }
}
