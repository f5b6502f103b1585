//! Places in line: their order, and that they are kept.

use super::*;

const LINE: &str = "0s configure fifo quantity=2 limit=1 hold=60s checkout=60s per_second=10
    join ann
    join bob
    join cem";

fn accounts() -> Vec<AccountBuilder> {
    vec![
        AccountBuilder::for_buyer("ann").place((100, 200), 1, 1),
        AccountBuilder::for_buyer("bob").place((300, 400), 2, 2),
        AccountBuilder::for_buyer("cem").place((500, 600), 3, 3),
    ]
}

#[test]
fn a_line_in_order_breaks_nothing() {
    let tape = format!("{LINE}\n1s tick\n2s leave bob\n3s reserve ann o1 1 key=k1");
    let mut accounts = accounts();
    accounts[0] = AccountBuilder::for_buyer("ann")
        .place((100, 200), 1, 1)
        .check_place((900, 1_000), 1, 0)
        .ordered(1, (3_000, 3_100), "o1", OrderPhase::Pending);
    JudgeCase::new(ledger(&tape), accounts).assert_passes();
}

#[test]
fn who_is_passed_over_breaks_ticket_order() {
    let mut entries = ledger(&format!("{LINE}\n1s tick"));
    let first = find_event(&entries, |event| matches!(event, Event::Admitted { .. }));
    let Event::Admitted { buyer: who, ticket, .. } = &mut entries[first].event else { panic!("found above") };
    (*who, *ticket) = (buyer("cem"), Ticket(3));
    let offence = JudgeCase::new(entries, accounts()).assert_breaks(&["ticket_order"]);
    assert_eq!((offence.buyer, offence.event), (Some(buyer("ann")), Some(EventSeq(first as u64 + 1))));
    assert!(offence.detail.contains("number 3"), "{}", offence.detail);
}

#[test]
fn who_buys_past_the_line_breaks_ticket_order() {
    let mut entries = ledger("0s configure quantity=2 limit=1 hold=60s\n1s reserve dea o1 1");
    let fifo = ledger(LINE);
    entries[0] = fifo[0].clone();
    let accounts = AccountBuilder::for_buyer("dea").ordered(1, (1_000, 1_100), "o1", OrderPhase::Pending);
    assert_eq!(
        JudgeCase::new(entries, vec![accounts]).assert_breaks(&["ticket_order"]).order,
        Some(order("o1"))
    );
}

#[test]
fn a_lower_number_for_who_came_later_breaks_first_come() {
    let mut accounts = accounts();
    accounts[0] = AccountBuilder::for_buyer("ann").place((450, 500), 1, 1);
    let offence = JudgeCase::new(ledger(LINE), accounts).assert_breaks(&["first_come"]);
    assert_eq!(offence.buyer, Some(buyer("bob")));
    assert!(offence.detail.contains("received number 2 50000 µs before"), "{}", offence.detail);
}

#[test]
fn who_asked_at_the_same_time_may_have_either_number() {
    let mut accounts = accounts();
    accounts[0] = AccountBuilder::for_buyer("ann").place((390, 500), 1, 1);
    JudgeCase::new(ledger(LINE), accounts).assert_passes();
}

#[test]
fn a_number_that_a_lost_reply_had_brought_breaks_nothing() {
    let mut accounts = accounts();
    // Ann's first request was carried out, but only the repetition brought the reply.
    accounts[0] = AccountBuilder::for_buyer("ann").unanswered(BuyerAction::Join, 100).place((450, 500), 1, 1);
    JudgeCase::new(ledger(LINE), accounts).assert_passes();
}

#[test]
fn a_number_that_the_ledger_never_gave_breaks_recorded() {
    let mut accounts = accounts();
    accounts.push(AccountBuilder::for_buyer("dea").place((700, 800), 4, 4));
    let offence = JudgeCase::new(ledger(LINE), accounts).assert_breaks(&["recorded"]);
    assert_eq!(offence.buyer, Some(buyer("dea")));
}

#[test]
fn a_number_of_another_buyer_breaks_place_kept() {
    let mut accounts = accounts();
    accounts.push(AccountBuilder::for_buyer("dea").place((700, 800), 3, 3));
    let offence = JudgeCase::new(ledger(LINE), accounts).assert_breaks(&["place_kept", "recorded"]);
    assert_eq!((offence.buyer, offence.event), (Some(buyer("dea")), Some(EventSeq(6))));
}

#[test]
fn a_position_that_gets_worse_breaks_place_kept() {
    let mut accounts = accounts();
    accounts[2] = AccountBuilder::for_buyer("cem").place((500, 600), 3, 2).check_place((700, 800), 3, 3);
    let offence = JudgeCase::new(ledger(LINE), accounts).assert_breaks(&["place_kept"]);
    assert_eq!(offence.buyer, Some(buyer("cem")));
    assert!(offence.detail.contains("position 2 became 3"), "{}", offence.detail);
}

#[test]
fn another_number_without_a_reason_breaks_place_kept() {
    let tape = format!("{LINE}\njoin dea");
    let mut entries = ledger(&tape);
    let Event::Joined { buyer: who, .. } = &mut entries.last_mut().unwrap().event else {
        panic!("dea joined")
    };
    *who = buyer("cem");
    let mut accounts = accounts();
    accounts[2] = AccountBuilder::for_buyer("cem").place((500, 600), 3, 3).check_place((700, 800), 4, 3);
    let offence = JudgeCase::new(entries, accounts).assert_breaks(&["place_kept"]);
    assert!(offence.detail.contains("number 3 became 4"), "{}", offence.detail);
}

#[test]
fn a_place_that_was_gone_without_a_reason_breaks_place_kept() {
    let gone = |accounts: &mut Vec<AccountBuilder>| {
        accounts[2] = AccountBuilder::for_buyer("cem").place((500, 600), 3, 3);
        accounts[2].0.record_lost_place(span(700, 800));
    };
    let mut forgotten = accounts();
    gone(&mut forgotten);
    let offence = JudgeCase::new(ledger(LINE), forgotten).assert_breaks(&["place_kept"]);
    assert!(offence.detail.contains("number 3 was gone"), "{}", offence.detail);
    // Another tab gave it up.
    let mut given_up = accounts();
    gone(&mut given_up);
    JudgeCase::new(ledger(&format!("{LINE}\nleave cem")), given_up).assert_passes();
}

#[test]
fn another_number_after_the_old_one_was_over_breaks_nothing() {
    let tape = format!("{LINE}\nleave cem\njoin cem");
    let mut accounts = accounts();
    accounts[2] = AccountBuilder::for_buyer("cem").place((500, 600), 3, 3).check_place((700, 800), 4, 3);
    JudgeCase::new(ledger(&tape), accounts).assert_passes();
}
