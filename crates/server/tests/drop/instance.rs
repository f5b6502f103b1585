//! A real `doorbuster serve` in a folder of its own, that can be killed and started again on the same folder and port.

use own_servers::free_port;
use serde_json::{Value, json};
use server::commands::instance::TOKEN_KEY_FILE;
use sqlx::Connection;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub const EMAIL: &str = "admin@example.com";
pub const PASSWORD: &str = "a password for this test";

pub struct Instance {
    pub url: String,
    pub client: reqwest::Client,
    folder: tempfile::TempDir,
    port: u16,
    first: String,
    pub flags: Vec<String>,
    child: Option<Child>,
    pub admin: String,
    product: String,
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

impl Instance {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With these flags of `serve`.
    pub async fn with(flags: &[&str]) -> Self {
        Self::with_shell("", flags).await
    }

    /// With these limits of open files, of which the process may raise the first to the second.
    pub async fn with_open_files(soft: u32, hard: u32) -> Self {
        Self::with_shell(&format!("ulimit -Sn {soft} && ulimit -Hn {hard} && "), &[]).await
    }

    /// With its ledger and tables in this database.
    pub async fn on(database: &str) -> Self {
        Self::with(&["--database", database]).await
    }

    /// Started by a shell that does something first.
    async fn with_shell(first: &str, flags: &[&str]) -> Self {
        let port = free_port();
        let mut instance = Self {
            url: format!("http://127.0.0.1:{port}"),
            client: reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap(),
            folder: tempfile::tempdir().unwrap(),
            port,
            first: first.to_owned(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            child: None,
            admin: String::new(),
            product: String::new(),
        };
        instance.launch().await;
        let login = json!({"email": EMAIL, "password": PASSWORD});
        instance.admin = text(&instance.post("/api/v1/auth/login", &login, None).await, "accessToken");
        let product =
            json!({"name": "Lamp", "description": "A lamp.", "price": {"amount": 4999, "currency": "EUR"}});
        instance.product =
            text(&instance.post("/api/v1/admin/products", &product, Some(&instance.admin)).await, "id");
        instance
    }

    /// The key that it signs tokens with, as a file.
    pub async fn token_key(&self) -> PathBuf {
        let Some(at) = self.flags.iter().position(|flag| flag == "--database") else {
            return self.data().join(TOKEN_KEY_FILE);
        };
        sqlx::any::install_default_drivers();
        let mut database = sqlx::AnyConnection::connect(&self.flags[at + 1]).await.unwrap();
        let key = sqlx::query_scalar::<_, String>("SELECT value FROM secrets WHERE name = 'token-key'");
        let file = self.folder.path().join("a-copy-of-the-key.pem");
        std::fs::write(&file, key.fetch_one(&mut database).await.unwrap()).unwrap();
        database.close().await.unwrap();
        file
    }

    pub async fn launch(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new("sh")
            .args([
                "-c",
                &format!("{}exec \"$@\"", self.first),
                "sh",
                env!("CARGO_BIN_EXE_doorbuster"),
                "serve",
                "--listen",
                &format!("127.0.0.1:{}", self.port),
                "--metrics-listen",
                "127.0.0.1:0",
            ])
            // Every buyer comes from an address of their own, as through a load balancer.
            .args(["--trusted-proxies", "127.0.0.1", "--data"])
            .arg(self.data())
            .args(&self.flags)
            .env("DOORBUSTER_ADMIN_EMAIL", EMAIL)
            .env("DOORBUSTER_ADMIN_PASSWORD", PASSWORD)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        for _ in 0..2_000 {
            if let Ok(reply) = self.client.get(format!("{}/readyz", self.url)).send().await
                && reply.status().is_success()
            {
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "it ended with {ended:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not ready after 20 s: {}", self.log());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let status = Command::new("kill").arg(self.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// SIGTERM, and waits until it has drained.
    pub async fn stop_gently(&mut self) {
        self.terminate();
        self.ends_well().await;
    }

    /// Waits until it ends, with exit code 0.
    pub async fn ends_well(&mut self) {
        let mut child = self.child.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
        assert!(ended.success(), "a drained instance ends with 0, this one with {ended}: {}", self.log());
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A sale that started a moment ago, whose holds last `hold_s`; with none, units are sold at once.
    pub async fn sale(&self, quantity: u32, hold_s: u32, admission: &Value) -> String {
        self.named_sale(None, quantity, hold_s, admission).await
    }

    /// The same with a slug.
    pub async fn named_sale(
        &self,
        slug: Option<&str>,
        quantity: u32,
        hold_s: u32,
        admission: &Value,
    ) -> String {
        let mut sale = json!({
            "productId": self.product,
            "price": {"amount": 1999, "currency": "EUR"},
            "quantity": quantity,
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "2099-01-01T00:00:00Z",
            "holdSeconds": hold_s,
            "admission": admission,
        });
        if let Some(slug) = slug {
            sale["slug"] = json!(slug);
        }
        text(&self.post("/api/v1/admin/flash-sales", &sale, Some(&self.admin)).await, "id")
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Value {
        let mut request = self.client.get(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let reply = request.send().await.unwrap();
        let status = reply.status();
        let body = reply.text().await.unwrap();
        assert!(status.is_success(), "GET {path}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value, token: Option<&str>) -> Value {
        let mut request = self.client.post(format!("{}{path}", self.url)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let reply = request.send().await.unwrap();
        let status = reply.status();
        let told = reply.text().await.unwrap();
        assert!(status.is_success(), "POST {path}: {status} {told}");
        serde_json::from_str(&told).unwrap()
    }

    /// Asks for each order that a buyer was told is theirs: by its id, and in the buyer's list.
    pub async fn every_confirmed_order_is_its_buyers(&self, confirmed: &[(String, String)]) {
        for (token, order) in confirmed {
            let found = self.get(&format!("/api/v1/orders/{order}"), Some(token)).await;
            assert_eq!(found["status"], "confirmed", "{found}");
            let list = self.get("/api/v1/orders?limit=100", Some(token)).await;
            let listed = list["items"].as_array().unwrap().iter().any(|item| item["id"] == order.as_str());
            assert!(listed, "order {order} is in its buyer's list: {list}");
        }
    }

    /// Runs `doorbuster verify` on the instance's folder or database, and wants it to find every promise kept.
    pub async fn verify(&self) -> String {
        let (data, flags) = (self.data(), self.flags.clone());
        let (code, told) = tokio::task::spawn_blocking(move || {
            let at = flags.iter().position(|flag| flag == "--database");
            let database: Vec<&str> =
                at.map_or(&[][..], |at| &flags[at..at + 2]).iter().map(String::as_str).collect();
            verify_with(&data, &database)
        })
        .await
        .unwrap();
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains("every promise is kept") && !told.contains("NOT"), "{told}");
        told
    }
}

/// A port on which nobody answers.
pub fn shut_port() -> u16 {
    free_port()
}

/// Runs `doorbuster verify` on a data folder: its exit code, and all that it says.
pub fn verify(data: &Path) -> (Option<i32>, String) {
    verify_with(data, &[])
}

/// The same with flags.
pub fn verify_with(data: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    let command = command.arg("verify").args(flags).arg("--data").arg(data);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}
