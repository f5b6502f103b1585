//! The JSON documents of the API. The server writes them in HTTP replies, in event lists and to sockets; a rehearsal, which
//! knows an instance by its API alone, reads them. So each document has one type, with both directions.
//!
//! The order of the fields is their order in the JSON text. The crate knows the law's types and nothing of the shop, the
//! engine or HTTP. The names in the OpenAPI description are contracts: a type's name may change, its `as` may not.

pub mod moment;

pub mod money;

pub mod order;

pub mod flash_sale;

pub mod place;

pub mod line_feed;

pub mod event;

pub mod published_event;

pub mod socket;

pub mod admin;

pub use admin::{AdminOrderDocument, AdminSaleDocument, BuyerDocument, OverviewDocument};
pub use event::EventDocument;
pub use flash_sale::{
    AdmissionDocument, AvailabilityDocument, ProductSummary, SaleDocument, SaleStatusDocument,
};
pub use line_feed::{LineDocument, LineFeedDocument};
pub use moment::rfc3339;
pub use money::MoneyDocument;
pub use order::{
    NextActionDocument, OrderDocument, OrderStatusDocument, PaymentDocument, SoldProductDocument,
};
pub use place::PlaceDocument;
pub use published_event::{EventAddresses, EventType, PublishedEventDocument, TEST_EVENT_NAME};
