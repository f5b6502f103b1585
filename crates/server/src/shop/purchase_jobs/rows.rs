//! Writes the jobs of concurrent requests in one transaction, with the guests that are new. It also notes units that were sold for a key
//! that another job has used, so that they are given back whatever happens next.

use super::JobKey;
use crate::store::guests::{self, GuestRow};
use crate::store::turnstile_jobs::{self as table, JobRow, StrayOrder};
use crate::store::turnstile_pending_jobs::{self as pending_jobs, PendingJobRow};
use crate::store::{Store, StoreError};
use sale::Timestamp;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A decided job. Its number is given to it when it is written.
#[derive(Clone, Debug)]
pub(super) struct NewJob {
    pub row: JobRow,
    /// The guest, when it may be new.
    pub guest: Option<GuestRow>,
    /// Whether no row can have the key, so that it is not looked up.
    pub is_surely_unused: bool,
    /// The row of the pending purchase that ends with this job.
    pub pending: Option<Uuid>,
}

/// What is written of a purchase that is under way.
#[derive(Clone, Debug)]
pub(super) enum PendingWrite {
    /// The engine is about to be asked. Other instances leave the purchase alone until `leased_until`.
    Begin { job: PendingJobRow, leased_until: Timestamp },
    /// It sold nothing.
    Forget(Uuid),
}

/// What the tables know of a key.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyRecord {
    /// The job that has used it.
    pub used: Option<JobRow>,
    /// Purchases with it that are under way or got no answer.
    pub pending: Vec<PendingJobRow>,
}

/// What became of a row.
#[derive(Clone, Debug)]
pub(super) enum JobWrite {
    Written(JobRow),
    /// This job has used the key before.
    KeyTaken(JobRow),
}

/// Writes a batch in one transaction. Returns what became of each row, in order, and the number of the last job.
pub(super) async fn write_batch(
    store: &Store,
    jobs: Vec<NewJob>,
) -> Result<(Vec<JobWrite>, i64), StoreError> {
    let mut writing = store.begin().await?;
    let to_look_up = jobs.iter().filter(|job| !job.is_surely_unused);
    let keys: Vec<&str> = to_look_up.map(|job| job.row.key.as_str()).collect();
    // Where no key can be taken, the number of rows is known before.
    let counted = if keys.is_empty() { jobs.len() } else { 0 };
    let locked = table::lock_numbers(&mut writing, counted).await?;
    let mut last = locked - i64::try_from(counted).unwrap_or(i64::MAX);
    let found = table::find_by_keys_locked(&mut writing, &keys).await?;
    let mut taken: HashMap<String, JobRow> = found.into_iter().map(|row| (row.key.clone(), row)).collect();
    let (mut rows, mut new_guests, mut known) = (Vec::new(), Vec::new(), HashSet::new());
    let mut replies = Vec::with_capacity(jobs.len());
    let ended: Vec<Uuid> = jobs.iter().filter_map(|job| job.pending).collect();
    for NewJob { mut row, guest, .. } in jobs {
        if let Some(before) = taken.get(&row.key) {
            if let Some(stray) = find_stray(before, &row) {
                table::insert_stray(&mut writing, stray).await?;
                new_guests.extend(guest.filter(|guest| known.insert(guest.buyer)));
            }
            replies.push(JobWrite::KeyTaken(before.clone()));
            continue;
        }
        last += 1;
        row.number = last;
        new_guests.extend(guest.filter(|guest| known.insert(guest.buyer)));
        taken.insert(row.key.clone(), row.clone());
        rows.push(row.clone());
        replies.push(JobWrite::Written(row));
    }
    guests::insert(&mut writing, &new_guests).await?;
    table::insert(&mut writing, &rows).await?;
    if rows.len() > counted {
        table::lock_numbers(&mut writing, rows.len() - counted).await?;
    }
    pending_jobs::delete(&mut writing, &ended).await?;
    writing.commit().await?;
    Ok((replies, last))
}

/// Writes what begins and ends in one transaction.
pub(super) async fn write_pending_batch(
    store: &Store,
    writes: Vec<PendingWrite>,
) -> Result<Vec<()>, StoreError> {
    let (mut begun, mut ended, mut lease) = (Vec::new(), Vec::new(), Timestamp(i64::MIN));
    let replies = vec![(); writes.len()];
    for write in writes {
        match write {
            PendingWrite::Begin { job, leased_until } => {
                begun.push(job);
                lease = lease.max(leased_until);
            }
            PendingWrite::Forget(id) => ended.push(id),
        }
    }
    let mut writing = store.begin().await?;
    pending_jobs::insert(&mut writing, &begun, lease).await?;
    pending_jobs::delete(&mut writing, &ended).await?;
    writing.commit().await?;
    Ok(replies)
}

/// Looks up what the tables know of these keys: a query of each table for many callers. Purchases that are under way are read where other
/// instances have some.
pub(super) async fn read_batch(
    store: &Store,
    keys: Vec<JobKey>,
    reads_pending: bool,
) -> Result<Vec<KeyRecord>, StoreError> {
    let texts: Vec<&str> = keys.iter().map(JobKey::as_str).collect();
    let mut records: HashMap<&str, KeyRecord> = HashMap::new();
    // A purchase that ends between the two queries is found by the second one.
    let pending = if reads_pending { pending_jobs::find_by_keys(store, &texts).await? } else { Vec::new() };
    let used = table::find_by_keys(store, &texts).await?;
    for job in &pending {
        records.entry(&job.key).or_default().pending.push(job.clone());
    }
    for job in &used {
        records.entry(&job.key).or_default().used = Some(job.clone());
    }
    Ok(texts.iter().map(|key| records.get(key).cloned().unwrap_or_default()).collect())
}

/// The unit that a job sold, when another job with its key did not sell the same.
fn find_stray(before: &JobRow, row: &JobRow) -> Option<StrayOrder> {
    let order = row.result.order().filter(|order| before.result.order() != Some(*order))?;
    Some(StrayOrder { order, sale: row.sale, created_at: row.created_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::turnstile_jobs::JobResult;
    use sale::{BuyerId, OrderId, SaleId};
    use std::slice;
    use uuid::Uuid;

    const SALE: SaleId = SaleId(Uuid::from_u128(7));

    fn job(key: &str, buyer: u128, result: JobResult) -> NewJob {
        let buyer = BuyerId(Uuid::from_u128(buyer));
        let created_at = Timestamp(1_000);
        let row = JobRow {
            number: 0,
            id: Uuid::new_v4(),
            key: key.into(),
            buyer,
            user: "ada".into(),
            product: "sneaker-001".into(),
            sale: SALE,
            result,
            attempts: 1,
            remaining: 4,
            created_at,
        };
        let guest = GuestRow { buyer, origin: "turnstile", name: "ada".into(), created_at };
        NewJob { row, guest: Some(guest), is_surely_unused: false, pending: None }
    }

    fn sold(order: u128) -> JobResult {
        JobResult::Completed(OrderId(Uuid::from_u128(order)))
    }

    fn numbers(replies: &[JobWrite]) -> Vec<Option<i64>> {
        let number = |reply: &JobWrite| match reply {
            JobWrite::Written(row) => Some(row.number),
            JobWrite::KeyTaken(_) => None,
        };
        replies.iter().map(number).collect()
    }

    #[tokio::test]
    async fn numbers_have_no_gaps_and_a_key_is_used_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let refused = JobResult::Failed("sold_out".into());
        let first = vec![job("a", 1, sold(1)), job("b", 1, refused.clone()), job("a", 2, sold(2))];
        let (replies, last) = write_batch(&store, first).await.unwrap();
        assert_eq!((numbers(&replies), last), (vec![Some(1), Some(2), None], 2));
        let second = vec![job("b", 3, sold(3)), job("c", 3, sold(4)), job("a", 1, sold(1))];
        let (replies, last) = write_batch(&store, second).await.unwrap();
        assert_eq!((numbers(&replies), last), (vec![None, Some(3), None], 3));

        let stray = table::list_stray(&store, 10).await.unwrap();
        let mut orders: Vec<u128> = stray.iter().map(|stray| stray.order.0.as_u128()).collect();
        orders.sort_unstable();
        assert_eq!(orders, [2, 3], "the unit of a repeated job is not given back");
        let listed = table::list_after(&store, 0, 10).await.unwrap();
        assert_eq!(listed.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(listed[1].result, refused);
        assert_eq!(table::find_by_key(&store, "c").await.unwrap(), Some(listed[2].clone()));
        assert_eq!(table::last_number(&store).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn old_failed_jobs_are_forgotten_and_sold_units_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let jobs = vec![job("a", 1, sold(1)), job("b", 2, JobResult::Failed("sold_out".into()))];
        write_batch(&store, jobs).await.unwrap();
        assert_eq!(table::delete_old_failed(&store, Timestamp(1_000), 10).await.unwrap(), 0);
        assert_eq!(table::delete_old_failed(&store, Timestamp(1_001), 10).await.unwrap(), 1);
        assert!(table::find_by_key(&store, "a").await.unwrap().is_some());
        let (replies, _) = write_batch(&store, vec![job("b", 3, sold(3))]).await.unwrap();
        assert_eq!(numbers(&replies), [Some(3)], "the key is free, and its number stays gone");
    }

    #[tokio::test]
    async fn a_pending_purchase_ends_with_its_job_and_is_leased_to_one_instance() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let pending = |key: &str, id: u128| {
            let JobRow { buyer, user, product, sale, created_at, .. } = job(key, id, sold(id)).row;
            let (id, key, order) = (Uuid::from_u128(id), key.into(), OrderId(Uuid::from_u128(id)));
            PendingJobRow { id, key, buyer, user, product, sale, order, created_at }
        };
        let begin =
            |job: &PendingJobRow| PendingWrite::Begin { job: job.clone(), leased_until: Timestamp(50) };
        let (one, two, three) = (pending("a", 1), pending("a", 2), pending("b", 3));
        // The first is written twice, as after a lost reply.
        let writes = [&one, &two, &three, &one].map(begin).to_vec();
        write_pending_batch(&store, writes).await.unwrap();
        write_pending_batch(&store, vec![PendingWrite::Forget(two.id)]).await.unwrap();

        let keys = ["a", "b", "c"].map(|key| JobKey::new(key).unwrap());
        let found = read_batch(&store, keys.to_vec(), true).await.unwrap();
        let known: Vec<_> = found.iter().map(|record| record.pending.as_slice()).collect();
        assert_eq!(known, [slice::from_ref(&one), slice::from_ref(&three), &[]]);
        let decided = NewJob { pending: Some(one.id), ..job("a", 1, sold(1)) };
        write_batch(&store, vec![decided]).await.unwrap();
        let found = read_batch(&store, keys.to_vec(), true).await.unwrap();
        assert!(found[0].pending.is_empty() && found[0].used.is_some());

        let lease = async |now: i64| {
            pending_jobs::lease(&store, Timestamp(now), Timestamp(now + 30), 10).await.unwrap()
        };
        assert_eq!(lease(50).await, [], "its instance works on it");
        assert_eq!(lease(51).await, slice::from_ref(&three));
        assert_eq!(lease(80).await, [], "another has it");
        assert_eq!(lease(82).await, [three]);
    }
}
