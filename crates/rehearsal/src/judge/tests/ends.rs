//! The end of orders and sales: freed units, sold out, settled payments, and whether counters are as they were shown.

use super::*;
use sale::SaleCounters;

const FIFO: &str = "0s configure fifo quantity=1 limit=1 hold=10s checkout=10s per_second=10
    join ann
    join bob
    1s tick
    2s reserve ann o1 1 key=k1";

fn accounts() -> Vec<AccountBuilder> {
    let ann = AccountBuilder::for_buyer("ann").place((100, 200), 1, 1).ordered(
        1,
        (2_000, 2_100),
        "o1",
        OrderPhase::Pending,
    );
    vec![ann, AccountBuilder::for_buyer("bob").place((300, 400), 2, 2)]
}

/// The samples after each event of a ledger, one every 100 ms.
fn observed(entries: &[LedgerEntry]) -> Vec<StockSample> {
    let mut state = SaleState::new();
    let samples = entries.iter().zip(1..).map(|(entry, number): (&LedgerEntry, u64)| {
        state.apply(entry);
        let SaleCounters { quantity, available, admitted, held, sold, waiting, .. } = state.counters();
        let (at_ms, version) = (number * 100, entry.seq.0);
        StockSample { at_ms, version, quantity, available, admitted, held, sold, waiting }
    });
    samples.collect()
}

#[test]
fn a_unit_that_comes_free_and_is_offered_breaks_nothing() {
    let entries = ledger(&format!("{FIFO}\n12s tick\n13s restock 1\n30s tick"));
    let mut case = JudgeCase::new(entries, accounts());
    case.server_time = Some(sale::tape::ORIGIN.plus_s(60));
    case.assert_passes();
}

#[test]
fn a_unit_that_comes_free_and_is_not_offered_breaks_freed() {
    let mut entries = ledger(&format!("{FIFO}\n12s tick\n13s pause"));
    let admitted = entries.iter().rposition(|entry| matches!(entry.event, Event::Admitted { .. })).unwrap();
    entries.remove(admitted);
    let offence = JudgeCase::new(renumber_events(entries.clone()), accounts()).assert_breaks(&["freed"]);
    assert_eq!(offence.buyer, Some(buyer("bob")));
    assert!(offence.detail.starts_with("1 units have been free since event 6"), "{}", offence.detail);
    // And at the end, when nothing happens any more.
    entries.pop();
    let mut case = JudgeCase::new(renumber_events(entries.clone()), accounts());
    case.server_time = Some(sale::tape::ORIGIN.plus_s(60));
    assert_eq!(case.assert_breaks(&["freed"]).event, Some(EventSeq(6)));
    // A rehearsal that was cut short leaves it open.
    let mut case = JudgeCase::new(renumber_events(entries), accounts());
    case.server_time = Some(sale::tape::ORIGIN.plus_s(60));
    case.is_complete = false;
    case.assert_passes();
}

#[test]
fn a_turn_that_was_made_longer_is_overdue_at_its_new_end_and_not_before() {
    let looked_at = |seconds| {
        let longer = "0s configure fifo quantity=1 checkout=10s extension=60s\njoin ann\n1s extend ann";
        let mut case =
            JudgeCase::new(ledger(longer), vec![AccountBuilder::for_buyer("ann").place((100, 200), 1, 1)]);
        case.server_time = Some(sale::tape::ORIGIN.plus_s(seconds));
        case
    };
    looked_at(70).assert_passes();
    assert_eq!(looked_at(90).assert_breaks(&["settled"]).buyer, Some(buyer("ann")));
}

#[test]
fn a_unit_that_is_free_and_refused_all_the_time_breaks_freed() {
    let entries =
        ledger("0s configure quantity=2 hold=10s limit=1\n1s reserve ann o1 1\n2s reserve bob o2 1");
    let observations = observed(&entries[..2]);
    let later = |at_ms| StockSample { at_ms, ..observations[1] };
    let observations = vec![observations[0], observations[1], later(300), later(400), later(500)];
    let case = |sent, received| {
        let ann = AccountBuilder::for_buyer("ann").ordered(1, (110, 150), "o1", OrderPhase::Pending);
        let bob = AccountBuilder::for_buyer("bob")
            .refused(ORDER(2), (sent, received), Code::AllHeld)
            .unanswered(ORDER(2), 600);
        let mut case = JudgeCase::new(entries.clone(), vec![ann, bob]);
        case.observations.clone_from(&observations);
        case
    };
    assert_eq!(case(250, 280).assert_breaks(&["freed"]).buyer, Some(buyer("bob")));
    // There is no sample afterwards: the last unit may have been taken for a moment.
    case(250, 450).assert_passes();
}

#[test]
fn sold_out_that_is_not_so_breaks_sold_out_true() {
    let entries =
        ledger("0s configure quantity=2 hold=10s limit=1\n1s reserve ann o1 1 key=k1\n2s confirm ann o1");
    let ann = || {
        AccountBuilder::for_buyer("ann").ordered(1, (110, 150), "o1", OrderPhase::Pending).paid(
            2,
            (210, 250),
            "o1",
        )
    };
    let bob = || AccountBuilder::for_buyer("bob").refused(ORDER(3), (300, 400), Code::SoldOut);
    let offence = JudgeCase::new(entries, vec![ann(), bob()]).assert_breaks(&["sold_out_true"]);
    assert_eq!(offence.buyer, Some(buyer("bob")));
    assert!(offence.detail.contains("1 of 2 units"), "{}", offence.detail);
    let entries =
        ledger("0s configure quantity=1 hold=10s limit=1\n1s reserve ann o1 1 key=k1\n2s confirm ann o1");
    JudgeCase::new(entries.clone(), vec![ann(), bob()]).assert_passes();
    // Too early: two samples later, the unit was still in a cart.
    let mut case = JudgeCase::new(entries.clone(), vec![ann(), bob()]);
    case.observations = observed(&entries[..2]);
    let last = case.observations[1];
    case.observations.extend([450, 500].map(|at_ms| StockSample { at_ms, ..last }));
    assert!(case.assert_breaks(&["sold_out_true"]).detail.contains("before event 2"));
}

#[test]
fn where_what_is_shown_may_be_old_only_a_look_of_long_enough_after_tells() {
    let entries =
        ledger("0s configure quantity=1 hold=10s limit=1\n1s reserve ann o1 1 key=k1\n2s confirm ann o1");
    let ann = || {
        AccountBuilder::for_buyer("ann").ordered(1, (110, 150), "o1", OrderPhase::Pending).paid(
            2,
            (210, 250),
            "o1",
        )
    };
    let bob = || AccountBuilder::for_buyer("bob").refused(ORDER(3), (300, 400), Code::SoldOut);
    let case = |stale_ms, samples: &[u64]| {
        let mut case = JudgeCase::new(entries.clone(), vec![ann(), bob()]);
        case.observations = observed(&entries[..2]);
        let last = case.observations[1];
        case.observations.extend(samples.iter().map(|at_ms| StockSample { at_ms: *at_ms, ..last }));
        case.stale_max = Duration::from_millis(stale_ms);
        case
    };
    case(0, &[450, 500]).assert_breaks(&["sold_out_true"]);
    case(90, &[450, 480]).assert_passes();
    case(90, &[450, 500, 520]).assert_breaks(&["sold_out_true"]);
}

#[test]
fn a_look_that_says_sold_out_too_early_breaks_sold_out_true() {
    let entries =
        ledger("0s configure quantity=2 hold=10s limit=1\n1s reserve ann o1 1 key=k1\n2s confirm ann o1");
    let ann = AccountBuilder::for_buyer("ann").ordered(1, (110, 150), "o1", OrderPhase::Pending).paid(
        2,
        (210, 250),
        "o1",
    );
    let mut bob = AccountBuilder::for_buyer("bob");
    bob.0.sold_out_seen = Some(span(300, 400));
    let offence = JudgeCase::new(entries, vec![ann, bob]).assert_breaks(&["sold_out_true"]);
    assert_eq!(offence.buyer, Some(buyer("bob")));
}

#[test]
fn a_hold_and_a_turn_without_an_end_break_settled() {
    let mut case = JudgeCase::new(ledger(FIFO), accounts());
    case.server_time = Some(sale::tape::ORIGIN.plus_s(16));
    case.assert_passes();
    let mut case = JudgeCase::new(ledger(FIFO), accounts());
    case.server_time = Some(sale::tape::ORIGIN.plus_s(17));
    let offence = case.assert_breaks(&["settled"]);
    assert_eq!(
        (offence.buyer, offence.order, offence.event),
        (Some(buyer("ann")), Some(order("o1")), Some(EventSeq(5)))
    );
    let entries = ledger(&FIFO.lines().take(4).collect::<Vec<_>>().join("\n"));
    let mut case = JudgeCase::new(entries, vec![]);
    case.server_time = Some(sale::tape::ORIGIN.plus_s(16));
    assert!(case.assert_breaks(&["settled"]).detail.contains("the turn of number 1"));
}

#[test]
fn an_order_with_two_ends_breaks_settled() {
    let tape = "0s configure quantity=2 limit=1 hold=60s\n1s reserve ann o1 1\n2s confirm ann o1";
    let mut entries = ledger(tape);
    let released = Event::Released {
        buyer: buyer("ann"),
        order: order("o1"),
        quantity: 1,
        reason: sale::ReleaseCause::Cancelled,
    };
    entries.push(LedgerEntry { seq: EventSeq(4), at: entries[2].at, event: released });
    let account = AccountBuilder::for_buyer("ann").ordered(1, (100, 150), "o1", OrderPhase::Pending).paid(
        2,
        (210, 250),
        "o1",
    );
    assert_eq!(JudgeCase::new(entries, vec![account]).assert_breaks(&["settled"]).event, Some(EventSeq(4)));
}

#[test]
fn sums_that_were_shown_as_they_are_break_nothing() {
    let entries = ledger(&format!("{FIFO}\n3s confirm ann o1\n4s restock 1\n20s tick"));
    let mut account = accounts();
    account[0] = AccountBuilder::for_buyer("ann")
        .place((100, 200), 1, 1)
        .ordered(1, (2_000, 2_100), "o1", OrderPhase::Pending)
        .paid(2, (3_000, 3_100), "o1");
    let mut case = JudgeCase::new(entries, account);
    case.observations = observed(&case.entries);
    case.assert_passes();
}

#[test]
fn sums_that_were_shown_otherwise_break_sums() {
    let mut case = JudgeCase::new(ledger(FIFO), accounts());
    case.observations = observed(&case.entries);
    case.observations[3].waiting = 2;
    let offence = case.assert_breaks(&["sums"]);
    assert_eq!(offence.event, Some(EventSeq(4)));
    assert!(offence.detail.contains("2 waiting, and the ledger says"), "{}", offence.detail);
    let mut case = JudgeCase::new(ledger(FIFO), accounts());
    case.observations = observed(&case.entries);
    case.observations[4].version = 9;
    assert!(case.assert_breaks(&["sums"]).detail.contains("event 9 was shown"));
}

#[test]
fn a_rehearsal_that_was_cut_short_says_what_is_open() {
    let account = AccountBuilder::for_buyer("ann").place((100, 200), 1, 1).unanswered(ORDER(1), 2_000);
    let mut case =
        JudgeCase::new(ledger(FIFO), vec![account, AccountBuilder::for_buyer("bob").place((300, 400), 2, 2)]);
    case.is_complete = false;
    let findings = case.judge();
    assert!(findings.broken().next().is_none());
    let notes = findings.notes.join(" ");
    assert!(
        notes.contains("1 requests have no answer") && notes.contains("1 orders are still held"),
        "{notes}"
    );
}

#[test]
fn a_malformed_reply_is_reported() {
    let account = AccountBuilder::for_buyer("ann").reply(ORDER(1), span(100, 200), ReplyBody::Malformed);
    let notes = JudgeCase::new(ledger("0s configure quantity=1"), vec![account]).judge().notes.join(" ");
    assert!(notes.contains("1 replies were not what the API says"), "{notes}");
}

#[test]
fn a_finding_of_the_auditor_names_whom_it_is_about() {
    let mut entries = ledger(&format!("{FIFO}\n13s tick"));
    let at = entries.last().unwrap().at.plus_s(1);
    let paid = Event::Confirmed {
        buyer: buyer("ann"),
        order: order("o1"),
        quantity: 1,
        from: sale::UnitSource::Hold,
        key: None,
    };
    entries.push(LedgerEntry { seq: EventSeq(entries.len() as u64 + 1), at, event: paid });
    let findings = JudgeCase::new(entries, accounts()).judge();
    let late = findings.ledger.iter().find(|finding| finding.name == "late_payment").unwrap();
    let first = late.first.as_ref().unwrap();
    assert_eq!(
        (first.buyer, first.order, first.event),
        (Some(buyer("ann")), Some(order("o1")), Some(EventSeq(8)))
    );
}
