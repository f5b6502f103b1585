//! Mail: the languages of buyers, the templates, and the relay that takes mails over SMTP. It never decides who gets a mail, and stores
//! nothing.

pub mod language;

pub mod templates;

pub mod relay;

use std::fmt;

/// What a mail is about; each kind has a template in each language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MailKind {
    /// A link that proves that the address is that of the account.
    ConfirmAddress,
    /// A link to choose a new password.
    ResetPassword,
    /// A code with which a guest is the same buyer again.
    GuestCode,
    /// The receipt of an order.
    OrderConfirmed,
    OrderRefunded,
    /// A buyer in line may buy now.
    YourTurn,
    TurnMissed,
    /// A sale starts soon.
    SaleReminder,
    /// A unit came back.
    UnitReturned,
    /// To an admin: a webhook endpoint was disabled.
    EndpointDisabled,
    /// To an admin: a payment needs a person.
    PaymentStuck,
}

impl MailKind {
    pub const ALL: [Self; 11] = [
        Self::ConfirmAddress,
        Self::ResetPassword,
        Self::GuestCode,
        Self::OrderConfirmed,
        Self::OrderRefunded,
        Self::YourTurn,
        Self::TurnMissed,
        Self::SaleReminder,
        Self::UnitReturned,
        Self::EndpointDisabled,
        Self::PaymentStuck,
    ];

    /// The word for it in tables, metrics and the names of templates.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfirmAddress => "confirm_address",
            Self::ResetPassword => "reset_password",
            Self::GuestCode => "guest_code",
            Self::OrderConfirmed => "order_confirmed",
            Self::OrderRefunded => "order_refunded",
            Self::YourTurn => "your_turn",
            Self::TurnMissed => "turn_missed",
            Self::SaleReminder => "sale_reminder",
            Self::UnitReturned => "unit_returned",
            Self::EndpointDisabled => "endpoint_disabled",
            Self::PaymentStuck => "payment_stuck",
        }
    }

    /// Whether the merchant may switch it off. Nobody gets into an account without the others.
    #[must_use]
    pub fn has_switch(self) -> bool {
        !matches!(self, Self::ConfirmAddress | Self::ResetPassword | Self::GuestCode)
    }

    /// The variables of its templates, besides those of every mail.
    #[must_use]
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::ConfirmAddress | Self::ResetPassword => &["username", "link", "minutes"],
            Self::GuestCode => &["code", "minutes"],
            Self::OrderConfirmed => &["product", "quantity", "unit_price", "total", "order", "link"],
            Self::OrderRefunded => &["product", "amount", "order", "link"],
            Self::YourTurn => &["product", "link", "until"],
            Self::TurnMissed => &["product", "link"],
            Self::SaleReminder => &["product", "link", "starts_at", "unsubscribe_url"],
            Self::UnitReturned => &["product", "link", "unsubscribe_url"],
            Self::EndpointDisabled => &["endpoint", "is_gone", "link"],
            Self::PaymentStuck => &["payment", "order", "state", "count", "link"],
        }
    }
}

impl std::str::FromStr for MailKind {
    type Err = UnknownMailKind;
    fn from_str(text: &str) -> Result<Self, UnknownMailKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownMailKind)
    }
}

/// There is no mail of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no mail of this kind")]
pub struct UnknownMailKind;

impl fmt::Display for MailKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
