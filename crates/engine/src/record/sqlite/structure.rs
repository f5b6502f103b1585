//! Checks the structure of a SQLite file: page headers, cell pointers, free lists, and the order of keys. The checksums of rows
//! show what a row says; they do not show that a page is malformed, and SQLite itself notices that only when it uses the page.
//! Never writes.

use super::{ReadAccess, open_file};
use crate::clock::start_stopwatch;
use rusqlite::{Connection, ErrorCode};
use std::path::Path;
use std::time::Duration;

/// Virtual instructions and pages between two looks at the time: some milliseconds.
const STEPS_PER_LOOK: i32 = 1_000;
/// Findings that are collected. One is enough to refuse a file; a few help to see how much of it is malformed.
const FINDINGS_MAX: u8 = 4;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StructureCheck {
    Intact,
    /// The time was up before all of the file was read.
    Unfinished,
    /// What is malformed, in SQLite's words.
    Malformed(String),
}

/// Checks the structure of a SQLite file, for as long as `limit` allows.
///
/// # Errors
/// When the file cannot be read.
pub fn check_structure(
    file: &Path,
    access: ReadAccess,
    limit: Option<Duration>,
) -> Result<StructureCheck, StructureError> {
    match read_findings(file, access, limit) {
        Ok(findings) if findings == ["ok"] => Ok(StructureCheck::Intact),
        Ok(findings) => Ok(StructureCheck::Malformed(join_lines(&findings.join("\n")))),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Ok(StructureCheck::Malformed(join_lines(&error.to_string())))
            }
            Some(ErrorCode::OperationInterrupted) => Ok(StructureCheck::Unfinished),
            _ => Err(StructureError { file: file.display().to_string(), source: Box::new(error) }),
        },
    }
}

/// The structure of a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{file} cannot be read")]
pub struct StructureError {
    file: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

fn read_findings(
    file: &Path,
    access: ReadAccess,
    limit: Option<Duration>,
) -> Result<Vec<String>, rusqlite::Error> {
    let connection = open_file(file, access)?;
    if let Some(limit) = limit {
        let started = start_stopwatch();
        connection.progress_handler(STEPS_PER_LOOK, Some(move || started.elapsed() > limit))?;
    }
    open_trees(&connection)?;
    // Without a limit also whether every index fits its table, which takes longer.
    let check = if limit.is_some() { "quick_check" } else { "integrity_check" };
    let mut statement = connection.prepare(&format!("PRAGMA {check}({FINDINGS_MAX})"))?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Opens every table and every index at its root. `quick_check` does not compare the kind of a root page with what the schema says, so
/// it passes an empty one whose kind has changed.
fn open_trees(connection: &Connection) -> Result<(), rusqlite::Error> {
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE rootpage > 0")?;
    let trees: Vec<(String, String, String, Option<String>)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    for (kind, name, table, sql) in trees {
        let query = if kind == "table" {
            format!("SELECT 1 FROM {} NOT INDEXED LIMIT 1", quote_name(&name))
        } else {
            let condition = sql.as_deref().map_or("", index_condition);
            format!(
                "SELECT 1 FROM {} INDEXED BY {}{condition} LIMIT 1",
                quote_name(&table),
                quote_name(&name)
            )
        };
        match connection.query_row(&query, [], |_row| Ok(())) {
            Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => {}
            // SQLite cannot use every index for such a query.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The condition of a partial index, from the statement that made it.
fn index_condition(sql: &str) -> &str {
    let upper = sql.to_ascii_uppercase();
    [" WHERE ", "\nWHERE "].iter().find_map(|word| upper.find(word)).map_or("", |at| &sql[at..])
}

/// One line for a log or a terminal.
fn join_lines(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
