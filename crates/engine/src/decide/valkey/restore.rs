//! Handing a sale's state to a server that lacks it, from the ledger and under a new epoch. Of many processes that want to,
//! one does it and the others wait. It never hands over what was not read from the ledger.

use super::calls::{Batch, Said, Time};
use super::nodes::ValkeyError;
use super::wire::Reply;
use super::{CALLS_IN_FLIGHT, Valkey};
use crate::record::{Epoch, Read};
use sale::{SaleId, Seq, State, Timestamp};
use std::time::Duration;

/// Events that are read from the ledger at once.
const PAGE_LEN: usize = 4_096;
/// How often it is looked whether another process has handed a state over, and for how long altogether.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

impl Valkey {
    /// Sees to it that the server has the state of a sale, of `epoch_min` or later. False when there is no such sale, and
    /// none is to begin.
    pub(super) async fn restore(
        &mut self,
        sale: SaleId,
        epoch_min: Epoch,
        begins: bool,
    ) -> Result<bool, ValkeyError> {
        let is_known = self.epochs.epoch(sale).await?.is_some();
        if !is_known && !begins && self.ledger.read(sale, Seq(0), 1).await?.is_empty() {
            return Ok(false);
        }
        match tokio::time::timeout(PATIENCE, self.restore_at_last(sale, epoch_min)).await {
            Ok(restored) => restored.map(|()| true),
            Err(_) => {
                Err(ValkeyError::HandOver { sale, what: "another process is at it for too long".into() })
            }
        }
    }

    async fn restore_at_last(&mut self, sale: SaleId, epoch_min: Epoch) -> Result<(), ValkeyError> {
        loop {
            if self.look(sale, epoch_min).await?.is_some() {
                return Ok(());
            }
            if self.library.claim(sale).await?.is_some() {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            // Whoever claimed it before may have come to the end between the look and the claim.
            if self.look(sale, epoch_min).await?.is_some() {
                return Ok(());
            }
            let epoch = self.epochs.raise(sale).await?;
            let state = fold(self.ledger.as_ref(), sale).await?;
            if self.library.hand_over(sale, epoch, &state).await? {
                tracing::info!(%sale, epoch = epoch.0, seq = state.seq().0, "the state was handed over");
                return Ok(());
            }
        }
    }

    /// Looks at every sale of the ledger, and hands over what the server lacks.
    pub(super) async fn look_at_all(&mut self, ledger: &dyn Read) -> Result<(), ValkeyError> {
        // From the next moment on it is listed again.
        self.listed_at = Timestamp::default();
        for sale in ledger.sales().await? {
            let distrusted = self.distrusted.get(&sale).map_or(Epoch(0), |epoch| Epoch(epoch.0 + 1));
            let recorded = self.epochs.epoch(sale).await?.unwrap_or_default();
            self.see(sale, recorded.max(distrusted)).await?;
        }
        Ok(())
    }

    /// Learns of sales that others have announced.
    pub(super) async fn list(&mut self, now: Timestamp) -> Result<(), ValkeyError> {
        for sale in self.ledger.sales().await? {
            if !self.sales.contains_key(&sale) {
                self.see(sale, Epoch(0)).await?;
            }
        }
        self.listed_at = now;
        Ok(())
    }

    async fn see(&mut self, sale: SaleId, epoch_min: Epoch) -> Result<(), ValkeyError> {
        let seen = match self.look(sale, epoch_min).await? {
            Some(reply) => Some(reply),
            None => {
                self.restore(sale, epoch_min, false).await?;
                self.look(sale, epoch_min).await?
            }
        };
        if let Some(reply) = seen {
            self.learn(reply.at, sale, &reply);
        }
        Ok(())
    }

    /// What the server says of a sale, if it has its state. Nothing is decided by it.
    async fn look(&mut self, sale: SaleId, epoch_min: Epoch) -> Result<Option<Reply>, ValkeyError> {
        let (time, known_policy) = (Time::StandsStill, Seq(0));
        let look = Batch { sale, time, epoch_min, known_policy, requests: Vec::new() };
        let said = self.library.decide(&[look], CALLS_IN_FLIGHT).await?;
        Ok(said.into_iter().find_map(|said| match said {
            Said::Decided(reply) => Some(*reply),
            Said::StateNeeded(_) => None,
        }))
    }
}

async fn fold(ledger: &dyn Read, sale: SaleId) -> Result<State, ValkeyError> {
    let mut state = State::new();
    loop {
        let page = ledger.read(sale, state.seq(), PAGE_LEN).await?;
        page.iter().for_each(|entry| state.apply(entry));
        if page.len() < PAGE_LEN {
            return Ok(state);
        }
    }
}
