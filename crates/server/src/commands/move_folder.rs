//! `move`: a stopped data folder becomes a database. The folder is only read. The database is marked until the last check has passed,
//! and nothing is sold from a marked one; a repeated move starts over. It never removes what it did not write.

use super::database::DatabaseUrl;
use super::token_key::copy_token_key;
use super::{CommandError, ledger_loss, print_line, runtime, verify};
use crate::store::table_copy::{self, CopiedTable};
use crate::store::{Store, moves};
use anyhow::{Context, ensure};
use clap::Args;
use engine::record::sqlite::{self, SqliteReader};
use engine::record::{CopiedLedger, LedgerReader, copy_ledger};
use engine::{DataFolderLock, StartError};
use sale::Timestamp;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What is moved, and where to.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// The data folder of a stopped instance. It stays as it is.
    #[arg(long, env = "DOORBUSTER_MOVE_FROM", value_name = "FOLDER")]
    from: PathBuf,
    /// PostgreSQL of the new ledger and tables, which must be empty, or have a part of an earlier move. Give it by its variable if there
    /// is a password in it.
    #[arg(long, env = "DOORBUSTER_MOVE_TO", hide_env_values = true, value_name = "URL")]
    to: DatabaseUrl,
}

/// One run of the command; a repeat is another one.
#[derive(Clone, Copy)]
struct MoveRun {
    id: Uuid,
    now: Timestamp,
}

/// What a database has after a move.
struct MovedShop {
    ledger: CopiedLedger,
    /// Each table that has rows, and how many.
    rows: Vec<(String, u64)>,
    has_token_key: bool,
}

/// Runs the command.
///
/// # Errors
/// Usage when the folder or the database cannot be moved from or to; failure when a step or a check fails. The database then stays
/// marked.
pub fn run(settings: &MoveArgs, now: Timestamp) -> Result<(), CommandError> {
    let MoveArgs { from, to } = settings;
    let to = to.clone().with_flag("--to");
    let _lock = lock_source(from)?;
    check_source(from)?;
    let run = MoveRun { id: Uuid::new_v4(), now };
    let moved = runtime()?.block_on(move_shop(from, &to, run))?;
    print_line(&describe_move(from, &moved));
    Ok(())
}

fn lock_source(from: &Path) -> Result<DataFolderLock, CommandError> {
    if !from.join(sqlite::FILE).exists() || !ledger_loss::has_tables(from) {
        let sentence = format!(
            "--from: {} is not the data folder of an instance: it has no ledger or no tables",
            from.display()
        );
        return Err(CommandError::Usage(sentence));
    }
    engine::lock_data_folder(from).map_err(|error| {
        CommandError::Usage(match error {
            StartError::Locked { folder, pid } => {
                format!("--from: the data folder {} is in use by another doorbuster (process {pid}): stop it first", folder.display())
            }
            error => format!("--from: {:#}", anyhow::Error::from(error)),
        })
    })
}

/// Refuses a folder that `verify` finds fault with, and one whose next start would set torn events aside.
fn check_source(from: &Path) -> Result<(), CommandError> {
    let torn =
        SqliteReader::open(from).and_then(|reader| reader.find_torn_tails()).map_err(anyhow::Error::from)?;
    if !torn.is_empty() {
        let sentence = "a power loss has torn the end of the ledger: start an instance on the folder once, which sets the end aside, and \
                        stop it; nothing was moved";
        return Err(anyhow::anyhow!(sentence).into());
    }
    if !verify::is_folder_clean(from)? {
        let sentence = format!(
            "--from: {} is not clean, see `doorbuster verify --data {}`; nothing was moved",
            from.display(),
            from.display()
        );
        return Err(anyhow::anyhow!(sentence).into());
    }
    Ok(())
}

async fn move_shop(from: &Path, to: &DatabaseUrl, run: MoveRun) -> Result<MovedShop, CommandError> {
    to.prepare().await?;
    let source =
        Store::open_read_only(from, false).await.context("the tables of the folder cannot be opened")?;
    let target = to.open_tables_without_timeout().await?;
    let tables = table_copy::list_tables(&source).await.context("the tables of the folder cannot be read")?;
    let is_repeated = mark_target(to, &target, &tables, run).await?;
    let copied = copy_shop(from, &source, to, (&target, &tables), is_repeated, run.now).await;
    let moved = copied.context("the move is not complete, and nothing is sold from the database; repeat the command, which starts over")?;
    if !verify::is_marked_database_clean(to).await? {
        let sentence = "the moved shop is not clean, so the database stays marked and nothing is sold from it; the folder is as it was; \
                        report this";
        return Err(anyhow::anyhow!(sentence).into());
    }
    let is_finished = moves::finish(&target, run.id).await;
    if !is_finished.context("the mark of the unfinished move cannot be removed; repeat the command")? {
        let sentence = "another move into the database has begun meanwhile: let it end, and repeat the command if it fails";
        return Err(anyhow::anyhow!(sentence).into());
    }
    source.close().await;
    target.close().await;
    Ok(moved)
}

/// Marks the database, unless an earlier move did. Refuses one that has something else. True when the move is a repeated one.
async fn mark_target(
    to: &DatabaseUrl,
    target: &Store,
    tables: &[CopiedTable],
    run: MoveRun,
) -> Result<bool, CommandError> {
    let is_repeated = moves::is_unfinished(target).await.map_err(anyhow::Error::from)?;
    if !is_repeated {
        refuse_filled_target(to, target, tables).await?;
    }
    moves::begin(target, run.id, run.now).await.context("the database cannot be marked")?;
    Ok(is_repeated)
}

async fn refuse_filled_target(
    to: &DatabaseUrl,
    target: &Store,
    tables: &[CopiedTable],
) -> Result<(), CommandError> {
    let filled = table_copy::find_filled_table(target, tables).await.map_err(anyhow::Error::from)?;
    let has_events = to.open_ledger().await?.has_entries().await.map_err(anyhow::Error::from)?;
    let found = filled.or(has_events.then_some("ledger_entries"));
    if let Some(table) = found {
        let sentence = format!(
            "--to: the database is not empty, its table {table} has rows: name an empty database; nothing was changed"
        );
        return Err(CommandError::Usage(sentence));
    }
    Ok(())
}

async fn copy_shop(
    from: &Path,
    source: &Store,
    to: &DatabaseUrl,
    (target, tables): (&Store, &[CopiedTable]),
    is_repeated: bool,
    now: Timestamp,
) -> anyhow::Result<MovedShop> {
    table_copy::clear_tables(target, tables, is_repeated).await?;
    let ledger = copy_ledger(from, &to.address()?).await?;
    let mut rows = Vec::new();
    for table in tables {
        let copied = table_copy::copy_table(source, target, table).await?;
        let (expected, found) =
            (table_copy::count_rows(source, table).await?, table_copy::count_rows(target, table).await?);
        ensure!(
            expected == copied && copied == found,
            "the table {} has {expected} rows in the folder and {found} in the database",
            table.name
        );
        if found > 0 {
            rows.push((table.name.clone(), found));
        }
    }
    let has_token_key = copy_token_key(from, target, now).await?;
    Ok(MovedShop { ledger, rows, has_token_key })
}

fn describe_move(from: &Path, moved: &MovedShop) -> String {
    let MovedShop { ledger: CopiedLedger { sales, events }, rows, has_token_key } = moved;
    let mut lines = vec![format!("ledger: {sales} sales, {events} events")];
    lines.extend(rows.iter().map(|(table, rows)| format!("{table}: {rows} rows")));
    lines.push(if *has_token_key {
        "token key: moved, sessions stay valid".to_owned()
    } else {
        "token key: the folder has none, so give the instances the same --token-key as before".to_owned()
    });
    lines.push(format!(
        "The shop is in the database, and `verify` is clean on both sides. Start with --database now. {} stays as it was: keep it as a \
         backup, and start nothing on it, or units are sold twice.",
        from.display()
    ));
    lines.join("\n")
}
