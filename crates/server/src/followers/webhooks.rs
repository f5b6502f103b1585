//! The receiver of events for webhooks: writes a delivery for each event and each endpoint that wants it, in the transaction that commits
//! the offset. It sends nothing: the sender in `shop::webhooks` does.

use super::event_receiver::{EventReceiver, ReceiverStart};
use super::follower::FollowerError;
use crate::clock::TimeSource;
use crate::shop::published_events::PublishedEvent;
use crate::shop::webhooks::outgoing::{OutgoingEvent, wants_event, write_deliveries};
use crate::store::{StoreTransaction, webhook_deliveries, webhook_endpoints};
use sale::SaleId;
use std::sync::Arc;
use tokio::sync::Notify;

pub struct DeliveryWriter {
    pub now: TimeSource,
    /// Wakes the sender of this process.
    pub wake: Arc<Notify>,
}

impl EventReceiver for DeliveryWriter {
    const NAME: &'static str = "webhooks";
    // It is started with the first endpoint, which gets what has happened since its creation: a start at the present would lose what
    // happens in between.
    const START: ReceiverStart = ReceiverStart::Beginning;

    async fn record(
        &mut self,
        writing: &mut StoreTransaction,
        events: &[PublishedEvent],
    ) -> Result<(), FollowerError> {
        let endpoints = webhook_endpoints::list_enabled(writing).await?;
        let mut outgoing = Vec::new();
        for event in events {
            let (kind, at) = (event.document.event_type.short_name(), event.document.time);
            if endpoints.iter().any(|endpoint| wants_event(endpoint, kind, Some(event.sale), at)) {
                outgoing.push(build_outgoing(event)?);
            }
        }
        write_deliveries(writing, &endpoints, outgoing, (self.now)()).await?;
        Ok(())
    }

    async fn restart_sale(
        &mut self,
        writing: &mut StoreTransaction,
        sale: SaleId,
    ) -> Result<(), FollowerError> {
        Ok(webhook_deliveries::delete_pending_of_sale(writing, sale).await?)
    }

    fn handle_recorded(&mut self) {
        self.wake.notify_one();
    }
}

fn build_outgoing(event: &PublishedEvent) -> Result<OutgoingEvent, FollowerError> {
    let document = &event.document;
    let body = serde_json::to_string(document).map_err(|error| FollowerError::Delivery(Box::new(error)))?;
    Ok(OutgoingEvent {
        id: document.id.clone(),
        kind: document.event_type.short_name().to_owned(),
        sale: Some(event.sale),
        buyer: document.data.buyer_id(),
        at: document.time,
        body,
    })
}
