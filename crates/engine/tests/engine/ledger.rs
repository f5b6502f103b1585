//! A ledger in memory that fails wherever a ledger can: before a commit, in it, after it, for a while, on a probe, on a
//! read. Panics when the pipeline breaks the ledger's own rules.

use crate::executor::step_aside;
use engine::batch::Batch;
use engine::record::{LedgerPage, LedgerReader, LedgerRecorder, ReadError, RecordError, SaleNumber};
use futures::future::BoxFuture;
use rand::Rng;
use rand::rngs::StdRng;
use sale::{Event, EventSeq, LedgerEntry, SaleId};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::mpsc;

/// How likely each fault is, in percent of appends, probes and scans.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub append: u32,
    pub probe: u32,
    pub scan: u32,
}

pub const NO_FAULTS: Faults = Faults { append: 0, probe: 0, scan: 0 };

#[derive(Clone)]
pub struct SimLedger {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    sales: Vec<(SaleId, Vec<LedgerEntry>)>,
    /// A batch whose append failed, and which the next successful probe may or may not bring to light.
    unsettled_batch: Option<Batch>,
    /// After a failed append, nothing may be appended or read before a probe has succeeded.
    unsettled: bool,
    /// Operations that fail one after the other: a full disk.
    outage: u32,
    faults: Faults,
    rng: StdRng,
    pub appends_failed: u32,
}

fn store_fault<T: From<StoreFault>>() -> T {
    T::from(StoreFault)
}

struct StoreFault;

impl From<StoreFault> for RecordError {
    fn from(_: StoreFault) -> Self {
        Self::Store(Box::new(io::Error::from(io::ErrorKind::StorageFull)))
    }
}

impl From<StoreFault> for ReadError {
    fn from(_: StoreFault) -> Self {
        Self::Store(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)))
    }
}

impl SimLedger {
    pub fn new(rng: StdRng, faults: Faults) -> Self {
        let inner = Inner {
            sales: Vec::new(),
            unsettled_batch: None,
            unsettled: false,
            outage: 0,
            faults,
            rng,
            appends_failed: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.faults = NO_FAULTS;
        inner.outage = 0;
    }

    /// Makes the next `operations` appends and probes fail.
    pub fn fail_next(&self, operations: u32) {
        self.lock().outage = operations;
    }

    pub fn appends_failed(&self) -> u32 {
        self.lock().appends_failed
    }

    pub fn entries(&self, sale: SaleId) -> Vec<LedgerEntry> {
        self.lock()
            .sales
            .iter()
            .find(|(id, _)| *id == sale)
            .map(|(_, entries)| entries.clone())
            .unwrap_or_default()
    }

    pub fn last(&self, sale: SaleId) -> EventSeq {
        self.lock()
            .sales
            .iter()
            .find(|(id, _)| *id == sale)
            .map_or(EventSeq(0), |(_, entries)| EventSeq(entries.len() as u64))
    }

    pub fn has(&self, sale: SaleId, is_it: impl Fn(&Event) -> bool) -> bool {
        let inner = self.lock();
        inner.sales.iter().any(|(id, entries)| *id == sale && entries.iter().any(|entry| is_it(&entry.event)))
    }
}

impl Inner {
    fn is_hit(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn commit(&mut self, batch: &Batch) {
        for (sale, fresh) in &batch.sales {
            let place = self.sales.iter().position(|(id, _)| id == sale).unwrap_or_else(|| {
                self.sales.push((*sale, Vec::new()));
                self.sales.len() - 1
            });
            let entries = &mut self.sales[place].1;
            for entry in fresh {
                assert_eq!(
                    entry.seq.0,
                    entries.len() as u64 + 1,
                    "the ledger of {sale} has a gap or a collision"
                );
                assert!(
                    entries.last().is_none_or(|last| last.at <= entry.at),
                    "time runs backwards in {sale}"
                );
                entries.push(entry.clone());
            }
        }
    }

    fn fails_for_a_while(&mut self) -> bool {
        self.outage = self.outage.saturating_sub(1);
        self.outage > 0
    }
}

impl LedgerRecorder for SimLedger {
    async fn append(&mut self, batch: &Batch) -> Result<(), RecordError> {
        assert!(!batch.is_empty(), "an empty batch is not recorded");
        assert!(!self.lock().unsettled, "appended before a probe has settled the failed append");
        let (before, after) = {
            let mut inner = self.lock();
            (inner.rng.random_range(0..3), inner.rng.random_range(0..3))
        };
        step_aside(before).await;
        let result = {
            let mut inner = self.lock();
            if inner.fails_for_a_while() {
                Err(store_fault())
            } else if inner.faults.append > 0 && {
                let percent = inner.faults.append;
                inner.is_hit(percent)
            } {
                match inner.rng.random_range(0..4) {
                    // Before the commit, and not for this time only.
                    0 => inner.outage = inner.rng.random_range(1..20),
                    // Before the commit.
                    1 => {}
                    // After the commit, and the answer is lost.
                    2 => inner.commit(batch),
                    // During the commit: whether it succeeds is not known yet.
                    _ => inner.unsettled_batch = Some(batch.clone()),
                }
                Err(store_fault())
            } else {
                inner.commit(batch);
                Ok(())
            }
        };
        if result.is_err() {
            let mut inner = self.lock();
            inner.unsettled = true;
            inner.appends_failed += 1;
        }
        step_aside(after).await;
        result
    }

    async fn probe(&mut self) -> Result<(), RecordError> {
        let aside = self.lock().rng.random_range(0..3);
        step_aside(aside).await;
        let mut inner = self.lock();
        let percent = inner.faults.probe;
        if inner.fails_for_a_while() || inner.is_hit(percent) {
            return Err(store_fault());
        }
        if let Some(batch) = inner.unsettled_batch.take()
            && inner.rng.random()
        {
            inner.commit(&batch);
        }
        inner.unsettled = false;
        Ok(())
    }
}

impl LedgerReader for SimLedger {
    fn list_sales(&self) -> BoxFuture<'_, Result<Vec<SaleId>, ReadError>> {
        Box::pin(async { Ok(self.lock().sales.iter().map(|(id, _)| *id).collect()) })
    }

    fn read_entries(
        &self,
        sale: SaleId,
        after: EventSeq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<LedgerEntry>, ReadError>> {
        Box::pin(async move {
            let entries = self.entries(sale);
            Ok(entries.into_iter().filter(|entry| entry.seq > after).take(limit).collect())
        })
    }

    fn find_number(&self, sale: SaleId) -> BoxFuture<'_, Result<Option<SaleNumber>, ReadError>> {
        Box::pin(async move {
            let index = self.lock().sales.iter().position(|(id, _)| *id == sale);
            Ok(index.and_then(|index| i64::try_from(index).ok()).map(SaleNumber::new))
        })
    }

    fn scan(&self) -> mpsc::Receiver<Result<LedgerPage, ReadError>> {
        let mut inner = self.lock();
        assert!(!inner.unsettled, "read before a probe has settled the failed append");
        let mut pages: Vec<Result<LedgerPage, ReadError>> = inner
            .sales
            .iter()
            .flat_map(|(sale, entries)| {
                entries.chunks(7).map(|page| Ok(LedgerPage { sale: *sale, entries: page.to_vec() }))
            })
            .collect();
        let percent = inner.faults.scan;
        if inner.is_hit(percent) {
            pages.truncate(inner.rng.random_range(0..=pages.len()));
            pages.push(Err(store_fault()));
        }
        let (sender, receiver) = mpsc::channel(pages.len().max(1));
        for page in pages {
            sender.try_send(page).expect("the channel was made large enough");
        }
        receiver
    }
}
