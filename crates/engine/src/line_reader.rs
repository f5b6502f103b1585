//! The waiting line of one sale, folded from its ledger: which tickets wait, and nothing of their buyers. It reads what is recorded, so
//! it asks no decider and works alike wherever sales are decided and recorded. It is read on from where it is, and only when asked.

use crate::record::{LedgerReader, ReadError};
use sale::{Event, EventSeq, LineFeed, SaleId, Ticket, WaitingTickets};

/// Events read at a time. Reading blocks its thread, so it is kept to about a millisecond.
const PAGE_LEN: u64 = 512;

#[derive(Debug, Default)]
pub struct LineReader {
    /// The last event in it.
    seq: EventSeq,
    waiting: WaitingTickets,
    /// The last ticket that was given.
    last_ticket: u32,
}

impl LineReader {
    /// Applies a sale's events up to `seq`, or to the end of its ledger. When it is dropped half-way, the next call goes on from there.
    ///
    /// # Errors
    /// When the ledger cannot be read, or is damaged.
    pub async fn read_to(
        &mut self,
        ledger: &dyn LedgerReader,
        sale: SaleId,
        seq: EventSeq,
    ) -> Result<(), ReadError> {
        if seq < self.seq {
            // The ledger was set back: what was read of it may not be there any more.
            *self = Self::default();
        }
        while self.seq < seq {
            let limit = usize::try_from((seq.0 - self.seq.0).min(PAGE_LEN)).unwrap_or(usize::MAX);
            let entries = ledger.read_entries(sale, self.seq, limit).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            for entry in &entries {
                if let Event::Joined { ticket, .. } | Event::Admitted { ticket, .. } = entry.event {
                    self.last_ticket = self.last_ticket.max(ticket.0);
                }
                self.waiting.apply(&entry.event);
            }
            self.seq = last.seq;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The line after the events that were read.
    #[must_use]
    pub fn feed(&self) -> LineFeed {
        LineFeed::new(&self.waiting, Ticket(self.last_ticket))
    }
}
