//! From values to positions on an axis, and its round tick values. It knows nothing of drawing.

use super::format::{compact, short, span_ms};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ValueScale {
    /// From zero up, each step as high as the last.
    Linear {
        /// The value at the top.
        max: f64,
        step: f64,
    },
    /// Milliseconds, each power of ten as high as the last.
    Log {
        /// The power of ten at the bottom.
        low: i32,
        /// The power of ten at the top.
        high: i32,
    },
}

impl ValueScale {
    /// From zero to `max` or a little above, with about `steps` steps.
    pub(super) fn linear(max: f64, steps: f64) -> Self {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let step = nice_step(max / steps);
        Self::Linear { max: (max / step).ceil() * step, step }
    }

    /// The same for things that are counted: no tick is a fraction.
    pub(super) fn whole(max: u64, steps: f64) -> Self {
        let max = max.max(1) as f64;
        let step = nice_step(max / steps).max(1.0);
        Self::Linear { max: (max / step).ceil() * step, step }
    }

    /// The powers of ten around these milliseconds; zeros are none.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            (low, high) = (low.min(value), high.max(value));
        }
        if high == 0.0 {
            return None;
        }
        // A microsecond to a month: nothing else was measured, and the axis stays short.
        let low = power(low.clamp(1e-3, 1e9).log10().floor());
        let high = power(high.clamp(1e-3, 1e9).log10().ceil());
        Some(Self::Log { low, high: high.max(low + 1) })
    }

    /// The position of a value: 0 at the bottom, 1 at the top.
    pub(super) fn position(&self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { max, .. } => value / max,
            Self::Log { low, high } => {
                (value.max(f64::MIN_POSITIVE).log10() - f64::from(*low)) / f64::from(high - low)
            }
        };
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }

    /// The tick values, from the bottom up.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Self::Linear { max, step } => {
                let steps = power((max / step).round());
                (0..=steps)
                    .map(|index| f64::from(index) * step)
                    .map(|value| (value, compact(value)))
                    .collect()
            }
            Self::Log { low, high } => {
                let values = (*low..=*high).map(|power| 10_f64.powi(power));
                values.map(|value| (value, span_ms(value))).collect()
            }
        }
    }
}

/// The horizontal axis: milliseconds from the sale's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeScale {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

/// Steps of a time axis, in milliseconds, as a clock has them.
const TIME_STEPS_MS: [i64; 24] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000,
    300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000,
];

impl TimeScale {
    pub(super) fn new(from_ms: i64, to_ms: i64) -> Self {
        Self { from_ms, to_ms: to_ms.max(from_ms.saturating_add(1)) }
    }

    /// The position of a moment: 0 at the left, 1 at the right.
    pub(super) fn position(&self, at_ms: i64) -> f64 {
        let whole = self.to_ms.saturating_sub(self.from_ms) as f64;
        (at_ms.saturating_sub(self.from_ms) as f64 / whole).clamp(0.0, 1.0)
    }

    /// At most `count` tick moments, and one more.
    pub(super) fn ticks(&self, count: i64) -> Vec<(i64, String)> {
        let whole = self.to_ms.saturating_sub(self.from_ms);
        let longest = TIME_STEPS_MS[TIME_STEPS_MS.len() - 1];
        let step = TIME_STEPS_MS.into_iter().find(|step| whole / step <= count);
        let step = step.unwrap_or_else(|| whole / count.max(1) / longest * longest + longest);
        let mut ticks = Vec::new();
        let mut at = self.from_ms.div_euclid(step) * step;
        while at <= self.to_ms {
            if at >= self.from_ms {
                ticks.push((at, format_tick(at, step)));
            }
            at += step;
        }
        ticks
    }
}

fn format_tick(at_ms: i64, step_ms: i64) -> String {
    let sign = if at_ms < 0 { "−" } else { "" };
    let size = at_ms.unsigned_abs() as f64;
    match step_ms {
        3_600_000.. => format!("{sign}{} h", short(size / 3.6e6, 1)),
        60_000.. => format!("{sign}{} min", short(size / 6e4, 1)),
        _ => format!("{sign}{} s", short(size / 1e3, 3)),
    }
}

/// The next 1, 2 or 5 times a power of ten.
fn nice_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let found =
        [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|nice| *nice >= step * 0.999_999);
    found.unwrap_or(10.0 * power)
}

#[expect(clippy::cast_possible_truncation, reason = "a small whole number, bounded by its callers")]
fn power(number: f64) -> i32 {
    number as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &ValueScale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn a_linear_axis_has_round_figures_and_holds_its_values() {
        assert_eq!(labels(&ValueScale::linear(48_312.0, 4.0)), ["0", "20k", "40k", "60k"]);
        assert_eq!(labels(&ValueScale::linear(0.17, 4.0)), ["0", "0.05", "0.1", "0.15", "0.2"]);
        assert_eq!(labels(&ValueScale::whole(1_000, 4.0)), ["0", "500", "1k"]);
        for max in [0.003, 1.0, 7.0, 99.0, 101.0, 123_456_789.0] {
            let ValueScale::Linear { max: top, step } = ValueScale::linear(max, 4.0) else {
                panic!("linear")
            };
            assert!(top >= max && top < max + step * 1.000_1, "{max}: {top}");
            assert!(ValueScale::linear(max, 4.0).ticks().len() <= 6, "{max}");
        }
    }

    #[test]
    fn what_is_counted_has_no_fractions_beside_it() {
        assert_eq!(labels(&ValueScale::whole(0, 4.0)), ["0", "1"]);
        assert_eq!(labels(&ValueScale::whole(2, 4.0)), ["0", "1", "2"]);
    }

    #[test]
    fn a_log_axis_spans_the_powers_of_ten_around_its_values() {
        let scale = ValueScale::log([0.0, 0.4, 812.0].into_iter()).expect("values");
        assert_eq!(labels(&scale), ["0.1 ms", "1 ms", "10 ms", "100 ms", "1 s"]);
        assert!((scale.position(10.0) - 0.5).abs() < 1e-9);
        assert_eq!(scale.position(0.0), 0.0);
        assert_eq!(ValueScale::log([0.0, f64::NAN].into_iter()), None);
        assert_eq!(labels(&ValueScale::log([1.0].into_iter()).expect("a value")), ["1 ms", "10 ms"]);
    }

    #[test]
    fn a_time_axis_counts_as_a_clock_does() {
        let ticks = |from, to, count| -> Vec<String> {
            TimeScale::new(from, to).ticks(count).into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(ticks(-2_000, 9_000, 5), ["−2 s", "0 s", "2 s", "4 s", "6 s", "8 s"]);
        assert_eq!(
            ticks(-2_000, 9_000, 11),
            ["−2 s", "−1 s", "0 s", "1 s", "2 s", "3 s", "4 s", "5 s", "6 s", "7 s", "8 s", "9 s"]
        );
        assert_eq!(
            ticks(0, 3_600_000, 6),
            ["0 min", "10 min", "20 min", "30 min", "40 min", "50 min", "60 min"]
        );
        assert_eq!(ticks(0, 0, 4), ["0 s", "0.001 s"]);
        assert!(ticks(0, i64::MAX / 4, 8).len() <= 10);
    }
}
