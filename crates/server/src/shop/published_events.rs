//! The one place where the ledger, the clock and the payments become the events that other systems read. It folds a sale's events, so
//! that each document has the sale as it was then; it never delivers one, and it keeps nothing between two calls.

mod sale_fold;

mod sale_moments;

mod sale_names;

mod payment_steps;

pub use payment_steps::forget_old_payments;
pub use sale_fold::{SaleFold, StoredFoldError};
pub use sale_names::{SaleNames, find_names};

use crate::shop::Shop;
use crate::shop::catalogue::{CatalogueError, SaleCatalogue};
use documents::published_event::{
    EventCounters, EventData, EventProduct, LineEventData, OrderEventData, SaleEventData, ledger_event_id,
    sold_out_id,
};
use documents::{EventAddresses, EventType, OrderStatusDocument, PublishedEventDocument};
use engine::record::SaleNumber;
use sale::{
    Availability, BuyerId, Event, EventSeq, LedgerEntry, OrderId, Policy, SaleId, Ticket, Timestamp,
    UnitSource,
};
use std::sync::Arc;

/// An event for other systems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedEvent {
    pub document: PublishedEventDocument,
    pub sale: SaleId,
    pub origin: EventOrigin,
    /// Whether the event is an accepted attempt to buy: it made an order.
    pub makes_order: bool,
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOrigin {
    /// This event of the ledger.
    Ledger(EventSeq),
    /// Every unit was sold by this event of the ledger.
    SoldOut(EventSeq),
    /// The clock.
    Clock,
    /// The payments.
    Payment,
}

/// Makes the documents of events; clones share it.
#[derive(Clone)]
pub struct EventPublisher {
    addresses: Arc<EventAddresses>,
    catalogue: Arc<SaleCatalogue>,
}

/// The buyer, the order and the units of an event.
#[derive(Clone, Copy)]
struct OrderUnits {
    buyer: BuyerId,
    order: OrderId,
    quantity: u32,
}

/// What only some events of orders have.
#[derive(Clone, Copy, Default)]
struct OrderDetails {
    ticket: Option<Ticket>,
    expires_at: Option<Timestamp>,
    paying: Option<bool>,
    restocked: Option<bool>,
}

/// What only some events of a line have.
#[derive(Clone, Copy, Default)]
struct LineDetails {
    admitted_until: Option<Timestamp>,
    was_admitted: Option<bool>,
}

/// A sale whose events are published.
#[derive(Clone, Copy)]
pub struct PublishedSale {
    pub sale: SaleId,
    /// Its number in the ledger.
    pub number: SaleNumber,
}

impl EventPublisher {
    #[must_use]
    pub fn new(addresses: EventAddresses, catalogue: Arc<SaleCatalogue>) -> Self {
        Self { addresses: Arc::new(addresses), catalogue }
    }

    /// The addresses in all documents.
    #[must_use]
    pub fn addresses(&self) -> &EventAddresses {
        &self.addresses
    }

    /// Folds an event and appends what it publishes: first what the clock did before it, then the event itself, then that every unit is
    /// sold, if this event took the last one.
    pub fn publish_entry(
        &self,
        fold: &mut SaleFold,
        of: PublishedSale,
        entry: &LedgerEntry,
        into: &mut Vec<PublishedEvent>,
    ) {
        self.publish_moments(fold, of.sale, entry.at, into);
        let was_sold_out = fold.is_sold_out();
        fold.apply_event(entry);
        let Some(policy) = fold.policy() else { return };
        let id = ledger_event_id(of.sale, entry.seq, of.number.row_checksum(entry));
        let (event_type, seq) = (EventType::from_entry(entry), entry.seq);
        let makes_order = makes_order(&entry.event, policy);
        let data = self.entry_data(fold, policy, of.sale, entry);
        let sold_out = sold_out_id(&id);
        let document = self.addresses.document(event_type, id, entry.at, data);
        let origin = EventOrigin::Ledger(seq);
        into.push(PublishedEvent { document, sale: of.sale, origin, makes_order });
        if fold.is_sold_out() && !was_sold_out {
            let data = EventData::Sale(self.sale_data(fold, policy, of.sale, entry.at));
            let document = self.addresses.document(EventType::SaleSoldOut, sold_out, entry.at, data);
            let origin = EventOrigin::SoldOut(seq);
            into.push(PublishedEvent { document, sale: of.sale, origin, makes_order: false });
        }
    }

    fn entry_data(&self, fold: &SaleFold, policy: &Policy, sale: SaleId, entry: &LedgerEntry) -> EventData {
        let line = |buyer, ticket, details| self.line_data(fold, sale, entry.at, (buyer, ticket), details);
        let order =
            |units, status, details| self.order_data(fold, policy, sale, entry.at, units, (status, details));
        match entry.event {
            Event::Configured { .. } | Event::Paused | Event::Resumed | Event::Closed => {
                EventData::Sale(self.sale_data(fold, policy, sale, entry.at))
            }
            Event::Restocked { quantity } => {
                let added_quantity = Some(quantity);
                let data = self.sale_data(fold, policy, sale, entry.at);
                EventData::Sale(SaleEventData { added_quantity, ..data })
            }
            Event::Joined { buyer, ticket } | Event::Lapsed { buyer, ticket } => {
                line(buyer, ticket, LineDetails::default())
            }
            Event::Left { buyer, ticket, admitted } => {
                line(buyer, ticket, LineDetails { was_admitted: Some(admitted), ..LineDetails::default() })
            }
            Event::Admitted { buyer, ticket, until } | Event::Extended { buyer, ticket, until } => {
                line(buyer, ticket, LineDetails { admitted_until: Some(until), ..LineDetails::default() })
            }
            Event::Held { buyer, order: id, quantity, until, from, .. } => {
                let details =
                    OrderDetails { ticket: find_ticket(from), expires_at: Some(until), ..Default::default() };
                order(OrderUnits { buyer, order: id, quantity }, OrderStatusDocument::Pending, details)
            }
            Event::PaymentBegun { buyer, order: id, quantity, until, .. } => {
                let details =
                    OrderDetails { expires_at: Some(until), paying: Some(true), ..Default::default() };
                order(OrderUnits { buyer, order: id, quantity }, OrderStatusDocument::Pending, details)
            }
            Event::PaymentEnded { buyer, order: id, quantity, until } => {
                let details =
                    OrderDetails { expires_at: Some(until), paying: Some(false), ..Default::default() };
                order(OrderUnits { buyer, order: id, quantity }, OrderStatusDocument::Pending, details)
            }
            Event::Confirmed { buyer, order: id, quantity, from, .. } => {
                let details = OrderDetails { ticket: find_ticket(from), ..Default::default() };
                order(OrderUnits { buyer, order: id, quantity }, OrderStatusDocument::Confirmed, details)
            }
            Event::Released { buyer, order: id, quantity, reason } => {
                let status = match reason {
                    sale::ReleaseCause::Cancelled => OrderStatusDocument::Cancelled,
                    sale::ReleaseCause::Declined => OrderStatusDocument::Declined,
                    sale::ReleaseCause::Expired => OrderStatusDocument::Expired,
                };
                order(OrderUnits { buyer, order: id, quantity }, status, OrderDetails::default())
            }
            Event::Refunded { buyer, order: id, quantity, restocked } => {
                let details = OrderDetails { restocked: Some(restocked), ..Default::default() };
                order(OrderUnits { buyer, order: id, quantity }, OrderStatusDocument::Refunded, details)
            }
        }
    }

    fn sale_data(&self, fold: &SaleFold, policy: &Policy, sale: SaleId, at: Timestamp) -> SaleEventData {
        let (slug, product) = self.sale_names(fold, sale, at);
        SaleEventData {
            sale_id: sale,
            slug,
            product,
            price: policy.unit_price.into(),
            starts_at: policy.starts_at,
            ends_at: policy.ends_at,
            limit_per_buyer: policy.limit_per_buyer,
            hold_seconds: policy.hold_s,
            admission: policy.admission.into(),
            added_quantity: None,
            counters: fold.counters(),
            version: fold.seq().0,
        }
    }

    fn line_data(
        &self,
        fold: &SaleFold,
        sale: SaleId,
        at: Timestamp,
        (buyer_id, ticket): (BuyerId, Ticket),
        details: LineDetails,
    ) -> EventData {
        let (slug, product) = self.sale_names(fold, sale, at);
        let LineDetails { admitted_until, was_admitted } = details;
        EventData::Line(LineEventData {
            sale_id: sale,
            slug,
            product,
            buyer_id,
            buyer_email: None,
            ticket,
            admitted_until,
            was_admitted,
            counters: fold.counters(),
            version: fold.seq().0,
        })
    }

    fn order_data(
        &self,
        fold: &SaleFold,
        policy: &Policy,
        sale: SaleId,
        at: Timestamp,
        units: OrderUnits,
        (status, details): (OrderStatusDocument, OrderDetails),
    ) -> EventData {
        let (slug, product) = self.sale_names(fold, sale, at);
        let OrderUnits { buyer, order, quantity } = units;
        let OrderDetails { ticket, expires_at, paying, restocked } = details;
        let total = policy.unit_price.checked_mul(quantity).unwrap_or(policy.unit_price);
        EventData::Order(OrderEventData {
            sale_id: sale,
            slug,
            product,
            order_id: order,
            buyer_id: buyer,
            buyer_email: None,
            status,
            quantity,
            unit_price: policy.unit_price.into(),
            total: total.into(),
            ticket,
            expires_at,
            paying,
            restocked,
            counters: fold.counters(),
            version: fold.seq().0,
        })
    }

    /// The slug that the sale has now, and what it showed of its product at a moment. A sale that is not listed any more is named as it
    /// was when its first event was published.
    fn sale_names(&self, fold: &SaleFold, sale: SaleId, at: Timestamp) -> (String, EventProduct) {
        match self.catalogue.listing(sale) {
            Some(listing) => {
                let product = listing.product_at(at);
                let product = EventProduct { id: product.id.0, name: product.name.clone() };
                (listing.slug.clone(), product)
            }
            None => fold.names().map_or_else(|| SaleNames::unknown(sale), Clone::clone).into_parts(),
        }
    }
}

/// The id and the type of each event's document.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn identify_events(
    shop: &Shop,
    sale: SaleId,
    entries: &[LedgerEntry],
) -> Result<Vec<(String, EventType)>, CatalogueError> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let Some(number) = shop.engine.ledger().find_number(sale).await? else { return Ok(Vec::new()) };
    let identify = |entry: &LedgerEntry| {
        (ledger_event_id(sale, entry.seq, number.row_checksum(entry)), EventType::from_entry(entry))
    };
    Ok(entries.iter().map(identify).collect())
}

/// An order is made by a hold, or where a sale sells at once. Units that were paid too late are those of an order that was there.
fn makes_order(event: &Event, policy: &Policy) -> bool {
    match event {
        Event::Held { .. } => true,
        Event::Confirmed { from, .. } => *from != UnitSource::Hold && policy.sells_at_once(),
        _ => false,
    }
}

fn find_ticket(from: UnitSource) -> Option<Ticket> {
    match from {
        UnitSource::Admission { ticket } => Some(ticket),
        UnitSource::Stock | UnitSource::Hold => None,
    }
}

impl SaleFold {
    /// Whether every unit is sold; false before the announcement.
    fn is_sold_out(&self) -> bool {
        self.policy().is_some() && self.sale_counters().availability() == Availability::SoldOut
    }

    fn counters(&self) -> EventCounters {
        self.sale_counters().into()
    }
}

#[cfg(test)]
mod tests;
