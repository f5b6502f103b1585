//! The receiver that writes mails about orders, refunds and turns. It writes rows with its offset and sends nothing itself: the dispatcher does that
//! later. It has no mail for an event of long ago, which a rewound follower or a restored ledger delivers again.

use super::event_receiver::{EventReceiver, ReceiverStart};
use super::follower::FollowerError;
use crate::clock::TimeSource;
use crate::shop::mails::content::{MailContent, MailedOrder, MailedRefund, MailedSale};
use crate::shop::mails::{
    MailOutbox, MailPriority, MailRecipient, MailRequest, find_recipients, report_returned_units,
};
use crate::shop::published_events::PublishedEvent;
use crate::store::{Store, StoreTransaction, payments};
use documents::published_event::{EventData, LineEventData, OrderEventData};
use documents::{EventType, PublishedEventDocument};
use engine::Engine;
use sale::{BuyerId, SaleId, SalePhase, Timestamp};

/// Events that are older get no mail, in milliseconds. The rows of mails are kept longer, so that no event is mailed twice.
const EVENT_AGE_MAX_MS: i64 = 30 * 86_400_000;

/// A unit that came back earlier is gone again, in milliseconds; so is one whose mail could not be sent for so long.
const RETURN_AGE_MAX_MS: i64 = 10 * 60_000;
/// The events that are mailed.
const MAILED_TYPES: [EventType; 5] = [
    EventType::OrderConfirmed,
    EventType::OrderRefunded,
    EventType::PaymentRefunded,
    EventType::LineAdmitted,
    EventType::LineLapsed,
];

/// Writes mails about what happens in sales.
pub struct MailReceiver {
    outbox: MailOutbox,
    now: TimeSource,
    engine: Engine,
    /// The mails of the batch that is delivered.
    requests: Vec<MailRequest>,
}

impl MailReceiver {
    #[must_use]
    pub fn new(outbox: MailOutbox, now: TimeSource, engine: Engine) -> Self {
        Self { outbox, now, engine, requests: Vec::new() }
    }

    /// Whether buyers can buy in a sale now.
    fn is_on(&self, sale: SaleId) -> bool {
        let view = self.engine.views().get(sale);
        view.is_some_and(|view| view.phase(self.engine.now()) == SalePhase::Active)
    }
}

impl EventReceiver for MailReceiver {
    const NAME: &'static str = "mail";
    const START: ReceiverStart = ReceiverStart::Present;

    async fn deliver(&mut self, tables: &Store, events: &[PublishedEvent]) -> Result<(), FollowerError> {
        let oldest = (self.now)().plus_ms(-EVENT_AGE_MAX_MS);
        let is_mailed = |event: &&PublishedEvent| {
            event.document.time > oldest && MAILED_TYPES.contains(&event.document.event_type)
        };
        let events: Vec<&PublishedEvent> = events.iter().filter(is_mailed).collect();
        let buyers: Vec<BuyerId> = events.iter().filter_map(|event| event.document.data.buyer_id()).collect();
        let recipients = find_recipients(tables, &buyers).await?;
        self.requests.clear();
        for PublishedEvent { document, .. } in events {
            let buyer = document.data.buyer_id();
            let Some(recipient) = buyer.and_then(|buyer| recipients.get(&buyer)) else { continue };
            let Some(request) = mail_about(document, recipient) else { continue };
            // Each refund of its payment is mailed with its amount.
            if let (EventType::OrderRefunded, EventData::Order(data)) = (document.event_type, &document.data)
                && payments::find_live(tables, data.order_id).await?.is_some()
            {
                continue;
            }
            self.requests.push(request);
        }
        Ok(())
    }

    async fn record(
        &mut self,
        writing: &mut StoreTransaction,
        events: &[PublishedEvent],
    ) -> Result<(), FollowerError> {
        let now = (self.now)();
        for request in &self.requests {
            self.outbox.add(writing, request, now).await?;
        }
        for event in events {
            let Some((sale, available)) = returned_units(event, now) else { continue };
            if !self.is_on(sale.sale) {
                continue;
            }
            let of = (event.document.id.as_str(), &sale, now.plus_ms(RETURN_AGE_MAX_MS));
            report_returned_units(writing, &self.outbox, of, available, now).await?;
        }
        Ok(())
    }

    fn handle_recorded(&mut self) {
        self.requests.clear();
        self.outbox.notify();
    }
}

/// The mail about an event.
fn mail_about(document: &PublishedEventDocument, recipient: &MailRecipient) -> Option<MailRequest> {
    let (content, priority, expires_at) = match (document.event_type, &document.data) {
        (EventType::OrderConfirmed, EventData::Order(data)) => {
            let order = mailed_order(data, recipient);
            (MailContent::OrderConfirmed { order }, MailPriority::Report, None)
        }
        (EventType::OrderRefunded, EventData::Order(data)) => {
            let refund = MailedRefund {
                order: data.order_id,
                product: data.product.name.clone(),
                amount: data.total.into(),
                is_guest: recipient.is_guest,
            };
            (MailContent::OrderRefunded { refund }, MailPriority::Report, None)
        }
        (EventType::PaymentRefunded, EventData::Payment(data)) => {
            let refund = MailedRefund {
                order: data.order_id,
                product: data.product.name.clone(),
                amount: data.amount.into(),
                is_guest: recipient.is_guest,
            };
            (MailContent::OrderRefunded { refund }, MailPriority::Report, None)
        }
        (EventType::LineAdmitted, EventData::Line(data)) => {
            let until = data.admitted_until?;
            let content = MailContent::YourTurn { sale: mailed_sale(data), buyer: data.buyer_id, until };
            (content, MailPriority::Turn, Some(until))
        }
        (EventType::LineLapsed, EventData::Line(data)) => {
            (MailContent::TurnMissed { sale: mailed_sale(data) }, MailPriority::Report, None)
        }
        _ => return None,
    };
    let key = format!("{}/{}", document.id, recipient.email);
    let MailRecipient { email, language, .. } = recipient.clone();
    Some(MailRequest { key, content, recipient: email, language, priority, expires_at })
}

fn mailed_order(data: &OrderEventData, recipient: &MailRecipient) -> MailedOrder {
    MailedOrder {
        order: data.order_id,
        product: data.product.name.clone(),
        quantity: data.quantity,
        unit_price: data.unit_price.into(),
        total: data.total.into(),
        is_guest: recipient.is_guest,
    }
}

/// The sale of an event that made units free, and how many are.
fn returned_units(event: &PublishedEvent, now: Timestamp) -> Option<(MailedSale, u32)> {
    let document = &event.document;
    if document.time <= now.plus_ms(-RETURN_AGE_MAX_MS) {
        return None;
    }
    let (sale, slug, product, counters) = match (document.event_type, &document.data) {
        (
            EventType::OrderExpired
            | EventType::OrderCancelled
            | EventType::OrderDeclined
            | EventType::OrderRefunded,
            EventData::Order(data),
        ) if data.restocked != Some(false) => (data.sale_id, &data.slug, &data.product, data.counters),
        // A buyer who waited and left gave no unit back.
        (EventType::LineLapsed | EventType::LineLeft, EventData::Line(data))
            if data.was_admitted != Some(false) =>
        {
            (data.sale_id, &data.slug, &data.product, data.counters)
        }
        // Of units that came back during a pause.
        (EventType::SaleRestocked | EventType::SaleResumed, EventData::Sale(data)) => {
            (data.sale_id, &data.slug, &data.product, data.counters)
        }
        _ => return None,
    };
    let mailed = MailedSale { sale, slug: slug.clone(), product: product.name.clone() };
    (counters.available > 0).then_some((mailed, counters.available))
}

fn mailed_sale(data: &LineEventData) -> MailedSale {
    MailedSale { sale: data.sale_id, slug: data.slug.clone(), product: data.product.name.clone() }
}
