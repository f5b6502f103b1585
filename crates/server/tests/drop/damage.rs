//! Data that was lost or damaged, on real files and by real processes: what a start and `verify` say, what a running instance does,
//! and that `verify` changes nothing.

use crate::real::crowd::BuyerCrowd;
use crate::real::instance::{ServerProcess, text, verify, verify_with};
use reqwest::StatusCode;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;
use tempfile::TempDir;
use test_servers::postgres::PostgresServer;
use test_servers::wait::{HANG_LIMIT, eventually};

/// What is done to a data folder.
pub(super) type FolderChange = fn(&Path);
type BoxedFolderChange = Box<dyn Fn(&Path)>;

/// A shop that has sold something, and its sale; its tables are complete, and it is stopped.
async fn stopped_shop() -> (ServerProcess, String) {
    let (mut instance, sale, _) = running_shop().await;
    instance.stop_gently().await;
    (instance, sale)
}

/// The same while it runs, and a buyer who has bought nothing.
pub(super) async fn running_shop() -> (ServerProcess, String, String) {
    let instance = ServerProcess::start().await;
    let sale = instance.named_sale(Some("lamps"), 5, 600, &json!({"type": "open"})).await;
    let mut tokens = BuyerCrowd::register(&instance, 3).await.tokens;
    let idle = tokens.remove(0);
    for token in tokens {
        let order = json!({"flashSaleId": sale, "quantity": 1});
        let order = instance.post("/api/v1/orders", &order, Some(&token)).await;
        let path = format!("/api/v1/orders/{}/pay", text(&order, "id"));
        instance.post(&path, &json!({"method": "sandbox:approve"}), Some(&token)).await;
    }
    eventually("the tables are complete", HANG_LIMIT, async || {
        instance.verify().await.contains("tables: complete")
    })
    .await;
    (instance, sale, idle)
}

/// A copy of a data folder, with something done to it.
pub(super) fn copy_after(data: &Path, tampering: impl FnOnce(&Path)) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    tampering(copy.path());
    copy
}

/// Starts an instance that should be refused: its exit code and its last line.
pub(super) fn serve(data: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_doorbuster"))
        .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .args(flags)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    let sentences: Vec<&str> = printed.lines().filter(|line| line.starts_with("doorbuster: ")).collect();
    assert_eq!(sentences.len(), 1, "one sentence: {printed}");
    (output.status.code(), sentences[0].to_owned())
}

/// Every file with its content and its time.
fn read_all(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let changed_at = entry.metadata().unwrap().modified().unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, (fs::read(entry.path()).unwrap(), changed_at))
    });
    files.collect()
}

fn assert_same_files(
    before: &BTreeMap<String, (Vec<u8>, SystemTime)>,
    after: &BTreeMap<String, (Vec<u8>, SystemTime)>,
) {
    assert!(before.keys().eq(after.keys()), "{:?} became {:?}", before.keys(), after.keys());
    for (name, file) in before {
        assert!(file == &after[name], "{name} was changed");
    }
}

/// Fills the page at the root of a table with what is no page.
fn spoil_root(file: &Path, table: &str) {
    let connection = Connection::open(file).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let root: u32 = connection.query_row(root, [table], |row| row.get(0)).unwrap();
    let page: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    drop(connection);
    let mut bytes = fs::read(file).unwrap();
    // The count of cells in the page's header.
    bytes[((root - 1) * page) as usize + 3] ^= 0x40;
    fs::write(file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_was_lost_beside_its_tables_refuses_the_start_and_verify_says_so() {
    let (instance, _) = stopped_shop().await;
    let losses: [(&str, FolderChange); 3] = [
        ("is missing", |data| fs::remove_file(data.join("ledger.db")).unwrap()),
        ("is empty", |data| fs::write(data.join("ledger.db"), "").unwrap()),
        ("is empty", |data| {
            let ledger = Connection::open(data.join("ledger.db")).unwrap();
            ledger.execute_batch("DELETE FROM entries; DELETE FROM sales").unwrap();
        }),
    ];
    for (state, lose) in losses {
        let copy = copy_after(&instance.data(), lose);
        let before = read_all(copy.path());
        let (code, sentence) = serve(copy.path(), &[]);
        assert_eq!(code, Some(1), "{sentence}");
        for part in
            [state, "1 sale, 2 orders and 2 payments", "restore ledger.db (with its -wal)", "empty folder"]
        {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
        let (code, report) = verify(copy.path());
        assert_eq!(code, Some(1), "{report}");
        assert!(report.contains("the ledger is lost: ") && report.contains(state), "{report}");
        assert!(report.contains("NOT every promise is kept"), "{report}");
        let (code, json) = verify_with(copy.path(), &["--json"]);
        let document: Value = serde_json::from_str(&json).unwrap();
        assert!(
            code == Some(1) && document["ledgerLoss"].is_string() && document["verdict"] == "broken",
            "{json}"
        );
        let orders = Connection::open(copy.path().join("shop.db")).unwrap();
        let orders: i64 = orders.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap();
        assert_eq!(orders, 2, "no order was dropped");
        assert_eq!(read_all(copy.path()).get("ledger.db"), before.get("ledger.db"), "no ledger was made");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_that_were_made_before_the_first_start_are_no_reason_to_refuse_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let create = ["admin", "create", "--email", "boss@example.com", "--password", "correct horse battery"];
    let made = Command::new(env!("CARGO_BIN_EXE_doorbuster")).args(create).arg("--data").arg(&data).output();
    assert!(made.unwrap().status.success());
    assert!(!data.join("ledger.db").exists());
    let mut instance = ServerProcess::prepared(&[]);
    instance.data.clone_from(&data);
    instance.launch().await;
    instance.stop_gently().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_ledger_in_a_database_refuses_every_kind_of_start() {
    let url = PostgresServer::shared().create_database();
    let mut instance = ServerProcess::on(&url).await;
    let sale = instance.sale(5, 0, &json!({"type": "open"})).await;
    let token = BuyerCrowd::register(&instance, 1).await.tokens.remove(0);
    instance.post("/api/v1/orders", &json!({"flashSaleId": sale, "quantity": 1}), Some(&token)).await;
    eventually("the tables are complete", HANG_LIMIT, async || {
        instance.verify().await.contains("tables: complete")
    })
    .await;
    instance.stop_gently().await;
    let folder = tempfile::tempdir().unwrap();
    for lose in [
        "TRUNCATE ledger_entries",
        "TRUNCATE ledger_sales",
        "DROP TABLE ledger_entries, ledger_sales, ledger_epochs, ledger_format, ledger_reached",
    ] {
        PostgresServer::shared().run_sql(&url, lose);
        let alone = ["--database", url.as_str()];
        let (code, report) = verify_with(folder.path(), &alone);
        assert_eq!(code, Some(1), "{lose}: {report}");
        assert!(report.contains("the ledger is lost: "), "{report}");
        // Alone, and in a cluster: it is refused before the Valkey is asked.
        let cluster = ["--database", url.as_str(), "--valkey", "redis://127.0.0.1:1"];
        for flags in [&alone[..], &cluster[..]] {
            let (code, sentence) = serve(folder.path(), flags);
            assert_eq!(code, Some(1), "{lose}: {sentence}");
            assert!(sentence.contains("is empty") && sentence.contains("restore the database"), "{sentence}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_tables_were_deleted_the_sales_are_listed_again_and_the_loss_is_told() {
    let (mut instance, sale) = stopped_shop().await;
    fs::remove_file(instance.data().join("shop.db")).unwrap();
    let (code, report) = verify(&instance.data());
    assert_eq!(code, Some(0), "the ledger keeps its promises: {report}");
    assert!(report.contains("note: there are no tables beside a ledger with 1 sale"), "{report}");

    instance.launch().await;
    let log = instance.log();
    let warned = log.lines().any(|line| line.contains("WARN") && line.contains("the tables lack sales"));
    assert!(warned, "{log}");
    let listed = instance.get("/api/v1/flash-sales", None).await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    let found = instance.get(&format!("/api/v1/flash-sales/{sale}"), None).await;
    assert_eq!((&found["sold"], &found["quantity"]), (&json!(2), &json!(5)), "{found}");
    let name = text(&found["product"], "name");
    assert_eq!(name, format!("Recovered sale {}", &sale[..8]));
    eventually("the tables are complete", HANG_LIMIT, async || {
        instance.verify().await.contains("tables: complete")
    })
    .await;
    // It sells on.
    let token = BuyerCrowd::register(&instance, 1).await.tokens.remove(0);
    instance.post("/api/v1/orders", &json!({"flashSaleId": sale, "quantity": 1}), Some(&token)).await;
    instance.stop_gently().await;
    let (_, report) = verify(&instance.data());
    assert!(!report.contains("there are no tables") && !report.contains("the tables lack"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_page_refuses_the_start_and_verify_says_so() {
    let (instance, _) = stopped_shop().await;
    let not_read = "damaged: promises were not checked to the end";
    for (file, table, words, verdict) in [
        ("ledger.db", "entries", "damage: the ledger is damaged: ledger.db: ", not_read),
        ("shop.db", "orders", "the tables are damaged: shop.db: ", "NOT every promise is kept"),
    ] {
        let copy = copy_after(&instance.data(), |data| spoil_root(&data.join(file), table));
        let before = read_all(copy.path());
        let (code, report) = verify(copy.path());
        assert_eq!(code, Some(1), "{report}");
        assert!(report.contains(words) && report.contains(verdict), "{report}");
        assert_same_files(&before, &read_all(copy.path()));
        let (code, sentence) = serve(copy.path(), &[]);
        assert_eq!(code, Some(1), "{sentence}");
        assert!(sentence.contains(&format!("damaged: {file}: ")), "{sentence}");
        assert!(sentence.contains("restore"), "{sentence}");
        assert_eq!(before.get(file), read_all(copy.path()).get(file), "a malformed file is not written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_is_met_while_it_runs_stops_the_selling_until_the_next_start() {
    let (mut instance, sale, token) = running_shop().await;
    let ready = async || instance.client.get(format!("{}/readyz", instance.url)).send().await.unwrap();
    assert_eq!(ready().await.status(), StatusCode::OK);
    let ledger = Connection::open(instance.data().join("ledger.db")).unwrap();
    ledger.busy_timeout(HANG_LIMIT).unwrap();
    ledger.execute("UPDATE entries SET crc = crc + 1 WHERE key & 0xffff = 1", []).unwrap();
    // A reader meets it.
    let events = format!("{}/api/v1/admin/flash-sales/{sale}/events", instance.url);
    let read = instance.client.get(events).bearer_auth(&instance.admin).send().await.unwrap();
    assert_eq!(read.status(), StatusCode::SERVICE_UNAVAILABLE);

    let unready = ready().await;
    assert_eq!(unready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(unready.text().await.unwrap().contains("stored data is damaged"));
    // Mended or not, nothing is confirmed by this process any more.
    ledger.execute("UPDATE entries SET crc = crc - 1 WHERE key & 0xffff = 1", []).unwrap();
    let order = json!({"flashSaleId": sale, "quantity": 1});
    for _ in 0..3 {
        let request = instance.client.post(format!("{}/api/v1/orders", instance.url)).bearer_auth(&token);
        let reply = request.json(&order).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(ready().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let lines =
        instance.log().lines().filter(|line| line.contains("stored data is damaged; nothing")).count();
    assert_eq!(lines, 1, "told once: {}", instance.log());
    drop(ledger);
    instance.terminate();
    instance.wait_for_clean_exit().await;
    instance.launch().await;
    instance.post("/api/v1/orders", &order, Some(&token)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_changes_nothing_whatever_it_finds() {
    let (mut instance, ..) = running_shop().await;
    instance.kill();
    let killed = instance.data();
    for name in ["ledger.db-wal", "shop.db-wal"] {
        assert!(fs::metadata(killed.join(name)).unwrap().len() > 0, "{name} has commits");
    }
    let tamper_ledger = |sql: &'static str| {
        move |data: &Path| {
            Connection::open(data.join("ledger.db")).unwrap().execute_batch(sql).unwrap();
        }
    };
    let cases: Vec<(&str, i32, BoxedFolderChange)> = vec![
        ("as a killed process left it", 0, Box::new(|_| {})),
        (
            "after its logs were copied back",
            0,
            Box::new(|data| {
                for file in ["ledger.db", "shop.db"] {
                    Connection::open(data.join(file))
                        .unwrap()
                        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
                        .unwrap();
                }
            }),
        ),
        (
            "torn",
            1,
            Box::new(tamper_ledger("UPDATE entries SET crc = 0 WHERE key = (SELECT max(key) FROM entries)")),
        ),
        (
            "damaged",
            1,
            Box::new(tamper_ledger("UPDATE entries SET crc = 0 WHERE key = (SELECT min(key) FROM entries)")),
        ),
        ("emptied", 1, Box::new(tamper_ledger("DELETE FROM entries; DELETE FROM sales"))),
        (
            "without tables",
            0,
            Box::new(|data| {
                for name in ["shop.db", "shop.db-wal", "shop.db-shm"] {
                    fs::remove_file(data.join(name)).unwrap();
                }
            }),
        ),
        (
            "with other tables",
            1,
            Box::new(|data| {
                let tables = Connection::open(data.join("shop.db")).unwrap();
                tables
                    .execute_batch("UPDATE sale_counters SET sold = sold + 1, available = available - 1")
                    .unwrap();
            }),
        ),
        (
            "with a log that is damaged in the middle",
            1,
            Box::new(|data| {
                let log = data.join("shop.db-wal");
                let mut bytes = fs::read(&log).unwrap();
                bytes[32 + 24 + 100] ^= 1;
                fs::write(log, bytes).unwrap();
            }),
        ),
    ];
    for (case, code, tampering) in cases {
        let copy = copy_after(&killed, tampering);
        // As far as this user can be kept from writing: root cannot.
        for entry in fs::read_dir(copy.path()).unwrap() {
            fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o400)).unwrap();
        }
        fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o500)).unwrap();
        let before = read_all(copy.path());
        let (found, report) = verify(copy.path());
        assert_eq!(found, Some(code), "{case}: {report}");
        assert_same_files(&before, &read_all(copy.path()));
        let is_copied = report.contains("so a copy of ledger.db was read");
        let has_log = before.get("ledger.db-wal").is_some_and(|(log, _)| !log.is_empty());
        assert_eq!(is_copied, has_log, "{case}: {report}");
        fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// On a file system that is mounted read-only, where this user may mount one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_reads_a_medium_that_cannot_be_written() {
    let (mut instance, ..) = running_shop().await;
    instance.kill();
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && ! touch \"$1/x\" 2>/dev/null || exit 77
        exec \"$0\" verify --data \"$1\"";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_doorbuster")])
        .arg(instance.data())
        .output();
    match output {
        Ok(output) if output.status.code() == Some(0) => {
            let report = String::from_utf8(output.stdout).unwrap();
            assert!(report.contains("every promise is kept"), "{report}");
        }
        Ok(output) if output.status.code() == Some(77) => {
            println!("(no file system may be mounted here; folders without permissions have shown it)");
        }
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(error.contains("unshare"), "{:?}: {error}", output.status);
        }
        Err(error) => println!("(no unshare here: {error})"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_are_for_their_owner_alone_also_in_a_folder_that_was_there() {
    let mut instance = ServerProcess::prepared(&[]);
    let data = instance.data();
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    instance.launch().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let assert_private = || {
        assert_eq!(mode(&data), 0o700);
        for entry in fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
        for name in [
            "ledger.db",
            "ledger.db-wal",
            "ledger.db-shm",
            "shop.db",
            "shop.db-wal",
            "shop.db-shm",
            "token-key.pem",
        ] {
            assert!(data.join(name).exists(), "{name}");
        }
    };
    assert_private();
    // What an earlier version left.
    instance.kill();
    for entry in fs::read_dir(&data).unwrap() {
        fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    instance.launch().await;
    assert_private();
    // A folder with other things in it is not only a data folder.
    instance.stop_gently().await;
    fs::write(data.join("notes.txt"), "of somebody").unwrap();
    fs::set_permissions(data.join("notes.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    instance.launch().await;
    assert_eq!((mode(&data), mode(&data.join("notes.txt"))), (0o755, 0o644));
    assert_eq!(mode(&data.join("shop.db")), 0o600);
    assert!(instance.log().contains("the data folder has other files too"), "{}", instance.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_at_the_start_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=64k none \"$1\" && dd if=/dev/zero of=\"$1/ballast\" bs=4k 2>/dev/null; \
        test -s \"$1/ballast\" || exit 77
        exec \"$0\" serve --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --data \"$1\"";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_doorbuster")])
        .arg(folder.path())
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        println!("(no small file system may be mounted here)");
        return;
    };
    let printed = String::from_utf8(output.stderr).unwrap();
    let Some(sentence) = printed.lines().find(|line| line.starts_with("doorbuster: ")) else {
        assert!(output.status.code() == Some(77) || printed.contains("unshare"), "{printed}");
        println!("(no small file system may be mounted here)");
        return;
    };
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(sentence.contains(&format!("the disk of {} is full", folder.path().display())), "{sentence}");
    assert!(sentence.contains("make room") && !sentence.contains("--database"), "{sentence}");
}
