//! Webhooks: endpoints of the merchant, and deliveries of events to them. A follower writes a delivery for each event and endpoint
//! ([`outgoing`]), and the [`sender`] sends what is due. Nothing is sent that is not in the tables.

pub mod deliveries;
pub mod endpoints;
pub mod outgoing;
pub mod sender;

use crate::webhooks::address::{ForbiddenAddress, WebhookUrlError};
use crate::webhooks::client::WebhookClient;
use sale::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

pub use crate::store::webhook_deliveries::{DeliveryRow, DeliveryState};
pub use crate::store::webhook_endpoints::{DisabledReason, EndpointRow};
pub use crate::webhooks::address::URL_LEN_MAX;
pub use crate::webhooks::secret::WebhookSecret;

/// Endpoints of a shop. The sender gives each at least one place, so there are not more than places for that.
pub const ENDPOINTS_MAX: usize = 64;
/// Deliveries are kept for so long.
pub const KEPT_FOR: Duration = Duration::from_hours(30 * 24);

/// What the use cases of webhooks share in a process.
pub struct WebhookService {
    pub client: Arc<WebhookClient>,
    /// Wakes the sender of this process.
    pub wake: Arc<Notify>,
}

/// Why a request about webhooks is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookRefusal {
    /// Links and sources of events need the public address.
    PublicUrlMissing,
    TooManyEndpoints,
    EndpointUnknown,
    DeliveryUnknown,
    /// The endpoint is disabled.
    Disabled,
    Url(WebhookUrlError),
    /// The position of a type that does not exist.
    TypeUnknown(usize),
    NoTypes,
    /// The position of a sale that does not exist.
    SaleUnknown(usize),
    TooManySales,
}

impl From<ForbiddenAddress> for WebhookRefusal {
    fn from(forbidden: ForbiddenAddress) -> Self {
        Self::Url(forbidden.into())
    }
}

/// The moment before which deliveries are forgotten.
fn kept_since(now: Timestamp) -> Timestamp {
    now.plus_ms(-i64::try_from(KEPT_FOR.as_millis()).unwrap_or(i64::MAX))
}
