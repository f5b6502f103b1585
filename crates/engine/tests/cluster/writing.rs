//! Writing to a ledger that is shared: in order, whoever comes first; once; and only under the epoch in which it was decided.

use crate::support::{sale_id, story, whole_sale};
use crate::world::{SALE, World};
use engine::record::postgres::{Fate, PostgresEpochs, SharedWriter, Stretch};
use engine::record::{Epoch, Epochs};
use sale::{Entry, Seq};

fn stretch(entries: &[Entry]) -> Stretch<'_> {
    let before = Seq(entries[0].seq.0 - 1);
    Stretch { sale: sale_id(SALE), epoch: Epoch(2), before, entries }
}

#[tokio::test]
async fn a_stretch_is_kept_right_behind_the_one_before_it_and_nowhere_else() {
    let world = World::new().await;
    let epochs = PostgresEpochs::new(world.reader().await);
    let mut writer = SharedWriter::join(&world.address).await.unwrap();
    let story = story(8);
    let (first, second) = story.split_at(4);
    let last = story.last().unwrap().seq;
    assert_eq!(writer.write(&[stretch(first)]).await.unwrap(), [Fate::Over], "nobody has begun the sale");
    assert_eq!(epochs.epoch(sale_id(SALE)).await.unwrap(), None);
    assert_eq!(epochs.raise(sale_id(SALE)).await.unwrap(), Epoch(2));
    assert_eq!(epochs.all().await.unwrap(), [(sale_id(SALE), Epoch(2))]);
    assert_eq!(writer.write(&[stretch(second)]).await.unwrap(), [Fate::Behind(Seq(0))]);
    assert_eq!(writer.write(&[stretch(first)]).await.unwrap(), [Fate::Kept]);
    assert_eq!(writer.write(&[stretch(first)]).await.unwrap(), [Fate::Ahead(Seq(4))]);
    assert_eq!(writer.write(&[stretch(second)]).await.unwrap(), [Fate::Kept]);
    assert_eq!(whole_sale(world.reader().await.as_ref(), sale_id(SALE)).await, story);
    assert_eq!(epochs.raise(sale_id(SALE)).await.unwrap(), Epoch(3));
    assert_eq!(writer.write(&[stretch(second)]).await.unwrap(), [Fate::Over]);
    assert_eq!(writer.kept(sale_id(SALE), second).await.unwrap(), Some(last));
    let mut other = second.to_vec();
    other[2].at = other[2].at.plus_ms(1);
    assert_eq!(writer.kept(sale_id(SALE), &other).await.unwrap(), Some(Seq(6)), "up to what is another");
    let standing = writer.standings(&[sale_id(SALE), sale_id(2)]).await.unwrap();
    assert_eq!(standing.len(), 1);
    assert_eq!((standing[&sale_id(SALE)].epoch, standing[&sale_id(SALE)].head), (Epoch(3), last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_write_the_same_stretches_at_once_keep_each_once() {
    let world = World::new().await;
    let epochs = PostgresEpochs::new(world.reader().await);
    epochs.raise(sale_id(SALE)).await.unwrap();
    let story = story(400);
    let writing: Vec<_> = (0..6_usize)
        .map(|no| {
            let (address, story) = (world.address.clone(), story.clone());
            tokio::spawn(async move {
                let mut writer = SharedWriter::join(&address).await.unwrap();
                let (mut kept, mut next) = (0, 0);
                // Each cuts the story into pieces of another length.
                while next < story.len() {
                    let to = (next + 1 + no * 3).min(story.len());
                    match writer.write(&[stretch(&story[next..to])]).await.unwrap()[0] {
                        Fate::Kept => (kept, next) = (kept + to - next, to),
                        Fate::Ahead(head) => next = usize::try_from(head.0).unwrap(),
                        Fate::Behind(_) => {}
                        Fate::Over => panic!("the epoch is what it was"),
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
    assert_eq!(kept, story.len());
    assert_eq!(whole_sale(world.reader().await.as_ref(), sale_id(SALE)).await, story);
}
