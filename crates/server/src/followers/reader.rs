//! Reading the ledger for followers: one batch of one sale at a time. It keeps nothing.

use engine::Engine;
use engine::record::ReadError;
use sale::{EventSeq, LedgerEntry, SaleId, Timestamp};

/// The events after `offset`, at most `len_max`.
pub(super) async fn read_batch(
    engine: &Engine,
    sale: SaleId,
    offset: EventSeq,
    len_max: usize,
) -> Result<Vec<LedgerEntry>, ReadError> {
    engine.ledger().read_entries(sale, offset, len_max).await
}

/// An event before all of those since a moment, at most `distance_max` events before them: found by halving.
pub(super) async fn find_event_before(
    engine: &Engine,
    sale: SaleId,
    last: EventSeq,
    since: Timestamp,
    distance_max: u64,
) -> Result<EventSeq, ReadError> {
    let (mut earlier, mut later) = (0, last.0);
    while later - earlier > distance_max {
        let middle = earlier + (later - earlier) / 2;
        let found = read_batch(engine, sale, EventSeq(middle), 1).await?;
        match found.first() {
            Some(entry) if entry.at < since => earlier = middle,
            _ => later = middle,
        }
    }
    Ok(EventSeq(earlier))
}
