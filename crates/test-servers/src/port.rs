//! Ports for servers that are ended and started again. It never holds one.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// A port that nobody listens on, and that the system gives to no client: those who ask a killed server again and again would
/// sooner or later be given its port, and then it could not start again.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Other test programs may look at the same time: each begins somewhere else.
    let start = std::process::id().wrapping_mul(61);
    let steps = (0..COUNT).map(|_| NEXT.fetch_add(1, Ordering::Relaxed));
    let mut ports = steps.map(|step| u16::try_from(FIRST + start.wrapping_add(step) % COUNT).unwrap());
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
