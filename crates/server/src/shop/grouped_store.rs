//! Runs the writes of concurrent payments in one transaction, and those that are alike in one statement. Other tables whose rows are alike
//! use [`super::group_commit`] directly.
//!
//! A payment's next step waits until the step before it is durable, so no two writes of a group build on each other. A write that the database
//! refuses for what is in it fails for its caller alone: nothing of its group is kept, and the group is written again by halves until the write
//! is alone. So a group that has no such write pays nothing for it, as it would with a savepoint for each. A group that the database has undone
//! for the sake of another transaction is written again as it is; while somebody keeps the lock of a row, the halves do not wait for it long.

use super::group_commit::{GroupCommit, RowNotWritten};
use crate::store::payments::{self, BeginResult, LeasedPayment, NewPayment, StepWrite};
use crate::store::sandbox::{self, ChargeChange, ChargeRow};
use crate::store::{Store, StoreError, StoreTransaction};
use engine::error_text::describe_error;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Times that writes of a group are repeated at most because the database has undone them for the sake of another transaction.
const CONFLICT_REPEATS_MAX: u32 = 8;

/// The shop's tables with writes that share transactions; clones share them, too.
#[derive(Clone, Debug)]
pub struct GroupedStore {
    store: Store,
    /// A payment has one of them, which writes its steps.
    groups: Arc<[GroupCommit<GroupedWrite, bool>]>,
}

/// A write of a caller.
enum GroupedWrite {
    Begin(PendingWrite<NewPayment, BeginResult>),
    Step(PendingWrite<StepWrite, Option<LeasedPayment>>),
    AddCharge(PendingWrite<ChargeRow, bool>),
    ChangeCharge(PendingWrite<ChargeChange, Option<ChargeRow>>),
    Other(OtherWrite),
}

/// A write that may run several times: a transaction that failed has left nothing of it.
type OtherWrite =
    Box<dyn for<'a> Fn(&'a mut StoreTransaction) -> BoxFuture<'a, Result<(), StoreError>> + Send + Sync>;

/// A write with its result, which its caller takes when the transaction is committed.
struct PendingWrite<W, T> {
    write: W,
    result: ResultSlot<T>,
}

struct ResultSlot<T>(Arc<Mutex<Option<T>>>);

impl<T> Default for ResultSlot<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for ResultSlot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> ResultSlot<T> {
    fn set(&self, result: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl GroupedStore {
    /// Starts the writers as tasks of a runtime, each with a connection of its own. The log names them after `table`.
    #[must_use]
    pub fn start(store: Store, table: &'static str, runtime: &Handle) -> Self {
        let writers = store.group_writers();
        Self::start_writers(store, table, (runtime, writers))
    }

    fn start_writers(store: Store, table: &'static str, (runtime, writers): (&Handle, usize)) -> Self {
        let groups = (0..writers.max(1)).map(|_| {
            let (tables, connected) = (store.clone(), Arc::new(OnceCell::new()));
            let write = move |writes: Vec<GroupedWrite>| {
                let (tables, connected) = (tables.clone(), Arc::clone(&connected));
                async move {
                    let tables = connected.get_or_try_init(|| tables.open_group_writer()).await?;
                    write_group(tables, &writes).await
                }
                .boxed()
            };
            GroupCommit::start_on(runtime, table, Box::new(write))
        });
        let groups = groups.collect();
        Self { store, groups }
    }

    /// The tables themselves: for reads, and for single statements. Nothing repeats what the database undoes there.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Begins a payment, and returns what became of it when that is durable.
    ///
    /// # Errors
    /// [`StoreError::NotWritten`] when it was not written, or it is not known whether it was; so for every write.
    pub async fn begin_payment(&self, new: NewPayment) -> Result<BeginResult, StoreError> {
        self.submit(new.payment.id, new, GroupedWrite::Begin).await
    }

    /// Takes a step of a payment. `None` when it is in another state, or its lease is lost.
    ///
    /// # Errors
    /// As [`Self::begin_payment`].
    pub async fn take_step(&self, step: StepWrite) -> Result<Option<LeasedPayment>, StoreError> {
        self.submit(step.leased.id, step, GroupedWrite::Step).await
    }

    /// Adds a charge of the sandbox. `false` when its intent has one.
    ///
    /// # Errors
    /// As [`Self::begin_payment`].
    pub async fn add_charge(&self, charge: ChargeRow) -> Result<bool, StoreError> {
        self.submit(charge.intent, charge, GroupedWrite::AddCharge).await
    }

    /// Changes the status of a charge of the sandbox, and returns it as it is then. `None` when it has another status.
    ///
    /// # Errors
    /// As [`Self::begin_payment`].
    pub async fn change_charge(&self, change: ChargeChange) -> Result<Option<ChargeRow>, StoreError> {
        self.submit(change.intent, change, GroupedWrite::ChangeCharge).await
    }

    /// Runs `work` about a payment in a transaction that other callers' writes share, and returns its result when that is durable. `work` may
    /// run several times; it must leave nothing behind that it does not want: only an error undoes it.
    ///
    /// # Errors
    /// As [`Self::begin_payment`].
    pub async fn write<T, W>(&self, payment: Uuid, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a mut StoreTransaction) -> BoxFuture<'a, Result<T, StoreError>>
            + Send
            + Sync
            + 'static,
    {
        let work = Arc::new(work);
        self.submit(payment, (), |PendingWrite { result, .. }| {
            GroupedWrite::Other(Box::new(move |writing| {
                let (work, result) = (Arc::clone(&work), result.clone());
                async move {
                    result.set(work(writing).await?);
                    Ok(())
                }
                .boxed()
            }))
        })
        .await
    }

    async fn submit<W, T>(
        &self,
        payment: Uuid,
        write: W,
        wrap: impl FnOnce(PendingWrite<W, T>) -> GroupedWrite,
    ) -> Result<T, StoreError> {
        let result = ResultSlot::default();
        let write = wrap(PendingWrite { write, result: result.clone() });
        // The last bits of an id are random.
        let group = usize::try_from(payment.as_u128() % self.groups.len() as u128).unwrap_or_default();
        match self.groups[group].write(write).await {
            Ok(true) => result.take().ok_or(StoreError::NotWritten),
            Ok(false) | Err(RowNotWritten) => Err(StoreError::NotWritten),
        }
    }
}

/// Writes a group, in one transaction unless the database refuses one of its writes. Returns which writes are durable.
async fn write_group(tables: &Store, writes: &[GroupedWrite]) -> Result<Vec<bool>, StoreError> {
    let mut is_written = vec![false; writes.len()];
    let (mut repeats_left, mut is_row_locked) = (CONFLICT_REPEATS_MAX, false);
    let mut parts: Vec<Range<usize>> = std::iter::once(0..writes.len()).collect();
    while let Some(part) = parts.pop() {
        match write_together(tables, &writes[part.clone()], is_row_locked).await {
            Ok(()) => is_written[part].fill(true),
            // The other transaction goes on, so this one waits for it.
            Err(error) if error.is_conflict() && repeats_left > 0 => {
                repeats_left -= 1;
                parts.push(part);
            }
            Err(error) if error.concerns_one_write() && part.len() > 1 => {
                is_row_locked |= error.is_locked_out();
                let middle = part.start + part.len() / 2;
                parts.push(middle..part.end);
                parts.push(part.start..middle);
            }
            Err(error) if error.is_conflict() || error.is_locked_out() => tracing::warn!(
                error = describe_error(&error),
                "another transaction was in the way of a write of a payment; its caller gets 503, and the reconciler settles the payment; when this repeats, look for long transactions in the database"
            ),
            Err(error) if error.concerns_one_write() => tracing::warn!(
                error = describe_error(&error),
                "the database refused a write of a payment; its caller gets 503, and the reconciler settles the payment; report it"
            ),
            // What is committed is committed.
            Err(error) if is_written.contains(&true) => {
                let left = part.len() + parts.iter().map(Range::len).sum::<usize>();
                tracing::warn!(
                    error = describe_error(&error),
                    left,
                    "writing the rest of a group of payments failed; its callers get 503, and the reconciler settles the payments; check the database"
                );
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(is_written)
}

/// Runs writes in one transaction, which waits for locked rows for a short time only if `is_row_locked`.
async fn write_together(
    tables: &Store,
    writes: &[GroupedWrite],
    is_row_locked: bool,
) -> Result<(), StoreError> {
    let mut writing = tables.begin().await?;
    if is_row_locked {
        writing.shorten_lock_wait().await?;
    }
    match run_writes(&mut writing, writes).await {
        Ok(()) => writing.commit().await,
        Err(error) => {
            // If that fails, its connection is closed, and the next transaction has another one.
            let _closed = writing.rollback().await;
            Err(error)
        }
    }
}

async fn run_writes(writing: &mut StoreTransaction, writes: &[GroupedWrite]) -> Result<(), StoreError> {
    let (mut begun, mut steps, mut charges, mut changes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for write in writes {
        match write {
            GroupedWrite::Begin(pending) => begun.push(pending),
            GroupedWrite::Step(pending) => steps.push(pending),
            GroupedWrite::AddCharge(pending) => charges.push(pending),
            GroupedWrite::ChangeCharge(pending) => changes.push(pending),
            GroupedWrite::Other(work) => work(writing).await?,
        }
    }
    for mut part in split_by_payment(begun, |new| new.payment.id) {
        // In one order everywhere: two transactions that begin payments of the same orders do not wait for each other.
        part.sort_by_key(|pending| pending.write.payment.order.0);
        let rows: Vec<&NewPayment> = part.iter().map(|pending| &pending.write).collect();
        let results = payments::begin_payments(writing, &rows).await?;
        part.iter().zip(results).for_each(|(pending, result)| pending.result.set(result));
    }
    for part in split_by_payment(charges, |charge| charge.intent) {
        let rows: Vec<&ChargeRow> = part.iter().map(|pending| &pending.write).collect();
        let added = sandbox::insert_charges(writing, &rows).await?;
        part.iter().for_each(|pending| pending.result.set(added.contains(&pending.write.intent)));
    }
    for part in split_by_payment(changes, |change| change.intent) {
        let rows: Vec<&ChargeChange> = part.iter().map(|pending| &pending.write).collect();
        let mut changed = sandbox::change_charges(writing, &rows).await?;
        part.iter().for_each(|pending| pending.result.set(changed.remove(&pending.write.intent)));
    }
    for part in split_by_payment(steps, |step| step.leased.id) {
        let rows: Vec<&StepWrite> = part.iter().map(|pending| &pending.write).collect();
        let results = payments::take_steps(writing, &rows).await?;
        part.iter().zip(results).for_each(|(pending, result)| pending.result.set(result));
    }
    Ok(())
}

/// Splits writes so that no part has two about the same payment: one statement writes a part. Nearly always it is one part.
fn split_by_payment<W, T>(
    writes: Vec<&PendingWrite<W, T>>,
    payment: impl Fn(&W) -> Uuid,
) -> Vec<Vec<&PendingWrite<W, T>>> {
    let mut parts: Vec<Vec<&PendingWrite<W, T>>> = Vec::new();
    let mut counts: HashMap<Uuid, usize> = HashMap::new();
    for pending in writes {
        let count = counts.entry(payment(&pending.write)).or_default();
        if *count == parts.len() {
            parts.push(Vec::new());
        }
        parts[*count].push(pending);
        *count += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::{join_all, try_join_all};
    use sqlx::{AnyPool, AssertSqlSafe, Executor};
    use std::sync::atomic::{AtomicU32, Ordering};
    use test_servers::postgres::PostgresServer;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn each_caller_gets_its_own_result_when_its_write_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let grouped = GroupedStore::start(store.clone(), "sandbox_charges", &Handle::current());
        // Every third one is there already.
        for number in (3..=60).step_by(3) {
            assert!(grouped.add_charge(charge(number, "voided")).await.unwrap());
        }
        let inserted =
            try_join_all((1..=60).map(|number| grouped.add_charge(charge(number, "voided")))).await.unwrap();
        for (number, is_new) in (1_u128..).zip(inserted) {
            assert_eq!(is_new, number % 3 != 0, "{number}");
            assert!(sandbox::find(&store, Uuid::from_u128(number)).await.unwrap().is_some(), "{number}");
        }
    }

    /// Has all writes share one transaction: they wait while another is open.
    async fn write_together<T>(grouped: &GroupedStore, writes: impl Future<Output = T>) -> T {
        let (has_begun, begun) = oneshot::channel();
        let (end, may_end) = oneshot::channel::<()>();
        let gates = Mutex::new(Some((has_begun, may_end)));
        let first = grouped.write(Uuid::nil(), move |_| {
            let gates = gates.lock().unwrap().take();
            async move {
                if let Some((has_begun, may_end)) = gates {
                    let _gone = has_begun.send(());
                    let _gone = may_end.await;
                }
                Ok(())
            }
            .boxed()
        });
        let others = async {
            begun.await.unwrap();
            let all_wait = async { end.send(()) };
            let (written, _) = tokio::join!(biased; writes, all_wait);
            written
        };
        let (first, written) = tokio::join!(first, others);
        first.unwrap();
        written
    }

    async fn a_refused_write_fails_for_its_caller_alone(store: Store) {
        store.migrate().await.unwrap();
        let grouped = GroupedStore::start_writers(store.clone(), "sandbox_charges", (&Handle::current(), 1));
        // The table does not take the status of two of them.
        let is_bad = |number: u128| number == 11 || number == 40;
        let status = |number| if is_bad(number) { "nonsense" } else { "authorised" };
        let writes = join_all((1..=60).map(|number| grouped.add_charge(charge(number, status(number)))));
        let failing = grouped.write(Uuid::nil(), |_| async { Err::<(), _>(StoreError::Address) }.boxed());
        let all = async { tokio::join!(writes, failing) };
        let (written, failed) = write_together(&grouped, all).await;
        assert!(matches!(failed, Err(StoreError::NotWritten)));
        for (number, written) in (1_u128..).zip(written) {
            let found = sandbox::find(&store, Uuid::from_u128(number)).await.unwrap();
            assert_eq!(found.is_some(), !is_bad(number), "{number}");
            match written {
                Ok(is_new) => assert!(is_new && !is_bad(number), "{number}"),
                Err(error) => assert!(matches!(error, StoreError::NotWritten) && is_bad(number), "{number}"),
            }
        }
    }

    #[tokio::test]
    async fn a_write_that_sqlite_refuses_fails_for_its_caller_alone() {
        let folder = tempfile::tempdir().unwrap();
        a_refused_write_fails_for_its_caller_alone(Store::open(folder.path()).await.unwrap()).await;
    }

    #[tokio::test]
    async fn a_write_that_postgres_refuses_fails_for_its_caller_alone() {
        let url = PostgresServer::shared().create_database();
        a_refused_write_fails_for_its_caller_alone(Store::connect(&url).await.unwrap()).await;
    }

    #[tokio::test]
    async fn what_postgres_undoes_for_another_transaction_is_written_again() {
        let url = PostgresServer::shared().create_database();
        let store = Store::connect(&url).await.unwrap();
        store.migrate().await.unwrap();
        let grouped = GroupedStore::start_writers(store.clone(), "sandbox_charges", (&Handle::current(), 1));
        let pool = AnyPool::connect(&url).await.unwrap();
        for code in ["40001", "40P01"] {
            let tries = Arc::new(AtomicU32::new(0));
            let (counted, pool) = (Arc::clone(&tries), pool.clone());
            let written = grouped.write(Uuid::nil(), move |_| {
                let (tries, pool) = (Arc::clone(&counted), pool.clone());
                async move {
                    if tries.fetch_add(1, Ordering::SeqCst) == 2 {
                        return Ok(());
                    }
                    let fail =
                        format!("DO $$ BEGIN RAISE EXCEPTION 'undone' USING ERRCODE = '{code}'; END $$");
                    let failed = sqlx::query(AssertSqlSafe(fail)).execute(&pool).await;
                    failed.map(drop).map_err(StoreError::from)
                }
                .boxed()
            });
            written.await.unwrap();
            assert_eq!(tries.load(Ordering::SeqCst), 3, "{code}");
        }
    }

    #[tokio::test]
    async fn a_row_that_another_transaction_keeps_locked_fails_its_own_write_alone() {
        let url = PostgresServer::shared().create_database();
        let store = Store::connect(&url).await.unwrap();
        store.migrate().await.unwrap();
        let grouped = GroupedStore::start_writers(store.clone(), "sandbox_charges", (&Handle::current(), 1));
        assert!(grouped.add_charge(charge(1, "authorised")).await.unwrap());
        let (intent, from, to) = (Uuid::from_u128(1), "authorised", "captured");
        let change = || grouped.change_charge(ChargeChange { intent, from, to, captured_at: None });
        let mut locking = AnyPool::connect(&url).await.unwrap().acquire().await.unwrap();
        locking.execute("BEGIN").await.unwrap();
        locking.execute("SELECT 1 FROM sandbox_charges FOR UPDATE").await.unwrap();
        let writes = join_all((2..=30).map(|number| grouped.add_charge(charge(number, "voided"))));
        let all = async { tokio::join!(writes, change()) };
        let (written, locked_out) = write_together(&grouped, all).await;
        assert!(written.into_iter().all(|written| written.unwrap()));
        assert!(matches!(locked_out, Err(StoreError::NotWritten)));
        assert!(matches!(change().await, Err(StoreError::NotWritten)), "alone, too");
        assert!(store.check_database().await.is_ok(), "the database takes writes");
        locking.execute("ROLLBACK").await.unwrap();
        assert_eq!(change().await.unwrap().unwrap().status, "captured");
    }

    #[tokio::test]
    async fn of_two_writes_about_one_payment_in_a_group_the_second_sees_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let grouped = GroupedStore::start(store, "sandbox_charges", &Handle::current());
        let change = |to| {
            let from = "authorised";
            grouped.change_charge(ChargeChange { intent: Uuid::from_u128(1), from, to, captured_at: None })
        };
        let writes = async {
            tokio::join!(
                biased;
                grouped.add_charge(charge(1, "authorised")),
                grouped.add_charge(charge(1, "voided")),
                change("captured"),
                change("voided"),
            )
        };
        let (first, second, captured, voided) = write_together(&grouped, writes).await;
        assert!(first.unwrap() && !second.unwrap());
        assert_eq!(captured.unwrap().unwrap().status, "captured");
        assert_eq!(voided.unwrap(), None);
    }

    fn charge(number: u128, status: &str) -> ChargeRow {
        ChargeRow {
            intent: Uuid::from_u128(number),
            amount: None,
            status: status.to_owned(),
            refunded_minor: 0,
            order: None,
            page: None,
            captured_at: None,
        }
    }
}
