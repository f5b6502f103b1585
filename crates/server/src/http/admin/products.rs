//! `/admin/products`: create, edit, delete.

mod create;
mod delete;
mod edit;

use crate::http::AppState;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create::create)).routes(routes!(edit::edit, delete::delete))
}
