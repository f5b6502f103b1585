//! The figures of a run: saved in a file (`--save=FILE`), and compared with those of another run (`--compare=FILE`). It measures nothing.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The part of a figure by which it may be worse when neither run has a second round that shows how much it varies: the third by which
/// figures vary on the machine of docs/benchmarks.md.
const SINGLE_ROUND_SPREAD: f64 = 1.0 / 3.0;

/// Figures by name: `table: row: what`.
pub type FigureMap = BTreeMap<String, MeasuredFigure>;

/// In which direction a figure improves.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BetterDirection {
    Higher,
    Lower,
}

/// One figure in all rounds of a run, and how it was measured.
#[derive(Clone, Serialize, Deserialize)]
pub struct MeasuredFigure {
    /// From the least to the most.
    pub rounds: Vec<f64>,
    pub better: BetterDirection,
    /// What a round is, and the machine's cores.
    pub conditions: String,
    /// The git revision, or the argument that names another binary.
    pub build: String,
}

/// A figure of two runs; `None` where a run does not have it.
pub struct FigureChange<'a> {
    pub name: &'a str,
    pub kept: Option<&'a MeasuredFigure>,
    pub measured: Option<&'a MeasuredFigure>,
    pub is_worse: bool,
}

/// Compares every figure that either run has.
pub fn compare_figures<'a>(kept: &'a FigureMap, measured: &'a FigureMap) -> Vec<FigureChange<'a>> {
    let names: BTreeSet<&String> = kept.keys().chain(measured.keys()).collect();
    let compare = |name: &'a String| {
        let (kept, measured) = (kept.get(name), measured.get(name));
        let is_worse = kept.zip(measured).is_some_and(|(kept, measured)| measured.is_worse_than(kept));
        FigureChange { name, kept, measured, is_worse }
    };
    names.into_iter().map(compare).collect()
}

impl MeasuredFigure {
    fn median(&self) -> Option<f64> {
        self.rounds.get(self.rounds.len() / 2).copied()
    }

    /// How far the rounds lie apart; `None` for a single one.
    fn spread(&self) -> Option<f64> {
        let [least, .., most] = self.rounds[..] else { return None };
        Some(most - least)
    }

    fn is_worse_than(&self, kept: &Self) -> bool {
        let (Some(before), Some(now)) = (kept.median(), self.median()) else { return false };
        let loss = match self.better {
            BetterDirection::Higher => before - now,
            BetterDirection::Lower => now - before,
        };
        let spread = match (kept.spread(), self.spread()) {
            (None, None) => before * SINGLE_ROUND_SPREAD,
            (one, other) => one.unwrap_or(0.0).max(other.unwrap_or(0.0)),
        };
        loss > spread
    }
}

impl FigureChange<'_> {
    fn format_row(&self) -> String {
        let before = self.kept.and_then(MeasuredFigure::median);
        let now = self.measured.and_then(MeasuredFigure::median);
        let text = |figure: Option<f64>| figure.map_or_else(String::new, |figure| figure.to_string());
        let change = before
            .zip(now)
            .map_or_else(String::new, |(before, now)| format!("{:+.0} %", (now / before - 1.0) * 100.0));
        let remark = match (self.kept, self.measured) {
            (None, _) => "not kept",
            (_, None) => "not measured",
            _ if self.is_worse => "**worse**",
            _ => "",
        };
        let kept_from = self.kept.map_or_else(String::new, |kept| {
            format!("{} × {}, {}", kept.rounds.len(), kept.conditions, kept.build)
        });
        format!("| {} | {} | {} | {change} | {remark} | {kept_from} |\n", self.name, text(before), text(now))
    }
}

/// Takes the figures of one table after the other, saves and compares them.
pub struct FigureLog {
    compared: Option<(PathBuf, FigureMap)>,
    saved: Option<PathBuf>,
    conditions: String,
    build: String,
    /// The figures of the table that is not closed yet.
    measured: RefCell<FigureMap>,
    is_worse: Cell<bool>,
}

impl FigureLog {
    /// Reads the files that the arguments name; ends the program with 2 if that fails. `round` says how long or large a round is.
    pub fn start(args: &[String], round: &str) -> Self {
        Self::from_args(args, round).unwrap_or_else(|error| {
            eprintln!("{error:#}");
            std::process::exit(2)
        })
    }

    pub fn from_args(args: &[String], round: &str) -> anyhow::Result<Self> {
        let compared = file_argument(args, "--compare")?;
        let compared = compared.map(|file| read_figures(&file).map(|figures| (file, figures))).transpose()?;
        let saved = file_argument(args, "--save")?;
        if let Some(file) = &saved {
            // A file that cannot be written is found before the run, not after it.
            let figures = if file.exists() { read_figures(file)? } else { FigureMap::new() };
            write_figures(file, &figures)?;
        }
        let cores = std::thread::available_parallelism()?;
        Ok(Self {
            compared,
            saved,
            conditions: format!("{round}, {cores} cores"),
            build: args
                .iter()
                .find(|arg| arg.starts_with("--binary="))
                .cloned()
                .unwrap_or_else(read_revision),
            measured: RefCell::default(),
            is_worse: Cell::new(false),
        })
    }

    /// Takes a figure of the open table, with its value in each round.
    pub fn record(&self, name: &str, better: BetterDirection, rounds: impl IntoIterator<Item = f64>) {
        // A server without replies makes a ratio infinite, which JSON cannot hold.
        let rounds = rounds.into_iter().filter(|figure| figure.is_finite());
        let mut rounds: Vec<f64> = rounds.map(|figure| (figure * 1000.0).round() / 1000.0).collect();
        rounds.sort_by(f64::total_cmp);
        let (conditions, build) = (self.conditions.clone(), self.build.clone());
        let figure = MeasuredFigure { rounds, better, conditions, build };
        if !figure.rounds.is_empty() {
            self.measured.borrow_mut().insert(name.to_owned(), figure);
        }
    }

    /// Takes the ratio of a load and its p99 in microseconds, of each round.
    pub fn record_load(&self, row: &str, ratio: &str, rounds: impl Iterator<Item = (f64, u64)>) {
        let (ratios, p99s_ms): (Vec<f64>, Vec<f64>) =
            rounds.map(|(ratio, p99_us)| (ratio, p99_us as f64 / 1000.0)).unzip();
        self.record(&format!("{row}: {ratio}"), BetterDirection::Higher, ratios);
        self.record(&format!("{row}: p99, ms"), BetterDirection::Lower, p99s_ms);
    }

    /// Saves what was recorded since the last table, and returns its comparison as text: empty if there is none.
    pub fn close_table(&self, table: &str) -> anyhow::Result<String> {
        let prefix = format!("{table}: ");
        let named =
            self.measured.take().into_iter().map(|(name, figure)| (format!("{prefix}{name}"), figure));
        let measured: FigureMap = named.collect();
        let mut text = String::new();
        if let Some((file, kept)) = &self.compared {
            let mut kept = kept.clone();
            kept.retain(|name, _| name.starts_with(&prefix));
            let changes = compare_figures(&kept, &measured);
            if !changes.is_empty() {
                text = format!(
                    "\nCompared with {}; this run: {}, {}.\n\n| figure | kept | now | change | | kept from |\n\
                     | --- | ---: | ---: | ---: | --- | --- |\n",
                    file.display(),
                    self.conditions,
                    self.build
                );
            }
            text.extend(changes.iter().map(FigureChange::format_row));
            self.is_worse.set(self.is_worse.get() || changes.iter().any(|change| change.is_worse));
        }
        if let Some(file) = &self.saved {
            let mut figures = read_figures(file)?;
            figures.extend(measured);
            write_figures(file, &figures)?;
        }
        Ok(text)
    }

    /// 1 if a figure was worse than the kept one.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.is_worse.get())
    }
}

/// The file of an argument, as `NAME=FILE` or `NAME FILE`, from the repository's root: cargo runs a benchmark in its crate's folder.
fn file_argument(args: &[String], name: &str) -> anyhow::Result<Option<PathBuf>> {
    let file = args.iter().enumerate().find_map(|(at, arg)| match arg.strip_prefix(name)? {
        "" => Some(args.get(at + 1).map_or("", String::as_str)),
        value => value.strip_prefix('='),
    });
    let Some(file) = file else { return Ok(None) };
    anyhow::ensure!(!file.is_empty() && !file.starts_with("--"), "{name} needs a file: {name}=FILE");
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the crate has no workspace")?;
    Ok(Some(root.join(file)))
}

fn read_figures(file: &Path) -> anyhow::Result<FigureMap> {
    let read = || anyhow::Ok(serde_json::from_str::<FigureMap>(&std::fs::read_to_string(file)?)?);
    read().with_context(|| format!("{} cannot be read as figures that --save wrote", file.display()))
}

/// One figure a line, for people and for `git diff`.
fn write_figures(file: &Path, figures: &FigureMap) -> anyhow::Result<()> {
    let line = |(name, figure): (&String, &MeasuredFigure)| {
        anyhow::Ok(format!("  {}: {}", serde_json::to_string(name)?, serde_json::to_string(figure)?))
    };
    let lines = figures.iter().map(line).collect::<anyhow::Result<Vec<String>>>()?;
    std::fs::write(file, format!("{{\n{}\n}}\n", lines.join(",\n")))
        .with_context(|| format!("{} cannot be written", file.display()))
}

/// The revision of the sources, which ends with `-dirty` when files of the crates differ from it.
fn read_revision() -> String {
    let status =
        Command::new("git").args(["status", "--porcelain=v2", "--branch", "--", ":/crates"]).output();
    let text = status.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let revision = text.lines().find_map(|line| line.strip_prefix("# branch.oid ")?.get(..9));
    let is_dirty = text.lines().any(|line| !line.starts_with('#'));
    format!("{}{}", revision.unwrap_or("unknown revision"), if is_dirty { "-dirty" } else { "" })
}
