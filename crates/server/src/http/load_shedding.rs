//! Load shedding: what a busy server refuses first, so that those who have come far can finish. The busier it is, the more kinds of
//! requests are refused; orders and payments are refused last, by the limit of connections itself. It measures no time: a server is
//! busy when it works on many requests at once, which is when they come faster than it answers them.

use super::problem::{Problem, kind};
use crate::telemetry::metrics::{Counter, ServerMetrics};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Kinds of requests that are refused before others, the first to be refused first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SheddingClass {
    /// Reading without a token.
    StrangerRead,
    /// Opening a socket. Pages without one poll the line feed.
    NewSocket,
    /// A new account, or a guest who was not here before.
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

    /// From how many requests at once it is refused, in eighths of the connections that the server accepts.
    const fn threshold_eighths(self) -> usize {
        4 + self as usize
    }
}

/// Counts the requests that a server works on, and says which further ones are refused.
#[derive(Debug)]
pub struct LoadShedder {
    connections_max: usize,
    working: AtomicUsize,
    refused: [Counter; SheddingClass::ALL.len()],
}

impl LoadShedder {
    /// For a server that accepts this many connections, each of which brings one request at a time.
    #[must_use]
    pub fn new(connections_max: u32, metrics: &ServerMetrics) -> Self {
        let refused = SheddingClass::ALL.map(|class| metrics.shed_counter(class.name()));
        Self { connections_max: connections_max as usize, working: AtomicUsize::new(0), refused }
    }

    /// Counts a request until the result is dropped, which is also what happens when its client hangs up.
    pub fn begin_request(&self) -> WorkingRequest<'_> {
        self.working.fetch_add(1, Ordering::Relaxed);
        WorkingRequest(&self.working)
    }

    /// Requests that are worked on now.
    #[must_use]
    pub fn count_working(&self) -> usize {
        self.working.load(Ordering::Relaxed)
    }

    /// Why the next request of this class is not worked on; `None` when it is.
    #[must_use]
    pub fn refusal(&self, class: SheddingClass) -> Option<Problem> {
        let threshold = (self.connections_max * class.threshold_eighths()).div_ceil(8);
        if self.count_working() < threshold {
            return None;
        }
        self.refused[class as usize].inc();
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
            [(0, 0), (399, 0), (400, 1), (500, 2), (599, 2), (600, 3), (700, 4), (799, 4)]
        {
            assert_eq!(refused_with(others, 800), SheddingClass::ALL[..refused], "{others}");
        }
    }

    #[test]
    fn a_single_request_is_never_refused() {
        for connections_max in 1..9 {
            assert_eq!(refused_with(0, connections_max), []);
        }
    }

    #[test]
    fn a_request_that_has_ended_counts_no_more() {
        let shedder = LoadShedder::new(2, &ServerMetrics::default());
        let first = shedder.begin_request();
        assert!(shedder.refusal(SheddingClass::StrangerRead).is_some());
        drop(first);
        assert!(shedder.refusal(SheddingClass::StrangerRead).is_none());
    }
}
