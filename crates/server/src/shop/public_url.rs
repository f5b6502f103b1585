//! The address at which buyers reach the shop: for links, redirects and previews of pages, which need a whole address. It has no path.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// `https://shop.example`, perhaps with a port, never with a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

/// Why a text is no public address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write the address of the shop without a path, such as https://shop.example")]
pub struct PublicUrlError;

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        let text = text.trim().to_ascii_lowercase();
        let text = text.strip_suffix('/').unwrap_or(&text);
        let (scheme, authority) = text.split_once("://").ok_or(PublicUrlError)?;
        let (host, port) = match authority.rsplit_once(':') {
            // The last colon of `[::1]` is inside of the brackets.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let is_name = |host: &str| {
            let is_label = |label: &str| {
                let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                (1..=63).contains(&label.len()) && label.bytes().all(is_letter)
            };
            host.len() <= 253 && host.split('.').all(is_label)
        };
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = address.map_or(is_name(host), |address| address.parse::<Ipv6Addr>().is_ok());
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if matches!(scheme, "http" | "https") && is_host && is_port {
            Ok(Self(text.to_owned()))
        } else {
            Err(PublicUrlError)
        }
    }
}

impl PublicUrl {
    /// The address of a shop that is tried out on this machine.
    #[must_use]
    pub fn from_listener(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self(format!("http://{}", SocketAddr::new(ip, address.port())))
    }

    /// A whole address of a path of this shop; an address that is whole already stays as it is.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        if path.starts_with('/') { format!("{}{path}", self.0) } else { path.to_owned() }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_shop_has_a_scheme_and_a_host_and_nothing_behind() {
        for (text, expected) in [
            ("https://shop.example", "https://shop.example"),
            ("HTTPS://Shop.Example/", "https://shop.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]"),
            ("http://localhost", "http://localhost"),
        ] {
            assert_eq!(
                text.parse::<PublicUrl>().map(|url| url.to_string()),
                Ok(expected.to_owned()),
                "{text}"
            );
        }
        for bad in [
            "",
            "shop.example",
            "ftp://shop.example",
            "https://",
            "https://shop.example/path",
            "https://shop.example?query",
            "https://shop.example//",
            "https://user@shop.example",
            "https://shop.example:0",
            "https://shop.example:99999",
            "https://shop .example",
            "https://shop..example",
            "https://[::1",
            "https://\"><script>",
        ] {
            assert!(bad.parse::<PublicUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_shop_that_is_tried_out_is_on_this_machine() {
        let url = |address: &str| PublicUrl::from_listener(address.parse().unwrap()).to_string();
        assert_eq!(url("0.0.0.0:8080"), "http://127.0.0.1:8080");
        assert_eq!(url("[::]:8080"), "http://[::1]:8080");
        assert_eq!(url("192.0.2.1:80"), "http://192.0.2.1:80");
        let shop: PublicUrl = "https://shop.example".parse().unwrap();
        assert_eq!(shop.join("/s/lamp"), "https://shop.example/s/lamp");
        assert_eq!(shop.join("https://cdn.example/lamp.jpg"), "https://cdn.example/lamp.jpg");
    }
}
