//! A whole shop in this process, on a port of its own, in a folder of its own, with a clock that can be turned. Tests speak real
//! HTTP to it. With `DOORBUSTER_TESTS_ON=postgres` each shop has a database of its own instead.

use crate::described::assert_described;
use engine::clock::{Clock, SystemClock};
use futures::future::BoxFuture;
use reqwest::{Method, RequestBuilder, StatusCode};
use sale::time::Timestamp;
use serde_json::{Value, json};
use server::commands::instance::ServerInstance;
use server::commands::settings::Serve;
use server::shop::follower_progress::CatchUpTimeouts;
use sqlx::AnyPool;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use test_servers::postgres::PostgresServer;
use test_servers::wait::{HANG_LIMIT, eventually_some};
use tokio::runtime::Handle;

pub const PASSWORD: &str = "correct horse battery";
pub const ADMIN_EMAIL: &str = "boss@example.com";

/// A busy machine may write the tables so late. Where nothing writes them, a read takes so long.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(20);

/// The machine's clock, turned by a test. Those who sleep look again often enough to notice that it was turned.
struct ShiftedClock {
    system: Arc<SystemClock>,
    turned: Arc<AtomicI64>,
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        self.system.now().plus_ms(self.turned.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let (system, turned) = (Arc::clone(&self.system), Arc::clone(&self.turned));
        Box::pin(async move {
            while system.now().plus_ms(turned.load(Ordering::SeqCst)) < at {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    }
}

/// Whether shops have a database each, instead of their folders alone.
pub fn tests_on_postgres() -> bool {
    std::env::var("DOORBUSTER_TESTS_ON").is_ok_and(|place| place == "postgres")
}

/// A shop that runs. Dropping it leaves its tasks to the test's runtime, which ends with the test.
pub struct TestApp {
    pub instance: ServerInstance,
    pub http: reqwest::Client,
    clock: Arc<AtomicI64>,
    folder: Arc<TempDir>,
    flags: Vec<String>,
}

impl TestApp {
    /// A new shop without limits.
    pub async fn start() -> Self {
        Self::start_with(&["--limits", "off"]).await
    }

    /// A new shop without limits on a database of its own.
    pub async fn on_postgres() -> Self {
        Self::start_with(&["--limits", "off", "--database", &PostgresServer::shared().create_database()])
            .await
    }

    /// Two new shops without limits on one new database, started at the same time.
    pub async fn two_on_postgres() -> (Self, Self) {
        let flags =
            ["--limits", "off", "--database", &PostgresServer::shared().create_database()].map(str::to_owned);
        let clock = Arc::<AtomicI64>::default();
        let start = || {
            let (runtime, flags, clock) = (Handle::current(), flags.to_vec(), Arc::clone(&clock));
            let folder = Arc::new(tempfile::tempdir().unwrap());
            tokio::task::spawn_blocking(move || runtime.block_on(Self::open(folder, flags, clock)))
        };
        let (one, two) = tokio::join!(start(), start());
        (one.unwrap(), two.unwrap())
    }

    /// The same with this token key in its data folder, if there is such a file.
    pub async fn on_postgres_with_key(key: &Path) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.path().join("data")).unwrap();
        if key.exists() {
            std::fs::copy(key, folder.path().join("data/token-key.pem")).unwrap();
        }
        let flags = ["--limits", "off", "--database", &PostgresServer::shared().create_database()];
        Self::open(folder, flags.map(str::to_owned).to_vec(), Arc::default()).await
    }

    /// A new shop with these flags of `serve`.
    pub async fn start_with(flags: &[&str]) -> Self {
        Self::start_with_settings(flags, |_| {}).await
    }

    /// A new shop with these flags of `serve`, and settings that no flag can change.
    pub async fn start_with_settings(flags: &[&str], change: impl FnOnce(&mut Serve)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), flags, change).await
    }

    /// The same on a folder that may have something in `data` already.
    pub async fn start_in(folder: TempDir, flags: &[&str], change: impl FnOnce(&mut Serve)) -> Self {
        let mut flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let has_database = flags.iter().any(|flag| flag == "--database");
        if !has_database && tests_on_postgres() {
            flags.extend(["--database".to_owned(), PostgresServer::shared().create_database()]);
        }
        Self::open_with(Arc::new(folder), flags, Arc::default(), change).await
    }

    /// A shop without limits on a folder that has something in `data` already.
    pub async fn on_folder(folder: TempDir) -> Self {
        Self::open(Arc::new(folder), ["--limits", "off"].map(str::to_owned).to_vec(), Arc::default()).await
    }

    /// Another process on the same database, with a data folder of its own. Where one instance decides, it does from now on.
    pub async fn second_instance(&self) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::open(folder, self.flags.clone(), Arc::clone(&self.clock)).await
    }

    async fn open(folder: Arc<TempDir>, flags: Vec<String>, clock: Arc<AtomicI64>) -> Self {
        Self::open_with(folder, flags, clock, |_| {}).await
    }

    async fn open_with(
        folder: Arc<TempDir>,
        flags: Vec<String>,
        clock: Arc<AtomicI64>,
        change: impl FnOnce(&mut Serve),
    ) -> Self {
        let data = folder.path().join("data");
        let data = data.to_str().unwrap();
        let fixed = [
            "--listen=127.0.0.1:0",
            "--metrics-listen=127.0.0.1:0",
            "--password-threads=1",
            "--drain-grace=1ms",
            "--data",
            data,
            "--admin-email",
            ADMIN_EMAIL,
            "--admin-password",
            PASSWORD,
        ];
        let all = fixed.into_iter().chain(flags.iter().map(String::as_str));
        let mut settings = Serve::from_flags(all).unwrap();
        settings.catch_up_timeouts = CatchUpTimeouts { place: CATCH_UP_LIMIT, admin: CATCH_UP_LIMIT };
        change(&mut settings);
        let turned = Arc::clone(&clock);
        let clock_of = move |not_before, _| {
            Arc::new(ShiftedClock { system: SystemClock::start(not_before), turned }) as _
        };
        let instance = ServerInstance::start(settings, Arc::new(|| 0), clock_of).await.unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self { instance, http, clock, folder, flags }
    }

    /// Stops the shop and starts it again on the same folder.
    pub async fn restart(self) -> Self {
        let Self { instance, http: _, clock, folder, flags } = self;
        instance.stop().await;
        Self::open(folder, flags, clock).await
    }

    /// Stops the shop and returns its folder, which has something in `data`.
    pub async fn stop(self) -> TempDir {
        self.instance.stop().await;
        Arc::into_inner(self.folder).unwrap()
    }

    /// Stops the shop and starts it again on the same folder, with further flags.
    pub async fn restart_with(self, flags: &[&str]) -> Self {
        let more = flags.iter().map(|&flag| flag.to_owned());
        Self { flags: self.flags.iter().cloned().chain(more).collect(), ..self }.restart().await
    }

    /// Turns the shop's clock by so many milliseconds.
    pub fn shift_clock(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    /// The shop's data folder.
    pub fn data(&self) -> PathBuf {
        Path::new(self.folder.path()).join("data")
    }

    /// The shop's tables, for what no request can do.
    pub async fn database(&self) -> AnyPool {
        AnyPool::connect(&self.database_url()).await.unwrap()
    }

    /// The address of the shop's tables.
    pub fn database_url(&self) -> String {
        let at = self.flags.iter().position(|flag| flag == "--database");
        match at {
            Some(at) => self.flags[at + 1].clone(),
            None => format!("sqlite://{}", self.data().join("shop.db").display()),
        }
    }

    /// A request to the shop.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.instance.address))
    }

    pub async fn get(&self, path: &str) -> HttpReply {
        self.read(path, |request| request).await
    }

    pub async fn get_as(&self, token: &str, path: &str) -> HttpReply {
        self.read(path, |request| request.bearer_auth(token)).await
    }

    /// Sends a request that changes nothing.
    async fn read(&self, path: &str, complete: impl Fn(RequestBuilder) -> RequestBuilder) -> HttpReply {
        let send = async || HttpReply::send(complete(self.request(Method::GET, path))).await;
        if path.starts_with("/api/") { send_until_available(path, send).await } else { send().await }
    }

    pub async fn post(&self, path: &str, body: &Value) -> HttpReply {
        HttpReply::send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn post_as(&self, token: &str, path: &str, body: &Value) -> HttpReply {
        HttpReply::send(self.request(Method::POST, path).bearer_auth(token).json(body)).await
    }

    pub async fn read_metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.instance.metrics_address);
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Waits until the metrics have all of these lines, of which each is whole or a name with labels: something is counted a moment after it
    /// can be seen.
    pub async fn wait_for_metrics(&self, lines: &[&str]) {
        let mut metrics = String::new();
        let has_line = |metrics: &str, wanted: &str| {
            metrics.lines().any(|line| {
                line.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            })
        };
        let waiting = async {
            loop {
                metrics = self.read_metrics().await;
                if lines.iter().all(|line| has_line(&metrics, line)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(HANG_LIMIT, waiting).await.is_err() {
            panic!("not all of {lines:#?} are among\n{metrics}");
        }
    }

    /// The items of a list, page by page. `path` has a query.
    pub async fn read_pages(&self, token: &str, path: &str) -> Vec<Vec<Value>> {
        let (mut pages, mut next) = (Vec::new(), String::new());
        loop {
            let page = self.get_as(token, &format!("{path}{next}")).await.json();
            pages.push(page["items"].as_array().unwrap().clone());
            match page["nextCursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return pages,
            }
        }
    }

    /// Registers a buyer with this username; their address is `username@example.com`.
    pub async fn register(&self, username: &str) -> SignedInUser {
        let body =
            json!({"email": format!("{username}@example.com"), "username": username, "password": PASSWORD});
        let send = async || self.post("/api/v1/auth/register", &body).await;
        let reply = send_until_available("a registration", send).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        SignedInUser::from_body(&reply.json())
    }

    /// Signs the admin in.
    pub async fn admin(&self) -> SignedInUser {
        let body = json!({"email": ADMIN_EMAIL, "password": PASSWORD});
        let send = async || self.post("/api/v1/auth/login", &body).await;
        let reply = send_until_available("a sign-in", send).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        SignedInUser::from_body(&reply.json())
    }
}

/// Sends a request that may be sent twice until the reply is another one than `unavailable`: the database of a busy machine may need
/// longer than a request waits.
pub async fn send_until_available(what: &str, send: impl AsyncFn() -> HttpReply) -> HttpReply {
    eventually_some(what, HANG_LIMIT, async || {
        let reply = send().await;
        let is_unavailable =
            reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.problem() == "unavailable";
        (!is_unavailable).then_some(reply)
    })
    .await
}

/// What a sign-in gave.
#[derive(Debug, Clone)]
pub struct SignedInUser {
    pub id: String,
    pub access: String,
    pub refresh: String,
}

impl SignedInUser {
    pub fn from_body(body: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            id: text(&body["user"]["id"]),
            access: text(&body["accessToken"]),
            refresh: text(&body["refreshToken"]),
        }
    }
}

/// A reply that was read to its end.
#[derive(Debug)]
pub struct HttpReply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl HttpReply {
    /// Sends a request, and compares its reply with the OpenAPI description.
    pub async fn send(request: RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let reply = Self { status, headers, body: response.bytes().await.unwrap().to_vec() };
        let content_type = reply.headers.get("content-type").map(|value| value.to_str().unwrap());
        assert_described(&method, &path, status.as_u16(), content_type, &reply.decoded_body());
        reply
    }

    /// The body without the coding that the request accepted.
    pub fn decoded_body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let packed = self.body.as_slice();
        match self.headers.get("content-encoding").map(|coding| coding.to_str().unwrap()) {
            Some("br") => brotli::Decompressor::new(packed, 4096).read_to_end(&mut body).unwrap(),
            Some("gzip") => flate2::read::GzDecoder::new(packed).read_to_end(&mut body).unwrap(),
            _ => return self.body.clone(),
        };
        body
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    /// The code of a problem document, after checking that it is a whole one that agrees with the reply.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let body = self.json();
        let code = body["code"].as_str().unwrap().to_owned();
        assert_eq!(body["status"], self.status.as_u16(), "{body}");
        assert_eq!(body["type"], format!("/problems/{code}"), "{body}");
        for member in ["title", "detail", "instance"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {body}");
        }
        code
    }
}
