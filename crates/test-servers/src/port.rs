//! TCP ports that stay reserved while their server is started, killed and started again. It never listens on one.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that the system gives to clients (from 32,768): a client that reconnects to a killed server must not be given
/// the server's port.
const PORTS: Range<u16> = 10_000..30_000;
/// The bus of a Redis Cluster node listens so far above its port (<https://redis.io/docs/latest/operate/oss_and_stack/management/scaling/>).
const BUS_OFFSET: u16 = 10_000;

/// A port of 127.0.0.1 that no other reservation gets, in this process or another, until this is dropped.
///
/// A socket is bound to the port without `SO_REUSEADDR` and never listens, and gets the option afterwards. Linux then refuses the
/// port to every bind without the option, which is every other reservation; it refuses connections while the server is down; and
/// it lets a server with the option listen, as Redis, PostgreSQL, nginx, Node and Rust's standard library do.
pub struct ReservedPort {
    port: u16,
    _sockets: Vec<OwnedFd>,
}

impl ReservedPort {
    #[must_use]
    pub fn reserve() -> Self {
        Self::reserve_with_offsets(PORTS, &[0])
    }

    /// For a node of a Redis Cluster: also reserves the port of its bus.
    #[must_use]
    pub fn reserve_with_bus() -> Self {
        Self::reserve_with_offsets(PORTS.start..PORTS.end - BUS_OFFSET, &[0, BUS_OFFSET])
    }

    #[must_use]
    pub fn get(&self) -> u16 {
        self.port
    }

    fn reserve_with_offsets(ports: Range<u16>, offsets: &[u16]) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let count = ports.end - ports.start;
        // Test programs that run together begin at different ports, so that they seldom try one that is taken.
        #[expect(clippy::cast_possible_truncation, reason = "any part of the process id will do")]
        let first = (std::process::id() as u16).wrapping_mul(61);
        let candidates = (0..count)
            .map(|_| ports.start + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % count);
        for port in candidates {
            let sockets: Result<Vec<OwnedFd>, Errno> =
                offsets.iter().map(|offset| bind_port(port + offset)).collect();
            if let Ok(sockets) = sockets {
                return Self { port, _sockets: sockets };
            }
        }
        panic!("every port from {} to {} is taken", ports.start, ports.end);
    }
}

fn bind_port(port: u16) -> Result<OwnedFd, Errno> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    set_socket_reuseaddr(&socket, true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_reserved_port_goes_to_its_server_again_and_again_and_to_no_other_reservation() {
        let port = ReservedPort::reserve();
        let address = (Ipv4Addr::LOCALHOST, port.get());
        for _ in 0..2 {
            assert!(bind_port(port.get()).is_err());
            assert!(TcpStream::connect(address).is_err());
            let server = TcpListener::bind(address).unwrap();
            TcpStream::connect(address).unwrap();
            drop(server);
        }
        let freed = port.get();
        drop(port);
        assert!(bind_port(freed).is_ok() || TcpListener::bind((Ipv4Addr::LOCALHOST, freed)).is_ok());
    }

    #[test]
    fn the_bus_port_of_a_node_is_reserved_too() {
        let port = ReservedPort::reserve_with_bus();
        assert!(bind_port(port.get() + BUS_OFFSET).is_err());
    }
}
