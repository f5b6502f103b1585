//! Purchases of `turnstile` that got no answer, and were decided all the same: by a Valkey or a database that stalled, or by a process that
//! died before it wrote the job.

use crate::client::DialectReply;
use crate::turnstile::{
    ONE_AN_HOUR, RoomSocket, TurnstileProcess, TwoInstances, UNLIMITED, buy, error_message, job, kill_now,
    open_sale, start_with, stock,
};
use futures::future::join_all;
use serde_json::json;
use sqlx::{AnyPool, Connection};
use test_servers::postgres::PostgresServer;
use test_servers::redis::RedisServer;
use test_servers::wait::{HANG_LIMIT, eventually};
use uuid::Uuid;

const UNITS: u32 = 200;
/// Purchases of a stall.
const BUYERS: usize = 6;
/// Stalls of Valkey.
const STALLS: usize = 3;
/// Stalls of the ledger at most until a purchase is recorded late.
const STALLS_MAX: usize = 10;

/// A row of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StoredJob {
    id: String,
    user: String,
}

async fn find_job(database: &AnyPool, key: &str) -> Option<StoredJob> {
    let statement =
        "SELECT id, user_id FROM turnstile_jobs WHERE idempotency_key = $1 AND status = 'completed'";
    let found: Option<(String, String)> =
        sqlx::query_as(statement).bind(key.to_owned()).fetch_optional(database).await.unwrap();
    found.map(|(id, user)| StoredJob { id, user })
}

async fn count(database: &AnyPool, what: &str) -> i64 {
    let statement = format!("SELECT COUNT(*) FROM {what}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(database).await.unwrap()
}

async fn has_guest(database: &AnyPool, name: &str) -> bool {
    let statement = "SELECT COUNT(*) FROM guests WHERE origin = 'turnstile' AND name = $1";
    let rows: i64 = sqlx::query_scalar(statement).bind(name.to_owned()).fetch_one(database).await.unwrap();
    rows == 1
}

/// Buyers of a round buy, and get 503 each.
async fn buy_in_vain(shop: &TwoInstances, users: &[String]) {
    let buying = users.iter().enumerate().map(|(n, user)| buy(&shop.clients[n % 2], user, user));
    for reply in join_all(buying).await {
        error_message(&reply, 503);
    }
}

/// What became of buyers whose requests got 503, once both instances sell again: every unit that was sold gets its job although nobody repeats
/// a request. Returns how many have one.
async fn count_late(shop: &TwoInstances, users: &[String], mut socket: RoomSocket) -> usize {
    let database = shop.one.database().await;
    for (n, client) in shop.clients.iter().enumerate() {
        let probe = Uuid::new_v4().to_string();
        eventually("it sells again", HANG_LIMIT, async || {
            [200, 409].contains(&buy(client, &probe, &probe).await.status.as_u16())
        })
        .await;
        eventually("every unit has a job", HANG_LIMIT, async || {
            let jobs = count(&database, "turnstile_jobs WHERE status = 'completed'").await;
            stock(&shop.clients[n]).await == u64::from(UNITS) - u64::try_from(jobs).unwrap()
        })
        .await;
    }
    let mut late = 0;
    for (n, user) in users.iter().enumerate() {
        let Some(sold) = find_job(&database, user).await else {
            // Neither its key nor its limit is used, unless it is decided just now.
            let repeated = buy(&shop.clients[n % 2], user, user).await;
            assert!([200, 409].contains(&repeated.status.as_u16()), "{repeated:?}");
            assert_eq!(repeated.json()["state"], "completed");
            continue;
        };
        late += 1;
        assert_eq!(&sold.user, user);
        assert!(has_guest(&database, user).await, "{user}");
        let confirmed = socket.wait_for("order_confirmed", |event| event["jobId"] == sold.id.as_str()).await;
        assert_eq!(confirmed["success"], true);
        for client in &shop.clients {
            let other = buy(client, &format!("other-{user}"), user).await;
            error_message(&other, 409);
            assert!(other.json().get("jobId").is_none());
            let repeated = buy(client, user, user).await;
            error_message(&repeated, 409);
            assert_eq!(repeated.json()["jobId"], sold.id.as_str());
        }
        assert_eq!(job(&shop.clients[1], &json!(sold.id)).await["orderStatus"], "COMPLETED");
    }
    assert_eq!(count(&database, "turnstile_stray_orders").await, 0);
    database.close().await;
    late
}

fn round_users(round: usize) -> Vec<String> {
    (0..BUYERS).map(|n| format!("user-{round}-{n}")).collect()
}

async fn join_rooms(shop: &TwoInstances, users: &[String]) -> RoomSocket {
    RoomSocket::join_all(&shop.clients[1], &users.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_that_is_recorded_late_gets_its_job_its_guest_and_its_event() {
    let shop = TwoInstances::start(&ONE_AN_HOUR).await;
    shop.open_sale(UNITS).await;
    let mut late = 0;
    for round in 0..STALLS_MAX {
        let users = round_users(round);
        let socket = join_rooms(&shop, &users).await;
        // Valkey decides, and nothing is recorded.
        let mut lock = sqlx::AnyConnection::connect(&shop.one.database_url()).await.unwrap();
        for statement in ["BEGIN", "LOCK TABLE ledger_entries IN EXCLUSIVE MODE"] {
            sqlx::query(statement).execute(&mut lock).await.unwrap();
        }
        buy_in_vain(&shop, &users).await;
        lock.close().await.unwrap();
        late += count_late(&shop, &users, socket).await;
        if late > 0 {
            return;
        }
    }
    panic!("no purchase was recorded late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_in_a_stall_of_valkey_is_sold_once_or_free_to_be_repeated() {
    let shop = TwoInstances::start(&ONE_AN_HOUR).await;
    shop.open_sale(UNITS).await;
    for round in 0..STALLS {
        let users = round_users(round);
        let socket = join_rooms(&shop, &users).await;
        let frozen = shop.valkey.freeze();
        buy_in_vain(&shop, &users).await;
        drop(frozen);
        // Mostly none is decided late: the state is built again from the ledger.
        count_late(&shop, &users, socket).await;
    }
}

/// Makes the last state of a purchase: its order is made, and its job is not written.
async fn lose_job(database: &AnyPool, key: &str, leased_until: i64) -> String {
    let id = Uuid::new_v4().to_string();
    let copy = "INSERT INTO turnstile_pending_jobs (
            id, idempotency_key, buyer_id, user_id, product_id, sale_id, order_id, created_at, leased_until
        )
        SELECT $1, idempotency_key, buyer_id, user_id, product_id, sale_id, order_id, created_at, $2
        FROM turnstile_jobs WHERE idempotency_key = $3";
    let copied = sqlx::query(copy).bind(id.clone()).bind(leased_until).bind(key.to_owned());
    assert_eq!(copied.execute(database).await.unwrap().rows_affected(), 1);
    for statement in [
        "DELETE FROM guests WHERE name IN (SELECT user_id FROM turnstile_jobs WHERE idempotency_key = $1)",
        "DELETE FROM turnstile_jobs WHERE idempotency_key = $1",
    ] {
        sqlx::query(statement).bind(key.to_owned()).execute(database).await.unwrap();
    }
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn another_buyer_does_not_get_a_unit_for_the_key_of_a_purchase_that_another_instance_made() {
    let shop = TwoInstances::start(&UNLIMITED).await;
    let [one, two] = &shop.clients;
    shop.open_sale(5).await;
    buy(one, "ada", "k").await.expect(200);
    let database = shop.one.database().await;
    // Its instance works on it for ever.
    let id = lose_job(&database, "k", i64::MAX).await;
    let other = buy(two, "bob", "k").await;
    error_message(&other, 409);
    assert!(other.json().get("jobId").is_none());
    let sold = find_job(&database, "k").await;
    assert_eq!(
        sold,
        Some(StoredJob { id: id.clone(), user: "ada".into() }),
        "the first purchase has its job"
    );
    let repeated = buy(two, "ada", "k").await;
    assert_eq!(repeated.expect(409)["jobId"], id.as_str());
    assert_eq!(count(&database, "turnstile_pending_jobs").await, 0);
    for client in &shop.clients {
        eventually("one unit is sold", HANG_LIMIT, async || stock(client).await == 4).await;
    }
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_whose_instance_is_gone_gets_its_job_once_its_lease_is_over() {
    let (app, client) = start_with(&UNLIMITED).await;
    open_sale(&app, 5).await;
    buy(&client, "ada", "k").await.expect(200);
    let database = app.database().await;
    let id = lose_job(&database, "k", 0).await;
    eventually("the job is written", HANG_LIMIT, async || find_job(&database, "k").await.is_some()).await;
    assert_eq!(find_job(&database, "k").await, Some(StoredJob { id, user: "ada".into() }));
    assert_eq!(count(&database, "turnstile_pending_jobs").await, 0);
    error_message(&buy(&client, "bob", "k").await, 409);
    assert_eq!(stock(&client).await, 4);
    database.close().await;
}

/// Holds the writing of jobs up until it is released.
async fn lock_jobs(database: &str) -> sqlx::AnyConnection {
    sqlx::any::install_default_drivers();
    let mut lock = sqlx::AnyConnection::connect(database).await.unwrap();
    for statement in ["BEGIN", "UPDATE changes SET count = count WHERE name = 'turnstile_jobs'"] {
        sqlx::query(statement).execute(&mut lock).await.unwrap();
    }
    lock
}

async fn release_jobs(mut lock: sqlx::AnyConnection) {
    sqlx::query("ROLLBACK").execute(&mut lock).await.unwrap();
    lock.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_whose_job_could_not_be_written_gets_it_when_the_tables_are_back() {
    let url = PostgresServer::shared().create_database();
    let turnstile = TurnstileProcess::start(&["--database", &url]).await;
    turnstile.process.sale(5, 0, &json!({"type": "open"})).await;
    let lock = lock_jobs(&url).await;
    assert_eq!(turnstile.buy("ada", "key").await.unwrap().0, 503);
    release_jobs(lock).await;
    let database = AnyPool::connect(&url).await.unwrap();
    eventually("the job is written", HANG_LIMIT, async || find_job(&database, "key").await.is_some()).await;
    assert!(has_guest(&database, "ada").await);
    let (status, body) = turnstile.buy("bob", "key").await.unwrap();
    assert_eq!(status, 409, "{body}");
    let (status, body) = turnstile.buy("ada", "key").await.unwrap();
    assert_eq!((status, &body["state"]), (409, &json!("completed")), "{body}");
    assert_eq!(turnstile.get("/stock").await["remainingStock"], 4);
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_of_a_process_that_is_killed_before_the_job_gets_it_from_another_process() {
    let (valkey, url) = (RedisServer::start(), PostgresServer::shared().create_database());
    let valkey_url = valkey.url();
    let flags = ["--database", url.as_str(), "--valkey", valkey_url.as_str()];
    let dying = TurnstileProcess::start(&flags).await;
    let other = TurnstileProcess::start(&flags).await;
    let sale = dying.process.sale(5, 0, &json!({"type": "open"})).await;
    let lock = lock_jobs(&url).await;
    let killing = async {
        dying.process.wait_until_sold(&sale, 1).await;
        kill_now(&dying.process);
    };
    let (reply, ()) = tokio::join!(dying.buy("ada", "key"), killing);
    assert!(reply.is_none(), "it was not acknowledged: {reply:?}");
    release_jobs(lock).await;
    let database = AnyPool::connect(&url).await.unwrap();
    assert_eq!(find_job(&database, "key").await, None);
    // Time passes.
    let expired = sqlx::query("UPDATE turnstile_pending_jobs SET leased_until = 0").execute(&database).await;
    assert_eq!(expired.unwrap().rows_affected(), 1, "it was written before the engine was asked");
    eventually("the job is written", HANG_LIMIT, async || find_job(&database, "key").await.is_some()).await;
    assert!(has_guest(&database, "ada").await);
    for (user, has_id) in [("bob", false), ("ada", true)] {
        let (status, body) = other.buy(user, "key").await.unwrap();
        assert_eq!((status, body.get("jobId").is_some()), (409, has_id), "{body}");
    }
    other.process.wait_until_sold(&sale, 1).await;
    assert_eq!(other.get("/stock").await["remainingStock"], 4);
    other.process.verify().await;
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_no_pending_purchase() {
    let shop = TwoInstances::start(&UNLIMITED).await;
    let [one, two] = &shop.clients;
    shop.open_sale(1).await;
    let database = shop.one.database().await;
    assert_eq!(buy(one, "ada", "sold").await.expect(200)["state"], "completed");
    assert_eq!(buy(two, "bob", "sold out").await.expect(200)["state"], "failed");
    one.post("/admin/close", &json!({})).await.expect(200);
    let is_closed = |reply: &DialectReply| reply.status == 403;
    eventually("it is closed", HANG_LIMIT, async || {
        is_closed(&buy(two, "eve", &Uuid::new_v4().to_string()).await)
    })
    .await;
    eventually("no purchase is under way", HANG_LIMIT, async || {
        count(&database, "turnstile_pending_jobs").await == 0
    })
    .await;
    database.close().await;
}
