//! Orders: units, limit, records, answers, and what no means.

use super::*;
use sale::{Release, Source};

const SOLD: &str = "0s configure quantity=2 limit=1 hold=60s
    1s reserve ann o1 1 key=k1
    2s confirm ann o1";

fn ann() -> Told {
    Told::to("ann").ordered(1, (1_000, 1_100), "o1", OrderStatus::Pending).paid(2, (2_000, 2_100), "o1")
}

fn bob(id: &str) -> Told {
    Told::to("bob").ordered(3, (3_000, 3_100), id, OrderStatus::Pending).paid(4, (4_000, 4_100), id)
}

fn row(name: &str, id: &str, status: &str) -> OrderRow {
    OrderRow { order: order(id), buyer: buyer(name), units: 1, status: status.into() }
}

#[test]
fn a_purchase_that_went_well_breaks_nothing() {
    let mut case = Case::new(ledger(SOLD), vec![ann()]);
    case.rows = Some(vec![row("ann", "o1", "confirmed")]);
    case.passes();
}

#[test]
fn more_units_told_than_there_are_break_units() {
    let tape = SOLD.replace("quantity=2", "quantity=1");
    let mut entries = ledger(&tape);
    let at = entries.last().unwrap().at.plus_s(1);
    let (bob_id, o2) = (buyer("bob"), order("o2"));
    entries.push(Entry {
        seq: Seq(4),
        at,
        event: Event::Held {
            buyer: bob_id,
            order: o2,
            quantity: 1,
            until: at.plus_s(60),
            from: Source::Stock,
            key: None,
        },
    });
    entries.push(Entry {
        seq: Seq(5),
        at,
        event: Event::Confirmed { buyer: bob_id, order: o2, quantity: 1, from: Source::Hold, key: None },
    });
    let offence = Case::new(entries, vec![ann(), bob("o2")]).breaks(&["units", "sums"]);
    assert_eq!((offence.buyer, offence.order, offence.event), (Some(bob_id), Some(o2), Some(Seq(5))));
}

#[test]
fn a_confirmed_order_that_the_ledger_lacks_breaks_recorded() {
    let mut entries = ledger(SOLD);
    entries.remove(find(&entries, is_confirmed));
    let offence = Case::new(entries, vec![ann()]).breaks(&["recorded"]);
    assert_eq!((offence.buyer, offence.order), (Some(buyer("ann")), Some(order("o1"))));
    assert!(offence.detail.contains("told \"confirmed\" is pending in the ledger"), "{}", offence.detail);
}

#[test]
fn a_pending_order_that_nobody_knows_breaks_recorded() {
    let told = Told::to("ann").ordered(1, (1_000, 1_100), "o1", OrderStatus::Pending);
    let offence = Case::new(ledger("0s configure quantity=1"), vec![told]).breaks(&["recorded"]);
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
    let offence = Case::new(entries, vec![ann()]).breaks(&["recorded", "no_means_no"]);
    assert!(offence.detail.contains("belongs to"), "{}", offence.detail);
}

#[test]
fn a_confirmed_order_that_the_tables_lack_or_show_otherwise_breaks_recorded() {
    for rows in [vec![], vec![row("ann", "o1", "expired")], vec![row("bob", "o1", "confirmed")]] {
        let mut case = Case::new(ledger(SOLD), vec![ann()]);
        case.rows = Some(rows);
        let offence = case.breaks(&["recorded"]);
        assert!(offence.detail.contains("in the tables"), "{}", offence.detail);
        assert_eq!((offence.buyer, offence.event), (Some(buyer("ann")), Some(Seq(3))));
    }
}

#[test]
fn a_table_that_shows_more_than_the_ledger_breaks_recorded() {
    let mut case = Case::new(ledger(SOLD), vec![ann()]);
    case.rows = Some(vec![row("ann", "o1", "confirmed"), row("bob", "o2", "confirmed")]);
    assert_eq!(case.breaks(&["recorded"]).buyer, Some(buyer("bob")));
}

#[test]
fn more_units_told_to_one_buyer_than_the_limit_break_limit() {
    let tape = "0s configure quantity=2 limit=2 hold=60s
        1s reserve ann o1 1
        2s confirm ann o1
        3s reserve ann o2 1
        4s confirm ann o2";
    let mut entries = ledger(tape);
    let Event::Configured { policy } = &mut entries[0].event else { panic!("announced first") };
    policy.limit_per_buyer = 1;
    let told = ann().ordered(3, (3_000, 3_100), "o2", OrderStatus::Pending).paid(4, (4_000, 4_100), "o2");
    let findings = Case::new(entries.clone(), vec![told]);
    let offence = findings.breaks(&["limit"]);
    assert_eq!((offence.buyer, offence.order), (Some(buyer("ann")), Some(order("o2"))));
    // After a refund, one may buy again.
    let at = entries[2].at;
    let refund = Event::Refunded { buyer: buyer("ann"), order: order("o1"), quantity: 1, restocked: false };
    entries.insert(3, Entry { seq: Seq(0), at, event: refund });
    let told = ann().ordered(3, (3_000, 3_100), "o2", OrderStatus::Pending).paid(4, (4_000, 4_100), "o2");
    Case::new(numbered(entries), vec![told]).passes();
}

#[test]
fn one_key_with_two_orders_breaks_same_answer() {
    let tape = "0s configure quantity=2 limit=2 hold=60s
        1s reserve ann o1 1
        2s reserve ann o2 1";
    let told = Told::to("ann").ordered(1, (1_000, 1_100), "o1", OrderStatus::Pending).ordered(
        1,
        (2_000, 2_100),
        "o2",
        OrderStatus::Pending,
    );
    let offence = Case::new(ledger(tape), vec![told]).breaks(&["same_answer", "settled"]);
    assert_eq!((offence.buyer, offence.order), (Some(buyer("ann")), Some(order("o2"))));
    assert_eq!(offence.event, Some(Seq(3)));
}

#[test]
fn two_keys_with_one_order_break_same_answer() {
    let told = ann().ordered(9, (5_000, 5_100), "o1", OrderStatus::Confirmed);
    let offence = Case::new(ledger(SOLD), vec![told]).breaks(&["same_answer"]);
    assert_eq!(offence.order, Some(order("o1")));
}

#[test]
fn a_refusal_after_an_order_breaks_same_answer_unless_both_were_asked_at_once() {
    let tape = "0s configure quantity=2 limit=1 hold=60s\n1s reserve ann o1 1";
    let told = |sent| {
        let told = Told::to("ann").ordered(1, (1_000, 1_100), "o1", OrderStatus::Pending);
        vec![told.refused(ORDER(1), (sent, 2_000), Code::LimitReached)]
    };
    let offence = Case::new(ledger(tape), told(1_200)).breaks(&["same_answer"]);
    assert!(offence.detail.contains("limit_reached"), "{}", offence.detail);
    Case::new(ledger(tape), told(1_050)).passes();
}

#[test]
fn a_refusal_that_passes_or_came_before_breaks_nothing() {
    let tape = "0s configure quantity=2 limit=1 hold=60s\n1s reserve ann o1 1";
    let told = Told::to("ann")
        .refused(ORDER(1), (100, 200), Code::AllHeld)
        .refused(ORDER(1), (300, 400), Code::NotRecorded)
        .ordered(1, (1_000, 1_100), "o1", OrderStatus::Pending)
        .refused(ORDER(1), (1_200, 1_300), Code::RequestInFlight)
        .refused(ORDER(1), (1_400, 1_500), Code::Overloaded);
    Case::new(ledger(tape), vec![told]).passes();
}

#[test]
fn an_order_that_was_confirmed_and_then_something_else_breaks_same_answer() {
    let told = ann().ordered(1, (3_000, 3_100), "o1", OrderStatus::Pending);
    assert!(Case::new(ledger(SOLD), vec![told]).breaks(&["same_answer"]).detail.contains("pending again"));
    let told = ann().refused(pay("o1", 2), (3_000, 3_100), Code::PaymentDeclined);
    Case::new(ledger(SOLD), vec![told]).breaks(&["same_answer", "no_means_no"]);
    let told = ann().refused(pay("o1", 2), (3_000, 3_100), Code::OrderExpired);
    Case::new(ledger(SOLD), vec![told]).breaks(&["same_answer"]);
    let told = ann().refused(ORDER(1), (3_000, 3_100), Code::KeyReused);
    Case::new(ledger(SOLD), vec![told]).breaks(&["same_answer"]);
}

#[test]
fn other_units_than_were_asked_for_break_same_answer() {
    let tape = "0s configure quantity=4 limit=2 hold=60s\n1s reserve ann o1 2";
    let said = Said::Order { order: order("o1"), units: 2, total_minor: 2_000, status: OrderStatus::Pending };
    let told = Told::to("ann").reply(ORDER(1), span(1_000, 1_100), said);
    Case::new(ledger(tape), vec![told]).breaks(&["same_answer"]);
}

#[test]
fn an_order_that_was_declined_and_is_owned_breaks_no_means_no() {
    let what = What::Pay { order: order("o1"), key: 2, declines: true };
    let told = Told::to("ann").ordered(1, (1_000, 1_100), "o1", OrderStatus::Pending).refused(
        what,
        (2_000, 2_100),
        Code::PaymentDeclined,
    );
    let offence = Case::new(ledger(SOLD), vec![told]).breaks(&["no_means_no"]);
    assert_eq!((offence.buyer, offence.event), (Some(buyer("ann")), Some(Seq(3))));
    assert!(offence.detail.contains("payment_declined"), "{}", offence.detail);
}

#[test]
fn a_cancelled_order_that_is_owned_breaks_no_means_no() {
    let cancelled =
        Said::Order { order: order("o1"), units: 1, total_minor: 1_000, status: OrderStatus::Over };
    let told = Told::to("ann")
        .ordered(1, (1_000, 1_100), "o1", OrderStatus::Pending)
        .unanswered(pay("o1", 2), 1_500)
        .reply(What::Cancel { order: order("o1") }, span(1_500, 1_600), cancelled);
    Case::new(ledger(SOLD), vec![told]).breaks(&["no_means_no"]);
}

#[test]
fn nobody_owns_what_they_never_asked_to_pay() {
    let told = || vec![Told::to("ann").ordered(1, (1_000, 1_100), "o1", OrderStatus::Pending)];
    let offence = Case::new(ledger(SOLD), told()).breaks(&["no_means_no"]);
    assert_eq!((offence.buyer, offence.order), (Some(buyer("ann")), Some(order("o1"))));
    // Somebody else's customers are no magic.
    let mut case = Case::new(ledger(SOLD), vec![]);
    case.alone = false;
    case.passes();
    Case::new(ledger(SOLD), vec![]).breaks(&["no_means_no"]);
}

#[test]
fn a_payment_that_was_too_late_and_then_came_through_breaks_nothing() {
    let tape = "0s configure quantity=1 limit=1 hold=60s
        1s reserve ann o1 1
        62s confirm ann o1";
    let entries = ledger(tape);
    assert!(
        entries
            .iter()
            .any(|entry| { matches!(entry.event, Event::Released { reason: Release::Expired, .. }) })
    );
    let told = Told::to("ann")
        .ordered(1, (1_000, 1_100), "o1", OrderStatus::Pending)
        .refused(pay("o1", 2), (61_000, 61_100), Code::OrderExpired)
        .paid(3, (62_000, 62_100), "o1");
    Case::new(entries, vec![told]).passes();
}

#[test]
fn an_answer_that_was_lost_and_asked_for_again_breaks_nothing() {
    let told = Told::to("ann")
        .unanswered(ORDER(1), 900)
        .unanswered(ORDER(1), 950)
        .ordered(1, (2_500, 2_600), "o1", OrderStatus::Confirmed)
        .unanswered(pay("o1", 2), 1_900);
    Case::new(ledger(SOLD), vec![told]).passes();
}

#[test]
fn a_second_order_by_one_lost_request_breaks_settled() {
    let tape = "0s configure quantity=2 limit=2 hold=60s
        1s reserve ann o1 1
        2s reserve ann o2 1";
    let told =
        || Told::to("ann").unanswered(ORDER(1), 900).ordered(1, (2_500, 2_600), "o2", OrderStatus::Pending);
    let offence = Case::new(ledger(tape), vec![told()]).breaks(&["settled"]);
    assert_eq!((offence.buyer, offence.order), (Some(buyer("ann")), Some(order("o1"))));
    assert_eq!(offence.event, Some(Seq(2)));
    Case::new(ledger(tape), vec![told().unanswered(ORDER(7), 1_000)]).passes();
}
