//! PostgreSQL is killed, stands still, refuses to write, fails, and has no connection left. Nothing is sold that is not recorded.

use crate::flood::run_twice_during_sale;
use crate::topology::ClusterLayout;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;

/// How long PostgreSQL fails every write: each timeout passes several times.
const ERRORS: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_comes_back_with_every_confirmed_order() {
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, flood| {
        topology.servers.postgres.kill();
        flood.wait_until_refused(20).await;
        tokio::task::block_in_place(|| topology.servers.postgres.launch());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_restarted_at_once_is_hardly_noticed() {
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, _| {
        tokio::task::block_in_place(|| {
            topology.servers.postgres.kill();
            topology.servers.postgres.launch();
        });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_may_only_be_read_records_nothing_and_nothing_is_sold() {
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, flood| {
        for setting in ["on", "off"] {
            let database = topology.servers.postgres.url("postgres");
            let sql = format!("ALTER SYSTEM SET default_transaction_read_only = {setting}");
            topology.servers.postgres.run_sql(&database, &sql);
            topology.servers.postgres.run_sql(&database, "SELECT pg_reload_conf()");
            if setting == "on" {
                flood.wait_until_refused(50).await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_recorded_once_after_postgres_fails_for_a_while() {
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, flood| {
        topology.servers.postgres.run_sql(
            &topology.database,
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; \
             CREATE TRIGGER fail BEFORE INSERT ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION fail()",
        );
        tokio::time::sleep(ERRORS).await;
        flood.wait_until_refused(20).await;
        topology.servers.postgres.run_sql(&topology.database, "DROP TRIGGER fail ON ledger_entries");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_freezes_repeatedly_delays_no_caller_long() {
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, flood| {
        for _ in 0..3 {
            let frozen = topology.servers.postgres.freeze();
            tokio::time::sleep(Duration::from_secs(2)).await;
            drop(frozen);
            flood.wait_until_sold(20).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_without_a_connection_to_spare_is_waited_for() {
    run_twice_during_sale(ClusterLayout::with_instances(3).postgres(&["max_connections=100", "superuser_reserved_connections=0"]), async |topology, flood| {
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
        flood.wait_until_refused(20).await;
        for connection in hog {
            connection.close().await.unwrap();
        }
    })
    .await;
}
