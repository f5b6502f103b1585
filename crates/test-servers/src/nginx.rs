//! An nginx for a test: on a reserved port, in a temporary folder, with the site that the test gives; it ends with the test. It
//! never touches a server that it did not start.
//!
//! Without nginx on this machine the test fails and says so; `scripts/setup.sh` installs it.

use crate::ReservedPort;
use crate::process::{ProcessGuard, child_processes};
use crate::wait::{HANG_LIMIT, eventually_blocking};
use rustix::process::{Pid, Signal, geteuid};
use std::net::TcpStream;
use std::process::Command;
use tempfile::TempDir;

/// Debian's program, which is outside of the `PATH` of many users.
const DEBIAN: &str = "/usr/sbin/nginx";
/// A site's placeholder for the port.
const LISTEN: &str = "listen 80";
/// Temporary folders that nginx would otherwise make where only root may write.
const FOLDERS: [&str; 5] = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/// A running nginx. It ends when this is dropped, or with the process.
pub struct NginxServer {
    /// Ended before the folder is removed: fields go in this order.
    running: Option<ProcessGuard>,
    folder: TempDir,
    port: ReservedPort,
}

impl NginxServer {
    /// Starts nginx with a site: the content of the `http` block, where `listen 80` stands for the reserved port.
    #[must_use]
    pub fn start(site: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("test-nginx-").tempdir().unwrap();
        let mut nginx = Self { running: None, folder, port: ReservedPort::reserve() };
        nginx.write_config(site);
        nginx.launch();
        nginx
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.get())
    }

    /// Replaces the site, and waits until new workers serve it. Requests under way are finished by the old workers.
    pub fn reload(&self, site: &str) {
        self.write_config(site);
        let running = self.running.as_ref().unwrap();
        let before = child_processes(running.id());
        running.signal(Signal::HUP);
        let is_new = || child_processes(running.id()).iter().any(|child| !before.contains(child));
        self.wait_until("start workers with another site", is_new);
    }

    /// Its processes; the master is the first.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        self.running.as_ref().unwrap().processes()
    }

    /// Kills it and its workers as a crash does.
    pub fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Starts it again after [`NginxServer::kill`], and waits until it listens.
    pub fn launch(&mut self) {
        // TERM ends it without waiting for requests under way.
        let process = ProcessGuard::start(&self.command(&[]), self.folder.path(), "TERM");
        let running = self.running.insert(process);
        let id = running.id();
        // The workers start after the port is bound: a request before them waits.
        let listens =
            || !child_processes(id).is_empty() && TcpStream::connect(("127.0.0.1", self.port.get())).is_ok();
        self.wait_until("listen", listens);
    }

    fn write_config(&self, site: &str) {
        assert!(site.contains(LISTEN), "a site says `{LISTEN}`: {site}");
        let site = site.replace(LISTEN, &format!("listen 127.0.0.1:{}", self.port.get()));
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
        eventually_blocking(&format!("nginx: {what}"), HANG_LIMIT, || {
            let has_ended = self.running.as_ref().unwrap().has_ended();
            let holds = condition();
            assert!(holds || !has_ended, "nginx has ended: {}", self.read_log());
            holds
        });
    }

    fn read_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    fn site_replying(word: &str) -> String {
        format!("server {{\n    listen 80;\n    return 200 {word};\n}}\n")
    }

    fn request(nginx: &NginxServer) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", nginx.port.get())).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply.rsplit("\r\n").next().unwrap().to_owned()
    }

    #[test]
    fn the_last_site_is_served_also_after_a_kill() {
        let mut nginx = NginxServer::start(&site_replying("first"));
        assert_eq!(request(&nginx), "first");
        nginx.reload(&site_replying("second"));
        // An old worker may accept a connection before it gets the signal.
        nginx.wait_until("serve the second site", || request(&nginx) == "second");
        nginx.kill();
        assert!(TcpStream::connect(("127.0.0.1", nginx.port.get())).is_err());
        nginx.launch();
        assert_eq!(request(&nginx), "second");
    }
}
