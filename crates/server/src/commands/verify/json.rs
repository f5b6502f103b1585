//! What `doorbuster verify --json` prints: the same as the report for people, as one document, with every sale. Members may be
//! added; none changes its meaning.

use super::findings::{Findings, Lag, Offence, Sale};
use sale::audit::Promise;
use sale::{BuyerId, Counters, SaleId, Seq};
use serde::Serialize;

/// The document, indented.
///
/// # Errors
/// Never, as far as anyone knows: every member can be written.
pub(super) fn document(findings: &Findings) -> serde_json::Result<String> {
    let promises = Promise::ALL.into_iter().zip(&findings.tallies);
    serde_json::to_string_pretty(&Document {
        verdict: verdict(findings.all_is_well()),
        sale_count: findings.sales.len(),
        event_count: findings.events(),
        promises: promises
            .map(|(promise, tally)| Kept {
                name: promise.name(),
                sentence: promise.sentence(),
                verdict: verdict(tally.broken == 0),
                checked: tally.checked,
                broken: tally.broken,
                first: tally.first.as_ref().map(offence),
            })
            .collect(),
        first_offence: findings.first.as_ref().map(offence),
        damage: findings.damage.as_ref().map(ToString::to_string),
        torn_ends: findings
            .torn
            .iter()
            .map(|torn| TornEnd {
                sale: torn.end.sale,
                from_event: torn.end.from,
                rows: torn.end.rows,
                in_tables: torn.is_in_tables,
            })
            .collect(),
        table_differences: findings
            .differences
            .iter()
            .map(|(sale, detail)| Difference { sale: *sale, detail })
            .collect(),
        sales: findings.sales.iter().map(|(id, sale)| summary(*id, sale)).collect(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    verdict: &'static str,
    sale_count: usize,
    event_count: u64,
    promises: Vec<Kept<'a>>,
    first_offence: Option<Found<'a>>,
    damage: Option<String>,
    torn_ends: Vec<TornEnd>,
    table_differences: Vec<Difference<'a>>,
    sales: Vec<Summary>,
}

#[derive(Serialize)]
struct Kept<'a> {
    name: &'static str,
    sentence: &'static str,
    verdict: &'static str,
    checked: u64,
    broken: u64,
    first: Option<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    sale: SaleId,
    event: Seq,
    buyer: Option<BuyerId>,
    promise: &'static str,
    detail: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TornEnd {
    sale: SaleId,
    from_event: Seq,
    rows: u64,
    in_tables: bool,
}

#[derive(Serialize)]
struct Difference<'a> {
    sale: SaleId,
    detail: &'a str,
}

#[derive(Serialize)]
struct Summary {
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
    tables: Tables,
}

/// Where the tables are; so many events behind or ahead.
#[derive(Serialize)]
struct Tables {
    state: &'static str,
    events: u64,
}

fn verdict(is_kept: bool) -> &'static str {
    if is_kept { "kept" } else { "broken" }
}

fn offence(Offence { sale, broken }: &Offence) -> Found<'_> {
    Found {
        sale: *sale,
        event: broken.seq,
        buyer: broken.buyer,
        promise: broken.promise.name(),
        detail: &broken.detail,
    }
}

fn summary(id: SaleId, sale: &Sale) -> Summary {
    let Counters { quantity, available, admitted, held, sold, waiting, short } = sale.counters;
    let (state, events) = match sale.tables {
        Lag::NoneYet => ("none", 0),
        Lag::Complete => ("complete", 0),
        Lag::Behind(events) => ("behind", events),
        Lag::Ahead(events) => ("ahead", events),
    };
    Summary {
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
        tables: Tables { state, events },
    }
}
