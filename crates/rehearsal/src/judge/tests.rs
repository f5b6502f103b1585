//! The judge, judged: clean histories pass, and each that was doctored breaks the promise it is about, by name, with the buyer
//! and the event. What is doctored here is evidence; engines that are broken are played in the server's tests.

mod clean;

mod ends;

mod lines;

mod orders;

mod world;

use super::*;
use crate::told::{Asked, Code, Moment, OrderStatus, Reply, Said, Span, What};
use sale::tape::{Tape, buyer, order};
use sale::{Event, State, Ticket};

/// The ledger of a tape.
fn ledger(tape: &str) -> Vec<Entry> {
    let (mut state, mut entries) = (State::new(), Vec::new());
    for (now, command) in Tape::parse(tape).unwrap().commands() {
        state.step(now, command, &mut entries);
    }
    entries
}

/// Numbers events anew after some were put in or taken out.
fn numbered(mut entries: Vec<Entry>) -> Vec<Entry> {
    for (number, entry) in (1..).zip(&mut entries) {
        entry.seq = Seq(number);
    }
    entries
}

/// The event that this describes.
fn find(entries: &[Entry], wanted: impl Fn(&Event) -> bool) -> usize {
    entries.iter().position(|entry| wanted(&entry.event)).expect("there is such an event")
}

fn span(sent_ms: u64, heard_ms: u64) -> Span {
    Span { sent: Moment(sent_ms * 1_000), heard: Moment(heard_ms * 1_000) }
}

/// The evidence of one buyer, put together by hand.
struct Told(Account);

impl Told {
    fn to(name: &str) -> Self {
        Self(Account::new(buyer(name)))
    }

    /// A place was asked for and told.
    fn place(mut self, (sent, heard): (u64, u64), ticket: u32, position: u32) -> Self {
        let span = span(sent, heard);
        self.0.ask_for_place(span.sent);
        self.0.hear_place(Ticket(ticket), position, span);
        self.reply(What::Join, span, Said::Place { ticket: Ticket(ticket), position })
    }

    /// A look at the place.
    fn look(mut self, (sent, heard): (u64, u64), ticket: u32, position: u32) -> Self {
        self.0.hear_place(Ticket(ticket), position, span(sent, heard));
        self
    }

    fn ordered(self, key: u64, at: (u64, u64), id: &str, status: OrderStatus) -> Self {
        let said = Said::Order { order: order(id), units: 1, total_minor: 1_000, status };
        self.reply(What::Order { units: 1, key }, span(at.0, at.1), said)
    }

    fn paid(self, key: u64, at: (u64, u64), id: &str) -> Self {
        let (order, status) = (order(id), OrderStatus::Confirmed);
        let said = Said::Order { order, units: 1, total_minor: 1_000, status };
        self.reply(What::Pay { order, key, declines: false }, span(at.0, at.1), said)
    }

    fn refused(self, what: What, at: (u64, u64), code: Code) -> Self {
        self.reply(what, span(at.0, at.1), Said::Refused(code))
    }

    fn unanswered(mut self, what: What, sent: u64) -> Self {
        self.asked(what, Moment(sent * 1_000)).unanswered += 1;
        self
    }

    fn reply(mut self, what: What, span: Span, said: Said) -> Self {
        self.asked(what, span.sent).hear(Reply { span, status: 200, said });
        self
    }

    fn asked(&mut self, what: What, sent: Moment) -> &mut Asked {
        let place = self.0.asked.iter().position(|asked| asked.what == what).unwrap_or_else(|| {
            self.0.asked.push(Asked::new(what, sent));
            self.0.asked.len() - 1
        });
        &mut self.0.asked[place]
    }
}

fn pay(id: &str, key: u64) -> What {
    What::Pay { order: order(id), key, declines: false }
}

const ORDER: fn(u64) -> What = |key| What::Order { units: 1, key };

/// Judges with everything that there can be.
struct Case {
    entries: Vec<Entry>,
    told: Vec<Told>,
    observations: Vec<Observation>,
    rows: Option<Vec<OrderRow>>,
    looked_at: Option<Timestamp>,
    sees_all: bool,
    alone: bool,
    stale_max: Duration,
}

impl Case {
    fn new(entries: Vec<Entry>, told: Vec<Told>) -> Self {
        let (observations, rows, looked_at) = (vec![], None, None);
        let stale_max = Duration::ZERO;
        Self { entries, told, observations, rows, looked_at, sees_all: true, alone: true, stale_max }
    }

    fn judge(self) -> Findings {
        let mut judge = Judge::new(&self.observations, self.stale_max);
        self.entries.iter().for_each(|entry| judge.read(entry));
        let accounts: Vec<Account> = self.told.into_iter().map(|told| told.0).collect();
        judge.verdict(&Evidence {
            accounts: &accounts,
            orders: self.rows.as_deref(),
            tables: None,
            looked_at: self.looked_at,
            sees_all: self.sees_all,
            alone: self.alone,
        })
    }

    #[track_caller]
    fn passes(self) {
        let findings = self.judge();
        assert!(findings.broken().next().is_none(), "{:#?}", findings.broken().collect::<Vec<_>>());
    }

    /// Breaks these promises of the buyers and no other; gives the first offence against the first of them.
    #[track_caller]
    fn breaks(self, names: &[&str]) -> Offence {
        let findings = self.judge();
        let broken: Vec<&Finding> = findings.told.iter().filter(|finding| finding.broken > 0).collect();
        let mut found: Vec<&str> = broken.iter().map(|finding| finding.name).collect();
        let mut wanted = names.to_vec();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{broken:#?}");
        let first = broken.iter().find(|finding| finding.name == names[0]).unwrap();
        assert!(first.checked >= first.broken);
        first.first.clone().unwrap()
    }
}

fn is_confirmed(event: &Event) -> bool {
    matches!(event, Event::Confirmed { .. })
}
