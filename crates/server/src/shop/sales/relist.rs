//! Lists sales again that the ledger has and the tables lack: `shop.db` was deleted, or is older than the ledger. A ledger knows what a
//! sale promises and not what it sells, so each gets a product with a name that says so, which an admin can correct.

use crate::shop::catalogue::CatalogueError;
use crate::shop::{Shop, ids};
use crate::store::ledger_traces;
use crate::store::products::{self, Product, ProductId};
use crate::store::sales::{self, LimitScope, NewSale};
use engine::SaleView;
use sale::{SaleId, Timestamp};
use std::sync::Arc;

use super::PaymentMode;
use super::create::insert_with_free_slug;

/// How the products of such sales are called; the beginning of the sale's id follows.
const NAME: &str = "Recovered sale";

/// Lists every sale that the ledger has and that has no row at all, and logs how many there are. A deleted sale still has a row; where all
/// rows are lost, deleted sales are listed again too.
///
/// # Errors
/// When the tables do not answer.
pub async fn relist_lost_sales(shop: &Shop) -> Result<(), CatalogueError> {
    // The views first: a sale has its row before it is in the ledger.
    let views = shop.engine.views().list();
    let known = ledger_traces::list_sales(&shop.store).await?;
    if views.iter().all(|view| known.contains(&view.id)) {
        return Ok(());
    }
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    // Another process may have listed them meanwhile.
    let known = ledger_traces::list_sales(&shop.store).await?;
    let lost: Vec<Arc<SaleView>> = views.into_iter().filter(|view| !known.contains(&view.id)).collect();
    for view in &lost {
        list_sale(shop, view).await?;
    }
    if !lost.is_empty() {
        tracing::warn!(
            sales = lost.len(),
            all = known.is_empty(),
            "the tables lack sales that the ledger has, so they were lost or are older than it; the sales are listed again under new names; \
             accounts, products and payments are in no ledger: restore the tables from a backup if there is one"
        );
    }
    Ok(shop.catalogue.refresh(&shop.store).await?)
}

async fn list_sale(shop: &Shop, view: &SaleView) -> Result<(), CatalogueError> {
    let now = (shop.now)();
    let created_at = announced_at(view.id, now);
    let name = format!("{NAME} {}", &view.id.to_string()[..8]);
    let product = Product {
        id: ProductId(ids::new(now)),
        name,
        description: String::new(),
        price: view.policy.unit_price,
        category: None,
        image_url: None,
        created_at,
        updated_at: now,
        deleted_at: None,
    };
    let mut writing = shop.store.begin().await?;
    products::insert(&mut writing, &product).await?;
    let payment = PaymentMode::from_policy(&view.policy);
    let provider = shop.payments.provider_name();
    // The ledger does not know how the sale counted its limit, nor whom it asked for a confirmed address.
    let limit_by = LimitScope::default();
    let new = NewSale {
        id: view.id,
        product: product.id,
        slug: "",
        created_at,
        payment,
        provider,
        limit_by,
        require_confirmed_email: false,
        made_by: None,
    };
    insert_with_free_slug(&mut writing, &product.name, new).await?;
    writing.commit().await?;
    Ok(sales::set_announced(&shop.store, view.id, now).await?)
}

/// The moment in a sale's id, which was made when the sale was.
fn announced_at(sale: SaleId, now: Timestamp) -> Timestamp {
    let made = sale.0.get_timestamp().map(|made| made.to_unix());
    made.map_or(now, |(seconds, nanos)| {
        Timestamp(i64::try_from(seconds).unwrap_or_default() * 1000 + i64::from(nanos / 1_000_000)).min(now)
    })
}
