//! An order as its buyer sees it.

use super::money_json::MoneyJson;
use super::rfc3339;
use crate::shop::orders::PricedOrder;
use crate::shop::payments::PaidOrder;
use sale::{Money, OrderStatus, OrderView, SaleId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// An order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderJson {
    /// Its id.
    pub id: Uuid,
    /// Of which sale.
    pub flash_sale_id: Uuid,
    /// What has become of it.
    #[schema(value_type = OrderStatusJson)]
    pub status: &'static str,
    /// Its units.
    pub quantity: u32,
    /// The price of one unit.
    pub unit_price: MoneyJson,
    /// The price of all units.
    pub total: MoneyJson,
    /// While it is pending: until when its units are held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When its status last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// Its payment, in the reply to a payment or a refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentJson>,
}

/// A payment.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Payment)]
pub struct PaymentJson {
    /// Its id; also the provider's reference.
    pub id: Uuid,
    /// How it was paid.
    pub method: String,
    /// How far it has come: `authorised` money is set aside and is taken soon, `refunding` money is on its way back.
    #[schema(pattern = "^(authorised|captured|refunding|refunded)$")]
    pub status: &'static str,
    /// How much.
    pub amount: MoneyJson,
}

/// What has become of an order.
#[derive(ToSchema)]
#[schema(as = OrderStatus, rename_all = "lowercase")]
pub enum OrderStatusJson {
    /// Units are held until `expiresAt`.
    Pending,
    /// Paid.
    Confirmed,
    /// The hold ran out.
    Expired,
    /// The buyer gave it back.
    Cancelled,
    /// The payment was declined.
    Declined,
    /// Paid, and the money went back.
    Refunded,
}

impl OrderJson {
    /// An order of a sale with this price.
    ///
    /// # Panics
    /// Never: the law bounds price and quantity so that the total fits.
    #[must_use]
    pub fn from_view(order: &OrderView, sale: SaleId, unit_price: Money) -> Self {
        let total = unit_price.checked_mul(order.quantity).expect("the law bounds price × quantity");
        let expires_at = match order.status {
            OrderStatus::Pending { until } => Some(rfc3339(until)),
            _ => None,
        };
        Self {
            id: order.id.0,
            flash_sale_id: sale.0,
            status: order.status.as_str(),
            quantity: order.quantity,
            unit_price: unit_price.into(),
            total: total.into(),
            expires_at,
            created_at: rfc3339(order.made_at),
            updated_at: rfc3339(order.changed_at),
            payment: None,
        }
    }
}

impl From<PaidOrder> for OrderJson {
    fn from(paid: PaidOrder) -> Self {
        let payment = paid.payment.map(|payment| PaymentJson {
            id: payment.id,
            method: payment.method,
            status: payment.state.as_str(),
            amount: payment.amount.into(),
        });
        Self { payment, ..paid.order.into() }
    }
}

impl From<PricedOrder> for OrderJson {
    fn from(order: PricedOrder) -> Self {
        Self::from_view(&order.view, order.sale, order.unit_price)
    }
}
