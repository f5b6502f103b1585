//! What a sale answers. A refusal is a value, not an error: it changes nothing, and its code is stable.

use crate::id::{BuyerId, OrderId, Ticket};
use crate::time::Timestamp;
use std::fmt;

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    /// The merchant's command, or a tick, is carried out.
    Done,
    /// The buyer joined the line.
    Joined {
        ticket: Ticket,
        /// Waiting buyers ahead, plus one.
        position: u32,
    },
    /// The buyer left the line, or gave the admission back.
    Left {
        /// The number that was given up.
        ticket: Ticket,
    },
    /// The buyer has more time.
    Extended {
        ticket: Ticket,
        /// The moment at which the right to buy ends now.
        until: Timestamp,
        /// True when the admission had its extension before: nothing was changed.
        repeated: bool,
    },
    /// The order as it is now; for a repeated request, as the first one made it and time has changed it since.
    Order {
        order: OrderView,
        /// True when this repeats a request that was carried out before: nothing was changed.
        repeated: bool,
    },
    Refused(Refusal),
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The sale, or its line, is not open yet (or was never announced).
    NotStarted,
    /// The sale's time is over.
    Ended,
    /// The merchant paused the sale.
    Paused,
    /// The merchant closed the sale.
    Closed,
    /// Every unit is sold.
    SoldOut,
    /// Too few units are free, but held or admitted ones may come back.
    AllHeld,
    /// The sale sells to the buyers that its line admits, and this buyer is not in the line.
    NotInLine,
    /// The buyer is in line, and not at its head yet.
    NotAdmitted {
        ticket: Ticket,
        /// Waiting buyers ahead, plus one.
        position: u32,
    },
    /// The buyer has a place already; it is kept.
    AlreadyInLine { ticket: Ticket, place: LinePosition },
    /// The sale has no line: any buyer may reserve.
    NoLine,
    /// The sale gives no admission more time.
    NoExtension,
    /// The buyer would hold and own more than the sale allows.
    LimitReached,
    /// The key was used by this buyer for another request.
    KeyReused,
    /// No such order in this sale.
    OrderUnknown,
    /// The hold is over, or the order was given back: for good.
    OrderExpired,
    /// The order belongs to someone else.
    NotYourOrder,
    /// The order is not in a state that allows this (a refund of an unpaid order, a cancellation of a paid one).
    OrderState,
    /// The change would break a promise already made to buyers.
    PromiseMade,
    /// The policy or quantity makes no sense; see [`crate::policy::Policy::problems`].
    BadPolicy,
    /// A payment for the order is in progress: it is not given back before the payment has ended.
    OrderPaying,
    /// The sale is for buyers with a confirmed e-mail address. The law knows no addresses and never says so; the shop does, before it
    /// asks the law.
    EmailUnconfirmed,
}

impl Refusal {
    /// Every code of the law, for counters by code.
    pub const CODES: [&'static str; 20] = [
        "not_started",
        "ended",
        "paused",
        "closed",
        "sold_out",
        "all_held",
        "not_in_line",
        "not_admitted",
        "already_in_line",
        "no_line",
        "no_extension",
        "limit_reached",
        "key_reused",
        "order_unknown",
        "order_expired",
        "not_your_order",
        "order_state",
        "promise_made",
        "bad_policy",
        "order_paying",
    ];

    /// The stable code, as on the wire, in tapes, in metrics and in the attempts table.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Ended => "ended",
            Self::Paused => "paused",
            Self::Closed => "closed",
            Self::SoldOut => "sold_out",
            Self::AllHeld => "all_held",
            Self::NotInLine => "not_in_line",
            Self::NotAdmitted { .. } => "not_admitted",
            Self::AlreadyInLine { .. } => "already_in_line",
            Self::NoLine => "no_line",
            Self::NoExtension => "no_extension",
            Self::LimitReached => "limit_reached",
            Self::KeyReused => "key_reused",
            Self::OrderUnknown => "order_unknown",
            Self::OrderExpired => "order_expired",
            Self::NotYourOrder => "not_your_order",
            Self::OrderState => "order_state",
            Self::PromiseMade => "promise_made",
            Self::BadPolicy => "bad_policy",
            Self::OrderPaying => "order_paying",
            Self::EmailUnconfirmed => "email_unconfirmed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A buyer's position in a sale's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinePosition {
    Waiting {
        /// Waiting buyers ahead, plus one.
        position: u32,
    },
    /// May buy, with one unit set aside.
    Admitted {
        /// The moment at which the right to buy ends (a pause moves it).
        until: Timestamp,
        /// Seconds that the buyer may still add to it; 0 without an extension, or after its use.
        extension_s: u32,
    },
}

/// One order, as the law sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderView {
    pub id: OrderId,
    pub buyer: BuyerId,
    /// Its units.
    pub quantity: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// When its status last changed.
    pub changed_at: Timestamp,
    /// What has become of it.
    pub status: OrderStatus,
}

/// What has become of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Units are held.
    Pending {
        /// The end of the hold, unless a payment is in progress then.
        until: Timestamp,
        /// While a payment is in progress: the end of the hold if the payment has not ended by then.
        paying_until: Option<Timestamp>,
    },
    /// Paid: the units are the buyer's.
    Confirmed,
    /// The hold ran out.
    Expired,
    /// The buyer gave it back.
    Cancelled,
    /// The payment was declined.
    Declined,
    /// Paid, and the money went back.
    Refunded {
        /// True: the units went back into the sale.
        restocked: bool,
    },
}

impl OrderStatus {
    /// Whether a payment is in progress.
    #[must_use]
    pub fn is_paying(&self) -> bool {
        matches!(self, Self::Pending { paying_until: Some(_), .. })
    }

    /// The word of the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Confirmed => "confirmed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Declined => "declined",
            Self::Refunded { .. } => "refunded",
        }
    }
}
