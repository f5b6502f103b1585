//! Hands the sandbox provider its books. The sandbox knows no table and the table knows no provider; here they meet.

use crate::payments::sandbox::{Books, BooksClosed, Line};
use crate::payments::{IntentId, Standing};
use crate::store::Store;
use crate::store::sandbox::{self as table, ChargeRow};
use futures::future::BoxFuture;

/// The sandbox's books in the `sandbox_charges` table. What a call has written is durable when it returns.
pub struct TableBooks(pub Store);

impl Books for TableBooks {
    fn read(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<Line>, BooksClosed>> {
        Box::pin(async move {
            let Some(row) = table::find(&self.0, intent.0).await.map_err(closed)? else { return Ok(None) };
            let standing = row.standing.parse().map_err(closed)?;
            Ok(Some(Line { intent, amount: row.amount, standing }))
        })
    }

    fn add<'a>(&'a self, line: &'a Line) -> BoxFuture<'a, Result<bool, BooksClosed>> {
        Box::pin(async move {
            let row = ChargeRow {
                intent: line.intent.0,
                amount: line.amount,
                standing: line.standing.as_str().to_owned(),
            };
            table::insert(&self.0, &row).await.map_err(closed)
        })
    }

    fn change(
        &self,
        intent: IntentId,
        from: Standing,
        to: Standing,
    ) -> BoxFuture<'_, Result<bool, BooksClosed>> {
        Box::pin(
            async move { table::change(&self.0, intent.0, from.as_str(), to.as_str()).await.map_err(closed) },
        )
    }
}

fn closed(error: impl std::error::Error + Send + Sync + 'static) -> BooksClosed {
    BooksClosed(Box::new(error))
}
