//! What admins do over HTTP: the catalogue, the course of a sale, and what happened in it. Every handler asks for an [`Admin`]
//! first; nothing here decides.
//!
//! [`Admin`]: crate::http::extract::Admin

mod products;

mod flash_sales;

mod orders;

mod orders_csv;

mod refund;

mod receipt;

mod board;

mod series;

mod summary;

mod server;

mod events;

mod followers;

mod body;

mod csv;

mod buyer_json;

use super::AppState;
use super::problem::{Problem, kind};
use utoipa_axum::router::OpenApiRouter;

/// All calls below `/api/v1/admin`.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(products::routes())
        .merge(flash_sales::routes())
        .merge(orders::routes())
        .merge(orders_csv::routes())
        .merge(refund::routes())
        .merge(receipt::routes())
        .merge(board::routes())
        .merge(series::routes())
        .merge(summary::routes())
        .merge(server::routes())
        .merge(events::routes())
        .merge(followers::routes())
}

/// Runs an edit to its end, also when the client hangs up meanwhile: what the engine was told, the tables have to be told too.
async fn run_to_completion<T: Send + 'static>(
    edit: impl Future<Output = T> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(edit).await.map_err(|broken| Problem::from_failure(&kind::INTERNAL, &broken))
}
