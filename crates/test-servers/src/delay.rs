//! How late this machine runs what is due, so that a test can assert a promise about time while builds run beside it. It never
//! changes the promise on an idle machine by more than some milliseconds.

use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SLEEP: Duration = Duration::from_millis(10);
/// Processor time of one round: about what a process needs to pass on one request.
const WORK: Duration = Duration::from_millis(1);
/// A request and its reply pass so many threads at most: client, proxies, nginx, instance, Redis, PostgreSQL and back.
const HOPS: u32 = 20;

/// A thread that sleeps and works in small rounds, and records by how much the slowest round was late.
pub struct SchedulingDelay {
    stop: Arc<AtomicBool>,
    worst_us: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl SchedulingDelay {
    #[must_use]
    pub fn start() -> Self {
        let (stop, worst_us) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, worst) = (Arc::clone(&stop), Arc::clone(&worst_us));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let late_us = u64::try_from(measure_round().as_micros()).unwrap_or(u64::MAX);
                worst.fetch_max(late_us, Ordering::Relaxed);
            }
        });
        Self { stop, worst_us, thread: Some(thread) }
    }

    /// A promised limit, plus what this machine has cost since the start.
    #[must_use]
    pub fn extend(&self, promised: Duration) -> Duration {
        promised + self.worst() * HOPS
    }

    #[must_use]
    pub fn worst(&self) -> Duration {
        Duration::from_micros(self.worst_us.load(Ordering::Relaxed))
    }
}

impl Drop for SchedulingDelay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// How much longer than planned a round took.
#[expect(clippy::disallowed_methods, reason = "it measures the machine")]
fn measure_round() -> Duration {
    let started = Instant::now();
    std::thread::sleep(SLEEP);
    let work_end = thread_time() + WORK;
    while thread_time() < work_end {
        std::hint::spin_loop();
    }
    started.elapsed().saturating_sub(SLEEP + WORK)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
