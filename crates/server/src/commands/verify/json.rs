//! What `doorbuster verify --json` prints: the same as the report for people, as one document, with every sale. Members may be
//! added; none changes its meaning.

use super::findings::{OrphanPayment, SaleFindings, SaleViolation, TableProgress, VerifyFindings};
use engine::record::ReadError;
use sale::audit::SalePromise;
use sale::{BuyerId, EventSeq, OrderId, SaleCounters, SaleId};
use serde::Serialize;
use uuid::Uuid;

/// Payments without an order that the document lists.
const PAYMENTS_SHOWN: usize = 1_000;

/// The document, indented.
///
/// # Errors
/// Never, as far as anyone knows: every member can be written.
pub(super) fn render_document(findings: &VerifyFindings) -> serde_json::Result<String> {
    let promises = SalePromise::ALL.into_iter().zip(&findings.tallies);
    serde_json::to_string_pretty(&VerifyDocument {
        verdict: verdict(findings.is_clean()),
        sale_count: findings.sales.len(),
        event_count: findings.events(),
        promises: promises
            .map(|(promise, tally)| PromiseJson {
                name: promise.name(),
                sentence: promise.sentence(),
                verdict: verdict(tally.broken == 0),
                checked: tally.checked,
                broken: tally.broken,
                first: tally.first.as_ref().map(offence),
            })
            .collect(),
        first_offence: findings.first.as_ref().map(offence),
        damage: findings.damage.as_ref().map(ReadError::describe_damage),
        damaged_sales: findings
            .damaged_sales
            .iter()
            .map(|(sale, damaged)| DamagedSaleJson {
                sale: *sale,
                intact_to: damaged.intact_to,
                damaged_at: damaged.damaged_at,
                detail: &damaged.what,
            })
            .collect(),
        ledger_loss: findings.ledger_loss.as_deref(),
        table_damage: findings.table_damage.as_deref(),
        torn_ends: findings
            .torn
            .iter()
            .map(|torn| TornEndJson {
                sale: torn.end.sale,
                from_event: torn.end.from,
                rows: torn.end.rows,
                in_tables: torn.is_in_tables,
            })
            .collect(),
        orphan_payments: OrphanPaymentsJson {
            count: findings.orphan_payments.len(),
            first: findings
                .orphan_payments
                .iter()
                .take(PAYMENTS_SHOWN)
                .map(|OrphanPayment { sale, payment, order }| OrphanPaymentJson {
                    sale: *sale,
                    payment: *payment,
                    order: *order,
                })
                .collect(),
        },
        table_differences: findings
            .differences
            .iter()
            .map(|(sale, detail)| DifferenceJson { sale: *sale, detail })
            .collect(),
        notes: &findings.notes,
        sales: findings.sales.iter().map(|(id, sale)| summary(*id, sale)).collect(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerifyDocument<'a> {
    verdict: &'static str,
    sale_count: usize,
    event_count: u64,
    promises: Vec<PromiseJson<'a>>,
    first_offence: Option<ViolationJson<'a>>,
    damage: Option<String>,
    damaged_sales: Vec<DamagedSaleJson<'a>>,
    ledger_loss: Option<&'a str>,
    table_damage: Option<&'a str>,
    torn_ends: Vec<TornEndJson>,
    orphan_payments: OrphanPaymentsJson,
    table_differences: Vec<DifferenceJson<'a>>,
    notes: &'a [String],
    sales: Vec<SaleReportJson>,
}

#[derive(Serialize)]
struct PromiseJson<'a> {
    name: &'static str,
    sentence: &'static str,
    verdict: &'static str,
    checked: u64,
    broken: u64,
    first: Option<ViolationJson<'a>>,
}

#[derive(Serialize)]
struct ViolationJson<'a> {
    sale: SaleId,
    event: EventSeq,
    buyer: Option<BuyerId>,
    promise: &'static str,
    detail: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TornEndJson {
    sale: SaleId,
    from_event: EventSeq,
    rows: u64,
    in_tables: bool,
}

/// Payments whose money was taken for orders that the ledger does not have as confirmed: how many, and the first of them.
#[derive(Serialize)]
struct OrphanPaymentsJson {
    count: usize,
    first: Vec<OrphanPaymentJson>,
}

#[derive(Serialize)]
struct OrphanPaymentJson {
    sale: SaleId,
    payment: Uuid,
    order: OrderId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DamagedSaleJson<'a> {
    sale: SaleId,
    intact_to: EventSeq,
    damaged_at: Option<EventSeq>,
    detail: &'a str,
}

#[derive(Serialize)]
struct DifferenceJson<'a> {
    sale: SaleId,
    detail: &'a str,
}

#[derive(Serialize)]
struct SaleReportJson {
    sale: SaleId,
    verdict: &'static str,
    events: u64,
    quantity: u32,
    available: u32,
    admitted: u32,
    held: u32,
    sold: u32,
    waiting: u32,
    short: u32,
    tables: TablesJson,
}

/// Where the tables are; so many events behind or ahead.
#[derive(Serialize)]
struct TablesJson {
    state: &'static str,
    events: u64,
}

fn verdict(is_kept: bool) -> &'static str {
    if is_kept { "kept" } else { "broken" }
}

fn offence(SaleViolation { sale, broken }: &SaleViolation) -> ViolationJson<'_> {
    ViolationJson {
        sale: *sale,
        event: broken.seq,
        buyer: broken.buyer,
        promise: broken.promise.name(),
        detail: &broken.detail,
    }
}

fn summary(id: SaleId, sale: &SaleFindings) -> SaleReportJson {
    let SaleCounters { quantity, available, admitted, held, sold, waiting, short } = sale.counters;
    let (state, events) = match sale.tables {
        TableProgress::Missing => ("none", 0),
        TableProgress::Complete => ("complete", 0),
        TableProgress::Behind(events) => ("behind", events),
        TableProgress::Ahead(events) => ("ahead", events),
    };
    SaleReportJson {
        sale: id,
        verdict: verdict(sale.broken == 0),
        events: sale.events,
        quantity,
        available,
        admitted,
        held,
        sold,
        waiting,
        short,
        tables: TablesJson { state, events },
    }
}
