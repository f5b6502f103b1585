//! The steps of payments as events: they come from an outbox table that is written in the transaction of the step. In order per
//! payment.

use super::{EventOrigin, EventPublisher, PublishedEvent, find_names};
use crate::shop::Shop;
use crate::store::payment_events::{self, PaymentEventRow, PaymentEventState};
use crate::store::{Store, StoreError, event_receivers};
use documents::EventType;
use documents::published_event::{EventData, EventProduct, PaymentEventData, payment_event_id};

/// How long steps of payments are kept after every receiver has them, or while there is none.
pub const RETENTION_MS: i64 = 30 * 86_400_000;
/// Steps that are deleted at a time.
const DELETED_MAX: u32 = 10_000;

/// Deletes old steps of payments that every receiver has delivered. A receiver that did not run for as long as that is not waited for; one
/// whose deliveries fail is, however long.
///
/// # Errors
/// When the tables do not answer.
pub async fn forget_old_payments(shop: &Shop) -> Result<(), StoreError> {
    let before = (shop.now)().plus_ms(-RETENTION_MS);
    let delivered = event_receivers::find_delivered_by_all(&shop.store, before).await?;
    while payment_events::delete_old(&shop.store, before, delivered, DELETED_MAX).await?
        >= u64::from(DELETED_MAX)
    {}
    Ok(())
}

impl EventPublisher {
    /// The event of a payment's step.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn publish_payment(
        &self,
        tables: &Store,
        row: &PaymentEventRow,
    ) -> Result<PublishedEvent, StoreError> {
        let (slug, product) = match self.catalogue.listing(row.sale) {
            Some(listing) => {
                let product = listing.product_at(row.at);
                (listing.slug.clone(), EventProduct { id: product.id.0, name: product.name.clone() })
            }
            None => find_names(tables, row.sale).await?.into_parts(),
        };
        let event_type = match row.state {
            PaymentEventState::Captured => EventType::PaymentCaptured,
            PaymentEventState::Declined => EventType::PaymentDeclined,
            PaymentEventState::Refunded => EventType::PaymentRefunded,
            PaymentEventState::Disputed => EventType::PaymentDisputed,
        };
        let data = EventData::Payment(PaymentEventData {
            payment_id: row.payment,
            order_id: row.order,
            sale_id: row.sale,
            slug,
            product,
            buyer_id: row.buyer,
            buyer_email: None,
            method: row.method.clone(),
            amount: row.amount.into(),
            reason: (row.state == PaymentEventState::Declined).then(|| row.reason.clone()),
            version: row.step.unsigned_abs(),
        });
        let id = match row.part {
            Some(part) => payment_event_id(row.payment, &format!("{}/{part}", row.state.as_str())),
            None => payment_event_id(row.payment, row.state.as_str()),
        };
        let document = self.addresses.document(event_type, id, row.at, data);
        Ok(PublishedEvent { document, sale: row.sale, origin: EventOrigin::Payment, makes_order: false })
    }
}
