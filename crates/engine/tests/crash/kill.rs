//! The parent: kills the child, reads the ledger that is left, and looks for every reply in it.

use crate::child;
use crate::load::{SALES, sale_id};
use engine::record::LedgerReader;
use engine::record::sqlite::SqliteReader;
use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sale::audit::LedgerAuditor;
use sale::{Event, EventSeq, LedgerEntry, SaleState};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

const KILLS: u64 = 24;

pub fn what_was_answered_survives_kill_9() {
    let seed = std::env::var("DOORBUSTER_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    let kills = std::env::var("DOORBUSTER_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    println!("seed {seed}: DOORBUSTER_SEED={seed} cargo test -p engine --test crash");
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut ledgers = HashMap::new();
    let mut answers = Vec::new();
    for life in 1..=kills {
        let in_start = life > 1 && rng.random_range(0..5) == 0;
        let lines = run_until_killed(folder.path(), life, in_start, &mut rng);
        check_start(&lines, &ledgers);
        answers.extend(lines.into_iter().filter(|line| line.starts_with("answer")));
        ledgers = read_all(folder.path());
        check_answers(&answers, &ledgers);
        ledgers.iter().for_each(|(sale, entries)| check_promises(sale, entries));
    }
    let events: usize = ledgers.values().map(Vec::len).sum();
    println!("{kills} kills, {} answers, {events} events", answers.len());
}

/// Replies after which a child is killed at the latest: enough for all kinds of commands to be under way.
const REPLIES_MAX: usize = 400;

/// Starts a child on the folder and kills it during its start or after a random number of replies; returns its whole lines.
fn run_until_killed(folder: &Path, life: u64, in_start: bool, rng: &mut StdRng) -> Vec<String> {
    let mut child = child(&["serve", folder.to_str().unwrap(), &life.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let (sender, progress) = mpsc::channel();
    let listener = std::thread::spawn(move || {
        let mut lines = Vec::new();
        let mut line = String::new();
        while out.read_line(&mut line).unwrap_or(0) > 0 {
            // A line without its end was cut off by the kill.
            if let Some(whole) = line.strip_suffix('\n') {
                if whole == "ready" || whole.starts_with("answer") {
                    let _killed = sender.send(());
                }
                lines.push(whole.to_owned());
            }
            line.clear();
        }
        lines
    });
    if in_start {
        std::thread::sleep(Duration::from_micros(rng.random_range(0..30_000)));
    } else {
        for _ in 0..=rng.random_range(0..REPLIES_MAX) {
            progress.recv().expect("the child runs until it is killed");
        }
        // Between two replies too.
        std::thread::sleep(Duration::from_micros(rng.random_range(0..2_000)));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    listener.join().unwrap()
}

fn read_all(folder: &Path) -> HashMap<String, Vec<LedgerEntry>> {
    let reader = SqliteReader::open(folder).unwrap();
    (0..SALES)
        .map(|no| {
            (
                sale_id(no).to_string(),
                block_on(reader.read_entries(sale_id(no), EventSeq(0), usize::MAX)).unwrap(),
            )
        })
        .collect()
}

/// The child began with what the ledger had said when the one before it was killed.
fn check_start(lines: &[String], ledgers: &HashMap<String, Vec<LedgerEntry>>) {
    for line in lines.iter().filter_map(|line| line.strip_prefix("state ")) {
        let (sale, rest) = line.split_once(' ').unwrap();
        let (seq, counters) = rest.split_once(' ').unwrap();
        let entries = &ledgers[sale];
        let seq: usize = seq.parse().unwrap();
        assert!(seq >= entries.len(), "{sale} began at {seq}, the ledger had said {}", entries.len());
        // Time may have passed already.
        if seq == entries.len() {
            assert_eq!(counters, format!("{:?}", fold(entries).counters()));
        }
    }
}

fn fold(entries: &[LedgerEntry]) -> SaleState {
    let mut state = SaleState::new();
    entries.iter().for_each(|entry| state.apply(entry));
    state
}

/// Every answer that was heard is in the ledger.
fn check_answers(answers: &[String], ledgers: &HashMap<String, Vec<LedgerEntry>>) {
    let facts: HashMap<&str, HashSet<String>> = ledgers
        .iter()
        .map(|(sale, entries)| (sale.as_str(), entries.iter().filter_map(format_entry).collect()))
        .collect();
    for answer in answers {
        let mut words = answer.splitn(4, ' ').skip(1);
        let (sale, seq, fact) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        assert!(seq.parse::<usize>().unwrap() <= ledgers[sale].len(), "lost: {answer}");
        assert!(facts[sale].contains(fact), "lost: {answer}");
    }
}

fn format_entry(entry: &LedgerEntry) -> Option<String> {
    Some(match &entry.event {
        Event::Joined { ticket, .. } => format!("joined {ticket}"),
        Event::Left { ticket, .. } => format!("left {ticket}"),
        Event::Held { order, .. } => format!("held {order}"),
        Event::Confirmed { order, .. } => format!("confirmed {order}"),
        Event::Released { order, .. } => format!("released {order}"),
        Event::Refunded { order, .. } => format!("refunded {order}"),
        _ => return None,
    })
}

fn check_promises(sale: &str, entries: &[LedgerEntry]) {
    let mut auditor = LedgerAuditor::new();
    entries.iter().for_each(|entry| auditor.read_entry(entry));
    let broken: Vec<_> = auditor.first_offences().map(ToString::to_string).collect();
    assert!(auditor.is_clean(), "{sale}: {broken:?}");
    assert_eq!(auditor.counters(), fold(entries).counters(), "two readings of {sale} differ");
}
