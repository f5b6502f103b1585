//! Orders: units, limit, records, answers, and what no means.

use super::*;
use sale::UnitSource;

const SOLD: &str = "0s configure quantity=2 limit=1 hold=60s
    1s reserve ann o1 1 key=k1
    2s confirm ann o1";

fn ann() -> AccountBuilder {
    AccountBuilder::for_buyer("ann").ordered(1, (1_000, 1_100), "o1", OrderPhase::Pending).paid(
        2,
        (2_000, 2_100),
        "o1",
    )
}

fn bob(id: &str) -> AccountBuilder {
    AccountBuilder::for_buyer("bob").ordered(3, (3_000, 3_100), id, OrderPhase::Pending).paid(
        4,
        (4_000, 4_100),
        id,
    )
}

fn row(name: &str, id: &str, status: &str) -> TableOrder {
    TableOrder { order: order(id), buyer: buyer(name), units: 1, status: status.into() }
}

#[test]
fn a_purchase_that_went_well_breaks_nothing() {
    let mut case = JudgeCase::new(ledger(SOLD), vec![ann()]);
    case.rows = Some(vec![row("ann", "o1", "confirmed")]);
    case.assert_passes();
}

#[test]
fn more_confirmed_units_than_the_quantity_break_units() {
    let tape = SOLD.replace("quantity=2", "quantity=1");
    let mut entries = ledger(&tape);
    let at = entries.last().unwrap().at.plus_s(1);
    let (bob_id, o2) = (buyer("bob"), order("o2"));
    entries.push(LedgerEntry {
        seq: EventSeq(4),
        at,
        event: Event::Held {
            buyer: bob_id,
            order: o2,
            quantity: 1,
            until: at.plus_s(60),
            from: UnitSource::Stock,
            key: None,
        },
    });
    entries.push(LedgerEntry {
        seq: EventSeq(5),
        at,
        event: Event::Confirmed { buyer: bob_id, order: o2, quantity: 1, from: UnitSource::Hold, key: None },
    });
    let offence = JudgeCase::new(entries, vec![ann(), bob("o2")]).assert_breaks(&["units", "sums"]);
    assert_eq!((offence.buyer, offence.order, offence.event), (Some(bob_id), Some(o2), Some(EventSeq(5))));
}

#[test]
fn a_confirmed_order_that_the_ledger_lacks_breaks_recorded() {
    let mut entries = ledger(SOLD);
    entries.remove(find_event(&entries, is_confirmed));
    let offence = JudgeCase::new(entries, vec![ann()]).assert_breaks(&["recorded"]);
    assert_eq!((offence.buyer, offence.order), (Some(buyer("ann")), Some(order("o1"))));
    assert!(offence.detail.contains("as \"confirmed\" is pending in the ledger"), "{}", offence.detail);
}

#[test]
fn an_unknown_pending_order_breaks_recorded() {
    let account = AccountBuilder::for_buyer("ann").ordered(1, (1_000, 1_100), "o1", OrderPhase::Pending);
    let offence =
        JudgeCase::new(ledger("0s configure quantity=1"), vec![account]).assert_breaks(&["recorded"]);
    assert!(offence.detail.contains("is not in the ledger"), "{}", offence.detail);
}

#[test]
fn an_order_of_other_units_or_of_another_buyer_breaks_recorded() {
    let mut entries = ledger(SOLD);
    for entry in &mut entries {
        if let Event::Held { buyer, .. } | Event::Confirmed { buyer, .. } = &mut entry.event {
            *buyer = sale::tape::buyer("bob");
        }
    }
    let offence = JudgeCase::new(entries, vec![ann()]).assert_breaks(&["recorded", "no_means_no"]);
    assert!(offence.detail.contains("belongs to"), "{}", offence.detail);
}

#[test]
fn a_confirmed_order_that_the_tables_lack_or_show_otherwise_breaks_recorded() {
    for rows in [vec![], vec![row("ann", "o1", "expired")], vec![row("bob", "o1", "confirmed")]] {
        let mut case = JudgeCase::new(ledger(SOLD), vec![ann()]);
        case.rows = Some(rows);
        let offence = case.assert_breaks(&["recorded"]);
        assert!(offence.detail.contains("in the tables"), "{}", offence.detail);
        assert_eq!((offence.buyer, offence.event), (Some(buyer("ann")), Some(EventSeq(3))));
    }
}

#[test]
fn a_table_that_shows_more_than_the_ledger_breaks_recorded() {
    let mut case = JudgeCase::new(ledger(SOLD), vec![ann()]);
    case.rows = Some(vec![row("ann", "o1", "confirmed"), row("bob", "o2", "confirmed")]);
    assert_eq!(case.assert_breaks(&["recorded"]).buyer, Some(buyer("bob")));
}

#[test]
fn more_confirmed_units_of_one_buyer_than_the_limit_break_limit() {
    let tape = "0s configure quantity=2 limit=2 hold=60s
        1s reserve ann o1 1
        2s confirm ann o1
        3s reserve ann o2 1
        4s confirm ann o2";
    let mut entries = ledger(tape);
    let Event::Configured { policy } = &mut entries[0].event else { panic!("announced first") };
    policy.limit_per_buyer = 1;
    let account = ann().ordered(3, (3_000, 3_100), "o2", OrderPhase::Pending).paid(4, (4_000, 4_100), "o2");
    let findings = JudgeCase::new(entries.clone(), vec![account]);
    let offence = findings.assert_breaks(&["limit"]);
    assert_eq!((offence.buyer, offence.order), (Some(buyer("ann")), Some(order("o2"))));
    // After a refund, one may buy again.
    let at = entries[2].at;
    let refund = Event::Refunded { buyer: buyer("ann"), order: order("o1"), quantity: 1, restocked: false };
    entries.insert(3, LedgerEntry { seq: EventSeq(0), at, event: refund });
    let account = ann().ordered(3, (3_000, 3_100), "o2", OrderPhase::Pending).paid(4, (4_000, 4_100), "o2");
    JudgeCase::new(renumber_events(entries), vec![account]).assert_passes();
}

#[test]
fn one_key_with_two_orders_breaks_same_answer() {
    let tape = "0s configure quantity=2 limit=2 hold=60s
        1s reserve ann o1 1
        2s reserve ann o2 1";
    let account = AccountBuilder::for_buyer("ann")
        .ordered(1, (1_000, 1_100), "o1", OrderPhase::Pending)
        .ordered(1, (2_000, 2_100), "o2", OrderPhase::Pending);
    let offence = JudgeCase::new(ledger(tape), vec![account]).assert_breaks(&["same_answer", "settled"]);
    assert_eq!((offence.buyer, offence.order), (Some(buyer("ann")), Some(order("o2"))));
    assert_eq!(offence.event, Some(EventSeq(3)));
}

#[test]
fn two_keys_with_one_order_break_same_answer() {
    let account = ann().ordered(9, (5_000, 5_100), "o1", OrderPhase::Confirmed);
    let offence = JudgeCase::new(ledger(SOLD), vec![account]).assert_breaks(&["same_answer"]);
    assert_eq!(offence.order, Some(order("o1")));
}

#[test]
fn a_refusal_after_an_order_breaks_same_answer_unless_both_were_asked_at_once() {
    let tape = "0s configure quantity=2 limit=1 hold=60s\n1s reserve ann o1 1";
    let account = |sent| {
        let account = AccountBuilder::for_buyer("ann").ordered(1, (1_000, 1_100), "o1", OrderPhase::Pending);
        vec![account.refused(ORDER(1), (sent, 2_000), Code::LimitReached)]
    };
    let offence = JudgeCase::new(ledger(tape), account(1_200)).assert_breaks(&["same_answer"]);
    assert!(offence.detail.contains("limit_reached"), "{}", offence.detail);
    JudgeCase::new(ledger(tape), account(1_050)).assert_passes();
}

#[test]
fn a_refusal_that_passes_or_came_before_breaks_nothing() {
    let tape = "0s configure quantity=2 limit=1 hold=60s\n1s reserve ann o1 1";
    let account = AccountBuilder::for_buyer("ann")
        .refused(ORDER(1), (100, 200), Code::AllHeld)
        .refused(ORDER(1), (300, 400), Code::NotRecorded)
        .ordered(1, (1_000, 1_100), "o1", OrderPhase::Pending)
        .refused(ORDER(1), (1_200, 1_300), Code::RequestInFlight)
        .refused(ORDER(1), (1_400, 1_500), Code::Overloaded);
    JudgeCase::new(ledger(tape), vec![account]).assert_passes();
}

#[test]
fn an_order_that_was_confirmed_and_then_something_else_breaks_same_answer() {
    let account = ann().ordered(1, (3_000, 3_100), "o1", OrderPhase::Pending);
    assert!(
        JudgeCase::new(ledger(SOLD), vec![account])
            .assert_breaks(&["same_answer"])
            .detail
            .contains("pending again")
    );
    let account = ann().refused(pay("o1", 2), (3_000, 3_100), Code::PaymentDeclined);
    JudgeCase::new(ledger(SOLD), vec![account]).assert_breaks(&["same_answer", "no_means_no"]);
    let account = ann().refused(pay("o1", 2), (3_000, 3_100), Code::OrderExpired);
    JudgeCase::new(ledger(SOLD), vec![account]).assert_breaks(&["same_answer", "no_means_no"]);
    let account = ann().refused(ORDER(1), (3_000, 3_100), Code::KeyReused);
    JudgeCase::new(ledger(SOLD), vec![account]).assert_breaks(&["same_answer"]);
}

#[test]
fn other_units_than_were_asked_for_break_same_answer() {
    let tape = "0s configure quantity=4 limit=2 hold=60s\n1s reserve ann o1 2";
    let body =
        ReplyBody::Order { order: order("o1"), units: 2, total_minor: 2_000, status: OrderPhase::Pending };
    let account = AccountBuilder::for_buyer("ann").reply(ORDER(1), span(1_000, 1_100), body);
    JudgeCase::new(ledger(tape), vec![account]).assert_breaks(&["same_answer"]);
}

#[test]
fn an_order_that_was_declined_and_is_owned_breaks_no_means_no() {
    let what = BuyerAction::Pay { order: order("o1"), key: 2, declines: true };
    let account = AccountBuilder::for_buyer("ann")
        .ordered(1, (1_000, 1_100), "o1", OrderPhase::Pending)
        .refused(what, (2_000, 2_100), Code::PaymentDeclined);
    let offence = JudgeCase::new(ledger(SOLD), vec![account]).assert_breaks(&["no_means_no"]);
    assert_eq!((offence.buyer, offence.event), (Some(buyer("ann")), Some(EventSeq(3))));
    assert!(offence.detail.contains("payment_declined"), "{}", offence.detail);
}

#[test]
fn a_cancelled_order_that_is_owned_breaks_no_means_no() {
    let cancelled =
        ReplyBody::Order { order: order("o1"), units: 1, total_minor: 1_000, status: OrderPhase::Ended };
    let account = AccountBuilder::for_buyer("ann")
        .ordered(1, (1_000, 1_100), "o1", OrderPhase::Pending)
        .unanswered(pay("o1", 2), 1_500)
        .reply(BuyerAction::Cancel { order: order("o1") }, span(1_500, 1_600), cancelled);
    JudgeCase::new(ledger(SOLD), vec![account]).assert_breaks(&["no_means_no"]);
}

#[test]
fn an_order_owned_without_a_payment_breaks_no_means_no() {
    let account =
        || vec![AccountBuilder::for_buyer("ann").ordered(1, (1_000, 1_100), "o1", OrderPhase::Pending)];
    let offence = JudgeCase::new(ledger(SOLD), account()).assert_breaks(&["no_means_no"]);
    assert_eq!((offence.buyer, offence.order), (Some(buyer("ann")), Some(order("o1"))));
    // Other customers explain the order.
    let mut case = JudgeCase::new(ledger(SOLD), vec![]);
    case.is_exclusive = false;
    case.assert_passes();
    JudgeCase::new(ledger(SOLD), vec![]).assert_breaks(&["no_means_no"]);
}

#[test]
fn a_declined_payment_and_then_another_card_break_nothing() {
    let tape = "0s configure quantity=1 limit=1 hold=60s
        1s reserve ann o1 1
        2s begin_payment ann o1
        3s end_payment ann o1
        4s begin_payment ann o1
        5s confirm ann o1";
    let declined = BuyerAction::Pay { order: order("o1"), key: 2, declines: true };
    let account = || {
        AccountBuilder::for_buyer("ann").ordered(1, (1_000, 1_100), "o1", OrderPhase::Pending).refused(
            declined,
            (2_000, 3_100),
            Code::PaymentDeclined,
        )
    };
    let paid = account().paid(3, (4_000, 5_100), "o1");
    JudgeCase::new(ledger(tape), vec![paid]).assert_passes();
    let lost = account().unanswered(pay("o1", 3), 4_000);
    JudgeCase::new(ledger(tape), vec![lost]).assert_passes();
}

#[test]
fn an_order_that_was_told_to_be_over_and_is_owned_breaks_no_means_no() {
    let account = AccountBuilder::for_buyer("ann")
        .ordered(1, (1_000, 1_100), "o1", OrderPhase::Pending)
        .refused(pay("o1", 2), (1_200, 1_300), Code::OrderExpired)
        .paid(3, (2_000, 2_100), "o1");
    let offence = JudgeCase::new(ledger(SOLD), vec![account]).assert_breaks(&["no_means_no"]);
    assert!(offence.detail.contains("order_expired"), "{}", offence.detail);
}

#[test]
fn an_answer_that_was_lost_and_asked_for_again_breaks_nothing() {
    let account = AccountBuilder::for_buyer("ann")
        .unanswered(ORDER(1), 900)
        .unanswered(ORDER(1), 950)
        .ordered(1, (2_500, 2_600), "o1", OrderPhase::Confirmed)
        .unanswered(pay("o1", 2), 1_900);
    JudgeCase::new(ledger(SOLD), vec![account]).assert_passes();
}

#[test]
fn a_second_order_by_one_lost_request_breaks_settled() {
    let tape = "0s configure quantity=2 limit=2 hold=60s
        1s reserve ann o1 1
        2s reserve ann o2 1";
    let account = || {
        AccountBuilder::for_buyer("ann").unanswered(ORDER(1), 900).ordered(
            1,
            (2_500, 2_600),
            "o2",
            OrderPhase::Pending,
        )
    };
    let offence = JudgeCase::new(ledger(tape), vec![account()]).assert_breaks(&["settled"]);
    assert_eq!((offence.buyer, offence.order), (Some(buyer("ann")), Some(order("o1"))));
    assert_eq!(offence.event, Some(EventSeq(2)));
    JudgeCase::new(ledger(tape), vec![account().unanswered(ORDER(7), 1_000)]).assert_passes();
}
