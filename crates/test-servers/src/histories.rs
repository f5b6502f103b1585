//! Random histories: a seeded source of chance, a run of many histories, and the search for a shorter one that fails, too.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Runs that look for a shorter history that fails, at most.
pub const SHRINK_RUNS_MAX: u32 = 150;

/// SplitMix64: small, seeded, the same everywhere.
#[derive(Clone, Debug)]
pub struct SeededRandom(u64);

impl SeededRandom {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn pick<T: Copy>(&mut self, some: &[T]) -> T {
        some[usize::try_from(self.below(some.len() as u64)).unwrap()]
    }
}

/// What happens in a history, step by step.
pub trait HistoryPlan {
    fn count_steps(&self) -> usize;

    /// The same without some steps.
    #[must_use]
    fn without(&self, skipped: Range<usize>) -> Self;
}

/// Histories between two lines that say how many were played.
const LOGGED_EVERY: u64 = 1_000;

/// A test that plays random histories.
pub struct HistoryTest {
    /// `PREFIX_HISTORIES` says how many histories a run has, `PREFIX_FIRST` is the seed of the first, `PREFIX_SEED` that of a single one, and
    /// `PREFIX_AT_ONCE` says how many are played at a time.
    pub prefix: &'static str,
    /// Histories of a run, unless the variable says how many.
    pub histories: u64,
    /// The command that plays them, without the variables.
    pub command: &'static str,
}

impl HistoryTest {
    /// Plays the histories of seeds 1, 2, 3 …, one on each core at a time, and returns what each ended with, in no order. The first that
    /// panics ends the test: it is described without what does not matter. A long run says now and then how far it is.
    pub fn play_all<P, R>(
        &self,
        from_seed: impl Fn(u64) -> P + Sync,
        describe: impl Fn(&P) -> String,
        play: impl Fn(&P) -> R + Sync,
    ) -> Vec<R>
    where
        P: HistoryPlan,
        R: Send,
    {
        let seeds = match self.read_number("SEED") {
            Some(seed) => seed..=seed,
            None => {
                let first = self.read_number("FIRST").unwrap_or(1);
                first..=first - 1 + self.read_number("HISTORIES").unwrap_or(self.histories)
            }
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let at_once = self.read_number("AT_ONCE").unwrap_or(cores as u64);
        let try_play = |plan: &P| catch_unwind(AssertUnwindSafe(|| play(plan))).ok();
        let next = AtomicU64::new(*seeds.start());
        let (ends, failed) = (Mutex::new(Vec::new()), Mutex::new(None));
        let work = || {
            while failed.lock().unwrap().is_none() {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if !seeds.contains(&seed) {
                    return;
                }
                match try_play(&from_seed(seed)) {
                    Some(end) => {
                        let mut ends = ends.lock().unwrap();
                        ends.push(end);
                        if (ends.len() as u64).is_multiple_of(LOGGED_EVERY) {
                            eprintln!("{} histories were played", ends.len());
                        }
                    }
                    None => {
                        failed.lock().unwrap().get_or_insert(seed);
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(work);
            }
        });
        if let Some(seed) = failed.into_inner().unwrap() {
            let replay = format!("replay with: {}_SEED={seed} {}", self.prefix, self.command);
            // A history that hangs is not shortened before the run is ended.
            eprintln!("{replay}; looking for a shorter history that fails");
            let fails = |plan: &P| try_play(plan).is_none();
            let story = describe(&shrink(from_seed(seed), SHRINK_RUNS_MAX, fails));
            panic!("{replay}\n{story}");
        }
        ends.into_inner().unwrap()
    }

    fn read_number(&self, name: &str) -> Option<u64> {
        let name = format!("{}_{name}", self.prefix);
        std::env::var(&name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    }
}

/// A shorter history that fails, too: ever smaller parts are left out, in `runs_max` runs at most.
pub fn shrink<P: HistoryPlan>(mut plan: P, runs_max: u32, fails: impl Fn(&P) -> bool) -> P {
    let mut runs = 0;
    let mut len = plan.count_steps().div_ceil(2);
    while len > 0 && runs < runs_max {
        let mut from = 0;
        while from < plan.count_steps() && runs < runs_max {
            let shorter = plan.without(from..from + len);
            runs += 1;
            if fails(&shorter) {
                plan = shorter;
            } else {
                from += len;
            }
        }
        len /= 2;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct NumberPlan(Vec<u64>);

    impl HistoryPlan for NumberPlan {
        fn count_steps(&self) -> usize {
            self.0.len()
        }

        fn without(&self, skipped: Range<usize>) -> Self {
            let kept = self.0.iter().enumerate().filter(|(index, _)| !skipped.contains(index));
            Self(kept.map(|(_, number)| *number).collect())
        }
    }

    #[test]
    fn what_does_not_matter_is_left_out() {
        let mut chance = SeededRandom::new(7);
        let mut numbers: Vec<u64> = (0..90).map(|_| chance.below(1_000)).collect();
        numbers[11] = 2_000;
        numbers[70] = 3_000;
        let fails = |plan: &NumberPlan| {
            let at = |number| plan.0.iter().position(|other| *other == number);
            at(2_000).zip(at(3_000)).is_some_and(|(first, second)| first < second)
        };
        assert_eq!(shrink(NumberPlan(numbers.clone()), 1_000, fails).0, [2_000, 3_000]);
        assert_eq!(shrink(NumberPlan(numbers), 0, fails).0.len(), 90, "it ends with its runs");
    }

    const TEST: HistoryTest = HistoryTest { prefix: "NO_SUCH", histories: 50, command: "cargo test" };

    fn plan_of(seed: u64) -> NumberPlan {
        NumberPlan(vec![0, seed, 0])
    }

    #[test]
    fn each_history_is_played_once() {
        let mut ends = TEST.play_all(plan_of, |plan| format!("{plan:?}"), |plan| plan.0[1]);
        ends.sort_unstable();
        assert_eq!(ends, (1..=50).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "replay with: NO_SUCH_SEED=33 cargo test\nNumberPlan([33])")]
    fn a_history_that_fails_is_described_with_its_seed() {
        TEST.play_all(plan_of, |plan| format!("{plan:?}"), |plan| assert!(!plan.0.contains(&33)));
    }
}
