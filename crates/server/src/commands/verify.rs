//! `doorbuster verify`: reads a ledger and the tables made from it, checks every promise, prints the sums. It changes
//! nothing, so it may run beside a running instance.

mod tables;

mod report;

use super::{CommandError, runtime, say};
use crate::store::sums::Sums;
use anyhow::Context;
use engine::record::sqlite::{self, SqliteReader};
use engine::record::{Page, Read, ReadError};
use sale::audit::{Auditor, Promise};
use sale::{Counters, SaleId, Seq};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The data folder of a running or stopped instance.
    #[arg(long, env = "DOORBUSTER_DATA", default_value = "./data", value_name = "FOLDER")]
    data: PathBuf,
}

/// All that was found.
struct Findings {
    sales: BTreeMap<SaleId, Sale>,
    tables: BTreeMap<SaleId, Sums>,
    damage: Option<ReadError>,
    differences: Vec<(SaleId, String)>,
}

/// What was found in one sale's ledger.
#[derive(Default)]
struct Sale {
    auditor: Auditor,
    /// The auditor's sums when it had read as far as the tables.
    at_tables: Option<Counters>,
    last: Seq,
}

/// Prints what is found.
///
/// # Errors
/// Usage when there is no ledger; a failed check when a promise is broken, the ledger is damaged, or the tables differ from it;
/// failure when either cannot be read at all.
pub fn run(settings: &Verify) -> Result<(), CommandError> {
    let folder = &settings.data;
    let rotten = rotten_log(folder)?;
    let reader = match SqliteReader::open(folder) {
        Ok(reader) => Some(reader),
        // What SQLite makes of a log that rotted early may be no ledger at all.
        Err(_) if rotten.is_some() => None,
        Err(error @ (ReadError::Missing { .. } | ReadError::Foreign { .. })) => {
            let sentence = format!("--data: {error}: name the data folder of an instance");
            return Err(CommandError::Usage(sentence));
        }
        Err(error) => return Err(CommandError::Failed(error.into())),
    };
    let findings = runtime()?.block_on(verify(folder, reader.as_ref(), rotten))?;
    say(&findings.to_string());
    if findings.all_is_well() { Ok(()) } else { Err(CommandError::CheckFailed) }
}

/// What is wrong with SQLite's log, which SQLite would pass over.
fn rotten_log(folder: &Path) -> anyhow::Result<Option<ReadError>> {
    // Twice, because the log of a running instance may be begun anew while it is read.
    let looked = sqlite::check_log(folder).or_else(|_| sqlite::check_log(folder));
    looked.err().map(damage).transpose()
}

async fn verify(
    folder: &Path,
    reader: Option<&SqliteReader>,
    rotten: Option<ReadError>,
) -> anyhow::Result<Findings> {
    // The tables first: the ledger only grows, so whatever the tables show must be in it.
    let tables = tables::read(folder).await.context("the tables cannot be read")?;
    let mut findings = Findings { sales: BTreeMap::new(), tables, damage: rotten, differences: Vec::new() };
    if let Some(reader) = reader {
        let mut pages = reader.scan();
        while let Some(page) = pages.recv().await {
            match page {
                Ok(page) => findings.read(&page),
                Err(error) => {
                    findings.damage.get_or_insert(damage(error)?);
                }
            }
        }
    }
    findings.compare();
    Ok(findings)
}

/// Damage is a finding, another error a failure.
fn damage(error: ReadError) -> anyhow::Result<ReadError> {
    match error {
        ReadError::Damaged { .. } | ReadError::Corrupt { .. } => Ok(error),
        error => Err(error.into()),
    }
}

impl Findings {
    fn read(&mut self, page: &Page) {
        let tables_at = self.tables.get(&page.sale).map(|tables| tables.seq);
        let sale = self.sales.entry(page.sale).or_default();
        for entry in &page.entries {
            sale.auditor.feed(entry);
            sale.last = entry.seq;
            if tables_at == Some(entry.seq) {
                sale.at_tables = Some(sale.auditor.counters());
            }
        }
    }

    fn compare(&mut self) {
        for (id, tables) in &self.tables {
            let ledger = self.sales.get(id);
            let (last, counters) = ledger.map_or((Seq(0), None), |sale| (sale.last, sale.at_tables));
            // Where the ledger could not be read to its end, it does not say that the tables are ahead of it.
            if self.damage.is_some() && counters.is_none() {
                continue;
            }
            if let Some(difference) = tables::difference(tables, last, counters) {
                self.differences.push((*id, difference));
            }
        }
    }

    fn times_broken(&self, promise: Promise) -> u64 {
        self.sales.values().map(|sale| sale.auditor.count_of(promise)).sum()
    }

    fn all_is_well(&self) -> bool {
        self.damage.is_none()
            && self.differences.is_empty()
            && self.sales.values().all(|sale| sale.auditor.is_clean())
    }
}
