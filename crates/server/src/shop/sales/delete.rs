//! Deletes a sale that buyers do not need any more, and closes any other.

use super::{ListedSale, READ_BATCH_LEN, find_or_refresh};
use crate::shop::Shop;
use crate::shop::catalogue::{CatalogueError, CatalogueRefusal, CatalogueResult};
use crate::store::sales;
use sale::{Event, EventSeq, SaleId, SalePhase};

#[derive(Clone, Debug)]
pub enum DeleteResult {
    Gone,
    /// Buyers have places or orders in it: it is closed and stays listed.
    Closed(Box<ListedSale>),
}

/// Which sales may be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteRule {
    /// Those in which no buyer ever had a place or an order.
    NeverEntered,
    /// Those in which no buyer has a place now, and none ever had an order.
    NotInUse,
}

/// Deletes a sale if the rule allows it; closes any other. It is closed before it is looked at, so no buyer can join in between.
///
/// # Errors
/// When the tables, the engine or the ledger do not answer; deleting again is safe.
pub async fn delete(shop: &Shop, id: SaleId, rule: DeleteRule) -> CatalogueResult<DeleteResult> {
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    if shop.catalogue.listing(id).is_none() {
        return Ok(Err(CatalogueRefusal::SaleUnknown));
    }
    let had_ended = shop.engine.sale(id).await?.phase(shop.engine.now()) == SalePhase::Ended;
    if let Err(refusal) = shop.engine.close(id).await? {
        return Ok(Err(CatalogueRefusal::Law(refusal)));
    }
    let is_needed = match rule {
        DeleteRule::NeverEntered => has_event(shop, id, concerns_buyer).await?,
        DeleteRule::NotInUse => {
            has_line(shop, id, had_ended).await? || has_event(shop, id, concerns_order).await?
        }
    };
    if is_needed {
        let closed = find_or_refresh(shop, id).await.map(|sale| DeleteResult::Closed(Box::new(sale)));
        return Ok(closed.ok_or(CatalogueRefusal::SaleUnknown));
    }
    sales::delete(&shop.store, id, (shop.now)()).await?;
    shop.catalogue.refresh(&shop.store).await?;
    Ok(Ok(DeleteResult::Gone))
}

/// Whether a buyer has a hold, or waited when the sale was closed. In one that had ended before, nobody waited any more.
async fn has_line(shop: &Shop, id: SaleId, had_ended: bool) -> Result<bool, CatalogueError> {
    let counters = shop.engine.sale(id).await?.counters;
    let waiting = if had_ended { 0 } else { counters.waiting };
    Ok(waiting + counters.admitted > 0)
}

/// Whether the sale's ledger has an event of a kind.
async fn has_event(shop: &Shop, id: SaleId, is_wanted: fn(&Event) -> bool) -> Result<bool, CatalogueError> {
    let mut after = EventSeq(0);
    loop {
        let entries = shop.engine.ledger().read_entries(id, after, READ_BATCH_LEN).await?;
        let Some(last) = entries.last() else { return Ok(false) };
        after = last.seq;
        if entries.iter().any(|entry| is_wanted(&entry.event)) {
            return Ok(true);
        }
    }
}

fn concerns_buyer(event: &Event) -> bool {
    match event {
        Event::Configured { .. }
        | Event::Paused
        | Event::Resumed
        | Event::Closed
        | Event::Restocked { .. } => false,
        Event::Joined { .. }
        | Event::Left { .. }
        | Event::Admitted { .. }
        | Event::Lapsed { .. }
        | Event::Extended { .. } => true,
        _ => concerns_order(event),
    }
}

/// Whether a buyer has had an order.
fn concerns_order(event: &Event) -> bool {
    match event {
        Event::Held { .. }
        | Event::Confirmed { .. }
        | Event::Released { .. }
        | Event::Refunded { .. }
        | Event::PaymentBegun { .. }
        | Event::PaymentEnded { .. } => true,
        Event::Configured { .. }
        | Event::Paused
        | Event::Resumed
        | Event::Closed
        | Event::Restocked { .. }
        | Event::Joined { .. }
        | Event::Left { .. }
        | Event::Admitted { .. }
        | Event::Lapsed { .. }
        | Event::Extended { .. } => false,
    }
}
