//! The deadlines of all connections. One sweeper checks every connection a few times a second, because a timer for each
//! connection would cost more than everything else that an idle connection costs. It never touches a stream.

use super::ServerSettings;
use super::handle::{ConnectionCommand, ConnectionHandle, PhaseDeadlines};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// The sweeper runs at an eighth of the shortest limit, within these bounds.
const SWEEP_PERIOD_MIN: Duration = Duration::from_millis(5);
const SWEEP_PERIOD_MAX: Duration = Duration::from_millis(250);

/// Finds the connections that are late, and sends commands to all of them when the process stops.
pub(super) struct DeadlineSweeper {
    period: Duration,
    deadlines: Arc<PhaseDeadlines>,
    connections: Mutex<Vec<Weak<ConnectionHandle>>>,
}

impl DeadlineSweeper {
    pub(super) fn new(settings: ServerSettings) -> Self {
        let ServerSettings { head_limit, idle_limit, answer_limit, behind_limit, .. } = settings;
        let shortest = head_limit.min(idle_limit).min(answer_limit).min(behind_limit);
        let period = (shortest / 8).clamp(SWEEP_PERIOD_MIN, SWEEP_PERIOD_MAX);
        let deadlines = PhaseDeadlines::new(settings, period);
        Self { period, deadlines: Arc::new(deadlines), connections: Mutex::default() }
    }

    pub(super) fn track_connection(&self) -> Arc<ConnectionHandle> {
        let handle = Arc::new(ConnectionHandle::new(Arc::clone(&self.deadlines)));
        self.lock().push(Arc::downgrade(&handle));
        handle
    }

    pub(super) async fn run(self: Arc<Self>) {
        let mut interval = tokio::time::interval(self.period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            interval.tick().await;
            self.deadlines.advance();
            self.lock().retain(|connection| {
                let Some(handle) = connection.upgrade() else { return false };
                if handle.is_late() {
                    handle.enforce_deadline();
                }
                true
            });
        }
    }

    pub(super) fn finish_connections(&self) {
        for handle in self.lock().iter().filter_map(Weak::upgrade) {
            handle.send_command(ConnectionCommand::Finish);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<ConnectionHandle>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
