//! A private instance: the same program, serving from a temporary folder, and the faults that a rehearsal injects. It never
//! touches an instance that it has not started.

use crate::client::{InstanceClient, Target, TargetError};
use crate::merchant::AdminLogin;
use http_body_util::Full;
use hyper::http::Method;
use rustix::fd::OwnedFd;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketType, bind};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Who the private instance's admin is.
const ADMIN_EMAIL: &str = "rehearsal@doorbuster.local";
/// How long an instance may take to listen: a start reads the ledger and mends what a crash tore.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to stop in good order.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// A file may grow to this many bytes on a full disk: to nothing of use.
const FULL_DISK_BYTES: u64 = 4096;
/// Ports that the system gives to no client on its own: a client that keeps retrying a killed instance would sooner or
/// later be given the instance's port, and it could not start again.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

pub struct PrivateInstance {
    binary: PathBuf,
    folder: tempfile::TempDir,
    port: InstancePort,
    password: String,
    flags: Vec<String>,
    removed_variables: Vec<OsString>,
    child: Option<Child>,
}

/// Why there is no private instance.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// The machine refuses a folder, a process, a port.
    #[error("the private instance cannot be started")]
    Io(#[from] io::Error),
    /// Its address is none; that cannot be.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It ended, or was never ready.
    #[error("the private instance did not start ({how}); the end of its log:\n{log}")]
    NotReady { how: String, log: String },
    /// It did not stop in good order.
    #[error("the private instance did not stop in good order ({how}); the end of its log:\n{log}")]
    UncleanExit { how: String, log: String },
}

impl PrivateInstance {
    /// Starts one of this program, with these more flags of `serve`, and without these variables of the caller's.
    ///
    /// # Errors
    /// When the machine refuses something, or the instance does not come up.
    pub async fn start(
        binary: PathBuf,
        flags: Vec<String>,
        foreign: Vec<OsString>,
    ) -> Result<Self, PrivateError> {
        let folder = tempfile::Builder::new().prefix("doorbuster-rehearsal-").tempdir()?;
        let password = uuid::Uuid::new_v4().simple().to_string();
        let mut private = Self {
            binary,
            folder,
            port: InstancePort::reserve()?,
            password,
            flags,
            removed_variables: foreign,
            child: None,
        };
        private.launch().await?;
        Ok(private)
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.port)
    }

    #[must_use]
    pub fn admin(&self) -> AdminLogin {
        AdminLogin { email: ADMIN_EMAIL.to_owned(), password: self.password.clone() }
    }

    /// The folder of all that is its own.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    #[must_use]
    pub fn data_path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it on its folder, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not.
    pub async fn launch(&mut self) -> Result<(), PrivateError> {
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(&self.binary);
        // The caller's own settings are not those of this instance.
        for name in &self.removed_variables {
            command.env_remove(name);
        }
        let child = command
            .args(["serve", "--listen", &format!("127.0.0.1:{}", self.port.port)])
            .args(["--metrics-listen", "127.0.0.1:0", "--trusted-proxies", "127.0.0.1"])
            .arg("--data")
            .arg(self.data_path())
            .arg("--rehearsal-clock")
            .arg(self.clock_path())
            .args(&self.flags)
            .env("DOORBUSTER_ADMIN_EMAIL", ADMIN_EMAIL)
            .env("DOORBUSTER_ADMIN_PASSWORD", &self.password)
            // Ctrl-C signals the terminal's whole process group, and the rehearsal still has to read evidence from the instance.
            .process_group(0)
            // The instance stops when this end of the pipe closes.
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        let client = InstanceClient::new(Target::new(&self.url())?, 1);
        let serves = async {
            while !is_ready(&client).await {
                if let Some(ended) = self.poll_exit() {
                    return Err(ended.to_string());
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            Ok(())
        };
        let how = match tokio::time::timeout(START_TIMEOUT, serves).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(ended)) => ended,
            Err(_) => format!("not ready after {} s", START_TIMEOUT.as_secs()),
        };
        Err(PrivateError::NotReady { how, log: self.read_log_tail() })
    }

    /// Kills it as a power loss would, as far as a process can: at once and without a shutdown.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Its exit status, if it has ended without [`Self::kill`] or a stop.
    pub fn poll_exit(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// Simulates a full disk: no file of the instance can grow.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn fill_disk(&self) -> io::Result<()> {
        self.limit_files(Some(FULL_DISK_BYTES))
    }

    /// Frees its disk.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn free_disk(&self) -> io::Result<()> {
        self.limit_files(None)
    }

    #[cfg(target_os = "linux")]
    fn limit_files(&self, bytes: Option<u64>) -> io::Result<()> {
        // A killed instance starts again without the limit.
        let Some(pid) = self.pid() else { return Ok(()) };
        let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
        prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum })?;
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn limit_files(&self, _bytes: Option<u64>) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a full disk can be played on Linux only"))
    }

    /// Makes its machine's clock jump: from now on it is wrong by so many milliseconds.
    ///
    /// # Errors
    /// When the file it reads cannot be written.
    pub fn shift_clock(&self, ms: i64) -> io::Result<()> {
        // Written beside and renamed, so that it is never read half.
        let fresh = self.folder.path().join("clock.fresh");
        std::fs::write(&fresh, ms.to_string())?;
        std::fs::rename(fresh, self.clock_path())
    }

    /// Stops it in good order, waits for its end, and throws its folder away, unless it is to be kept: then returns its path.
    ///
    /// # Errors
    /// When it does not end well: with its exit status, its last log lines, and where its folder is, if that is kept.
    pub async fn stop(mut self, keep: bool) -> Result<Option<PathBuf>, PrivateError> {
        if let Some(pid) = self.pid() {
            let _gone_already = kill_process(pid, Signal::TERM);
        }
        let mut left = STOP_TIMEOUT;
        while self.child.is_some() && self.poll_exit().is_none() && !left.is_zero() {
            tokio::time::sleep(POLL_INTERVAL).await;
            left = left.saturating_sub(POLL_INTERVAL);
        }
        let was_running = self.child.is_some();
        let how = match self.poll_exit() {
            Some(status) if status.success() => None,
            Some(status) => Some(format!("it ended with {status}")),
            None => was_running.then(|| format!("it was killed after {} s", STOP_TIMEOUT.as_secs())),
        };
        self.kill()?;
        let log = self.read_log_tail();
        let kept = keep.then(|| self.keep_folder());
        let Some(mut how) = how else { return Ok(kept) };
        if let Some(folder) = kept {
            how.push_str(&format!("; its folder is kept: {}", folder.display()));
        }
        Err(PrivateError::UncleanExit { how, log })
    }

    /// The last lines of its log.
    #[must_use]
    pub fn read_log_tail(&self) -> String {
        let log = std::fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn keep_folder(mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(Pid::from_child)
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn clock_path(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}

/// However a rehearsal ends, its instance ends with it.
impl Drop for PrivateInstance {
    fn drop(&mut self) {
        let _gone_already = self.kill();
    }
}

async fn is_ready(client: &InstanceClient) -> bool {
    let request = client.target().request(Method::GET, "/readyz").body(Full::default());
    let Ok(request) = request else { return false };
    client.send(request, client.acquire_connection().await).await.is_ok_and(|reply| reply.status.is_success())
}

/// A port that is kept for the instance while it is killed and started again.
struct InstancePort {
    port: u16,
    _socket: Option<OwnedFd>,
}

impl InstancePort {
    fn reserve() -> io::Result<Self> {
        let count = PORTS.end - PORTS.start;
        // Two rehearsals that start together begin at different ports.
        #[expect(clippy::cast_possible_truncation, reason = "any part of the process id will do")]
        let first = (std::process::id() as u16).wrapping_mul(61) % count;
        (0..count)
            .map(|step| PORTS.start + (first + step) % count)
            .find_map(|port| Some(Self { port, _socket: bind_port(port).ok()? }))
            .ok_or_else(|| io::Error::from(io::ErrorKind::AddrInUse))
    }
}

/// Binds a socket without `SO_REUSEADDR`, which never listens, and sets the option afterwards: Linux refuses the port to every bind
/// without the option, and lets the instance, which sets it, listen. Other systems would refuse the instance too; they get no more
/// than the check that the port is free.
fn bind_port(port: u16) -> io::Result<Option<OwnedFd>> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    set_socket_reuseaddr(&socket, true)?;
    Ok(cfg!(target_os = "linux").then_some(socket))
}

/// Processor seconds of this process, and of its children that have ended; `None` where the system does not report them.
#[must_use]
pub fn read_cpu_seconds() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string(Path::new("/proc/self/stat")).ok()?;
    // The name of the program may hold spaces and parentheses; the fields begin after the last of them.
    let fields: Vec<f64> = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse().ok())
        .collect();
    let [user, system, children_user, children_system] = fields[..] else { return None };
    // The kernel counts these in hundredths of a second on every machine that Linux runs on.
    Some(((user + system) / 100.0, (children_user + children_system) / 100.0))
}
