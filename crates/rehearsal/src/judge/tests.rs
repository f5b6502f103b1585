//! The judge, judged: clean histories pass, and each that was doctored breaks the promise it is about, by name, with the buyer
//! and the event. What is doctored here is evidence; engines that are broken are played in the server's tests.

mod clean;

mod claims;

mod ends;

mod lines;

mod orders;

mod world;

use super::*;
use crate::observations::{
    BuyerAction, Code, LoggedReply, OrderPhase, ReplyBody, RequestLog, RequestSpan, RunInstant,
};
use sale::tape::{Tape, buyer, order};
use sale::{Event, SaleState, Ticket};

/// The ledger of a tape.
fn ledger(tape: &str) -> Vec<LedgerEntry> {
    let (mut state, mut entries) = (SaleState::new(), Vec::new());
    for (now, command) in Tape::parse(tape).unwrap().commands() {
        state.step(now, command, &mut entries);
    }
    entries
}

/// Numbers the events again after some were added or removed.
fn renumber_events(mut entries: Vec<LedgerEntry>) -> Vec<LedgerEntry> {
    for (number, entry) in (1..).zip(&mut entries) {
        entry.seq = EventSeq(number);
    }
    entries
}

/// The event that this describes.
fn find_event(entries: &[LedgerEntry], wanted: impl Fn(&Event) -> bool) -> usize {
    entries.iter().position(|entry| wanted(&entry.event)).expect("there is such an event")
}

fn span(sent_ms: u64, heard_ms: u64) -> RequestSpan {
    RequestSpan { sent: RunInstant(sent_ms * 1_000), received: RunInstant(heard_ms * 1_000) }
}

/// The evidence of one buyer, put together by hand.
struct AccountBuilder(AccountLog);

impl AccountBuilder {
    fn for_buyer(name: &str) -> Self {
        Self(AccountLog::new(buyer(name)))
    }

    /// A join and its reply.
    fn place(mut self, (sent, received): (u64, u64), ticket: u32, position: u32) -> Self {
        let span = span(sent, received);
        self.0.request_place(span.sent);
        self.0.record_place(Ticket(ticket), position, span);
        self.reply(
            BuyerAction::Join,
            span,
            ReplyBody::Place { ticket: Ticket(ticket), position, estimate_s: None },
        )
    }

    /// A poll of the place.
    fn check_place(mut self, (sent, received): (u64, u64), ticket: u32, position: u32) -> Self {
        self.0.record_place(Ticket(ticket), position, span(sent, received));
        self
    }

    fn ordered(self, key: u64, at: (u64, u64), id: &str, status: OrderPhase) -> Self {
        let body = ReplyBody::Order { order: order(id), units: 1, total_minor: 1_000, status };
        self.reply(BuyerAction::Order { units: 1, key }, span(at.0, at.1), body)
    }

    fn paid(self, key: u64, at: (u64, u64), id: &str) -> Self {
        let (order, status) = (order(id), OrderPhase::Confirmed);
        let body = ReplyBody::Order { order, units: 1, total_minor: 1_000, status };
        self.reply(BuyerAction::Pay { order, key, declines: false }, span(at.0, at.1), body)
    }

    /// A purchase by the call of a dialect, and its reply.
    fn purchased(self, key: u64, at: (u64, u64), body: ReplyBody) -> Self {
        self.reply(BuyerAction::Purchase { key }, span(at.0, at.1), body)
    }

    /// A poll of a place in a line that shows no numbers.
    fn spot(mut self, (sent, received): (u64, u64), position: u32) -> Self {
        let span = span(sent, received);
        self.0.request_place(span.sent);
        self.0.record_spot(position, span);
        self.reply(BuyerAction::Join, span, ReplyBody::Spot { position })
    }

    fn refused(self, what: BuyerAction, at: (u64, u64), code: Code) -> Self {
        self.reply(what, span(at.0, at.1), ReplyBody::Refused(code))
    }

    fn unanswered(mut self, what: BuyerAction, sent: u64) -> Self {
        self.log_request(what, RunInstant(sent * 1_000)).unanswered += 1;
        self
    }

    fn reply(mut self, what: BuyerAction, span: RequestSpan, body: ReplyBody) -> Self {
        let reply = LoggedReply { span, status: 200, retry_after_s: None, body };
        self.log_request(what, span.sent).record_reply(reply);
        self
    }

    fn log_request(&mut self, what: BuyerAction, sent: RunInstant) -> &mut RequestLog {
        let place = self.0.requests.iter().position(|request| request.action == what).unwrap_or_else(|| {
            self.0.requests.push(RequestLog::new(what, sent));
            self.0.requests.len() - 1
        });
        &mut self.0.requests[place]
    }
}

fn pay(id: &str, key: u64) -> BuyerAction {
    BuyerAction::Pay { order: order(id), key, declines: false }
}

const ORDER: fn(u64) -> BuyerAction = |key| BuyerAction::Order { units: 1, key };

/// Judges with everything that there can be.
struct JudgeCase {
    entries: Vec<LedgerEntry>,
    accounts: Vec<AccountBuilder>,
    observations: Vec<StockSample>,
    rows: Option<Vec<TableOrder>>,
    server_time: Option<Timestamp>,
    is_complete: bool,
    is_exclusive: bool,
    stale_max: Duration,
}

impl JudgeCase {
    fn new(entries: Vec<LedgerEntry>, builders: Vec<AccountBuilder>) -> Self {
        let (observations, rows, looked_at) = (vec![], None, None);
        let stale_max = Duration::ZERO;
        Self {
            entries,
            accounts: builders,
            observations,
            rows,
            server_time: looked_at,
            is_complete: true,
            is_exclusive: true,
            stale_max,
        }
    }

    fn judge(self) -> JudgeFindings {
        let mut judge = Judge::new(&self.observations, self.stale_max);
        self.entries.iter().for_each(|entry| judge.read(entry));
        let accounts: Vec<AccountLog> = self.accounts.into_iter().map(|builders| builders.0).collect();
        judge.verdict(&Evidence {
            accounts: &accounts,
            orders: self.rows.as_deref(),
            tables: None,
            server_time: self.server_time,
            is_complete: self.is_complete,
            is_exclusive: self.is_exclusive,
        })
    }

    #[track_caller]
    fn assert_passes(self) {
        let findings = self.judge();
        assert!(findings.broken().next().is_none(), "{:#?}", findings.broken().collect::<Vec<_>>());
    }

    /// Breaks these promises of the buyers and no other; gives the first offence against the first of them.
    #[track_caller]
    fn assert_breaks(self, names: &[&str]) -> PromiseOffence {
        let findings = self.judge();
        let broken: Vec<&PromiseFinding> =
            findings.replies.iter().filter(|finding| finding.broken > 0).collect();
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
