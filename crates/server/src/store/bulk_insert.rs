//! Many rows with one statement: a follower that writes row by row spends its time on statements, not on rows.

use super::{StoreError, StoreTransaction};
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use std::sync::OnceLock;

/// Rows a statement, at most: on a busy machine, a statement waits longer for its thread than it works. With 13 columns that is 3,328
/// parameters; both databases take 32,766 and more.
const ROWS_MAX: usize = 256;
/// Texts are kept for 1, 2, 4 … [`ROWS_MAX`] rows, so that the connection's statement cache holds them all.
const SIZES: usize = ROWS_MAX.ilog2() as usize + 1;

/// An `INSERT … VALUES (…), (…) …` for any number of rows.
pub(super) struct BulkInsert {
    /// `INSERT INTO t (…)`.
    head: &'static str,
    /// How many columns the head names.
    columns: usize,
    /// `ON CONFLICT …`.
    tail: &'static str,
    statements: OnceLock<[String; SIZES]>,
}

pub(super) type BoundQuery = Query<'static, Any, AnyArguments>;

impl BulkInsert {
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self { head, columns, tail, statements: OnceLock::new() }
    }

    /// Every text it may use, for the test that prepares them.
    pub(super) fn statements(&'static self) -> impl Iterator<Item = &'static str> {
        self.built_statements().iter().map(String::as_str)
    }

    /// Writes all rows; `bind` binds one row's columns in order. In Postgres no two rows may hit the same conflict.
    pub(super) async fn insert_rows<T>(
        &'static self,
        writing: &mut StoreTransaction,
        mut rows: &[T],
        bind: impl Fn(BoundQuery, &T) -> BoundQuery,
    ) -> Result<(), StoreError> {
        while !rows.is_empty() {
            let size = rows.len().min(ROWS_MAX).ilog2() as usize;
            let (now, later) = rows.split_at(1 << size);
            let text: &'static str = &self.built_statements()[size];
            let bound = now.iter().fold(sqlx::query(text), &bind);
            bound.execute(writing.connection()).await?;
            rows = later;
        }
        Ok(())
    }

    fn built_statements(&'static self) -> &'static [String; SIZES] {
        self.statements.get_or_init(|| std::array::from_fn(|size| self.build_statement(1 << size)))
    }

    fn build_statement(&self, rows: usize) -> String {
        let row = |row: usize| {
            let first = row * self.columns + 1;
            let parameters: Vec<String> = (first..first + self.columns).map(|n| format!("${n}")).collect();
            format!("({})", parameters.join(", "))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        format!("{} VALUES {} {}", self.head, rows.join(", "), self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_numbers_its_parameters_row_by_row() {
        static BULK: BulkInsert = BulkInsert::new("INSERT INTO t (a, b)", 2, "ON CONFLICT DO NOTHING");
        let texts: Vec<&str> = BULK.statements().collect();
        assert_eq!(texts.len(), 9);
        assert_eq!(texts[1], "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING");
    }
}
