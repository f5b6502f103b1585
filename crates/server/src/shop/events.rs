//! A sale's ledger in pages, for admins: from either end or from any event, with filters. A page never reads more events than
//! [`SCANNED_MAX`], and yields in between.

use super::Shop;
use super::catalogue::CatalogueError;
use super::dashboard::{BuyerSelector, find_buyers, find_named};
use crate::store::buyer_identities::BuyerIdentity;
use sale::{BuyerId, Event, EventSeq, LedgerEntry, SaleId, Ticket, UnitSource};
use std::collections::HashMap;

/// Events read for one page, when few of them pass the filter: some ten milliseconds' worth.
const SCANNED_MAX: u64 = 8_192;
/// Events read at a time for that. Reading blocks its thread, so it is kept to about a millisecond.
const SCANNED_AT_ONCE: u64 = 512;

/// Which events. `None` matches every event.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of one kind, a word of [`Event::NAMES`].
    pub kind: Option<&'static str>,
    pub buyer: Option<BuyerSelector>,
    pub ticket: Option<Ticket>,
}

/// From which end the ledger is read, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadDirection {
    /// Oldest first, behind this event.
    Forward(EventSeq),
    /// Newest first, before this event; `None` for the end of the ledger.
    Backward(Option<EventSeq>),
}

/// A page of events with their buyers.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events. There may be fewer than the limit, or none, before the last page.
    pub rows: Vec<LedgerEntry>,
    /// Their buyers, as far as they have names.
    pub people: HashMap<BuyerId, BuyerIdentity>,
    /// Where to go on, in the same direction; `None` at the end.
    pub next: Option<EventSeq>,
}

/// Up to `limit` events of a sale's ledger.
///
/// # Errors
/// When the ledger or the tables cannot be read.
pub async fn load_page(
    shop: &Shop,
    sale: SaleId,
    filter: &EventFilter,
    direction: ReadDirection,
    limit: u32,
) -> Result<EventPage, CatalogueError> {
    let buyers = match &filter.buyer {
        None => None,
        Some(selector) => Some(find_named(shop, selector).await?),
    };
    if buyers.as_ref().is_some_and(Vec::is_empty) {
        return Ok(EventPage { rows: Vec::new(), people: HashMap::new(), next: None });
    }
    let is_of_buyer = |event: &Event| {
        buyers.as_ref().is_none_or(|buyers| event.buyer().is_some_and(|buyer| buyers.contains(&buyer)))
    };
    let passes = |event: &Event| {
        filter.kind.is_none_or(|kind| event.name() == kind)
            && is_of_buyer(event)
            && filter.ticket.is_none_or(|ticket| find_ticket(event) == Some(ticket))
    };
    let head = shop.engine.views().get(sale).map_or(EventSeq(0), |view| view.seq);
    let direction = match direction {
        // There are no events beyond the end.
        ReadDirection::Backward(before) => ReadDirection::Backward(before.filter(|before| *before <= head)),
        up => up,
    };
    let mut reader = EventPager { shop, sale, head, direction };
    let mut rows: Vec<LedgerEntry> = Vec::new();
    let mut scanned = 0;
    while scanned < SCANNED_MAX && rows.len() < limit as usize && reader.next_cursor().is_some() {
        let wanted =
            if filter.matches_all() { u64::from(limit) - rows.len() as u64 } else { SCANNED_AT_ONCE };
        for entry in reader.read(wanted.min(SCANNED_AT_ONCE)).await? {
            if rows.len() == limit as usize {
                break;
            }
            reader.advance(entry.seq);
            if passes(&entry.event) {
                rows.push(entry);
            }
        }
        scanned += SCANNED_AT_ONCE;
        tokio::task::yield_now().await;
    }
    let people = find_buyers(shop, rows.iter().filter_map(|entry| entry.event.buyer())).await?;
    Ok(EventPage { rows, people, next: reader.next_cursor() })
}

impl EventFilter {
    fn matches_all(&self) -> bool {
        self.kind.is_none() && self.buyer.is_none() && self.ticket.is_none()
    }
}

/// Reads a ledger in pieces, in either direction.
struct EventPager<'a> {
    shop: &'a Shop,
    sale: SaleId,
    /// The newest event that was published when the reading began.
    head: EventSeq,
    direction: ReadDirection,
}

impl EventPager<'_> {
    /// Where to go on; `None` when nothing is left.
    fn next_cursor(&self) -> Option<EventSeq> {
        match self.direction {
            ReadDirection::Forward(after) => (after < self.head).then_some(after),
            ReadDirection::Backward(before) => {
                Some(before.unwrap_or(EventSeq(self.head.0 + 1))).filter(|before| before.0 > 1)
            }
        }
    }

    /// The next events, at most `limit` of them. A ledger may lack numbers, so there may be fewer, and still more to come.
    async fn read(&mut self, limit: u64) -> Result<Vec<LedgerEntry>, CatalogueError> {
        let ledger = self.shop.engine.ledger();
        match self.direction {
            ReadDirection::Forward(after) => {
                let entries =
                    ledger.read_entries(self.sale, after, usize::try_from(limit).unwrap_or(1)).await?;
                if entries.is_empty() {
                    self.direction = ReadDirection::Forward(self.head);
                }
                Ok(entries)
            }
            ReadDirection::Backward(before) => {
                let before = before.unwrap_or(EventSeq(self.head.0 + 1));
                let first = before.0.saturating_sub(limit).max(1);
                let limit = usize::try_from(before.0 - first).unwrap_or(1);
                let mut entries = ledger.read_entries(self.sale, EventSeq(first - 1), limit).await?;
                entries.retain(|entry| entry.seq < before);
                entries.reverse();
                if entries.is_empty() {
                    self.direction = ReadDirection::Backward(Some(EventSeq(first)));
                }
                Ok(entries)
            }
        }
    }

    /// Marks this event as read.
    fn advance(&mut self, seq: EventSeq) {
        self.direction = match self.direction {
            ReadDirection::Forward(_) => ReadDirection::Forward(seq),
            ReadDirection::Backward(_) => ReadDirection::Backward(Some(seq)),
        };
    }
}

fn find_ticket(event: &Event) -> Option<Ticket> {
    match *event {
        Event::Joined { ticket, .. }
        | Event::Left { ticket, .. }
        | Event::Admitted { ticket, .. }
        | Event::Lapsed { ticket, .. }
        | Event::Extended { ticket, .. }
        | Event::Held { from: UnitSource::Admission { ticket }, .. }
        | Event::Confirmed { from: UnitSource::Admission { ticket }, .. } => Some(ticket),
        _ => None,
    }
}
