//! The client's address: that of the peer, or what trusted proxies report. Anyone can send `X-Forwarded-For`, so it is read from
//! the right, and only as far as the hops are trusted.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// Hops that are read; real chains of proxies are shorter.
const HOPS_MAX: usize = 16;

/// The rightmost address of the chain that is not a trusted proxy.
#[must_use]
pub fn resolve_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(peer, trusted) {
        return peer;
    }
    let values = headers.get_all("x-forwarded-for");
    let hops =
        values.iter().rev().filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
    let mut client = peer;
    for hop in hops.take(HOPS_MAX) {
        // An unreadable hop ends the chain, because nothing left of it can be trusted.
        let Some(address) = parse_hop(hop.trim()) else { break };
        client = address;
        if !is_trusted(address, trusted) {
            break;
        }
    }
    client
}

/// Whether the address is one of these proxies.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// An address, perhaps with a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let address = hop.parse().or_else(|_| hop.parse::<std::net::SocketAddr>().map(|address| address.ip()));
    let address = address.or_else(|_| hop.trim_start_matches('[').trim_end_matches(']').parse());
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        resolve_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_reports_of_trusted_proxies_count() {
        let proxies = ["127.0.0.1/32", "10.0.0.0/8"];
        for (peer, forwarded, expected) in [
            ("127.0.0.1", &["203.0.113.7"][..], "203.0.113.7"),
            ("127.0.0.1", &["6.6.6.6, 203.0.113.7, 10.1.1.1"], "203.0.113.7"),
            ("127.0.0.1", &["6.6.6.6", "203.0.113.7:4711"], "203.0.113.7"),
            ("127.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("127.0.0.1", &["203.0.113.7, garbage"], "127.0.0.1"),
            ("127.0.0.1", &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("::ffff:127.0.0.1", &["203.0.113.7"], "203.0.113.7"),
            ("203.0.113.9", &["6.6.6.6"], "203.0.113.9"),
        ] {
            assert_eq!(client(peer, forwarded, &proxies), expected, "{peer} {forwarded:?}");
        }
        assert_eq!(client("127.0.0.1", &["6.6.6.6"], &[]), "127.0.0.1");
    }
}
