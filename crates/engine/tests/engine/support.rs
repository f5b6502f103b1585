//! What the tests share: names, policies, and the reading of a ledger.

use engine::EngineError;
use engine::record::LedgerReader;
use sale::audit::LedgerAuditor;
use sale::{
    AdmissionMode, BuyerId, Command, EventSeq, LedgerEntry, Money, OrderId, Policy, RequestKey, SaleId,
    SaleState, Timestamp,
};
use uuid::Uuid;

/// A moment in 2026.
pub const START: Timestamp = Timestamp(1_790_000_000_000);

pub fn sale_id(no: u64) -> SaleId {
    SaleId(Uuid::from_u64_pair(0x5a1e, no))
}

pub fn buyer_id(no: u64) -> BuyerId {
    BuyerId(Uuid::from_u64_pair(0xb0b, no))
}

pub fn order_id(buyer: u64, no: u64) -> OrderId {
    OrderId(Uuid::from_u64_pair(buyer, no))
}

pub fn request_key(no: u64) -> Option<RequestKey> {
    Some(RequestKey(u128::from(no).to_be_bytes()))
}

/// A unit for a buyer, always with the same order and key.
pub fn reserve(buyer: u64) -> Command {
    Command::Reserve {
        buyer: buyer_id(buyer),
        order: order_id(buyer, 1),
        quantity: 1,
        key: request_key(buyer),
    }
}

/// A sale that is open for an hour from `starts_at` on.
pub fn policy(quantity: u32, hold_s: u32, starts_at: Timestamp, admission: AdmissionMode) -> Box<Policy> {
    Box::new(Policy {
        quantity,
        unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
        starts_at,
        ends_at: starts_at.plus_s(3_600),
        limit_per_buyer: 2,
        hold_s,
        admission,
    })
}

/// A sale with a line that so many buyers have joined.
pub fn line_entries(joined: u64) -> Vec<LedgerEntry> {
    let line = AdmissionMode::Fifo { per_second: 1, checkout_s: 60, line_opens_s: 0, extension_s: 0 };
    let mut entries = Vec::new();
    let mut state = SaleState::new();
    let configure = Command::Configure { policy: policy(1, 60, START, line) };
    state.step(START, &configure, &mut entries);
    for no in 1..=joined {
        state.step(START, &Command::Join { buyer: buyer_id(no) }, &mut entries);
    }
    entries
}

pub fn fold(entries: &[LedgerEntry]) -> SaleState {
    let mut state = SaleState::new();
    for entry in entries {
        state.apply(entry);
    }
    state
}

pub async fn whole_sale(ledger: &dyn LedgerReader, sale: SaleId) -> Vec<LedgerEntry> {
    ledger.read_entries(sale, EventSeq(0), usize::MAX).await.unwrap()
}

/// What the audit says of a sale's ledger.
pub fn assert_promises_kept(sale: SaleId, entries: &[LedgerEntry]) {
    let state = fold(entries);
    state.check().unwrap_or_else(|broken| panic!("{sale}: {broken:?}"));
    let mut auditor = LedgerAuditor::new();
    entries.iter().for_each(|entry| auditor.read_entry(entry));
    let broken: Vec<_> = auditor.first_offences().collect();
    assert!(auditor.is_clean(), "{sale}: {broken:?}");
    assert_eq!(auditor.counters(), state.counters(), "two readings of {sale} differ");
}

/// True for the two errors after which a caller tries again.
pub fn is_worth_retrying(error: EngineError) -> bool {
    matches!(error, EngineError::NotRecorded | EngineError::StateUnknown | EngineError::Overloaded)
}
