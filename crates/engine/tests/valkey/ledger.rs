//! A ledger and its epochs in memory, as a database keeps them: a batch is recorded whole, or, when it was decided under an
//! epoch that is over or does not fit, not at all.

use engine::batch::{Batch, Epoch};
use engine::record::{
    EpochStore, LedgerPage, LedgerReader, LedgerRecorder, ReadError, RecordError, SaleNumber,
};
use futures::future::BoxFuture;
use sale::{EventSeq, LedgerEntry, SaleId, SaleState};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::mpsc;

#[derive(Clone, Default)]
pub struct Ledger {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    sales: BTreeMap<SaleId, BTreeMap<EventSeq, LedgerEntry>>,
    epochs: BTreeMap<SaleId, Epoch>,
}

impl Ledger {
    pub fn entries(&self, sale: SaleId) -> Vec<LedgerEntry> {
        self.lock().sales.get(&sale).map(|entries| entries.values().cloned().collect()).unwrap_or_default()
    }

    pub fn fold(&self, sale: SaleId) -> SaleState {
        let mut state = SaleState::new();
        self.entries(sale).iter().for_each(|entry| state.apply(entry));
        state
    }

    pub fn epoch_of(&self, sale: SaleId) -> Option<Epoch> {
        self.lock().epochs.get(&sale).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

impl LedgerRecorder for Ledger {
    async fn append(&mut self, batch: &Batch) -> Result<(), RecordError> {
        let mut inner = self.lock();
        let is_over = |call: &engine::batch::Call| inner.epochs.get(&call.sale) != Some(&call.epoch);
        if batch.calls.iter().any(is_over) {
            return Err(RecordError::Store("it was decided under an epoch that is over".into()));
        }
        for (sale, entries) in &batch.sales {
            let known = inner.sales.get(sale);
            let taken =
                entries.iter().find(|entry| known.is_some_and(|known| known.contains_key(&entry.seq)));
            if let Some(LedgerEntry { seq, .. }) = taken {
                return Err(RecordError::Collision { sale: *sale, seq: *seq });
            }
        }
        for (sale, entries) in &batch.sales {
            let fresh = entries.iter().map(|entry| (entry.seq, entry.clone()));
            inner.sales.entry(*sale).or_default().extend(fresh);
        }
        Ok(())
    }

    async fn probe(&mut self) -> Result<(), RecordError> {
        Ok(())
    }
}

impl LedgerReader for Ledger {
    fn list_sales(&self) -> BoxFuture<'_, Result<Vec<SaleId>, ReadError>> {
        Box::pin(async { Ok(self.lock().sales.keys().copied().collect()) })
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
            let index = self.lock().sales.keys().position(|id| *id == sale);
            Ok(index.and_then(|index| i64::try_from(index).ok()).map(SaleNumber::new))
        })
    }

    fn scan(&self) -> mpsc::Receiver<Result<LedgerPage, ReadError>> {
        let sales: Vec<SaleId> = self.lock().sales.keys().copied().collect();
        let (pages, receiver) = mpsc::channel(sales.len().max(1));
        for sale in sales {
            let entries = self.entries(sale);
            pages.try_send(Ok(LedgerPage { sale, entries })).expect("the channel was made large enough");
        }
        receiver
    }
}

impl EpochStore for Ledger {
    fn load_epoch(&self, sale: SaleId) -> BoxFuture<'_, Result<Option<Epoch>, ReadError>> {
        Box::pin(async move {
            let is_there = !self.entries(sale).is_empty();
            Ok(self.epoch_of(sale).or(is_there.then_some(Epoch(0))))
        })
    }

    fn list_epochs(&self) -> BoxFuture<'_, Result<Vec<(SaleId, Epoch)>, ReadError>> {
        Box::pin(async {
            let inner = self.lock();
            let epoch_of = |sale| inner.epochs.get(sale).copied().unwrap_or_default();
            Ok(inner.sales.keys().map(|sale| (*sale, epoch_of(sale))).collect())
        })
    }

    fn raise_epoch(&self, sale: SaleId) -> BoxFuture<'_, Result<Epoch, ReadError>> {
        Box::pin(async move {
            let mut inner = self.lock();
            let epoch = inner.epochs.entry(sale).or_default();
            epoch.0 += 1;
            Ok(*epoch)
        })
    }
}
