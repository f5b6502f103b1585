//! A real `doorbuster serve` or `worker` in its own folder, which can be killed and started again on the same folder and port.

use super::retrying_client::{RequestTally, RetryingClient};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use server::commands::instance::TOKEN_KEY_FILE;
use sqlx::Connection;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_servers::doorbuster::{DoorbusterProcess, DoorbusterRole};
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};
use tokio::sync::Semaphore;

pub use test_servers::doorbuster::ADMIN_EMAIL as EMAIL;

pub const PASSWORD: &str = "a password for this test";

/// A process, its admin and a product to be sold.
pub struct ServerProcess {
    process: DoorbusterProcess,
    pub client: reqwest::Client,
    pub admin: String,
    pub product: String,
}

impl Deref for ServerProcess {
    type Target = DoorbusterProcess;
    fn deref(&self) -> &DoorbusterProcess {
        &self.process
    }
}

impl DerefMut for ServerProcess {
    fn deref_mut(&mut self) -> &mut DoorbusterProcess {
        &mut self.process
    }
}

impl ServerProcess {
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
        let mut instance = Self::prepared(flags);
        first.clone_into(&mut instance.shell_prefix);
        instance.launch().await;
        instance.open_shop().await;
        instance
    }

    /// The key that it signs tokens with, as a file.
    pub async fn token_key(&self) -> PathBuf {
        if let Some(at) = self.flags.iter().position(|flag| flag == "--token-key") {
            return PathBuf::from(&self.flags[at + 1]);
        }
        if self.flag("--database").is_none() {
            return self.data().join(TOKEN_KEY_FILE);
        }
        sqlx::any::install_default_drivers();
        let mut database = sqlx::AnyConnection::connect(&self.database_url()).await.unwrap();
        let key = sqlx::query_scalar::<_, String>("SELECT value FROM secrets WHERE name = 'token-key'");
        let file = self.folder().join("a-copy-of-the-key.pem");
        std::fs::write(&file, key.fetch_one(&mut database).await.unwrap()).unwrap();
        database.close().await.unwrap();
        file
    }

    /// The address of its tables.
    pub fn database_url(&self) -> String {
        let file = || format!("sqlite://{}", self.data().join("shop.db").display());
        self.flag("--database").map_or_else(file, ToOwned::to_owned)
    }

    /// One that is not started yet.
    pub fn prepared(flags: &[&str]) -> Self {
        Self::prepared_as(DoorbusterRole::Serve, flags)
    }

    /// A worker that is not started yet: it has no API, and its metrics' listener reports whether it is ready.
    pub fn prepared_worker(flags: &[&str]) -> Self {
        Self::prepared_as(DoorbusterRole::Worker, flags)
    }

    fn prepared_as(role: DoorbusterRole, flags: &[&str]) -> Self {
        let mut process = DoorbusterProcess::new(Path::new(env!("CARGO_BIN_EXE_doorbuster")), role, flags);
        PASSWORD.clone_into(&mut process.admin_password);
        Self {
            process,
            client: reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap(),
            admin: String::new(),
            product: String::new(),
        }
    }

    /// Signs in as the admin, and makes a product to be sold.
    pub async fn open_shop(&mut self) {
        let login = json!({"email": EMAIL, "password": PASSWORD});
        self.admin = text(&self.post("/api/v1/auth/login", &login, None).await, "accessToken");
        let product =
            json!({"name": "Lamp", "description": "A lamp.", "price": {"amount": 4999, "currency": "EUR"}});
        self.product = text(&self.post("/api/v1/admin/products", &product, Some(&self.admin)).await, "id");
    }

    pub async fn launch(&mut self) {
        self.spawn();
        self.wait_until_ready().await;
    }

    /// Starts the process with an empty log, and does not wait for it.
    pub fn spawn(&mut self) {
        let _none = std::fs::remove_file(&self.log);
        self.process.spawn();
    }

    /// Waits until it is ready.
    pub async fn wait_until_ready(&self) {
        let url = format!("{}/readyz", self.url);
        eventually(&url, HANG_LIMIT, async || {
            assert!(!self.has_ended(), "it ended: {}", self.log());
            self.client.get(&url).send().await.is_ok_and(|reply| reply.status().is_success())
        })
        .await;
    }

    /// SIGTERM, and waits until it has drained.
    pub async fn stop_gently(&mut self) {
        self.terminate();
        self.wait_for_clean_exit().await;
    }

    /// Waits until it ends, with exit code 0.
    pub async fn wait_for_clean_exit(&mut self) {
        let code = tokio::task::block_in_place(|| self.process.wait());
        assert_eq!(code, 0, "a drained instance ends with 0: {}", self.log());
    }

    /// A client of this instance.
    pub fn retrying_client(
        &self,
        permits: &Arc<Semaphore>,
        tally: &Arc<Mutex<RequestTally>>,
        no: usize,
        token: String,
    ) -> RetryingClient {
        let (client, urls) = (self.client.clone(), Arc::from([self.url.clone()]));
        RetryingClient {
            urls,
            client,
            permits: Arc::clone(permits),
            stats: Arc::clone(tally),
            number: no,
            token,
        }
    }

    /// Waits until so many units of a sale are sold.
    pub async fn wait_until_sold(&self, sale: &str, units: u64) {
        let path = format!("/api/v1/flash-sales/{sale}");
        eventually(&format!("{units} sold"), HANG_LIMIT, async || {
            self.get(&path, None).await["sold"].as_u64().unwrap() >= units
        })
        .await;
    }

    fn flag(&self, name: &str) -> Option<&str> {
        let at = self.flags.iter().position(|flag| flag == name)?;
        self.flags.get(at + 1).map(String::as_str)
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
        let mut wanted = json!({"quantity": quantity, "holdSeconds": hold_s, "admission": admission});
        if let Some(slug) = slug {
            wanted["slug"] = json!(slug);
        }
        self.create_sale(&wanted).await
    }

    /// The same with what is said here in place of what is usual.
    pub async fn create_sale(&self, wanted: &Value) -> String {
        text(&self.post("/api/v1/admin/flash-sales", &self.sale_body(wanted), Some(&self.admin)).await, "id")
    }

    /// The body of a request for such a sale.
    pub fn sale_body(&self, wanted: &Value) -> Value {
        let mut sale = json!({
            "productId": self.product,
            "price": {"amount": 1999, "currency": "EUR"},
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "2099-01-01T00:00:00Z",
        });
        for (name, value) in wanted.as_object().expect("fields of a sale") {
            sale[name] = value.clone();
        }
        sale
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Value {
        let text = self.send_until_answered(Method::GET, path, token, |request| request).await;
        serde_json::from_str(&text).unwrap()
    }

    /// Sends a request with one key for all tries, as clients do.
    pub async fn post(&self, path: &str, body: &Value, token: Option<&str>) -> Value {
        let key = uuid::Uuid::new_v4().to_string();
        let complete = |request: RequestBuilder| request.header("Idempotency-Key", &key).json(body);
        serde_json::from_str(&self.send_until_answered(Method::POST, path, token, complete).await).unwrap()
    }

    pub async fn delete(&self, path: &str, token: &str) {
        self.send_until_answered(Method::DELETE, path, Some(token), |request| request).await;
    }

    /// Sends a request until it succeeds, and returns the body. It is sent again after a 503, since a busy machine may not record or read in
    /// time, and while its first try is still under way.
    async fn send_until_answered(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        complete: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> String {
        let what = format!("{method} {}{path}", self.url);
        let (status, text) = eventually_some(&what, HANG_LIMIT, async || {
            let mut request = self.client.request(method.clone(), format!("{}{path}", self.url));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let reply = complete(request).send().await.unwrap();
            let status = reply.status();
            let text = reply.text().await.unwrap();
            let is_early =
                status == StatusCode::SERVICE_UNAVAILABLE || text.contains("\"request_in_flight\"");
            (!is_early).then_some((status, text))
        })
        .await;
        assert!(status.is_success(), "{what}: {status} {text}");
        text
    }

    /// Reads each confirmed order by its id and in its buyer's list.
    pub async fn assert_orders_belong_to_buyers(&self, confirmed: &[(String, String)]) {
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
        let (data, database) = (self.data(), self.flag("--database").map(ToOwned::to_owned));
        let (code, output) = tokio::task::spawn_blocking(move || {
            let database = database.as_deref().map(|database| ["--database", database]);
            verify_with(&data, database.as_ref().map_or(&[], |flags| &flags[..]))
        })
        .await
        .unwrap();
        assert_eq!(code, Some(0), "{output}");
        assert!(output.contains("every promise is kept") && !output.contains("NOT"), "{output}");
        output
    }
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
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}
