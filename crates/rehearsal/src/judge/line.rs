//! Promises about places in line, as the buyers saw them. The order of the ledger is no argument here: only what was heard
//! before something else was asked for.

use super::books::Books;
use super::money::tickets;
use super::tally::Tally;
use super::told::is_open;
use super::{Finding, Offence};
use crate::told::{Account, Moment, PlaceTold, Said, Span, What, Worse};
use sale::{BuyerId, Ticket};
use std::collections::HashMap;

/// A number, and the time in which it was given.
#[derive(Clone, Copy)]
struct Given {
    ticket: Ticket,
    buyer: BuyerId,
    span: Span,
}

/// `first_come`: whoever heard a number before somebody else asked for one has the lower number.
pub(super) fn first_come(books: &Books, accounts: &[Account]) -> Finding {
    let mut tally = Tally::default();
    let mut by_heard: Vec<Given> = accounts.iter().flat_map(given).collect();
    let mut by_sent = by_heard.clone();
    by_heard.sort_unstable_by_key(|given| given.span.heard);
    by_sent.sort_unstable_by_key(|given| given.span.sent);
    let mut earlier = by_heard.iter().peekable();
    let mut highest: Option<&Given> = None;
    for later in &by_sent {
        while let Some(heard) = earlier.next_if(|given| given.span.heard < later.span.sent) {
            if highest.is_none_or(|highest| highest.ticket < heard.ticket) {
                highest = Some(heard);
            }
        }
        let before = highest.filter(|highest| highest.ticket > later.ticket);
        tally.check(before.is_none(), || {
            let detail = before.map_or_else(String::new, |before| {
                let (first, second) = (before.span.heard.0, later.span.sent.0);
                format!(
                    "{} heard number {} {} µs before {} asked, and {} got number {}",
                    before.buyer,
                    before.ticket,
                    second - first,
                    later.buyer,
                    later.buyer,
                    later.ticket
                )
            });
            let event = books.place(later.buyer, later.ticket).map(|place| place.joined);
            Offence { buyer: before.map(|before| before.buyer), ..Offence::new(detail) }.event(event)
        });
    }
    tally.finding(
        "first_come",
        "First come, first served: whoever hears a number before somebody else asks for one has the lower number.",
    )
}

/// The numbers of an account, each with the time in which it must have been given.
fn given(account: &Account) -> impl Iterator<Item = Given> + '_ {
    let places = account.past_places.iter().chain(&account.place);
    places.filter_map(|place| {
        let PlaceTold { ticket, joined, .. } = *place;
        let joined = joined?;
        let span = Span { sent: may_be_given_since(account, ticket, joined.sent), heard: joined.heard };
        Some(Given { ticket, buyer: account.buyer, span })
    })
}

/// A request whose reply was lost, or that told this number, may have brought it, though it was not the last one sent.
fn may_be_given_since(account: &Account, ticket: Ticket, sent: Moment) -> Moment {
    let joins = account.asked.iter().filter(|asked| asked.what == What::Join);
    let may_have_brought_it = joins.filter(|asked| {
        let told_it = asked
            .replies
            .iter()
            .any(|reply| matches!(reply.said, Said::Place { ticket: told, .. } if told == ticket));
        told_it || is_open(asked)
    });
    may_have_brought_it.map(|asked| asked.first_sent).fold(sent, Moment::min)
}

/// `place_kept`: a number stays its buyer's, and a position only gets better.
pub(super) fn place_kept(books: &Books, accounts: &[Account]) -> Finding {
    let mut tally = Tally::default();
    let mut owners: HashMap<Ticket, BuyerId> = HashMap::new();
    for account in accounts {
        let buyer = account.buyer;
        for ticket in tickets(account) {
            let owner = *owners.entry(ticket).or_insert(buyer);
            tally.check(owner == buyer, || {
                let event = books.place(owner, ticket).map(|place| place.joined);
                Offence::new(format!("number {ticket} was told to this buyer and to {owner}"))
                    .buyer(buyer)
                    .event(event)
            });
        }
        for place in account.past_places.iter().filter(|place| place.is_lost) {
            let there = books.place(buyer, place.ticket);
            tally.check(there.is_some_and(|place| place.ended.is_some()), || {
                Offence::new(format!("number {} was gone, and the ledger does not say why", place.ticket))
                    .buyer(buyer)
                    .event(there.map(|place| place.joined))
            });
        }
        if account.places_told > 0 {
            let worse = account.worse.and_then(|worse| really_worse(books, buyer, worse));
            tally.check(worse.is_none(), || {
                let (detail, ticket) = worse.unwrap_or_default();
                let event = ticket.and_then(|ticket| books.place(buyer, ticket)).map(|place| place.joined);
                Offence::new(detail).buyer(buyer).event(event)
            });
        }
    }
    tally.finding(
        "place_kept",
        "Whoever has a number keeps it until it is used or given up; it is theirs alone, and their position never \
         gets worse.",
    )
}

/// A place that got worse, unless the ledger tells why: the old one was over before the new one was given.
fn really_worse(books: &Books, buyer: BuyerId, worse: Worse) -> Option<(String, Option<Ticket>)> {
    match worse {
        Worse::Position { before, after } => {
            Some((format!("position {before} became {after}, though the buyer had done nothing"), None))
        }
        Worse::Ticket { before, after } => {
            let old = books.place(buyer, before);
            let new = books.place(buyer, after);
            // Replies can be heard in another order than they were given.
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
