//! `doorbuster verify`: reads a ledger and the tables made from it, checks every promise, prints the sums. It changes
//! nothing, so it may run beside a running instance.

use super::{CommandError, runtime, say};
use crate::announce::projector;
use crate::store::{self, Store, StoreError, counters, followers, orders};
use anyhow::Context;
use engine::record::sqlite::{self, SqliteReader};
use engine::record::{Read, ReadError};
use sale::audit::{Auditor, Promise};
use sale::{Broken, Counters, SaleId, Seq};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The data folder of a running or stopped instance.
    #[arg(long, env = "DOORBUSTER_DATA", default_value = "./data")]
    data: PathBuf,
}

/// What was found in one sale.
#[derive(Default)]
struct Sale {
    auditor: Auditor,
    /// The auditor's sums when it had read as far as the tables.
    at_tables: Option<(Seq, Counters)>,
    last: Seq,
}

/// A sale as the tables show it, at one event.
struct Sums {
    seq: Seq,
    counters: Counters,
    /// Units of its pending orders, and of its confirmed ones.
    pending: u64,
    confirmed: u64,
}

/// Prints what is found.
///
/// # Errors
/// Usage when there is no ledger, failure when a promise is broken, the ledger is damaged, the tables differ from it, or either
/// cannot be read at all.
pub fn run(settings: &Verify) -> Result<(), CommandError> {
    let folder = &settings.data;
    if !folder.join(sqlite::FILE).exists() {
        let sentence = format!(
            "--data: there is no {} in {}, name the data folder of an instance",
            sqlite::FILE,
            folder.display()
        );
        return Err(CommandError::Usage(sentence));
    }
    let (text, kept) = runtime()?.block_on(verify(folder))?;
    say(&text);
    if kept { Ok(()) } else { Err(CommandError::CheckFailed) }
}

async fn verify(folder: &Path) -> anyhow::Result<(String, bool)> {
    // The tables first: the ledger only grows, so whatever the tables show must be in it.
    let tables = tables(folder).await.context("the tables cannot be read")?;
    let reader = SqliteReader::open(folder).context("the ledger cannot be opened")?;
    let mut sales: BTreeMap<SaleId, Sale> = BTreeMap::new();
    let mut damage = None;
    let mut pages = reader.scan();
    while let Some(page) = pages.recv().await {
        match page {
            Ok(page) => {
                let sums = tables.get(&page.sale);
                let sale = sales.entry(page.sale).or_default();
                for entry in &page.entries {
                    sale.auditor.feed(entry);
                    sale.last = entry.seq;
                    if sums.is_some_and(|sums| sums.seq == entry.seq) {
                        sale.at_tables = Some((entry.seq, sale.auditor.counters()));
                    }
                }
            }
            Err(error @ ReadError::Damaged { .. }) => damage = Some(error),
            Err(error) => return Err(error).context("the ledger cannot be read"),
        }
    }
    let differences: Vec<String> = sales
        .iter()
        .filter_map(|(id, sale)| difference(*id, sale, tables.get(id)?))
        .chain(
            tables
                .keys()
                .filter(|id| !sales.contains_key(id))
                .map(|id| format!("sale {id}: the tables have rows, the ledger has no event")),
        )
        .collect();
    Ok(report(&sales, &tables, damage.as_ref(), &differences))
}

async fn tables(folder: &Path) -> anyhow::Result<BTreeMap<SaleId, Sums>> {
    let mut tables = BTreeMap::new();
    if !folder.join(store::FILE).exists() {
        return Ok(tables);
    }
    let store = Store::open(folder).await?;
    for (sale, _) in followers::list(&store, projector::NAME).await? {
        if let Some(sums) = sums(&store, sale).await? {
            tables.insert(sale, sums);
        }
    }
    store.close().await;
    Ok(tables)
}

/// A sale's sums and its orders' at the same event; asked again while the projector is at work between the two questions.
async fn sums(store: &Store, sale: SaleId) -> Result<Option<Sums>, StoreError> {
    loop {
        let Some(before) = counters::find(store, sale).await? else { return Ok(None) };
        let orders = orders::sums(store, sale).await?;
        if counters::find(store, sale).await?.is_none_or(|after| after.seq != before.seq) {
            continue;
        }
        let units = |status| orders.iter().filter(|sum| sum.status == status).map(|sum| sum.units).sum();
        let (pending, confirmed) = (units("pending"), units("confirmed"));
        return Ok(Some(Sums { seq: before.seq, counters: before.counters, pending, confirmed }));
    }
}

/// How the tables of a sale differ from its ledger, if they do.
fn difference(id: SaleId, sale: &Sale, tables: &Sums) -> Option<String> {
    let Some((seq, ledger)) = sale.at_tables else {
        return Some(format!(
            "sale {id}: the tables are at event {}, the ledger ends at {}",
            tables.seq, sale.last
        ));
    };
    if ledger != tables.counters {
        return Some(format!(
            "sale {id}: at event {seq} the ledger has {ledger:?}, the tables have {:?}",
            tables.counters
        ));
    }
    // Units of orders that were refunded and not put back stay counted as sold.
    let fits = tables.pending == u64::from(ledger.held) && tables.confirmed <= u64::from(ledger.sold);
    (!fits).then(|| {
        format!(
            "sale {id}: at event {seq} the ledger has {} units held and {} sold, the order rows {} pending and {} confirmed",
            ledger.held, ledger.sold, tables.pending, tables.confirmed
        )
    })
}

/// The report, and whether all is well.
fn report(
    sales: &BTreeMap<SaleId, Sale>,
    tables: &BTreeMap<SaleId, Sums>,
    damage: Option<&ReadError>,
    differences: &[String],
) -> (String, bool) {
    let mut text = String::new();
    for (id, sale) in sales {
        let sums = sale.auditor.counters();
        let _infallible = writeln!(
            text,
            "sale {id}\n  {} events; available {} + admitted {} + held {} + sold {} = quantity {}; waiting {}\n  tables: {}",
            sale.auditor.entries(),
            sums.available,
            sums.admitted,
            sums.held,
            sums.sold,
            sums.quantity,
            sums.waiting,
            match tables.get(id) {
                Some(tables) if tables.seq == sale.last => "complete".to_owned(),
                Some(tables) => format!("{} events behind", sale.last.0.saturating_sub(tables.seq.0)),
                None => "none yet".to_owned(),
            },
        );
    }
    if !sales.is_empty() {
        text.push('\n');
    }
    let mut kept = true;
    for promise in Promise::ALL {
        let broken: u64 = sales.values().map(|sale| sale.auditor.count_of(promise)).sum();
        kept &= broken == 0;
        let verdict = if broken == 0 { "kept".to_owned() } else { format!("BROKEN {broken}×") };
        let _infallible = writeln!(text, "  {verdict:<12} {:<13} {}", promise.name(), promise.sentence());
    }
    let all_kept = kept && damage.is_none() && differences.is_empty();
    if !all_kept {
        text.push('\n');
    }
    if let Some((id, broken)) = first_broken(sales) {
        let _infallible = writeln!(text, "first offence: sale {id}, {broken}");
    }
    if let Some(damage) = damage {
        let _infallible = writeln!(text, "damage: {damage}");
    }
    for difference in differences {
        let _infallible = writeln!(text, "tables: {difference}");
    }
    let events: u64 = sales.values().map(|sale| sale.auditor.entries()).sum();
    let _infallible = writeln!(
        text,
        "\n{}: {} sales, {events} events",
        if all_kept { "every promise is kept" } else { "NOT every promise is kept" },
        sales.len()
    );
    (text, all_kept)
}

/// The first offence by time of reading: sales in order of their ids, within a sale the earliest event.
fn first_broken(sales: &BTreeMap<SaleId, Sale>) -> Option<(SaleId, &Broken)> {
    sales.iter().find_map(|(id, sale)| {
        sale.auditor.broken().min_by_key(|broken| broken.seq).map(|broken| (*id, broken))
    })
}
