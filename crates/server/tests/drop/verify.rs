//! `doorbuster verify` on ledgers and tables that were tampered with.

use crate::real::crowd::BuyerCrowd;
use crate::real::instance::{ServerProcess, text, verify, verify_with};
use engine::record::{decode_event, encode_event};
use rusqlite::Connection;
use sale::{Event, UnitSource};
use serde_json::{Value, json};
use std::path::Path;
use test_servers::wait::{HANG_LIMIT, eventually};

/// Units of the sale, of which two are sold and one is held.
const UNITS: u32 = 5;

/// A shop that has sold something, and its sale. Its tables are complete.
async fn instance_with_sales() -> (ServerProcess, String) {
    let instance = ServerProcess::start().await;
    let sale = instance.sale(UNITS, 600, &json!({"type": "open"})).await;
    for (no, token) in BuyerCrowd::register(&instance, 3).await.tokens.iter().enumerate() {
        let order = json!({"flashSaleId": sale, "quantity": 1});
        let order = instance.post("/api/v1/orders", &order, Some(token)).await;
        if no > 0 {
            let path = format!("/api/v1/orders/{}/pay", text(&order, "id"));
            instance.post(&path, &json!({"method": "sandbox:approve"}), Some(token)).await;
        }
    }
    eventually("the tables are complete", HANG_LIMIT, async || {
        instance.verify().await.contains("tables: complete")
    })
    .await;
    (instance, sale)
}

/// Does something to a copy of a stopped instance's folder, and verifies it.
fn verify_after(data: &Path, tampering: impl FnOnce(&Path)) -> (Option<i32>, String) {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    tampering(copy.path());
    verify(copy.path())
}

fn ledger(data: &Path) -> Connection {
    Connection::open(data.join("ledger.db")).unwrap()
}

/// The row at the end of the ledger: its key, time and event.
fn last_row(ledger: &Connection) -> (i64, i64, Event) {
    let last = "SELECT key, at, body FROM entries ORDER BY key DESC LIMIT 1";
    let (key, at, body): (i64, i64, Vec<u8>) =
        ledger.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    (key, at, decode_event(&body).unwrap())
}

/// Writes a row as the engine would, with a checksum that fits.
fn append(ledger: &Connection, key: i64, at: i64, event: &Event) {
    let mut body = Vec::new();
    encode_event(event, &mut body);
    let mut sum = crc32fast::Hasher::new();
    sum.update(&key.to_le_bytes());
    sum.update(&at.to_le_bytes());
    sum.update(&body);
    let row = (key, at, body, i64::from(sum.finalize()));
    ledger.execute("INSERT INTO entries (key, at, body, crc) VALUES (?1, ?2, ?3, ?4)", row).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_ledger_is_reported_with_its_first_offending_event() {
    let (mut instance, sale) = instance_with_sales().await;
    instance.stop_gently().await;
    let data = instance.data();
    let report = instance.verify().await;
    assert!(report.contains("held 1 + sold 2 = quantity 5"), "{report}");
    let (last, ..) = last_row(&ledger(&data));
    let seq = |key: i64| key & ((1 << 40) - 1);

    // An order that is there already is sold a second time, by a row whose checksum fits.
    let (code, output) = verify_after(&data, |data| {
        let ledger = ledger(data);
        let (key, at, event) = last_row(&ledger);
        assert!(matches!(event, Event::Confirmed { .. }), "{event:?}");
        append(&ledger, key + 1, at, &event);
        append(&ledger, key + 2, at, &event);
    });
    assert_eq!(code, Some(1), "{output}");
    let first = format!("first offence: sale {sale}, event {}:", seq(last + 1));
    assert!(output.contains(&first) && output.contains("BROKEN"), "{output}");
    assert!(output.contains("NOT every promise is kept"), "{output}");

    // More is sold than there is.
    let (code, output) = verify_after(&data, |data| {
        let ledger = ledger(data);
        let (key, at, event) = last_row(&ledger);
        let Event::Confirmed { buyer, .. } = event else { panic!("{event:?}") };
        let order = sale::OrderId(uuid::Uuid::from_u128(7));
        let too_many = Event::Confirmed { buyer, order, quantity: UNITS, from: UnitSource::Stock, key: None };
        append(&ledger, key + 1, at, &too_many);
    });
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&first) && output.contains("units "), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_in_one_sale_leaves_the_events_before_it_and_the_other_sales_to_be_checked() {
    let (mut instance, sale) = instance_with_sales().await;
    let other = instance.sale(UNITS, 600, &json!({"type": "open"})).await;
    let order = json!({"flashSaleId": other, "quantity": 1});
    instance.post("/api/v1/orders", &order, Some(&instance.admin)).await;
    eventually("the tables are complete", HANG_LIMIT, async || {
        instance.verify().await.matches("tables: complete").count() == 2
    })
    .await;
    instance.stop_gently().await;
    let damage = |data: &Path| {
        let third = "(SELECT min(key) + 2 FROM entries)";
        ledger(data).execute(&format!("UPDATE entries SET at = at + 1 WHERE key = {third}"), []).unwrap();
    };
    let (code, output) = verify_after(&instance.data(), damage);
    assert_eq!(code, Some(1), "{output}");
    for part in [
        format!("damage: the ledger is damaged: sale {sale}, event 3: its checksum does not fit\n"),
        format!("sale {sale}: intact up to event 2; damaged at event 3: its checksum does not fit\n"),
        format!("sale {other}\n  2 events; tables: complete\n  available 4 + admitted 0 + held 1"),
        "damaged: promises were not checked to the end: 2 sales, 4 events".to_owned(),
    ] {
        assert!(output.contains(&part), "{part}: {output}");
    }
    assert!(!output.contains("look at it with") && !output.contains("BROKEN"), "{output}");

    damage(&instance.data());
    let (code, output) = verify_with(&instance.data(), &["--json"]);
    assert_eq!(code, Some(1), "{output}");
    let document: Value = serde_json::from_str(&output).unwrap();
    let expected =
        json!([{"sale": sale, "intactTo": 2, "damagedAt": 3, "detail": "its checksum does not fit"}]);
    assert_eq!((&document["damagedSales"], &document["saleCount"]), (&expected, &json!(2)), "{output}");
    assert!(document["promises"][0]["checked"].as_u64() > Some(0), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_ledger_is_reported_with_the_place() {
    let (mut instance, sale) = instance_with_sales().await;
    instance.stop_gently().await;
    let data = instance.data();
    let (last, ..) = last_row(&ledger(&data));
    let place =
        |key: i64| format!("damage: the ledger is damaged: sale {sale}, event {}", key & ((1 << 40) - 1));

    let (code, output) = verify_after(&data, |data| {
        ledger(data).execute("UPDATE entries SET at = at + 1 WHERE key = ?1", [last - 2]).unwrap();
    });
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&place(last - 2)) && output.contains("checksum"), "{output}");
    assert!(!output.contains("torn"), "intact rows follow: no power loss explains it: {output}");

    let (code, output) = verify_after(&data, |data| {
        ledger(data).execute("DELETE FROM entries WHERE key = ?1", [last - 2]).unwrap();
    });
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&place(last - 2)) && output.contains("missing"), "{output}");

    // The end is cut off: the ledger does not show it, but the tables have more.
    let (code, output) = verify_after(&data, |data| {
        ledger(data).execute("DELETE FROM entries WHERE key >= ?1", [last - 1]).unwrap();
    });
    assert_eq!(code, Some(1), "{output}");
    assert!(
        output.contains("the tables differ: sale") && output.contains("the ledger ends at event"),
        "{output}"
    );

    let (code, output) = verify_after(&data, |data| {
        ledger(data).execute("DELETE FROM sales", []).unwrap();
    });
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("damage: the ledger is damaged: ledger.db"), "{output}");
}

/// Appends a row whose checksum does not fit, as a power loss leaves it, and returns its place.
fn tear(data: &Path, sale: &str) -> String {
    let ledger = ledger(data);
    let (key, at, event) = last_row(&ledger);
    append(&ledger, key + 1, at, &event);
    ledger.execute("UPDATE entries SET crc = crc + 1 WHERE key = ?1", [key + 1]).unwrap();
    format!("torn end: sale {sale}, from event {} on: 1 row not as written", (key + 1) & ((1 << 40) - 1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_end_breaks_no_promise_and_is_what_the_next_start_sets_aside() {
    let (mut instance, sale) = instance_with_sales().await;
    instance.stop_gently().await;
    let place = tear(&instance.data(), &sale);
    for _ in 0..2 {
        let (code, output) = verify(&instance.data());
        assert_eq!(code, Some(0), "{output}");
        assert!(output.contains(&place) && output.contains("nothing shows that anyone was told"), "{output}");
        assert!(output.contains("The next start moves it into the table `torn`"), "{output}");
        assert!(
            output.contains("every promise is kept: 1 sale, ") && output.ends_with(", 1 row torn\n"),
            "{output}"
        );
        assert!(!output.contains("damage"), "{output}");
    }
    let (_, output) = verify_with(&instance.data(), &["--json"]);
    let document: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(document["verdict"], "kept", "{output}");
    assert_eq!(document["tornEnds"][0]["rows"], 1, "{output}");
    assert_eq!(document["tornEnds"][0]["inTables"], false, "{output}");

    instance.launch().await;
    let log = instance.log();
    assert!(log.contains("rows at the end of a sale are damaged and were moved"), "{log}");
    assert!(log.contains("list captured payments without a confirmed order"), "{log}");
    assert!(!instance.verify().await.contains("torn"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_end_that_the_tables_have_seen_is_reported_as_acknowledged() {
    let (mut instance, sale) = instance_with_sales().await;
    instance.stop_gently().await;
    let (code, output) = verify_after(&instance.data(), |data| {
        let last = "(SELECT max(key) FROM entries)";
        ledger(data).execute(&format!("UPDATE entries SET crc = crc + 1 WHERE key = {last}"), []).unwrap();
    });
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("torn end: sale ") && output.contains("the tables have seen it"), "{output}");
    assert!(output.contains(&format!("the tables differ: sale {sale}")), "{output}");
    assert!(output.contains("NOT every promise is kept"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_end_beside_damage_is_not_set_aside() {
    let (mut instance, sale) = instance_with_sales().await;
    instance.stop_gently().await;
    let (code, output) = verify_after(&instance.data(), |data| {
        tear(data, &sale);
        let second = "(SELECT min(key) + 1 FROM entries)";
        ledger(data).execute(&format!("UPDATE entries SET crc = crc + 1 WHERE key = {second}"), []).unwrap();
    });
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&format!("damage: the ledger is damaged: sale {sale}, event 2:")), "{output}");
    assert!(output.contains("torn end: ") && output.contains("the next start is refused"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_and_json_reports_agree() {
    let (mut instance, sale) = instance_with_sales().await;
    instance.stop_gently().await;
    let data = instance.data();
    let (code, json) = verify_with(&data, &["--json"]);
    assert_eq!(code, Some(0), "{json}");
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["verdict"], "kept");
    assert_eq!(document["firstOffence"], Value::Null);
    let shown = &document["sales"][0];
    assert_eq!(
        (shown["sale"].as_str(), &shown["tables"]["state"]),
        (Some(sale.as_str()), &json!("complete"))
    );
    assert_eq!((&shown["held"], &shown["sold"], &shown["quantity"]), (&json!(1), &json!(2), &json!(UNITS)));
    let promises = document["promises"].as_array().unwrap();
    let events = document["eventCount"].as_u64().unwrap();
    let sequence = promises.last().unwrap();
    assert_eq!((&sequence["name"], &sequence["checked"]), (&json!("sequence"), &json!(2 * events)));
    let (_, output) = verify(&data);
    assert!(!output.contains('\x1b'), "a pipe is given no colours: {output}");
    for promise in promises {
        let words = ["kept", text(promise, "name").as_str(), &promise["checked"].to_string(), "0"].join(" ");
        let is_told = output
            .lines()
            .any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(&words));
        assert!(is_told, "{words}: {output}");
    }

    let tamper = |data: &Path| {
        let ledger = ledger(data);
        let (key, at, event) = last_row(&ledger);
        append(&ledger, key + 1, at, &event);
    };
    let copy = tempfile::tempdir().unwrap();
    for file in ["ledger.db", "shop.db"] {
        std::fs::copy(data.join(file), copy.path().join(file)).unwrap();
    }
    tamper(copy.path());
    let (code, json) = verify_with(copy.path(), &["--json"]);
    assert_eq!(code, Some(1), "{json}");
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&document["verdict"], &document["sales"][0]["verdict"]),
        (&json!("broken"), &json!("broken"))
    );
    let (key, _, event) = last_row(&ledger(copy.path()));
    let Event::Confirmed { buyer, .. } = event else { panic!("{event:?}") };
    let first = &document["firstOffence"];
    assert_eq!(first["event"], json!(key & ((1 << 40) - 1)), "{json}");
    assert_eq!(first["buyer"], json!(buyer.to_string()), "{json}");
    let (_, output) = verify(copy.path());
    let place = format!("promise `{}`, buyer {buyer}", text(first, "promise"));
    assert!(output.contains(&place) && output.contains(&text(first, "detail")), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_damaged_in_the_middle_is_reported() {
    let (mut instance, _) = instance_with_sales().await;
    instance.stop_gently().await;
    let data = instance.data();
    // Commits that stay in the log, as after a crash, while this connection is open.
    let open = ledger(&data);
    open.execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
    for count in 0..6 {
        open.execute("INSERT OR REPLACE INTO probe (id, count) VALUES (1, ?1)", [count]).unwrap();
    }
    let (code, output) = verify_after(&data, |_| {});
    assert_eq!(code, Some(0), "{output}");
    let (code, output) = verify_after(&data, |data| {
        let log = data.join("ledger.db-wal");
        let mut bytes = std::fs::read(&log).unwrap();
        // A byte of the page in the first frame: behind the log's header of 32 bytes, and the frame's of 24.
        bytes[32 + 24 + 100] ^= 1;
        std::fs::write(&log, bytes).unwrap();
    });
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("damage: the ledger is damaged: ledger.db-wal"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tampered_tables_are_reported() {
    let (mut instance, sale) = instance_with_sales().await;
    instance.stop_gently().await;
    for tampering in [
        "UPDATE sale_counters SET sold = sold + 1, available = available - 1",
        "UPDATE sale_counters SET seq = seq - 1",
        "DELETE FROM sale_counters",
        "UPDATE orders SET status = 'cancelled' WHERE status = 'confirmed'",
        "UPDATE orders SET quantity = 2 WHERE status = 'confirmed'",
        "UPDATE orders SET status = 'confirmed', expires_at = NULL WHERE status = 'pending'",
        "DELETE FROM orders WHERE status = 'pending'",
        "UPDATE followers SET seq = seq + 1",
    ] {
        let (code, output) = verify_after(&instance.data(), |data| {
            let changed = Connection::open(data.join("shop.db")).unwrap().execute(tampering, []).unwrap();
            assert!(changed > 0, "{tampering}");
        });
        assert_eq!(code, Some(1), "{tampering}: {output}");
        assert!(output.contains(&format!("the tables differ: sale {sale}")), "{tampering}: {output}");
    }
}

#[test]
fn without_a_ledger_verify_is_used_wrongly() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("ledger.db");
    let foreign = folder.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    Connection::open(foreign.join("ledger.db")).unwrap().execute("CREATE TABLE t (x)", []).unwrap();
    for data in [folder.path().join("nowhere"), folder.path().to_owned(), foreign] {
        let (code, output) = verify(&data);
        assert_eq!(code, Some(2), "{output}");
        assert!(output.starts_with("doorbuster: --data: ") && output.lines().count() == 1, "{output}");
        assert!(!folder.path().join("nowhere").exists() && !empty.exists(), "it changes nothing");
    }
}
