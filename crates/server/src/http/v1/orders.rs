//! `/orders`: reserve, list, find, show, cancel. The payment of an order is in `pay.rs`.

mod cancel;
mod create;
mod find;
mod list;
mod show;

use crate::http::AppState;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(find::find))
        .routes(routes!(show::show, cancel::cancel))
}
