//! A machine's clock that is wrong when an instance starts: far ahead, and behind the ledger over many restarts.

use crate::real::crowd::BuyerCrowd;
use crate::real::instance::{ServerProcess, text};
use rusqlite::Connection;
use serde_json::json;
use std::fs;
use std::path::Path;
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};

const YEAR_MS: i64 = 365 * 24 * 3_600_000;
const HOUR_MS: i64 = 3_600_000;

/// An instance whose machine has the clock that the file says.
fn prepared_with_clock(file: &Path) -> ServerProcess {
    ServerProcess::prepared(&["--limits", "off", "--rehearsal-clock", file.to_str().unwrap()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_a_year_ahead_is_refused_only_where_no_time_service_keeps_the_clock_right() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock");
    let set = |words: &str| fs::write(&file, words).unwrap();
    set("0 unsynchronised");
    let mut instance = prepared_with_clock(&file);
    instance.launch().await;
    instance.open_shop().await;
    let ends_at = engine::clock::read_wall_clock().plus_ms(30 * 24 * HOUR_MS);
    let ends_at = jiff::Timestamp::from_millisecond(ends_at.0).unwrap().to_string();
    let sale = json!({"quantity": 5, "holdSeconds": 0, "admission": {"type": "open"}, "endsAt": ends_at});
    let sale = instance.create_sale(&sale).await;
    instance.stop_gently().await;

    set(&format!("{YEAR_MS} unsynchronised"));
    instance.spawn();
    let code = tokio::task::block_in_place(|| instance.wait());
    assert_eq!(code, 1, "{}", instance.log());
    let log = instance.log();
    let sentence =
        log.lines().find(|line| line.starts_with("doorbuster: ")).unwrap_or_else(|| panic!("{log}"));
    assert!(sentence.contains("365 days ahead") && sentence.contains("--accept-clock"), "{sentence}");
    assert!(sentence.contains(&format!("sale {sale} would end")), "{sentence}");

    // With the right time again it is as before.
    set("0 unsynchronised");
    instance.launch().await;
    let found = instance.get(&format!("/api/v1/flash-sales/{sale}"), None).await;
    assert_eq!(found["status"], "active", "{found}");
    instance.stop_gently().await;

    // A clock that is kept right is believed, with a warning; and so is one that the operator accepts.
    let data = instance.data();
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    for (word, data, flag) in [("synchronised", copy, None), ("unsynchronised", data, Some("--accept-clock"))]
    {
        set(&format!("{YEAR_MS} {word}"));
        instance.data.clone_from(&data);
        instance.flags.extend(flag.map(ToOwned::to_owned));
        instance.launch().await;
        let log = instance.log();
        let warned = log
            .lines()
            .any(|line| line.contains("WARN") && line.contains("clock is far ahead of the ledger"));
        assert!(warned, "{word}: {log}");
        let found = instance.get(&format!("/api/v1/flash-sales/{sale}"), None).await;
        assert_eq!(found["status"], "ended", "{found}");
        instance.stop_gently().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_runs_out_while_the_clock_is_behind_and_the_process_is_killed_again_and_again() {
    // Longer than two lives on a slow machine.
    const HOLD_S: i64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock");
    fs::write(&file, "0").unwrap();
    let mut instance = prepared_with_clock(&file);
    instance.launch().await;
    instance.open_shop().await;
    let sale = instance.sale(5, u32::try_from(HOLD_S).unwrap(), &json!({"type": "open"})).await;
    let token = BuyerCrowd::register(&instance, 1).await.tokens.remove(0);
    let order = json!({"flashSaleId": sale, "quantity": 1});
    let order = text(&instance.post("/api/v1/orders", &order, Some(&token)).await, "id");
    instance.kill();
    fs::write(&file, format!("-{HOUR_MS}")).unwrap();

    let ledger = instance.data().join("ledger.db");
    let read_reached = || -> i64 {
        let reached = Connection::open(&ledger).and_then(|ledger| {
            ledger.busy_timeout(HANG_LIMIT)?;
            ledger.query_row("SELECT at FROM reached", [], |row| row.get(0))
        });
        // There is no such table before it is needed.
        reached.unwrap_or_default()
    };
    let mut lives = 0;
    loop {
        lives += 1;
        assert!(lives < 400, "the hold does not run out");
        instance.launch().await;
        let before = read_reached();
        let path = format!("/api/v1/orders/{order}");
        // A life ends when time has come a little forward, long before the hold could run out in it.
        let expired = eventually_some("time goes on", HANG_LIMIT, async || {
            let status = instance.get(&path, Some(&token)).await["status"].as_str().unwrap().to_owned();
            if status == "expired" {
                return Some(true);
            }
            assert_eq!(status, "pending");
            (read_reached() > before).then_some(false)
        })
        .await;
        instance.kill();
        if expired {
            break;
        }
    }
    assert!(lives > 2, "it took only {lives} lives, and each is shorter than the hold");
    instance.launch().await;
    eventually("the unit is free again", HANG_LIMIT, async || {
        instance.get(&format!("/api/v1/flash-sales/{sale}"), None).await["available"] == json!(5)
    })
    .await;
}
