//! Copies the tables of `shop.db` into a database, whatever they are: both have the same migrations, and only columns of numbers and
//! of texts. It reads and writes a page at a time, and knows no table by its name except those that no copy has.

use super::{Store, StoreError, StoreTransaction};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row, SqlSafeStr};
use std::collections::HashSet;

/// Rows that are read at a time.
const PAGE_LEN: i64 = 500;
/// Parameters of a statement at most; both databases take 32,766 and more.
const PARAMETERS_MAX: usize = 2_000;

/// Tables that have rows as soon as the migrations have run.
const SEEDED: [&str; 2] = ["changes", "integer_id_counters"];

// The names of tables are asked of SQLite alone, so these are not among the statements that both databases prepare.

const TABLES: &str = "
SELECT name FROM sqlite_schema
WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT IN ('_sqlx_migrations', 'moves', 'view_definitions')
ORDER BY name";

const COLUMNS: &str = "
SELECT name, type FROM pragma_table_info($1) ORDER BY cid";

const REFERENCES: &str = "
SELECT DISTINCT \"table\" AS name FROM pragma_foreign_key_list($1)";

/// A table with its columns.
pub struct CopiedTable {
    pub name: String,
    columns: Vec<CopiedColumn>,
}

struct CopiedColumn {
    name: String,
    is_text: bool,
}

/// The tables of `shop.db`, each behind the tables that it refers to.
///
/// # Errors
/// When the file cannot be read, or has a column that is neither a number nor a text.
pub async fn list_tables(from: &Store) -> Result<Vec<CopiedTable>, StoreError> {
    let names: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(from.reader()).await?;
    let mut waiting = Vec::new();
    for name in names {
        let rows = sqlx::query(COLUMNS).bind(name.clone()).fetch_all(from.reader()).await?;
        let columns = rows.iter().map(|row| read_column(&name, row)).collect::<Result<Vec<_>, _>>()?;
        let references: Vec<String> =
            sqlx::query_scalar(REFERENCES).bind(name.clone()).fetch_all(from.reader()).await?;
        waiting.push((CopiedTable { name, columns }, references));
    }
    let (mut tables, mut listed) = (Vec::new(), HashSet::new());
    while !waiting.is_empty() {
        let is_ready = |(table, references): &(CopiedTable, Vec<String>)| {
            references.iter().all(|other| *other == table.name || listed.contains(other))
        };
        let (ready, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
        if ready.is_empty() {
            let id = later.iter().map(|(table, _)| table.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(StoreError::Damaged {
                table: "sqlite_schema",
                id,
                reason: "tables refer to each other",
            });
        }
        listed.extend(ready.iter().map(|(table, _)| table.name.clone()));
        tables.extend(ready.into_iter().map(|(table, _)| table));
        waiting = later;
    }
    Ok(tables)
}

fn read_column(table: &str, row: &AnyRow) -> Result<CopiedColumn, StoreError> {
    let (name, kind): (String, String) = (row.try_get("name")?, row.try_get("type")?);
    let is_text = match kind.as_str() {
        "TEXT" => true,
        "BIGINT" => false,
        _ => {
            let id = format!("{table}.{name}");
            return Err(StoreError::Damaged {
                table: "sqlite_schema",
                id,
                reason: "a column of an unknown kind",
            });
        }
    };
    Ok(CopiedColumn { name, is_text })
}

/// The first of the tables that has rows which no migration wrote.
///
/// # Errors
/// When the database fails.
pub async fn find_filled_table<'a>(
    store: &Store,
    tables: &'a [CopiedTable],
) -> Result<Option<&'a str>, StoreError> {
    for table in tables.iter().filter(|table| !SEEDED.contains(&table.name.as_str())) {
        if count_rows(store, table).await? > 0 {
            return Ok(Some(&table.name));
        }
    }
    Ok(None)
}

/// How many rows a table has.
///
/// # Errors
/// When the database fails.
pub async fn count_rows(store: &Store, table: &CopiedTable) -> Result<u64, StoreError> {
    let text = AssertSqlSafe(format!("SELECT COUNT(*) FROM \"{}\"", table.name));
    let count: i64 = sqlx::query_scalar(text).fetch_one(store.writer()).await?;
    Ok(count.unsigned_abs())
}

/// Removes what migrations wrote into the tables, and with `all` every row.
///
/// # Errors
/// When the database fails.
pub async fn clear_tables(store: &Store, tables: &[CopiedTable], all: bool) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    for table in tables.iter().rev().filter(|table| all || SEEDED.contains(&table.name.as_str())) {
        let text = AssertSqlSafe(format!("DELETE FROM \"{}\"", table.name));
        sqlx::query(text).execute(writing.connection()).await?;
    }
    writing.commit().await
}

/// Copies the rows of a table, and returns how many there are. A page is one transaction.
///
/// # Errors
/// When either database fails.
pub async fn copy_table(from: &Store, to: &Store, table: &CopiedTable) -> Result<u64, StoreError> {
    let (page_text, mut count, mut last) = (table.page_statement().into_sql_str(), 0, i64::MIN);
    loop {
        let page = sqlx::query(page_text.clone()).bind(last).bind(PAGE_LEN);
        let rows = page.fetch_all(from.reader()).await?;
        let Some(end) = rows.last() else { return Ok(count) };
        last = end.try_get("copied_rowid")?;
        count += rows.len() as u64;
        let mut writing = to.begin().await?;
        let rows_max = (PARAMETERS_MAX / table.columns.len()).max(1);
        for rows in rows.chunks(rows_max) {
            table.insert_rows(&mut writing, rows).await?;
        }
        writing.commit().await?;
    }
}

impl CopiedTable {
    fn column_list(&self) -> String {
        let quoted: Vec<String> = self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        quoted.join(", ")
    }

    fn page_statement(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!(
            "SELECT rowid AS copied_rowid, {} FROM \"{}\" WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            self.column_list(),
            self.name
        ))
    }

    async fn insert_rows(&self, writing: &mut StoreTransaction, rows: &[AnyRow]) -> Result<(), StoreError> {
        let groups: Vec<String> = (0..rows.len())
            .map(|row| {
                let first = row * self.columns.len() + 1;
                let parameters = (first..first + self.columns.len()).map(|parameter| format!("${parameter}"));
                format!("({})", parameters.collect::<Vec<_>>().join(", "))
            })
            .collect();
        let text =
            format!("INSERT INTO \"{}\" ({}) VALUES {}", self.name, self.column_list(), groups.join(", "));
        let mut insert = sqlx::query(AssertSqlSafe(text));
        for row in rows {
            insert = self.bind_row(insert, row)?;
        }
        insert.execute(writing.connection()).await?;
        Ok(())
    }

    fn bind_row<'q>(
        &self,
        mut insert: Query<'q, Any, AnyArguments>,
        row: &AnyRow,
    ) -> Result<Query<'q, Any, AnyArguments>, StoreError> {
        for column in &self.columns {
            let name = column.name.as_str();
            insert = if column.is_text {
                insert.bind(row.try_get::<Option<String>, _>(name)?)
            } else {
                insert.bind(row.try_get::<Option<i64>, _>(name)?)
            };
        }
        Ok(insert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_servers::postgres::PostgresServer;

    async fn migrated_folder() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn every_table_comes_behind_those_that_it_refers_to() {
        let (_folder, store) = migrated_folder().await;
        let tables = list_tables(&store).await.unwrap();
        let place = |name: &str| tables.iter().position(|table| table.name == name).unwrap();
        for (table, other) in [
            ("sessions", "users"),
            ("refresh_tokens", "sessions"),
            ("sales", "products"),
            ("sale_products", "products"),
            ("mailbox_claims", "sales"),
        ] {
            assert!(place(table) > place(other), "{table} and {other}");
        }
        assert!(tables.iter().all(|table| table.name != "moves" && table.name != "_sqlx_migrations"));
    }

    #[tokio::test]
    async fn tables_that_migrations_have_just_made_count_as_empty() {
        let (_folder, store) = migrated_folder().await;
        let tables = list_tables(&store).await.unwrap();
        let database = Store::connect(&PostgresServer::shared().create_database()).await.unwrap();
        database.migrate().await.unwrap();
        for store in [&store, &database] {
            assert_eq!(find_filled_table(store, &tables).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_table_of_many_pages_is_copied_as_it_is() {
        let (_folder, store) = migrated_folder().await;
        let tables = list_tables(&store).await.unwrap();
        let database = Store::connect(&PostgresServer::shared().create_database()).await.unwrap();
        database.migrate().await.unwrap();
        let attempts = tables.iter().find(|table| table.name == "attempts").unwrap();
        sqlx::query(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1234)
             INSERT INTO attempts (id, sale_id, buyer_id, action, code, count, at)
             SELECT 'id ' || n, 's', CASE WHEN n % 3 = 0 THEN 'büyer' END, 'reserve', 'sold_out', n, -n FROM numbers",
        )
        .execute(store.writer())
        .await
        .unwrap();
        assert_eq!(copy_table(&store, &database, attempts).await.unwrap(), 1234);
        assert_eq!(find_filled_table(&database, &tables).await.unwrap(), Some("attempts"));
        let all = "SELECT id, buyer_id, count, at FROM attempts ORDER BY count";
        let mut copies = Vec::new();
        for store in [&store, &database] {
            let rows = sqlx::query(all).fetch_all(store.reader()).await.unwrap();
            let values = rows.iter().map(|row| {
                let (id, buyer): (String, Option<String>) = (row.get(0), row.get(1));
                (id, buyer, row.get::<i64, _>(2), row.get::<i64, _>(3))
            });
            copies.push(values.collect::<Vec<_>>());
        }
        assert!(copies[0] == copies[1] && copies[0].len() == 1234);
        clear_tables(&database, &tables, true).await.unwrap();
        assert_eq!(count_rows(&database, attempts).await.unwrap(), 0);
    }
}
