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
/// The configuration of one worker, for tests: enough connections for a crowd.
const MAIN: &str = "worker_processes 1;\nerror_log stderr error;\npid /run/nginx.pid;\n\
                    events { worker_connections 4096; }\nhttp {\naccess_log off;\ninclude cluster.conf;\n}\n";
/// The configuration that users get.
const DEPLOYED_MAIN: &str = include_str!("../../../deploy/nginx/nginx.conf");
const CLUSTER_SITE: &str = include_str!("../../../deploy/nginx/cluster.conf");
/// What it has in place of the addresses of the instances.
const INSTANCES_INCLUDE: &str = "include doorbuster-instances.conf;";
/// Where it keeps the feeds of lines, in place of a folder in the test's own.
const CACHE_PATH: &str = "/var/cache/nginx-doorbuster";
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
    main: &'static str,
}

impl NginxServer {
    /// Starts nginx with a site: the content of the `http` block, where `listen 80` stands for the reserved port.
    #[must_use]
    pub fn start(site: &str) -> Self {
        Self::start_with(MAIN, site)
    }

    /// One worker in front of these instances, with the site that users get.
    #[must_use]
    pub fn start_cluster(instances: &[String]) -> Self {
        Self::start_with(MAIN, &cluster_site(instances))
    }

    /// The same with all that users get: a worker for each processor, and many connections.
    #[must_use]
    pub fn start_deployed(instances: &[String]) -> Self {
        Self::start_with(DEPLOYED_MAIN, &cluster_site(instances))
    }

    fn start_with(main: &'static str, site: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("test-nginx-").tempdir().unwrap();
        let mut nginx = Self { running: None, folder, port: ReservedPort::reserve(), main };
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
        std::fs::write(self.folder.path().join("cluster.conf"), site).unwrap();
        let folders = FOLDERS.map(|name| format!("{name}_temp_path {name};\n")).concat();
        let user = if geteuid().is_root() { "user root;\n" } else { "" };
        // As many open files as the system allows this process.
        let main: String = self
            .main
            .lines()
            .filter(|line| !line.starts_with("user ") && !line.starts_with("worker_rlimit_nofile "))
            .map(|line| format!("{line}\n"))
            .collect();
        let main = main.replace("pid /run/nginx.pid;", "pid nginx.pid;");
        let main = main.replacen("http {\n", &format!("http {{\n{folders}"), 1);
        std::fs::write(self.folder.path().join("nginx.conf"), format!("{user}daemon off;\n{main}")).unwrap();
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

/// The site that users get, with the addresses of these instances.
fn cluster_site(instances: &[String]) -> String {
    assert!(CLUSTER_SITE.contains(INSTANCES_INCLUDE), "cluster.conf has `{INSTANCES_INCLUDE}`");
    let server =
        |url: &String| format!("server {} max_fails=3 fail_timeout=2s;\n", url.trim_start_matches("http://"));
    assert!(CLUSTER_SITE.contains(CACHE_PATH), "cluster.conf has `{CACHE_PATH}`");
    let site = CLUSTER_SITE.replace(CACHE_PATH, "feeds");
    site.replace(INSTANCES_INCLUDE, &instances.iter().map(server).collect::<String>())
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
