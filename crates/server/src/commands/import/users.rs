//! `import users`: a row becomes an account that signs in with the password it had.

use super::csv_rows::{CsvRow, CsvRows, KnownColumns};
use super::{BATCH_LEN, ImportArgs, ImportCounts, OpenTables, RowRefusal};
use crate::commands::CommandError;
use crate::shop::accounts::{AccountImport, ImportedAccount, ImportedHash, import_accounts};
use anyhow::Context;
use clap::Args;
use sale::Timestamp;

/// Imports accounts.
#[derive(Debug, Args)]
pub struct ImportUsers {
    #[command(flatten)]
    import: ImportArgs,
}

const COLUMNS: KnownColumns = KnownColumns {
    names: &[
        ("id", "id"),
        ("email", "email"),
        ("username", "username"),
        ("passwordhash", "password_hash"),
        ("fullname", "full_name"),
    ],
    required: &["email", "password_hash"],
};

pub(super) async fn run(command: &ImportUsers, now: Timestamp) -> Result<ImportCounts, CommandError> {
    let mut rows = command.import.open_rows(COLUMNS)?;
    let tables = command.import.open_tables().await?;
    let mut counts = ImportCounts::default();
    loop {
        let (lines, accounts) = read_batch(&mut rows, &mut counts)?;
        if accounts.is_empty() {
            break;
        }
        import_batch(&tables, &lines, &accounts, now, &mut counts).await?;
    }
    tables.store.close().await;
    Ok(counts)
}

/// The next accounts with their lines; none at the end of the file.
fn read_batch(
    rows: &mut CsvRows,
    counts: &mut ImportCounts,
) -> Result<(Vec<u64>, Vec<ImportedAccount>), CommandError> {
    let (mut lines, mut accounts) = (Vec::new(), Vec::new());
    while accounts.len() < BATCH_LEN {
        let row = rows.next_row().map_err(|reason| CommandError::Usage(format!("--csv: {reason}")))?;
        let Some(row) = row else { break };
        match read_account(&row) {
            Ok(account) => {
                lines.push(row.line);
                accounts.push(account);
            }
            Err(RowRefusal(reason)) => counts.refuse(row.line, &reason),
        }
    }
    Ok((lines, accounts))
}

fn read_account(row: &CsvRow<'_>) -> Result<ImportedAccount, RowRefusal> {
    let rule = |column: &'static str| {
        move |error: crate::shop::accounts::AccountTextError| RowRefusal(format!("{column}: must be {error}"))
    };
    row.check_len().map_err(RowRefusal)?;
    let email = row.require("email").map_err(RowRefusal)?.parse().map_err(rule("email"))?;
    let username = row.find("username").map_err(RowRefusal)?;
    let username = username.map(|name| name.parse().map_err(rule("username"))).transpose()?;
    let hash = row.require("password_hash").map_err(RowRefusal)?.to_owned();
    let password_hash =
        ImportedHash::try_from(hash).map_err(|refusal| RowRefusal(format!("password_hash: {refusal}")))?;
    // An id of another kind means nothing here.
    let id = row.find("id").map_err(RowRefusal)?.and_then(|id| id.parse().ok());
    let full_name = row.find("full_name").map_err(RowRefusal)?;
    let full_name = full_name.map(|name| name.parse().map_err(rule("full_name"))).transpose()?;
    Ok(ImportedAccount { id, email, username, password_hash, full_name })
}

async fn import_batch(
    tables: &OpenTables,
    lines: &[u64],
    accounts: &[ImportedAccount],
    now: Timestamp,
    counts: &mut ImportCounts,
) -> Result<(), CommandError> {
    let imports = import_accounts(&tables.store, accounts, now).await.with_context(|| {
        let line = lines.first().copied().unwrap_or_default();
        format!("the tables do not take the rows from line {line} on; the rows before are imported; run the command again")
    })?;
    for (line, import) in lines.iter().zip(imports) {
        match import {
            AccountImport::Imported => counts.imported += 1,
            AccountImport::Known => counts.known += 1,
            AccountImport::UsernameTaken => counts.refuse(*line, "username: another account has it"),
            AccountImport::IdTaken => counts.refuse(*line, "id: another account has it"),
        }
    }
    Ok(())
}
