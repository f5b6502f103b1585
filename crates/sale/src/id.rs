//! Ids. An id carries no moment and no order: the ledger's `seq` and the line's tickets do.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// One flash sale of one product.
    SaleId
);
uuid_id!(
    /// A customer in a sale: an account, or a guest known by e-mail.
    BuyerId
);
uuid_id!(
    /// One order: a hold, and what became of it.
    OrderId
);

impl OrderId {
    /// An order id made of `id`, with the last two bytes of the sale's id: a caller that has only the order's id need not
    /// search every sale for it.
    #[must_use]
    pub fn with_sale_suffix(id: Uuid, sale: SaleId) -> Self {
        let mut bytes = id.into_bytes();
        bytes[14..].copy_from_slice(&sale.0.as_bytes()[14..]);
        Self(Uuid::from_bytes(bytes))
    }

    /// Whether [`OrderId::with_sale_suffix`] may have made the id for this sale. Other ids are true by chance only.
    #[must_use]
    pub fn may_belong_to(self, sale: SaleId) -> bool {
        self.0.as_bytes()[14..] == sale.0.as_bytes()[14..]
    }
}

/// A buyer's number in a sale's waiting line: 1, 2, 3 …, given once, never reused, never a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub u32);

/// The number of an event within its sale: 1, 2, 3 …. Also the `version` that every reply and update carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventSeq(pub u64);

impl EventSeq {
    /// The number that follows this one; the last number is followed by itself, so that a damaged ledger cannot panic.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A digest of a buyer's `Idempotency-Key`: the law compares keys, it does not need their text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestKey(pub [u8; 16]);

impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestKey({:032x})", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for EventSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
