//! The data folder of one machine: made for its owner alone, and locked for one process at a time. It knows the names of the files
//! in it, and never their content.

use super::StartError;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

const LOCK_FILE: &str = "lock";
/// Names of files that a data folder has, or how they begin.
const OWN_FILES: [&str; 4] = ["ledger.db", "shop.db", "token-key", LOCK_FILE];
/// How often a lock is tried that another process has: `verify` looks whether there is one and has it for some microseconds.
const LOCK_TRIES: u32 = 5;
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Makes a data folder, if there is none, for its owner alone: it will hold addresses, password hashes and keys. One that is there
/// already is closed to others, as far as it is this user's: its files always, the folder itself unless it has other files, because
/// then it is not only a data folder.
///
/// # Errors
/// When it cannot be made.
pub fn create_data_folder(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(folder)?;
    let mut has_other_files = false;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_own = OWN_FILES.iter().any(|own| name.to_string_lossy().starts_with(own));
        has_other_files |= !is_own;
        if is_own {
            close_to_others(&entry.path())?;
        }
    }
    if has_other_files {
        let mode = std::fs::metadata(folder)?.mode();
        if mode & 0o077 != 0 {
            tracing::warn!(
                folder = %folder.display(),
                mode = format!("{:o}", mode & 0o7777),
                "the data folder has other files too, and others may look into it; its permissions stay; give --data a folder of its own"
            );
        }
        return Ok(());
    }
    close_to_others(folder)
}

/// Takes the permissions of group and others away, if the file is this user's and has any. A folder that is shared on purpose (with
/// a sticky bit) stays.
fn close_to_others(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        // Another process removed its log meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mode = found.mode() & 0o7777;
    let is_plain = found.is_file() || (found.is_dir() && mode & 0o1000 == 0);
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    if is_plain && is_ours && mode & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(mode & !0o077))?;
    }
    Ok(())
}

/// Whether another process has locked `folder`. Changes nothing.
///
/// # Errors
/// When the lock cannot be read.
pub fn is_folder_in_use(folder: &Path) -> io::Result<bool> {
    let file = match File::open(folder.join(LOCK_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The lock of a data folder in which no engine runs. It goes with this value, and with the process.
pub struct DataFolderLock {
    _file: File,
}

/// Locks `folder` for a command that reads or writes it without an engine, making it if need be.
///
/// # Errors
/// When another process uses the folder, or it cannot be made.
pub fn lock_data_folder(folder: &Path) -> Result<DataFolderLock, StartError> {
    Ok(DataFolderLock { _file: lock_folder(folder)? })
}

/// Locks `folder` for this process, making it if need be. The lock goes with the process, however it ends.
pub(super) fn lock_folder(folder: &Path) -> Result<File, StartError> {
    let folder_error = |source| StartError::Folder { folder: folder.to_owned(), source };
    create_data_folder(folder).map_err(folder_error)?;
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(folder.join(LOCK_FILE))
        .map_err(folder_error)?;
    match try_lock_for_a_moment(&file) {
        Ok(()) => {
            file.set_len(0).map_err(folder_error)?;
            write!(file, "{}", std::process::id()).map_err(folder_error)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            if file.read_to_string(&mut pid).is_err() || pid.is_empty() {
                "unknown".clone_into(&mut pid);
            }
            Err(StartError::Locked { folder: folder.to_owned(), pid })
        }
        Err(TryLockError::Error(source)) => Err(folder_error(source)),
    }
}

fn try_lock_for_a_moment(file: &File) -> Result<(), TryLockError> {
    for _ in 1..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_RETRY_INTERVAL),
            settled => return settled,
        }
    }
    file.try_lock()
}
