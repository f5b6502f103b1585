//! The followers of the ledger, for operators: how far each has come, and setting one back.

mod list;

mod rewind;

use crate::http::AppState;
use utoipa_axum::router::OpenApiRouter;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().merge(list::routes()).merge(rewind::routes())
}
