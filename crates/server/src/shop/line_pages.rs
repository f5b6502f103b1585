//! The line of a sale in pages by offset, with when each member joined, and a summary of it. Places come from the engine, the time of
//! joining from the tables and, where they lag, from the ledger.

use super::Shop;
use super::catalogue::CatalogueError;
use super::dashboard::{BuyerIdentity, find_buyers};
use super::holds::count_line;
use super::order_pages::PageOffset;
use super::unprojected::read_unprojected;
use crate::store::queue;
use engine::{EngineError, SaleView};
use sale::{BuyerId, Event, LineMember, LinePosition, SaleId, Ticket, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// Members that are read from the engine at a time.
const READ_BATCH_LEN: usize = 1_000;

/// A member of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePlace {
    pub member: LineMember,
    /// The place among all members, those with a hold included; from 1.
    pub rank: u64,
    /// When the number was given.
    pub joined_at: Timestamp,
}

/// A page of a line.
#[derive(Clone, Debug)]
pub struct LinePage {
    /// In ticket order.
    pub places: Vec<LinePlace>,
    /// How many members all pages have together.
    pub total: u64,
    /// The members, as far as they have names.
    pub people: HashMap<BuyerId, BuyerIdentity>,
    /// The sale when the page was read.
    pub view: Arc<SaleView>,
}

/// The line of a sale in numbers.
#[derive(Clone, Debug)]
pub struct LineSummary {
    pub waiting: u32,
    /// Buyers with a hold.
    pub holders: u32,
    pub sold: u32,
    /// Holds that ran out unused.
    pub lapsed: u64,
    pub is_paused: bool,
}

/// The buyers who wait or are admitted, by ticket. Once the sale is over, nobody waits.
///
/// # Errors
/// When the engine, the tables or the ledger do not answer.
pub async fn list_members(shop: &Shop, sale: SaleId, page: PageOffset) -> Result<LinePage, CatalogueError> {
    let view = find_view(shop, sale)?;
    let now = shop.engine.now();
    let is_over = view.is_over(now);
    let mut members = Vec::new();
    let (mut rank, mut after) = (0, None);
    while members.len() < page.limit as usize {
        let read = shop.engine.line_members(sale, after, READ_BATCH_LEN).await?;
        let Some(last) = read.last() else { break };
        after = Some(last.ticket);
        for member in read {
            if is_over && matches!(member.place, LinePosition::Waiting { .. }) {
                continue;
            }
            rank += 1;
            if rank > page.offset && members.len() < page.limit as usize {
                members.push((member, rank));
            }
        }
    }
    let view = find_view(shop, sale)?;
    let tickets: Vec<Ticket> = members.iter().map(|(member, _)| member.ticket).collect();
    let joined = find_joined(shop, sale, &tickets).await?;
    let places = members.into_iter().map(|(member, rank)| LinePlace {
        member,
        rank,
        joined_at: joined.get(&member.ticket).copied().unwrap_or(now),
    });
    let places: Vec<LinePlace> = places.collect();
    let people = find_buyers(shop, places.iter().map(|place| place.member.buyer)).await?;
    let total = u64::from(count_line(&view, now)).max(rank);
    Ok(LinePage { places, total, people, view })
}

/// The line in numbers.
///
/// # Errors
/// When the tables do not answer.
pub async fn load_summary(shop: &Shop, sale: SaleId) -> Result<LineSummary, CatalogueError> {
    let view = find_view(shop, sale)?;
    shop.projected.wait_for(sale, view.seq, shop.catch_up_timeouts.admin).await;
    let lapsed = queue::count_lapsed(&shop.store, sale).await?;
    let view = find_view(shop, sale)?;
    Ok(LineSummary {
        waiting: view.waiting(shop.engine.now()),
        holders: view.counters.admitted,
        sold: view.counters.sold,
        lapsed,
        is_paused: view.paused_at().is_some(),
    })
}

fn find_view(shop: &Shop, sale: SaleId) -> Result<Arc<SaleView>, CatalogueError> {
    shop.engine.views().get(sale).ok_or_else(|| EngineError::NoSuchSale.into())
}

/// When tickets were given.
async fn find_joined(
    shop: &Shop,
    sale: SaleId,
    tickets: &[Ticket],
) -> Result<HashMap<Ticket, Timestamp>, CatalogueError> {
    let after = shop.projected.delivered_seq(sale);
    let mut joined = queue::find_joined(&shop.store, sale, tickets).await?;
    if joined.len() < tickets.len() {
        read_unprojected(shop, sale, after, |entry| {
            if let Event::Joined { ticket, .. } = entry.event {
                joined.entry(ticket).or_insert(entry.at);
            }
        })
        .await?;
    }
    Ok(joined)
}
