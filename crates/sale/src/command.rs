//! The commands of a sale. A command carries every id that it needs: the law invents nothing.

use crate::id::{BuyerId, OrderId, RequestKey};
use crate::policy::Policy;

/// One request to a sale, decided at one moment, after all that came before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Announce the sale, or change what it promises.
    Configure {
        policy: Box<Policy>,
    },
    /// Stop admitting and reserving until resumed. Holds may still be paid; admission windows do not run down.
    Pause,
    /// Go on after a pause.
    Resume,
    /// End the sale now, for good. Promises already made are kept: the admitted may buy, holds may be paid.
    Close,
    /// Add units to the sale.
    Restock {
        /// Units to add, at least 1.
        quantity: u32,
    },
    Join {
        buyer: BuyerId,
    },
    /// Give up the place in line, or the admission.
    Leave {
        buyer: BuyerId,
    },
    /// Use the admission's one extension: more time to buy.
    Extend {
        buyer: BuyerId,
    },
    /// Hold units for a buyer, or sell them at once where the policy says so.
    Reserve {
        buyer: BuyerId,
        /// The id that the order gets if it is made.
        order: OrderId,
        /// Units, at least 1.
        quantity: u32,
        /// Digest of the buyer's `Idempotency-Key`, if one was sent.
        key: Option<RequestKey>,
    },
    /// A payment for a pending order is about to be authorised: the hold lasts until the payment has ended, within bounds.
    BeginPayment {
        /// Must own the order.
        buyer: BuyerId,
        order: OrderId,
    },
    /// The payment in progress was declined or voided: the hold has its own end again.
    EndPayment {
        /// Must own the order.
        buyer: BuyerId,
        order: OrderId,
    },
    /// The order is paid.
    Confirm {
        /// Must own the order.
        buyer: BuyerId,
        order: OrderId,
    },
    /// Give a pending order's units back.
    Release {
        /// Must own the order.
        buyer: BuyerId,
        order: OrderId,
        reason: ReleaseReason,
    },
    /// The money of a confirmed order goes back.
    Refund {
        order: OrderId,
        /// True: the units are sold again. False: they stay out of the sale (damaged, given away), counted as sold.
        restock: bool,
    },
    /// Let time pass: expire holds, lapse admissions, admit the next buyers in line.
    Tick,
}

/// Why a buyer's units are given back before they were paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReleaseReason {
    /// The buyer does not want them any more.
    Cancelled,
    /// The payment was declined, and the units are given up with it.
    Declined,
}
