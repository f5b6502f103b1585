//! What only admins see: a sale with its rules, how it goes, and everyone's orders.

use crate::flash_sale::SaleDocument;
use crate::moment;
use crate::money::MoneyDocument;
use crate::order::OrderStatusDocument;
use sale::{BuyerId, OrderId, SaleId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A sale as admins see it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminSaleJson)]
pub struct AdminSaleDocument {
    #[serde(flatten)]
    pub sale: SaleDocument,
    /// Units set aside for buyers who may buy now, one each.
    pub admitted: u32,
    /// Seconds a unit is held for its payment; 0 sells at once.
    pub hold_seconds: u32,
    /// `none` sells at once.
    pub payment: SalePaymentDocument,
    /// When it was made.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Whether a unit is to be paid before it is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SalePayment)]
pub enum SalePaymentDocument {
    /// A unit is held for its payment.
    Required,
    /// A unit is sold at once.
    None,
}

/// How a sale goes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OverviewJson)]
pub struct OverviewDocument {
    /// The sale, with its counters as the engine has them now.
    pub sale: AdminSaleDocument,
    /// Its orders by status.
    pub orders: Vec<StatusTotalDocument>,
    /// What buyers paid and did not get back.
    pub revenue: MoneyDocument,
    /// Orders made in the last 60 seconds.
    pub orders_last_minute: u64,
    /// Refused attempts by code.
    pub refusals: Vec<RefusalCountDocument>,
    /// The `version` of the sale that orders, revenue and attempts are of.
    pub projected_version: u64,
    /// Events that the tables are behind the sale above; 0 when they show all of it.
    pub projection_lag: u64,
}

/// Orders in one status.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatusSumJson)]
pub struct StatusTotalDocument {
    /// The status.
    pub status: String,
    /// How many orders.
    pub orders: u64,
    /// Their units.
    pub units: u64,
    /// Their price.
    pub total: MoneyDocument,
}

/// Refusals of one sort.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RefusalsJson)]
pub struct RefusalCountDocument {
    /// The refusal's code.
    pub code: String,
    /// How many.
    pub count: u64,
}

/// Who a buyer is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Buyer)]
pub struct BuyerDocument {
    /// The account's id.
    #[schema(value_type = Uuid)]
    pub id: BuyerId,
    /// The address; null when there is no account of this id any more.
    pub email: Option<String>,
    /// The name; null when there is no account of this id any more.
    pub username: Option<String>,
}

/// An order as admins see it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminOrderJson)]
pub struct AdminOrderDocument {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: OrderId,
    /// Of which sale.
    #[schema(value_type = Uuid)]
    pub flash_sale_id: SaleId,
    /// What the sale sells.
    pub product: Option<String>,
    /// Whose.
    pub buyer: BuyerDocument,
    /// Its units.
    pub quantity: u32,
    /// The price of one unit.
    pub unit_price: MoneyDocument,
    /// The price of all of it.
    pub total: MoneyDocument,
    /// What has become of it.
    pub status: OrderStatusDocument,
    /// Until when a pending order's units are held.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Of a refunded order: whether its units went back into the sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restocked: Option<bool>,
    /// When it was made.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// When it was paid, or sold at once.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paid_at: Option<Timestamp>,
    /// The number of the event that last changed it, in the sale's ledger.
    pub version: u64,
}
