//! A sale as everyone sees it: the catalogue's listing and the engine's view in one document.

use super::money_json::MoneyJson;
use super::rfc3339;
use crate::shop::catalogue::SaleListing;
use crate::shop::products::Product;
use engine::SaleView;
use sale::{AdmissionMode, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A flash sale.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaleJson {
    /// Its id.
    pub id: Uuid,
    /// Its name in addresses.
    pub slug: String,
    /// What it sells.
    pub product: SoldJson,
    /// The price of one unit in this sale.
    pub price: MoneyJson,
    /// The product's list price.
    pub list_price: MoneyJson,
    /// Units of the sale, with all that were added.
    pub quantity: u32,
    /// Units that nobody has.
    pub available: u32,
    /// Units in other carts: in orders that are not paid yet.
    pub held: u32,
    /// Units that are sold.
    pub sold: u32,
    /// Whether a unit can be had: `all_held` means that one may still come back.
    #[schema(value_type = AvailabilityJson)]
    pub availability: &'static str,
    /// What the sale is doing.
    #[schema(value_type = SaleStatusJson)]
    pub status: &'static str,
    /// When it starts.
    #[schema(format = DateTime)]
    pub starts_at: String,
    /// When it ends.
    #[schema(format = DateTime)]
    pub ends_at: String,
    /// Units that one buyer may hold and own.
    pub limit_per_buyer: u32,
    /// Who may buy.
    pub admission: AdmissionJson,
    /// Buyers who wait in line.
    pub waiting: u32,
    /// When this was written.
    #[schema(format = DateTime)]
    pub server_time: String,
    /// The sale's last event; grows with each change.
    pub version: u64,
}

/// The product of a sale.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoldJson {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What is told about it.
    pub description: String,
    /// Its category.
    pub category: Option<String>,
    /// Its picture.
    pub image_url: Option<String>,
}

/// Who may buy while a sale is active.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum AdmissionJson {
    /// Anyone.
    Open,
    /// Whoever the waiting line admits, in order of arrival.
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
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(maximum = 86400, nullable = false)]
        extension_seconds: Option<u32>,
    },
}

/// Whether a unit can be had.
#[derive(ToSchema)]
#[schema(as = Availability, rename_all = "snake_case")]
pub enum AvailabilityJson {
    /// A unit is free.
    Available,
    /// All units are in other carts; you may still get one.
    AllHeld,
    /// Every unit is sold.
    SoldOut,
}

/// What a sale is doing.
#[derive(ToSchema)]
#[schema(as = SaleStatus, rename_all = "lowercase")]
pub enum SaleStatusJson {
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

impl SaleJson {
    /// A sale as it is at `now`.
    #[must_use]
    pub fn from_view(listing: &SaleListing, view: &SaleView, now: Timestamp) -> Self {
        let (policy, units) = (&view.policy, view.counters);
        Self {
            id: listing.sale.0,
            slug: listing.slug.clone(),
            product: SoldJson::from(listing.product.as_ref()),
            price: policy.unit_price.into(),
            list_price: listing.product.price.into(),
            quantity: units.quantity,
            available: units.available,
            held: units.held,
            sold: units.sold,
            availability: view.availability.as_str(),
            status: view.phase(now).as_str(),
            starts_at: rfc3339(policy.starts_at),
            ends_at: rfc3339(policy.ends_at),
            limit_per_buyer: policy.limit_per_buyer,
            admission: policy.admission.into(),
            waiting: units.waiting,
            server_time: rfc3339(now),
            version: view.seq.0,
        }
    }
}

impl From<&Product> for SoldJson {
    fn from(product: &Product) -> Self {
        Self {
            id: product.id.0,
            name: product.name.clone(),
            description: product.description.clone(),
            category: product.category.clone(),
            image_url: product.image_url.clone(),
        }
    }
}

impl From<AdmissionMode> for AdmissionJson {
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
