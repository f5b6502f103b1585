//! SQL views for programs that read the tables of other shops: the names, columns and types of three designs, over the shop's own tables. In
//! PostgreSQL each design is a schema, in SQLite a prefix. The two differ in types, moments and JSON, so this is the one module with a text
//! for each database. Nothing here reads a view, and nothing is decided by one.

mod attempts;
mod platform;
mod sql;
mod turnstile;

use super::pools::StoreBackend;
use super::{Store, StoreError, StoreTransaction};
use sha2::{Digest, Sha256};
use sql::{SqlFlavour, ViewDefinition};
use sqlx::{AssertSqlSafe, Executor};

pub(super) const STATEMENTS: &[&str] = &[FIND_DIGEST, LOCK_DIGEST, SET_DIGEST];

const FIND_DIGEST: &str = "
SELECT digest FROM view_definitions WHERE name = 'views'";

// Writes what is there already: the row is locked until the transaction ends.
const LOCK_DIGEST: &str = "
UPDATE view_definitions SET digest = digest WHERE name = 'views' RETURNING digest";

const SET_DIGEST: &str = "
UPDATE view_definitions SET digest = $1 WHERE name = 'views'";

/// PostgreSQL's code for a role that may not do something.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Defines the views, unless the database has these definitions. Where the role may make no schemas, it has no views, which is logged.
///
/// # Errors
/// When the database fails.
pub(super) async fn define_views(store: &Store) -> Result<(), StoreError> {
    let flavour = match store.backend {
        StoreBackend::Sqlite => SqlFlavour::Sqlite,
        StoreBackend::Postgres | StoreBackend::PostgresNoTimeout => SqlFlavour::Postgres,
    };
    let statements = build_statements(flavour);
    let digest = digest_statements(&statements);
    let known: String = sqlx::query_scalar(FIND_DIGEST).fetch_one(store.reader()).await?;
    if known == digest {
        return Ok(());
    }
    let mut writing = store.begin().await?;
    match replace_views(&mut writing, statements, &digest).await {
        Ok(()) => writing.commit().await,
        Err(error) if is_forbidden(&error) => {
            writing.rollback().await?;
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "the SQL views could not be defined, because the role may make no schemas; all else works; GRANT CREATE ON DATABASE to the \
                 role if programs read the views, and run `doorbuster migrate`"
            );
            Ok(())
        }
        Err(error) => Err(error),
    }
}

async fn replace_views(
    writing: &mut StoreTransaction,
    statements: Vec<String>,
    digest: &str,
) -> Result<(), StoreError> {
    let known: String = sqlx::query_scalar(LOCK_DIGEST).fetch_one(writing.connection()).await?;
    // Another process has defined them meanwhile.
    if known == digest {
        return Ok(());
    }
    for statement in statements {
        writing.connection().execute(AssertSqlSafe(statement)).await?;
    }
    sqlx::query(SET_DIGEST).bind(digest).execute(writing.connection()).await?;
    Ok(())
}

fn is_forbidden(error: &StoreError) -> bool {
    let StoreError::Database(error) = error else { return false };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == INSUFFICIENT_PRIVILEGE)
}

/// The statements that define all views. In PostgreSQL a view that is there is replaced, so that its grants stay.
fn build_statements(flavour: SqlFlavour) -> Vec<String> {
    let mut statements = Vec::new();
    if flavour == SqlFlavour::Postgres {
        let schemas = ["platform", "turnstile", "attempts"];
        statements.extend(schemas.map(|schema| format!("CREATE SCHEMA IF NOT EXISTS {schema}")));
    }
    for view in all_views(flavour) {
        let ViewDefinition { schema, name, columns, source } = view;
        let columns: Vec<String> =
            columns.into_iter().map(|(name, expression)| format!("    {expression} AS {name}")).collect();
        let select = format!("SELECT\n{}\n{source}", columns.join(",\n"));
        match flavour {
            SqlFlavour::Postgres => {
                statements.push(format!("CREATE OR REPLACE VIEW {schema}.{name} AS\n{select}"));
            }
            SqlFlavour::Sqlite => {
                statements.push(format!("DROP VIEW IF EXISTS {schema}_{name}"));
                statements.push(format!("CREATE VIEW {schema}_{name} AS\n{select}"));
            }
        }
    }
    statements
}

fn all_views(flavour: SqlFlavour) -> Vec<ViewDefinition> {
    [platform::views(flavour), turnstile::views(flavour), attempts::views(flavour)].concat()
}

fn digest_statements(statements: &[String]) -> String {
    let mut digest = Sha256::new();
    for statement in statements {
        digest.update(statement);
        digest.update([0]);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_servers::postgres::{PASSWORD, PostgresServer};

    #[tokio::test]
    async fn a_role_that_may_make_no_schemas_has_tables_and_no_views_until_it_may() {
        let server = PostgresServer::shared();
        let url = server.create_database();
        let name = url.rsplit('/').next().unwrap();
        server.run_sql(&url, &format!("CREATE ROLE limited LOGIN PASSWORD '{PASSWORD}'"));
        server.run_sql(&url, "GRANT USAGE, CREATE ON SCHEMA public TO limited");
        let limited = format!("postgres://limited:{PASSWORD}@127.0.0.1:{}/{name}", server.port());
        let store = Store::connect(&limited).await.unwrap();
        store.migrate().await.unwrap();
        assert!(store.is_current().await.unwrap());
        let schemas = || {
            let sql = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'platform'";
            server.run_sql(&url, sql)
        };
        assert_eq!(schemas(), "0");
        server.run_sql(&url, &format!("GRANT CREATE ON DATABASE {name} TO limited"));
        store.migrate().await.unwrap();
        assert_eq!(schemas(), "1");
        // A reader's right outlives another definition.
        server.run_sql(&limited, "GRANT SELECT ON platform.users TO PUBLIC");
        server.run_sql(&limited, "UPDATE view_definitions SET digest = 'of another version'");
        store.migrate().await.unwrap();
        let granted = "SELECT COUNT(*) FROM information_schema.role_table_grants \
                       WHERE table_schema = 'platform' AND grantee = 'PUBLIC'";
        assert_eq!(server.run_sql(&url, granted), "1");
    }
}
