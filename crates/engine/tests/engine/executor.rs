//! A scheduler without threads: one seed, one order of events. Polls a randomly chosen task that is ready; when none is,
//! lets time pass.

use engine::clock::{Clock, ManualClock};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Steps of time without anyone getting ready, after which the tasks that are left hang: 10 minutes and more.
const IDLE_STEPS_MAX: u32 = 20_000;

/// Polls after which a simulation is taken for one that never comes to rest.
const POLLS_MAX: u32 = 300_000;

pub struct Executor {
    tasks: Vec<Task>,
    rng: StdRng,
    clock: Arc<ManualClock>,
}

struct Task {
    name: String,
    future: Pin<Box<dyn Future<Output = ()>>>,
    ready: Arc<Ready>,
}

struct Ready(AtomicBool);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Executor {
    pub fn new(seed: u64, clock: Arc<ManualClock>) -> Self {
        Self { tasks: Vec::new(), rng: StdRng::seed_from_u64(seed), clock }
    }

    pub fn spawn(&mut self, name: impl Into<String>, future: impl Future<Output = ()> + 'static) {
        let ready = Arc::new(Ready(AtomicBool::new(true)));
        self.tasks.push(Task { name: name.into(), future: Box::pin(future), ready });
    }

    /// Runs until every task has ended.
    pub fn run(mut self) {
        let mut idle_steps = 0;
        let mut polls = 0;
        while !self.tasks.is_empty() {
            let ready: Vec<usize> = (0..self.tasks.len())
                .filter(|task| self.tasks[*task].ready.0.load(Ordering::SeqCst))
                .collect();
            if ready.is_empty() {
                idle_steps += 1;
                let names: Vec<&str> = self.tasks.iter().map(|task| task.name.as_str()).collect();
                assert!(idle_steps < IDLE_STEPS_MAX, "these tasks hang: {names:?}");
                self.clock.advance_ms(self.rng.random_range(1..=50));
                continue;
            }
            idle_steps = 0;
            let chosen = ready[self.rng.random_range(0..ready.len())];
            let task = &mut self.tasks[chosen];
            polls += 1;
            assert!(polls < POLLS_MAX, "{} and others are busy without an end", task.name);
            task.ready.0.store(false, Ordering::SeqCst);
            let waker = Waker::from(Arc::clone(&task.ready));
            if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                self.tasks.swap_remove(chosen);
            }
        }
    }
}

/// Lets others go first, `times` times.
pub async fn step_aside(times: u32) {
    for _ in 0..times {
        let mut stepped = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut stepped, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Waits on the engine's own time.
pub async fn pause_ms(clock: &Arc<dyn Clock>, ms: i64) {
    clock.sleep_until(clock.now().plus_ms(ms)).await;
}
