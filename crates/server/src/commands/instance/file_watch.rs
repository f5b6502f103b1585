//! Watches whether the files of a data folder are still those that were opened. A process can write to a file that was removed or replaced,
//! but no start finds what it wrote there. Nothing here opens a file: closing it would release SQLite's locks on it.

use super::background::wait;
use crate::http::AppState;
use crate::store::DATABASE_FILE;
use engine::record::sqlite::FILE as LEDGER_FILE;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Where Linux lists the files that a process has open.
const OPEN_FILES: &str = "/proc/self/fd";
/// What Linux appends to the name of an open file that was removed.
const REMOVED_SUFFIX: &str = " (deleted)";

/// The files of a data folder as they were opened.
pub(super) struct OpenedFiles {
    files: Vec<OpenedFile>,
}

struct OpenedFile {
    name: &'static str,
    path: PathBuf,
    identity: FileIdentity,
}

/// What makes a file another one than a file of the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
}

impl OpenedFiles {
    /// Notes the files in `folder`, which were opened just now.
    ///
    /// # Errors
    /// When one of them cannot be found.
    pub(super) fn note(folder: &Path) -> io::Result<Self> {
        let files = [LEDGER_FILE, DATABASE_FILE].map(|name| {
            let path = folder.join(name);
            read_identity(&path).map(|identity| OpenedFile { name, path, identity })
        });
        Ok(Self { files: files.into_iter().collect::<io::Result<_>>()? })
    }

    /// The files whose paths lead to no file any more, or to another one. A path that cannot be read says neither.
    fn list_lost(&self) -> Vec<&OpenedFile> {
        let is_lost = |file: &&OpenedFile| match read_identity(&file.path) {
            Ok(identity) => identity != file.identity,
            Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        };
        self.files.iter().filter(is_lost).collect()
    }
}

/// Checks the files until the instance stops. When one is lost, nothing is recorded any more, neither in the ledger nor in the tables.
pub(super) async fn watch_files(app: AppState, files: OpenedFiles, mut stop: watch::Receiver<bool>) {
    let files = Arc::new(files);
    while wait(CHECK_INTERVAL, &mut stop).await {
        let checked = Arc::clone(&files);
        let lost = tokio::task::spawn_blocking(move || {
            let lost = checked.list_lost();
            let names: Vec<&str> = lost.iter().map(|file| file.name).collect();
            (!lost.is_empty()).then(|| (names.join(" "), find_open_files(&lost)))
        });
        if let Ok(Some((names, open_files))) = lost.await {
            app.shop.store.refuse_writes();
            app.shop.engine.damage().report_lost_files(&names, &open_files);
            return;
        }
    }
}

/// Where the content of lost files and of their logs can be read, as `name=path`; nothing where the system does not list open files.
fn find_open_files(lost: &[&OpenedFile]) -> String {
    let mut found = Vec::new();
    for file in lost {
        let log = format!("{}-wal", file.name);
        let open = list_open_files();
        let main = open.iter().find(|open| open.identity == file.identity);
        found.extend(main.map(|open| format!("{}={}", file.name, open.path)));
        let mut logs: Vec<_> = open.iter().filter(|open| open.name == log).collect();
        // One that was removed comes first: the other may be a new file.
        logs.sort_by_key(|open| !open.is_removed);
        found.extend(logs.first().map(|open| format!("{log}={}", open.path)));
    }
    found.join(" ")
}

struct OpenFile {
    /// The path of its descriptor, valid for other processes.
    path: String,
    name: String,
    is_removed: bool,
    identity: FileIdentity,
}

fn list_open_files() -> Vec<OpenFile> {
    let Ok(entries) = std::fs::read_dir(OPEN_FILES) else { return Vec::new() };
    let open = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let identity = read_identity(&entry.path()).ok()?;
        let target = std::fs::read_link(entry.path()).ok()?;
        let name = target.file_name()?.to_str()?;
        let plain = name.strip_suffix(REMOVED_SUFFIX);
        let number = entry.file_name().into_string().ok()?;
        Some(OpenFile {
            path: format!("/proc/{}/fd/{number}", std::process::id()),
            name: plain.unwrap_or(name).to_owned(),
            is_removed: plain.is_some(),
            identity,
        })
    });
    open.collect()
}

fn read_identity(path: &Path) -> io::Result<FileIdentity> {
    let found = std::fs::metadata(path)?;
    Ok(FileIdentity { device: found.dev(), inode: found.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_lost_when_it_is_removed_or_replaced_and_not_when_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(OpenedFiles::note(folder.path()).is_err(), "there is no file yet");
        for name in [LEDGER_FILE, DATABASE_FILE] {
            fs::write(path(name), "a").unwrap();
        }
        let opened = OpenedFiles::note(folder.path()).unwrap();
        let list_names = || opened.list_lost().iter().map(|file| file.name).collect::<Vec<_>>();
        fs::write(path(LEDGER_FILE), "more").unwrap();
        assert!(list_names().is_empty());
        fs::write(path("other"), "b").unwrap();
        fs::rename(path("other"), path(LEDGER_FILE)).unwrap();
        assert_eq!(list_names(), [LEDGER_FILE]);
        fs::remove_file(path(DATABASE_FILE)).unwrap();
        assert_eq!(list_names(), [LEDGER_FILE, DATABASE_FILE]);
    }
}
