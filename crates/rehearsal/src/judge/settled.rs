//! Promises about ends: every request comes to one end, every hold and every turn too, what is freed is offered again, and
//! "sold out" is the truth. Where the rehearsal was cut short, what is open is reported and not judged.

use super::claims;
use super::samples::SampleCheck;
use super::shown_orders::{action_name, is_unsettled};
use super::state::JudgeState;
use super::tally::JudgeTally;
use super::{Evidence, PromiseFinding, PromiseOffence};
use crate::observations::{AccountLog, BuyerAction, Code, LoggedReply, ReplyBody, RequestLog, RequestSpan};
use sale::{AdmissionMode, OrderId, Timestamp};
use std::collections::HashSet;

/// How late a tick may record what is due, in milliseconds: far later than it does, also on a machine that is busy with a
/// rehearsal.
const TICK_WITHIN_MS: i64 = 5_000;

/// `settled`: every request settles one way.
pub(super) fn settled(state: &JudgeState, evidence: &Evidence<'_>) -> PromiseFinding {
    let mut tally = state.single_end.clone();
    if evidence.is_complete {
        for account in evidence.accounts {
            if claims::is_of_dialect(account) {
                claims::check_sales_per_request(state, account, &mut tally);
            } else {
                check_orders_per_request(state, account, &mut tally);
            }
        }
        if let Some(looked_at) = evidence.server_time {
            check_overdue(state, looked_at.plus_ms(-TICK_WITHIN_MS), &mut tally);
        }
    }
    tally.to_finding(
        "settled",
        "Every request settles one way, whether its reply arrived or not, and every hold and every turn comes to \
         its end.",
    )
}

/// A buyer has no more orders than requests that can have made one.
fn check_orders_per_request(state: &JudgeState, account: &AccountLog, tally: &mut JudgeTally) {
    let orders =
        account.requests.iter().filter(|request| matches!(request.action, BuyerAction::Order { .. }));
    let (mut keys, mut shown_orders) = (HashSet::new(), HashSet::new());
    for request in orders {
        let BuyerAction::Order { key, .. } = request.action else { continue };
        let shown: Vec<OrderId> = request.replies.iter().filter_map(order_in_reply).collect();
        if is_unsettled(request) || !shown.is_empty() {
            keys.insert(key);
        }
        shown_orders.extend(shown);
    }
    let buyer = account.buyer;
    let made = state.order_counts.get(&buyer).copied().unwrap_or_default();
    if made == 0 && keys.is_empty() {
        return;
    }
    tally.check(made as usize <= keys.len(), || {
        let own = state.orders.iter().filter(|(_, order)| order.buyer == buyer);
        let unshown = own.filter(|(id, _)| !shown_orders.contains(id)).min_by_key(|(_, order)| order.made);
        let detail =
            format!("{made} orders are in the ledger, and {} requests can have made one", keys.len());
        let event = unshown.map(|(_, order)| order.made);
        PromiseOffence { order: unshown.map(|(id, _)| *id), ..PromiseOffence::new(detail) }
            .buyer(buyer)
            .event(event)
    });
}

pub(super) fn order_in_reply(reply: &LoggedReply) -> Option<OrderId> {
    match reply.body {
        ReplyBody::Order { order, .. } => Some(order),
        _ => None,
    }
}

/// Checks that everything that was due before `by` is recorded.
fn check_overdue(state: &JudgeState, by: Timestamp, tally: &mut JudgeTally) {
    let mut held: Vec<_> = state.orders.iter().filter(|(_, order)| order.is_held()).collect();
    held.sort_unstable_by_key(|(_, order)| order.made);
    for (id, order) in held {
        tally.check(order.hold_end().is_none_or(|until| until > by), || {
            let over_ms = order.hold_end().map_or(0, |until| by.ms_since(until));
            let detail = format!("the order is still held {over_ms} ms after its hold was over");
            PromiseOffence::new(detail).buyer(order.buyer).order(*id).event(order.made)
        });
    }
    for (ticket, buyer, until) in state.open_admissions() {
        tally.check(until > by, || {
            let over_ms = by.ms_since(until);
            let detail = format!("the turn of number {ticket} is still open {over_ms} ms after its end");
            PromiseOffence::new(detail)
                .buyer(buyer)
                .event(state.find_place(buyer, ticket).map(|place| place.joined))
        });
    }
}

/// `freed`: no unit lies idle while a buyer wants it.
pub(super) fn freed(state: &JudgeState, watch: &SampleCheck, evidence: &Evidence<'_>) -> PromiseFinding {
    let mut tally = state.offered.clone();
    if let Some(looked_at) = evidence.server_time.filter(|_| evidence.is_complete) {
        let idle_since = state.find_idle_too_long(looked_at.plus_ms(-TICK_WITHIN_MS));
        tally.check(idle_since.is_none(), || {
            let (free, waiting) = (state.free_units(), state.waiting_count());
            PromiseOffence::new(format!(
                "{free} units are still free at the end, and {waiting} buyers wait for one"
            ))
            .event(idle_since)
        });
    }
    let is_open_to_all = state.policy.as_ref().is_some_and(|policy| policy.admission == AdmissionMode::Open);
    if is_open_to_all {
        for (account, request, reply) in all_replies(evidence.accounts) {
            let (BuyerAction::Order { units, .. }, ReplyBody::Refused(Code::AllHeld | Code::FewerLeft)) =
                (request.action, reply.body)
            else {
                continue;
            };
            let Some(around) = watch.find_bracket(reply.span) else { continue };
            tally.check(around.min_free < i64::from(units), || {
                let detail = format!(
                    "{units} units were refused as in other carts, while at least {} were free all the time",
                    around.min_free
                );
                PromiseOffence::new(detail).buyer(account.buyer).event(around.up_to)
            });
        }
    }
    tally.to_finding(
        "freed",
        "Every unit that comes free is offered again: none lies idle while a buyer waits for it or requests it.",
    )
}

/// `sold_out_true`: a reply says "sold out" only when it is true.
pub(super) fn sold_out_true(
    state: &JudgeState,
    watch: &SampleCheck,
    evidence: &Evidence<'_>,
) -> PromiseFinding {
    let mut tally = JudgeTally::default();
    let failed_jobs = claims::find_failed_jobs(state, evidence.accounts);
    for (account, span, units) in sold_out_replies(evidence.accounts).chain(failed_jobs) {
        let around = watch.find_bracket(span);
        let since = state.sold_out_since;
        let was_so = since.is_some_and(|since| around.is_none_or(|around| since <= around.up_to));
        let was_free = around.is_some_and(|around| around.min_free >= units);
        tally.check(was_so && !was_free, || {
            let (sold, quantity) = (state.sold, state.quantity());
            let detail = match (since, around) {
                (None, _) => {
                    format!("a reply says \"sold out\", and {sold} of {quantity} units were ever sold")
                }
                (Some(since), Some(around)) if !was_so => {
                    format!(
                        "a reply said \"sold out\" before event {}, and it was true after event {since}",
                        around.up_to
                    )
                }
                _ => "a reply said \"sold out\" while units were free all the time".to_owned(),
            };
            PromiseOffence::new(detail)
                .buyer(account.buyer)
                .event(around.map(|around| around.up_to).or(since))
        });
    }
    tally.to_finding("sold_out_true", "Replies say \"sold out\" only when every unit is sold.")
}

/// All "sold out" replies, each with its buyer, its moment and the units requested: refusals, and polls of a place.
fn sold_out_replies(accounts: &[AccountLog]) -> impl Iterator<Item = (&AccountLog, RequestSpan, i64)> {
    let refused = all_replies(accounts)
        .filter(|(_, _, reply)| reply.body == ReplyBody::Refused(Code::SoldOut))
        .map(|(account, request, reply)| {
            let units = match request.action {
                BuyerAction::Order { units, .. } => i64::from(units),
                _ => 1,
            };
            (account, reply.span, units)
        });
    let looked = accounts.iter().filter_map(|account| Some((account, account.sold_out_seen?, 1)));
    refused.chain(looked)
}

/// What a reader should know besides.
pub(super) fn notes(state: &JudgeState, evidence: &Evidence<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let nonsense: Vec<_> =
        all_replies(evidence.accounts).filter(|(_, _, reply)| reply.body == ReplyBody::Malformed).collect();
    if let Some((account, request, reply)) = nonsense.first() {
        notes.push(format!(
            "{} replies were not what the API says; the first was one with status {} to \"{}\" of buyer {}.",
            nonsense.len(),
            reply.status,
            action_name(request.action),
            account.buyer
        ));
    }
    if evidence.orders.is_none() {
        notes.push("The tables were not read: nothing is said about them.".to_owned());
    }
    if !evidence.is_complete {
        let held = state.orders.values().filter(|order| order.is_held()).count();
        let turns = state.open_admissions().count();
        let open = evidence
            .accounts
            .iter()
            .flat_map(|account| &account.requests)
            .filter(|request| is_unsettled(request) && request.settling_reply().is_none())
            .count();
        notes.push(format!(
            "It was cut short: {open} requests have no answer that settles them, {held} orders are still held and \
             {turns} turns are still open. They are not judged."
        ));
    }
    notes
}

fn all_replies(accounts: &[AccountLog]) -> impl Iterator<Item = (&AccountLog, &RequestLog, &LoggedReply)> {
    accounts.iter().flat_map(|account| {
        account
            .requests
            .iter()
            .flat_map(move |request| request.replies.iter().map(move |reply| (account, request, reply)))
    })
}
