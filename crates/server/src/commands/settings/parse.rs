//! Parsers for values of flags: times, rates and networks. Their errors are half a sentence, to which clap adds the flag.

use crate::http::limits::RateLimit;
use ipnet::IpNet;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

impl FromStr for RateLimit {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let usage = || "write COUNT/TIME, such as 100/15m".to_owned();
        let (quota, window) = text.split_once('/').ok_or_else(usage)?;
        let quota = quota
            .trim()
            .parse()
            .ok()
            .filter(|quota| (1..=1_000_000_000).contains(quota))
            .ok_or_else(usage)?;
        let window_s = duration(window.trim())?.as_secs();
        let window_s = u32::try_from(window_s).ok().filter(|s| (1..=30 * 86_400).contains(s));
        Ok(Self { quota, window_s: window_s.ok_or("the time is 1s to 30d")? })
    }
}

/// `500ms`, `30s`, `15m`, `24h` or `30d`.
///
/// # Errors
/// When it is none of these, or longer than ten years.
pub fn duration(text: &str) -> Result<Duration, String> {
    const MAX: Duration = Duration::from_hours(3650 * 24);
    let duration = humantime::parse_duration(text)
        .map_err(|_| "write a time such as 500ms, 30s, 15m, 24h or 30d".to_owned())?;
    if (Duration::from_millis(1)..=MAX).contains(&duration) {
        Ok(duration)
    } else {
        Err("a time is 1ms to 3650d".to_owned())
    }
}

/// The lifetime of a token, which is counted in seconds.
///
/// # Errors
/// When it is no time, or shorter than a second.
pub fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = duration(text)?;
    if lifetime < Duration::from_secs(1) { Err("a lifetime is 1s to 3650d".to_owned()) } else { Ok(lifetime) }
}

/// A network, or an address as the network of itself.
///
/// # Errors
/// When it is neither.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map_err(|_| "write addresses or networks such as 127.0.0.1,10.0.0.0/8".to_owned())
}

/// The source of events: a URI, or a reference to one.
///
/// # Errors
/// When it is empty, or has characters that no URI has.
pub fn event_source(text: &str) -> Result<String, String> {
    let is_of_uri = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    if (1..=2_000).contains(&text.len()) && text.bytes().all(is_of_uri) {
        Ok(text.to_owned())
    } else {
        Err("write a URI such as https://shop.example or urn:example:shop".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_read_or_refused() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for bad in ["", "5", "m", "-5m", "0s", "99999999999999999999d", "11y", "4000d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!("100/15m".parse(), Ok(RateLimit { quota: 100, window_s: 900 }));
        for bad in ["", "100", "100/", "/15m", "0/15m", "100/1ms", "-1/1m", "100/99d"] {
            assert!(bad.parse::<RateLimit>().is_err(), "{bad}");
        }
    }
}
