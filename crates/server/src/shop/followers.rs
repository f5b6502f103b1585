//! The shared followers of the ledger as an operator sees them: how far each has come, and setting one back. It only reads and
//! moves offsets; the process that runs a follower notices a moved offset within a second and continues from it.

use super::projection;
pub use crate::store::followers::FollowerFailure;
use crate::store::followers::{self, FollowerOffset};
use crate::store::{Store, StoreError, event_receivers};
use engine::SaleViews;
use engine::record::{LedgerReader, ReadError, encode_event};
use sale::{EventSeq, LedgerEntry, SaleId, Timestamp};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// Stands in place of the event's digest in an offset whose follower starts the sale again.
pub const REWOUND: &str = "rewound";

/// A receiver that neither ran nor failed for so long is switched off, in milliseconds: it notes every ten minutes that it runs, and fails
/// more often than that.
const SEEN_AGE_MAX_MS: i64 = 1_800_000;

/// How far a follower has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerStatus {
    pub name: String,
    /// Each sale of the ledger, the one with the longest lag first.
    pub sales: Vec<SaleProgress>,
    /// The last outage of its receiver, if it had one.
    pub failure: Option<FollowerFailure>,
    /// When a receiver of events last ran or failed; `None` for any other follower, which always runs.
    pub seen_at: Option<Timestamp>,
}

/// How far a follower has come in one sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaleProgress {
    pub sale: SaleId,
    /// The last event that is delivered; 0 before the first.
    pub delivered: EventSeq,
    /// The last event of the ledger.
    pub last: EventSeq,
}

impl FollowerStatus {
    /// Whether a process runs it. A receiver that was switched off keeps its offsets, and is behind until it is switched on again.
    #[must_use]
    pub fn is_on(&self, now: Timestamp) -> bool {
        self.seen_at.is_none_or(|seen| now.ms_since(seen) <= SEEN_AGE_MAX_MS)
    }

    /// Events of all sales that are not delivered yet.
    #[must_use]
    pub fn count_behind(&self) -> u64 {
        self.sales.iter().map(|sale| sale.count_behind()).sum()
    }
}

impl SaleProgress {
    /// Events that are not delivered yet.
    #[must_use]
    pub fn count_behind(&self) -> u64 {
        self.last.0.saturating_sub(self.delivered.0)
    }
}

/// Where to set a follower back to: the next event that it delivers is the one after `seq`.
#[derive(Clone, Debug)]
pub struct RewindRequest {
    pub name: String,
    pub sale: SaleId,
    pub seq: EventSeq,
}

/// A follower that was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RewoundFollower {
    /// The event after which it continues.
    pub seq: EventSeq,
    /// It drops what it has written of the sale, and writes all of it again.
    pub rewrites_sale: bool,
}

/// Why a follower cannot be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewindRefusal {
    FollowerUnknown,
    /// The ledger has no such sale, or the follower has delivered nothing of it.
    SaleUnknown,
    /// It has only come to this event.
    NotThere(EventSeq),
}

/// The offsets or the ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FollowerQueryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] ReadError),
}

/// The last event of each sale, as it is published.
#[must_use]
pub fn published_heads(views: &SaleViews) -> Vec<(SaleId, EventSeq)> {
    views.list().iter().map(|view| (view.id, view.seq)).collect()
}

/// The last event of each sale, from the ledger itself.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn read_heads(ledger: &dyn LedgerReader) -> Result<Vec<(SaleId, EventSeq)>, ReadError> {
    let mut heads = Vec::new();
    for sale in ledger.list_sales().await? {
        heads.push((sale, find_last(ledger, sale).await?));
    }
    Ok(heads)
}

/// The last event of a sale, found by doubling and then halving: no reader knows it without reading.
async fn find_last(ledger: &dyn LedgerReader, sale: SaleId) -> Result<EventSeq, ReadError> {
    let next = async |after: u64| {
        let entries = ledger.read_entries(sale, EventSeq(after), 1).await?;
        Ok::<_, ReadError>(entries.first().map(|entry| entry.seq.0))
    };
    let (mut known, mut step) = (0, 1);
    while let Some(found) = next(known + step - 1).await? {
        known = found;
        step *= 2;
    }
    // The event `known` is there, and none after `known + step - 1`.
    let mut end = known + step - 1;
    while known < end {
        let middle = known + (end - known) / 2;
        match next(middle).await? {
            Some(found) => known = found,
            None => end = middle,
        }
    }
    Ok(EventSeq(known))
}

/// How far every shared follower has come in the sales of `heads`.
///
/// # Errors
/// When the tables cannot be read.
pub async fn list(
    store: &Store,
    heads: &[(SaleId, EventSeq)],
) -> Result<Vec<FollowerStatus>, FollowerQueryError> {
    let mut offsets: BTreeMap<String, HashMap<SaleId, EventSeq>> = BTreeMap::new();
    offsets.entry(projection::FOLLOWER_NAME.to_owned()).or_default();
    for (name, sale, offset) in followers::list_all(store).await? {
        offsets.entry(name).or_default().insert(sale, offset.seq);
    }
    let mut failures: HashMap<String, FollowerFailure> =
        followers::list_failures(store).await?.into_iter().collect();
    let mut seen: HashMap<String, Timestamp> = event_receivers::list_seen(store).await?.into_iter().collect();
    // One that fails from its first event on has no offset.
    for name in failures.keys() {
        offsets.entry(name.clone()).or_default();
    }
    let status = |(name, delivered): (String, HashMap<SaleId, EventSeq>)| {
        let progress = |(sale, last): &(SaleId, EventSeq)| SaleProgress {
            sale: *sale,
            delivered: delivered.get(sale).copied().unwrap_or_default(),
            last: *last,
        };
        let mut sales: Vec<SaleProgress> = heads.iter().map(progress).collect();
        sales.sort_by_key(|sale| (std::cmp::Reverse(sale.count_behind()), sale.sale));
        let failure = failures.remove(&name);
        let failed_at = failure.as_ref().map(|failure| failure.failed_at);
        let seen_at = seen.remove(&name).map(|seen| failed_at.map_or(seen, |failed| seen.max(failed)));
        FollowerStatus { name, sales, failure, seen_at }
    };
    Ok(offsets.into_iter().map(status).collect())
}

/// Sets a follower back in one sale. The projector cannot go back to the middle of a sale, because its rows are totals of all
/// events: it writes the whole sale again.
///
/// # Errors
/// When the tables or the ledger cannot be read or written.
pub async fn rewind(
    store: &Store,
    ledger: &dyn LedgerReader,
    request: &RewindRequest,
) -> Result<Result<RewoundFollower, RewindRefusal>, FollowerQueryError> {
    let RewindRequest { name, sale, seq } = request;
    let offsets = followers::list_offsets(store, name).await?;
    let is_projector = name == projection::FOLLOWER_NAME;
    if offsets.is_empty() && !is_projector {
        return Ok(Err(RewindRefusal::FollowerUnknown));
    }
    let Some((_, offset)) = offsets.into_iter().find(|(known, _)| known == sale) else {
        return Ok(Err(RewindRefusal::SaleUnknown));
    };
    if *seq > offset.seq {
        return Ok(Err(RewindRefusal::NotThere(offset.seq)));
    }
    let rewound = if is_projector {
        followers::invalidate(store, name, *sale, REWOUND).await?
    } else {
        let to = find_offset(ledger, *sale, *seq).await?;
        followers::rewind(store, name, *sale, &to).await?
    };
    if !rewound {
        // Another rewind was quicker.
        return Ok(Err(RewindRefusal::NotThere(EventSeq(0))));
    }
    let seq = if is_projector { EventSeq(0) } else { *seq };
    Ok(Ok(RewoundFollower { seq, rewrites_sale: is_projector }))
}

/// The offset at an event of the ledger. Of an event that the ledger lacks it fits no ledger, and the follower starts the sale
/// again.
async fn find_offset(
    ledger: &dyn LedgerReader,
    sale: SaleId,
    seq: EventSeq,
) -> Result<FollowerOffset, ReadError> {
    if seq == EventSeq(0) {
        return Ok(FollowerOffset::default());
    }
    let event_digest = match read_entry(ledger, sale, seq).await? {
        Some(entry) => digest_event(&entry),
        None => REWOUND.to_owned(),
    };
    Ok(FollowerOffset { seq, event_digest })
}

/// False when the event at the offset is not the delivered one: an older copy of the ledger was restored and has another event
/// there, or the follower was rewound.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn offset_fits(
    ledger: &dyn LedgerReader,
    sale: SaleId,
    offset: &FollowerOffset,
) -> Result<bool, ReadError> {
    let entry = read_entry(ledger, sale, offset.seq).await?;
    Ok(entry.is_some_and(|entry| digest_event(&entry) == offset.event_digest))
}

async fn read_entry(
    ledger: &dyn LedgerReader,
    sale: SaleId,
    seq: EventSeq,
) -> Result<Option<LedgerEntry>, ReadError> {
    let before = EventSeq(seq.0.saturating_sub(1));
    let entries = ledger.read_entries(sale, before, 1).await?;
    Ok(entries.into_iter().next().filter(|entry| entry.seq == seq))
}

/// A digest of an event that differs for any other event of the same number. It is not the checksum of the event's row: offsets
/// of earlier versions have this one, and with another all tables would be written again on an upgrade.
#[must_use]
pub fn digest_event(entry: &LedgerEntry) -> String {
    let mut bytes = entry.at.0.to_be_bytes().to_vec();
    encode_event(&entry.event, &mut bytes);
    Sha256::digest(&bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
