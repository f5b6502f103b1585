//! The process: what it does on SIGTERM, when its folder is locked, and with the settings of its start.

use crate::real::crowd::BuyerCrowd;
use crate::real::instance::{ServerProcess, text, verify_with};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_and_during_a_stop_is_there_after_it() {
    const BUYERS: usize = 16;
    let mut instance = ServerProcess::with(&["--limits", "off", "--drain-grace", "4s"]).await;
    let sale = instance.sale(1_000_000, 0, &json!({"type": "open"})).await;
    let tokens = BuyerCrowd::register(&instance, BUYERS).await.tokens;
    let buying: Vec<_> = tokens.into_iter().map(|token| tokio::spawn(buy(&instance, &sale, token))).collect();
    while instance.get(&format!("/api/v1/flash-sales/{sale}"), None).await["sold"].as_u64()
        < Some(BUYERS as u64)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    instance.terminate();
    let mut seen_unready = false;
    while let Ok(reply) = instance.client.get(format!("{}/readyz", instance.url)).send().await {
        seen_unready |= reply.status() == StatusCode::SERVICE_UNAVAILABLE;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(seen_unready, "it reports that it is not ready before it stops listening");
    instance.wait_for_clean_exit().await;
    let mut output = Vec::new();
    for buyer in buying {
        output.extend(buyer.await.unwrap());
    }
    assert!(output.len() >= BUYERS);
    let (code, report) = verify_with(&instance.data(), &["--json"]);
    assert_eq!(code, Some(0), "{report}");
    let report: Value = serde_json::from_str(&report).unwrap();
    let sold = report["sales"][0]["sold"].as_u64().unwrap();
    assert!(sold >= output.len() as u64, "{} were confirmed, {report}", output.len());

    instance.launch().await;
    instance.assert_orders_belong_to_buyers(&output).await;
}

/// Buys one unit after the other until the listener closes: the token and the order of each confirmed purchase.
fn buy(
    instance: &ServerProcess,
    sale: &str,
    token: String,
) -> impl Future<Output = Vec<(String, String)>> + use<> {
    let (client, url) = (instance.client.clone(), format!("{}/api/v1/orders", instance.url));
    let order = json!({"flashSaleId": sale, "quantity": 1});
    async move {
        let mut response = Vec::new();
        // Each buyer's list of orders is looked through in one page afterwards.
        while response.len() < 100 {
            let Ok(reply) = client.post(&url).bearer_auth(&token).json(&order).send().await else { break };
            if reply.status() == StatusCode::CONFLICT || reply.status() == StatusCode::SERVICE_UNAVAILABLE {
                break;
            }
            assert_eq!(reply.status(), StatusCode::CREATED);
            let Ok(confirmed) = reply.json::<Value>().await else { break };
            response.push((token.clone(), text(&confirmed, "id")));
        }
        response
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_folder_is_refused_in_one_sentence() {
    let instance = ServerProcess::start().await;
    let output = Command::new(env!("CARGO_BIN_EXE_doorbuster"))
        .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--data"])
        .arg(instance.data())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{printed}");
    let sentences: Vec<_> = printed.lines().filter(|line| line.starts_with("doorbuster: ")).collect();
    assert_eq!(sentences.len(), 1, "{printed}");
    assert!(sentences[0].contains("--data"), "{printed}");
    let ready = instance.client.get(format!("{}/readyz", instance.url)).send().await.unwrap();
    assert!(ready.status().is_success(), "the first instance still serves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_that_is_still_to_come_is_kept_and_after_one_that_was_closed_there_is_another() {
    let mut instance = ServerProcess::with(&["--demo"]).await;
    let demo = instance.get("/api/v1/flash-sales/demo", None).await;
    assert_eq!((demo["status"].as_str(), demo["quantity"].as_u64()), (Some("upcoming"), Some(100)), "{demo}");
    instance.stop_gently().await;
    instance.launch().await;
    assert_eq!(demos(&instance).await, ["demo"]);

    let path = format!("/api/v1/admin/flash-sales/{}/close", text(&demo, "id"));
    instance.post(&path, &json!({}), Some(&instance.admin)).await;
    instance.stop_gently().await;
    instance.launch().await;
    assert_eq!(demos(&instance).await, ["demo", "demo-2"]);
    // It is ready a moment before it says so.
    instance.stop_gently().await;
    assert!(
        instance.log().contains("/api/v1/flash-sales/demo-2"),
        "the welcome names it: {}",
        instance.log()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_demo_that_is_sold_out_the_next_start_makes_another() {
    let mut instance = ServerProcess::start().await;
    let sale = instance.named_sale(Some("demo"), 1, 0, &json!({"type": "open"})).await;
    let token = BuyerCrowd::register(&instance, 1).await.tokens.remove(0);
    instance.post("/api/v1/orders", &json!({"flashSaleId": sale, "quantity": 1}), Some(&token)).await;
    instance.stop_gently().await;
    instance.flags.push("--demo".to_owned());
    instance.launch().await;
    assert_eq!(demos(&instance).await, ["demo", "demo-2"]);
}

/// The slugs of the demo sales.
async fn demos(instance: &ServerProcess) -> Vec<&'static str> {
    let mut slugs = Vec::new();
    for slug in ["demo", "demo-2", "demo-3"] {
        let url = format!("{}/api/v1/flash-sales/{slug}", instance.url);
        if instance.client.get(url).send().await.unwrap().status().is_success() {
            slugs.push(slug);
        }
    }
    slugs
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_files_as_allowed_may_be_open() {
    let instance = ServerProcess::with_open_files(256, 1024).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", instance.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("1024"), "{files}");
    let log = instance.log();
    let warned = log.lines().any(|line| line.contains("--connections-max") && line.contains("1024"));
    assert!(warned, "20,000 connections do not fit into 1,024 files: {log}");
}
