//! The dialect `drop`: one sale, sold at once, one unit for each buyer, who is any text.

mod chosen_sale;
mod init;
mod purchase;
mod reads;

use super::error::DialectError;
use super::routes::DialectRoutes;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

const INIT: &str = "/api/sale/init";
const PURCHASE: &str = "/api/sale/purchase";
const USER: &str = "/api/sale/user/";

#[must_use]
pub fn routes() -> DialectRoutes {
    DialectRoutes::new()
        .get("/api/sale/status", reads::show_status)
        .post(PURCHASE, purchase::buy)
        .get(USER, reads::show_user)
        .get("/api/sale/user/{*id}", reads::show_user)
        .post(INIT, init::init_sale)
        .get("/api/sale/stats", reads::show_statistics)
        .get("/health", reads::show_health)
}

/// An error: of a purchase with `success: false`, of an unknown path with the path, of other calls with a name.
#[must_use]
pub fn render_error(error: &DialectError, path: &str) -> Value {
    let mut document = Map::new();
    if error.is_unknown_path {
        document.insert("error".into(), json!("Not found"));
        document.insert("path".into(), json!(path));
        return Value::Object(document);
    }
    if path == PURCHASE {
        document.insert("success".into(), json!(false));
    } else {
        document.insert("error".into(), json!(error_name(error.status)));
    }
    document.insert("message".into(), json!(error.message));
    if let Some(code) = error.code {
        document.insert("code".into(), json!(code));
    }
    if path == INIT && error.status == StatusCode::BAD_REQUEST {
        document.insert("required".into(), json!(init::REQUIRED));
    }
    document.extend(error.fields.clone());
    Value::Object(document)
}

fn error_name(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}
