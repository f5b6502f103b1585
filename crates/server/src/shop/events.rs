//! A sale's ledger as an admin reads it: from either end or from any number, only some of it if so asked. A page never reads
//! more events than [`SCANNED_MAX`], and lets others work in between.

use super::Shop;
use super::board::{Who, find, people_of};
use super::catalogue::CatalogueError;
use crate::store::people::Person;
use sale::{BuyerId, Entry, Event, SaleId, Seq, Source, Ticket};
use std::collections::HashMap;

/// Events read for one page, when few of them pass the filter: some ten milliseconds' worth.
const SCANNED_MAX: u64 = 8_192;
/// Events read at a time for that. Reading blocks its thread, so it is kept to about a millisecond.
const SCANNED_AT_ONCE: u64 = 512;

/// Which events. What is `None` lets everything pass.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of one kind, a word of [`Event::NAMES`].
    pub kind: Option<&'static str>,
    /// About one buyer.
    pub buyer: Option<Who>,
    /// About one ticket.
    pub ticket: Option<Ticket>,
}

/// From which end the ledger is read, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first, behind this event.
    Up(Seq),
    /// Newest first, before this event; `None` for the end of the ledger.
    Down(Option<Seq>),
}

/// Some events with the people in them.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events. There may be fewer than were asked for, or none, before the last page.
    pub rows: Vec<Entry>,
    /// Who the buyers in them are, as far as they have accounts.
    pub people: HashMap<BuyerId, Person>,
    /// Where to go on, in the same direction; `None` at the end.
    pub next: Option<Seq>,
}

/// Up to `limit` events of a sale's ledger.
///
/// # Errors
/// When the ledger or the tables cannot be read.
pub async fn page(
    shop: &Shop,
    sale: SaleId,
    filter: &EventFilter,
    direction: Direction,
    limit: u32,
) -> Result<EventPage, CatalogueError> {
    let buyer = match &filter.buyer {
        None => None,
        Some(who) => match find(shop, who).await? {
            Some(buyer) => Some(buyer),
            None => return Ok(EventPage { rows: Vec::new(), people: HashMap::new(), next: None }),
        },
    };
    let passes = |event: &Event| {
        filter.kind.is_none_or(|kind| event.name() == kind)
            && buyer.is_none_or(|buyer| event.buyer() == Some(buyer))
            && filter.ticket.is_none_or(|ticket| ticket_of(event) == Some(ticket))
    };
    let head = shop.engine.views().get(sale).map_or(Seq(0), |view| view.seq);
    let direction = match direction {
        // Numbers beyond the end would only be looked for in vain.
        Direction::Down(before) => Direction::Down(before.filter(|before| *before <= head)),
        up => up,
    };
    let mut reader = Reader { shop, sale, head, direction };
    let mut rows: Vec<Entry> = Vec::new();
    let mut scanned = 0;
    while scanned < SCANNED_MAX && rows.len() < limit as usize && reader.next().is_some() {
        let wanted = if filter.is_open() { u64::from(limit) - rows.len() as u64 } else { SCANNED_AT_ONCE };
        for entry in reader.read(wanted.min(SCANNED_AT_ONCE)).await? {
            if rows.len() == limit as usize {
                break;
            }
            reader.pass(entry.seq);
            if passes(&entry.event) {
                rows.push(entry);
            }
        }
        scanned += SCANNED_AT_ONCE;
        tokio::task::yield_now().await;
    }
    let people = people_of(shop, rows.iter().filter_map(|entry| entry.event.buyer())).await?;
    Ok(EventPage { rows, people, next: reader.next() })
}

impl EventFilter {
    fn is_open(&self) -> bool {
        self.kind.is_none() && self.buyer.is_none() && self.ticket.is_none()
    }
}

/// Reads a ledger in pieces, in either direction.
struct Reader<'a> {
    shop: &'a Shop,
    sale: SaleId,
    /// The newest event that was published when the reading began.
    head: Seq,
    direction: Direction,
}

impl Reader<'_> {
    /// Where to go on; `None` when nothing is left.
    fn next(&self) -> Option<Seq> {
        match self.direction {
            Direction::Up(after) => (after < self.head).then_some(after),
            Direction::Down(before) => {
                Some(before.unwrap_or(Seq(self.head.0 + 1))).filter(|before| before.0 > 1)
            }
        }
    }

    /// The next events, at most `limit` of them. A ledger may lack numbers, so there may be fewer, and still more to come.
    async fn read(&mut self, limit: u64) -> Result<Vec<Entry>, CatalogueError> {
        let ledger = self.shop.engine.ledger();
        match self.direction {
            Direction::Up(after) => {
                let entries = ledger.read(self.sale, after, usize::try_from(limit).unwrap_or(1)).await?;
                if entries.is_empty() {
                    self.direction = Direction::Up(self.head);
                }
                Ok(entries)
            }
            Direction::Down(before) => {
                let before = before.unwrap_or(Seq(self.head.0 + 1));
                let first = before.0.saturating_sub(limit).max(1);
                let limit = usize::try_from(before.0 - first).unwrap_or(1);
                let mut entries = ledger.read(self.sale, Seq(first - 1), limit).await?;
                entries.retain(|entry| entry.seq < before);
                entries.reverse();
                if entries.is_empty() {
                    self.direction = Direction::Down(Some(Seq(first)));
                }
                Ok(entries)
            }
        }
    }

    /// Notes that this event was looked at.
    fn pass(&mut self, seq: Seq) {
        self.direction = match self.direction {
            Direction::Up(_) => Direction::Up(seq),
            Direction::Down(_) => Direction::Down(Some(seq)),
        };
    }
}

fn ticket_of(event: &Event) -> Option<Ticket> {
    match *event {
        Event::Joined { ticket, .. }
        | Event::Left { ticket, .. }
        | Event::Admitted { ticket, .. }
        | Event::Lapsed { ticket, .. }
        | Event::Extended { ticket, .. }
        | Event::Held { from: Source::Admission { ticket }, .. }
        | Event::Confirmed { from: Source::Admission { ticket }, .. } => Some(ticket),
        _ => None,
    }
}
