//! The receiver of all events: CloudEvents in the binary mode of the Kafka binding. The key is the sale's id, so the events of a sale stay
//! in order; the steps of payments have the key of their sale, too.

use super::{KAFKA_PACE, KafkaSettings, KafkaWriter, OutgoingMessage, headers};
use crate::followers::event_receiver::{EventReceiver, ReceiverStart};
use crate::followers::follower::{FollowerError, FollowerPace};
use crate::shop::published_events::PublishedEvent;
use crate::store::Store;
use documents::{PublishedEventDocument, rfc3339};

/// The name of the follower.
pub const FOLLOWER_NAME: &str = "kafka";

pub struct KafkaEvents {
    writer: KafkaWriter,
}

impl KafkaEvents {
    #[must_use]
    pub fn new(settings: KafkaSettings, topic: String) -> Self {
        Self { writer: KafkaWriter::new(settings, topic, |layout| layout.partitions) }
    }
}

impl EventReceiver for KafkaEvents {
    const NAME: &'static str = FOLLOWER_NAME;
    const START: ReceiverStart = ReceiverStart::Beginning;
    const PACE: FollowerPace = KAFKA_PACE;

    fn batch_len(&self) -> usize {
        self.writer.batch_len()
    }

    async fn deliver(&mut self, _tables: &Store, events: &[PublishedEvent]) -> Result<(), FollowerError> {
        let mut messages = Vec::with_capacity(events.len());
        for event in events {
            messages.push(message(event).map_err(|error| FollowerError::Delivery(Box::new(error)))?);
        }
        let sent = self.writer.send_all(&messages).await;
        sent.map_err(|failure| FollowerError::Delivery(Box::new(failure)))
    }
}

fn message(event: &PublishedEvent) -> Result<OutgoingMessage, serde_json::Error> {
    let PublishedEventDocument { specversion, id, source, event_type, subject, time, .. } = &event.document;
    let PublishedEventDocument { datacontenttype, dataschema, data, .. } = &event.document;
    let time = rfc3339(*time);
    let headers = headers([
        ("content-type", datacontenttype.as_ref()),
        ("ce_specversion", specversion.as_ref()),
        ("ce_id", id),
        ("ce_source", source),
        ("ce_type", event_type.as_str()),
        ("ce_subject", subject),
        ("ce_time", &time),
        ("ce_dataschema", dataschema),
    ]);
    let body = serde_json::to_vec(data)?;
    Ok(OutgoingMessage { key: event.sale.to_string(), headers: Some(headers), body })
}
