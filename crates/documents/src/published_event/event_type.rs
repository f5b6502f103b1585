//! The types of events that are published. The list is closed, and a word in it never changes its meaning.

use sale::{Event, EventSeq, LedgerEntry, ReleaseCause};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub enum EventType {
    #[serde(rename = "doorbuster.sale.announced")]
    SaleAnnounced,
    /// What the sale promises changed.
    #[serde(rename = "doorbuster.sale.changed")]
    SaleChanged,
    /// Its start was reached; a paused sale sells nothing yet.
    #[serde(rename = "doorbuster.sale.started")]
    SaleStarted,
    #[serde(rename = "doorbuster.sale.paused")]
    SalePaused,
    #[serde(rename = "doorbuster.sale.resumed")]
    SaleResumed,
    /// The merchant ended it for good. Its end is not published after that.
    #[serde(rename = "doorbuster.sale.closed")]
    SaleClosed,
    /// Its time is over.
    #[serde(rename = "doorbuster.sale.ended")]
    SaleEnded,
    /// Units were added.
    #[serde(rename = "doorbuster.sale.restocked")]
    SaleRestocked,
    /// Every unit is sold. It may happen again, after a refund or a restock.
    #[serde(rename = "doorbuster.sale.sold_out")]
    SaleSoldOut,
    #[serde(rename = "doorbuster.line.joined")]
    LineJoined,
    #[serde(rename = "doorbuster.line.left")]
    LineLeft,
    /// It is the buyer's turn: a unit is set aside.
    #[serde(rename = "doorbuster.line.admitted")]
    LineAdmitted,
    /// The buyer has more time to buy.
    #[serde(rename = "doorbuster.line.extended")]
    LineExtended,
    /// The buyer's turn is over, and nothing was bought.
    #[serde(rename = "doorbuster.line.lapsed")]
    LineLapsed,
    /// Units are held until they are paid for.
    #[serde(rename = "doorbuster.order.held")]
    OrderHeld,
    /// The end of the hold moved: a payment began, which the hold outlasts, or it came to nothing.
    #[serde(rename = "doorbuster.order.extended")]
    OrderExtended,
    /// The units are sold.
    #[serde(rename = "doorbuster.order.confirmed")]
    OrderConfirmed,
    #[serde(rename = "doorbuster.order.expired")]
    OrderExpired,
    /// The buyer gave the units back.
    #[serde(rename = "doorbuster.order.cancelled")]
    OrderCancelled,
    /// The payment was declined, and the units were given back with it.
    #[serde(rename = "doorbuster.order.declined")]
    OrderDeclined,
    #[serde(rename = "doorbuster.order.refunded")]
    OrderRefunded,
    /// The money is taken.
    #[serde(rename = "doorbuster.payment.captured")]
    PaymentCaptured,
    #[serde(rename = "doorbuster.payment.declined")]
    PaymentDeclined,
    /// The money is given back.
    #[serde(rename = "doorbuster.payment.refunded")]
    PaymentRefunded,
    /// The buyer's bank wants the money back.
    #[serde(rename = "doorbuster.payment.disputed")]
    PaymentDisputed,
}

/// What an event is about. All types of a family have `data` of one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFamily {
    Sale,
    Line,
    Order,
    Payment,
}

/// The text is no type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a type of event, such as order.confirmed")]
pub struct EventTypeError;

impl EventType {
    pub const PREFIX: &'static str = "doorbuster.";

    pub const ALL: [Self; 25] = [
        Self::SaleAnnounced,
        Self::SaleChanged,
        Self::SaleStarted,
        Self::SalePaused,
        Self::SaleResumed,
        Self::SaleClosed,
        Self::SaleEnded,
        Self::SaleRestocked,
        Self::SaleSoldOut,
        Self::LineJoined,
        Self::LineLeft,
        Self::LineAdmitted,
        Self::LineExtended,
        Self::LineLapsed,
        Self::OrderHeld,
        Self::OrderExtended,
        Self::OrderConfirmed,
        Self::OrderExpired,
        Self::OrderCancelled,
        Self::OrderDeclined,
        Self::OrderRefunded,
        Self::PaymentCaptured,
        Self::PaymentDeclined,
        Self::PaymentRefunded,
        Self::PaymentDisputed,
    ];

    /// The type with its prefix.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SaleAnnounced => "doorbuster.sale.announced",
            Self::SaleChanged => "doorbuster.sale.changed",
            Self::SaleStarted => "doorbuster.sale.started",
            Self::SalePaused => "doorbuster.sale.paused",
            Self::SaleResumed => "doorbuster.sale.resumed",
            Self::SaleClosed => "doorbuster.sale.closed",
            Self::SaleEnded => "doorbuster.sale.ended",
            Self::SaleRestocked => "doorbuster.sale.restocked",
            Self::SaleSoldOut => "doorbuster.sale.sold_out",
            Self::LineJoined => "doorbuster.line.joined",
            Self::LineLeft => "doorbuster.line.left",
            Self::LineAdmitted => "doorbuster.line.admitted",
            Self::LineExtended => "doorbuster.line.extended",
            Self::LineLapsed => "doorbuster.line.lapsed",
            Self::OrderHeld => "doorbuster.order.held",
            Self::OrderExtended => "doorbuster.order.extended",
            Self::OrderConfirmed => "doorbuster.order.confirmed",
            Self::OrderExpired => "doorbuster.order.expired",
            Self::OrderCancelled => "doorbuster.order.cancelled",
            Self::OrderDeclined => "doorbuster.order.declined",
            Self::OrderRefunded => "doorbuster.order.refunded",
            Self::PaymentCaptured => "doorbuster.payment.captured",
            Self::PaymentDeclined => "doorbuster.payment.declined",
            Self::PaymentRefunded => "doorbuster.payment.refunded",
            Self::PaymentDisputed => "doorbuster.payment.disputed",
        }
    }

    /// The type without its prefix, as admins write it.
    #[must_use]
    pub fn short_name(self) -> &'static str {
        &self.as_str()[Self::PREFIX.len()..]
    }

    /// What happened, in a sentence or two.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::SaleAnnounced => "The sale was announced.",
            Self::SaleChanged => "What the sale promises changed.",
            Self::SaleStarted => "The sale's start was reached. A paused sale sells nothing yet.",
            Self::SalePaused => "The merchant stopped the sale for a while.",
            Self::SaleResumed => "A paused sale goes on.",
            Self::SaleClosed => {
                "The merchant ended the sale for good. `sale.started` and `sale.ended` do not follow any more."
            }
            Self::SaleEnded => "The sale's time is over.",
            Self::SaleRestocked => "Units were added.",
            Self::SaleSoldOut => "Every unit is sold. It may happen again, after a refund or a restock.",
            Self::LineJoined => "A buyer joined the line.",
            Self::LineLeft => "A buyer left the line.",
            Self::LineAdmitted => "It is the buyer's turn: a unit is set aside until the given moment.",
            Self::LineExtended => "The buyer has more time to buy.",
            Self::LineLapsed => "The buyer's turn is over, and nothing was bought.",
            Self::OrderHeld => "An order was made, and its units are held until they are paid for.",
            Self::OrderExtended => {
                "The end of the hold moved: a payment began, which the hold outlasts (`paying` is true), or it came to nothing."
            }
            Self::OrderConfirmed => {
                "The units are sold. Where a sale takes no payment, this is also when the order was made."
            }
            Self::OrderExpired => "The hold ran out, and its units are free again.",
            Self::OrderCancelled => "The buyer gave the units back.",
            Self::OrderDeclined => {
                "The payment was declined, and the units were given back with it. Only old ledgers have it: a declined payment leaves the hold as it is."
            }
            Self::OrderRefunded => "The money of a confirmed order goes back.",
            Self::PaymentCaptured => "The money is taken.",
            Self::PaymentDeclined => {
                "The provider declined the payment. The order may be paid in another way until its hold ends."
            }
            Self::PaymentRefunded => "The money is given back.",
            Self::PaymentDisputed => "The buyer's bank wants the money back.",
        }
    }

    #[must_use]
    pub fn family(self) -> EventFamily {
        match self.short_name().split_once('.') {
            Some(("sale", _)) => EventFamily::Sale,
            Some(("line", _)) => EventFamily::Line,
            Some(("order", _)) => EventFamily::Order,
            _ => EventFamily::Payment,
        }
    }

    /// The type of an event of the ledger.
    #[must_use]
    pub fn from_entry(entry: &LedgerEntry) -> Self {
        match entry.event {
            // A ledger begins with the announcement.
            Event::Configured { .. } if entry.seq == EventSeq(1) => Self::SaleAnnounced,
            Event::Configured { .. } => Self::SaleChanged,
            Event::Paused => Self::SalePaused,
            Event::Resumed => Self::SaleResumed,
            Event::Closed => Self::SaleClosed,
            Event::Restocked { .. } => Self::SaleRestocked,
            Event::Joined { .. } => Self::LineJoined,
            Event::Left { .. } => Self::LineLeft,
            Event::Admitted { .. } => Self::LineAdmitted,
            Event::Lapsed { .. } => Self::LineLapsed,
            Event::Extended { .. } => Self::LineExtended,
            Event::Held { .. } => Self::OrderHeld,
            Event::PaymentBegun { .. } | Event::PaymentEnded { .. } => Self::OrderExtended,
            Event::Confirmed { .. } => Self::OrderConfirmed,
            Event::Released { reason: ReleaseCause::Expired, .. } => Self::OrderExpired,
            Event::Released { reason: ReleaseCause::Cancelled, .. } => Self::OrderCancelled,
            Event::Released { reason: ReleaseCause::Declined, .. } => Self::OrderDeclined,
            Event::Refunded { .. } => Self::OrderRefunded,
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// With or without the prefix.
impl FromStr for EventType {
    type Err = EventTypeError;

    fn from_str(text: &str) -> Result<Self, EventTypeError> {
        let short = text.strip_prefix(Self::PREFIX).unwrap_or(text);
        Self::ALL.into_iter().find(|known| known.short_name() == short).ok_or(EventTypeError)
    }
}
