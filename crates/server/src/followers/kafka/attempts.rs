//! The receiver of accepted attempts, for consumers of the design that `attempts` answers: a message for each order that an account made,
//! none for a refused attempt and none for a guest. Accounts, products and sales have their integer ids, as text.

use super::{KAFKA_PACE, KafkaSettings, KafkaWriter, OutgoingMessage};
use crate::followers::event_receiver::{EventReceiver, ReceiverStart};
use crate::followers::follower::{FollowerError, FollowerPace};
use crate::shop::catalogue::SaleCatalogue;
use crate::shop::published_events::PublishedEvent;
use crate::store::Store;
use crate::store::integer_ids::{self, SaleIntegerIds};
use documents::rfc3339;
use sale::SaleId;
use serde::Serialize;
use std::sync::Arc;

/// The name of the follower.
pub const FOLLOWER_NAME: &str = "kafka_attempts";

pub struct KafkaAttempts {
    writer: KafkaWriter,
    catalogue: Arc<SaleCatalogue>,
}

/// An accepted attempt.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptMessage {
    user_id: String,
    product_id: String,
    sale_id: String,
    timestamp: String,
}

/// The sale of an order is not listed, so it has no integer id.
#[derive(Debug, thiserror::Error)]
#[error("sale {0} has orders and is not listed; it is listed again at the next start")]
struct UnlistedSale(SaleId);

impl KafkaAttempts {
    #[must_use]
    pub fn new(settings: KafkaSettings, topic: String, catalogue: Arc<SaleCatalogue>) -> Self {
        Self { writer: KafkaWriter::new(settings, topic, |layout| layout.attempts_partitions), catalogue }
    }

    /// The integer ids of a sale, which another process may have just listed.
    async fn find_sale(&self, tables: &Store, sale: SaleId) -> Result<SaleIntegerIds, FollowerError> {
        if let Some(ids) = self.catalogue.integer_ids(sale) {
            return Ok(ids);
        }
        self.catalogue.refresh(tables).await?;
        let found = self.catalogue.integer_ids(sale);
        found.ok_or_else(|| FollowerError::Delivery(Box::new(UnlistedSale(sale))))
    }
}

impl EventReceiver for KafkaAttempts {
    const NAME: &'static str = FOLLOWER_NAME;
    const START: ReceiverStart = ReceiverStart::Beginning;
    const PACE: FollowerPace = KAFKA_PACE;

    fn batch_len(&self) -> usize {
        self.writer.batch_len()
    }

    async fn deliver(&mut self, tables: &Store, events: &[PublishedEvent]) -> Result<(), FollowerError> {
        let mut messages = Vec::new();
        for event in events.iter().filter(|event| event.makes_order) {
            let Some(buyer) = event.document.data.buyer_id() else { continue };
            // A guest has none.
            let Some(user) = integer_ids::number_user(tables, buyer).await? else { continue };
            let ids = self.find_sale(tables, event.sale).await?;
            let message = AttemptMessage {
                user_id: user.to_string(),
                product_id: ids.product.to_string(),
                sale_id: ids.sale.to_string(),
                timestamp: rfc3339(event.document.time),
            };
            let body =
                serde_json::to_vec(&message).map_err(|error| FollowerError::Delivery(Box::new(error)))?;
            messages.push(OutgoingMessage { key: message.user_id, headers: None, body });
        }
        let sent = self.writer.send_all(&messages).await;
        sent.map_err(|failure| FollowerError::Delivery(Box::new(failure)))
    }
}
