//! Writes the report: an HTML page for people and a JSON document for programs.

use crate::commands::CommandError;
use anyhow::Context;
use rehearsal::report::{self, RehearsalReport};
use std::path::{Path, PathBuf};

/// Makes the folder and checks that it is writable, before the rehearsal starts.
pub(super) fn prepare_folder(folder: &Path) -> Result<(), CommandError> {
    let probe = folder.join(".rehearsal");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, ""))
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|error| {
            CommandError::Usage(format!(
                "--report: nothing can be written into {}: {error}",
                folder.display()
            ))
        })
}

/// Writes both into `folder`; returns their paths.
pub(super) fn write_report(report: &RehearsalReport, folder: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let name = |extension: &str| {
        let stamp: String = report.started_at.chars().take(23).filter(char::is_ascii_alphanumeric).collect();
        folder.join(format!("rehearsal-{stamp}.{extension}"))
    };
    let (page, document) = (name("html"), name("json"));
    let written = std::fs::write(&page, report::render_html(report))
        .and_then(|()| std::fs::write(&document, report::render_json(report)));
    written.with_context(|| format!("--report: nothing can be written into {}", folder.display()))?;
    Ok(vec![page, document])
}
