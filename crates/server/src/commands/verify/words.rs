//! Figures as words: numbers for people, and the sum of a sale. It knows nothing of promises.

use sale::Counters;

/// The figures of a sale, as a sum.
pub(super) fn told(counters: &Counters) -> String {
    let &Counters { quantity, available, admitted, held, sold, waiting, short } = counters;
    let [quantity, available, admitted] = [quantity, available, admitted].map(|units| grouped(units.into()));
    let [held, sold, waiting] = [held, sold, waiting].map(|units| grouped(units.into()));
    let more = if short == 0 { String::new() } else { format!(" + short {}", grouped(short.into())) };
    format!(
        "available {available} + admitted {admitted} + held {held} + sold {sold} = quantity {quantity}{more}; waiting {waiting}"
    )
}

/// So many of something.
pub(super) fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{} {what}s", grouped(number)) }
}

/// A number with a comma between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
