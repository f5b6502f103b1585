//! The words of a tape: moments, names, commands; each is written so that it can be read back.

use super::ORIGIN;
use crate::admission_mode::AdmissionMode;
use crate::command::{Command, ReleaseReason};
use crate::event::UnitSource;
use crate::id::{BuyerId, OrderId, RequestKey};
use crate::policy::Policy;
use crate::time::Timestamp;
use uuid::Uuid;

/// Bytes of a name at most: a name is spelled in the sixteen bytes of an id.
const NAME_LEN_MAX: usize = 16;

/// Units of time, longest suffix first so that `ms` is not read as `s`.
const UNITS_MS: [(&str, i64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// The buyer with this name in a tape. Only the first 16 bytes of the name count.
#[must_use]
pub fn buyer(name: &str) -> BuyerId {
    BuyerId(Uuid::from_bytes(encode_name(name)))
}

/// The order with this name in a tape. Only the first 16 bytes of the name count.
#[must_use]
pub fn order(name: &str) -> OrderId {
    OrderId(Uuid::from_bytes(encode_name(name)))
}

/// The request key with this name in a tape. Only the first 16 bytes of the name count.
#[must_use]
pub fn key(name: &str) -> RequestKey {
    RequestKey(encode_name(name))
}

/// The sixteen bytes that a word of a tape means: a name, or an id written out.
pub(super) fn parse_bytes(word: &str) -> Option<[u8; 16]> {
    if is_name(word) { Some(encode_name(word)) } else { word.parse::<Uuid>().ok().map(Uuid::into_bytes) }
}

/// The name that sixteen bytes spell, or the bytes as a UUID.
pub(super) fn format_name(bytes: &[u8; 16]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match std::str::from_utf8(&bytes[..end]) {
        Ok(name) if is_name(name) => name.to_owned(),
        _ => Uuid::from_bytes(*bytes).to_string(),
    }
}

fn encode_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    let len = name.len().min(NAME_LEN_MAX);
    bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
    bytes
}

fn is_name(word: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    let starts_well = word.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    starts_well && word.len() <= NAME_LEN_MAX && word.bytes().all(is_plain)
}

/// Reads a length of time, such as `12.5s`, as milliseconds. Exact to the millisecond or not at all.
pub(super) fn parse_duration_ms(word: &str) -> Option<i64> {
    let (digits, unit_ms) =
        UNITS_MS.iter().find_map(|(suffix, ms)| word.strip_suffix(suffix).map(|digits| (digits, *ms)))?;
    let (sign, digits) = digits.strip_prefix('-').map_or((1, digits), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10_i64.pow(u32::try_from(fraction.len()).ok()?);
    let parts_ms = fraction.parse::<i64>().ok()?.checked_mul(unit_ms)?;
    if parts_ms % scale != 0 {
        return None;
    }
    whole.parse::<i64>().ok()?.checked_mul(unit_ms)?.checked_add(parts_ms / scale)?.checked_mul(sign)
}

/// Writes a length of time in seconds.
pub(super) fn format_duration(ms: i64) -> String {
    let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
    let text = format!("{sign}{}.{:03}", ms / 1000, ms % 1000);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Reads a moment, counted from [`ORIGIN`]; also one that no policy may name.
pub(super) fn parse_moment(word: &str) -> Option<Timestamp> {
    ORIGIN.0.checked_add(parse_duration_ms(word)?).map(Timestamp)
}

/// Writes a moment, counted from [`ORIGIN`].
pub(super) fn format_moment(at: Timestamp) -> String {
    format_duration(at.ms_since(ORIGIN))
}

pub(super) fn format_source(from: UnitSource) -> String {
    match from {
        UnitSource::Stock => "stock".into(),
        UnitSource::Admission { ticket } => format!("admission:{ticket}"),
        UnitSource::Hold => "hold".into(),
    }
}

/// A policy as the facts of `configure` and `configured`.
pub(super) fn policy_facts(policy: &Policy) -> Vec<(&'static str, String)> {
    let seconds = |s: u32| format_duration(i64::from(s) * 1000);
    let mut facts = vec![
        ("quantity", policy.quantity.to_string()),
        ("price", format!("{}{}", policy.unit_price.minor, policy.unit_price.currency)),
        ("starts", format_moment(policy.starts_at)),
        ("ends", format_moment(policy.ends_at)),
        ("limit", policy.limit_per_buyer.to_string()),
        ("hold", seconds(policy.hold_s)),
    ];
    if let AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, extension_s } = policy.admission {
        facts.push(("per_second", per_second.to_string()));
        facts.push(("checkout", seconds(checkout_s)));
        facts.push(("opens", seconds(line_opens_s)));
        if extension_s > 0 {
            facts.push(("extension", seconds(extension_s)));
        }
    }
    facts
}

pub(super) fn format_command(command: &Command) -> String {
    let id = |uuid: Uuid| format_name(uuid.as_bytes());
    match command {
        Command::Configure { policy: new } => {
            let facts: Vec<String> =
                policy_facts(new).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("configure {} {}", new.admission.name(), facts.join(" "))
        }
        Command::Pause => "pause".into(),
        Command::Resume => "resume".into(),
        Command::Close => "close".into(),
        Command::Restock { quantity } => format!("restock {quantity}"),
        Command::Join { buyer } => format!("join {}", id(buyer.0)),
        Command::Leave { buyer } => format!("leave {}", id(buyer.0)),
        Command::Extend { buyer } => format!("extend {}", id(buyer.0)),
        Command::Reserve { buyer, order, quantity, key } => {
            let key = key.map(|key| format!(" key={}", format_name(&key.0))).unwrap_or_default();
            format!("reserve {} {} {quantity}{key}", id(buyer.0), id(order.0))
        }
        Command::BeginPayment { buyer, order } => format!("begin_payment {} {}", id(buyer.0), id(order.0)),
        Command::EndPayment { buyer, order } => format!("end_payment {} {}", id(buyer.0), id(order.0)),
        Command::Confirm { buyer, order } => format!("confirm {} {}", id(buyer.0), id(order.0)),
        Command::Release { buyer, order, reason } => {
            let reason = match reason {
                ReleaseReason::Cancelled => "cancelled",
                ReleaseReason::Declined => "declined",
            };
            format!("release {} {} {reason}", id(buyer.0), id(order.0))
        }
        Command::Refund { order, restock } => {
            format!("refund {}{}", id(order.0), if *restock { " restock" } else { "" })
        }
        Command::Tick => "tick".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_reads_back_as_written() {
        for ms in [0, 1, 10, 999, 1_000, 12_500, 3_600_000, -1, -60_500] {
            assert_eq!(parse_duration_ms(&format_duration(ms)), Some(ms), "{}", format_duration(ms));
        }
        assert_eq!(parse_duration_ms("250ms"), Some(250));
        assert_eq!(parse_duration_ms("1.5m"), Some(90_000));
        assert_eq!(parse_duration_ms("2h"), Some(7_200_000));
        for word in ["", "s", "1", "1.s", ".5s", "1.0001s", "0.5ms", "99999999999999999999s", "1x", "--1s"] {
            assert_eq!(parse_duration_ms(word), None, "{word}");
        }
    }

    #[test]
    fn a_name_and_an_id_read_back_as_written() {
        for word in ["alice", "o1", "sixteen_letters_", "0190c2f4-7d2a-7b3e-8f00-1234567890ab"] {
            assert_eq!(format_name(&parse_bytes(word).unwrap()), word);
        }
        assert_eq!(parse_bytes("Alice"), None);
        assert_eq!(format_name(&[0; 16]), Uuid::nil().to_string());
    }
}
