//! Random bytes of both files are changed, one at a time, and looked for as `verify` looks for them: in the structure of the file, and in
//! the checksums of the ledger's rows. In the headers of pages and in the pointers to cells every change is found. Elsewhere the share is
//! printed, and a change of the ledger that is not found changes nothing that is read from it.

use engine::batch::Batch;
use engine::clock::start_stopwatch;
use engine::record::sqlite::{
    FILE, ReadAccess, SqliteReader, SqliteRecorder, StructureCheck, check_structure,
};
use engine::record::{LedgerReader, LedgerRecorder};
use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;
use sale::{AdmissionMode, BuyerId, Command, LedgerEntry, Money, Policy, SaleId, SaleState, Timestamp};
use server::store::{DATABASE_FILE, Store};
use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

const FLIPS: usize = 1_000;
/// For one kind of place where the share is only printed, so that the test ends on any machine; fewer flips are printed as such. Where all
/// have to be found, all are made.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const SALE: SaleId = SaleId(Uuid::from_u128(7));

/// A kind of place in a SQLite file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlaceKind {
    /// The first hundred bytes.
    FileHeader,
    PageHeader,
    CellPointer,
    /// Between the pointers and the cells.
    FreeSpace,
    /// Cells, and what freed cells left.
    CellContent,
}

use PlaceKind::{CellContent, CellPointer, FileHeader, FreeSpace, PageHeader};

/// The bytes of a file by kind.
fn find_places(bytes: &[u8], wanted: PlaceKind) -> Vec<usize> {
    let number = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let page_len = number(16);
    let mut places = Vec::new();
    for page in 0..bytes.len() / page_len {
        let (start, end) = (page * page_len, (page + 1) * page_len);
        let header = if page == 0 { 100 } else { start };
        if page == 0 && wanted == FileHeader {
            places.extend(0..100);
        }
        let header_len = match bytes[header] {
            2 | 5 => 12,
            10 | 13 => 8,
            // A page of a free list or of an overflow.
            _ => continue,
        };
        let pointers = header + header_len;
        let free = pointers + 2 * number(header + 3);
        let content = start + number(header + 5);
        places.extend(match wanted {
            FileHeader => 0..0,
            PageHeader => header..pointers,
            CellPointer => pointers..free,
            FreeSpace => free..content,
            CellContent => content..end,
        });
    }
    places
}

/// What happened to the changes of one kind.
#[derive(Default)]
struct FlipTally {
    flips: usize,
    found: usize,
    missed: Vec<(usize, u8, u8)>,
}

/// Changes bytes of a file, one at a time, and asks each time whether it is found.
fn flip_bytes(
    file: &Path,
    kind: PlaceKind,
    rng: &mut StdRng,
    mut is_found: impl FnMut() -> bool,
) -> FlipTally {
    let bytes = fs::read(file).unwrap();
    let places = find_places(&bytes, kind);
    assert!(places.len() > 50, "{kind:?}: only {} bytes", places.len());
    let mut opened = fs::OpenOptions::new().write(true).open(file).unwrap();
    let mut write = |at: usize, byte: u8| {
        opened.seek(SeekFrom::Start(at as u64)).unwrap();
        opened.write_all(&[byte]).unwrap();
    };
    let has_limit = !matches!(kind, PageHeader | CellPointer);
    let (mut tally, started) = (FlipTally::default(), start_stopwatch());
    while tally.flips < FLIPS && (!has_limit || started.elapsed() < TIME_LIMIT) {
        let at = places[rng.random_range(0..places.len())];
        let changed = bytes[at] ^ rng.random_range(1..=u8::MAX);
        write(at, changed);
        tally.flips += 1;
        if is_found() {
            tally.found += 1;
        } else {
            tally.missed.push((at, bytes[at], changed));
        }
        write(at, bytes[at]);
    }
    tally
}

fn is_malformed(file: &Path) -> bool {
    // Where the file cannot even be opened, `verify` says so.
    !matches!(check_structure(file, ReadAccess::Immutable, None), Ok(StructureCheck::Intact))
}

/// The events that a ledger has, or `None` when `verify` finds damage in it.
fn read_events(folder: &Path) -> Option<Vec<LedgerEntry>> {
    let reader = SqliteReader::open_with(folder, ReadAccess::Immutable).ok()?;
    if !reader.find_torn_tails().ok()?.is_empty() {
        return None;
    }
    let mut pages = reader.scan();
    let mut events = Vec::new();
    while let Some(page) = pages.blocking_recv() {
        events.extend(page.ok()?.entries);
    }
    Some(events)
}

/// A ledger of some twenty pages.
fn make_ledger(folder: &Path) -> Vec<LedgerEntry> {
    let start = Timestamp(1_790_000_000_000);
    let line = AdmissionMode::Fifo { per_second: 1, checkout_s: 60, line_opens_s: 0, extension_s: 0 };
    let policy = Box::new(Policy {
        quantity: 1,
        unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
        starts_at: start,
        ends_at: start.plus_s(3_600),
        limit_per_buyer: 1,
        hold_s: 60,
        admission: line,
    });
    let (mut state, mut entries) = (SaleState::new(), Vec::new());
    state.step(start, &Command::Configure { policy }, &mut entries);
    for no in 1..1_500 {
        state.step(start, &Command::Join { buyer: BuyerId(Uuid::from_u128(no)) }, &mut entries);
    }
    let mut recorder = SqliteRecorder::open(folder).unwrap();
    block_on(recorder.append(&Batch { sales: vec![(SALE, entries.clone())], ..Batch::default() })).unwrap();
    entries
}

/// Tables with some rows in the ones that grow.
async fn make_tables(folder: &Path) {
    let store = Store::open(folder).await.unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    let tables = Connection::open(folder.join(DATABASE_FILE)).unwrap();
    tables
        .execute_batch(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 400)
             INSERT INTO attempts (id, sale_id, buyer_id, action, code, count, at)
             SELECT printf('%036d', n), printf('%036d', n % 7), printf('%036d', n * 31), 'reserve', 'sold_out', 1, n FROM numbers;
             WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 400)
             INSERT INTO orders (id, sale_id, buyer_id, quantity, unit_price_minor, currency, status, expires_at, restocked, made_at, changed_at, seq)
             SELECT printf('%036d', n), printf('%036d', n % 7), printf('%036d', n * 31), 1, 4900, 'EUR', 'confirmed', NULL, 0, n, n, n FROM numbers;",
        )
        .unwrap();
}

#[expect(clippy::print_stdout, reason = "a figure to read with --nocapture")]
fn print_tally(file: &str, kind: PlaceKind, tally: &FlipTally) {
    println!("{file} {kind:?}: {} of {} found", tally.found, tally.flips);
}

fn assert_all_found(file: &str, kind: PlaceKind, tally: &FlipTally, seed: u64) {
    assert!(
        tally.missed.is_empty(),
        "seed {seed}: {file} {kind:?}: not found (place, before, after): {:?}",
        tally.missed
    );
}

#[test]
fn every_changed_byte_of_a_page_header_or_a_cell_pointer_is_found() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let entries = make_ledger(folder.path());
    tokio::runtime::Runtime::new().unwrap().block_on(make_tables(folder.path()));
    let (ledger, tables) = (folder.path().join(FILE), folder.path().join(DATABASE_FILE));
    assert!(!is_malformed(&ledger) && !is_malformed(&tables));
    assert_eq!(read_events(folder.path()).as_ref(), Some(&entries));

    for kind in [PageHeader, CellPointer] {
        let found = || is_malformed(&ledger) || read_events(folder.path()).is_none();
        let tally = flip_bytes(&ledger, kind, &mut rng, found);
        print_tally(FILE, kind, &tally);
        assert_all_found(FILE, kind, &tally, seed);
        let tally = flip_bytes(&tables, kind, &mut rng, || is_malformed(&tables));
        print_tally(DATABASE_FILE, kind, &tally);
        assert_all_found(DATABASE_FILE, kind, &tally, seed);
    }
    for kind in [FileHeader, FreeSpace, CellContent] {
        let tally = flip_bytes(&ledger, kind, &mut rng, || {
            if is_malformed(&ledger) {
                return true;
            }
            let events = read_events(folder.path());
            assert!(
                events.as_ref().is_none_or(|events| *events == entries),
                "seed {seed}: {kind:?}: another event is read"
            );
            events.is_none()
        });
        print_tally(FILE, kind, &tally);
        let tally = flip_bytes(&tables, kind, &mut rng, || is_malformed(&tables));
        print_tally(DATABASE_FILE, kind, &tally);
    }
}
