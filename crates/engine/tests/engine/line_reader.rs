//! The line that is read from a ledger, on every ledger.

use crate::line_history::play_and_compare;
use crate::support::{line_entries, sale_id};
use crate::test_ledger::{TestLedger, on_every_ledger};
use engine::batch::Batch;
use engine::clock::SystemClock;
use engine::line_reader::LineReader;
use sale::{Event, EventSeq};

on_every_ledger!(each_buyer_has_the_place_that_the_engine_answers, a_line_is_read_as_far_as_it_is_asked_for,);

async fn each_buyer_has_the_place_that_the_engine_answers(home: TestLedger) {
    let running = home.start(SystemClock::start);
    for seed in 0..3 {
        play_and_compare(&[&running.engine], seed).await;
    }
    running.stop();
}

async fn a_line_is_read_as_far_as_it_is_asked_for(home: TestLedger) {
    // Longer than a page.
    let entries = line_entries(1_500);
    let batch = Batch { sales: vec![(sale_id(1), entries.clone())], ..Batch::default() };
    home.recorder().await.append(&batch).await.unwrap();
    let ledger = home.reader().await;
    let mut reader = LineReader::default();
    // Forwards, over the end, and back, as after a ledger was set back.
    for seq in [0, 1, 2, 514, 1_400, 1_502, 9_999, 3] {
        reader.read_to(ledger.as_ref(), sale_id(1), EventSeq(seq as u64)).await.unwrap();
        let joined = entries.iter().take(seq).filter(|entry| matches!(entry.event, Event::Joined { .. }));
        assert_eq!(reader.feed().last_ticket.0 as usize, joined.count(), "up to event {seq}");
    }
}
