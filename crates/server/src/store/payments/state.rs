//! How far a payment has come.

/// How far a payment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentState {
    /// About to be authorised. The provider may or may not know of it.
    Started,
    /// The buyer has a page of the provider to pay on. The order is held as long as without it, until the payment is submitted.
    Open,
    /// The money is authorised; the order may or may not be confirmed.
    Authorised,
    /// The order is confirmed and the money is taken. Settled.
    Captured,
    /// The provider said no. Settled.
    Declined,
    /// The order was refused, or nothing came of the authorisation: the money is to be let go, whatever happens.
    Voiding,
    /// The shop has kept no money: it was let go, paid back, or given to the buyer by the bank after a dispute. Settled.
    Voided,
    /// The money is to be given back, whatever happens.
    Refunding,
    /// The money was given back. Settled.
    Refunded,
}

impl PaymentState {
    pub(super) const ALL: [Self; 9] = [
        Self::Started,
        Self::Open,
        Self::Authorised,
        Self::Captured,
        Self::Declined,
        Self::Voiding,
        Self::Voided,
        Self::Refunding,
        Self::Refunded,
    ];

    /// Whether nothing is left to be done.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Captured | Self::Declined | Self::Voided | Self::Refunded)
    }

    /// The word for it in tables, logs and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Open => "open",
            Self::Authorised => "authorised",
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Voiding => "voiding",
            Self::Voided => "voided",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
        }
    }
}
