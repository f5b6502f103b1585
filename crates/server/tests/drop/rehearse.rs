//! `doorbuster rehearse` itself: it finds a whole instance whole, also one that it kills, starves of disk and turns the clock
//! of; it keeps off sales with real buyers; and it says in one sentence what it cannot do.

use crate::real::instance::{EMAIL, PASSWORD, ServerProcess};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use test_servers::ReservedPort;
use test_servers::nginx::NginxServer;
use test_servers::postgres::PostgresServer;
use test_servers::wait::{HANG_LIMIT, eventually};

/// A drop that is over in a few seconds, also in a debug build.
const SMALL: &[(&str, &str)] = &[
    ("--buyers", "120"),
    ("--units", "20"),
    ("--hold", "2s"),
    ("--checkout", "2s"),
    ("--over", "500ms"),
    ("--lead", "1s"),
    ("--seed", "7"),
];

/// The flags of the small drop, but for these; one whose value is empty is left out.
fn small<'a>(changes: &[(&'a str, &'a str)]) -> Vec<&'a str> {
    let changed = |name: &str| changes.iter().any(|(flag, _)| *flag == name);
    let kept = SMALL.iter().filter(|(name, _)| !changed(name));
    kept.chain(changes.iter().filter(|(_, value)| !value.is_empty()))
        .flat_map(|(name, value)| [*name, *value])
        .collect()
}

/// Runs it in a folder of its own.
struct RehearseProcess {
    folder: tempfile::TempDir,
    child: Child,
}

impl RehearseProcess {
    fn start(flags: &[&[&str]]) -> Self {
        Self::with_shell("", flags)
    }

    fn with_shell(first: &str, flags: &[&[&str]]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new("sh")
            .args([
                "-c",
                &format!("{first} exec \"$0\" \"$@\""),
                env!("CARGO_BIN_EXE_doorbuster"),
                "rehearse",
            ])
            .args(flags.concat())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { folder, child }
    }

    async fn wait_for_result(self) -> RehearseResult {
        let Self { folder, child } = self;
        let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
        let report = report(&folder.path().join("rehearsals"));
        RehearseResult { output, report }
    }
}

/// What it left behind.
struct RehearseResult {
    output: Output,
    report: Option<(Value, String)>,
}

impl RehearseResult {
    fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// Its whole output.
    fn output_text(&self) -> String {
        let Output { stdout, stderr, .. } = &self.output;
        format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
    }

    fn document(&self) -> &Value {
        &self.report.as_ref().unwrap_or_else(|| panic!("no report: {}", self.output_text())).0
    }

    fn count(&self, list: &str, name: &str) -> u64 {
        let items = self.document()[list].as_array().unwrap();
        items.iter().find(|item| item["name"] == name).map_or(0, |item| item["count"].as_u64().unwrap())
    }

    fn assert_promises_kept(&self) -> &Self {
        assert_eq!(self.code(), Some(0), "{}", self.output_text());
        assert_eq!(self.document()["verdict"]["word"], "kept");
        for promise in
            ["units", "recorded", "limit", "ticket_order", "freed", "settled", "sums", "same_answer"]
        {
            let finding = finding(self.document(), promise);
            assert_eq!(finding["broken"], 0, "{finding}");
        }
        let requests = &self.document()["requests"];
        let [sent, ends @ ..] =
            ["sent", "answered", "unanswered", "lost", "open"].map(|name| requests[name].as_u64().unwrap());
        assert_eq!(ends.iter().sum::<u64>(), sent, "every request has one end: {requests}");
        self
    }
}

fn finding<'a>(document: &'a Value, name: &str) -> &'a Value {
    let result = document["told"].as_array().unwrap();
    result.iter().find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("no {name} in {document}"))
}

/// The document and the page in a folder.
fn report(folder: &Path) -> Option<(Value, String)> {
    let names: Vec<_> = std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).collect();
    let read = |extension: &str| {
        let path = names.iter().find(|path| path.extension().is_some_and(|found| found == extension))?;
        Some(std::fs::read_to_string(path).unwrap())
    };
    Some((serde_json::from_str(&read("json")?).unwrap(), read("html")?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_instance_is_found_whole_and_the_same_seed_makes_the_same_crowd() {
    let (one, other) = tokio::join!(
        RehearseProcess::start(&[&small(&[])]).wait_for_result(),
        RehearseProcess::start(&[&small(&[])]).wait_for_result()
    );
    one.assert_promises_kept();
    assert_eq!(one.count("outcomes", "bought"), 20, "{}", one.output_text());
    assert!(finding(one.document(), "units")["checked"].as_u64().unwrap() >= 20);
    assert_eq!(one.document()["crowd"], other.assert_promises_kept().document()["crowd"]);
    let (document, page) = one.report.as_ref().unwrap();
    assert!(page.contains("<svg") && !page.contains("<script"), "a page with charts and without scripts");
    let command = document["command"].as_str().unwrap();
    assert!(command.contains("--units 20") && command.ends_with("--seed 7"), "{command}");
    assert!(
        one.output_text().contains("ticket_order"),
        "the promises stand in the terminal: {}",
        one.output_text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_sale_without_payment_is_found_whole() {
    let flags = small(&[("--admission", "open"), ("--hold", "0s")]);
    let ended = RehearseProcess::start(&[&flags]).wait_for_result().await;
    assert_eq!(ended.assert_promises_kept().count("outcomes", "bought"), 20, "{}", ended.output_text());
    assert!(ended.count("outcomes", "sold out") > 50, "{}", ended.output_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_who_watch_the_feed_or_a_socket_are_judged_alike() {
    for way in ["feed", "socket"] {
        let flags = small(&[("--admission", "fifo"), ("--watch", way)]);
        let ended = RehearseProcess::start(&[&flags]).wait_for_result().await;
        ended.assert_promises_kept();
    }
}

/// The small drop by the calls of a dialect that sells at once.
fn small_at_once<'a>(dialect: &'a str, changes: &[(&'a str, &'a str)]) -> Vec<&'a str> {
    small(&[&[("--dialect", dialect), ("--hold", ""), ("--lost-reply", "20%")], changes].concat())
}

/// Every unit was sold once, and what buyers read about it was judged; what those read who got none counts for the promise `refusals`.
fn assert_sold_once(ended: &RehearseResult, refusals: &str) {
    let document = ended.assert_promises_kept().document();
    assert_eq!(ended.count("outcomes", "bought"), 20, "{}", ended.output_text());
    assert!(ended.count("outcomes", "sold out") > 50, "{}", ended.output_text());
    for (promise, at_least) in [("recorded", 40), ("units", 20), ("same_answer", 20), (refusals, 50)] {
        let checked = finding(document, promise)["checked"].as_u64().unwrap();
        assert!(checked >= at_least, "{promise}: {checked}");
    }
    assert_eq!(document["notes"].as_array().unwrap().len(), 0, "{document}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_by_the_calls_of_drop_is_found_whole() {
    let ended = RehearseProcess::start(&[&small_at_once("drop", &[])]).wait_for_result().await;
    assert_sold_once(&ended, "no_means_no");
    let settings = ended.document()["settings"].to_string();
    assert!(settings.contains(r#"{"name":"calls","value":"drop"}"#), "{settings}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_by_the_calls_of_turnstile_is_found_whole() {
    let ended = RehearseProcess::start(&[&small_at_once("turnstile", &[])]).wait_for_result().await;
    assert_sold_once(&ended, "sold_out_true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_by_the_calls_of_attempts_is_found_whole() {
    // Few, because each signs up and has a password hashed.
    let few = [("--buyers", "80")];
    let ended = RehearseProcess::start(&[&small_at_once("attempts", &few)]).wait_for_result().await;
    let document = ended.assert_promises_kept().document();
    assert_eq!(ended.count("outcomes", "bought"), 20, "{}", ended.output_text());
    assert!(ended.count("outcomes", "sold out") > 20, "{}", ended.output_text());
    assert!(finding(document, "recorded")["checked"].as_u64().unwrap() >= 40, "{document}");
}

/// The small drop by the calls of `holds`: a line, and a confirmation that pays.
fn small_with_holds<'a>(changes: &[(&'a str, &'a str)]) -> Vec<&'a str> {
    small(&[&[("--dialect", "holds"), ("--lost-reply", "20%")], changes].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_by_the_calls_of_holds_is_found_whole() {
    let ended = RehearseProcess::start(&[&small_with_holds(&[])]).wait_for_result().await;
    let document = ended.assert_promises_kept().document();
    assert_eq!(ended.count("outcomes", "bought"), 20, "{}", ended.output_text());
    for (promise, at_least) in [("recorded", 40), ("first_come", 50), ("place_kept", 50), ("no_means_no", 20)]
    {
        let checked = finding(document, promise)["checked"].as_u64().unwrap();
        assert!(checked >= at_least, "{promise}: {checked}");
    }
    assert_eq!(document["notes"].as_array().unwrap().len(), 0, "{document}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_by_the_calls_of_holds_keeps_every_promise_under_faults() {
    let faults = ["--crash-every", "2500ms", "--disk-full-at", "2s", "--disk-full-for", "1s"];
    let flags = small_with_holds(&[("--per-second", "4")]);
    let ended = RehearseProcess::start(&[&flags, &faults]).wait_for_result().await;
    let document = ended.assert_promises_kept().document();
    assert!(ended.count("outcomes", "bought") > 10, "{}", ended.output_text());
    assert!(document["requests"]["unanswered"].as_u64().unwrap() > 0, "{}", ended.output_text());
    assert!(document["faults"].to_string().contains("killed"), "{document}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_by_the_calls_of_a_dialect_keeps_every_promise_under_faults() {
    let faults = ["--crash-every", "1500ms", "--disk-full-at", "1s", "--disk-full-for", "1s"];
    // So slowly that there is a middle to be killed in.
    let slow = [("--over", "5s"), ("--units", "60")];
    for dialect in ["drop", "turnstile"] {
        let ended =
            RehearseProcess::start(&[&small_at_once(dialect, &slow), &faults]).wait_for_result().await;
        let document = ended.assert_promises_kept().document();
        assert_eq!(ended.count("outcomes", "bought"), 60, "{dialect}: {}", ended.output_text());
        assert!(document["requests"]["unanswered"].as_u64().unwrap() > 0, "{}", ended.output_text());
        let faults = document["faults"].to_string();
        assert!(faults.contains("killed") && faults.contains("disk full"), "{faults}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_instance_is_rehearsed_by_the_calls_of_its_dialect() {
    let port = ReservedPort::reserve();
    let dialect = format!("drop=127.0.0.1:{}", port.get());
    let instance = ServerProcess::with(&["--dialects", &dialect]).await;
    let url = ["--url", instance.url.as_str(), "--admin-email", EMAIL, "--admin-password", PASSWORD];
    let few = small_at_once("drop", &[("--buyers", "40"), ("--units", "5")]);

    let missing = RehearseProcess::start(&[&few, &url]).wait_for_result().await;
    assert_eq!(missing.code(), Some(2), "{}", missing.output_text());
    let output = missing.output_text();
    assert!(output.contains("--dialect-url: there is no dialect drop at"), "{output}");

    let address = format!("http://127.0.0.1:{}", port.get());
    let ended = RehearseProcess::start(&[&few, &url, &["--dialect-url", &address]]).wait_for_result().await;
    ended.assert_promises_kept();
    assert_eq!(ended.count("outcomes", "bought"), 5, "{}", ended.output_text());
    let guests = instance.get("/api/v1/flash-sales", None).await;
    assert_eq!(guests["items"].as_array().unwrap().len(), 2, "each rehearsal made a sale: {guests}");

    let sale = json!({
        "startTime": "2020-01-01T00:00:00Z", "endTime": "2099-01-01T00:00:00Z", "totalStock": 3, "productName": "Lamp",
    });
    let other = ServerProcess::with(&["--dialects", "drop", "--dialect-admin", "open"]).await;
    other.post("/dialects/drop/api/sale/init", &sale, None).await;
    let url = ["--url", other.url.as_str(), "--admin-email", EMAIL, "--admin-password", PASSWORD];
    let refused = RehearseProcess::start(&[&few, &url, &["--i-know-this-is-live"]]).wait_for_result().await;
    assert_eq!(refused.code(), Some(2), "{}", refused.output_text());
    let output = refused.output_text();
    assert!(output.contains("does not sell the sale that the rehearsal has just made"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_killed_starved_and_misled_keeps_every_promise() {
    let faults =
        ["--crash-every", "2500ms", "--disk-full-at", "2s", "--disk-full-for", "1s", "--clock-jump", "-1h"];
    let ended = RehearseProcess::start(&[&small(&[("--per-second", "4")]), &faults]).wait_for_result().await;
    let document = ended.assert_promises_kept().document();
    let done: Vec<&str> =
        document["faults"].as_array().unwrap().iter().map(|fault| fault["what"].as_str().unwrap()).collect();
    for what in ["killed", "answers again", "disk full", "disk free again", "clock jumps by -3600 s"] {
        assert!(done.iter().any(|fault| fault.starts_with(what)), "{what}: {done:?}");
    }
    assert!(document["requests"]["unanswered"].as_u64().unwrap() > 0, "{}", ended.output_text());
    // Not always all: with a clock behind the ledger each start continues from the ledger's last moment, so a hold that would expire
    // after the next kill waits until a buyer acts.
    assert!(ended.count("outcomes", "bought") > 10, "{}", ended.output_text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_of_events_gets_all_of_them_also_from_an_instance_that_is_killed() {
    let faults = ["--events", "--crash-every", "2500ms"];
    let ended = RehearseProcess::start(&[&small(&[("--per-second", "4")]), &faults]).wait_for_result().await;
    let document = ended.assert_promises_kept().document();
    let events = document["events"].as_array().unwrap();
    assert_eq!(events.len(), 4, "{document}");
    for finding in events {
        assert!(finding["checked"].as_u64().unwrap() > 20, "{finding}");
        assert_eq!(finding["broken"], 0, "{finding}");
    }
    assert!(document["faults"].to_string().contains("killed"), "{document}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_instance_sends_events_to_a_rehearsal_that_it_may_reach() {
    let few = small(&[("--buyers", "12"), ("--units", "3")]);
    let flags = ["--limit-auth", "10000/1m", "--public-url", "http://shop.example"];
    let instance = ServerProcess::with(&flags).await;
    let url = ["--url", instance.url.as_str(), "--admin-email", EMAIL, "--admin-password", PASSWORD];
    let refused = RehearseProcess::start(&[&few, &url, &["--events"]]).wait_for_result().await;
    assert_eq!(refused.code(), Some(2), "{}", refused.output_text());
    assert!(refused.output_text().contains("--events: the instance sends no events to http://127.0.0.1"));

    let more = ["--webhooks-allow-http", "--webhooks-allow-private", "127.0.0.0/8"];
    let instance = ServerProcess::with(&[&flags[..], &more[..]].concat()).await;
    let url = ["--url", instance.url.as_str(), "--admin-email", EMAIL, "--admin-password", PASSWORD];
    let ended = RehearseProcess::start(&[&few, &url, &["--events"]]).wait_for_result().await;
    let document = ended.assert_promises_kept().document();
    assert!(document["events"][0]["checked"].as_u64().unwrap() > 10, "{document}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_instance_is_rehearsed_on_a_sale_of_its_own() {
    let instance = ServerProcess::with(&["--limit-auth", "10000/1m"]).await;
    let url = ["--url", instance.url.as_str(), "--admin-email", EMAIL, "--admin-password", PASSWORD];
    // Few, because each signs up and has a password hashed.
    let few = small(&[("--buyers", "12"), ("--units", "3")]);
    let ended = RehearseProcess::start(&[&few, &url]).wait_for_result().await;
    ended.assert_promises_kept();
    assert!(!ended.document().to_string().contains(PASSWORD), "no password in the report");

    let sale = instance.named_sale(Some("the-real-one"), 10, 60, &json!({"type": "open"})).await;
    let refused = RehearseProcess::start(&[&few, &url]).wait_for_result().await;
    assert_eq!(refused.code(), Some(2), "{}", refused.output_text());
    assert!(
        refused.output_text().contains("the-real-one")
            && refused.output_text().contains("--i-know-this-is-live")
    );

    let other = ServerProcess::start().await;
    let foreign = other.data().join("token-key.pem");
    let foreign = ["--i-know-this-is-live", "--token-key", foreign.to_str().unwrap()];
    let refused = RehearseProcess::start(&[&few, &url, &foreign]).wait_for_result().await;
    assert_eq!(refused.code(), Some(2), "{}", refused.output_text());
    assert!(
        refused.output_text().contains("--token-key: the instance does not know"),
        "{}",
        refused.output_text()
    );

    let key = instance.data().join("token-key.pem");
    let like = ["--i-know-this-is-live", "--like", "the-real-one", "--token-key", key.to_str().unwrap()];
    // Without units of its own: they are those of the real sale.
    let flags = small(&[("--buyers", "40"), ("--hold", "1s"), ("--units", "")]);
    let ended = RehearseProcess::start(&[&flags, &url, &like]).wait_for_result().await;
    ended.assert_promises_kept();
    assert_eq!(ended.document()["quantity"], 10, "as many as the real sale has");
    assert!(ended.count("outcomes", "bought") > 0, "{}", ended.output_text());
    let untouched = instance.get(&format!("/api/v1/flash-sales/{sale}"), None).await;
    assert_eq!(untouched["available"], 10, "a rehearsal spends no unit of a real sale: {untouched}");
}

/// The flags that name an instance behind this address, its admin, its key and its database.
fn at<'a>(url: &'a str, key: &'a str, database: &'a str) -> [&'a str; 10] {
    let admin = ["--admin-email", EMAIL, "--admin-password", PASSWORD];
    let [a, b, c, d] = admin;
    ["--url", url, a, b, c, d, "--token-key", key, "--database", database]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_is_judged_from_its_database() {
    let database = PostgresServer::shared().create_database();
    let instance = ServerProcess::on(&database).await;
    let key = instance.token_key().await;
    let key = key.to_str().unwrap();
    let ended =
        RehearseProcess::start(&[&small(&[]), &at(&instance.url, key, &database)]).wait_for_result().await;
    let document = ended.assert_promises_kept().document();
    assert_eq!(ended.count("outcomes", "bought"), 20, "{}", ended.output_text());
    assert_eq!(document["evidence"], "read in PostgreSQL");
    // As much is looked at as over the API: the tables, each order and each event.
    for (promise, at_least) in [("recorded", 40), ("sums", 100), ("units", 20)] {
        let checked = finding(document, promise)["checked"].as_u64().unwrap();
        assert!(checked >= at_least, "{promise}: {checked}");
    }
    assert!(document["ledger"].as_array().unwrap().iter().all(|finding| finding["broken"] == 0));
    assert!(!document.to_string().contains(&database), "no address in the report");

    let other = PostgresServer::shared().create_database();
    let migrated = Command::new(env!("CARGO_BIN_EXE_doorbuster"))
        .args(["migrate", "--database", &other])
        .output()
        .unwrap();
    assert!(migrated.status.success());
    for (flags, printed) in [
        (at(&instance.url, key, &other).to_vec(), "is it the database of this instance?"),
        (at(&instance.url, key, &PostgresServer::shared().create_database()).to_vec(), "doorbuster migrate"),
        (vec!["--database", database.as_str()], "--url"),
    ] {
        let refused = RehearseProcess::start(&[&small(&[]), &flags]).wait_for_result().await;
        assert_eq!(refused.code(), Some(2), "{}", refused.output_text());
        let output = refused.output_text();
        assert!(output.contains("--database: ") && output.contains(printed), "{output}");
        assert!(!output.contains(test_servers::postgres::PASSWORD), "{output}");
    }
}

/// A proxy's reply without an instance behind it is not Doorbuster's, and its request may have been carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_killed_behind_a_proxy_keeps_every_promise() {
    let database = PostgresServer::shared().create_database();
    let mut instance = ServerProcess::on(&database).await;
    let key = instance.token_key().await;
    let address = instance.url.strip_prefix("http://").unwrap();
    let proxy = NginxServer::start(&format!(
        "upstream doorbuster {{ server {address} max_fails=0; keepalive 64; }}
         server {{
             listen 80;
             location / {{
                 proxy_pass http://doorbuster;
                 proxy_http_version 1.1;
                 proxy_set_header Connection \"\";
             }}
         }}"
    ));
    let url = proxy.url();
    let flags = at(&url, key.to_str().unwrap(), &database);
    // So slowly that there is a middle to be killed in.
    let run = RehearseProcess::start(&[&small(&[("--per-second", "4")]), &flags]);
    for _ in 0..2 {
        let before = sold(&instance).await;
        eventually("the crowd buys", HANG_LIMIT, async || sold(&instance).await >= before + 3).await;
        instance.kill();
        instance.launch().await;
    }
    let ended = run.wait_for_result().await;
    ended.assert_promises_kept();
    assert_eq!(ended.count("outcomes", "bought"), 20, "{}", ended.output_text());
    assert!(ended.count("refusals", "unavailable") > 0, "the proxy answered 502: {}", ended.output_text());
}

/// Units that are sold, in all sales.
async fn sold(instance: &ServerProcess) -> u64 {
    let list = instance.get("/api/v1/flash-sales", None).await;
    list["items"].as_array().unwrap().iter().map(|sale| sale["sold"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_that_cannot_run_says_why_in_one_sentence() {
    let instance = ServerProcess::start().await;
    let buyer = json!({"email": "b@example.com", "username": "just-a-buyer", "password": "a long password"});
    instance.post("/api/v1/auth/register", &buyer, None).await;
    let closed = ReservedPort::reserve();
    let unreachable = format!("http://127.0.0.1:{}", closed.get());
    let url = instance.url.as_str();
    let curve = instance.data().join("token-key.pem");
    for (flags, output) in [
        (
            vec!["--url", unreachable.as_str(), "--admin-email", EMAIL, "--admin-password", "x"],
            "does not answer",
        ),
        (
            vec!["--url", "nonsense", "--admin-email", EMAIL, "--admin-password", "x"],
            "write an address such as",
        ),
        (vec!["--url", url], "--admin-email"),
        (vec!["--url", url, "--admin-email", EMAIL, "--admin-password", "wrong"], "does not know an admin"),
        (
            vec!["--url", url, "--admin-email", "b@example.com", "--admin-password", "a long password"],
            "is no admin of",
        ),
        (vec!["--url", url, "--crash-every", "1s"], "--crash-every: only a private instance"),
        (vec!["--like", "some-sale"], "--like: name the instance"),
        (vec!["--abandon", "60%", "--declined", "60%"], "more than 100%"),
        (vec!["--abandon", "60"], "write a share such as 5%"),
        (vec!["--arrival", "/nowhere/curve.csv"], "--arrival: spike, ramp, poisson or a CSV file"),
        (vec!["--arrival", curve.to_str().unwrap()], "--arrival"),
        (vec!["--report", curve.to_str().unwrap()], "--report: nothing can be written"),
    ] {
        let ended = RehearseProcess::start(&[&small(&[]), &flags]).wait_for_result().await;
        assert_eq!(ended.code(), Some(2), "{flags:?}: {}", ended.output_text());
        assert!(ended.output_text().contains(output), "{flags:?}: {}", ended.output_text());
        let lines = ended.output_text().lines().filter(|line| line.starts_with("doorbuster:")).count();
        assert_eq!(lines, 1, "one sentence: {}", ended.output_text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_dies_and_stays_dead_ends_the_rehearsal() {
    let mut instance = ServerProcess::start().await;
    let key = instance.data().join("token-key.pem");
    let url = ["--url", instance.url.as_str(), "--admin-email", EMAIL, "--admin-password", PASSWORD];
    let run =
        RehearseProcess::start(&[&small(&[("--hold", "60s"), ("--token-key", key.to_str().unwrap())]), &url]);
    eventually("the crowd buys", HANG_LIMIT, async || {
        let list = instance.get("/api/v1/flash-sales", None).await;
        list["items"].as_array().unwrap().iter().any(|sale| sale["held"] != 0)
    })
    .await;
    instance.kill();
    let ended = run.wait_for_result().await;
    assert_eq!(ended.code(), Some(1), "{}", ended.output_text());
    let verdict = &ended.document()["verdict"];
    assert_eq!(verdict["word"], "unjudged", "{verdict}");
    assert!(verdict["reason"].as_str().unwrap().contains("has not answered for"), "{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_stops_it_cleans_up_and_reports_what_was_seen() {
    let mut run = RehearseProcess::start(&[&small(&[("--hold", "60s")])]);
    let (pid, output) = (run.child.id(), run.child.stderr.take().unwrap());
    let on_sale = tokio::task::spawn_blocking(move || {
        BufReader::new(output).lines().map_while(Result::ok).any(|line| line.contains("on sale"))
    });
    assert!(on_sale.await.unwrap(), "the crowd has come");
    let private = child_of(pid).expect("a private instance");
    assert!(Path::new(&format!("/proc/{private}")).exists());
    let stopped = Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap();
    assert!(stopped.success());
    let ended = run.wait_for_result().await;
    assert_eq!(ended.code(), Some(1), "{}", ended.output_text());
    assert_eq!(
        ended.document()["verdict"]["reason"],
        "it was stopped in the middle",
        "{}",
        ended.output_text()
    );
    assert!(ended.document()["requests"]["answered"].as_u64().unwrap() > 0);
    assert!(!Path::new(&format!("/proc/{private}")).exists(), "no instance is left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_shares_the_connections_that_open_files_allow() {
    let ended = RehearseProcess::with_shell("ulimit -n 192 &&", &[&small(&[])]).wait_for_result().await;
    ended.assert_promises_kept();
    let notes = ended.document()["notes"].to_string();
    assert!(notes.contains("shared 64 connections") && notes.contains("192 open files"), "{notes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_for_serve_are_ignored_and_their_passwords_not_printed() {
    let variables = "export DOORBUSTER_VALKEY=redis://:tulip@127.0.0.1:1 \
                     DOORBUSTER_DATABASE=postgres://ada:tulip@127.0.0.1:1/shop DOORBUSTER_BUYERS=100 &&";
    let ended =
        RehearseProcess::with_shell(variables, &[&small(&[("--buyers", "")])]).wait_for_result().await;
    let document = ended.assert_promises_kept().document();
    assert_eq!(document["evidence"], "read through the API");
    let command = document["command"].as_str().unwrap();
    assert!(command.starts_with("DOORBUSTER_BUYERS=100 doorbuster rehearse"), "{command}");
    let (_, page) = ended.report.as_ref().unwrap();
    assert!(!document.to_string().contains("tulip") && !page.contains("tulip"), "{command}");
}

/// The first child of a process.
fn child_of(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
