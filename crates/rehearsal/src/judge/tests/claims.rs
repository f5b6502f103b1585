//! The answers of dialects: what a yes, a no and a place without a number have to agree with.

use super::*;
use uuid::Uuid;

const OWNED: ReplyBody = ReplyBody::Owned { order: None };

/// Ann bought the first of two units at once.
const SOLD: &str = "0s configure quantity=2 limit=1 hold=0s
    1s reserve ann o1 1 key=k1";
const BOTH_SOLD: &str = "0s configure quantity=2 limit=1 hold=0s
    1s reserve ann o1 1 key=k1
    2s reserve bob o2 1 key=k2";

fn sold_out() -> ReplyBody {
    ReplyBody::Refused(Code::SoldOut)
}

fn read() -> BuyerAction {
    BuyerAction::ReadPurchase { job: None }
}

fn job(number: u128, is_sold: bool) -> ReplyBody {
    ReplyBody::Job { job: Uuid::from_u128(number), is_sold }
}

fn ann() -> AccountBuilder {
    AccountBuilder::for_buyer("ann").purchased(1, (1_000, 1_100), OWNED)
}

fn row(name: &str, id: &str, status: &str) -> TableOrder {
    TableOrder { order: order(id), buyer: buyer(name), units: 1, status: status.into() }
}

#[test]
fn purchases_that_went_well_break_nothing() {
    let owner = ann().reply(read(), span(1_200, 1_300), OWNED);
    let bob = AccountBuilder::for_buyer("bob").purchased(2, (2_000, 2_100), job(7, true)).purchased(
        2,
        (2_200, 2_300),
        job(7, true),
    );
    let cem = AccountBuilder::for_buyer("cem").purchased(3, (3_000, 3_100), sold_out()).reply(
        read(),
        span(3_200, 3_300),
        ReplyBody::NotOwned,
    );
    let dea = AccountBuilder::for_buyer("dea").purchased(4, (3_000, 3_100), job(8, false));
    let mut case = JudgeCase::new(ledger(BOTH_SOLD), vec![owner, bob, cem, dea]);
    case.rows = Some(vec![row("ann", "o1", "confirmed"), row("bob", "o2", "confirmed")]);
    case.assert_passes();
}

#[test]
fn a_purchase_whose_reply_was_lost_breaks_nothing() {
    let ann = AccountBuilder::for_buyer("ann").unanswered(BuyerAction::Purchase { key: 1 }, 900).reply(
        read(),
        span(950, 960),
        ReplyBody::NotOwned,
    );
    JudgeCase::new(ledger(SOLD), vec![ann]).assert_passes();
}

#[test]
fn a_yes_without_a_unit_breaks_recorded() {
    let bob = AccountBuilder::for_buyer("bob").purchased(2, (2_000, 2_100), OWNED);
    let offence = JudgeCase::new(ledger(SOLD), vec![ann(), bob]).assert_breaks(&["recorded"]);
    assert_eq!(offence.buyer, Some(buyer("bob")));

    let named = ReplyBody::Owned { order: Some(order("o1")) };
    let bob = AccountBuilder::for_buyer("bob").purchased(2, (2_000, 2_100), named);
    let offence = JudgeCase::new(ledger(SOLD), vec![ann(), bob]).assert_breaks(&["recorded"]);
    assert_eq!(offence.order, Some(order("o1")));

    let mut case = JudgeCase::new(ledger(SOLD), vec![ann()]);
    case.rows = Some(vec![]);
    assert_eq!(case.assert_breaks(&["recorded"]).order, Some(order("o1")));
}

#[test]
fn an_acknowledged_job_that_is_lost_breaks_recorded() {
    let asked = BuyerAction::ReadPurchase { job: Some(Uuid::from_u128(7)) };
    let ann = AccountBuilder::for_buyer("ann").purchased(1, (1_000, 1_100), job(7, true)).refused(
        asked,
        (1_200, 1_300),
        Code::OrderUnknown,
    );
    JudgeCase::new(ledger(SOLD), vec![ann]).assert_breaks(&["recorded"]);
}

#[test]
fn a_yes_to_more_buyers_than_units_breaks_units() {
    let tape = BOTH_SOLD.replace("quantity=2", "quantity=3");
    let mut entries = ledger(&tape);
    if let Event::Configured { policy } = &mut entries[0].event {
        policy.quantity = 1;
    }
    let bob = AccountBuilder::for_buyer("bob").purchased(2, (2_000, 2_100), OWNED);
    JudgeCase::new(entries, vec![ann(), bob]).assert_breaks(&["units", "sums"]);
}

#[test]
fn two_units_of_one_buyer_break_limit_and_settled() {
    let tape = BOTH_SOLD.replace("limit=1", "limit=2").replace("bob", "ann");
    let mut entries = ledger(&tape);
    if let Event::Configured { policy } = &mut entries[0].event {
        policy.limit_per_buyer = 1;
    }
    let offence = JudgeCase::new(entries.clone(), vec![ann()]).assert_breaks(&["limit", "settled"]);
    assert_eq!(offence.buyer, Some(buyer("ann")));
    let twice = AccountBuilder::for_buyer("ann").purchased(1, (1_000, 1_100), job(7, true)).purchased(
        2,
        (2_000, 2_100),
        job(8, true),
    );
    JudgeCase::new(entries, vec![twice]).assert_breaks(&["limit"]);
}

#[test]
fn a_yes_that_becomes_a_no_breaks_same_answer() {
    let forgotten = ann().reply(read(), span(1_200, 1_300), ReplyBody::NotOwned);
    JudgeCase::new(ledger(SOLD), vec![forgotten]).assert_breaks(&["same_answer"]);
    // A read that began before the purchase was answered may say either.
    let early = ann().reply(read(), span(1_050, 1_300), ReplyBody::NotOwned);
    JudgeCase::new(ledger(SOLD), vec![early]).assert_passes();
}

#[test]
fn two_jobs_of_one_key_and_two_outcomes_of_one_job_break_same_answer() {
    let two_jobs = AccountBuilder::for_buyer("ann").purchased(1, (1_000, 1_100), job(7, true)).purchased(
        1,
        (1_200, 1_300),
        job(8, false),
    );
    JudgeCase::new(ledger(SOLD), vec![two_jobs]).assert_breaks(&["same_answer"]);
    let two_outcomes = AccountBuilder::for_buyer("ann").purchased(1, (1_000, 1_100), job(7, true)).reply(
        BuyerAction::ReadPurchase { job: Some(Uuid::from_u128(7)) },
        span(1_200, 1_300),
        job(7, false),
    );
    JudgeCase::new(ledger(SOLD), vec![two_outcomes]).assert_breaks(&["same_answer"]);
}

#[test]
fn a_buyer_who_got_sold_out_and_owns_a_unit_breaks_no_means_no() {
    let bob = AccountBuilder::for_buyer("bob").unanswered(BuyerAction::Purchase { key: 2 }, 1_500).purchased(
        2,
        (3_000, 3_100),
        sold_out(),
    );
    let offence = JudgeCase::new(ledger(BOTH_SOLD), vec![ann(), bob]).assert_breaks(&["no_means_no"]);
    assert_eq!((offence.buyer, offence.order), (Some(buyer("bob")), Some(order("o2"))));
}

#[test]
fn a_unit_that_no_purchase_can_have_brought_breaks_no_means_no_and_settled() {
    let bob =
        AccountBuilder::for_buyer("bob").purchased(2, (1_500, 1_600), ReplyBody::Refused(Code::NotStarted));
    let offence =
        JudgeCase::new(ledger(BOTH_SOLD), vec![ann(), bob]).assert_breaks(&["no_means_no", "settled"]);
    assert_eq!(offence.buyer, Some(buyer("bob")));
}

#[test]
fn a_job_that_failed_while_units_were_left_breaks_sold_out_true() {
    let bob = AccountBuilder::for_buyer("bob").purchased(2, (2_000, 2_100), job(7, false));
    let offence = JudgeCase::new(ledger(SOLD), vec![ann(), bob]).assert_breaks(&["sold_out_true"]);
    assert_eq!(offence.buyer, Some(buyer("bob")));
}

const LINE: &str = "0s configure fifo quantity=1 limit=1 hold=60s checkout=60s per_second=1
    join ann
    join bob";

#[test]
fn a_place_without_a_number_is_judged_by_that_of_the_ledger() {
    let in_line = |name: &str, joined: (u64, u64), polled: (u64, u64), positions: [u32; 2]| {
        AccountBuilder::for_buyer(name).spot(joined, positions[0]).spot(polled, positions[1])
    };
    let (ann, bob) = (
        in_line("ann", (1_000, 1_100), (2_500, 2_600), [1, 1]),
        in_line("bob", (2_000, 2_100), (2_500, 2_600), [2, 2]),
    );
    JudgeCase::new(ledger(LINE), vec![ann, bob]).assert_passes();

    let late = in_line("ann", (3_000, 3_100), (3_500, 3_600), [1, 1]);
    let early = in_line("bob", (1_000, 1_100), (2_500, 2_600), [2, 2]);
    JudgeCase::new(ledger(LINE), vec![late, early]).assert_breaks(&["first_come"]);

    let worse = in_line("ann", (1_000, 1_100), (2_500, 2_600), [1, 2]);
    JudgeCase::new(ledger(LINE), vec![worse]).assert_breaks(&["place_kept"]);

    let unknown = AccountBuilder::for_buyer("cem").spot((3_000, 3_100), 3);
    JudgeCase::new(ledger(LINE), vec![unknown]).assert_breaks(&["place_kept"]);
}

#[test]
fn a_place_without_a_number_that_is_gone_needs_a_reason() {
    let mut gone = AccountBuilder::for_buyer("ann").spot((1_000, 1_100), 1);
    gone.0.record_lost_spot(span(2_500, 2_600));
    JudgeCase::new(ledger(LINE), vec![gone]).assert_breaks(&["place_kept"]);
    let mut left = AccountBuilder::for_buyer("ann").spot((1_000, 1_100), 1);
    left.0.record_lost_spot(span(2_500, 2_600));
    JudgeCase::new(ledger(&format!("{LINE}\n    2s leave ann")), vec![left]).assert_passes();
}
