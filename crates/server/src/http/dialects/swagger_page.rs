//! The page on which a dialect's calls can be tried, for its own OpenAPI description. Its files are beside its path: `/docs` has
//! `/docs/swagger-ui.css`, and the description is `/docs/openapi.json`.

use super::error::DialectError;
use crate::http::problem::{Problem, kind};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use std::sync::{Arc, LazyLock};
use utoipa_swagger_ui::{Config, SwaggerFile};

/// The name of the description beside the page.
const DESCRIPTION: &str = "openapi.json";
/// The file of the page in which its settings stand.
const SETTINGS: &str = "swagger-initializer.js";
const CACHED: &str = "public, max-age=3600";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    Arc::new(Config::from(DESCRIPTION).try_it_out_enabled(true).persist_authorization(true))
});

/// The page. Browsers resolve the addresses in it against the path without its last segment, so each begins with that segment.
pub async fn show_index(uri: Uri) -> Response {
    let folder = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let file = match find_file("index.html") {
        Ok(file) => file,
        Err(response) => return *response,
    };
    let page = String::from_utf8_lossy(&file.bytes);
    let page = page.replace("=\"./", "=\"").replace("href=\"", &format!("href=\"{folder}/"));
    let page = page.replace("src=\"", &format!("src=\"{folder}/"));
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, CACHED)], page)
        .into_response()
}

/// A file of the page, or the description.
pub fn show_file(name: &str, description: &'static str) -> Response {
    if name == DESCRIPTION {
        return ([(header::CONTENT_TYPE, "application/json")], description).into_response();
    }
    let SwaggerFile { bytes, content_type, gzpipped, .. } = match find_file(name) {
        Ok(file) => file,
        Err(response) => return *response,
    };
    let mut bytes = bytes.into_owned();
    if name == SETTINGS {
        // The page fetches the description relative to its own address, which ends before this file's folder.
        let settings = String::from_utf8_lossy(&bytes).replace(
            &format!("\"{DESCRIPTION}\""),
            &format!(
                "new URL(\"{DESCRIPTION}\", document.querySelector(\"script[src$='{SETTINGS}']\").src).href"
            ),
        );
        bytes = settings.into_bytes();
    }
    let mut response =
        ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, CACHED.to_owned())], bytes)
            .into_response();
    if gzpipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn find_file(name: &str) -> Result<SwaggerFile<'static>, Box<Response>> {
    match utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(Box::new(DialectError::unknown_path().into_response())),
        Err(error) => {
            let problem = Problem::from_failure(&kind::INTERNAL, error.as_ref());
            Err(Box::new(DialectError::from(problem).into_response()))
        }
    }
}
