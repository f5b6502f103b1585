//! What every ledger promises to those who write and read it.

use crate::support::{line_entries, sale_id, whole_sale};
use crate::test_ledger::{TestLedger, on_every_ledger};
use engine::batch::Batch;
use engine::record::{LedgerReader, RecordError};
use sale::{EventSeq, LedgerEntry, SaleId};
use std::collections::HashMap;

on_every_ledger!(
    what_was_appended_is_read_in_order,
    a_batch_with_a_number_that_is_taken_is_refused_whole,
    a_sale_whose_first_batch_was_refused_can_be_recorded_after_it,
    a_probe_changes_no_event,
    a_long_ledger_is_scanned_sale_by_sale,
    a_page_is_as_long_as_asked_for_and_begins_behind_what_is_known,
);

fn batch(sales: &[(u64, &[LedgerEntry])]) -> Batch {
    Batch {
        sales: sales.iter().map(|(no, entries)| (sale_id(*no), entries.to_vec())).collect(),
        ..Batch::default()
    }
}

async fn scanned(reader: &dyn LedgerReader) -> HashMap<SaleId, Vec<LedgerEntry>> {
    let mut found: HashMap<SaleId, Vec<LedgerEntry>> = HashMap::new();
    let mut order = Vec::new();
    let mut pages = reader.scan();
    while let Some(page) = pages.recv().await {
        let page = page.unwrap();
        if order.last() != Some(&page.sale) {
            order.push(page.sale);
        }
        found.entry(page.sale).or_default().extend(page.entries);
    }
    assert_eq!(order.len(), found.len(), "one sale after the other");
    found
}

async fn what_was_appended_is_read_in_order(home: TestLedger) {
    let entries = line_entries(20);
    let mut recorder = home.recorder().await;
    let reader = home.reader().await;
    assert_eq!(reader.list_sales().await.unwrap(), []);
    for part in entries.chunks(4) {
        recorder.append(&batch(&[(2, part), (1, part)])).await.unwrap();
        recorder.append(&batch(&[(3, part)])).await.unwrap();
    }
    assert_eq!(reader.list_sales().await.unwrap(), [2, 1, 3].map(sale_id));
    for no in 1..=3 {
        assert_eq!(whole_sale(reader.as_ref(), sale_id(no)).await, entries);
    }
    assert_eq!(whole_sale(reader.as_ref(), sale_id(4)).await, []);
    let found = scanned(reader.as_ref()).await;
    assert_eq!((found.len(), &found[&sale_id(1)]), (3, &entries));
}

async fn a_batch_with_a_number_that_is_taken_is_refused_whole(home: TestLedger) {
    let entries = line_entries(9);
    let mut recorder = home.recorder().await;
    let reader = home.reader().await;
    recorder.append(&batch(&[(1, &entries[..5])])).await.unwrap();
    // The other sale, which comes first, would have fitted; so would the later of these.
    let refused = recorder.append(&batch(&[(2, &entries), (1, &entries[4..])])).await;
    assert!(
        matches!(refused, Err(RecordError::Collision { sale, seq: EventSeq(5) }) if sale == sale_id(1)),
        "{refused:?}"
    );
    recorder.probe().await.unwrap();
    assert_eq!(whole_sale(reader.as_ref(), sale_id(1)).await, entries[..5]);
    assert_eq!(whole_sale(reader.as_ref(), sale_id(2)).await, []);
    recorder.append(&batch(&[(1, &entries[5..])])).await.unwrap();
    assert_eq!(whole_sale(reader.as_ref(), sale_id(1)).await, entries);
}

async fn a_sale_whose_first_batch_was_refused_can_be_recorded_after_it(home: TestLedger) {
    let entries = line_entries(3);
    let mut recorder = home.recorder().await;
    recorder.append(&batch(&[(1, &entries)])).await.unwrap();
    recorder.append(&batch(&[(2, &entries), (1, &entries)])).await.unwrap_err();
    recorder.probe().await.unwrap();
    recorder.append(&batch(&[(3, &entries), (2, &entries)])).await.unwrap();
    let found = scanned(home.reader().await.as_ref()).await;
    assert!((1..=3).all(|no| found[&sale_id(no)] == entries), "{:?}", found.keys());
}

async fn a_probe_changes_no_event(home: TestLedger) {
    let entries = line_entries(3);
    let mut recorder = home.recorder().await;
    recorder.probe().await.unwrap();
    recorder.append(&batch(&[(1, &entries[..2])])).await.unwrap();
    recorder.probe().await.unwrap();
    recorder.probe().await.unwrap();
    recorder.append(&batch(&[(1, &entries[2..])])).await.unwrap();
    assert_eq!(whole_sale(home.reader().await.as_ref(), sale_id(1)).await, entries);
}

async fn a_long_ledger_is_scanned_sale_by_sale(home: TestLedger) {
    // Longer than a page, and not a whole number of them.
    let entries = line_entries(2_500);
    let mut recorder = home.recorder().await;
    for part in entries.chunks(700) {
        recorder.append(&batch(&[(1, part), (2, part)])).await.unwrap();
    }
    let found = scanned(home.reader().await.as_ref()).await;
    assert_eq!((&found[&sale_id(1)], &found[&sale_id(2)]), (&entries, &entries));
}

async fn a_page_is_as_long_as_asked_for_and_begins_behind_what_is_known(home: TestLedger) {
    let entries = line_entries(2_500);
    let mut recorder = home.recorder().await;
    recorder.append(&batch(&[(1, &entries)])).await.unwrap();
    let reader = home.reader().await;
    for (after, limit) in [(0, 1), (7, 10), (1_000, 1_024), (5, 1_025), (2_490, 100), (2_600, 5)] {
        let page = reader.read_entries(sale_id(1), EventSeq(after as u64), limit).await.unwrap();
        let end = (after + limit).min(entries.len());
        assert_eq!(page, entries[after.min(end)..end], "{limit} after {after}");
    }
}
