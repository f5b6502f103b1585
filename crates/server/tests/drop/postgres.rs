//! Drops on PostgreSQL: the instance is killed, the database is killed, two instances are started by mistake. Whatever happens,
//! `verify --database` finds every promise kept, and no confirmed purchase is lost.

use crate::real::crowd::{BuyerCrowd, BuyerMix};
use crate::real::instance::{EMAIL, PASSWORD as ADMIN_PASSWORD, ServerProcess, text, verify_with};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use test_servers::delay::SchedulingDelay;
use test_servers::postgres::{PASSWORD, PostgresServer};
use test_servers::wait::HANG_LIMIT;

const BUYERS: usize = 300;
const UNITS: u32 = super::UNITS;
/// Kills of the database in one drop.
const KILLS: u64 = 4;

fn open() -> Value {
    json!({"type": "open"})
}

/// Units are sold to buyers who stand in line, so slowly that there is a middle to be killed in.
fn slow() -> Value {
    json!({"type": "fifo", "perSecond": 30, "checkoutSeconds": 10, "lineOpensSecondsBefore": 60})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_when_the_instance_is_killed_in_the_middle_of_a_drop() {
    let mut instance = ServerProcess::on(&PostgresServer::shared().create_database()).await;
    let crowd = BuyerCrowd::register(&instance, BUYERS).await;
    let sale = instance.sale(UNITS, 20, &slow()).await;
    let manners = BuyerMix { abandon_every: 0, decline_every: 9 };
    let replies = crowd.run_with_kills(&mut instance, &sale, UNITS, manners, 3).await;
    assert_eq!(replies.confirmed.len(), UNITS as usize);
    instance.assert_orders_belong_to_buyers(&replies.confirmed).await;
    let report = instance.verify().await;
    assert!(report.contains(&format!("sold {UNITS} = quantity {UNITS}")), "{report}");
    instance.stop_gently().await;
    instance.verify().await;
    assert!(!instance.log().contains(PASSWORD), "{}", instance.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_when_the_database_is_killed_in_the_middle_of_a_drop() {
    let mut postgres = PostgresServer::start();
    let instance = ServerProcess::on(&postgres.create_database()).await;
    let crowd = BuyerCrowd::register(&instance, BUYERS).await;
    let sale = instance.sale(UNITS, 20, &slow()).await;
    let rush = crowd.start(&[&instance], &sale, BuyerMix { abandon_every: 0, decline_every: 9 });
    for kill in 0..KILLS {
        instance.wait_until_sold(&sale, u64::from(UNITS) * (kill + 1) / (KILLS + 2)).await;
        postgres.kill();
        tokio::time::sleep(Duration::from_millis(300 * kill)).await;
        tokio::task::block_in_place(|| postgres.launch());
    }
    let replies = rush.collect_replies().await;
    assert_eq!(replies.confirmed.len(), UNITS as usize);
    instance.assert_orders_belong_to_buyers(&replies.confirmed).await;
    let report = instance.verify().await;
    assert!(report.contains(&format!("sold {UNITS} = quantity {UNITS}")), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_database_refuses_callers_soon_and_selling_resumes() {
    let postgres = PostgresServer::start();
    let instance = ServerProcess::on(&postgres.create_database()).await;
    let sale = instance.sale(1_000_000, 0, &open()).await;
    let tokens = BuyerCrowd::register(&instance, 40).await.tokens;
    let account = json!({"email": "late@example.com", "username": "late", "password": "of this buyer"});
    let order = json!({"flashSaleId": sale, "quantity": 1});
    let send = async |method: Method, path: &str, token: &str, body: &Value| {
        let started = engine::clock::start_stopwatch();
        let request = instance.client.request(method, format!("{}{path}", instance.url));
        let reply = request.bearer_auth(token).json(body).send().await.unwrap();
        (reply.status().as_u16(), reply.headers().contains_key("retry-after"), started.elapsed())
    };
    let delay = SchedulingDelay::start();
    let frozen = postgres.freeze();
    // The first requests wait for a timeout, later ones fail at once.
    for token in &tokens[..10] {
        let (bought, listed, joined, read) = tokio::join!(
            send(Method::POST, "/api/v1/orders", token, &order),
            send(Method::GET, "/api/v1/orders", token, &Value::Null),
            send(Method::POST, "/api/v1/auth/register", token, &account),
            send(Method::GET, "/api/v1/flash-sales", token, &Value::Null),
        );
        for (status, retry_after, took) in [bought, listed, joined] {
            assert_eq!((status, retry_after), (503, true));
            let limit = delay.extend(Duration::from_millis(2_500));
            assert!(took < limit, "a refusal took {took:?}, and {limit:?} are allowed");
        }
        assert_eq!(read.0, 200, "sales can be looked at");
    }
    let ready = send(Method::GET, "/readyz", "", &Value::Null).await;
    assert_eq!(ready.0, 503);
    drop(frozen);
    let started = engine::clock::start_stopwatch();
    let mut sold = 0;
    for token in &tokens[10..] {
        while send(Method::POST, "/api/v1/orders", token, &order).await.0 != 201 {
            let limit = if sold == 0 { delay.extend(Duration::from_secs(5)) } else { HANG_LIMIT };
            assert!(started.elapsed() < limit, "it does not sell again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sold += 1;
    }
    instance.post("/api/v1/auth/register", &account, None).await;
    let report = instance.verify().await;
    // What was refused may have been on its way: then it is sold, and its buyer finds it by asking again.
    assert!(report.contains("sold ") && sold == 30, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_has_not_started_delays_no_caller() {
    let postgres = PostgresServer::start();
    let mut instance = ServerProcess::prepared(&["--database", &postgres.create_database()]);
    let frozen = postgres.freeze();
    instance.spawn();
    // It finds no database, and gives up.
    while !instance.has_ended() {
        let response = instance.client.get(format!("{}/livez", instance.url)).send().await;
        assert!(response.expect_err("no listener").is_connect());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(frozen);
    instance.launch().await;
}

/// Buys with each token, as often as it takes.
async fn buy_each(instance: &ServerProcess, sale: &str, tokens: &[String]) -> Vec<(String, String)> {
    let order = json!({"flashSaleId": sale, "quantity": 1});
    let mut confirmed = Vec::new();
    for token in tokens {
        let reply = instance.post("/api/v1/orders", &order, Some(token)).await;
        assert_eq!(reply["status"], "confirmed", "{reply}");
        confirmed.push((token.clone(), text(&reply, "id")));
    }
    confirmed
}

/// Tries to buy with each token once: the confirmed orders, with their buyers' tokens.
fn buy(
    instance: &ServerProcess,
    sale: &str,
    tokens: Vec<String>,
) -> tokio::task::JoinHandle<Vec<(String, String)>> {
    let (client, url) = (instance.client.clone(), format!("{}/api/v1/orders", instance.url));
    let order = json!({"flashSaleId": sale, "quantity": 1});
    tokio::spawn(async move {
        let mut reply = Vec::new();
        for token in tokens {
            let response = client.post(&url).bearer_auth(&token).json(&order).send().await.unwrap();
            match response.status() {
                StatusCode::CREATED => {
                    reply.push((token, text(&response.json().await.unwrap(), "id")));
                }
                StatusCode::SERVICE_UNAVAILABLE => assert!(response.headers().contains_key("retry-after")),
                status => panic!("{status} {}", response.text().await.unwrap()),
            }
        }
        reply
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_instances_that_were_started_by_mistake_only_the_second_sells() {
    let database = PostgresServer::shared().create_database();
    let first = ServerProcess::on(&database).await;
    let sale = first.sale(1_000_000, 0, &open()).await;
    let starts_later = json!({"quantity": 10, "admission": slow(), "startsAt": "2098-01-01T00:00:00Z"});
    let upcoming = first.create_sale(&starts_later).await;
    // Both know the tokens: the key is in the database.
    let mut tokens = BuyerCrowd::register(&first, 2_201).await.tokens;
    let (last, other) = (tokens.split_off(2_200), tokens.split_off(2_000));
    let at_first = buy(&first, &sale, tokens);
    let second = ServerProcess::on(&database).await;
    let at_second = buy_each(&second, &sale, &other).await;
    let at_first = at_first.await.unwrap();
    assert!(!at_first.is_empty(), "the first had sold until then");

    let ready = first.client.get(format!("{}/readyz", first.url)).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let output = ready.text().await.unwrap();
    assert!(output.contains("another instance has taken over the ledger"), "{output}");
    let alive = first.client.get(format!("{}/livez", first.url)).send().await.unwrap();
    assert!(alive.status().is_success(), "restarting it would take the ledger from the other one");
    // The start may have been moved meanwhile: what the first knows of it is not said as if it were so.
    let token = &at_first[0].0;
    for path in ["/api/v1/orders", "/api/v1/queue/join"] {
        let asking = first.client.post(format!("{}{path}", first.url)).bearer_auth(token);
        let reply = asking.json(&json!({"flashSaleId": upcoming})).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    let late = buy(&first, &sale, at_first.iter().map(|(token, _)| token.clone()).collect()).await.unwrap();
    assert!(late.is_empty());
    let log = first.log();
    assert_eq!(
        log.matches("another instance has taken over the ledger: this one decides nothing").count(),
        1,
        "{log}"
    );

    // What either of them confirmed is there.
    second.assert_orders_belong_to_buyers(&[at_first.clone(), at_second.clone()].concat()).await;
    second.verify().await;
    let (_, report) = verify_with(&second.data(), &["--json", "--database", &database]);
    let report: Value = serde_json::from_str(&report).unwrap();
    // A purchase that was refused may have been recorded all the same.
    let confirmed = (at_first.len() + at_second.len()) as u64;
    assert!(report["sales"][0]["sold"].as_u64().unwrap() >= confirmed, "{report}");

    // The first drains, and the second sells on.
    let mut first = first;
    first.stop_gently().await;
    buy_each(&second, &sale, &last).await;
}

/// Runs a command of the binary with a database: its exit code, and all that it says.
fn command(arguments: &[&str], database: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    let command = command.current_dir(folder.path()).args(arguments).env("DOORBUSTER_DATABASE", database);
    let output = command.output().unwrap();
    assert!(!folder.path().join("data").exists() || arguments[0] == "serve", "no folder is made");
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!printed.contains(PASSWORD), "{printed}");
    (output.status.code(), printed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_takes_a_database() {
    let postgres = PostgresServer::shared();
    let database = postgres.create_database();
    let serve = ["serve", "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0"];
    let unprepared = command(&[&serve[..], &["--migrate=off"]].concat(), &database);
    assert_eq!(unprepared.0, Some(2), "{}", unprepared.1);
    assert!(unprepared.1.contains("--database: there is no ledger in the database"), "{}", unprepared.1);
    let (code, output) = command(&["verify"], &database);
    assert_eq!((code, output.contains("--database: there is no ledger")), (Some(2), true), "{output}");

    for _ in 0..2 {
        assert_eq!(command(&["migrate"], &database), (Some(0), "The tables are up to date.\n".to_owned()));
    }
    let admin = ["admin", "create", "--email", EMAIL, "--password", ADMIN_PASSWORD];
    let (code, output) = command(&admin, &database);
    assert_eq!(code, Some(0), "{output}");
    let mut instance = ServerProcess::with(&["--database", &database, "--demo", "--migrate", "off"]).await;
    let demo = instance.get("/api/v1/flash-sales/demo", None).await;
    assert_eq!(demo["status"], "upcoming", "{demo}");
    assert!(!instance.log().contains("First start"), "there was an admin already: {}", instance.log());
    let (code, output) = command(&["verify", "--json"], &database);
    assert_eq!(code, Some(0), "{output}");
    instance.stop_gently().await;

    // A restart finds all of it; a ledger that was changed is reported.
    instance.launch().await;
    assert_eq!(instance.get("/api/v1/flash-sales/demo", None).await["id"], demo["id"]);
    instance.stop_gently().await;
    postgres.run_sql(&database, "UPDATE ledger_entries SET crc = crc + 1");
    let (code, output) = command(&["verify"], &database);
    assert_eq!((code, output.contains("its checksum does not fit")), (Some(1), true), "{output}");
    let (code, output) = command(&serve, &database);
    assert_eq!((code, output.contains("its checksum does not fit")), (Some(1), true), "{output}");

    for bad in ["postgres://u:secret@h:port/d", "mysql://u:secret@h/d", "secret"] {
        let (code, output) = command(&["verify"], bad);
        assert_eq!(
            (code, output.contains("--database"), output.contains("secret")),
            (Some(2), true, false),
            "{output}"
        );
    }
    let unreachable = "postgres://u:secret@127.0.0.1:1/d";
    for arguments in [&serve[..], &["migrate"], &["verify"], &admin] {
        let (code, output) = command(arguments, unreachable);
        assert_eq!(
            (code, output.contains("--database"), output.contains("secret")),
            (Some(1), true, false),
            "{output}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_of_a_running_shop_is_a_backup() {
    let postgres = PostgresServer::shared();
    let (database, restored) = (postgres.create_database(), postgres.create_database());
    let instance = ServerProcess::on(&database).await;
    let sale = instance.sale(1_000_000, 0, &open()).await;
    let mut tokens = BuyerCrowd::register(&instance, 1_001).await.tokens;
    let last = tokens.split_off(1_000);
    let dumping = async {
        instance.wait_until_sold(&sale, 20).await;
        assert!(!instance.data().exists(), "there is nothing else to keep");
        let database = database.clone();
        let dump = move || postgres.run_program("pg_dump", &["--no-owner", "--dbname", &database]);
        tokio::task::spawn_blocking(dump).await.unwrap()
    };
    // In the order of the ledger, each with a key of its own.
    let buying = buy_each(&instance, &sale, &tokens);
    let (confirmed, dump) = tokio::join!(buying, dumping);
    postgres.restore(&restored, &dump);
    let (code, report) = verify_with(&instance.data(), &["--database", &restored]);
    assert_eq!(code, Some(0), "{report}");
    let again = ServerProcess::on(&restored).await;
    let sold = again.get(&format!("/api/v1/flash-sales/{sale}"), None).await["sold"].as_u64().unwrap();
    assert!(sold <= confirmed.len() as u64);
    again
        .assert_orders_belong_to_buyers(&confirmed[..confirmed.len().min(usize::try_from(sold).unwrap())])
        .await;
    buy_each(&again, &sale, &last).await;
    again.verify().await;
    instance.verify().await;
}
