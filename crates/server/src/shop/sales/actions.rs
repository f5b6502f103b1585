//! Pauses, resumes and closes a sale.

use super::{ListedSale, find_or_refresh};
use crate::shop::Shop;
use crate::shop::catalogue::{CatalogueRefusal, CatalogueResult};
use sale::SaleId;

/// What a merchant may do to a sale without editing it. Each may be repeated: it changes nothing the second time.
#[derive(Clone, Copy, Debug)]
pub enum SaleAction {
    Pause,
    Resume,
    /// Ends it for good.
    Close,
}

/// Pauses, resumes or closes a sale.
///
/// # Errors
/// When the engine does not answer.
pub async fn apply_action(shop: &Shop, id: SaleId, action: SaleAction) -> CatalogueResult<ListedSale> {
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    if shop.catalogue.listing(id).is_none() {
        return Ok(Err(CatalogueRefusal::SaleUnknown));
    }
    let decided = match action {
        SaleAction::Pause => shop.engine.pause(id).await?,
        SaleAction::Resume => shop.engine.resume(id).await?,
        SaleAction::Close => shop.engine.close(id).await?,
    };
    if let Err(refusal) = decided {
        return Ok(Err(CatalogueRefusal::Law(refusal)));
    }
    Ok(find_or_refresh(shop, id).await.ok_or(CatalogueRefusal::SaleUnknown))
}
