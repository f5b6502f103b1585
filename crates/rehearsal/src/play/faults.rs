//! Bad days on request: when they strike, and what was done. Only a private instance has any.

use super::Instance;
use crate::private::Private;
use crate::report::{Fault, FaultSort};
use crate::told::Moment;
use crate::watch::Stopwatch;
use std::io;
use std::time::Duration;

/// What is done to a private instance, counted from the start of the sale.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Kill it and start it again, each time this long after the last.
    pub crash_every: Option<Duration>,
    /// Fill its disk at this time, for so long.
    pub disk_full: Option<(Duration, Duration)>,
    /// Make its machine's clock jump at this time, by so many milliseconds.
    pub clock_jump: Option<(Duration, i64)>,
}

impl Faults {
    /// Whether nothing is done.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.crash_every.is_none() && self.disk_full.is_none() && self.clock_jump.is_none()
    }
}

/// What was done so far.
#[derive(Debug, Default)]
pub(super) struct Struck(Vec<Fault>);

impl Struck {
    pub(super) fn list(&self) -> Vec<Fault> {
        self.0.clone()
    }

    fn note(&mut self, at: Moment, sort: FaultSort, what: String) {
        self.0.push(Fault { at_ms: at.0 / 1000, sort, what });
    }
}

/// What is still to be done.
pub(super) struct Agenda {
    crash_every: Option<Duration>,
    crash_at: Moment,
    fill_at: Moment,
    fill_for: Duration,
    free_at: Moment,
    jump_at: Moment,
    jump_ms: i64,
}

const NEVER: Moment = Moment(u64::MAX / 2);

impl Agenda {
    pub(super) fn new(faults: &Faults, start: Moment) -> Self {
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
    pub(super) fn next(&self) -> Moment {
        self.crash_at.min(self.fill_at).min(self.free_at).min(self.jump_at).min(NEVER)
    }

    /// Does what is due; why the instance cannot go on, if it cannot.
    pub(super) async fn strike(
        &mut self,
        instance: &mut Instance,
        watch: &Stopwatch,
        struck: &mut Struck,
    ) -> Result<(), String> {
        let Instance::Private(private) = instance else {
            (self.crash_at, self.fill_at, self.free_at, self.jump_at) = (NEVER, NEVER, NEVER, NEVER);
            return Ok(());
        };
        let now = watch.now();
        if self.fill_at <= now {
            self.fill_at = NEVER;
            self.free_at = now.plus(self.fill_for);
            done(struck, now, FaultSort::DiskFull, "disk full", private.fill_disk());
        }
        if self.free_at <= now {
            self.free_at = NEVER;
            done(struck, now, FaultSort::DiskFree, "disk free again", private.free_disk());
        }
        if self.jump_at <= now {
            self.jump_at = NEVER;
            let what = format!("clock jumps by {} s", self.jump_ms as f64 / 1000.0);
            done(struck, now, FaultSort::ClockJump, &what, private.shift_clock(self.jump_ms));
        }
        if self.crash_at <= now {
            let crashed = crash(private, watch, struck).await;
            self.crash_at = self.crash_every.map_or(NEVER, |every| watch.now().plus(every));
            // The disk is as full for the new process as it was for the old one.
            if self.free_at != NEVER {
                let _kept = private.fill_disk();
            }
            return crashed;
        }
        Ok(())
    }

    /// Takes back what would stand in the way of settling.
    pub(super) async fn undo(&mut self, instance: &mut Instance, watch: &Stopwatch, struck: &mut Struck) {
        if self.free_at != NEVER
            && let Instance::Private(private) = instance
        {
            self.free_at = NEVER;
            done(struck, watch.now(), FaultSort::DiskFree, "disk free again", private.free_disk());
        }
    }
}

async fn crash(private: &mut Private, watch: &Stopwatch, struck: &mut Struck) -> Result<(), String> {
    let killed = watch.now();
    private.kill().map_err(|error| format!("the instance could not be killed: {error}"))?;
    struck.note(killed, FaultSort::Killed, "killed".to_owned());
    private.launch().await.map_err(|error| super::ending::in_one_line(&error))?;
    let back = watch.now();
    struck.note(back, FaultSort::Back, format!("answers again after {} ms", (back.0 - killed.0) / 1000));
    Ok(())
}

fn done(struck: &mut Struck, at: Moment, sort: FaultSort, what: &str, result: io::Result<()>) {
    match result {
        Ok(()) => struck.note(at, sort, what.to_owned()),
        Err(error) => struck.note(at, sort, format!("{what}: could not be done: {error}")),
    }
}
