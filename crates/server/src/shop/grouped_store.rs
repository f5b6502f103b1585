//! Runs the writes of concurrent callers in one transaction, whatever each of them writes. Callers whose rows are alike, and can be written
//! by one statement, use [`super::group_commit`] directly.

use super::group_commit::{GroupCommit, RowNotWritten};
use crate::store::{Store, StoreError, StoreTransaction};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

/// The shop's tables with writes that share transactions; clones share them, too.
#[derive(Clone, Debug)]
pub struct GroupedStore {
    store: Store,
    group: GroupCommit<GroupedWrite, ()>,
}

type GroupedWrite =
    Box<dyn for<'a> FnOnce(&'a mut StoreTransaction) -> BoxFuture<'a, Result<(), StoreError>> + Send>;

impl GroupedStore {
    /// Starts the writer. The log names it after `table`.
    #[must_use]
    pub fn start(store: Store, table: &'static str) -> Self {
        let tables = store.clone();
        let write = move |writes: Vec<GroupedWrite>| {
            let tables = tables.clone();
            async move {
                let replies = vec![(); writes.len()];
                let mut writing = tables.begin().await?;
                for write in writes {
                    write(&mut writing).await?;
                }
                writing.commit().await?;
                Ok(replies)
            }
            .boxed()
        };
        Self { store, group: GroupCommit::start(table, Box::new(write)) }
    }

    /// The tables themselves: for reads, and for writes that are rare.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Runs `work` in a transaction that other callers' writes share, and returns its result when that is durable. `work` must leave
    /// nothing behind that it does not want: only an error undoes it, and an error undoes the writes of all callers.
    ///
    /// # Errors
    /// [`StoreError::NotWritten`] when the transaction failed, or it is not known whether it was committed.
    pub async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a mut StoreTransaction) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
    {
        let (result, written) = oneshot::channel();
        let write: GroupedWrite = Box::new(move |writing| {
            async move {
                let _gone = result.send(work(writing).await?);
                Ok(())
            }
            .boxed()
        });
        self.group.write(write).await.map_err(|RowNotWritten| StoreError::NotWritten)?;
        written.await.map_err(|_| StoreError::NotWritten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sandbox::{self, ChargeRow};
    use futures::future::try_join_all;
    use uuid::Uuid;

    #[tokio::test]
    async fn each_caller_gets_its_own_result_when_its_write_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let grouped = GroupedStore::start(store.clone(), "sandbox_charges");
        let insert = |number: u128| {
            let row =
                ChargeRow { intent: Uuid::from_u128(number), amount: None, status: "voided".to_owned() };
            grouped.write(move |writing| async move { sandbox::insert(writing, &row).await }.boxed())
        };
        // Every third one is there already.
        for number in (3..=60).step_by(3) {
            assert!(insert(number).await.unwrap());
        }
        let inserted = try_join_all((1..=60).map(insert)).await.unwrap();
        for (number, is_new) in (1_u128..).zip(inserted) {
            assert_eq!(is_new, number % 3 != 0, "{number}");
            assert!(sandbox::find(&store, Uuid::from_u128(number)).await.unwrap().is_some(), "{number}");
        }
    }

    #[tokio::test]
    async fn a_write_that_fails_undoes_those_that_shared_its_transaction() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let grouped = GroupedStore::start(store.clone(), "sandbox_charges");
        let row = ChargeRow { intent: Uuid::from_u128(1), amount: None, status: "voided".to_owned() };
        // A transaction that stays open until both of the others wait, so that they share the next one.
        let (has_begun, begun) = oneshot::channel();
        let (end, may_end) = oneshot::channel::<()>();
        let first = grouped.write(move |_| {
            async move {
                let _gone = has_begun.send(());
                let _gone = may_end.await;
                Ok(())
            }
            .boxed()
        });
        let others = async {
            begun.await.unwrap();
            let inserted =
                grouped.write(move |writing| async move { sandbox::insert(writing, &row).await }.boxed());
            let failing = grouped.write(|_| async { Err::<(), _>(StoreError::Address) }.boxed());
            let both_wait = async { end.send(()) };
            let (inserted, failing, _) = tokio::join!(biased; inserted, failing, both_wait);
            (inserted, failing)
        };
        let (first, (inserted, failing)) = tokio::join!(first, others);
        assert!(first.is_ok());
        assert!(matches!(inserted, Err(StoreError::NotWritten)));
        assert!(matches!(failing, Err(StoreError::NotWritten)));
        assert_eq!(sandbox::find(&store, Uuid::from_u128(1)).await.unwrap(), None);
    }
}
