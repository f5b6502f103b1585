//! Whether the units of a sale are paid for, as merchants say it. The law knows only the length of a hold.

/// A sale whose units are not paid for sells at once, without a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentMode {
    /// A unit is held until it is paid for.
    Required,
    /// A unit is sold at once.
    Nothing,
}

/// Seconds of a hold when a new sale gives none.
pub const HOLD_S_DEFAULT: u32 = 300;

impl PaymentMode {
    /// Seconds of a hold: the given ones, else those of before, else [`HOLD_S_DEFAULT`].
    #[must_use]
    pub fn resolve_hold_s(payment: Option<Self>, given: Option<u32>, before: u32) -> u32 {
        match (payment, given) {
            (Some(Self::Nothing), _) => 0,
            (_, Some(given)) => given,
            (Some(Self::Required), None) if before == 0 => HOLD_S_DEFAULT,
            (_, None) => before,
        }
    }
}
