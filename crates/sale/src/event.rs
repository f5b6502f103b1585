//! What happened. Events are facts: they carry all that is needed to apply them, and applying one never fails.

use crate::id::{BuyerId, EventSeq, OrderId, RequestKey, Ticket};
use crate::policy::Policy;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// An event with its place in the sale's ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Its number within the sale.
    pub seq: EventSeq,
    /// When it was decided.
    pub at: Timestamp,
    pub event: Event,
}

/// One fact of a sale. The order of the variants and fields is the ledger's encoding: append only, never reorder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The sale was announced, or its promises changed. A larger quantity adds free units.
    Configured { policy: Box<Policy> },
    /// The sale was paused.
    Paused,
    /// The sale continues. Admissions get back the time that the pause took.
    Resumed,
    /// The sale was closed for good; if it was paused, admissions get their time back as by `Resumed`.
    Closed,
    /// Units were added.
    Restocked { quantity: u32 },
    /// A buyer joined the line.
    Joined { buyer: BuyerId, ticket: Ticket },
    Left {
        buyer: BuyerId,
        /// The number given up.
        ticket: Ticket,
        /// True when an admission, and so a unit, was given back.
        admitted: bool,
    },
    /// A buyer may buy: one unit is set aside.
    Admitted { buyer: BuyerId, ticket: Ticket, until: Timestamp },
    /// An admission ran out: its unit is free again.
    Lapsed { buyer: BuyerId, ticket: Ticket },
    /// Units are held for an order.
    Held {
        buyer: BuyerId,
        order: OrderId,
        quantity: u32,
        until: Timestamp,
        /// Where the units came from: [`UnitSource::Stock`] or [`UnitSource::Admission`].
        from: UnitSource,
        /// Digest of the request's key.
        key: Option<RequestKey>,
    },
    /// Units are sold.
    Confirmed {
        buyer: BuyerId,
        order: OrderId,
        quantity: u32,
        /// Where the units came from: a hold, or (sold at once, or paid late) stock or an admission.
        from: UnitSource,
        /// Digest of the request's key, when sold at once.
        key: Option<RequestKey>,
    },
    /// Held units are free again.
    Released { buyer: BuyerId, order: OrderId, quantity: u32, reason: ReleaseCause },
    /// The money of an order went back.
    Refunded {
        buyer: BuyerId,
        order: OrderId,
        /// How many units.
        quantity: u32,
        /// True: the units are free again. False: they stay counted as sold.
        restocked: bool,
    },
    /// An admission got its one extension.
    Extended {
        buyer: BuyerId,
        ticket: Ticket,
        /// Until when it lasts now (in a pause, not counting the pause, as the end before it).
        until: Timestamp,
    },
    /// A payment for a pending order is in progress: the hold lasts until it has ended.
    PaymentBegun {
        buyer: BuyerId,
        order: OrderId,
        quantity: u32,
        /// The end of the hold without the payment.
        held_until: Timestamp,
        /// The end of the hold if the payment has not ended by then.
        until: Timestamp,
    },
    /// The payment in progress was declined or voided.
    PaymentEnded {
        buyer: BuyerId,
        order: OrderId,
        quantity: u32,
        /// The end of the hold, which is its own end again.
        until: Timestamp,
    },
}

/// Where the units of an order came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UnitSource {
    /// All from the free units.
    Stock,
    /// One from the buyer's admission, which is used up by it; the rest from the free units.
    Admission { ticket: Ticket },
    /// From the order's own hold.
    Hold,
}

/// Why held units became free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReleaseCause {
    /// The buyer gave them back.
    Cancelled,
    /// The payment was declined.
    Declined,
    /// The hold ran out.
    Expired,
}

impl Event {
    /// Every name, in the order of the variants.
    pub const NAMES: [&'static str; 16] = [
        "configured",
        "paused",
        "resumed",
        "closed",
        "restocked",
        "joined",
        "left",
        "admitted",
        "lapsed",
        "held",
        "confirmed",
        "released",
        "refunded",
        "extended",
        "payment_begun",
        "payment_ended",
    ];

    /// The buyer of the event; `None` for an event of the whole sale.
    #[must_use]
    pub fn buyer(&self) -> Option<BuyerId> {
        match *self {
            Self::Configured { .. }
            | Self::Paused
            | Self::Resumed
            | Self::Closed
            | Self::Restocked { .. } => None,
            Self::Joined { buyer, .. }
            | Self::Left { buyer, .. }
            | Self::Admitted { buyer, .. }
            | Self::Lapsed { buyer, .. }
            | Self::Held { buyer, .. }
            | Self::Confirmed { buyer, .. }
            | Self::Released { buyer, .. }
            | Self::Refunded { buyer, .. }
            | Self::Extended { buyer, .. }
            | Self::PaymentBegun { buyer, .. }
            | Self::PaymentEnded { buyer, .. } => Some(buyer),
        }
    }

    /// The event's name, as in tapes, in the ledger's `kind` column and in the API.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Configured { .. } => "configured",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Closed => "closed",
            Self::Restocked { .. } => "restocked",
            Self::Joined { .. } => "joined",
            Self::Left { .. } => "left",
            Self::Admitted { .. } => "admitted",
            Self::Lapsed { .. } => "lapsed",
            Self::Held { .. } => "held",
            Self::Confirmed { .. } => "confirmed",
            Self::Released { .. } => "released",
            Self::Refunded { .. } => "refunded",
            Self::Extended { .. } => "extended",
            Self::PaymentBegun { .. } => "payment_begun",
            Self::PaymentEnded { .. } => "payment_ended",
        }
    }
}
