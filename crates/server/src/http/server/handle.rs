//! What the sweeper, a connection's task and its stream share: the phase the connection is in, and the command it was sent.
//! Both are atomics, because each read and write of the stream updates them.

use super::ServerSettings;
use futures::task::AtomicWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

/// The shared state of one connection.
pub(super) struct ConnectionHandle {
    deadlines: Arc<PhaseDeadlines>,
    /// The [`ConnectionPhase`] in three bits, above them the tick in which it began.
    activity: AtomicU64,
    command: AtomicU8,
    /// Whether a request was answered with 101: what the client sends from then on is no HTTP.
    is_upgraded: AtomicBool,
    waker: AtomicWaker,
}

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionPhase {
    /// Waits for the first byte of a request, or writes the previous reply.
    Idle = 0,
    /// Has read a part of a request's head.
    Head = 1,
    Answering = 2,
    /// Upgraded, and nothing waits to be written.
    Socket = 3,
    /// Upgraded, and the peer does not read all that is sent to it.
    Backpressured = 4,
}

/// What a connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionCommand {
    Continue = 0,
    /// Answer the requests that have arrived, then end.
    Finish = 1,
    Close = 2,
}

impl ConnectionHandle {
    pub(super) fn new(deadlines: Arc<PhaseDeadlines>) -> Self {
        let handle = Self {
            deadlines,
            activity: AtomicU64::new(0),
            command: AtomicU8::new(ConnectionCommand::Continue as u8),
            is_upgraded: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        };
        // A client that connects and sends nothing gets no more time than one with a slow head.
        handle.set_phase(ConnectionPhase::Head);
        handle
    }

    pub(super) fn set_phase(&self, phase: ConnectionPhase) {
        self.activity.store(self.deadlines.now() << 3 | phase as u64, Ordering::Relaxed);
    }

    pub(super) fn mark_upgraded(&self) {
        self.is_upgraded.store(true, Ordering::Release);
    }

    pub(super) fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Ordering::Acquire)
    }

    pub(super) fn is_answering(&self) -> bool {
        self.phase() == ConnectionPhase::Answering
    }

    fn phase(&self) -> ConnectionPhase {
        self.phase_and_start().0
    }

    fn phase_and_start(&self) -> (ConnectionPhase, u64) {
        let activity = self.activity.load(Ordering::Relaxed);
        let phase = match activity & 7 {
            0 => ConnectionPhase::Idle,
            1 => ConnectionPhase::Head,
            2 => ConnectionPhase::Answering,
            3 => ConnectionPhase::Socket,
            _ => ConnectionPhase::Backpressured,
        };
        (phase, activity >> 3)
    }

    /// Whether the connection's phase lasts longer than its limit.
    pub(super) fn is_late(&self) -> bool {
        let (phase, started_at) = self.phase_and_start();
        let limit = match phase {
            ConnectionPhase::Idle => self.deadlines.idle,
            ConnectionPhase::Head => self.deadlines.head,
            ConnectionPhase::Answering => self.deadlines.answer,
            // Socket.IO's pings find a dead peer.
            ConnectionPhase::Socket => return false,
            ConnectionPhase::Backpressured => self.deadlines.behind,
        };
        self.deadlines.now().saturating_sub(started_at) > limit
    }

    /// Closes a late connection. A late request is only woken: it sees that it is late and answers 504 itself.
    pub(super) fn enforce_deadline(&self) {
        match self.phase() {
            ConnectionPhase::Idle | ConnectionPhase::Head | ConnectionPhase::Backpressured => {
                self.send_command(ConnectionCommand::Close)
            }
            ConnectionPhase::Answering => self.waker.wake(),
            ConnectionPhase::Socket => {}
        }
    }

    pub(super) fn record_read(&self) {
        if self.phase() == ConnectionPhase::Idle {
            self.set_phase(ConnectionPhase::Head);
        }
    }

    /// Restarts the idle limit: a long reply may take longer than that, as long as it moves.
    pub(super) fn record_write(&self) {
        if self.phase() == ConnectionPhase::Idle {
            self.set_phase(ConnectionPhase::Idle);
        }
    }

    /// The operating system's buffer was full.
    pub(super) fn record_backpressure(&self, waker: &Waker) {
        if self.phase() == ConnectionPhase::Socket {
            self.set_phase(ConnectionPhase::Backpressured);
        }
        if self.phase() == ConnectionPhase::Backpressured {
            self.register_waker(waker);
        }
    }

    /// The operating system took everything.
    pub(super) fn record_flush(&self) {
        if self.phase() == ConnectionPhase::Backpressured {
            self.set_phase(ConnectionPhase::Socket);
        }
    }

    /// Whether the stream of an upgraded connection has to fail: the connection's task has ended, so that only the stream can
    /// act on the command.
    pub(super) fn must_fail(&self) -> bool {
        self.command() == ConnectionCommand::Close
            && matches!(self.phase(), ConnectionPhase::Socket | ConnectionPhase::Backpressured)
    }

    pub(super) fn command(&self) -> ConnectionCommand {
        match self.command.load(Ordering::Acquire) {
            0 => ConnectionCommand::Continue,
            1 => ConnectionCommand::Finish,
            _ => ConnectionCommand::Close,
        }
    }

    pub(super) fn send_command(&self, command: ConnectionCommand) {
        self.command.fetch_max(command as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    pub(super) fn register_waker(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

/// The sweeper's clock, and how many of its ticks each phase of a connection may last.
pub(super) struct PhaseDeadlines {
    now: AtomicU64,
    head: u64,
    idle: u64,
    answer: u64,
    behind: u64,
}

impl PhaseDeadlines {
    pub(super) fn new(settings: ServerSettings, tick: Duration) -> Self {
        // One more than the limit: a phase begins somewhere within a tick.
        let ticks = |limit: Duration| {
            u64::try_from(limit.as_nanos().div_ceil(tick.as_nanos())).unwrap_or(u64::MAX) + 1
        };
        Self {
            now: AtomicU64::new(0),
            head: ticks(settings.head_limit),
            idle: ticks(settings.idle_limit),
            answer: ticks(settings.answer_limit),
            behind: ticks(settings.behind_limit),
        }
    }

    pub(super) fn advance(&self) {
        self.now.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
}
