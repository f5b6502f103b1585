//! Arrivals: the moments at which people press the button, counted from the start of the sale.

use rand::Rng;
use rand_distr::{Distribution, Exp1};
use std::time::Duration;

/// Points of a recorded curve at most: a day by the second.
const CURVE_LEN_MAX: usize = 86_400;

/// How a crowd comes.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrivalCurve {
    /// All at once: evenly within the time, which is short.
    Spike,
    /// More and more: the rate grows evenly from nothing.
    Ramp,
    /// At a constant rate, each independent of the others.
    Poisson,
    /// As it was once: so many (relative to each other) from each moment to the next, in microseconds from the start.
    Recorded(Vec<(i64, f64)>),
}

/// Why a recorded curve cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CurveError {
    /// It is no CSV.
    #[error("it is no CSV of two columns, seconds and arrivals")]
    Csv(#[source] csv::Error),
    /// A row is no pair of numbers that follow each other.
    #[error("row {row}: {problem}")]
    Row {
        /// Counted from 1, the heading too.
        row: usize,
        problem: &'static str,
    },
    #[error("it has no arrivals")]
    Empty,
    /// It is too long.
    #[error("it has more than {CURVE_LEN_MAX} rows")]
    Long,
}

impl ArrivalCurve {
    /// A recorded curve: `seconds,arrivals` a row, with or without a heading; the seconds go up, and may begin before the
    /// start of the sale (negative). Arrivals of a row are spread evenly until the next row's moment, those of the last
    /// over as long as the row before.
    ///
    /// # Errors
    /// When it is not that.
    pub fn from_csv(csv: impl std::io::Read) -> Result<Self, CurveError> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(csv);
        let mut curve: Vec<(i64, f64)> = Vec::new();
        for (index, row) in reader.records().enumerate() {
            let row = row.map_err(CurveError::Csv)?;
            let number = |column: usize| row.get(column).and_then(|field| field.parse::<f64>().ok());
            let (Some(seconds), Some(arrivals)) = (number(0), number(1)) else {
                if index == 0 {
                    continue;
                }
                return Err(CurveError::Row { row: index + 1, problem: "it must be two numbers" });
            };
            let wrong = |problem| CurveError::Row { row: index + 1, problem };
            if !(seconds.abs() <= 86_400.0 && (0.0..=1e9).contains(&arrivals)) {
                return Err(wrong("seconds are -86400 to 86400, arrivals 0 to 1000000000"));
            }
            #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
            let at_us = (seconds * 1e6) as i64;
            if curve.last().is_some_and(|(before_us, _)| *before_us >= at_us) {
                return Err(wrong("its moment must come after that of the row before"));
            }
            if curve.len() == CURVE_LEN_MAX {
                return Err(CurveError::Long);
            }
            curve.push((at_us, arrivals));
        }
        if curve.iter().map(|(_, arrivals)| arrivals).sum::<f64>() <= 0.0 {
            return Err(CurveError::Empty);
        }
        Ok(Self::Recorded(curve))
    }

    /// The moments of so many people, in microseconds from the start.
    pub fn draw(&self, people: u32, over: Duration, rng: &mut impl Rng) -> Vec<i64> {
        let over_us = over.as_micros() as f64;
        let mut moments = Vec::with_capacity(people as usize);
        match self {
            Self::Spike => moments.extend((0..people).map(|_| to_whole_us(rng.random::<f64>() * over_us))),
            Self::Ramp => {
                moments.extend((0..people).map(|_| to_whole_us(rng.random::<f64>().sqrt() * over_us)))
            }
            Self::Poisson => {
                let mean_us = over_us / f64::from(people.max(1));
                let mut at_us = 0.0;
                for _ in 0..people {
                    let gap: f64 = Exp1.sample(rng);
                    at_us += gap * mean_us;
                    moments.push(to_whole_us(at_us));
                }
            }
            Self::Recorded(curve) => {
                let total: f64 = curve.iter().map(|(_, arrivals)| arrivals).sum();
                for _ in 0..people {
                    moments.push(sample_curve(curve, rng.random::<f64>() * total, rng.random()));
                }
            }
        }
        moments
    }
}

/// The moment of the arrival after `rank` others of the curve, `within` the way to the next row.
fn sample_curve(curve: &[(i64, f64)], mut rank: f64, within: f64) -> i64 {
    for (index, (at_us, arrivals)) in curve.iter().enumerate() {
        if rank < *arrivals || index + 1 == curve.len() {
            let next = curve.get(index + 1).map(|(next_us, _)| next_us - at_us);
            let before = index.checked_sub(1).map(|before| at_us - curve[before].0);
            let length_us = next.or(before).unwrap_or(1_000_000);
            return at_us + to_whole_us(within * length_us as f64);
        }
        rank -= arrivals;
    }
    0
}

#[expect(clippy::cast_possible_truncation, reason = "moments of a rehearsal are far below 2^63 µs")]
fn to_whole_us(us: f64) -> i64 {
    us as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const SECOND: Duration = Duration::from_secs(1);

    fn draw_sample(arrival: &ArrivalCurve) -> Vec<i64> {
        arrival.draw(10_000, SECOND, &mut ChaCha8Rng::seed_from_u64(5))
    }

    fn share_in_first_half(arrival: &ArrivalCurve) -> f64 {
        draw_sample(arrival).iter().filter(|at_us| **at_us < 500_000).count() as f64 / 10_000.0
    }

    #[test]
    fn a_spike_is_even_a_ramp_grows_and_poisson_keeps_its_rate() {
        for (arrival, share) in
            [(ArrivalCurve::Spike, 0.5), (ArrivalCurve::Ramp, 0.25), (ArrivalCurve::Poisson, 0.5)]
        {
            let found = share_in_first_half(&arrival);
            assert!((found - share).abs() < 0.03, "{arrival:?}: {found}");
        }
    }

    #[test]
    fn a_recorded_curve_is_followed() {
        let curve =
            ArrivalCurve::from_csv("seconds,arrivals\n-1, 30\n0, 60\n0.5, 10\n".as_bytes()).expect("a curve");
        let moments = draw_sample(&curve);
        let early = moments.iter().filter(|at_us| **at_us < 0).count();
        let late = moments.iter().filter(|at_us| **at_us >= 500_000).count();
        assert!((2_800..3_200).contains(&early), "{early}");
        assert!((850..1_150).contains(&late), "{late}");
        assert!(moments.iter().all(|at_us| (-1_000_000..1_000_000).contains(at_us)));
    }

    #[test]
    fn an_invalid_curve_is_refused_with_its_row() {
        for (text, message) in [
            ("1,2\nx,3", "row 2: it must be two numbers"),
            ("1,2\n1,3", "row 2: its moment must come after that of the row before"),
            ("0,0", "it has no arrivals"),
            ("", "it has no arrivals"),
            ("0,-1", "row 1: seconds are -86400 to 86400, arrivals 0 to 1000000000"),
        ] {
            assert_eq!(ArrivalCurve::from_csv(text.as_bytes()).expect_err(text).to_string(), message);
        }
    }
}
