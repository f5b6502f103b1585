//! Where `verify` reads a data folder, so that it changes nothing in it. Beside a running instance it reads as one more reader of the
//! files. Otherwise it reads them as files that nothing changes; one that has a log with commits, because its instance was killed, is
//! read in a copy elsewhere: SQLite cannot read a log without files of its own beside it.

use crate::store;
use anyhow::Context;
use engine::record::sqlite::{self, ReadAccess};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What may stand beside a SQLite file and contain commits.
const LOG_SUFFIXES: [&str; 2] = ["-wal", "-journal"];

/// A data folder to read.
pub(super) struct FolderSource {
    pub(super) folder: PathBuf,
    pub(super) ledger: FileSource,
    pub(super) tables: FileSource,
    /// What to say of how it was read.
    pub(super) notes: Vec<String>,
    is_in_use: bool,
    /// The files as they were when reading began.
    before: Vec<Option<FileVersion>>,
}

/// Where one SQLite file is read.
pub(super) struct FileSource {
    /// The folder of the file, or of its copy.
    pub(super) folder: PathBuf,
    pub(super) access: ReadAccess,
    _copy: Option<TemporaryFolder>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    len: u64,
    changed_at: Option<SystemTime>,
}

impl FolderSource {
    /// Chooses how to read `folder`, and makes copies where there is no other way.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let is_in_use = engine::is_folder_in_use(folder)
            .with_context(|| format!("{} cannot be read", folder.display()))?;
        let before = read_versions(folder);
        let mut notes = Vec::new();
        let ledger = FileSource::open(folder, sqlite::FILE, is_in_use, &mut notes)?;
        let tables = FileSource::open(folder, store::DATABASE_FILE, is_in_use, &mut notes)?;
        Ok(Self { folder: folder.to_owned(), ledger, tables, notes, is_in_use, before })
    }

    /// True when an instance started, or something else changed the files, while they were read as files that nothing changes: what was
    /// found may be wrong.
    pub(super) fn has_changed(&self) -> bool {
        !self.is_in_use
            && (engine::is_folder_in_use(&self.folder).unwrap_or(true)
                || read_versions(&self.folder) != self.before)
    }
}

impl FileSource {
    fn open(folder: &Path, file: &str, is_in_use: bool, notes: &mut Vec<String>) -> anyhow::Result<Self> {
        let in_place = |access| Ok(Self { folder: folder.to_owned(), access, _copy: None });
        if is_in_use {
            return in_place(ReadAccess::Shared);
        }
        let logs: Vec<String> = LOG_SUFFIXES.iter().map(|suffix| format!("{file}{suffix}")).collect();
        let has_content = |name: &&String| read_version(&folder.join(name)).is_some_and(|log| log.len > 0);
        let Some(log) = logs.iter().find(has_content) else { return in_place(ReadAccess::Immutable) };
        let copy = TemporaryFolder::create().with_context(|| {
            format!("{log} has commits that SQLite reads only in a copy, and no folder for one can be made; set TMPDIR")
        })?;
        for name in std::iter::once(&file.to_owned()).chain(&logs) {
            if folder.join(name).exists() {
                let copied = std::fs::copy(folder.join(name), copy.path.join(name));
                copied.with_context(|| {
                    let (bytes, place) = (count_bytes(folder, file), copy.path.display());
                    format!(
                        "{log} has commits that SQLite reads only in a copy, and copying {name} to {place} failed; set TMPDIR to a folder \
                         with room for {bytes} bytes"
                    )
                })?;
            }
        }
        notes.push(format!(
            "{log} has commits of an instance that did not stop by itself, so a copy of {file} was read; nothing here was changed"
        ));
        Ok(Self { folder: copy.path.clone(), access: ReadAccess::Shared, _copy: Some(copy) })
    }
}

fn count_bytes(folder: &Path, file: &str) -> u64 {
    let names =
        std::iter::once(file.to_owned()).chain(LOG_SUFFIXES.iter().map(|suffix| format!("{file}{suffix}")));
    names.filter_map(|name| read_version(&folder.join(name))).map(|version| version.len).sum()
}

/// The files that contain what was committed.
fn read_versions(folder: &Path) -> Vec<Option<FileVersion>> {
    let files = [sqlite::FILE, store::DATABASE_FILE];
    let names = files
        .iter()
        .flat_map(|file| ["", LOG_SUFFIXES[0], LOG_SUFFIXES[1]].map(|suffix| format!("{file}{suffix}")));
    names.map(|name| read_version(&folder.join(name))).collect()
}

fn read_version(path: &Path) -> Option<FileVersion> {
    let version = |file: Metadata| FileVersion { len: file.len(), changed_at: file.modified().ok() };
    std::fs::metadata(path).ok().map(version)
}

/// A folder for copies, for this user alone; it goes with this value.
struct TemporaryFolder {
    path: PathBuf,
}

impl TemporaryFolder {
    fn create() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let name = format!("doorbuster-verify-{:016x}", u64::from_le_bytes(random));
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What is left in a folder for temporary files is removed by the system some day.
        let _removed = std::fs::remove_dir_all(&self.path);
    }
}
