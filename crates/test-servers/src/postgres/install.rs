//! Finds PostgreSQL's programs and the user who runs them. It never installs anything.

use crate::process::ProcessGuard;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's folder of versions; elsewhere the programs are in the `PATH`.
const VERSIONS: &str = "/usr/lib/postgresql";

/// PostgreSQL refuses root: where the tests run as root it runs as the first of these users that exists.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// PostgreSQL on this machine.
pub(crate) struct PostgresInstall {
    bin: Option<PathBuf>,
    user: Option<SystemUser>,
}

#[derive(Clone, Copy)]
struct SystemUser {
    uid: u32,
    gid: u32,
}

impl PostgresInstall {
    /// The newest installed version.
    pub(crate) fn find() -> Self {
        let versions = fs::read_dir(VERSIONS).into_iter().flatten().filter_map(Result::ok);
        let number = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        let newest = versions
            .map(|entry| entry.path())
            .filter(|path| path.join("bin/initdb").exists())
            .max_by_key(number);
        let in_path = || Command::new("initdb").arg("--version").output().is_ok();
        assert!(newest.is_some() || in_path(), "PostgreSQL is not installed: run scripts/setup.sh");
        let user = rustix::process::geteuid().is_root().then(find_other_user);
        Self { bin: newest.map(|version| version.join("bin")), user }
    }

    /// A command that runs one of its programs in a folder, as the user who may.
    pub(crate) fn command(&self, program: &str, folder: &Path) -> Command {
        let program = self.bin.as_ref().map_or_else(|| program.into(), |bin| bin.join(program));
        self.as_user(Command::new(program), folder)
    }

    /// Keeps one of its programs running. On QUIT the server ends at once, with all of its processes.
    pub(crate) fn start_program(&self, program: &Command, folder: &Path) -> ProcessGuard {
        ProcessGuard::start_as(program, folder, "QUIT", |shell| self.as_user(shell, folder))
    }

    /// Gives a folder to that user.
    pub(crate) fn give_folder(&self, folder: &Path) {
        if let Some(SystemUser { uid, gid }) = self.user {
            chown(folder, Some(uid), Some(gid)).unwrap();
        }
    }

    fn as_user(&self, mut command: Command, folder: &Path) -> Command {
        command.current_dir(folder).env("HOME", folder).env_remove("PGOPTIONS");
        if let Some(SystemUser { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

fn find_other_user() -> SystemUser {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let mut fields = line.split(':').skip(1);
        Some(SystemUser { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    };
    USERS.into_iter().find_map(find).expect("there is a user who is not root")
}
