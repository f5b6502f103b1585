//! Takes what is recorded out of the outboxes, beside the recording: nobody waits for it. What it misses stays there, and whoever finds
//! it sees that the ledger has it.

use crate::decide::valkey::Outbox;
use sale::{SaleId, Seq};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// What may wait to be taken out. Beyond it some stays until the sale's next event is recorded.
const WAITING_MAX: usize = 1_024;

/// A task that takes out; it ends with this.
pub(super) struct Trimming {
    recorded: mpsc::Sender<(SaleId, Seq)>,
}

impl Trimming {
    /// Starts it in the runtime that this is called in.
    pub(super) fn start(outbox: Outbox) -> Self {
        let (recorded, inbox) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(outbox, inbox));
        Self { recorded }
    }

    /// All events of a sale up to this one are in the ledger.
    pub(super) fn recorded(&self, sale: SaleId, last: Seq) {
        let _stays = self.recorded.try_send((sale, last));
    }
}

async fn run(mut outbox: Outbox, mut inbox: mpsc::Receiver<(SaleId, Seq)>) {
    let mut lasts: HashMap<SaleId, Seq> = HashMap::new();
    let mut news = Vec::new();
    while inbox.recv_many(&mut news, WAITING_MAX).await > 0 {
        for (sale, seq) in news.drain(..) {
            let last = lasts.entry(sale).or_default();
            *last = (*last).max(seq);
        }
        let recorded: Vec<(SaleId, Seq)> = lasts.iter().map(|(sale, seq)| (*sale, *seq)).collect();
        match outbox.forget(&recorded).await {
            Ok(()) => lasts.clear(),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "an outbox is not emptied yet");
            }
        }
    }
}
