//! The stand-in as a process of its own, which a test kills and starts again; commands go over HTTP. It never runs in the test's process.

use reqwest::Client;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use test_servers::ReservedPort;
use test_servers::process::ProcessGuard;
use test_servers::stripe::{API_VERSION, StripeStandIn, TEST_KEY};
use test_servers::wait::{HANG_LIMIT, eventually};

/// Address and file of the stand-in that this program is, when it is one.
const ADDRESS: &str = "STRIPE_STAND_IN_ADDRESS";
const FILE: &str = "STRIPE_STAND_IN_FILE";

/// This program is started again with this test alone, to be the stand-in. Otherwise there is nothing to do.
#[test]
fn serve_stand_in() {
    let (Ok(address), Ok(file)) = (std::env::var(ADDRESS), std::env::var(FILE)) else { return };
    let _serving = StripeStandIn::start_on(address.parse().unwrap(), Some(PathBuf::from(file)));
    loop {
        std::thread::park();
    }
}

/// A process. It ends when this is dropped; what it had is kept as long as the folder.
pub struct StandInProcess {
    pub url: String,
    client: Client,
    running: Option<ProcessGuard>,
    folder: PathBuf,
    port: ReservedPort,
}

impl StandInProcess {
    pub async fn start(folder: &Path) -> Self {
        let port = ReservedPort::reserve();
        let folder = folder.join("stand-in");
        let url = format!("http://127.0.0.1:{}", port.get());
        let mut process = Self { url, client: Client::new(), running: None, folder, port };
        process.launch().await;
        process
    }

    /// `kill -9`, and a start with what it had.
    pub async fn kill_and_restart(&mut self) {
        self.running.take().unwrap().kill();
        self.launch().await;
    }

    /// Sends a command.
    pub async fn command(&self, name: &str, form: &[(&str, &str)]) -> Value {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let url = format!("{}/control/{name}", self.url);
        let reply = self.client.post(url).body(body).send().await.unwrap();
        let status = reply.status();
        let text = reply.text().await.unwrap();
        assert!(status.is_success(), "{name} {form:?}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The sessions of an order, as the API lists them.
    pub async fn list_sessions(&self, order: &str) -> Vec<Value> {
        let request = self.client.get(format!("{}/v1/checkout/sessions?limit=100", self.url));
        let request = request.bearer_auth(TEST_KEY).header("Stripe-Version", API_VERSION);
        let list: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(list["has_more"], false, "{list}");
        let sessions = list["data"].as_array().unwrap().iter();
        sessions.filter(|session| session["client_reference_id"] == order).cloned().collect()
    }

    async fn launch(&mut self) {
        std::fs::create_dir_all(&self.folder).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], self.port.get()));
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$@\" >/dev/null 2>&1", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "process::serve_stand_in"])
            .env(ADDRESS, address.to_string())
            .env(FILE, self.folder.join("model.json"));
        self.running = Some(ProcessGuard::start(&command, &self.folder, "KILL"));
        let url = format!("{}/control/heal", self.url);
        eventually("the stand-in listens", HANG_LIMIT, async || {
            assert!(!self.running.as_ref().unwrap().has_ended(), "the stand-in ended");
            self.client.post(&url).send().await.is_ok_and(|reply| reply.status().is_success())
        })
        .await;
    }
}
