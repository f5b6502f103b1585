//! The event with which an admin tries an endpoint of webhooks out. Nothing has happened, so it is none of [`EventType`]: it cannot be
//! subscribed to, and only the endpoint gets it.

use super::{DATA_CONTENT_TYPE, EventAddresses, EventType, SPEC_VERSION};
use crate::moment;
use sale::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Its type, without the prefix.
pub const TEST_EVENT_NAME: &str = "webhook.test";
pub(super) const TEST_EVENT_DESCRIPTION: &str =
    "An admin tries the endpoint out. Nothing has happened, and no other receiver gets it.";

/// A test in the structured mode of CloudEvents.
#[derive(Clone, Debug, Serialize)]
pub struct TestEventDocument {
    pub specversion: &'static str,
    pub id: String,
    pub source: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub subject: String,
    #[serde(with = "moment")]
    pub time: Timestamp,
    pub datacontenttype: &'static str,
    pub dataschema: String,
    pub data: TestEventData,
}

/// A test of an endpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TestEventData)]
pub struct TestEventData {
    /// The endpoint.
    pub webhook_id: Uuid,
    /// What it is, for people.
    pub message: String,
}

/// The type with its prefix.
#[must_use]
pub fn test_event_type() -> String {
    format!("{}{TEST_EVENT_NAME}", EventType::PREFIX)
}

impl EventAddresses {
    /// The document of a test of an endpoint; each test has an id of its own.
    #[must_use]
    pub fn test_document(&self, endpoint: Uuid, test: Uuid, time: Timestamp) -> TestEventDocument {
        TestEventDocument {
            specversion: SPEC_VERSION,
            id: format!("webhooks/{endpoint}/test/{test}"),
            source: self.source.clone(),
            event_type: test_event_type(),
            subject: format!("webhooks/{endpoint}"),
            time,
            datacontenttype: DATA_CONTENT_TYPE,
            dataschema: self.schema_url(&test_event_type()),
            data: TestEventData {
                webhook_id: endpoint,
                message: "This is a test of a webhook endpoint; nothing has happened.".to_owned(),
            },
        }
    }
}
