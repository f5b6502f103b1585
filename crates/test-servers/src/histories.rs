//! Random histories: a seeded source of chance, and the search for a shorter history that fails, too.

use std::ops::Range;

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
}
