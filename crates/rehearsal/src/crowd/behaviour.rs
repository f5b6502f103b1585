//! How people behave, as shares of a crowd.

use super::PaymentBehaviour;
use rand::Rng;
use std::fmt;
use std::str::FromStr;

/// A share of a crowd, in hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrowdShare(u16);

const ALL: u16 = 10_000;

impl CrowdShare {
    /// So many percent, 100 at most.
    #[must_use]
    pub const fn percent(percent: u16) -> Self {
        Self(if percent > 100 { ALL } else { percent * 100 })
    }

    pub(super) fn draw(self, rng: &mut impl Rng) -> bool {
        rng.random_range(0..ALL) < self.0
    }
}

impl FromStr for CrowdShare {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "write a share such as 5% or 0.5%".to_owned();
        let percent: f64 = text.strip_suffix('%').ok_or_else(wrong)?.trim().parse().map_err(|_| wrong())?;
        if !(0.0..=100.0).contains(&percent) {
            return Err("a share is 0% to 100%".to_owned());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
        Ok(Self((percent * 100.0).round() as u16))
    }
}

impl fmt::Display for CrowdShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 100.0)
    }
}

/// How a crowd behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BehaviourShares {
    /// Click each button twice.
    pub double_click: CrowdShare,
    /// Have two tabs open.
    pub two_tabs: CrowdShare,
    /// Let their hold run out.
    pub abandon: CrowdShare,
    /// Pay with a card that is declined.
    pub declined: CrowdShare,
    /// Pay when their hold is over.
    pub late_pay: CrowdShare,
    /// Give their hold back.
    pub cancel: CrowdShare,
    pub leave: CrowdShare,
    /// Lose the reply to an important request, and repeat it with the same key.
    pub lost_reply: CrowdShare,
    /// Repeat requests without waiting.
    pub hammer: CrowdShare,
    /// Act for an account that others act for too, each from an address of their own.
    pub one_account_many_addresses: CrowdShare,
    /// Come from an address that other accounts come from too.
    pub many_accounts_one_address: CrowdShare,
}

impl BehaviourShares {
    /// The shares of those who do something else with a hold than paying for it; together they are at most all.
    ///
    /// # Errors
    /// When they are more.
    pub fn check(&self) -> Result<(), String> {
        let parts = [self.abandon, self.declined, self.late_pay, self.cancel];
        if parts.iter().map(|share| u32::from(share.0)).sum::<u32>() > u32::from(ALL) {
            return Err(
                "--abandon, --declined, --late-pay and --cancel are more than 100% together".to_owned()
            );
        }
        Ok(())
    }

    pub(super) fn draw_payment(&self, rng: &mut impl Rng) -> PaymentBehaviour {
        let mut rank = rng.random_range(0..ALL);
        for (share, pays) in [
            (self.abandon, PaymentBehaviour::Never),
            (self.declined, PaymentBehaviour::Declined),
            (self.late_pay, PaymentBehaviour::Late),
            (self.cancel, PaymentBehaviour::Cancels),
        ] {
            if rank < share.0 {
                return pays;
            }
            rank -= share.0;
        }
        PaymentBehaviour::Promptly
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_with_its_sign() {
        assert_eq!("5%".parse(), Ok(CrowdShare::percent(5)));
        assert_eq!("0.5%".parse::<CrowdShare>().map(|share| share.to_string()), Ok("0.5%".to_owned()));
        for wrong in ["5", "-1%", "101%", "NaN%", "%"] {
            assert!(wrong.parse::<CrowdShare>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_buyer_ends_one_hold_in_two_ways() {
        let half = CrowdShare::percent(50);
        let manners = BehaviourShares { abandon: half, declined: half, ..BehaviourShares::default() };
        assert_eq!(manners.check(), Ok(()));
        assert!(BehaviourShares { cancel: CrowdShare::percent(1), ..manners }.check().is_err());
    }
}
