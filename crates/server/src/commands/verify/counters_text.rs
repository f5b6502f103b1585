//! The counters of a sale as text: an equation. It knows nothing of promises.

use rehearsal::report::format::count;
use sale::SaleCounters;

/// The equation of units: available + admitted + held + sold = quantity.
pub(super) fn format_counters(counters: &SaleCounters) -> String {
    let &SaleCounters { quantity, available, admitted, held, sold, waiting, short } = counters;
    let [quantity, available, admitted] = [quantity, available, admitted].map(|units| count(units.into()));
    let [held, sold, waiting] = [held, sold, waiting].map(|units| count(units.into()));
    let more = if short == 0 { String::new() } else { format!(" + short {}", count(short.into())) };
    format!(
        "available {available} + admitted {admitted} + held {held} + sold {sold} = quantity {quantity}{more}; waiting {waiting}"
    )
}
