//! Failures: the clock jumps, the client hangs up, the process is restarted, the disk is full, a second process is started on the
//! same folder, and secrets must not be in the log.

use crate::merchant::{Merchant, id, join_line, order, order_with_key, pay, position, wait_until_admitted};
use crate::support::{ADMIN_EMAIL, HttpReply, PASSWORD, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use std::process::{Child, Command, Output, Stdio};
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};
use tokio::io::AsyncWriteExt;

const HOUR_MS: i64 = 3_600_000;

async fn own(app: &TestApp, buyer: &SignedInUser, order: &str) -> Value {
    app.get_as(&buyer.access, &format!("/api/v1/orders/{order}")).await.json()
}

fn fifo(merchant: &Merchant<'_>, quantity: u32) -> Value {
    json!({
        "quantity": quantity,
        "startsAt": merchant.moment(-3 * HOUR_MS),
        "holdSeconds": 3_600,
        "admission": {"type": "fifo", "perSecond": 100, "checkoutSeconds": 3_600},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_an_hour_takes_nothing_from_anyone() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (ada, bob, cyd) = (app.register("ada").await, app.register("bob").await, app.register("cyd").await);
    let (sale, line) = (
        merchant.sale(&json!({"startsAt": merchant.moment(-3 * HOUR_MS), "limitPerBuyer": 2})).await,
        merchant.sale(&fifo(&merchant, 1)).await,
    );
    let held = order(&app, &ada, &sale, 1).await.json();
    join_line(&app, &ada, &line).await;
    wait_until_admitted(&app, &ada, &line).await;
    let waiting = join_line(&app, &bob, &line).await.json();

    app.shift_clock(-HOUR_MS);
    assert_eq!(own(&app, &ada, &id(&held)).await, held, "the hold is what it was");
    let still = position(&app, &bob, &line).await;
    assert_eq!((&still["ticket"], &still["position"]), (&waiting["ticket"], &json!(1)));
    assert_eq!(join_line(&app, &cyd, &line).await.json()["ticket"], 3);
    assert_eq!(order(&app, &bob, &line, 1).await.problem(), "not_admitted");
    let more = order(&app, &ada, &sale, 1).await.json();
    assert!(
        more["createdAt"].as_str() >= held["createdAt"].as_str(),
        "the ledger's time does not run back: {more}"
    );
    assert_eq!(pay(&app, &ada, &id(&held), "approve").await.status, StatusCode::OK);
    assert_eq!(order(&app, &ada, &line, 1).await.status, StatusCode::CREATED, "and the admitted may buy");
    let events = merchant.get(&format!("/flash-sales/{sale}/events")).await;
    let times: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");

    // A restart with the clock still behind the ledger works, too.
    let app = app.restart().await;
    assert_eq!(own(&app, &ada, &id(&held)).await["status"], "confirmed");
    assert_eq!(position(&app, &cyd, &line).await["position"], 2);
    app.shift_clock(HOUR_MS);
    assert_eq!(own(&app, &ada, &id(&more)).await["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_a_sale_changes_no_hold_no_place_no_token_and_no_key() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (ada, bob, cyd) = (app.register("ada").await, app.register("bob").await, app.register("cyd").await);
    let (sale, other) = (merchant.sale(&json!({})).await, merchant.sale(&json!({})).await);
    let line = merchant.sale(&fifo(&merchant, 1)).await;
    let held = order_with_key(&app, &ada, &sale, 1, "k").await.json();
    join_line(&app, &ada, &line).await;
    wait_until_admitted(&app, &ada, &line).await;
    join_line(&app, &bob, &line).await;
    join_line(&app, &cyd, &line).await;
    let places = async |app: &TestApp| {
        let mut places = Vec::new();
        for buyer in [&ada, &bob, &cyd] {
            places.push(position(app, buyer, &line).await);
        }
        places
    };
    let before = places(&app).await;

    let app = app.restart().await;
    assert_eq!(places(&app).await, before);
    assert_eq!(own(&app, &ada, &id(&held)).await, held);
    assert_eq!(app.get_as(&ada.access, "/api/v1/orders").await.json()["items"], json!([held]));
    assert_eq!(order_with_key(&app, &ada, &other, 1, "k").await.problem(), "key_reused");
    assert_eq!(order_with_key(&app, &ada, &sale, 2, "k").await.problem(), "key_reused");
    let again = order_with_key(&app, &ada, &sale, 1, "k").await;
    assert_eq!((again.status, again.json()), (StatusCode::CREATED, held.clone()));
    assert_eq!(pay(&app, &ada, &id(&held), "approve").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_after_ordering_finds_its_order() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 9})).await;
    let body = json!({"flashSaleId": sale}).to_string();
    for n in 0..6 {
        let mut stream = tokio::net::TcpStream::connect(app.instance.address).await.unwrap();
        let head = format!(
            "POST /api/v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: hung-{n}\r\ncontent-type: application/json\r\n",
            ada.access
        );
        stream
            .write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
            .await
            .unwrap();
        if n % 2 == 0 {
            // A reset instead of a polite end.
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
    }
    let orders =
        async || app.get_as(&ada.access, "/api/v1/orders").await.json()["items"].as_array().unwrap().len();
    // A reset may overtake the request: then the server has not read it. A request that it has read is carried out.
    eventually("the orders are made", HANG_LIMIT, async || orders().await >= 3).await;
    for n in 0..6 {
        let key = format!("hung-{n}");
        let asked_again = eventually_some("the first try is over", HANG_LIMIT, async || {
            let reply = order_with_key(&app, &ada, &sale, 1, &key).await;
            let is_early = reply.status == StatusCode::CONFLICT && reply.problem() == "request_in_flight";
            (!is_early).then_some(reply)
        })
        .await;
        assert_eq!(asked_again.status, StatusCode::CREATED, "{asked_again:?}");
    }
    assert_eq!(orders().await, 6, "each once, whether the first try was heard or not");
}

/// A real `doorbuster serve` in a folder of its own. Its log goes into that folder too.
struct SpawnedServer {
    child: Child,
    folder: tempfile::TempDir,
    url: String,
    http: reqwest::Client,
}

impl Drop for SpawnedServer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl SpawnedServer {
    async fn start(log_format: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        // The signal that comes with a limit on file sizes would kill the process; an ignored one stays ignored.
        let child = Command::new("sh")
            .args([
                "-c",
                "trap '' XFSZ; exec \"$0\" \"$@\"",
                env!("CARGO_BIN_EXE_doorbuster"),
                "serve",
                "--data",
            ])
            .arg(folder.path().join("data"))
            .args([
                "--listen=127.0.0.1:0",
                "--metrics-listen=127.0.0.1:0",
                "--limits=off",
                "--password-threads=1",
            ])
            .args(["--drain-grace=1ms", "--log-format", log_format])
            .env("DOORBUSTER_LOG", "trace,hyper=debug,mio=info")
            .env("DOORBUSTER_ADMIN_EMAIL", ADMIN_EMAIL)
            .env("DOORBUSTER_ADMIN_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(folder.path().join("stdout")).unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut process = Self { child, folder, url: String::new(), http: reqwest::Client::new() };
        process.url = process.wait_for_address().await;
        process
    }

    async fn wait_for_address(&mut self) -> String {
        eventually_some("the server listens", HANG_LIMIT, async || {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.read("log"));
            let output = self.read("stdout");
            let (url, _) = output.split_once("listens on ")?.1.split_once(' ')?;
            Some(url.to_owned())
        })
        .await
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        key: &str,
        body: Option<&Value>,
    ) -> HttpReply {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        HttpReply::send(request).await
    }

    async fn post(&self, path: &str, token: &str, key: &str, body: &Value) -> HttpReply {
        self.call(Method::POST, path, token, key, Some(body)).await
    }

    async fn get(&self, path: &str, token: &str) -> HttpReply {
        self.call(Method::GET, path, token, "", None).await
    }

    async fn register(&self, username: &str) -> SignedInUser {
        let body =
            json!({"email": format!("{username}@example.com"), "username": username, "password": PASSWORD});
        SignedInUser::from_body(&self.post("/api/v1/auth/register", "", "", &body).await.json())
    }

    /// The admin's tokens, and a sale that runs.
    async fn merchant(&self, quantity: u32) -> (SignedInUser, String) {
        let login = json!({"email": ADMIN_EMAIL, "password": PASSWORD});
        let admin = SignedInUser::from_body(&self.post("/api/v1/auth/login", "", "", &login).await.json());
        let price = json!({"amount": 4999, "currency": "EUR"});
        let product = json!({"name": "Lamp", "price": price});
        let product = self.post("/api/v1/admin/products", &admin.access, "", &product).await.json();
        let sale = json!({
            "productId": product["id"], "price": price, "quantity": quantity,
            "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z",
        });
        let sale = self.post("/api/v1/admin/flash-sales", &admin.access, "", &sale).await;
        assert_eq!(sale.status, StatusCode::CREATED, "{sale:?}");
        (admin, id(&sale.json()))
    }

    /// No file may grow beyond so many bytes; the log lies on the same disk, as it often does.
    fn limit_files(&self, bytes: Option<u64>) {
        let pid = Pid::from_child(&self.child);
        prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_buyers_honestly_and_is_forgotten_when_there_is_room() {
    let shop = SpawnedServer::start("pretty").await;
    let (admin, sale) = shop.merchant(100).await;
    let (ada, bob) = (shop.register("ada").await, shop.register("bob").await);
    let body = json!({"flashSaleId": sale});
    let first = shop.post("/api/v1/orders", &ada.access, "", &body).await.json();
    // The tables know of it before the disk is full: what they have can be listed without the engine.
    let overview = format!("/api/v1/admin/flash-sales/{sale}/overview");
    let has_followed = async || shop.get(&overview, &admin.access).await.json()["projectionLag"] == 0;
    eventually("the tables follow", HANG_LIMIT, has_followed).await;

    shop.limit_files(Some(4_096));
    for key in ["k", ""] {
        let reply = shop.post("/api/v1/orders", &bob.access, key, &body).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (503, "not_recorded"), "{reply:?}");
        assert!(!reply.header("retry-after").is_empty());
    }
    let ready = shop.get("/readyz", "").await;
    assert_eq!((ready.status.as_u16(), ready.problem().as_str()), (503, "unavailable"));
    assert_eq!(shop.get("/livez", "").await.status, StatusCode::OK);
    let health = shop.get("/health", "").await;
    assert_eq!((health.status.as_u16(), &health.json()["ok"]), (503, &json!(false)));
    // Sales are shown on, with only what is recorded; what is a buyer's own is not guessed.
    let now = shop.get(&format!("/api/v1/flash-sales/{sale}"), "").await.json();
    assert_eq!((&now["held"], &now["available"]), (&json!(1), &json!(99)));
    let reply = shop.get(&format!("/api/v1/orders/{}", id(&first)), &ada.access).await;
    assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (503, "unavailable"), "{reply:?}");
    assert!(!reply.header("retry-after").is_empty());
    let own = shop.get("/api/v1/orders", &ada.access).await.json();
    let own: Vec<_> =
        own["items"].as_array().unwrap().iter().map(|order| (&order["id"], &order["status"])).collect();
    assert_eq!(own, [(&first["id"], &json!("pending"))], "what is recorded is listed");
    let unwritten = json!({"email": "cyd@example.com", "username": "cyd", "password": PASSWORD});
    let pay_path = format!("/api/v1/orders/{}/pay", id(&first));
    let pay = json!({"method": "sandbox:approve"});
    let product = json!({"name": "Lamp", "price": {"amount": 1, "currency": "EUR"}});
    for (path, token, body) in [
        ("/api/v1/auth/register", "", &unwritten),
        (&pay_path, ada.access.as_str(), &pay),
        ("/api/v1/admin/products", admin.access.as_str(), &product),
    ] {
        let reply = shop.post(path, token, "", body).await;
        assert_eq!(reply.status.as_u16(), 503, "{path} {reply:?}");
        assert!(!reply.header("retry-after").is_empty(), "{path}");
        reply.problem();
    }
    let health = shop.get("/health", "").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    let components = health.json()["components"].clone();
    let database = components.as_array().unwrap().iter().find(|one| one["name"] == "shop database").unwrap();
    assert_eq!(database["ok"], false, "the last write to the tables failed: {components}");

    shop.limit_files(None);
    let is_ready = async || shop.get("/readyz", "").await.status == StatusCode::OK;
    eventually("service resumes by itself", HANG_LIMIT, is_ready).await;
    let made = shop.post("/api/v1/orders", &bob.access, "k", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "the key that was not recorded is free: {made:?}");
    assert_eq!(shop.post(&pay_path, &ada.access, "", &pay).await.json()["status"], "confirmed");
    shop.register("cyd").await;
    let is_healthy = async || shop.get("/health", "").await.status == StatusCode::OK;
    eventually("the health is back", HANG_LIMIT, is_healthy).await;
    let now = shop.get(&format!("/api/v1/flash-sales/{sale}"), "").await.json();
    assert_eq!((&now["sold"], &now["held"], &now["available"]), (&json!(1), &json!(1), &json!(98)));
    let path = format!("/api/v1/admin/flash-sales/{sale}/orders");
    eventually("the tables follow", HANG_LIMIT, async || {
        shop.get(&path, &admin.access).await.json()["items"].as_array().unwrap().len() == 2
    })
    .await;

    let second = serve_on(&shop).await;
    assert_eq!(second.status.code(), Some(2));
    let response = String::from_utf8(second.stderr).unwrap();
    assert!(response.contains("--data"), "the error names the folder's flag: {response}");
    assert_eq!(shop.get("/readyz", "").await.status, StatusCode::OK, "and does the first no harm");
}

/// A second `serve` on the same folder.
async fn serve_on(shop: &SpawnedServer) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    command.args(["serve", "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--data"]);
    command.arg(shop.folder.path().join("data")).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_tells_an_address_a_password_a_token_or_a_key() {
    for format in ["pretty", "json"] {
        let shop = SpawnedServer::start(format).await;
        let (admin, sale) = shop.merchant(2).await;
        let (ada, bob) = (shop.register("ada").await, shop.register("bob").await);
        let body = json!({"flashSaleId": sale});
        let key = "idempotency-of-ada";
        let made = shop.post("/api/v1/orders", &ada.access, key, &body).await.json();
        let pay = format!("/api/v1/orders/{}/pay", id(&made));
        shop.post(&pay, &bob.access, key, &json!({"method": "sandbox:approve"})).await;
        shop.post(&pay, &ada.access, key, &json!({"method": "sandbox:lost"})).await;
        shop.post(&pay, &ada.access, key, &json!({"method": "sandbox:lost"})).await;
        let other = shop.post("/api/v1/orders", &bob.access, key, &body).await.json();
        let decline = format!("/api/v1/orders/{}/pay", id(&other));
        shop.post(&decline, &bob.access, key, &json!({"method": "sandbox:decline"})).await;
        shop.post(
            &format!("/api/v1/admin/orders/{}/refund", id(&made)),
            &admin.access,
            key,
            &json!({"restock": true}),
        )
        .await;
        shop.get("/api/v1/admin/orders?buyer=ada@example.com", &admin.access).await;
        shop.get(&format!("/api/v1/auth/me?access_token={}", ada.access), "forged.token.here").await;
        shop.post(
            "/api/v1/auth/login",
            "",
            "",
            &json!({"email": "ada@example.com", "password": "a wrong password"}),
        )
        .await;
        shop.post("/api/v1/auth/login", "", "", &json!({"email": "ada@example.com", "password": 7})).await;
        let refresh = json!({"refreshToken": ada.refresh});
        let fresh =
            SignedInUser::from_body(&shop.post("/api/v1/auth/refresh", "", "", &refresh).await.json());
        shop.post("/api/v1/auth/refresh", "", "", &refresh).await;
        shop.post("/api/v1/auth/logout", &bob.access, "", &json!({})).await;
        let page = shop.get(&format!("/api/v1/admin/flash-sales/{sale}/attempts"), &admin.access).await;
        assert_eq!(page.status, StatusCode::OK);

        let reply = shop.read("log") + &shop.read("stdout");
        assert!(reply.contains("/api/v1/auth/refresh"), "it was all logged: {reply:.500}");
        if format == "json" {
            for line in shop.read("log").lines() {
                serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            }
        }
        let signature = |tokens: &SignedInUser| tokens.access.rsplit('.').next().unwrap().to_owned();
        let key_file = std::fs::read_to_string(shop.folder.path().join("data/token-key.pem")).unwrap();
        let secrets = [
            "@example.com".to_owned(),
            PASSWORD.to_owned(),
            "a wrong password".to_owned(),
            key.to_owned(),
            "forged.token".to_owned(),
            "$argon2".to_owned(),
            "Bearer".to_owned(),
            signature(&ada),
            signature(&bob),
            signature(&admin),
            signature(&fresh),
            ada.refresh.clone(),
            bob.refresh.clone(),
            fresh.refresh,
            key_file.lines().nth(1).unwrap().to_owned(),
        ];
        for secret in secrets {
            let line = reply.lines().find(|line| line.contains(&secret));
            assert!(line.is_none(), "{format}: {secret} in {line:?}");
        }
    }
}
