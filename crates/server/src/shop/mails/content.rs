//! What mails show, as the table keeps it. It holds no secret: a token is named by its id.

use crate::mail::MailKind;
use sale::{BuyerId, Money, OrderId, SaleId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The content of a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MailContent {
    ConfirmAddress { token: Uuid },
    ResetPassword { token: Uuid },
    GuestCode { token: Uuid },
    OrderConfirmed { order: MailedOrder },
    OrderRefunded { refund: MailedRefund },
    YourTurn { sale: MailedSale, buyer: BuyerId, until: Timestamp },
    TurnMissed { sale: MailedSale },
    SaleReminder { sale: MailedSale, starts_at: Timestamp, subscription: Uuid },
    UnitReturned { sale: MailedSale, subscription: Uuid },
    EndpointDisabled { endpoint: Uuid, address: String, is_gone: bool },
    PaymentStuck { payment: Uuid, order: OrderId, state: String, count: i64 },
}

/// An order as its mails show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailedOrder {
    pub order: OrderId,
    pub product: String,
    pub quantity: u32,
    pub unit_price: Money,
    pub total: Money,
    /// Whether the buyer has no account, and finds the order by its id and the address.
    pub is_guest: bool,
}

/// Money that was paid back for an order: all of it, or a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailedRefund {
    pub order: OrderId,
    pub product: String,
    pub amount: Money,
    /// Whether the buyer has no account.
    pub is_guest: bool,
}

/// A sale as its mails show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailedSale {
    pub sale: SaleId,
    pub slug: String,
    pub product: String,
}

impl MailContent {
    #[must_use]
    pub fn kind(&self) -> MailKind {
        match self {
            Self::ConfirmAddress { .. } => MailKind::ConfirmAddress,
            Self::ResetPassword { .. } => MailKind::ResetPassword,
            Self::GuestCode { .. } => MailKind::GuestCode,
            Self::OrderConfirmed { .. } => MailKind::OrderConfirmed,
            Self::OrderRefunded { .. } => MailKind::OrderRefunded,
            Self::YourTurn { .. } => MailKind::YourTurn,
            Self::TurnMissed { .. } => MailKind::TurnMissed,
            Self::SaleReminder { .. } => MailKind::SaleReminder,
            Self::UnitReturned { .. } => MailKind::UnitReturned,
            Self::EndpointDisabled { .. } => MailKind::EndpointDisabled,
            Self::PaymentStuck { .. } => MailKind::PaymentStuck,
        }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The content of a row; `None` for one that a newer version wrote.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
