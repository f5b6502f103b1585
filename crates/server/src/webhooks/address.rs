//! Which addresses may be called. A merchant's endpoint must not reach what only this machine or its network reaches: other services,
//! routers, the metadata service of a cloud. The check runs when an endpoint is saved and before each call, on the addresses that the
//! client then connects to; it resolves no name itself.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Characters of an address at most.
pub const URL_LEN_MAX: usize = 2_000;

/// Ports of services that are no web servers, which a request could be smuggled into: those that browsers refuse
/// (<https://fetch.spec.whatwg.org/#port-blocking>).
const BAD_PORTS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514,
    515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723,
    2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// What the operator allows beyond the public network and TLS.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    pub allow_http: bool,
    /// Internal networks that may be called nevertheless.
    pub allow_private: Vec<IpNet>,
}

/// The address of an endpoint: of a form that may be called. Whether the machine behind its name may be is checked at each call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl {
    url: Url,
    host: Host<String>,
    port: u16,
}

/// Why an address cannot be an endpoint's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    #[error("must have at most 2,000 characters")]
    TooLong,
    #[error("must be a whole address, such as https://example.com/hooks")]
    NotAnUrl,
    #[error("must begin with https://")]
    NotHttps,
    #[error("must have no user name and no password")]
    HasUserInfo,
    #[error("must have no fragment (#)")]
    HasFragment,
    #[error("must not use port {0}, which is not of a web server")]
    BadPort(u16),
    #[error(transparent)]
    Forbidden(#[from] ForbiddenAddress),
}

/// An address that may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must not lead to {0}, which is an internal address")]
pub struct ForbiddenAddress(pub IpAddr);

impl AddressPolicy {
    /// Parses the address of an endpoint. Of a name it cannot know where it leads; of an address it can.
    ///
    /// # Errors
    /// When it may not be called, whatever its name leads to.
    pub fn parse_url(&self, text: &str) -> Result<WebhookUrl, WebhookUrlError> {
        let url = WebhookUrl::parse(text)?;
        if !url.is_tls() && !self.allow_http {
            return Err(WebhookUrlError::NotHttps);
        }
        if let Some(address) = url.address() {
            self.check_address(address)?;
        }
        Ok(url)
    }

    /// Checks an address that a name leads to.
    ///
    /// # Errors
    /// When it is internal and not allowed.
    pub fn check_address(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let inner = unwrap_address(address);
        let is_allowed = |net: &IpNet| net.contains(&address) || net.contains(&inner);
        if is_internal(inner) && !self.allow_private.iter().any(is_allowed) {
            return Err(ForbiddenAddress(address));
        }
        Ok(())
    }
}

impl WebhookUrl {
    fn parse(text: &str) -> Result<Self, WebhookUrlError> {
        if text.chars().count() > URL_LEN_MAX {
            return Err(WebhookUrlError::TooLong);
        }
        // The parser would leave them out: the merchant must see what is called.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(WebhookUrlError::NotAnUrl);
        }
        let url = Url::parse(text).map_err(|_| WebhookUrlError::NotAnUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(WebhookUrlError::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookUrlError::HasUserInfo);
        }
        if url.fragment().is_some() {
            return Err(WebhookUrlError::HasFragment);
        }
        let host = url.host().ok_or(WebhookUrlError::NotAnUrl)?.to_owned();
        let port = url.port_or_known_default().ok_or(WebhookUrlError::NotAnUrl)?;
        if BAD_PORTS.contains(&port) {
            return Err(WebhookUrlError::BadPort(port));
        }
        // A long name grows when it is written in ASCII.
        if url.as_str().len() > 2 * URL_LEN_MAX {
            return Err(WebhookUrlError::TooLong);
        }
        Ok(Self { url, host, port })
    }

    /// Reads an address that was saved.
    ///
    /// # Errors
    /// When it has no form of an endpoint's.
    pub fn from_saved(text: &str) -> Result<Self, WebhookUrlError> {
        Self::parse(text)
    }

    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name that has to be resolved; `None` when it is an address already.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Domain(name) => Some(name),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        }
    }

    /// The address, when it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// The host and, unless it is the usual one, the port: the header `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    /// The path with the query: what a request line has.
    #[must_use]
    pub fn path(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// The whole address, with an international name in ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The IPv4 address inside an IPv6 address that leads to it: mapped, or translated by NAT64.
fn unwrap_address(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            Ipv4Addr::new(a, b, c, d).into()
        }
        _ => address,
    }
}

/// Whether an address is of no public host: private, loopback, link-local (with the metadata services of clouds), shared (carrier-grade
/// NAT), multicast, or reserved. Addresses for documentation lead nowhere and are not refused.
fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_internal_v4(v4),
        IpAddr::V6(v6) => is_internal_v6(v6),
    }
}

fn is_internal_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    match (a, b, c) {
        // The metadata service of a cloud, at a public address.
        (168, 63, 129) if d == 16 => true,
        // This network, private, loopback, link-local.
        (0 | 10 | 127, ..) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _) => true,
        // Carrier-grade NAT (with a cloud's metadata service), protocol assignments, 6to4 relays, benchmarks.
        (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        _ => false,
    }
}

/// Public hosts have addresses in 2000::/3; in it, tunnels can lead back to an internal IPv4 address.
fn is_internal_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let is_global = segments[0] & 0xe000 == 0x2000;
    let is_6to4 = segments[0] == 0x2002;
    let is_protocol_assignment = segments[0] == 0x2001 && segments[1] < 0x0200;
    !is_global || is_6to4 || is_protocol_assignment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict() -> AddressPolicy {
        AddressPolicy::default()
    }

    #[test]
    fn an_address_of_an_endpoint_is_https_to_a_web_server() {
        for good in [
            "https://example.com/hooks",
            "https://example.com:8443/hooks?shop=1",
            "https://EXAMPLE.com",
            "https://203.0.113.7/hooks",
            "https://[2a00:1450:4001::1]/hooks",
            "https://localhost-but-not-really.example/",
        ] {
            assert!(strict().parse_url(good).is_ok(), "{good}: {:?}", strict().parse_url(good));
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_LEN_MAX));
        for (bad, error) in [
            ("", WebhookUrlError::NotAnUrl),
            ("example.com/hooks", WebhookUrlError::NotAnUrl),
            ("https://", WebhookUrlError::NotAnUrl),
            ("https:// example.com", WebhookUrlError::NotAnUrl),
            ("https://exa\tmple.com", WebhookUrlError::NotAnUrl),
            ("https:\\\\example.com", WebhookUrlError::NotAnUrl),
            ("http://example.com", WebhookUrlError::NotHttps),
            ("ftp://example.com", WebhookUrlError::NotHttps),
            ("file:///etc/passwd", WebhookUrlError::NotHttps),
            ("https://user@example.com", WebhookUrlError::HasUserInfo),
            ("https://user:secret@example.com", WebhookUrlError::HasUserInfo),
            ("https://example.com/#part", WebhookUrlError::HasFragment),
            ("https://example.com:22/", WebhookUrlError::BadPort(22)),
            ("https://example.com:25/", WebhookUrlError::BadPort(25)),
            (&long, WebhookUrlError::TooLong),
        ] {
            assert_eq!(strict().parse_url(bad), Err(error), "{bad}");
        }
    }

    #[test]
    fn internal_addresses_are_refused_however_they_are_written() {
        for bad in [
            "https://127.0.0.1",
            "https://127.1",
            "https://2130706433",
            "https://0x7f000001",
            "https://0177.0.0.1",
            "https://0.0.0.0",
            "https://10.0.0.1",
            "https://172.16.0.1",
            "https://172.31.255.255",
            "https://192.168.1.1",
            "https://169.254.169.254/latest/meta-data",
            "https://168.63.129.16/machine",
            "https://100.64.0.1",
            "https://100.100.100.200",
            "https://192.0.0.192",
            "https://198.18.0.1",
            "https://224.0.0.1",
            "https://255.255.255.255",
            "https://[::1]",
            "https://[::]",
            "https://[::ffff:127.0.0.1]",
            "https://[::ffff:a9fe:a9fe]",
            "https://[::127.0.0.1]",
            "https://[64:ff9b::10.0.0.1]",
            "https://[fe80::1]",
            "https://[fc00::1]",
            "https://[fd00:ec2::254]",
            "https://[ff02::1]",
            "https://[2002:7f00:1::]",
            "https://[2001::1]",
            "https://①②⑦.0.0.1",
        ] {
            let parsed = strict().parse_url(bad);
            assert!(matches!(parsed, Err(WebhookUrlError::Forbidden(_))), "{bad}: {parsed:?}");
        }
        for public in ["1.1.1.1", "100.63.0.1", "172.32.0.1", "2a00::1", "::ffff:1.1.1.1", "64:ff9b::101:101"]
        {
            assert_eq!(strict().check_address(public.parse().unwrap()), Ok(()), "{public}");
        }
    }

    #[test]
    fn an_operator_may_allow_a_network_and_plain_http() {
        let policy = AddressPolicy { allow_http: true, allow_private: vec!["10.0.0.0/8".parse().unwrap()] };
        assert!(policy.parse_url("http://10.1.2.3:8080/hooks").is_ok());
        assert!(policy.parse_url("http://[::ffff:10.1.2.3]/hooks").is_ok());
        assert!(policy.parse_url("http://example.com/hooks").is_ok());
        assert!(matches!(policy.parse_url("http://127.0.0.1"), Err(WebhookUrlError::Forbidden(_))));
    }

    #[test]
    fn an_international_name_is_called_by_its_name_in_ascii() {
        let url = strict().parse_url("https://bücher.example/häken?ö=1").unwrap();
        assert_eq!(url.name(), Some("xn--bcher-kva.example"));
        assert_eq!(url.as_str(), "https://xn--bcher-kva.example/h%C3%A4ken?%C3%B6=1");
        assert_eq!(url.authority(), "xn--bcher-kva.example");
        assert_eq!(url.path(), "/h%C3%A4ken?%C3%B6=1");
    }

    #[test]
    fn a_request_names_host_and_port_as_a_browser_does() {
        for (text, authority, path) in [
            ("https://example.com", "example.com", "/"),
            ("https://example.com:443/a", "example.com", "/a"),
            ("https://example.com:8443/a?b", "example.com:8443", "/a?b"),
            ("https://[2a00::1]:8443", "[2a00::1]:8443", "/"),
        ] {
            let url = strict().parse_url(text).unwrap();
            assert_eq!((url.authority().as_str(), url.path().as_str()), (authority, path));
        }
    }
}
