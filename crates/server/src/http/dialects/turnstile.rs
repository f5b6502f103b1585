//! The dialect `turnstile`: one sale, sold at once to anyone who gives a name. A purchase is a job with an idempotency key; its outcome
//! also follows by socket (`realtime`). Every path exists bare and below `/api`.

mod admin;
mod buy;
mod job;
mod reads;

use super::DialectContext;
use super::error::DialectError;
use super::routes::DialectRoutes;
use crate::http::problem::kind;
use crate::shop::fresh_views::read_now;
use crate::shop::sales::{self, ListedSale};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// The product of a request that names none, when the setting lists none.
const PRODUCT_DEFAULT: &str = "sneaker-001";
/// Characters of a product id at most.
const PRODUCT_LEN_MAX: usize = 255;

#[must_use]
pub fn routes() -> DialectRoutes {
    DialectRoutes::new()
        .post("/buy", buy::buy)
        .post("/api/buy", buy::buy)
        .get("/buy/{job_id}", job::show_job)
        .get("/api/buy/{job_id}", job::show_job)
        .get("/status", reads::show_status)
        .get("/api/status", reads::show_status)
        .get("/stock", reads::show_stock)
        .get("/api/stock", reads::show_stock)
        .get("/stock/{*product_id}", reads::show_stock_of)
        .get("/api/stock/{*product_id}", reads::show_stock_of)
        .post("/admin/sale", admin::set_status)
        .post("/api/admin/sale", admin::set_status)
        .post("/admin/open", admin::open)
        .post("/api/admin/open", admin::open)
        .post("/admin/close", admin::close)
        .post("/api/admin/close", admin::close)
        .post("/restock", admin::restock)
        .post("/api/restock", admin::restock)
        .post("/admin/restock", admin::restock)
        .post("/api/admin/restock", admin::restock)
        .get("/health", reads::show_health)
        .get("/api/health", reads::show_health)
        .get("/", reads::show_health)
        .get("/api", reads::show_health)
        .get("/api/", reads::show_health)
}

/// An error: the message twice, and beside it the native code and what the call adds.
#[must_use]
pub fn render_error(error: &DialectError) -> Value {
    let mut document = Map::from_iter([
        ("success".to_owned(), json!(false)),
        ("message".to_owned(), json!(error.message)),
        ("error".to_owned(), json!(error.message)),
    ]);
    if let Some(code) = error.code {
        document.insert("code".into(), json!(code));
    }
    document.extend(error.fields.clone());
    Value::Object(document)
}

/// The sale of the setting; without it the active, the next or the most recent one.
async fn find_sale(state: &DialectContext) -> Option<ListedSale> {
    sales::find_chosen_or_refresh(&state.app.shop, state.settings.turnstile_sale.as_deref()).await
}

/// [`find_sale`], with everything that any instance has answered.
///
/// # Errors
/// When the engine does not answer.
async fn read_sale(state: &DialectContext) -> Result<Option<ListedSale>, DialectError> {
    Ok(match find_sale(state).await {
        Some(sale) => Some(read_now(&state.app.shop, sale).await?),
        None => None,
    })
}

/// The product that a request means: the named one, else the first of the setting.
fn resolve_product(state: &DialectContext, named: Option<String>) -> String {
    named.unwrap_or_else(|| {
        let first = state.settings.turnstile_products.first();
        first.map_or(PRODUCT_DEFAULT, String::as_str).to_owned()
    })
}

/// Whether a product id means the sale. No product has one that is too long, or has U+0000, which PostgreSQL does not store.
fn is_accepted(state: &DialectContext, product: &str) -> bool {
    let accepted = &state.settings.turnstile_products;
    let is_possible = product.chars().count() <= PRODUCT_LEN_MAX && !product.contains('\0');
    is_possible && (accepted.is_empty() || accepted.iter().any(|known| known == product))
}

/// The product of a request that changes something.
fn require_product(state: &DialectContext, named: Option<String>) -> Result<String, DialectError> {
    let product = resolve_product(state, named);
    if !is_accepted(state, &product) {
        let named: String = product.chars().take(PRODUCT_LEN_MAX).collect();
        let message = format!("there is no product {named} here");
        return Err(DialectError::new(StatusCode::NOT_FOUND, message).code(kind::PRODUCT_UNKNOWN.code));
    }
    Ok(product)
}
