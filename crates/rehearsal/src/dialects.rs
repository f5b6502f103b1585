//! The dialects: a rehearsal whose buyers make the calls of another system's clients. This part knows how each dialect sells, what its
//! buyers send and how they read a reply, as its contract says. It never judges, and shares no code with the server that answers.

mod calls;
mod replies;
mod setup;

pub use setup::{DialectError, DialectPlan};

pub(crate) use calls::DialectSale;
pub(crate) use replies::{SpotReply, read_reply, read_spot};
pub(crate) use setup::{DialectBuyers, create_buyers, find_sale};

use crate::crowd::preset::{DropPlan, SalePlan};
use sale::{AdmissionMode, BuyerId};
use sha2::{Digest, Sha256};

/// A dialect that can be rehearsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RehearsedDialect {
    /// One sale, sold at once; a purchase is a job under a key.
    Turnstile,
    /// One unit for each account.
    Attempts,
    /// A line, a hold and its confirmation, by e-mail address.
    Holds,
    /// One sale, sold at once, one unit for each buyer.
    Drop,
}

impl RehearsedDialect {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Turnstile => "turnstile",
            Self::Attempts => "attempts",
            Self::Holds => "holds",
            Self::Drop => "drop",
        }
    }

    /// Whether its buyers wait in a line.
    #[must_use]
    pub fn has_line(self) -> bool {
        self == Self::Holds
    }

    /// Whether its buyers have accounts and sign in; the others are guests.
    #[must_use]
    pub fn has_accounts(self) -> bool {
        self == Self::Attempts
    }

    /// The drop in the form in which the dialect sells: one unit for each buyer; at once, or through a line.
    #[must_use]
    pub fn adapt_plan(self, mut drop: DropPlan) -> DropPlan {
        drop.crowd.units_max = 1;
        let sale = SalePlan { limit_per_buyer: 1, ..drop.sale };
        drop.sale = if self.has_line() {
            SalePlan { admission: with_line(sale.admission), ..sale }
        } else {
            SalePlan { admission: AdmissionMode::Open, hold_s: 0, ..sale }
        };
        drop
    }

    /// The guest that the server derives from the text by which a client names its buyer. The rehearsal derives it again, so that it
    /// knows whose orders are whose without asking the instance.
    #[must_use]
    pub fn derive_guest(self, name: &str) -> BuyerId {
        let name = if self == Self::Holds { name.trim().to_lowercase() } else { name.to_owned() };
        let digest = Sha256::new()
            .chain_update(b"doorbuster guest\0")
            .chain_update(self.name())
            .chain_update(b"\0")
            .chain_update(name)
            .finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        // The last bit is that of guests of the native API.
        bytes[15] &= !1;
        BuyerId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

/// The line of a sale that has one, else a usual one.
fn with_line(admission: AdmissionMode) -> AdmissionMode {
    match admission {
        AdmissionMode::Open => {
            AdmissionMode::Fifo { per_second: 100, checkout_s: 10, line_opens_s: 5, extension_s: 0 }
        }
        line @ AdmissionMode::Fifo { .. } => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::preset::DropPreset;

    #[test]
    fn a_drop_takes_the_form_in_which_the_dialect_sells() {
        let plan = DropPreset::TicketOnSale.plan();
        for dialect in [RehearsedDialect::Turnstile, RehearsedDialect::Attempts, RehearsedDialect::Drop] {
            let adapted = dialect.adapt_plan(plan.clone());
            let SalePlan { quantity, limit_per_buyer, hold_s, admission } = adapted.sale;
            assert_eq!((quantity, limit_per_buyer, hold_s), (plan.sale.quantity, 1, 0));
            assert_eq!((admission, adapted.crowd.units_max), (AdmissionMode::Open, 1));
        }
        let adapted = RehearsedDialect::Holds.adapt_plan(plan.clone());
        assert_eq!(adapted.sale, SalePlan { limit_per_buyer: 1, ..plan.sale });
    }

    #[test]
    fn only_an_e_mail_address_is_normalised() {
        let guest = RehearsedDialect::Holds.derive_guest("ann@example.com");
        assert_eq!(RehearsedDialect::Holds.derive_guest(" Ann@Example.com"), guest);
        assert_ne!(RehearsedDialect::Drop.derive_guest("ann@example.com"), guest);
        assert_ne!(RehearsedDialect::Drop.derive_guest("Ann"), RehearsedDialect::Drop.derive_guest("ann"));
        assert_eq!(guest.0.get_version_num(), 8);
    }
}
