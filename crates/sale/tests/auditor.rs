//! The auditor can fail: for each promise, a ledger that the law would never write, and the auditor says which promise it
//! breaks, and where.

use sale::tape::{ORIGIN, buyer, order};
use sale::{
    Event, EventSeq, LedgerAuditor, LedgerEntry, SalePromise, SaleState, Tape, Ticket, Timestamp, UnitSource,
};

/// A sale with a line in which everything happens: ten seconds of it, one event a line.
const LINE: &str = "
0s   configure fifo quantity=2 limit=1 hold=60s checkout=60s per_second=2 opens=0s
1s   join ann        # 2 joined
2s   join bob        # 3 admitted ann, 4 joined
3s   join cem        # 5 admitted bob, 6 joined
4s   reserve ann o1 1 key=k1   # 7 held
5s   confirm ann o1  # 8 confirmed
6s   reserve bob o2 1          # 9 held
66s  join dea        # 10 released (expired), 11 admitted cem, 12 joined
67s  leave cem       # 13 left
68s  tick            # 14 admitted dea
128s tick            # 15 lapsed
130s refund o1 restock         # 16 refunded
131s close           # 17 closed
";

/// An open sale with a hold that runs out.
const OPEN: &str = "
0s   configure quantity=2 limit=2 hold=60s ends=200s
1s   reserve ann o1 1 key=k1   # 2 held
2s   reserve bob o2 1          # 3 held
3s   confirm bob o2            # 4 confirmed
61s  tick                      # 5 released
62s  reserve bob o3 1          # 6 held
";

/// An open sale whose orders are paid by cards that answer slowly.
const PAID: &str = "
0s   configure quantity=2 limit=2 hold=60s ends=400s
1s   reserve ann o1 1          # 2 held
2s   reserve bob o2 1          # 3 held
3s   begin_payment ann o1      # 4 payment_begun
50s  begin_payment bob o2      # 5 payment_begun
61s  confirm ann o1            # 6 confirmed
70s  end_payment bob o2        # 7 payment_ended, 8 released
";

fn ledger(tape: &str) -> Vec<LedgerEntry> {
    let (mut state, mut entries) = (SaleState::new(), Vec::new());
    for (at, command) in Tape::parse(tape).expect("the tape is tape").commands() {
        state.step(at, command, &mut entries);
    }
    entries
}

fn audit(mut auditor: LedgerAuditor, entries: &[LedgerEntry]) -> LedgerAuditor {
    entries.iter().for_each(|entry| auditor.read_entry(entry));
    auditor
}

/// Doctors event `seq` of a good ledger and returns what the auditor finds first against the promise.
fn offence(
    tape: &str,
    promise: SalePromise,
    seq: usize,
    doctor: impl FnOnce(&mut LedgerEntry),
) -> Option<EventSeq> {
    let mut entries = ledger(tape);
    doctor(&mut entries[seq - 1]);
    found(&entries, promise)
}

fn found(entries: &[LedgerEntry], promise: SalePromise) -> Option<EventSeq> {
    let auditor = audit(LedgerAuditor::new(), entries);
    assert_eq!(auditor.is_clean(), auditor.first_offences().count() == 0);
    let first = auditor.first_offences().find(|broken| broken.promise == promise)?;
    assert!(auditor.offence_count(promise) > 0);
    for promise in SalePromise::ALL {
        assert!(auditor.offence_count(promise) <= auditor.check_count(promise), "{promise} was looked at");
    }
    Some(first.seq)
}

fn at(seconds: i64) -> Timestamp {
    ORIGIN.plus_ms(seconds * 1000)
}

/// Puts an event in before event `seq`, and renumbers.
fn insert_event(tape: &str, seq: usize, at: Timestamp, event: Event) -> Vec<LedgerEntry> {
    let mut entries = ledger(tape);
    entries.insert(seq - 1, LedgerEntry { seq: EventSeq(0), at, event });
    (1..).zip(&mut entries).for_each(|(seq, entry)| entry.seq = EventSeq(seq));
    entries
}

/// Removes event `seq` and renumbers: a ledger from which a line was cut.
fn remove_event(tape: &str, seq: usize) -> Vec<LedgerEntry> {
    let mut entries = ledger(tape);
    entries.remove(seq - 1);
    (1..).zip(&mut entries).for_each(|(seq, entry)| entry.seq = EventSeq(seq));
    entries
}

#[test]
fn a_ledger_of_the_law_is_clean() {
    for tape in [LINE, OPEN] {
        let entries = ledger(tape);
        let auditor = audit(LedgerAuditor::new(), &entries);
        assert_eq!(auditor.first_offences().collect::<Vec<_>>(), Vec::<&sale::BrokenPromise>::new());
        assert!(auditor.is_clean());
        assert_eq!(
            (auditor.entries(), auditor.missing_entries(), auditor.doubts()),
            (entries.len() as u64, 0, 0)
        );
    }
    let names: Vec<_> = ledger(LINE).iter().map(|entry| entry.event.name()).collect();
    assert_eq!(
        names.join(" "),
        "configured joined admitted joined admitted joined held confirmed held released admitted joined left admitted \
         lapsed refunded closed"
    );
}

#[test]
fn every_check_of_a_promise_is_counted() {
    let auditor = audit(LedgerAuditor::new(), &ledger(LINE));
    let counted: Vec<_> =
        SalePromise::ALL.iter().map(|promise| (promise.name(), auditor.check_count(*promise))).collect();
    // Four buyers join and are admitted, one lapses; two orders are held, one paid, one expired and one refunded.
    let expected = [
        // The total after each of 17 events, the first stock, four admissions, two orders that take an admission's unit.
        ("units", 17 + 1 + 4 + 2),
        // At each joining, hold and payment.
        ("limit", 4 + 2 + 1),
        ("tickets", 4),
        ("ticket_order", 4),
        ("rate", 4),
        ("window", 4 + 1),
        ("holds", 2 + 1),
        ("late_payment", 1),
        // Holds, admissions and the line, before each of eleven commands.
        ("at_once", 3 * 11),
        // One order had a key.
        ("keys", 1),
        // At each joining, admission and order.
        ("period", 4 + 4 + 2),
        ("policy", 1),
        // That the sale is announced, of each event; and of each but the announcement, what it speaks of.
        ("records", 17 + 4 + 4 + 1 + 1 + 2 * 3 + 2 + 2 + 2 + 1),
        // Number and time of each event.
        ("sequence", 2 * 17),
    ];
    assert_eq!(counted, expected);
    assert_eq!(audit(LedgerAuditor::new(), &[]).check_count(SalePromise::Units), 0);
}

#[test]
fn an_offence_names_the_buyer_of_its_event() {
    let mut entries = ledger(OPEN);
    if let Event::Held { quantity, .. } = &mut entries[1].event {
        *quantity = 3;
    }
    let auditor = audit(LedgerAuditor::new(), &entries);
    let first = auditor.first_offences().find(|broken| broken.promise == SalePromise::Units).unwrap();
    assert_eq!((first.seq, first.buyer), (EventSeq(2), Some(buyer("ann"))));
    let auditor = audit(LedgerAuditor::new(), &insert_event(OPEN, 2, at(0), Event::Resumed));
    let first = auditor.first_offences().next().unwrap();
    assert_eq!((first.promise, first.buyer), (SalePromise::Records, None));
}

#[test]
fn units_given_out_twice_are_found() {
    let held = |name: &str| Event::Held {
        buyer: buyer(name),
        order: order("more"),
        quantity: 1,
        until: at(64),
        from: UnitSource::Stock,
        key: None,
    };
    assert_eq!(found(&insert_event(OPEN, 5, at(4), held("cem")), SalePromise::Units), Some(EventSeq(5)));
    let seq = offence(OPEN, SalePromise::Units, 2, |entry| {
        if let Event::Held { quantity, .. } = &mut entry.event {
            *quantity = 3;
        }
    });
    assert_eq!(seq, Some(EventSeq(2)));
}

#[test]
fn a_quantity_cut_below_what_is_sold_is_found() {
    let mut policy = None;
    if let Event::Configured { policy: announced } = &ledger(OPEN)[0].event {
        policy = Some(announced.clone());
    }
    let mut policy = policy.unwrap();
    policy.quantity = 1;
    let entries = insert_event(OPEN, 5, at(4), Event::Configured { policy });
    assert_eq!(found(&entries, SalePromise::Units), Some(EventSeq(5)));
    assert_eq!(found(&entries, SalePromise::Policy), Some(EventSeq(5)));
}

#[test]
fn a_buyer_beyond_the_limit_is_found() {
    let seq = offence(LINE, SalePromise::Limit, 9, |entry| {
        if let Event::Held { quantity, .. } = &mut entry.event {
            *quantity = 2;
        }
    });
    assert_eq!(seq, Some(EventSeq(9)));
    let joined = Event::Joined { buyer: buyer("ann"), ticket: Ticket(4) };
    assert_eq!(found(&insert_event(LINE, 9, at(5), joined), SalePromise::Limit), Some(EventSeq(9)));
}

#[test]
fn a_ticket_given_twice_is_found() {
    let seq = offence(LINE, SalePromise::Tickets, 6, |entry| {
        entry.event = Event::Joined { buyer: buyer("cem"), ticket: Ticket(2) };
    });
    assert_eq!(seq, Some(EventSeq(6)));
}

#[test]
fn an_admission_past_the_head_of_the_line_is_found() {
    let mut entries =
        ledger("0s configure fifo quantity=1 starts=9s opens=9s\n0s join ann\n0s join bob\n9s tick");
    entries[3].event = Event::Admitted { buyer: buyer("bob"), ticket: Ticket(2), until: at(69) };
    assert_eq!(found(&entries, SalePromise::TicketOrder), Some(EventSeq(4)));
}

#[test]
fn a_purchase_past_the_line_is_found() {
    let seq = offence(LINE, SalePromise::TicketOrder, 7, |entry| {
        if let Event::Held { from, .. } = &mut entry.event {
            *from = UnitSource::Stock;
        }
    });
    assert_eq!(seq, Some(EventSeq(7)));
}

#[test]
fn one_admission_too_many_a_second_is_found() {
    let mut entries = ledger(
        "0s configure fifo quantity=3 per_second=2 starts=9s opens=9s
         0s join ann\n0s join bob\n0s join cem\n9s tick\n10s tick",
    );
    assert!(found(&entries, SalePromise::Rate).is_none());
    let last = entries.last_mut().unwrap();
    last.at = last.at.plus_ms(-1);
    assert_eq!(found(&entries, SalePromise::Rate), Some(EventSeq(7)));
}

#[test]
fn a_short_window_and_an_early_lapse_are_found() {
    let seq = offence(LINE, SalePromise::Window, 3, |entry| {
        if let Event::Admitted { until, .. } = &mut entry.event {
            *until = until.plus_ms(-1);
        }
    });
    assert_eq!(seq, Some(EventSeq(3)));
    assert_eq!(offence(LINE, SalePromise::Window, 15, |entry| entry.at = at(127)), Some(EventSeq(15)));
    // A pause of 89 seconds shortens no window.
    let mut entries = ledger("0s configure fifo quantity=1\n0s join ann\n1s pause\n90s resume\n150s tick");
    assert_eq!(found(&entries, SalePromise::Window), None);
    entries[5].at = at(149);
    assert_eq!(found(&entries, SalePromise::Window), Some(EventSeq(6)));
}

/// An admission that is extended, and lapses while another buyer waits.
const LONGER: &str = "
0s   configure fifo quantity=1 checkout=60s extension=30s
1s   join ann        # 2 joined
2s   join bob        # 3 admitted ann, 4 joined
9s   extend ann      # 5 extended
92s  tick            # 6 lapsed, 7 admitted bob
";

#[test]
fn more_time_than_promised_is_found() {
    let extended = |name, ticket, until| Event::Extended { buyer: buyer(name), ticket, until: at(until) };
    assert!(audit(LedgerAuditor::new(), &ledger(LONGER)).is_clean());
    for until in [91, 93] {
        let seq =
            offence(LONGER, SalePromise::Window, 5, |entry| entry.event = extended("ann", Ticket(1), until));
        assert_eq!(seq, Some(EventSeq(5)), "{until}");
    }
    // Twice, for a buyer who only waits, for an admission that is over, and in a sale that promises none.
    let again = insert_event(LONGER, 6, at(10), extended("ann", Ticket(1), 122));
    assert_eq!(found(&again, SalePromise::Window), Some(EventSeq(6)));
    let waiting = insert_event(LONGER, 6, at(10), extended("bob", Ticket(2), 122));
    assert_eq!(found(&waiting, SalePromise::Records), Some(EventSeq(6)));
    let mut late = ledger(LONGER);
    late[4].at = at(62);
    assert_eq!(found(&late, SalePromise::Window), Some(EventSeq(5)));
    let none = insert_event(LINE, 7, at(3), extended("ann", Ticket(1), 62));
    assert_eq!(found(&none, SalePromise::Window), Some(EventSeq(7)));
    // A turn that was made longer does not lapse at its old end.
    assert_eq!(offence(LONGER, SalePromise::Window, 6, |entry| entry.at = at(62)), Some(EventSeq(6)));
}

#[test]
fn a_shorter_extension_than_promised_is_found() {
    let entries = ledger(LONGER);
    let Event::Configured { mut policy } = entries[0].event.clone() else {
        panic!("a sale is announced first")
    };
    let sale::AdmissionMode::Fifo { extension_s, .. } = &mut policy.admission else {
        panic!("it has a line")
    };
    *extension_s -= 1;
    let entries = insert_event(LONGER, 2, at(1), Event::Configured { policy });
    assert_eq!(found(&entries, SalePromise::Policy), Some(EventSeq(2)));
}

#[test]
fn a_short_hold_and_an_early_expiry_are_found() {
    let seq = offence(OPEN, SalePromise::Holds, 2, |entry| {
        if let Event::Held { until, .. } = &mut entry.event {
            *until = until.plus_ms(-1);
        }
    });
    assert_eq!(seq, Some(EventSeq(2)));
    assert_eq!(offence(OPEN, SalePromise::Holds, 5, |entry| entry.at = at(60)), Some(EventSeq(5)));
    let at_once = "0s configure quantity=1 hold=0s\n1s reserve ann o1 1";
    let mut entries = ledger(at_once);
    if let Event::Configured { policy } = &mut entries[0].event {
        policy.hold_s = 60;
    }
    assert_eq!(found(&entries, SalePromise::Holds), Some(EventSeq(2)));
}

#[test]
fn late_money_that_takes_a_unit_from_someone_is_found() {
    let paid =
        |from| Event::Confirmed { buyer: buyer("bob"), order: order("o2"), quantity: 1, from, key: None };
    for from in [UnitSource::Stock, UnitSource::Hold] {
        let entries = insert_event(LINE, 13, at(66), paid(from));
        assert_eq!(found(&entries, SalePromise::LatePayment), Some(EventSeq(13)), "{from:?}");
    }
    assert_eq!(offence(OPEN, SalePromise::LatePayment, 4, |entry| entry.at = at(62)), Some(EventSeq(4)));
}

#[test]
fn a_late_payment_that_an_earlier_version_confirmed_is_clean() {
    let (ann, o1, from) = (buyer("ann"), order("o1"), UnitSource::Stock);
    let paid = Event::Confirmed { buyer: ann, order: o1, quantity: 1, from, key: None };
    let entries = insert_event(OPEN, 6, at(62), paid);
    assert!(audit(LedgerAuditor::new(), &entries[..6]).is_clean());
    let mut state = SaleState::new();
    entries[..6].iter().for_each(|entry| state.apply(entry));
    assert_eq!(state.order(o1).map(|order| order.status), Some(sale::OrderStatus::Confirmed));
    assert_eq!(state.check(), Ok(()));
}

#[test]
fn a_payment_that_prolongs_a_hold_in_another_way_than_promised_is_found() {
    assert!(audit(LedgerAuditor::new(), &ledger(PAID)).is_clean());
    let begun = |name, id, held_until, until| {
        let (buyer, order) = (buyer(name), order(id));
        Event::PaymentBegun { buyer, order, quantity: 1, held_until: at(held_until), until: at(until) }
    };
    for (held_until, until) in [(61, 180), (61, 182), (60, 181)] {
        let doctor = |entry: &mut LedgerEntry| entry.event = begun("ann", "o1", held_until, until);
        assert_eq!(offence(PAID, SalePromise::Holds, 4, doctor), Some(EventSeq(4)), "{until}");
    }
    // Once more, for an order that is not there, and for one that is paid.
    for (event, seq) in
        [(begun("ann", "o1", 61, 181), 5), (begun("ann", "o9", 61, 181), 5), (begun("ann", "o1", 61, 181), 7)]
    {
        let entries = insert_event(PAID, seq, at(if seq == 5 { 4 } else { 62 }), event.clone());
        assert_eq!(found(&entries, SalePromise::Records), Some(EventSeq(seq as u64)), "{event:?}");
    }
    // After the end of the hold, which had not expired.
    let mut late = ledger(PAID);
    late[4].at = at(62);
    assert_eq!(found(&late, SalePromise::Holds), Some(EventSeq(5)));
}

#[test]
fn a_payment_that_ends_in_another_way_than_promised_is_found() {
    let (bob, o2) = (buyer("bob"), order("o2"));
    let ended = |until| Event::PaymentEnded { buyer: bob, order: o2, quantity: 1, until: at(until) };
    let doctor = |entry: &mut LedgerEntry| entry.event = ended(63);
    assert_eq!(offence(PAID, SalePromise::Holds, 7, doctor), Some(EventSeq(7)));
    let before = insert_event(PAID, 5, at(4), ended(62));
    assert_eq!(found(&before, SalePromise::Records), Some(EventSeq(5)));
    // The hold goes on, though its own end is over.
    let mut kept = ledger(PAID);
    kept.truncate(7);
    let paused = LedgerEntry { seq: EventSeq(8), at: at(71), event: Event::Paused };
    kept.push(paused);
    assert_eq!(found(&kept, SalePromise::AtOnce), Some(EventSeq(8)));
    // Given back or expired while it is being paid.
    for reason in [sale::ReleaseCause::Cancelled, sale::ReleaseCause::Declined] {
        let released = Event::Released { buyer: bob, order: o2, quantity: 1, reason };
        let entries = insert_event(PAID, 6, at(51), released);
        assert_eq!(found(&entries, SalePromise::Records), Some(EventSeq(6)));
    }
    let expired = Event::Released { buyer: bob, order: o2, quantity: 1, reason: sale::ReleaseCause::Expired };
    let entries = insert_event(PAID, 7, at(63), expired);
    assert_eq!(found(&entries, SalePromise::Holds), Some(EventSeq(7)));
}

#[test]
fn what_is_overdue_when_something_else_is_decided_is_found() {
    // The hold that ran out, the admission that was over, and the unit that was not offered to the line.
    assert_eq!(found(&remove_event(OPEN, 5), SalePromise::AtOnce), Some(EventSeq(5)));
    assert_eq!(found(&remove_event(LINE, 15), SalePromise::AtOnce), Some(EventSeq(15)));
    assert_eq!(found(&remove_event(LINE, 11), SalePromise::AtOnce), Some(EventSeq(11)));
}

#[test]
fn one_key_with_two_orders_is_found() {
    let again = Event::Held {
        buyer: buyer("ann"),
        order: order("twin"),
        quantity: 1,
        until: at(64),
        from: UnitSource::Stock,
        key: Some(sale::tape::key("k1")),
    };
    assert_eq!(found(&insert_event(OPEN, 5, at(4), again), SalePromise::Keys), Some(EventSeq(5)));
}

#[test]
fn what_is_sold_outside_the_sale_is_found() {
    let held = |seconds: i64| Event::Held {
        buyer: buyer("cem"),
        order: order("odd"),
        quantity: 1,
        until: at(seconds + 60),
        from: UnitSource::Stock,
        key: None,
    };
    let pause = "0s configure quantity=2 starts=10s ends=200s hold=60s\n20s pause";
    for (seq, seconds) in [(2, 9), (3, 21), (3, 200)] {
        let entries = insert_event(pause, seq, at(seconds), held(seconds));
        assert_eq!(found(&entries, SalePromise::Period), Some(EventSeq(seq as u64)), "{seconds}");
    }
    let close = "0s configure quantity=2 starts=10s ends=200s hold=60s\n20s close";
    assert_eq!(found(&insert_event(close, 3, at(21), held(21)), SalePromise::Period), Some(EventSeq(3)));
    let line = "0s configure fifo quantity=2 starts=10s opens=5s ends=200s";
    let joined = || Event::Joined { buyer: buyer("ann"), ticket: Ticket(1) };
    for seconds in [4, 200] {
        assert_eq!(
            found(&insert_event(line, 2, at(seconds), joined()), SalePromise::Period),
            Some(EventSeq(2))
        );
    }
    let mut entries = insert_event(line, 2, at(5), joined());
    let admitted = Event::Admitted { buyer: buyer("ann"), ticket: Ticket(1), until: at(66) };
    entries.push(LedgerEntry { seq: EventSeq(3), at: at(6), event: admitted });
    assert_eq!(found(&entries, SalePromise::Period), Some(EventSeq(3)));
}

#[test]
fn a_policy_that_takes_something_back_is_found() {
    let Event::Configured { policy } = ledger(OPEN)[0].event.clone() else {
        panic!("a sale is announced first")
    };
    let changes: [fn(&mut sale::Policy); 4] = [
        |policy| policy.quantity = 1,
        |policy| policy.ends_at = policy.ends_at.plus_ms(-1),
        |policy| policy.limit_per_buyer = 9,
        |policy| policy.unit_price.minor += 1,
    ];
    for change in changes {
        let mut policy = policy.clone();
        change(&mut policy);
        let entries = insert_event(OPEN, 2, at(1), Event::Configured { policy });
        assert_eq!(found(&entries, SalePromise::Policy), Some(EventSeq(2)));
    }
    let entries = insert_event(OPEN, 7, at(200), Event::Configured { policy });
    assert_eq!(found(&entries, SalePromise::Policy), Some(EventSeq(7)));
}

#[test]
fn an_event_about_what_is_not_there_is_found() {
    let (ann, bob) = (buyer("ann"), buyer("bob"));
    let hold = UnitSource::Hold;
    let strange = [
        Event::Confirmed { buyer: ann, order: order("none"), quantity: 1, from: hold, key: None },
        Event::Confirmed { buyer: bob, order: order("o2"), quantity: 1, from: hold, key: None },
        Event::Confirmed { buyer: bob, order: order("o1"), quantity: 1, from: hold, key: None },
        Event::Released {
            buyer: ann,
            order: order("none"),
            quantity: 1,
            reason: sale::ReleaseCause::Cancelled,
        },
        Event::Released {
            buyer: bob,
            order: order("o2"),
            quantity: 1,
            reason: sale::ReleaseCause::Cancelled,
        },
        Event::Refunded { buyer: ann, order: order("o1"), quantity: 1, restocked: true },
        Event::Refunded { buyer: ann, order: order("none"), quantity: 1, restocked: true },
        Event::Left { buyer: ann, ticket: Ticket(1), admitted: false },
        Event::Lapsed { buyer: ann, ticket: Ticket(1) },
        Event::Admitted { buyer: ann, ticket: Ticket(1), until: at(64) },
        Event::Resumed,
    ];
    for event in strange {
        let entries = insert_event(OPEN, 5, at(4), event.clone());
        assert_eq!(found(&entries, SalePromise::Records), Some(EventSeq(5)), "{event:?}");
    }
    assert_eq!(found(&remove_event(OPEN, 1), SalePromise::Records), Some(EventSeq(1)));
}

#[test]
fn numbers_and_times_out_of_order_are_found() {
    assert_eq!(offence(OPEN, SalePromise::Sequence, 4, |entry| entry.seq = EventSeq(3)), Some(EventSeq(3)));
    assert_eq!(offence(OPEN, SalePromise::Sequence, 4, |entry| entry.seq = EventSeq(9)), Some(EventSeq(9)));
    assert_eq!(offence(OPEN, SalePromise::Sequence, 4, |entry| entry.at = at(1)), Some(EventSeq(4)));
    let entries = ledger(OPEN);
    assert_eq!(found(&entries[1..], SalePromise::Sequence), Some(EventSeq(2)));
}

#[test]
fn a_gap_is_noted_where_gaps_are_allowed_and_explains_no_more_than_it_can() {
    let mut entries = ledger(LINE);
    // The hold of o1 was lost: its payment speaks of an order that is not there.
    entries.remove(6);
    let auditor = audit(LedgerAuditor::allowing_gaps(), &entries);
    assert!(auditor.is_clean(), "{:?}", auditor.first_offences().collect::<Vec<_>>());
    assert_eq!(auditor.missing_entries(), 1);
    assert!(auditor.doubts() > 0);
    assert_eq!(found(&entries, SalePromise::Sequence), Some(EventSeq(8)));
    // No lost entry explains a ticket that was given twice.
    entries[10].event = Event::Joined { buyer: buyer("dea"), ticket: Ticket(3) };
    let auditor = audit(LedgerAuditor::allowing_gaps(), &entries);
    assert_eq!(
        auditor.first_offences().map(|broken| broken.promise).collect::<Vec<_>>(),
        [SalePromise::Tickets]
    );
}

#[test]
fn every_promise_has_a_name_and_a_sentence() {
    let names: std::collections::BTreeSet<_> =
        SalePromise::ALL.iter().map(|promise| promise.name()).collect();
    assert_eq!(names.len(), SalePromise::ALL.len());
    for (index, promise) in SalePromise::ALL.into_iter().enumerate() {
        assert_eq!(promise as usize, index, "{promise}");
        assert!(promise.sentence().ends_with('.') && !promise.sentence().contains("  "), "{promise}");
    }
}
