//! Statements with a timeout: a database that does not respond must not block its callers. It never retries.

use super::damage::DamageListener;
use super::write_state::WriteState;
use super::write_turn::WriteTurns;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{Any, Describe, Either, Error, Execute, Executor, SqlStr};
use std::io;
use std::time::Duration;

/// An executor of statements with a timeout, if there is one.
#[derive(Debug)]
pub(super) struct WithTimeout<T> {
    pub(super) inner: T,
    pub(super) timeout: Option<Duration>,
    /// Notified of damage that a statement meets.
    pub(super) damage: DamageListener,
    /// Where a failed statement is noted; `None` where statements only read.
    pub(super) writes: Option<WriteState>,
    /// Each statement waits for a turn, where there are any.
    pub(super) turns: WriteTurns,
}

impl<T> WithTimeout<T> {
    /// Statements that write are refused when what they write would be lost.
    fn check_writable(&self) -> Result<(), Error> {
        if self.writes.is_some() { self.damage.check_writable() } else { Ok(()) }
    }
}

/// The result of `work`, or an error when it takes longer.
pub(super) async fn with_timeout<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(limit) = limit else { return work.await };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time")))
    })
}

fn check_error(damage: &DamageListener, writes: Option<&WriteState>, error: &Error) {
    damage.check_error(error);
    if let Some(writes) = writes {
        writes.check_error(error);
    }
}

impl<'c, T: Executor<'c, Database = Any>> Executor<'c> for WithTimeout<T> {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        if let Err(error) = self.check_writable() {
            return stream::once(std::future::ready(Err(error))).boxed();
        }
        let (damage, writes, turns) = (self.damage, self.writes, self.turns);
        let check = move |error: &Error| check_error(&damage, writes.as_ref(), error);
        let (rows, timeout) = (self.inner.fetch_many(query), self.timeout);
        if timeout.is_none() && !turns.are_taken() {
            return rows.inspect_err(check).boxed();
        }
        // Waits for all rows: every list here is bounded and collected anyway.
        let all = async move {
            let _turn = turns.wait().await;
            with_timeout(timeout, rows.try_collect::<Vec<_>>()).await
        };
        let all = all.inspect_err(check);
        stream::once(all).map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        if let Err(error) = self.check_writable() {
            return std::future::ready(Err(error)).boxed();
        }
        let (damage, writes, turns) = (self.damage, self.writes, self.turns);
        let fetched = with_timeout(self.timeout, self.inner.fetch_optional(query));
        async move {
            let _turn = turns.wait().await;
            fetched.await.inspect_err(|error| check_error(&damage, writes.as_ref(), error))
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        with_timeout(self.timeout, self.inner.prepare_with(sql, parameters)).boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>, Error>>
    where
        'c: 'e,
    {
        with_timeout(self.timeout, self.inner.describe(sql)).boxed()
    }
}
