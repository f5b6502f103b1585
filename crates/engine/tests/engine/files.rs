//! Real files: who may open them, and what is done about those that are not as they were written.

use crate::support::{START, buyer_id, line_entries, sale_id, whole_sale};
use engine::batch::Batch;
use engine::clock::ManualClock;
use engine::pipeline::PipelineLimits;
use engine::record::sqlite::{FILE, SqliteReader, SqliteRecorder};
use engine::record::{LedgerReader, LedgerRecorder};
use engine::{RunningEngine, StartError, start_on_sqlite};
use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;
use sale::{Command, LedgerEntry};
use std::fs;
use std::path::Path;
use tempfile::{TempDir, tempdir};

fn start(folder: &Path) -> Result<RunningEngine, StartError> {
    start_on_sqlite(folder, PipelineLimits::default(), |_| ManualClock::at(START))
}

fn refusal(folder: &Path) -> String {
    match start(folder) {
        Ok(_) => panic!("started"),
        Err(error) => error.to_string(),
    }
}

/// Records two sales with a line of `joined` buyers each, ten events a batch; returns the first sale's events.
fn fill(recorder: &mut SqliteRecorder, joined: u64) -> Vec<LedgerEntry> {
    let entries = line_entries(joined);
    for part in entries.chunks(10) {
        let sales = vec![(sale_id(1), part.to_vec()), (sale_id(2), part.to_vec())];
        block_on(recorder.append(&Batch { sales, ..Batch::default() })).unwrap();
    }
    entries
}

fn filled(joined: u64) -> (TempDir, Vec<LedgerEntry>) {
    let folder = tempdir().unwrap();
    let entries = fill(&mut SqliteRecorder::open(folder.path()).unwrap(), joined);
    (folder, entries)
}

fn change(folder: &Path, sql: &str) -> usize {
    Connection::open(folder.join(FILE)).unwrap().execute(sql, []).unwrap()
}

fn recorded(folder: &Path) -> Vec<LedgerEntry> {
    block_on(whole_sale(&SqliteReader::open(folder).unwrap(), sale_id(1)))
}

/// A row of sale 1.
fn key(seq: usize) -> String {
    format!("((1 << 40) + {seq})")
}

#[test]
fn a_folder_belongs_to_one_engine_at_a_time() {
    let folder = tempdir().unwrap();
    let first = start(folder.path()).unwrap();
    let handle = first.engine.clone();
    let sentence = refusal(folder.path());
    assert!(sentence.contains(&folder.path().display().to_string()), "{sentence}");
    assert!(sentence.contains(&format!("process {}", std::process::id())), "{sentence}");
    drop(first);
    refusal(folder.path());
    handle.begin_stop();
    drop(handle);
    // The threads end in their own time.
    while let Err(error) = start(folder.path()) {
        assert!(matches!(error, StartError::Locked { .. }), "{error}");
    }
}

#[test]
fn a_ledger_is_read_beside_the_engine_and_after_it() {
    let (folder, entries) = filled(20);
    let running = start(folder.path()).unwrap();
    assert_eq!(recorded(folder.path()), entries[..]);
    running.stop();
    let reader = SqliteReader::open(folder.path()).unwrap();
    assert_eq!(block_on(reader.list_sales()).unwrap(), [sale_id(1), sale_id(2)]);
    let mut pages = reader.scan();
    let mut scanned = Vec::new();
    while let Some(page) = pages.blocking_recv() {
        let page = page.unwrap();
        scanned.extend(page.entries.into_iter().filter(|_| page.sale == sale_id(2)));
    }
    assert_eq!(scanned, entries);
    let nowhere = tempdir().unwrap();
    let error = SqliteReader::open(nowhere.path()).err().unwrap().to_string();
    assert_eq!(error, format!("there is no ledger in {}", nowhere.path().display()));
}

#[test]
fn a_file_of_something_else_is_refused() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join(FILE), "this is a shopping list, and a rather long one ".repeat(100))
        .unwrap();
    assert!(refusal(folder.path()).contains("ledger.db"), "{}", refusal(folder.path()));

    let folder = tempdir().unwrap();
    change(folder.path(), "CREATE TABLE songs (id)");
    assert!(refusal(folder.path()).contains("a database of something else"));

    let (folder, _) = filled(3);
    change(folder.path(), "PRAGMA user_version = 2");
    assert!(refusal(folder.path()).contains("a newer version"));
}

#[test]
fn a_torn_end_is_set_aside_and_reported() {
    let (folder, entries) = filled(50);
    let len = entries.len();
    change(folder.path(), &format!("UPDATE entries SET body = x'00' WHERE key = {}", key(len)));
    change(folder.path(), &format!("UPDATE entries SET crc = crc + 1 WHERE key = {}", key(len - 1)));
    let started = start(folder.path()).unwrap();
    assert_eq!(started.torn_rows, 2);
    assert_eq!(started.engine.views().get(sale_id(1)).unwrap().seq.0 as usize, len - 2);
    let join = Command::Join { buyer: buyer_id(999) };
    let answer = block_on(started.engine.command(sale_id(1), join)).unwrap();
    assert_eq!(answer.seq.0 as usize, len - 1);
    started.stop();
    assert_eq!(start(folder.path()).unwrap().torn_rows, 0);
    assert_eq!(recorded(folder.path())[..len - 2], entries[..len - 2]);
}

#[test]
fn a_reader_tells_a_torn_end_before_the_start_sets_it_aside() {
    let (folder, entries) = filled(50);
    let len = entries.len();
    let reader = SqliteReader::open(folder.path()).unwrap();
    assert_eq!(reader.find_torn_tails().unwrap(), []);
    change(folder.path(), &format!("UPDATE entries SET crc = crc + 1 WHERE key >= {}", key(len - 1)));
    // That was the end of the first sale and the whole of the second.
    let torn = reader.find_torn_tails().unwrap();
    let result: Vec<_> = torn.iter().map(|end| (end.sale, end.from.0 as usize, end.rows as usize)).collect();
    assert_eq!(result, [(sale_id(1), len - 1, 2), (sale_id(2), 1, len)]);
    let mut pages = reader.scan_without(&torn);
    let mut left = Vec::new();
    while let Some(page) = pages.blocking_recv() {
        let page = page.unwrap();
        assert_eq!(page.sale, sale_id(1));
        left.extend(page.entries);
    }
    assert_eq!(left, entries[..len - 2]);
    let mut pages = reader.scan();
    while let Some(page) = pages.blocking_recv() {
        if let Err(error) = page {
            assert!(error.to_string().contains("its checksum does not fit"), "{error}");
            assert!(pages.blocking_recv().is_none());
        }
    }
    assert_eq!(start(folder.path()).unwrap().torn_rows as usize, 2 + len);
    assert_eq!(reader.find_torn_tails().unwrap(), []);
}

#[test]
fn damage_in_the_middle_stops_the_start_and_says_where() {
    let (folder, entries) = filled(50);
    let len = entries.len();
    // A torn end of the other sale is not mended either: nothing is touched in a damaged ledger.
    change(folder.path(), &format!("UPDATE entries SET crc = crc + 1 WHERE key = {} + (1 << 40)", key(len)));
    change(folder.path(), &format!("UPDATE entries SET body = x'0102' WHERE key = {}", key(20)));
    let sentence = refusal(folder.path());
    assert!(sentence.contains(&format!("sale {}, event 20", sale_id(1))), "{sentence}");
    assert_eq!(change(folder.path(), "DELETE FROM torn"), 0);
    assert_eq!(change(folder.path(), "DELETE FROM entries"), 2 * len);
}

#[test]
fn a_missing_row_stops_the_start() {
    let (folder, _) = filled(50);
    change(folder.path(), &format!("DELETE FROM entries WHERE key = {}", key(20)));
    let sentence = refusal(folder.path());
    assert!(sentence.contains("event 20: the row is missing"), "{sentence}");
}

#[test]
fn more_bad_rows_than_a_power_loss_explains_stop_the_start() {
    let (folder, _) = filled(5_000);
    change(folder.path(), &format!("UPDATE entries SET crc = crc + 1 WHERE key > {}", key(100)));
    let result = SqliteReader::open(folder.path()).unwrap().find_torn_tails().unwrap_err().to_string();
    assert!(result.contains("more rows at the end are damaged"), "{result}");
    let sentence = refusal(folder.path());
    assert!(sentence.contains("more rows at the end are damaged"), "{sentence}");
    assert_eq!(change(folder.path(), "DELETE FROM torn"), 0);
}

#[test]
fn a_sale_that_lost_its_name_stops_the_start() {
    let (folder, _) = filled(5);
    change(folder.path(), "UPDATE sales SET id = randomblob(16) WHERE no = 1");
    assert!(refusal(folder.path()).contains("the sale's own id"));
    change(folder.path(), "DELETE FROM sales WHERE no = 1");
    let sentence = refusal(folder.path());
    assert!(sentence.contains("there are events of sale number 1, and no such sale"), "{sentence}");
}

/// A ledger as a killed process leaves it: most of it in the log.
fn killed(joined: u64) -> (TempDir, Vec<LedgerEntry>) {
    let running = tempdir().unwrap();
    let mut recorder = SqliteRecorder::open(running.path()).unwrap();
    let entries = fill(&mut recorder, joined);
    let left = tempdir().unwrap();
    for name in [FILE.to_owned(), format!("{FILE}-wal")] {
        fs::copy(running.path().join(&name), left.path().join(&name)).unwrap();
    }
    (left, entries)
}

#[test]
fn a_log_that_ends_anywhere_gives_whole_batches() {
    let (folder, entries) = killed(200);
    let wal = folder.path().join(format!("{FILE}-wal"));
    let bytes = fs::read(&wal).unwrap();
    let mut rng = StdRng::seed_from_u64(7);
    for round in 0..20 {
        let copy = tempdir().unwrap();
        fs::copy(folder.path().join(FILE), copy.path().join(FILE)).unwrap();
        // Within the last batch or two: their frames are 4 KiB each.
        let end = bytes.len() - rng.random_range(0..12_000);
        let mut torn = bytes[..end].to_vec();
        if round % 2 == 0 {
            torn.extend((end..bytes.len()).map(|_| rng.random::<u8>()));
        }
        fs::write(copy.path().join(format!("{FILE}-wal")), torn).unwrap();
        start(copy.path()).unwrap().stop();
        let kept = recorded(copy.path());
        assert_eq!(kept[..], entries[..kept.len()]);
        assert!(
            kept.len().is_multiple_of(10) || kept.len() == entries.len(),
            "a torn batch: {} events",
            kept.len()
        );
        assert!(kept.len() + 40 > entries.len(), "only {} of {} events", kept.len(), entries.len());
    }
}

#[test]
fn damage_in_the_middle_of_the_log_stops_the_start() {
    let (folder, _) = killed(200);
    let wal = folder.path().join(format!("{FILE}-wal"));
    let mut bytes = fs::read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&wal, &bytes).unwrap();
    let sentence = refusal(folder.path());
    assert!(
        sentence.contains("ledger.db-wal") && sentence.contains("committed batches follow"),
        "{sentence}"
    );

    bytes[middle] ^= 1;
    bytes[12] ^= 1;
    fs::write(&wal, &bytes).unwrap();
    assert!(refusal(folder.path()).contains("its header does not fit"));

    bytes[12] ^= 1;
    fs::write(&wal, &bytes).unwrap();
    start(folder.path()).unwrap().stop();
}

#[test]
fn damage_in_the_index_of_sales_stops_the_start() {
    let (folder, _entries) = filled(600);
    let path = folder.path().join(FILE);
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_sales_1'";
    let page: u32 = Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let page_len = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    // Its one entry stands at the end of the page.
    let end = page as usize * page_len;
    bytes[end - 12..end].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let Err(error) = start(folder.path()) else { panic!("it started") };
    assert!(error.to_string().contains("ledger"), "{error}");
}

#[test]
fn garbage_in_the_file_is_refused_or_changes_nothing() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (folder, entries) = filled(600);
    let bytes = fs::read(folder.path().join(FILE)).unwrap();
    let mut refused = 0;
    for _ in 0..60 {
        let copy = tempdir().unwrap();
        let mut garbled = bytes.clone();
        let from = rng.random_range(0..bytes.len() - 64);
        let to = (from + rng.random_range(1..2_000)).min(bytes.len());
        rng.fill(&mut garbled[from..to]);
        fs::write(copy.path().join(FILE), garbled).unwrap();
        match start(copy.path()) {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("ledger"), "{error}");
            }
            Ok(started) => {
                let torn = started.torn_rows as usize;
                started.stop();
                let kept = recorded(copy.path());
                assert_eq!(kept[..], entries[..kept.len()], "bytes {from}..{to}");
                assert!(torn <= 4096);
            }
        }
    }
    assert!(refused > 30, "only {refused} of 60 were refused");
}

#[test]
fn the_log_keeps_its_length_under_a_load_and_loses_nothing() {
    let folder = tempdir().unwrap();
    let mut recorder = SqliteRecorder::open(folder.path()).unwrap();
    // 200 batches of 500 events: several times the log's length.
    let entries = line_entries(100_000);
    let wal = folder.path().join(format!("{FILE}-wal"));
    for part in entries.chunks(500) {
        block_on(recorder.append(&Batch { sales: vec![(sale_id(1), part.to_vec())], ..Batch::default() }))
            .unwrap();
    }
    let long = fs::metadata(&wal).unwrap().len();
    assert!(long >= 16 << 20, "{long} bytes");
    let left = tempdir().unwrap();
    for name in [FILE.to_owned(), format!("{FILE}-wal")] {
        fs::copy(folder.path().join(&name), left.path().join(&name)).unwrap();
    }
    let started = start(left.path()).unwrap();
    assert_eq!(started.torn_rows, 0);
    assert_eq!(recorded(left.path()).len(), entries.len());
}
