//! The API of admins: the catalogue, the control of a sale, and what happened in it. Every handler takes an [`AdminSession`]; it
//! never decides.
//!
//! [`AdminSession`]: crate::http::extract::AdminSession

mod products;

mod flash_sales;

mod orders;

mod orders_csv;

mod refund;

mod payments;

mod receipt;

mod dashboard;

mod series;

mod summary;

mod server;

mod events;

mod admission;

mod price;

mod rules;

mod followers;

mod webhooks;

mod accounts;

mod mails;

mod csv;

use super::AppState;
use super::failure_log::keep_request_name;
use super::problem::{Problem, kind};
use utoipa_axum::router::OpenApiRouter;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(products::routes())
        .merge(flash_sales::routes())
        .merge(orders::routes())
        .merge(orders_csv::routes())
        .merge(refund::routes())
        .merge(payments::routes())
        .merge(receipt::routes())
        .merge(dashboard::routes())
        .merge(series::routes())
        .merge(summary::routes())
        .merge(server::routes())
        .merge(events::routes())
        .merge(followers::routes())
        .merge(webhooks::routes())
        .merge(accounts::routes())
        .merge(mails::routes())
}

/// Runs an edit to its end, even if the client disconnects: the engine and the tables must both get it.
async fn run_to_completion<T: Send + 'static>(
    edit: impl Future<Output = T> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(keep_request_name(edit))
        .await
        .map_err(|broken| Problem::from_failure(&kind::INTERNAL, &broken))
}
