//! PostgreSQL is killed, stands still, refuses to write, fails, and has no connection left. Nothing is sold that is not recorded.

use crate::flood::Flood;
use crate::topology::{Layout, Topology};
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;

/// How long PostgreSQL fails every write: long enough that every patience in the house has run out several times. (The one who
/// wants the 20 s of the description sets them here; nothing comes of it that these do not show.)
const ERRORS: Duration = Duration::from_secs(6);

/// Does something to PostgreSQL in the middle of a sale, twice.
async fn after(settings: &[&str], happens: impl AsyncFn(&mut Topology, &Flood)) {
    let mut topology = Layout::of(3).postgres(settings).start().await;
    let sale = topology.sale().await;
    let flood = Flood::at_all(&topology, &sale);
    for _ in 0..2 {
        flood.sells(100).await;
        happens(&mut topology, &flood).await;
        topology.is_back().await;
    }
    flood.sells(100).await;
    topology.keeps_its_promises(&sale, &flood.stop().await).await;
    topology.sells_out().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_killed_comes_back_with_all_that_was_told() {
    after(&[], async |topology, flood| {
        topology.postgres.kill();
        flood.is_refused(20).await;
        tokio::task::block_in_place(|| topology.postgres.launch());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_restarted_at_once_is_hardly_noticed() {
    after(&[], async |topology, _| {
        tokio::task::block_in_place(|| {
            topology.postgres.kill();
            topology.postgres.launch();
        });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_may_only_be_read_records_nothing_and_nothing_is_sold() {
    after(&[], async |topology, flood| {
        for setting in ["on", "off"] {
            let database = topology.postgres.url("postgres");
            let sql = format!("ALTER SYSTEM SET default_transaction_read_only = {setting}");
            topology.postgres.sql(&database, &sql);
            topology.postgres.sql(&database, "SELECT pg_reload_conf()");
            if setting == "on" {
                flood.is_refused(50).await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_fails_for_a_while_is_told_of_nothing_twice() {
    after(&[], async |topology, flood| {
        topology.postgres.sql(
            &topology.database,
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; \
             CREATE TRIGGER fail BEFORE INSERT ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION fail()",
        );
        tokio::time::sleep(ERRORS).await;
        flood.is_refused(20).await;
        topology.postgres.sql(&topology.database, "DROP TRIGGER fail ON ledger_entries");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_stands_still_for_two_seconds_again_and_again_makes_nobody_wait_long() {
    after(&[], async |topology, flood| {
        for _ in 0..3 {
            let frozen = topology.postgres.freeze();
            tokio::time::sleep(Duration::from_secs(2)).await;
            drop(frozen);
            flood.sells(20).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_without_a_connection_to_spare_is_waited_for() {
    after(&["max_connections=100", "superuser_reserved_connections=0"], async |topology, flood| {
        let database = topology.database.clone();
        let mut hog = Vec::new();
        // All that there are; then those of the cluster are ended, and their places taken.
        let mut connection = PgConnection::connect(&database).await.unwrap();
        for _ in 0..20 {
            while let Ok(more) = PgConnection::connect(&database).await {
                hog.push(more);
            }
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'doorbuster%'",
            )
            .execute(&mut connection)
            .await
            .unwrap();
        }
        flood.is_refused(20).await;
        for connection in hog {
            connection.close().await.unwrap();
        }
    })
    .await;
}
