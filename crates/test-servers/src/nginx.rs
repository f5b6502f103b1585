//! An nginx of one's own, for tests: on a free port, in a temporary folder, with the configuration that the test gives, and gone
//! when the test has ended, however it ends. It never touches a server that it did not make.
//!
//! Where nginx is not installed the test fails and says so; `scripts/setup.sh` installs it.

use crate::free_port;
use crate::process::{ProcessGuard, child_processes};
use rustix::process::{Pid, Signal, geteuid};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Where Debian has it, outside of the `PATH` of many users.
const DEBIAN: &str = "/usr/sbin/nginx";
/// What stands in a site for this server's own port.
const LISTEN: &str = "listen 80";
/// How often it is looked whether the server has come to something, and for how long.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const POLLS_MAX: u32 = 1_000;
/// Folders that nginx would have in places where only root may write.
const FOLDERS: [&str; 5] = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/// A server. It ends with this, or with the process.
pub struct NginxServer {
    /// Ended before the folder is removed: fields go in this order.
    running: Option<ProcessGuard>,
    folder: TempDir,
    port: u16,
}

impl NginxServer {
    /// A server for a site: what would stand in the `http` block, with `listen 80` for the server's own port.
    #[must_use]
    pub fn start(site: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("test-nginx-").tempdir().unwrap();
        let mut nginx = Self { running: None, folder, port: free_port() };
        nginx.write_config(site);
        nginx.launch();
        nginx
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Gives it another site, and waits until it goes by that. Who is being served is served to the end.
    pub fn reload(&self, site: &str) {
        self.write_config(site);
        let running = self.running.as_ref().unwrap();
        let before = child_processes(running.id());
        running.signal(Signal::HUP);
        let is_new = || child_processes(running.id()).iter().any(|child| !before.contains(child));
        self.wait_until("go by another site", is_new);
    }

    /// Its processes, the first one first.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        self.running.as_ref().unwrap().processes()
    }

    /// Kills it and its workers as a crash does.
    pub fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Starts it again after [`Nginx::kill`], and waits until it listens.
    pub fn launch(&mut self) {
        // TERM ends it without waiting for those whom it serves.
        let keeper = ProcessGuard::start(&self.command(&[]), self.folder.path(), "TERM");
        let running = self.running.insert(keeper);
        let id = running.id();
        // The workers come after the port is taken: who asks before them waits.
        let listens =
            || !child_processes(id).is_empty() && TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        self.wait_until("listen", listens);
    }

    fn write_config(&self, site: &str) {
        assert!(site.contains(LISTEN), "a site says `{LISTEN}`: {site}");
        let site = site.replace(LISTEN, &format!("listen 127.0.0.1:{}", self.port));
        let folders: String = FOLDERS.map(|name| format!("{name}_temp_path {name};\n")).concat();
        let user = if geteuid().is_root() { "user root;\n" } else { "" };
        let all = format!(
            "{user}daemon off;\npid nginx.pid;\nerror_log stderr error;\nworker_processes 1;\n\
             events {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\n{folders}{site}\n}}\n"
        );
        std::fs::write(self.folder.path().join("nginx.conf"), all).unwrap();
        let checked = self.command(&["-t", "-q"]).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let is_debian = std::path::Path::new(DEBIAN).exists();
        let in_path = || Command::new("nginx").arg("-v").output().is_ok();
        assert!(is_debian || in_path(), "nginx is not installed: run scripts/setup.sh");
        let mut command = Command::new(if is_debian { DEBIAN } else { "nginx" });
        command.arg("-p").arg(self.folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]).args(arguments);
        command
    }

    fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        for _ in 0..POLLS_MAX {
            if condition() {
                return;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("nginx does not come to {what}: {log}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    fn says(word: &str) -> String {
        format!("server {{\n    listen 80;\n    return 200 {word};\n}}\n")
    }

    fn ask(nginx: &NginxServer) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", nginx.port)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        told.rsplit("\r\n").next().unwrap().to_owned()
    }

    #[test]
    fn it_goes_by_what_it_was_given_last_also_after_it_was_killed() {
        let mut nginx = NginxServer::start(&says("first"));
        assert_eq!(ask(&nginx), "first");
        nginx.reload(&says("second"));
        // An old worker may take what came before it heard.
        nginx.wait_until("say it", || ask(&nginx) == "second");
        nginx.kill();
        assert!(TcpStream::connect(("127.0.0.1", nginx.port)).is_err());
        nginx.launch();
        assert_eq!(ask(&nginx), "second");
    }
}
