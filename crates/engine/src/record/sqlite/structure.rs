//! Checks the structure of a SQLite file: page headers, cell pointers, free lists, and the order of keys. The checksums of rows
//! show what a row says; they do not show that a page is malformed, and SQLite itself notices that only when it uses the page.
//! Never writes.

use super::{ReadAccess, open_file};
use crate::clock::start_stopwatch;
use rusqlite::ErrorCode;
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
    let mut statement = connection.prepare(&format!("PRAGMA quick_check({FINDINGS_MAX})"))?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// One line for a log or a terminal.
fn join_lines(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
