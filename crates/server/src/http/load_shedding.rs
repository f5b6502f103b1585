//! Load shedding: what a busy server refuses first, so that those who have come far can finish. The busier it is, the more kinds of
//! requests are refused; orders and payments are refused last, by the limit of connections itself. It measures no time: a server is
//! busy when it works on many requests at once, which is when they come faster than it answers them.

use super::problem::{Problem, kind};
use crate::telemetry::metrics::{Counter, ServerMetrics};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Kinds of requests that are refused before others, the first to be refused first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SheddingClass {
    /// Reading without a token.
    StrangerRead,
    /// Opening a socket. Pages without one poll the line feed.
    NewSocket,
    /// A new account, or a guest's visit.
    NewAccount,
    /// A new place in a line.
    Join,
}

impl SheddingClass {
    const ALL: [Self; 4] = [Self::StrangerRead, Self::NewSocket, Self::NewAccount, Self::Join];

    /// The label in metrics.
    const fn name(self) -> &'static str {
        match self {
            Self::StrangerRead => "stranger_read",
            Self::NewSocket => "new_socket",
            Self::NewAccount => "new_account",
            Self::Join => "join",
        }
    }

    /// From how many requests at once it is refused, in tenths of the connections that sockets leave. The first one is more than the
    /// requests of a single address can be, which has half of the connections.
    const fn threshold_tenths(self) -> usize {
        6 + self as usize
    }
}

/// Counts the requests that a server works on, and says which further ones are refused.
#[derive(Debug)]
pub struct LoadShedder {
    connections_max: usize,
    /// Connections that have become a WebSocket and bring no requests any more.
    sockets: Arc<AtomicUsize>,
    working: AtomicUsize,
    refused: [Counter; SheddingClass::ALL.len()],
}

impl LoadShedder {
    /// For a server that accepts this many connections, each of which brings one request at a time.
    #[must_use]
    pub fn new(connections_max: u32, metrics: &ServerMetrics) -> Self {
        let refused = SheddingClass::ALL.map(|class| metrics.shed_counter(class.name()));
        let (connections_max, sockets) = (connections_max as usize, Arc::default());
        Self { connections_max, sockets, working: AtomicUsize::new(0), refused }
    }

    /// Counts a WebSocket until the result is dropped.
    #[must_use]
    pub fn begin_socket(&self) -> OpenSocket {
        self.sockets.fetch_add(1, Ordering::Relaxed);
        OpenSocket(Arc::clone(&self.sockets))
    }

    /// Counts a request until the result is dropped. One whose client has hung up is worked on, and counts, to its end.
    pub fn begin_request(&self) -> WorkingRequest<'_> {
        self.working.fetch_add(1, Ordering::Relaxed);
        WorkingRequest(&self.working)
    }

    /// Requests that are worked on now.
    #[must_use]
    pub fn count_working(&self) -> usize {
        self.working.load(Ordering::Relaxed)
    }

    /// Whether the next request of this class is not worked on; counts it then.
    #[must_use]
    pub fn refuses(&self, class: SheddingClass) -> bool {
        let left = self.connections_max.saturating_sub(self.sockets.load(Ordering::Relaxed)).max(1);
        let threshold = (left * class.threshold_tenths()).div_ceil(10);
        let is_refused = self.count_working() >= threshold;
        if is_refused {
            self.refused[class as usize].inc();
        }
        is_refused
    }

    /// The reply to a request that [`Self::refuses`] names; `None` when it is worked on.
    #[must_use]
    pub fn refusal(&self, class: SheddingClass) -> Option<Problem> {
        if !self.refuses(class) {
            return None;
        }
        let detail = match class {
            SheddingClass::StrangerRead => {
                "the server is busy and answers those first who are signed in; try again in a moment"
            }
            SheddingClass::NewSocket => {
                "the server is busy and opens no new sockets; read the line feed, and try again in a moment"
            }
            SheddingClass::NewAccount => {
                "the server is busy and makes no new accounts; nothing was done, try again in a moment"
            }
            SheddingClass::Join => {
                "the server is busy and lets nobody join; nothing was done, try again in a moment"
            }
        };
        Some(Problem::new(&kind::OVERLOADED).detail(detail))
    }
}

/// A request that is worked on.
pub struct WorkingRequest<'a>(&'a AtomicUsize);

impl Drop for WorkingRequest<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A WebSocket that is open.
#[derive(Debug)]
pub struct OpenSocket(Arc<AtomicUsize>);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_with(others: usize, connections_max: u32) -> Vec<SheddingClass> {
        let shedder = LoadShedder::new(connections_max, &ServerMetrics::default());
        let _others: Vec<WorkingRequest<'_>> = (0..others).map(|_| shedder.begin_request()).collect();
        SheddingClass::ALL.into_iter().filter(|class| shedder.refusal(*class).is_some()).collect()
    }

    #[test]
    fn the_busier_the_server_the_more_kinds_are_refused() {
        for (others, refused) in
            [(0, 0), (599, 0), (600, 1), (700, 2), (799, 2), (800, 3), (900, 4), (999, 4)]
        {
            assert_eq!(refused_with(others, 1_000), SheddingClass::ALL[..refused], "{others}");
        }
    }

    #[test]
    fn sockets_leave_fewer_connections_for_requests() {
        let shedder = LoadShedder::new(1_000, &ServerMetrics::default());
        let _working: Vec<WorkingRequest<'_>> = (0..60).map(|_| shedder.begin_request()).collect();
        assert!(shedder.refusal(SheddingClass::StrangerRead).is_none());
        let sockets: Vec<OpenSocket> = (0..900).map(|_| shedder.begin_socket()).collect();
        assert!(shedder.refusal(SheddingClass::StrangerRead).is_some());
        assert!(shedder.refusal(SheddingClass::NewSocket).is_none());
        drop(sockets);
        assert!(shedder.refusal(SheddingClass::StrangerRead).is_none());
    }

    #[test]
    fn a_single_request_is_never_refused() {
        for connections_max in 1..9 {
            assert_eq!(refused_with(0, connections_max), []);
        }
    }

    #[test]
    fn a_request_that_has_ended_counts_no_more() {
        let shedder = LoadShedder::new(1, &ServerMetrics::default());
        let first = shedder.begin_request();
        assert!(shedder.refusal(SheddingClass::StrangerRead).is_some());
        drop(first);
        assert!(shedder.refusal(SheddingClass::StrangerRead).is_none());
    }
}
