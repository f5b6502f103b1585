//! Promises about places in line, as the buyers saw them. The order of the ledger is no argument here: only a reply that was
//! received before another request was sent.

use super::ownership::shown_tickets;
use super::shown_orders::is_unsettled;
use super::state::JudgeState;
use super::tally::JudgeTally;
use super::{PromiseFinding, PromiseOffence};
use crate::observations::{
    AccountLog, BuyerAction, PlaceRecord, PlaceViolation, ReplyBody, RequestSpan, RunInstant,
};
use sale::{BuyerId, Ticket};
use std::collections::HashMap;

/// A number, and the time in which it was given.
#[derive(Clone, Copy)]
struct IssuedTicket {
    ticket: Ticket,
    buyer: BuyerId,
    span: RequestSpan,
}

/// `first_come`: a buyer who received a number before another sent the request for one has the lower number.
pub(super) fn first_come(state: &JudgeState, accounts: &[AccountLog]) -> PromiseFinding {
    let mut tally = JudgeTally::default();
    let mut by_heard: Vec<IssuedTicket> = accounts.iter().flat_map(issued_tickets).collect();
    by_heard.extend(accounts.iter().filter_map(|account| unshown_ticket(state, account)));
    let mut by_sent = by_heard.clone();
    by_heard.sort_unstable_by_key(|given| given.span.received);
    by_sent.sort_unstable_by_key(|given| given.span.sent);
    let mut earlier = by_heard.iter().peekable();
    let mut highest: Option<&IssuedTicket> = None;
    for later in &by_sent {
        while let Some(received) = earlier.next_if(|given| given.span.received < later.span.sent) {
            if highest.is_none_or(|highest| highest.ticket < received.ticket) {
                highest = Some(received);
            }
        }
        let before = highest.filter(|highest| highest.ticket > later.ticket);
        tally.check(before.is_none(), || {
            let detail = before.map_or_else(String::new, |before| {
                let (first, second) = (before.span.received.0, later.span.sent.0);
                format!(
                    "{} received number {} {} µs before {} asked, and {} got number {}",
                    before.buyer,
                    before.ticket,
                    second - first,
                    later.buyer,
                    later.buyer,
                    later.ticket
                )
            });
            let event = state.find_place(later.buyer, later.ticket).map(|place| place.joined);
            PromiseOffence { buyer: before.map(|before| before.buyer), ..PromiseOffence::new(detail) }
                .event(event)
        });
    }
    tally.to_finding(
        "first_come",
        "First come, first served: a buyer who gets a number before another asks for one has the lower number.",
    )
}

/// The numbers of an account, each with the time in which it must have been given.
fn issued_tickets(account: &AccountLog) -> impl Iterator<Item = IssuedTicket> + '_ {
    let places = account.past_places.iter().chain(&account.place);
    places.filter_map(|place| {
        let PlaceRecord { ticket, joined, .. } = *place;
        let joined = joined?;
        let span =
            RequestSpan { sent: earliest_request(account, ticket, joined.sent), received: joined.received };
        Some(IssuedTicket { ticket, buyer: account.buyer, span })
    })
}

/// The number of an account to which none was shown: that of its only place in the ledger.
fn unshown_ticket(state: &JudgeState, account: &AccountLog) -> Option<IssuedTicket> {
    let RequestSpan { sent, received } = account.spot.joined?;
    let ticket = state.find_only_ticket(account.buyer)?;
    let joins = account.requests.iter().filter(|request| request.action == BuyerAction::Join);
    let sent = joins.map(|request| request.first_sent).fold(sent, RunInstant::min);
    Some(IssuedTicket { ticket, buyer: account.buyer, span: RequestSpan { sent, received } })
}

/// A request whose reply was lost, or showed this number, may have made it, though it was not the last one sent.
fn earliest_request(account: &AccountLog, ticket: Ticket, sent: RunInstant) -> RunInstant {
    let joins = account.requests.iter().filter(|request| request.action == BuyerAction::Join);
    let may_have_brought_it = joins.filter(|request| {
        let named_it = request
            .replies
            .iter()
            .any(|reply| matches!(reply.body, ReplyBody::Place { ticket: named, .. } if named == ticket));
        named_it || is_unsettled(request)
    });
    may_have_brought_it.map(|request| request.first_sent).fold(sent, RunInstant::min)
}

/// `place_kept`: a number stays its buyer's, and a position only gets better.
pub(super) fn place_kept(state: &JudgeState, accounts: &[AccountLog]) -> PromiseFinding {
    let mut tally = JudgeTally::default();
    let mut owners: HashMap<Ticket, BuyerId> = HashMap::new();
    for account in accounts {
        let buyer = account.buyer;
        for ticket in shown_tickets(account) {
            let owner = *owners.entry(ticket).or_insert(buyer);
            tally.check(owner == buyer, || {
                let event = state.find_place(owner, ticket).map(|place| place.joined);
                PromiseOffence::new(format!("number {ticket} was shown to this buyer and to {owner}"))
                    .buyer(buyer)
                    .event(event)
            });
        }
        for place in account.past_places.iter().filter(|place| place.is_lost) {
            let known = state.find_place(buyer, place.ticket);
            tally.check(known.is_some_and(|place| place.ended.is_some()), || {
                PromiseOffence::new(format!(
                    "number {} was gone, and the ledger does not say why",
                    place.ticket
                ))
                .buyer(buyer)
                .event(known.map(|place| place.joined))
            });
        }
        check_spot(state, account, &mut tally);
        if account.places_shown > 0 {
            let violation = account.violation.and_then(|kind| describe_violation(state, buyer, kind));
            tally.check(violation.is_none(), || {
                let (detail, ticket) = violation.unwrap_or_default();
                let event =
                    ticket.and_then(|ticket| state.find_place(buyer, ticket)).map(|place| place.joined);
                PromiseOffence::new(detail).buyer(buyer).event(event)
            });
        }
    }
    tally.to_finding(
        "place_kept",
        "A buyer keeps a number until it is used or given up; no other buyer has it, and the position never \
         gets worse.",
    )
}

/// A place without a number: the ledger has it, and it only got better. What a buyer with several places was shown is not compared: no
/// reply says which of them it is about.
fn check_spot(state: &JudgeState, account: &AccountLog, tally: &mut JudgeTally) {
    if account.spot.joined.is_none() {
        return;
    }
    let (buyer, spot) = (account.buyer, account.spot);
    let places = state.count_places(buyer);
    tally.check(places > 0, || {
        PromiseOffence::new("a reply showed a place, and the ledger never gave one to this buyer")
            .buyer(buyer)
    });
    let Some(ticket) = state.find_only_ticket(buyer) else { return };
    let place = state.find_place(buyer, ticket);
    let event = place.map(|place| place.joined);
    let worse = spot.violation.unwrap_or_default();
    tally.check(spot.violation.is_none(), || {
        let detail = format!("position {} became {}, though the buyer had done nothing", worse.0, worse.1);
        PromiseOffence::new(detail).buyer(buyer).event(event)
    });
    // Who waits when the last unit is sold has no place any more, without an event of their own.
    let has_reason = place.is_some_and(|place| place.ended.is_some()) || state.sold_out_since.is_some();
    tally.check(!spot.is_lost || has_reason, || {
        PromiseOffence::new("the place was gone, and the ledger does not say why").buyer(buyer).event(event)
    });
}

/// A place that got worse, unless the ledger has the reason: the old one was over before the new one was given.
fn describe_violation(
    state: &JudgeState,
    buyer: BuyerId,
    violation: PlaceViolation,
) -> Option<(String, Option<Ticket>)> {
    match violation {
        PlaceViolation::Position { before, after } => {
            Some((format!("position {before} became {after}, though the buyer had done nothing"), None))
        }
        PlaceViolation::Ticket { before, after } => {
            let old = state.find_place(buyer, before);
            let new = state.find_place(buyer, after);
            // Replies can arrive in another order than they were sent.
            let was_over = match (old, new) {
                (Some(old), Some(new)) => {
                    let (first, second) = if old.joined < new.joined { (old, new) } else { (new, old) };
                    first.ended.is_some_and(|ended| ended <= second.joined)
                }
                _ => false,
            };
            let detail = format!("number {before} became {after}, though the buyer had done nothing");
            (!was_over).then_some((detail, Some(before)))
        }
    }
}
