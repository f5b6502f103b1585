//! Bad days on request: when they strike, and what was done. Only a private instance has any.

use super::TargetInstance;
use crate::clock::RunClock;
use crate::observations::RunInstant;
use crate::private_instance::PrivateInstance;
use crate::report::{FaultKind, InjectedFault};
use std::io;
use std::time::Duration;

/// What is done to a private instance, counted from the start of the sale.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// Kill it and start it again, each time this long after the last.
    pub crash_every: Option<Duration>,
    /// Fill its disk at this time, for so long.
    pub disk_full: Option<(Duration, Duration)>,
    /// Make its machine's clock jump at this time, by so many milliseconds.
    pub clock_jump: Option<(Duration, i64)>,
}

impl FaultPlan {
    /// Whether nothing is done.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.crash_every.is_none() && self.disk_full.is_none() && self.clock_jump.is_none()
    }
}

/// What was done so far.
#[derive(Debug, Default)]
pub(super) struct FaultLog(Vec<InjectedFault>);

impl FaultLog {
    pub(super) fn list(&self) -> Vec<InjectedFault> {
        self.0.clone()
    }

    fn record_fault(&mut self, at: RunInstant, sort: FaultKind, what: String) {
        self.0.push(InjectedFault { at_ms: at.0 / 1000, sort, what });
    }
}

/// What is still to be done.
pub(super) struct FaultSchedule {
    crash_every: Option<Duration>,
    crash_at: RunInstant,
    fill_at: RunInstant,
    fill_for: Duration,
    free_at: RunInstant,
    jump_at: RunInstant,
    jump_ms: i64,
}

const NEVER: RunInstant = RunInstant(u64::MAX / 2);

impl FaultSchedule {
    pub(super) fn new(faults: &FaultPlan, start: RunInstant) -> Self {
        Self {
            crash_every: faults.crash_every,
            crash_at: faults.crash_every.map_or(NEVER, |every| start.plus(every)),
            fill_at: faults.disk_full.map_or(NEVER, |(at, _)| start.plus(at)),
            fill_for: faults.disk_full.map_or(Duration::ZERO, |(_, length)| length),
            free_at: NEVER,
            jump_at: faults.clock_jump.map_or(NEVER, |(at, _)| start.plus(at)),
            jump_ms: faults.clock_jump.map_or(0, |(_, ms)| ms),
        }
    }

    /// When the next thing is to be done.
    pub(super) fn next_due(&self) -> RunInstant {
        self.crash_at.min(self.fill_at).min(self.free_at).min(self.jump_at).min(NEVER)
    }

    /// Does what is due; why the instance cannot go on, if it cannot.
    pub(super) async fn inject_due(
        &mut self,
        instance: &mut TargetInstance,
        watch: &RunClock,
        struck: &mut FaultLog,
    ) -> Result<(), String> {
        let TargetInstance::Private(private) = instance else {
            (self.crash_at, self.fill_at, self.free_at, self.jump_at) = (NEVER, NEVER, NEVER, NEVER);
            return Ok(());
        };
        let now = watch.now();
        if self.fill_at <= now {
            self.fill_at = NEVER;
            self.free_at = now.plus(self.fill_for);
            record_result(struck, now, FaultKind::DiskFull, "disk full", private.fill_disk());
        }
        if self.free_at <= now {
            self.free_at = NEVER;
            record_result(struck, now, FaultKind::DiskFree, "disk free again", private.free_disk());
        }
        if self.jump_at <= now {
            self.jump_at = NEVER;
            let what = format!("clock jumps by {} s", self.jump_ms as f64 / 1000.0);
            record_result(struck, now, FaultKind::ClockJump, &what, private.shift_clock(self.jump_ms));
        }
        if self.crash_at <= now {
            let crashed = crash_instance(private, watch, struck).await;
            self.crash_at = self.crash_every.map_or(NEVER, |every| watch.now().plus(every));
            // The disk is as full for the new process as it was for the old one.
            if self.free_at != NEVER {
                let _kept = private.fill_disk();
            }
            return crashed;
        }
        Ok(())
    }

    /// Undoes the faults that would prevent settling.
    pub(super) async fn free_filled_disk(
        &mut self,
        instance: &mut TargetInstance,
        watch: &RunClock,
        struck: &mut FaultLog,
    ) {
        if self.free_at != NEVER
            && let TargetInstance::Private(private) = instance
        {
            self.free_at = NEVER;
            record_result(struck, watch.now(), FaultKind::DiskFree, "disk free again", private.free_disk());
        }
    }
}

async fn crash_instance(
    private: &mut PrivateInstance,
    watch: &RunClock,
    struck: &mut FaultLog,
) -> Result<(), String> {
    let killed = watch.now();
    private.kill().map_err(|error| format!("the instance could not be killed: {error}"))?;
    struck.record_fault(killed, FaultKind::Killed, "killed".to_owned());
    private.launch().await.map_err(|error| super::ending::format_error_chain(&error))?;
    let back = watch.now();
    struck.record_fault(
        back,
        FaultKind::Back,
        format!("answers again after {} ms", (back.0 - killed.0) / 1000),
    );
    Ok(())
}

fn record_result(struck: &mut FaultLog, at: RunInstant, sort: FaultKind, what: &str, result: io::Result<()>) {
    match result {
        Ok(()) => struck.record_fault(at, sort, what.to_owned()),
        Err(error) => struck.record_fault(at, sort, format!("{what}: could not be done: {error}")),
    }
}
