//! Version 1 of the API: one module a resource, one file an operation. A handler extracts, makes one call into `shop`, and
//! replies; it never decides.

pub mod flash_sales;
pub mod orders;
pub mod pay;
pub mod queue;

pub mod products;

pub mod auth;

mod features;

mod reminders;

use super::AppState;
use utoipa_axum::router::OpenApiRouter;

pub use documents::rfc3339;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(auth::router())
        .merge(features::routes())
        .merge(reminders::routes())
        .merge(products::routes())
        .merge(flash_sales::routes())
        .merge(queue::routes())
        .merge(orders::routes())
        .merge(pay::routes())
}
