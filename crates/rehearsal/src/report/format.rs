//! Formats numbers, durations and moments for people, and wraps sentences. The live view, the page and `doorbuster verify` share
//! these formats.

use console::measure_text_width;
use std::fmt::Write;

/// A count, in groups of three: 12,345.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// So many of something that takes an s: "1 promise", "2 promises".
#[must_use]
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A rate: as a count when it is a large one, with a digit behind the point when it is not.
pub(crate) fn rate(number: f64) -> String {
    if number >= 10.0 { count(rounded(number)) } else { short(number, 1) }
}

/// A number on an axis, in few characters: 500, 2k, 1.5M.
pub(crate) fn compact(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        size if size >= 1e9 => (number / 1e9, "G"),
        size if size >= 1e6 => (number / 1e6, "M"),
        size if size >= 1e3 => (number / 1e3, "k"),
        _ => (number, ""),
    };
    format!("{}{unit}", short(scaled, 2))
}

/// A span in milliseconds, to about three digits, in the unit that suits it.
pub(crate) fn span_ms(ms: f64) -> String {
    match ms {
        ms if ms >= 9_999.5 => format!("{} s", short(ms / 1000.0, 1)),
        ms if ms >= 999.5 => format!("{} s", short(ms / 1000.0, 2)),
        ms if ms >= 99.5 => format!("{ms:.0} ms"),
        ms if ms >= 9.95 => format!("{} ms", short(ms, 1)),
        ms => format!("{} ms", short(ms, 2)),
    }
}

/// A moment, in milliseconds from the sale's start: "−2.5 s", "1 min 30 s".
pub(crate) fn moment(ms: i64) -> String {
    let sign = if ms < 0 { "−" } else { "" };
    format!("{sign}{}", long_span(ms.unsigned_abs()))
}

/// A span that may be long: "0.1 s", "12.4 s", "1 min 30 s", "2 h 5 min".
pub(crate) fn long_span(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..60 => format!("{} s", short(ms as f64 / 1000.0, if ms.is_multiple_of(100) { 1 } else { 2 })),
        60..3_600 if s.is_multiple_of(60) => format!("{} min", s / 60),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        _ if (s / 60).is_multiple_of(60) => format!("{} h", s / 3_600),
        _ => format!("{} h {} min", s / 3_600, s / 60 % 60),
    }
}

/// A part of a whole, in percent.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    match percent {
        percent if part > 0 && percent < 0.1 => "< 0.1 %".to_owned(),
        percent if part < whole && percent > 99.9 => "> 99.9 %".to_owned(),
        percent if percent < 10.0 || (part < whole && percent >= 99.5) => format!("{} %", short(percent, 1)),
        percent => format!("{percent:.0} %"),
    }
}

/// Text without what would steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// Text in lines that end before the last column, the second and later ones indented. Text of an instance may not control the
/// terminal.
#[must_use]
pub fn wrap_text(text: &str, indent: usize, width: usize) -> String {
    let mut out = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        let word = printable(word);
        let wide = measure_text_width(&word);
        if column > indent && column + 1 + wide > width {
            let _ = write!(out, "\n{}", " ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(&word);
        column += wide;
    }
    out
}

/// With at most so many decimals, and no trailing zeros.
pub(crate) fn short(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    if !text.contains('.') {
        return text;
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
fn rounded(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.5, 500.0, 1_500.0, 2e6].map(compact), ["0", "0.5", "500", "1.5k", "2M"]);
        assert_eq!([0.0, 0.17, 9.96, 41_230.4].map(rate), ["0", "0.2", "10", "41,230"]);
        assert_eq!(counted(1, "promise"), "1 promise");
    }

    #[test]
    fn spans_take_the_unit_that_suits_them() {
        let spans = [0.0, 0.421, 3.15, 41.25, 120.4, 999.6, 1_250.0, 72_000.0].map(span_ms);
        assert_eq!(spans, ["0 ms", "0.42 ms", "3.15 ms", "41.2 ms", "120 ms", "1 s", "1.25 s", "72 s"]);
        let moments = [-2_500, 0, 50, 12_400, 90_000, 3_600_000, 7_500_000].map(moment);
        assert_eq!(moments, ["−2.5 s", "0 s", "0.05 s", "12.4 s", "1 min 30 s", "1 h", "2 h 5 min"]);
    }

    #[test]
    fn a_percentage_never_rounds_to_nothing_or_to_all() {
        assert_eq!(percent(1, 100_000), "< 0.1 %");
        assert_eq!(percent(99_999, 100_000), "> 99.9 %");
        assert_eq!(percent(99_734, 100_000), "99.7 %");
        assert_eq!(percent(0, 0), "–");
        assert_eq!(
            [percent(0, 9), percent(5, 200), percent(1, 2), percent(9, 9)],
            ["0 %", "2.5 %", "50 %", "100 %"]
        );
    }
}
