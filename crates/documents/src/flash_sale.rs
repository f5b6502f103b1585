//! A sale as everyone sees it.

use crate::moment;
use crate::money::MoneyDocument;
use sale::{AdmissionMode, Availability, SaleId, SalePhase, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A flash sale.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SaleJson)]
pub struct SaleDocument {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: SaleId,
    /// Its name in addresses.
    pub slug: String,
    /// What it sells.
    pub product: ProductSummary,
    /// The price of one unit in this sale.
    pub price: MoneyDocument,
    /// The product's list price.
    pub list_price: MoneyDocument,
    /// Units of the sale, with all that were added.
    pub quantity: u32,
    /// Units that nobody has.
    pub available: u32,
    /// Units in other carts: in orders that are not paid yet.
    pub held: u32,
    /// Units that are sold.
    pub sold: u32,
    /// Whether a unit can be had: `all_held` means that one may still come back, `over` that the sale is.
    pub availability: AvailabilityDocument,
    /// What the sale is doing.
    pub status: SaleStatusDocument,
    /// When it starts.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// When it ends.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub ends_at: Timestamp,
    /// Units that one buyer may hold and own.
    pub limit_per_buyer: u32,
    /// Who is one buyer for that limit. It never changes.
    pub limit_by: LimitScopeDocument,
    /// Whether only buyers with a confirmed e-mail address may join the line and order. It never changes.
    #[serde(default)]
    #[schema(required = true)]
    pub require_confirmed_email: bool,
    /// Whether a unit must be paid before it is sold. It never changes.
    pub payment: SalePaymentDocument,
    /// Seconds for which a unit is held for its payment. 0 sells at once.
    pub hold_seconds: u32,
    /// Who may buy.
    pub admission: AdmissionDocument,
    /// Buyers who wait in line; 0 once the sale is over.
    pub waiting: u32,
    /// When this was written.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub server_time: Timestamp,
    /// The sale's last event; grows with each change.
    pub version: u64,
}

/// The product of a sale.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SoldJson)]
pub struct ProductSummary {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Its category.
    pub category: Option<String>,
    /// Its picture.
    pub image_url: Option<String>,
}

/// Who may buy while a sale is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
#[schema(as = AdmissionJson)]
pub enum AdmissionDocument {
    /// Anyone.
    Open,
    /// Buyers whom the waiting line admits, in order of arrival.
    // On the variant, because the schema does not see `rename_all_fields`.
    #[serde(rename_all = "camelCase")]
    Fifo {
        /// Admissions a second, at most.
        per_second: u32,
        /// Seconds that an admission lasts.
        checkout_seconds: u32,
        /// Seconds before the start at which the line opens.
        line_opens_seconds_before: u32,
        /// Seconds that an admitted buyer may add to `checkoutSeconds`, once, for the asking; absent where there are none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(maximum = 86400, nullable = false)]
        extension_seconds: Option<u32>,
    },
}

/// Whether a unit must be paid before it is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SalePayment)]
pub enum SalePaymentDocument {
    /// A unit is held for its payment.
    Required,
    /// A unit is sold at once, and the shop takes no money for it.
    None,
}

/// Who is one buyer for the limit of a sale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = LimitScope)]
pub enum LimitScopeDocument {
    /// Each account.
    #[default]
    Account,
    /// All accounts whose e-mail addresses belong to one mailbox. One of them may buy: the first that joins the line or orders.
    Mailbox,
}

/// Whether a unit can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Availability)]
pub enum AvailabilityDocument {
    /// A unit is free.
    Available,
    /// All units are in other carts; you may still get one.
    AllHeld,
    /// Every unit is sold.
    SoldOut,
    /// The sale is over: a unit can be had only by buyers whose turn has begun.
    Over,
}

/// What a sale is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SaleStatus)]
pub enum SaleStatusDocument {
    /// It has not started.
    Upcoming,
    /// Units may be ordered.
    Active,
    /// It is stopped for a while.
    Paused,
    /// Its time is over.
    Ended,
    /// The merchant ended it.
    Closed,
}

impl From<AdmissionMode> for AdmissionDocument {
    fn from(admission: AdmissionMode) -> Self {
        match admission {
            AdmissionMode::Open => Self::Open,
            AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, extension_s } => Self::Fifo {
                per_second,
                checkout_seconds: checkout_s,
                line_opens_seconds_before: line_opens_s,
                extension_seconds: (extension_s > 0).then_some(extension_s),
            },
        }
    }
}

impl From<AdmissionDocument> for AdmissionMode {
    fn from(document: AdmissionDocument) -> Self {
        match document {
            AdmissionDocument::Open => Self::Open,
            AdmissionDocument::Fifo {
                per_second,
                checkout_seconds: checkout_s,
                line_opens_seconds_before: line_opens_s,
                extension_seconds,
            } => {
                let extension_s = extension_seconds.unwrap_or(0);
                Self::Fifo { per_second, checkout_s, line_opens_s, extension_s }
            }
        }
    }
}

impl AvailabilityDocument {
    /// What a buyer who comes now may hope for.
    #[must_use]
    pub fn new(availability: Availability, is_over: bool) -> Self {
        match availability {
            Availability::SoldOut => Self::SoldOut,
            _ if is_over => Self::Over,
            Availability::Available => Self::Available,
            Availability::AllHeld => Self::AllHeld,
        }
    }
}

impl From<SalePhase> for SaleStatusDocument {
    fn from(phase: SalePhase) -> Self {
        match phase {
            SalePhase::Upcoming => Self::Upcoming,
            SalePhase::Active => Self::Active,
            SalePhase::Paused => Self::Paused,
            SalePhase::Ended => Self::Ended,
            SalePhase::Closed => Self::Closed,
        }
    }
}
