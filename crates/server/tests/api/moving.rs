//! `doorbuster move` with the real binary: a folder becomes a database that sells on, whatever the move was interrupted by.

use crate::environment::command;
use crate::merchant::{Merchant, id, order, pay};
use crate::support::{PASSWORD, TestApp};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection, Executor};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;
use test_servers::postgres::{self, PostgresServer};
use test_servers::redis::RedisServer;
use test_servers::wait::{HANG_LIMIT, eventually, eventually_blocking};

/// A stopped shop with a sale, buyers, paid and open orders, and a line.
struct StoppedShop {
    folder: TempDir,
    sale: String,
    refresh_token: String,
}

impl StoppedShop {
    async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = TestApp::on_folder(folder).await;
        let merchant = Merchant::sign_in(&app).await;
        let sale = merchant.sale(&json!({"quantity": 50, "admission": {"type": "open"}})).await;
        for number in 0..12 {
            let buyer = app.register(&format!("buyer{number}")).await;
            let made = order(&app, &buyer, &sale, 1).await.json();
            if number % 2 == 0 {
                assert_eq!(pay(&app, &buyer, &id(&made), "approve").await.status.as_u16(), 200);
            }
        }
        let login = json!({"email": "buyer3@example.com", "password": PASSWORD});
        let session = app.post("/api/v1/auth/login", &login).await.json();
        let refresh_token = session["refreshToken"].as_str().unwrap().to_owned();
        let folder = app.stop().await;
        Self { folder, sale, refresh_token }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start_move(&self, to: &str) -> Command {
        let mut command =
            command(self.folder.path(), &["move", "--from", "data"], &[("DOORBUSTER_MOVE_TO", to)]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run_move(&self, to: &str) -> (Option<i32>, String) {
        printed(&self.start_move(to).output().unwrap())
    }
}

fn printed(output: &Output) -> (Option<i32>, String) {
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}

/// What `verify` says of a place: its code, and its sales without what differs by place.
fn verify(folder: &Path, place: &[&str]) -> (Option<i32>, Value) {
    let arguments = [&["verify", "--json"], place].concat();
    let (code, text) = printed(&command(folder, &arguments, &[]).output().unwrap());
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    (code, report["sales"].clone())
}

fn assert_moved(shop: &StoppedShop, url: &str) {
    let data = shop.data();
    let (code, in_folder) = verify(shop.folder.path(), &["--data", data.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{in_folder}");
    let (code, in_database) = verify(shop.folder.path(), &["--database", url]);
    assert_eq!(code, Some(0), "{in_database}");
    assert_eq!(in_database, in_folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_shop_sells_on_and_its_sessions_go_on() {
    let shop = StoppedShop::make().await;
    let url = PostgresServer::shared().create_database();
    let (code, text) = shop.run_move(&url);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("ledger: 1 sales") && text.contains("users: 13 rows"), "{text}");
    assert!(text.contains("token key: moved") && !text.contains(postgres::PASSWORD), "{text}");
    assert_moved(&shop, &url);

    let (code, text) = shop.run_move(&url);
    assert_eq!(code, Some(2), "a database that has a shop is refused: {text}");
    assert!(text.contains("--to: the database is not empty"), "{text}");
    assert_moved(&shop, &url);

    let app = TestApp::start_with(&["--limits", "off", "--database", &url]).await;
    let refreshed =
        app.post("/api/v1/auth/refresh", &json!({"refreshToken": shop.refresh_token.as_str()})).await;
    assert_eq!(refreshed.status.as_u16(), 200, "{refreshed:?}");
    let buyer = app.register("latecomer").await;
    let made = order(&app, &buyer, &shop.sale, 1).await;
    assert_eq!(made.status.as_u16(), 201, "{made:?}");
    let sale = app.get(&format!("/api/v1/flash-sales/{}", shop.sale)).await.json();
    assert_eq!(sale["available"], json!(37), "{sale}");
    app.instance.stop().await;
    let (code, report) = verify(shop.folder.path(), &["--database", &url]);
    assert_eq!(code, Some(0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_shop_is_sold_from_by_instances_with_a_valkey() {
    let shop = StoppedShop::make().await;
    let (url, valkey) = (PostgresServer::shared().create_database(), RedisServer::start());
    let (code, text) = shop.run_move(&url);
    assert_eq!(code, Some(0), "{text}");
    let valkey_url = valkey.url();
    let one = TestApp::start_with(&["--limits", "off", "--database", &url, "--valkey", &valkey_url]).await;
    let two = one.second_instance().await;
    for (number, app) in [&one, &two, &one, &two].into_iter().enumerate() {
        let buyer = app.register(&format!("latecomer{number}")).await;
        let made = order(app, &buyer, &shop.sale, 1).await;
        assert_eq!(made.status.as_u16(), 201, "{made:?}");
        assert_eq!(pay(app, &buyer, &id(&made.json()), "approve").await.status.as_u16(), 200);
    }
    // The orders from before go on: six were paid for, six are open.
    let login = json!({"email": "buyer3@example.com", "password": PASSWORD});
    let session = two.post("/api/v1/auth/login", &login).await.json();
    let token = session["accessToken"].as_str().unwrap();
    let own = two.get_as(token, "/api/v1/orders").await.json();
    let open = own["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{own}")).to_owned();
    let method = json!({"method": "sandbox:approve"});
    let paid = two.post_as(token, &format!("/api/v1/orders/{open}/pay"), &method).await;
    assert_eq!(paid.status.as_u16(), 200, "{paid:?}");
    for app in [&one, &two] {
        eventually("both know the sale", HANG_LIMIT, async || {
            let sale = app.get(&format!("/api/v1/flash-sales/{}", shop.sale)).await.json();
            (&sale["sold"], &sale["held"], &sale["available"]) == (&json!(11), &json!(5), &json!(34))
        })
        .await;
    }
    one.instance.stop().await;
    two.instance.stop().await;
    let (code, report) = verify(shop.folder.path(), &["--database", &url]);
    assert_eq!(code, Some(0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_a_killed_instance_is_moved_with_its_last_commits() {
    let shop = StoppedShop::make().await;
    let flags = ["serve", "--data", "data", "--listen", "127.0.0.1:0", "--limits", "off"];
    let mut instance = command(shop.folder.path(), &flags, &[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut welcome = String::new();
    BufReader::new(instance.stdout.take().unwrap()).read_line(&mut welcome).unwrap();
    let address = welcome.split("http://").nth(1).unwrap().split(' ').next().unwrap();
    let account = json!({"email": "late@example.com", "username": "late", "password": PASSWORD});
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let api = format!("http://{address}/api/v1");
    let session = client.post(format!("{api}/auth/register")).json(&account).send().await.unwrap();
    let token = session.json::<Value>().await.unwrap()["accessToken"].as_str().unwrap().to_owned();
    let made = client
        .post(format!("{api}/orders"))
        .bearer_auth(token)
        .json(&json!({"flashSaleId": shop.sale, "quantity": 1}))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status().as_u16(), 201);
    instance.kill().unwrap();
    instance.wait().unwrap();

    let url = PostgresServer::shared().create_database();
    let (code, text) = shop.run_move(&url);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("users: 14 rows"), "{text}");
    assert_moved(&shop, &url);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_cannot_begin_changes_nothing() {
    let shop = StoppedShop::make().await;
    let server = PostgresServer::shared();
    let url = server.create_database();
    let (code, text) = printed(
        &command(shop.folder.path(), &["move", "--from", "elsewhere", "--to", &url], &[]).output().unwrap(),
    );
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--from: ") && !shop.folder.path().join("elsewhere").exists(), "{text}");

    for to in ["postgres://u:tulip@h:port/d", "mysql://u:tulip@h/d"] {
        let (code, text) = shop.run_move(to);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("--to: ") && !text.contains("tulip"), "{text}");
    }
    let (code, text) = shop.run_move("postgres://nobody@127.0.0.1:1/none");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--to: the database cannot be used"), "{text}");

    // A database in which an admin was made is not empty.
    let admin =
        ["admin", "create", "--email", "a@example.com", "--password", "correct horse", "--database", &url];
    assert!(command(shop.folder.path(), &admin, &[]).status().unwrap().success());
    let (code, text) = shop.run_move(&url);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("its table users has rows"), "{text}");
    assert_eq!(server.run_sql(&url, "SELECT email FROM users"), "a@example.com");
    assert_eq!(server.run_sql(&url, "SELECT count(*) FROM moves"), "0");

    let (folder, url) = (shop.folder, server.create_database());
    let app = TestApp::on_folder(folder).await;
    let data = app.data();
    let arguments = ["move", "--from", data.to_str().unwrap(), "--to", &url];
    let (code, text) = printed(&command(&data, &arguments, &[]).output().unwrap());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("in use by another doorbuster"), "{text}");
}

/// A connection that keeps others from writing tables.
struct TableLock(AnyConnection);

impl TableLock {
    async fn take(url: &str, table: &str) -> Self {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(url).await.unwrap();
        let lock = format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE");
        connection.execute(sqlx::AssertSqlSafe(lock)).await.unwrap();
        Self(connection)
    }

    async fn release(self) {
        self.0.close().await.unwrap();
    }
}

/// Waits until a process waits for a lock, or has given up.
fn wait_until_blocked(url: &str, child: &mut Child) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually_blocking("the move waits for a lock", HANG_LIMIT, || {
        PostgresServer::shared().run_sql(url, waiting) != "0" || child.try_wait().unwrap().is_some()
    });
}

/// Kills the process, and what it asked the server for and has not got.
fn kill(url: &str, mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually_blocking("nothing waits for a lock", HANG_LIMIT, || {
        PostgresServer::shared().run_sql(url, end) == "0"
    });
}

/// Nothing sells from the database, and nothing is written into it.
fn assert_refused_while_unfinished(shop: &StoppedShop, url: &str) {
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["verify"][..],
        &["followers", "list"][..],
        &["admin", "create", "--email", "a@example.com", "--password", "correct horse"][..],
    ] {
        let variables = [("DOORBUSTER_DATABASE", url)];
        let (code, text) = printed(&command(shop.folder.path(), arguments, &variables).output().unwrap());
        assert_eq!(code, Some(1), "{arguments:?}: {text}");
        assert!(text.contains("a move into this database has begun and is not complete"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_killed_at_any_step_does_no_harm_and_a_repeat_completes_it() {
    let shop = StoppedShop::make().await;
    let server = PostgresServer::shared();
    // In the order of the steps: the mark, the clearing, the ledger, the tables.
    for table in ["moves", "changes", "ledger_entries", "users", "orders", "secrets"] {
        let url = server.create_database();
        let migrate = ["migrate", "--database", &url];
        assert!(command(shop.folder.path(), &migrate, &[]).status().unwrap().success());
        let lock = TableLock::take(&url, table).await;
        let mut child = shop.start_move(&url).spawn().unwrap();
        wait_until_blocked(&url, &mut child);
        kill(&url, child);
        lock.release().await;
        let is_marked = server.run_sql(&url, "SELECT count(*) FROM moves") == "1";
        assert_eq!(is_marked, table != "moves", "{table}");
        if is_marked {
            assert_refused_while_unfinished(&shop, &url);
        }
        let (code, text) = shop.run_move(&url);
        assert_eq!(code, Some(0), "{table}: {text}");
        assert_moved(&shop, &url);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_killed_before_its_last_statement_starts_over() {
    let shop = StoppedShop::make().await;
    let server = PostgresServer::shared();
    let url = server.create_database();
    assert!(command(shop.folder.path(), &["migrate", "--database", &url], &[]).status().unwrap().success());
    let orders = TableLock::take(&url, "orders").await;
    let mut child = shop.start_move(&url).spawn().unwrap();
    wait_until_blocked(&url, &mut child);
    let mark = TableLock::take(&url, "moves").await;
    orders.release().await;
    eventually_blocking("everything is copied", HANG_LIMIT, || {
        server.run_sql(&url, "SELECT count(*) FROM secrets WHERE name = 'token-key'") == "1"
    });
    wait_until_blocked(&url, &mut child);
    kill(&url, child);
    mark.release().await;
    assert_refused_while_unfinished(&shop, &url);
    let (code, text) = shop.run_move(&url);
    assert_eq!(code, Some(0), "{text}");
    assert_moved(&shop, &url);
}
