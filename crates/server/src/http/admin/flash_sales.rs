//! `/admin/flash-sales`: create, edit, delete, pause, resume, close, restock.

mod close;
mod create;
mod delete;
mod edit;
mod pause;
mod restock;
mod resume;

use crate::http::AppState;
use crate::http::extract::Json;
use crate::http::problem::Problem;
use crate::shop::sales::{self, LimitScope, PaymentMode, SaleAction};
use crate::shop_documents::admin_sale_document;
use documents::AdminSaleDocument;
use documents::flash_sale::{LimitScopeDocument, SalePaymentDocument};
use sale::SaleId;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create::create))
        .routes(routes!(edit::edit, delete::delete))
        .routes(routes!(pause::pause))
        .routes(routes!(resume::resume))
        .routes(routes!(close::close))
        .routes(routes!(restock::restock))
}

impl From<SalePaymentDocument> for PaymentMode {
    fn from(payment: SalePaymentDocument) -> Self {
        match payment {
            SalePaymentDocument::Required => Self::Required,
            SalePaymentDocument::None => Self::Nothing,
        }
    }
}

impl From<LimitScopeDocument> for LimitScope {
    fn from(scope: LimitScopeDocument) -> Self {
        match scope {
            LimitScopeDocument::Account => Self::Account,
            LimitScopeDocument::Mailbox => Self::Mailbox,
        }
    }
}

fn limit_by<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LimitScopeDocument>, D::Error> {
    LimitScopeDocument::deserialize(deserializer)
        .map(Some)
        .map_err(|_| D::Error::custom("must be account or mailbox"))
}

fn payment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SalePaymentDocument>, D::Error> {
    SalePaymentDocument::deserialize(deserializer)
        .map(Some)
        .map_err(|_| D::Error::custom("must be required or none"))
}

async fn run_action(
    app: &AppState,
    id: SaleId,
    action: SaleAction,
) -> Result<Json<AdminSaleDocument>, Problem> {
    let sale = sales::apply_action(&app.shop, id, action).await??;
    Ok(Json(admin_sale_document(&sale, app.shop.engine.now())))
}
