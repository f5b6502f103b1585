//! Whole drops over real HTTP against the real binary: 2,000 buyers, 100 units, abandoned holds, declined payments, and a
//! process that is killed in the middle. The replies to buyers are compared with what `doorbuster verify` finds.

#![expect(clippy::unwrap_used, reason = "a test program: what fails ends it")]

#[path = "../real/mod.rs"]
#[expect(dead_code, reason = "the tests of many instances use more")]
mod real;

#[path = "../receivers/mod.rs"]
#[expect(dead_code, reason = "the tests of Kafka use more")]
mod receivers;

mod clocks;
mod damage;
mod files;
mod flips;
mod mails;
mod postgres;
mod process;
mod rehearse;
mod secrets;
mod verify;
mod webhooks;

use real::crowd::{BuyerCrowd, BuyerMix};
use real::instance::ServerProcess;

const BUYERS: usize = 2_000;
const UNITS: u32 = 100;
const KILLS: u64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_buyers_get_a_hundred_units_in_fifo_and_in_open_admission() {
    let mut instance = ServerProcess::start().await;
    let crowd = BuyerCrowd::register(&instance, BUYERS).await;
    for admission in [
        serde_json::json!({"type": "fifo", "perSecond": 200, "checkoutSeconds": 3, "lineOpensSecondsBefore": 60}),
        serde_json::json!({"type": "open"}),
    ] {
        let sale = instance.sale(UNITS, 2, &admission).await;
        let manners = BuyerMix { abandon_every: 5, decline_every: 7 };
        let replies = crowd.run_with_kills(&mut instance, &sale, UNITS, manners, 0).await;
        let status = instance.get(&format!("/api/v1/flash-sales/{sale}"), None).await;
        assert_eq!(replies.confirmed.len(), UNITS as usize, "every unit went to a buyer who paid: {status}");
        assert_eq!(status["sold"], UNITS, "{status}");
        assert_eq!(status["availability"], "sold_out", "{status}");
        instance.assert_orders_belong_to_buyers(&replies.confirmed).await;
    }
    let all_sold = format!("available 0 + admitted 0 + held 0 + sold {UNITS} = quantity {UNITS}");
    let report = instance.verify().await;
    assert_eq!(report.matches(&all_sold).count(), 2, "{report}");
    instance.stop_gently().await;
    let report = instance.verify().await;
    assert_eq!(report.matches(&all_sold).count(), 2, "the same from a stopped instance: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_when_the_process_is_killed_in_the_middle_of_a_drop() {
    let mut instance = ServerProcess::start().await;
    let crowd = BuyerCrowd::register(&instance, 300).await;
    let admission = serde_json::json!({"type": "fifo", "perSecond": 30, "checkoutSeconds": 10, "lineOpensSecondsBefore": 60});
    let sale = instance.sale(UNITS, 20, &admission).await;
    let manners = BuyerMix { abandon_every: 0, decline_every: 9 };
    let replies = crowd.run_with_kills(&mut instance, &sale, UNITS, manners, KILLS).await;
    assert_eq!(replies.confirmed.len(), UNITS as usize);
    instance.assert_orders_belong_to_buyers(&replies.confirmed).await;
    let report = instance.verify().await;
    assert!(report.contains(&format!("sold {UNITS} = quantity {UNITS}")), "{report}");
}
