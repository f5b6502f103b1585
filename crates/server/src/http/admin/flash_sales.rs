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
use crate::http::v1::rfc3339;
use crate::shop::sales::{self, ListedSale, PaymentMode, SaleAction};
use crate::shop_documents::sale_document;
use documents::SaleDocument;
use sale::{SaleId, Timestamp};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
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

/// A sale in the replies for admins.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AdminSaleJson {
    #[serde(flatten)]
    sale: SaleDocument,
    /// Units reserved for admitted buyers, one each.
    admitted: u32,
    /// Seconds for which a unit is held for its payment. 0 sells at once.
    hold_seconds: u32,
    /// `none` sells at once.
    #[schema(value_type = SalePaymentJson)]
    payment: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
}

impl AdminSaleJson {
    pub(super) fn from_sale(sale: &ListedSale, now: Timestamp) -> Self {
        Self {
            sale: sale_document(&sale.listing, &sale.view, now),
            admitted: sale.view.counters.admitted,
            hold_seconds: sale.view.policy.hold_s,
            payment: PaymentMode::from_policy(&sale.view.policy).as_str(),
            created_at: rfc3339(sale.listing.created_at),
        }
    }
}

/// Whether a unit must be paid before it is sold.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SalePayment)]
enum SalePaymentJson {
    /// A unit is held for its payment.
    Required,
    /// A unit is sold at once.
    None,
}

impl From<SalePaymentJson> for PaymentMode {
    fn from(payment: SalePaymentJson) -> Self {
        match payment {
            SalePaymentJson::Required => Self::Required,
            SalePaymentJson::None => Self::Nothing,
        }
    }
}

fn payment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SalePaymentJson>, D::Error> {
    SalePaymentJson::deserialize(deserializer)
        .map(Some)
        .map_err(|_| D::Error::custom("must be required or none"))
}

async fn run_action(app: &AppState, id: SaleId, action: SaleAction) -> Result<Json<AdminSaleJson>, Problem> {
    let sale = sales::apply_action(&app.shop, id, action).await??;
    Ok(Json(AdminSaleJson::from_sale(&sale, app.shop.engine.now())))
}
