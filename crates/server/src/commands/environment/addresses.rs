//! Hosts, ports and texts in URLs, as variables give them. It never repeats a value in an error: it may be a secret in the wrong place.

use super::{VariableError, Variables, find};
use std::fmt::Write as _;
use std::net::Ipv6Addr;

/// A host: a name, an address, or the folder of a socket.
pub(super) fn find_host<'a>(
    variables: &'a Variables,
    variable: &'static str,
) -> Result<Option<&'a str>, VariableError> {
    let Some(host) = find(variables, variable) else { return Ok(None) };
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let is_folder = variable == "DB_HOST" && host.starts_with('/');
    if is_name || is_folder || host.parse::<Ipv6Addr>().is_ok() {
        return Ok(Some(host));
    }
    Err(VariableError { variable, reason: "write the name or the address of a host, without a port" })
}

pub(super) fn find_port(variables: &Variables, variable: &'static str) -> Result<Option<u16>, VariableError> {
    let Some(text) = find(variables, variable) else { return Ok(None) };
    let port = text.parse::<u16>().ok().filter(|port| *port > 0);
    port.map(Some).ok_or(VariableError { variable, reason: "write a port, 1 to 65535" })
}

pub(super) fn host_and_port(host: &str, port: u16) -> String {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The text with every byte percent-encoded that is no letter and no digit.
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
