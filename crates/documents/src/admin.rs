//! What only admins see: a sale with its rules, how it goes, and everyone's orders.

use crate::flash_sale::SaleDocument;
use crate::moment;
use crate::money::MoneyDocument;
use crate::order::OrderStatusDocument;
use sale::{BuyerId, OrderId, SaleId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A sale in the replies for admins.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminSaleJson)]
pub struct AdminSaleDocument {
    #[serde(flatten)]
    pub sale: SaleDocument,
    /// Units reserved for admitted buyers, one each.
    pub admitted: u32,
    /// The name of the provider through which its orders are paid. It never changes.
    pub provider: String,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The state of a sale.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OverviewJson)]
pub struct OverviewDocument {
    /// The sale with its current counters.
    pub sale: AdminSaleDocument,
    /// Orders by status.
    pub orders: Vec<StatusTotalDocument>,
    /// Payments minus refunds. What is sold without a payment is not in it.
    pub revenue: MoneyDocument,
    /// Orders made in the last 60 seconds.
    pub orders_last_minute: u64,
    /// Refused attempts by code.
    pub refusals: Vec<RefusalCountDocument>,
    /// The `version` of the sale to which orders, revenue and attempts belong.
    pub projected_version: u64,
    /// Events by which the tables lag behind `sale`.
    pub projection_lag: u64,
}

/// Orders of one status.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatusSumJson)]
pub struct StatusTotalDocument {
    pub status: String,
    pub orders: u64,
    pub units: u64,
    /// The price of all of them.
    pub total: MoneyDocument,
}

/// Refusals with one code.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RefusalsJson)]
pub struct RefusalCountDocument {
    /// The refusal's code.
    pub code: String,
    pub count: u64,
}

/// A buyer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Buyer)]
pub struct BuyerDocument {
    #[schema(value_type = Uuid)]
    pub id: BuyerId,
    /// The account's address, or the text by which a guest is known. Null when the account was deleted.
    pub email: Option<String>,
    /// Null of a guest, and when the account was deleted.
    pub username: Option<String>,
}

/// An order in the replies for admins.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminOrderJson)]
pub struct AdminOrderDocument {
    #[schema(value_type = Uuid)]
    pub id: OrderId,
    #[schema(value_type = Uuid)]
    pub flash_sale_id: SaleId,
    /// The name of the product, as the sale showed it when the order was made.
    pub product: Option<String>,
    pub buyer: BuyerDocument,
    pub quantity: u32,
    /// The price of one unit.
    pub unit_price: MoneyDocument,
    /// The price of the whole order.
    pub total: MoneyDocument,
    pub status: OrderStatusDocument,
    /// Whether a payment is in progress.
    pub paying: bool,
    /// Whether it must be paid before it is confirmed.
    pub payment_required: bool,
    /// The units of a pending order are held until then, unless a payment is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Of a refunded order: whether its units are sold again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restocked: Option<bool>,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// When it was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paid_at: Option<Timestamp>,
    /// The number of its last event in the sale's ledger.
    pub version: u64,
}
