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
    texts: StatementTexts<SIZES>,
}

pub(super) type BoundQuery = Query<'static, Any, AnyArguments>;

impl BulkInsert {
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

    /// Writes all rows; `bind` binds one row's columns in order. In Postgres no two rows may hit the same conflict.
    pub(super) async fn insert_rows<T>(
        &'static self,
        writing: &mut StoreTransaction,
        mut rows: &[T],
        bind: impl Fn(BoundQuery, &T) -> BoundQuery,
    ) -> Result<(), StoreError> {
        let texts = self.texts(ParameterStyle::of(writing));
        while !rows.is_empty() {
            let size = rows.len().min(ROWS_MAX).ilog2() as usize;
            let (now, later) = rows.split_at(1 << size);
            let text: &'static str = &texts[size];
            let bound = now.iter().fold(sqlx::query(text), &bind);
            bound.execute(writing.connection()).await?;
            rows = later;
        }
        Ok(())
    }

    fn texts(&'static self, parameters: ParameterStyle) -> &'static [String; SIZES] {
        self.texts.build_once(parameters, |size| {
            format!("{} {} {}", self.head, build_values(1 << size, self.columns, parameters), self.tail)
        })
    }
}

/// How a statement names its parameters. SQLite keeps those with a number in a list, which the library searches from its beginning for each
/// one that it binds: with thousands of them this takes longer than the rows. PostgreSQL wants numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum ParameterStyle {
    Numbered,
    Unnumbered,
}

impl ParameterStyle {
    pub(super) fn of(writing: &StoreTransaction) -> Self {
        if writing.is_sqlite() { Self::Unnumbered } else { Self::Numbered }
    }

    fn name(self, number: usize) -> String {
        match self {
            Self::Numbered => format!("${number}"),
            Self::Unnumbered => "?".to_owned(),
        }
    }
}

/// The texts of one statement for its numbers of rows, for each database.
pub(super) struct StatementTexts<const N: usize> {
    numbered: OnceLock<[String; N]>,
    unnumbered: OnceLock<[String; N]>,
}

impl<const N: usize> StatementTexts<N> {
    pub(super) const fn new() -> Self {
        Self { numbered: OnceLock::new(), unnumbered: OnceLock::new() }
    }

    /// The texts; `build` makes the one at an index.
    pub(super) fn build_once(
        &'static self,
        parameters: ParameterStyle,
        build: impl Fn(usize) -> String,
    ) -> &'static [String; N] {
        let texts = match parameters {
            ParameterStyle::Numbered => &self.numbered,
            ParameterStyle::Unnumbered => &self.unnumbered,
        };
        texts.get_or_init(|| std::array::from_fn(build))
    }
}

/// `VALUES ($1, $2), ($3, $4) …`.
pub(super) fn build_values(rows: usize, columns: usize, parameters: ParameterStyle) -> String {
    let row = |row: usize| {
        let first = row * columns + 1;
        let names: Vec<String> = (first..first + columns).map(|n| parameters.name(n)).collect();
        format!("({})", names.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("VALUES {}", rows.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_parameters_row_by_row() {
        static BULK: BulkInsert = BulkInsert::new("INSERT INTO t (a, b)", 2, "ON CONFLICT DO NOTHING");
        let texts: Vec<&str> = BULK.statements(ParameterStyle::Numbered).collect();
        assert_eq!(texts.len(), 9);
        assert_eq!(texts[1], "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING");
        let texts: Vec<&str> = BULK.statements(ParameterStyle::Unnumbered).collect();
        assert_eq!(texts.len(), 9);
        assert_eq!(texts[1], "INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING");
    }
}
