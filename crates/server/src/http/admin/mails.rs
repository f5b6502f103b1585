//! The mails of the shop, for admins: what became of each, and sending again what was not delivered.

mod list;

mod resend;

mod resend_failed;

mod switches;

use crate::http::AppState;
use utoipa_axum::router::OpenApiRouter;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(list::routes())
        .merge(resend::routes())
        .merge(resend_failed::routes())
        .merge(switches::routes())
}
