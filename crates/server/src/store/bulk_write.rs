//! The writes of many callers with one statement that returns which of them it made. A statement waits for its connection's thread or for a
//! round trip, whatever the number of its rows, so callers that write alike share it.

use super::bulk_insert::{BoundQuery, ParameterStyle, StatementTexts, build_values};
use super::{StoreError, StoreTransaction};
use sqlx::any::AnyRow;

/// Rows of a text, and the fewest rows that it is used for. A connection keeps a hundred prepared texts, so there are few sizes, and what is
/// missing to a size is filled.
const SIZES: [(usize, usize); 4] = [(128, 96), (32, 24), (8, 2), (1, 1)];

/// A statement around `VALUES (…), (…) …`. It does the same when a row is there twice: `INSERT … ON CONFLICT DO NOTHING`, or `UPDATE … FROM`
/// these rows.
pub(super) struct BulkWrite {
    /// What comes before `VALUES`.
    head: &'static str,
    /// Values of a row.
    columns: usize,
    /// What comes after the rows.
    tail: &'static str,
    texts: StatementTexts<{ SIZES.len() }>,
}

impl BulkWrite {
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self { head, columns, tail, texts: StatementTexts::new() }
    }

    /// Every text for a database, for the test that prepares them.
    pub(super) fn statements(
        &'static self,
        parameters: ParameterStyle,
    ) -> impl Iterator<Item = &'static str> {
        self.texts(parameters).iter().map(String::as_str)
    }

    /// Writes all rows and returns what the statement returns, in no order; `bind` binds one row's values in order. No two rows may be about
    /// the same row of the table: which of them is written would be chance.
    pub(super) async fn write_rows<T>(
        &'static self,
        writing: &mut StoreTransaction,
        mut rows: &[T],
        bind: impl Fn(BoundQuery, &T) -> BoundQuery,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let texts = self.texts(ParameterStyle::of(writing));
        let mut written = Vec::with_capacity(rows.len());
        while !rows.is_empty() {
            let (index, size) = choose_size(rows.len());
            let (now, later) = rows.split_at(size.min(rows.len()));
            let text: &'static str = &texts[index];
            let filling = now.last().into_iter().cycle().take(size - now.len());
            let bound = now.iter().chain(filling).fold(sqlx::query(text), &bind);
            written.append(&mut bound.fetch_all(writing.connection()).await?);
            rows = later;
        }
        Ok(written)
    }

    fn texts(&'static self, parameters: ParameterStyle) -> &'static [String; SIZES.len()] {
        self.texts.build_once(parameters, |index| {
            let values = build_values(SIZES[index].0, self.columns, parameters);
            format!("{} {values} {}", self.head, self.tail)
        })
    }
}

/// The text for the next of so many rows, and its size.
fn choose_size(rows: usize) -> (usize, usize) {
    let fitting = SIZES.iter().enumerate().find(|(_, (_, fewest))| rows >= *fewest);
    fitting.map_or((SIZES.len() - 1, 1), |(index, (size, _))| (index, *size))
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;
    use sqlx::Row;
    use test_servers::postgres::PostgresServer;

    static INSERT: BulkWrite = BulkWrite::new(
        "INSERT INTO secrets (name, value, created_at)",
        3,
        "ON CONFLICT DO NOTHING RETURNING name",
    );

    static UPDATE: BulkWrite = BulkWrite::new(
        "WITH change (key, old_value, new_value) AS (",
        3,
        ") UPDATE secrets SET value = change.new_value FROM change
        WHERE secrets.name = change.key AND secrets.value = change.old_value
        RETURNING name",
    );

    async fn rows_are_written_once_each_whatever_their_number(store: Store) {
        store.migrate().await.unwrap();
        let mut expected = 0;
        for count in [1_usize, 2, 7, 8, 9, 23, 24, 31, 33, 95, 96, 128, 129, 300] {
            let names: Vec<String> = (0..count).map(|number| format!("{count} {number}")).collect();
            let mut writing = store.begin().await.unwrap();
            for is_new in [true, false] {
                let bind =
                    |query: BoundQuery, name: &String| query.bind(name.clone()).bind("old").bind(0_i64);
                let inserted = INSERT.write_rows(&mut writing, &names, bind).await.unwrap();
                assert_eq!(inserted.len(), if is_new { count } else { 0 }, "of {count}");
            }
            for is_old in [true, false] {
                let bind =
                    |query: BoundQuery, name: &String| query.bind(name.clone()).bind("old").bind("new");
                let updated = UPDATE.write_rows(&mut writing, &names, bind).await.unwrap();
                let mut updated: Vec<String> = updated.iter().map(|row| row.get("name")).collect();
                updated.sort();
                let mut all = names.clone();
                all.sort();
                assert_eq!(updated, if is_old { all } else { Vec::new() }, "of {count}");
            }
            writing.commit().await.unwrap();
            expected += i64::try_from(count).unwrap();
            let new = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM secrets WHERE value = 'new'");
            assert_eq!(new.fetch_one(store.reader()).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn rows_are_written_once_each_in_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        rows_are_written_once_each_whatever_their_number(Store::open(folder.path()).await.unwrap()).await;
    }

    #[tokio::test]
    async fn rows_are_written_once_each_in_postgres() {
        let url = PostgresServer::shared().create_database();
        rows_are_written_once_each_whatever_their_number(Store::connect(&url).await.unwrap()).await;
    }

    #[test]
    fn few_statements_write_many_rows() {
        let statements = |mut rows: usize| {
            let mut count = 0;
            while rows > 0 {
                rows = rows.saturating_sub(choose_size(rows).1);
                count += 1;
            }
            count
        };
        assert_eq!([1, 2, 8, 24, 32, 96, 128].map(statements), [1; 7]);
        assert!((1..=512).map(statements).max().unwrap() <= 8);
    }
}
