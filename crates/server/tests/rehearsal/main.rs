//! The judge finds each fault: a test plays a drop over HTTP against a whole shop with one fault in its engine, and the judge names the
//! promise that is broken. The same drops against an engine without a fault keep every promise.

#![expect(clippy::unwrap_used, reason = "a test program: what fails ends it")]

mod harness;

mod faults;

mod manual_engine;

use faults::{
    AdmissionOrderFault, BackwardPositionFault, DeniedRestFault, ForgottenKeyFault, LateConfirmFault,
    LostSaleFault, NoFault, OversellFault, UnitLeakFault, WrongCountersFault,
};
use harness::PlayedRehearsal;
use rehearsal::crowd::{ArrivalCurve, BehaviourShares, CrowdSettings, CrowdShare, preset};
use rehearsal::report::{NamedCount, RehearsalReport, RehearsalVerdict};
use sale::AdmissionMode;
use std::time::Duration;

/// Thirty people who want one of five units, all within half a second, and pay when it is their turn.
fn drop() -> preset::DropPlan {
    preset::DropPlan {
        sale: preset::SalePlan { quantity: 5, limit_per_buyer: 1, hold_s: 4, admission: AdmissionMode::Open },
        crowd: CrowdSettings {
            people: 30,
            arrival: ArrivalCurve::Spike,
            over: Duration::from_millis(500),
            lead: Duration::from_millis(200),
            behaviour: manners(),
            units_max: 1,
            seed: 7,
        },
        give_up_after: Duration::from_secs(5),
    }
}

/// A drop without odd behaviour.
fn manners() -> BehaviourShares {
    let none = CrowdShare::percent(0);
    BehaviourShares {
        double_click: none,
        two_tabs: none,
        abandon: none,
        declined: none,
        late_pay: none,
        cancel: none,
        leave: none,
        lost_reply: none,
        hammer: none,
        one_account_many_addresses: none,
        many_accounts_one_address: none,
    }
}

/// The same with a line.
fn line(per_second: u32) -> preset::DropPlan {
    let mut drop = drop();
    drop.sale.admission = AdmissionMode::Fifo { per_second, checkout_s: 2, line_opens_s: 1, extension_s: 0 };
    drop
}

fn everyone() -> CrowdShare {
    CrowdShare::percent(100)
}

/// Asserts that every promise is kept and that enough was checked.
#[track_caller]
fn is_kept(report: &RehearsalReport) {
    assert_eq!(report.verdict, RehearsalVerdict::Kept, "{}", harness::describe(report));
    for finding in report.replies.iter().chain(&report.ledger) {
        assert_eq!(finding.broken, 0, "{finding:?}");
    }
    for name in ["units", "recorded", "sums", "same_answer", "settled"] {
        let finding = report.replies.iter().find(|finding| finding.name == name).unwrap();
        assert!(finding.checked > 0, "nothing was looked at: {finding:?}");
    }
}

/// The promise is broken, and the offence says where.
#[track_caller]
fn is_caught(report: &RehearsalReport, name: &str) {
    let RehearsalVerdict::Broken { promises } = &report.verdict else {
        panic!("{}", harness::describe(report))
    };
    assert!(promises.iter().any(|promise| promise == name), "{name}: {}", harness::describe(report));
    let finding =
        report.replies.iter().chain(&report.ledger).find(|it| it.name == name && it.broken > 0).unwrap();
    let first = finding.first.as_ref().unwrap();
    let says_where = first.buyer.is_some() || first.event.is_some();
    assert!(says_where && !first.detail.is_empty() && finding.checked >= finding.broken, "{finding:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_not_broken_keeps_every_promise() {
    let mut drop = line(10);
    drop.crowd.people = 120;
    drop.sale.hold_s = 2;
    let some = CrowdShare::percent(15);
    drop.crowd.behaviour = BehaviourShares {
        double_click: some,
        two_tabs: some,
        abandon: some,
        declined: some,
        late_pay: some,
        cancel: some,
        leave: CrowdShare::percent(5),
        lost_reply: some,
        hammer: CrowdShare::percent(3),
        one_account_many_addresses: some,
        many_accounts_one_address: some,
    };
    is_kept(&PlayedRehearsal::whole(&drop).await);
    is_kept(&PlayedRehearsal::with(NoFault, &drop).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_engine_sells_to_every_buyer() {
    let mut drop = drop();
    drop.crowd.behaviour.lost_reply = CrowdShare::percent(30);
    drop.crowd.behaviour.double_click = CrowdShare::percent(30);
    is_kept(&PlayedRehearsal::with(NoFault, &drop).await);
}

/// All units are held for a minute and paid after a second or two: a buyer who asked every two seconds would be refused several times.
#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_whose_patience_ends_before_retry_after_is_refused_once() {
    let mut drop = drop();
    drop.sale.hold_s = 60;
    drop.give_up_after = Duration::from_secs(15);
    let report = PlayedRehearsal::with(NoFault, &drop).await;
    let sum_of = |list: &[NamedCount], names: [&str; 2]| -> u64 {
        list.iter().filter(|count| names.contains(&count.name.as_str())).map(|count| count.count).sum()
    };
    let refused = sum_of(&report.refusals, ["all_held", "sold_out"]);
    let ended = sum_of(&report.outcomes, ["lost patience", "sold out"]);
    assert_eq!(ended, 25, "{}", harness::describe(&report));
    // Most once; who was refused just as the last unit was paid may ask again.
    assert!(refused < 50, "{refused}: {}", harness::describe(&report));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_unit_too_many_is_caught() {
    is_caught(&PlayedRehearsal::with(OversellFault, &drop()).await, "units");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_out_of_order_is_caught() {
    let report = PlayedRehearsal::with(AdmissionOrderFault, &line(2)).await;
    is_caught(&report, "ticket_order");
    let both = report.replies.iter().chain(&report.ledger).filter(|finding| finding.name == "ticket_order");
    assert!(both.map(|finding| finding.broken).all(|broken| broken > 0), "two readings agree");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_is_not_recorded_is_caught() {
    is_caught(&PlayedRehearsal::with(LostSaleFault::default(), &drop()).await, "recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_hold_that_is_confirmed_is_caught() {
    let mut drop = line(10);
    drop.sale.hold_s = 1;
    drop.crowd.behaviour.late_pay = everyone();
    drop.give_up_after = Duration::from_secs(8);
    let report = PlayedRehearsal::with(LateConfirmFault, &drop).await;
    is_caught(&report, "late_payment");
    is_caught(&report, "sums");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_key_is_caught() {
    let mut drop = drop();
    drop.sale.quantity = 60;
    drop.sale.limit_per_buyer = 2;
    drop.crowd.behaviour.double_click = everyone();
    is_caught(&PlayedRehearsal::with(ForgottenKeyFault, &drop).await, "same_answer");
    drop.crowd.behaviour = manners();
    drop.crowd.behaviour.lost_reply = everyone();
    is_caught(&PlayedRehearsal::with(ForgottenKeyFault, &drop).await, "settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_sums_are_caught() {
    is_caught(&PlayedRehearsal::with(WrongCountersFault, &drop()).await, "sums");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_leaks_is_caught() {
    let mut drop = line(10);
    drop.sale.hold_s = 1;
    drop.crowd.behaviour.abandon = everyone();
    is_caught(&PlayedRehearsal::with(UnitLeakFault::default(), &drop).await, "freed");
}

#[tokio::test(flavor = "multi_thread")]
async fn sold_out_that_is_not_so_is_caught() {
    let mut drop = drop();
    drop.crowd.behaviour.abandon = everyone();
    is_caught(&PlayedRehearsal::with(DeniedRestFault, &drop).await, "sold_out_true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_moves_back_is_caught() {
    let mut drop = line(2);
    drop.crowd.people = 15;
    is_caught(&PlayedRehearsal::with(BackwardPositionFault::default(), &drop).await, "place_kept");
}
