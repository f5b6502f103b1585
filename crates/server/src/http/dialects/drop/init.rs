//! `POST /api/sale/init`: a product and a sale of it in one call. The sale of the call before is closed.

use super::super::DialectState;
use super::super::error::DialectError;
use super::super::fields::{LenientBody, LenientFields};
use super::super::reply::DialectReply;
use super::chosen_sale::{MADE_BY, find_made_sale};
use crate::http::caller::RequestCaller;
use crate::shop::Shop;
use crate::shop::catalogue_text::{Description, ProductName};
use crate::shop::products::ProductDraft;
use crate::shop::sales::{self, ProductSaleDraft, SaleAction};
use axum::extract::State;
use axum::http::StatusCode;
use sale::{AdmissionMode, Currency, Money, Policy, SalePhase};
use serde_json::json;

/// The fields of a request, of which none may be missing.
pub(super) const REQUIRED: [&str; 4] = ["startTime", "endTime", "totalStock", "productName"];

pub(super) async fn init_sale(
    State(state): State<DialectState>,
    caller: RequestCaller,
    body: Result<LenientBody, DialectError>,
) -> Result<DialectReply, DialectError> {
    state.require_admin(&caller).await?;
    let LenientBody(fields) = body?;
    if state.settings.drop_sale.is_some() {
        let message =
            "this server sells the sale of --drop-sale; change that sale, or start without the setting";
        return Err(DialectError::new(StatusCode::CONFLICT, message));
    }
    let (product, sale) = read_draft(&fields, state.settings.currency)?;
    let shop = &state.app.shop;
    let made = sales::create_with_product(shop, product, sale).await??;
    close_replaced_sales(shop).await?;
    let message = format!("the sale of {} is set up", made.listing.product.name);
    Ok(DialectReply::ok(&json!({"success": true, "message": message})))
}

/// Closes every sale of this call except the newest, which is sold: of several calls at once each closes what the others have replaced.
async fn close_replaced_sales(shop: &Shop) -> Result<(), DialectError> {
    let now = shop.engine.now();
    let newest = find_made_sale(shop).map(|sale| sale.view.id);
    for listing in shop.catalogue.list_made_by(MADE_BY) {
        let is_closed =
            shop.engine.views().get(listing.sale).is_some_and(|view| view.phase(now) == SalePhase::Closed);
        if Some(listing.sale) != newest && !is_closed {
            // One that is over already stays as it is.
            sales::apply_action(shop, listing.sale, SaleAction::Close).await?.ok();
        }
    }
    Ok(())
}

fn read_draft(
    fields: &LenientFields,
    currency: Currency,
) -> Result<(ProductDraft, ProductSaleDraft), DialectError> {
    let missing = |name: &str| DialectError::bad_request(format!("{name} is required"));
    let starts_at = fields.moment("startTime")?.ok_or_else(|| missing("startTime"))?;
    let ends_at = fields.moment("endTime")?.ok_or_else(|| missing("endTime"))?;
    let quantity = fields.whole_number("totalStock")?.ok_or_else(|| missing("totalStock"))?;
    let name = fields.text("productName")?.ok_or_else(|| missing("productName"))?;
    let name = ProductName::try_from(name)
        .map_err(|rule| DialectError::bad_request(format!("productName must have {rule}")))?;
    let free = Money { minor: 0, currency };
    let policy = Policy {
        // What does not fit is refused with the other problems.
        quantity: u32::try_from(quantity).unwrap_or_default(),
        unit_price: free,
        starts_at,
        ends_at,
        limit_per_buyer: 1,
        hold_s: 0,
        admission: AdmissionMode::Open,
    };
    if let Some(problem) = policy.problems().first() {
        return Err(DialectError::bad_request(problem.to_string()));
    }
    let product = ProductDraft {
        name,
        description: Description::empty(),
        price: free,
        category: None,
        image_url: None,
    };
    Ok((product, ProductSaleDraft { policy, made_by: Some(MADE_BY) }))
}
