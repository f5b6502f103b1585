//! How a benchmark compares its figures with kept ones, and how it keeps them in a file. It starts no server and measures nothing.

#[path = "../../benches/common/figures.rs"]
#[expect(dead_code, reason = "only the benchmarks end their program when a file cannot be read")]
mod figures;

use anyhow::Context;
use figures::BetterDirection::{Higher, Lower};
use figures::{BetterDirection, FigureLog, FigureMap, MeasuredFigure, compare_figures};
use std::path::Path;

fn one_figure(better: BetterDirection, rounds: &[f64]) -> FigureMap {
    let (conditions, build) = ("5 s, 2 cores".to_owned(), "abc".to_owned());
    FigureMap::from([("x".to_owned(), MeasuredFigure { rounds: rounds.to_vec(), better, conditions, build })])
}

fn is_worse(better: BetterDirection, kept: &[f64], measured: &[f64]) -> bool {
    compare_figures(&one_figure(better, kept), &one_figure(better, measured))[0].is_worse
}

fn open_log(option: &str, file: &Path) -> anyhow::Result<FigureLog> {
    FigureLog::from_args(&["bench".to_owned(), format!("{option}={}", file.display())], "5 s")
}

#[test]
fn a_figure_is_worse_when_its_median_lost_more_than_either_runs_spread() {
    assert!(!is_worse(Higher, &[0.50, 0.60, 0.65], &[0.46, 0.47, 0.48]));
    assert!(is_worse(Higher, &[0.50, 0.60, 0.65], &[0.43, 0.44, 0.45]));
    assert!(!is_worse(Higher, &[0.59, 0.60, 0.61], &[0.40, 0.50, 0.55]));
    assert!(!is_worse(Higher, &[0.59, 0.60, 0.61], &[0.88, 0.89, 0.90]));
}

#[test]
fn of_a_latency_more_is_worse() {
    assert!(is_worse(Lower, &[9.0, 10.0, 11.0], &[12.5, 13.0, 13.5]));
    assert!(!is_worse(Lower, &[9.0, 10.0, 11.0], &[5.0, 6.0, 7.0]));
}

#[test]
fn without_a_second_round_in_either_run_a_third_is_tolerated() {
    assert!(!is_worse(Higher, &[0.60], &[0.41]));
    assert!(is_worse(Higher, &[0.60], &[0.39]));
    assert!(is_worse(Lower, &[9.0], &[12.1]));
    // The spread of one run is better than a guess.
    assert!(is_worse(Higher, &[0.60], &[0.49, 0.50, 0.51]));
}

#[test]
fn tables_of_several_programs_end_in_one_file_and_each_is_compared_with_its_part() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("figures.json");
    for (table, ratio) in [("http", 0.9), ("dialects", 0.5), ("http", 0.6)] {
        let log = open_log("--save", &file)?;
        log.record_load("sold out", "ratio to bare", [(ratio, 9_812), (ratio + 0.02, 9_000)].into_iter());
        assert_eq!(log.close_table(table)?, "");
    }
    let text = std::fs::read_to_string(&file)?;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert!(lines[3].starts_with(r#"  "http: sold out: p99, ms": {"rounds":[9.0,9.812],"better":"lower","#));
    assert!(
        lines[4].starts_with(r#"  "http: sold out: ratio to bare": {"rounds":[0.6,0.62],"better":"higher","#)
    );

    let log = open_log("--compare", &file)?;
    log.record("sold out: ratio to bare", Higher, [0.6, 0.62]);
    log.record("sale status: ratio to bare", Higher, [0.8]);
    let text = log.close_table("http")?;
    assert!(text.contains("| http: sold out: p99, ms | 9.812 |  |  | not measured | 2 × 5 s, "), "{text}");
    assert!(text.contains("| http: sale status: ratio to bare |  | 0.8 |  | not kept |  |"), "{text}");
    assert!(!text.contains("dialects"), "{text}");
    assert_eq!(log.exit_code(), 0, "{text}");

    log.record("sold out: ratio to bare", Higher, [0.24, 0.26]);
    let text = log.close_table("dialects")?;
    assert!(
        text.contains("| dialects: sold out: ratio to bare | 0.52 | 0.26 | -50 % | **worse** |"),
        "{text}"
    );
    assert_eq!(log.exit_code(), 1, "{text}");
    Ok(())
}

#[test]
fn a_file_that_cannot_be_read_is_named_before_anything_is_measured() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("figures.json");
    let missing = open_log("--compare", &file).err().context("a missing file was read")?;
    assert!(format!("{missing:#}").contains("figures.json cannot be read"), "{missing:#}");
    std::fs::write(&file, "| http | 0.6 |")?;
    for option in ["--compare", "--save"] {
        let other = open_log(option, &file).err().context("a file of another kind was read")?;
        assert!(format!("{other:#}").contains("figures.json cannot be read"), "{other:#}");
    }
    let args = ["--compare", "--bench"].map(str::to_owned);
    let unnamed = FigureLog::from_args(&args, "5 s").err().context("an option was taken for a file")?;
    assert_eq!(unnamed.to_string(), "--compare needs a file: --compare=FILE");
    Ok(())
}
