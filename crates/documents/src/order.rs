//! An order as its buyer sees it.

use crate::moment;
use crate::money::MoneyDocument;
use sale::{Money, OrderId, OrderStatus, OrderView, SaleId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderJson)]
pub struct OrderDocument {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: OrderId,
    /// Of which sale.
    #[schema(value_type = Uuid)]
    pub flash_sale_id: SaleId,
    /// What was sold, as the sale showed it when the order was made.
    pub product: SoldProductDocument,
    /// What has become of it.
    pub status: OrderStatusDocument,
    /// Its units.
    pub quantity: u32,
    /// The price of one unit.
    pub unit_price: MoneyDocument,
    /// The price of all units.
    pub total: MoneyDocument,
    /// Whether a payment is in progress: nothing is to be tried again, and the order does not expire before the payment has ended.
    pub paying: bool,
    /// Whether it must be paid before it is confirmed; false where the sale takes no payment.
    pub payment_required: bool,
    /// The name of the provider through which it is paid; absent where the sale takes no payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// While it is pending: until when its units are held, unless a payment is in progress then.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its status last changed.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Its payment, in the reply to a payment or a refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentDocument>,
    /// What the buyer has to do, in the reply to a payment on a page of the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<NextActionDocument>,
}

/// What the buyer has to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
#[schema(as = NextAction)]
pub enum NextActionDocument {
    /// Pay on this page. Afterwards it leads back to the order.
    Redirect {
        /// A whole address, or a path of the shop's own site.
        url: String,
    },
}

/// A product as it was sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SoldProduct)]
pub struct SoldProductDocument {
    /// The product's id.
    pub id: Uuid,
    pub name: String,
    pub description: String,
    pub image_url: Option<String>,
}

/// A payment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Payment)]
pub struct PaymentDocument {
    /// Its id; also the provider's reference.
    pub id: Uuid,
    /// How it was paid.
    pub method: String,
    /// How far it has come: `open` is to be paid on a page of the provider, `authorised` money is set aside and is taken soon, `refunding`
    /// money is on its way back, `voided` money of a refunded order was never taken, or the bank
    /// gave it to the buyer after a dispute.
    #[schema(pattern = "^(open|authorised|captured|refunding|refunded|voided)$")]
    pub status: String,
    /// How much.
    pub amount: MoneyDocument,
    /// What went back in parts, or is on its way; all of it once it is refunded.
    pub refunded: MoneyDocument,
}

/// What has become of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = OrderStatus)]
pub enum OrderStatusDocument {
    /// Units are held until `expiresAt`.
    Pending,
    /// Paid, or sold by a sale that takes no payment.
    Confirmed,
    /// The hold ran out.
    Expired,
    /// The buyer gave it back.
    Cancelled,
    /// The payment was declined, and the units were given back with it, as versions before this one did.
    Declined,
    /// Paid, and the money went back.
    Refunded,
}

impl OrderDocument {
    /// An order of a sale with this price, and the product as it was sold. `payment_required` says whether the sale takes payments.
    ///
    /// # Panics
    /// Never: the law bounds price and quantity so that the total fits.
    #[must_use]
    pub fn from_view(
        order: &OrderView,
        sale: SaleId,
        (unit_price, payment_required): (Money, bool),
        product: SoldProductDocument,
    ) -> Self {
        let total = unit_price.checked_mul(order.quantity).expect("the law bounds price × quantity");
        let expires_at = match order.status {
            OrderStatus::Pending { until, .. } => Some(until),
            _ => None,
        };
        Self {
            id: order.id,
            flash_sale_id: sale,
            product,
            status: order.status.into(),
            quantity: order.quantity,
            unit_price: unit_price.into(),
            total: total.into(),
            paying: order.status.is_paying(),
            payment_required,
            provider: None,
            expires_at,
            created_at: order.made_at,
            updated_at: order.changed_at,
            payment: None,
            next_action: None,
        }
    }
}

impl OrderStatusDocument {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Declined => "declined",
            Self::Refunded => "refunded",
        }
    }
}

impl From<OrderStatus> for OrderStatusDocument {
    fn from(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Pending { .. } => Self::Pending,
            OrderStatus::Confirmed => Self::Confirmed,
            OrderStatus::Expired => Self::Expired,
            OrderStatus::Cancelled => Self::Cancelled,
            OrderStatus::Declined => Self::Declined,
            OrderStatus::Refunded { .. } => Self::Refunded,
        }
    }
}
