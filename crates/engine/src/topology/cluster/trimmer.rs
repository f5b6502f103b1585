//! Removes recorded events from the outboxes in a task of its own: recording does not wait for it. What it misses stays in the
//! outbox, and an instance that finds it there sees that the ledger has it.

use crate::decide::valkey::Outbox;
use crate::error_text::describe_error;
use sale::{EventSeq, SaleId};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Requests that may wait. When the queue is full, events stay in the outbox until the sale's next event is recorded.
const QUEUE_LEN: usize = 1_024;

/// The task ends when this is dropped.
pub(super) struct OutboxTrimmer {
    recorded: mpsc::Sender<(SaleId, EventSeq)>,
}

impl OutboxTrimmer {
    /// Starts the task in the current runtime.
    pub(super) fn start(outbox: Outbox) -> Self {
        let (recorded, inbox) = mpsc::channel(QUEUE_LEN);
        tokio::spawn(trim_outboxes(outbox, inbox));
        Self { recorded }
    }

    /// Requests the removal of a sale's events up to this one.
    pub(super) fn request_trim(&self, sale: SaleId, last: EventSeq) {
        let _stays = self.recorded.try_send((sale, last));
    }
}

async fn trim_outboxes(mut outbox: Outbox, mut inbox: mpsc::Receiver<(SaleId, EventSeq)>) {
    let mut lasts: HashMap<SaleId, EventSeq> = HashMap::new();
    let mut recorded = Vec::new();
    while inbox.recv_many(&mut recorded, QUEUE_LEN).await > 0 {
        for (sale, seq) in recorded.drain(..) {
            let last = lasts.entry(sale).or_default();
            *last = (*last).max(seq);
        }
        let ends: Vec<(SaleId, EventSeq)> = lasts.iter().map(|(sale, seq)| (*sale, *seq)).collect();
        match outbox.trim(&ends).await {
            Ok(()) => lasts.clear(),
            Err(error) => {
                tracing::debug!(error = describe_error(&error), "an outbox is not emptied yet");
            }
        }
    }
}
