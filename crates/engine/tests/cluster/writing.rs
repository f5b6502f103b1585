//! Writes to a shared ledger: in order, once, and only under the epoch in which they were decided.

use crate::fixture::{ClusterFixture, SALE};
use crate::support::{line_entries, sale_id, whole_sale};
use engine::batch::Epoch;
use engine::record::EpochStore;
use engine::record::postgres::{AppendResult, EventRange, PostgresEpochs, SharedWriter};
use sale::{EventSeq, LedgerEntry};

fn range(entries: &[LedgerEntry]) -> EventRange<'_> {
    let before = EventSeq(entries[0].seq.0 - 1);
    EventRange { sale: sale_id(SALE), epoch: Epoch(2), before, entries }
}

#[tokio::test]
async fn a_range_is_recorded_only_directly_after_the_one_before_it() {
    let fixture = ClusterFixture::new().await;
    let epochs = PostgresEpochs::new(fixture.reader().await);
    let mut writer = SharedWriter::join(&fixture.address).await.unwrap();
    let entries = line_entries(8);
    let (first, second) = entries.split_at(4);
    let last = entries.last().unwrap().seq;
    assert_eq!(
        writer.write(&[range(first)]).await.unwrap(),
        [AppendResult::StaleEpoch],
        "the sale has no epoch yet"
    );
    assert_eq!(epochs.load_epoch(sale_id(SALE)).await.unwrap(), None);
    assert_eq!(epochs.raise_epoch(sale_id(SALE)).await.unwrap(), Epoch(2));
    assert_eq!(epochs.list_epochs().await.unwrap(), [(sale_id(SALE), Epoch(2))]);
    assert_eq!(writer.write(&[range(second)]).await.unwrap(), [AppendResult::Behind(EventSeq(0))]);
    assert_eq!(writer.write(&[range(first)]).await.unwrap(), [AppendResult::Recorded]);
    assert_eq!(writer.write(&[range(first)]).await.unwrap(), [AppendResult::Ahead(EventSeq(4))]);
    assert_eq!(writer.write(&[range(second)]).await.unwrap(), [AppendResult::Recorded]);
    assert_eq!(whole_sale(fixture.reader().await.as_ref(), sale_id(SALE)).await, entries);
    assert_eq!(epochs.raise_epoch(sale_id(SALE)).await.unwrap(), Epoch(3));
    assert_eq!(writer.write(&[range(second)]).await.unwrap(), [AppendResult::StaleEpoch]);
    assert_eq!(writer.last_recorded(sale_id(SALE), second).await.unwrap(), Some(last));
    let mut other = second.to_vec();
    other[2].at = other[2].at.plus_ms(1);
    assert_eq!(
        writer.last_recorded(sale_id(SALE), &other).await.unwrap(),
        Some(EventSeq(6)),
        "up to the first event that differs"
    );
    let heads = writer.load_heads(&[sale_id(SALE), sale_id(2)]).await.unwrap();
    assert_eq!(heads.len(), 1);
    assert_eq!((heads[&sale_id(SALE)].epoch, heads[&sale_id(SALE)].head), (Epoch(3), last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_of_the_same_ranges_record_each_event_once() {
    let fixture = ClusterFixture::new().await;
    let epochs = PostgresEpochs::new(fixture.reader().await);
    epochs.raise_epoch(sale_id(SALE)).await.unwrap();
    let entries = line_entries(400);
    let writing: Vec<_> = (0..6_usize)
        .map(|no| {
            let (address, entries) = (fixture.address.clone(), entries.clone());
            tokio::spawn(async move {
                let mut writer = SharedWriter::join(&address).await.unwrap();
                let (mut kept, mut next) = (0, 0);
                // Each writer splits the entries into ranges of another length.
                while next < entries.len() {
                    let to = (next + 1 + no * 3).min(entries.len());
                    match writer.write(&[range(&entries[next..to])]).await.unwrap()[0] {
                        AppendResult::Recorded => (kept, next) = (kept + to - next, to),
                        AppendResult::Ahead(head) => next = usize::try_from(head.0).unwrap(),
                        AppendResult::Behind(_) => {}
                        AppendResult::StaleEpoch => panic!("the epoch is what it was"),
                    }
                }
                kept
            })
        })
        .collect();
    let mut kept = 0;
    for written in writing {
        kept += written.await.unwrap();
    }
    assert_eq!(kept, entries.len());
    assert_eq!(whole_sale(fixture.reader().await.as_ref(), sale_id(SALE)).await, entries);
}
