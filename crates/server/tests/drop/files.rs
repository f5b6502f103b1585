//! The files of the data as a whole: a ledger that is older than the tables beside it, files that are removed while an instance runs, and
//! what a clean stop leaves.

use crate::damage::{FolderChange, copy_after, running_shop, serve};
use crate::real::instance::{ServerProcess, text, verify, verify_with};
use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use test_servers::postgres::PostgresServer;
use test_servers::wait::{HANG_LIMIT, eventually};

/// Does something to the files of a data folder.
type LedgerChange<'a> = Box<dyn Fn(&Path) + 'a>;

/// Buys and pays one unit with a new account: the order.
async fn buy_one(instance: &ServerProcess, sale: &str) -> String {
    let name = format!("late-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let account =
        json!({"email": format!("{name}@example.com"), "username": name, "password": "of this late buyer"});
    let token = text(&instance.post("/api/v1/auth/register", &account, None).await, "accessToken");
    let order = json!({"flashSaleId": sale, "quantity": 1});
    let order = text(&instance.post("/api/v1/orders", &order, Some(&token)).await, "id");
    let path = format!("/api/v1/orders/{order}/pay");
    instance.post(&path, &json!({"method": "sandbox:approve"}), Some(&token)).await;
    let bought = instance.get(&format!("/api/v1/orders/{order}"), Some(&token)).await;
    assert_eq!(bought["status"], "confirmed", "{bought}");
    order
}

async fn wait_for_tables(instance: &ServerProcess) {
    eventually("the tables are complete", HANG_LIMIT, async || {
        let report = instance.verify().await;
        report.contains("tables: complete") && !report.contains("behind")
    })
    .await;
}

/// Replaces the ledger in a folder, its log included.
fn replace_ledger(data: &Path, from: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("ledger.db{suffix}");
        let _none = fs::remove_file(data.join(&name));
        if from.join(&name).exists() {
            fs::copy(from.join(&name), data.join(&name)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_older_than_its_tables_is_refused_unless_it_is_accepted() {
    let (mut instance, sale, _) = running_shop().await;
    instance.stop_gently().await;
    let older = copy_after(&instance.data(), |_| {});
    instance.launch().await;
    let order = buy_one(&instance, &sale).await;
    let second = instance.sale(4, 0, &json!({"type": "open"})).await;
    wait_for_tables(&instance).await;
    instance.stop_gently().await;

    let cut = "DELETE FROM entries WHERE key = (SELECT max(key) FROM entries WHERE key < 2 << 40)";
    let cases: [(&str, LedgerChange<'_>); 2] = [
        ("2 sales", Box::new(|data| replace_ledger(data, older.path()))),
        ("1 event of 1 sale", {
            Box::new(|data| {
                let ledger = Connection::open(data.join("ledger.db")).unwrap();
                assert_eq!(ledger.execute(cut, []).unwrap(), 1);
            })
        }),
    ];
    for (lead, make_older) in cases {
        let copy = copy_after(&instance.data(), make_older);
        let before = fs::read(copy.path().join("ledger.db")).unwrap();
        let (code, sentence) = serve(copy.path(), &[]);
        assert_eq!(code, Some(1), "{sentence}");
        for part in [lead, &sale, "--accept-older-ledger", "put the newer ledger.db with its -wal back"] {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
        assert_eq!(sentence.contains(&second), lead == "2 sales", "{sentence}");
        assert_eq!(fs::read(copy.path().join("ledger.db")).unwrap(), before, "the ledger is as it was");
        let tables = Connection::open(copy.path().join("shop.db")).unwrap();
        let orders: i64 = tables.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap();
        assert_eq!(orders, 3, "no order was rewritten");
    }

    let restored = copy_after(&instance.data(), |data| replace_ledger(data, older.path()));
    let assert_reported = |report: &str| {
        assert!(report.contains("payments without an order: 1 captured payment, "), "{report}");
        assert!(report.contains(&format!("of order {order}, sale {sale}")), "{report}");
        assert!(report.contains("NOT every promise is kept"), "{report}");
    };
    let (code, report) = verify(restored.path());
    assert_eq!(code, Some(1), "{report}");
    assert!(report.contains("ahead"), "{report}");
    assert_reported(&report);

    let mut accepted = ServerProcess::prepared(&["--accept-older-ledger"]);
    accepted.data = restored.path().to_owned();
    accepted.launch().await;
    eventually("the tables are written from the older ledger", HANG_LIMIT, async || {
        let (code, report) = verify(restored.path());
        assert_eq!(code, Some(1), "the payment stays a finding: {report}");
        report.contains("tables: complete") && !report.contains("ahead")
    })
    .await;
    accepted.stop_gently().await;
    assert_reported(&verify(restored.path()).1);
    let (_, document) = verify_with(restored.path(), &["--json"]);
    let document: Value = serde_json::from_str(&document).unwrap();
    let orphans = &document["orphanPayments"];
    assert_eq!((&orphans["count"], &orphans["first"][0]["order"]), (&json!(1), &json!(order)), "{document}");
    assert_eq!(document["verdict"], "broken");
    // The flag was for one start.
    accepted.flags.clear();
    accepted.launch().await;
    accepted.stop_gently().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_ledger_in_a_database_is_refused_unless_it_is_accepted() {
    let url = PostgresServer::shared().create_database();
    let mut instance = ServerProcess::on(&url).await;
    let sale = instance.sale(5, 600, &json!({"type": "open"})).await;
    let order = buy_one(&instance, &sale).await;
    wait_for_tables(&instance).await;
    instance.stop_gently().await;
    PostgresServer::shared().run_sql(&url, "DELETE FROM ledger_entries WHERE key > (1::BIGINT << 40) + 1");
    let folder = tempfile::tempdir().unwrap();
    let alone = ["--database", url.as_str()];
    // Alone, and in a cluster: it is refused before the Valkey is asked.
    let cluster = ["--database", url.as_str(), "--valkey", "redis://127.0.0.1:1"];
    for flags in [&alone[..], &cluster[..]] {
        let (code, sentence) = serve(folder.path(), flags);
        assert_eq!(code, Some(1), "{sentence}");
        for part in [&sale, "--accept-older-ledger", "put the newer rows of ledger_entries"] {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
    }
    instance.flags.push("--accept-older-ledger".to_owned());
    instance.launch().await;
    let found = instance.get(&format!("/api/v1/flash-sales/{sale}"), None).await;
    assert_eq!((&found["sold"], &found["quantity"]), (&json!(0), &json!(5)), "{found}");
    eventually("the tables are written from the older ledger", HANG_LIMIT, async || {
        let (code, report) = verify_with(folder.path(), &alone);
        assert_eq!(code, Some(1), "{report}");
        assert!(report.contains(&format!("of order {order}, sale {sale}")), "{report}");
        report.contains("tables: complete")
    })
    .await;
    instance.stop_gently().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_leaves_no_commit_in_a_log_and_a_kill_does() {
    let (mut instance, ..) = running_shop().await;
    instance.stop_gently().await;
    let is_empty = |name: &str| fs::metadata(instance.data().join(name)).map_or(true, |log| log.len() == 0);
    assert!(is_empty("ledger.db-wal") && is_empty("shop.db-wal"), "after a stop");
    let report = instance.verify().await;
    assert!(!report.contains("note:"), "{report}");

    instance.launch().await;
    instance.sale(1, 0, &json!({"type": "open"})).await;
    instance.kill();
    let report = instance.verify().await;
    assert!(report.contains("of an instance that did not stop by itself"), "{report}");
    instance.launch().await;
    instance.stop_gently().await;
    let report = instance.verify().await;
    assert!(!report.contains("note:"), "{report}");
}

/// Where the log says that the content of removed files is, by their names.
#[cfg(target_os = "linux")]
fn find_open_files(line: &str) -> Vec<(String, String)> {
    let words = line.split([' ', '"']).filter_map(|word| word.split_once("=/proc/"));
    words.map(|(name, rest)| (name.to_owned(), format!("/proc/{rest}"))).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_removed_or_replaced_while_it_runs_end_the_recording_and_can_be_copied() {
    let cases: [(&str, FolderChange); 3] = [
        ("ledger.db", |data| {
            for suffix in ["", "-wal", "-shm"] {
                fs::remove_file(data.join(format!("ledger.db{suffix}"))).unwrap();
            }
        }),
        ("shop.db", |data| {
            for suffix in ["", "-wal", "-shm"] {
                fs::remove_file(data.join(format!("shop.db{suffix}"))).unwrap();
            }
        }),
        ("ledger.db", |data| {
            fs::write(data.join("new"), "").unwrap();
            fs::rename(data.join("new"), data.join("ledger.db")).unwrap();
        }),
    ];
    for (file, change) in cases {
        let (instance, sale, token) = running_shop().await;
        let send = async |method: Method, path: &str, token: &str, body: &Value| {
            let request = instance.client.request(method, format!("{}{path}", instance.url));
            request.bearer_auth(token).json(body).send().await.unwrap().status()
        };
        change(&instance.data());
        eventually("it is not ready", HANG_LIMIT, async || {
            send(Method::GET, "/readyz", "", &Value::Null).await == StatusCode::SERVICE_UNAVAILABLE
        })
        .await;
        let order = json!({"flashSaleId": sale, "quantity": 1});
        let account =
            json!({"email": "late@example.com", "username": "late", "password": "of this late buyer"});
        for _ in 0..3 {
            let ordered = send(Method::POST, "/api/v1/orders", &token, &order).await;
            let registered = send(Method::POST, "/api/v1/auth/register", "", &account).await;
            assert_eq!([ordered, registered], [StatusCode::SERVICE_UNAVAILABLE; 2], "{file}");
        }
        let lines: Vec<String> = instance
            .log()
            .lines()
            .filter(|line| line.contains("a file of the data folder was removed or replaced"))
            .map(ToOwned::to_owned)
            .collect();
        assert_eq!(lines.len(), 1, "logged once: {}", instance.log());

        // What the line names is all that was recorded.
        let copy = copy_after(&instance.data(), |_| {});
        for suffix in ["", "-wal", "-shm"] {
            let _none = fs::remove_file(copy.path().join(format!("{file}{suffix}")));
        }
        let open_files = find_open_files(&lines[0]);
        assert!(open_files.iter().any(|(name, _)| name == file), "{}", lines[0]);
        for (name, path) in open_files {
            fs::copy(path, copy.path().join(name)).unwrap();
        }
        let (code, report) = verify(copy.path());
        assert_eq!(code, Some(0), "{report}");
        assert!(report.contains("sold 2 = quantity 5"), "{report}");
        drop(instance);
        let mut restarted = ServerProcess::prepared(&[]);
        restarted.data = copy.path().to_owned();
        restarted.launch().await;
        let found = restarted.get(&format!("/api/v1/flash-sales/{sale}"), None).await;
        assert_eq!((&found["sold"], &found["quantity"]), (&json!(2), &json!(5)), "{found}");
        restarted.stop_gently().await;
    }
}
