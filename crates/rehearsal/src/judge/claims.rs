//! The answers of dialects: whether a unit is the buyer's, without an order that the reply must name. They are compared with the ledger
//! and the tables by buyer. Each check counts for one of the promises that native answers are judged by.

use super::shown_orders::is_unsettled;
use super::state::JudgeState;
use super::tally::JudgeTally;
use super::{Evidence, PromiseOffence, TableOrder};
use crate::observations::{
    AccountLog, BuyerAction, Code, LoggedReply, ReplyBody, RequestLog, RequestSpan, RunInstant,
};
use sale::{BuyerId, OrderId};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Whether the account bought by the calls of a dialect.
pub(super) fn is_of_dialect(account: &AccountLog) -> bool {
    account.requests.iter().any(is_purchase)
}

fn is_purchase(request: &RequestLog) -> bool {
    matches!(request.action, BuyerAction::Purchase { .. })
}

fn reads_job(request: &RequestLog) -> bool {
    matches!(request.action, BuyerAction::ReadPurchase { job: Some(_) })
}

/// The first reply that says that a unit is the buyer's, in the order of receiving.
fn first_claim(account: &AccountLog) -> Option<&LoggedReply> {
    let replies = account.requests.iter().flat_map(|request| &request.replies);
    replies.filter(|reply| reply.body.is_owned()).min_by_key(|reply| reply.span.received)
}

/// Buyers with a purchase that the shop may have made.
pub(super) fn find_possible_purchasers(accounts: &[AccountLog]) -> HashSet<BuyerId> {
    let may_have_sold = |request: &RequestLog| {
        is_purchase(request)
            && (is_unsettled(request) || request.replies.iter().any(|reply| reply.body.is_owned()))
    };
    accounts
        .iter()
        .filter(|account| account.requests.iter().any(may_have_sold))
        .map(|account| account.buyer)
        .collect()
}

/// For `units`: replies say of no more buyers than there are units that they own one.
pub(super) fn check_units(state: &JudgeState, accounts: &[AccountLog], tally: &mut JudgeTally) {
    let mut owners: Vec<(RunInstant, BuyerId)> = accounts
        .iter()
        .filter_map(|account| Some((first_claim(account)?.span.received, account.buyer)))
        .filter(|(_, buyer)| !state.had_refund(*buyer))
        .collect();
    owners.sort_unstable();
    let quantity = state.quantity();
    for (count, (_, buyer)) in (1..).zip(owners) {
        tally.check(count <= quantity, || {
            let detail =
                format!("replies say of {count} buyers that they own a unit, the sale has {quantity}");
            PromiseOffence::new(detail).buyer(buyer)
        });
    }
}

/// For `limit`: no buyer owns more units than the limit, and no two of a buyer's purchases were answered with a unit each.
pub(super) fn check_limit(state: &JudgeState, accounts: &[AccountLog], tally: &mut JudgeTally) {
    let limit = state.limit_per_buyer();
    for account in accounts.iter().filter(|account| is_of_dialect(account)) {
        let buyer = account.buyer;
        let owned: Vec<_> = state.owned_orders(buyer).collect();
        let units: i64 = owned.iter().map(|(_, order)| i64::from(order.units)).sum();
        tally.check(units <= limit, || {
            let last = owned.iter().max_by_key(|(_, order)| order.made);
            PromiseOffence::new(format!("the ledger has {units} units of one buyer, the limit is {limit}"))
                .buyer(buyer)
                .order(last.map(|(id, _)| *id))
                .event(last.map(|(_, order)| order.made))
        });
        let sold: HashSet<Uuid> = replies_of(account).filter_map(|reply| sold_under(&reply.body)).collect();
        tally.check(
            i64::try_from(sold.len()).unwrap_or(i64::MAX) <= limit || state.had_refund(buyer),
            || {
                let detail = format!(
                    "replies show {} purchases of one buyer as sold, the limit is {limit}",
                    sold.len()
                );
                PromiseOffence::new(detail).buyer(buyer)
            },
        );
    }
}

/// What a reply names a sold unit by: its job or its order.
fn sold_under(body: &ReplyBody) -> Option<Uuid> {
    match *body {
        ReplyBody::Job { job, is_sold: true } => Some(job),
        ReplyBody::Owned { order: Some(order) } => Some(order.0),
        _ => None,
    }
}

/// For `recorded`: a buyer who was answered that a unit is theirs owns one in the ledger and in the tables, and a job that was answered
/// is known as long as the rehearsal lasts.
pub(super) fn check_recorded(state: &JudgeState, evidence: &Evidence<'_>, tally: &mut JudgeTally) {
    let rows: Option<HashMap<OrderId, &TableOrder>> =
        evidence.orders.map(|rows| rows.iter().map(|row| (row.order, row)).collect());
    for account in evidence.accounts {
        let buyer = account.buyer;
        for reply in replies_of(account) {
            let ReplyBody::Owned { order: Some(order) } = reply.body else { continue };
            let known = state.orders.get(&order);
            tally.check(known.is_some_and(|known| known.buyer == buyer && known.confirmed.is_some()), || {
                PromiseOffence::new("a reply shows this order as the buyer's, and the ledger does not")
                    .buyer(buyer)
                    .order(order)
                    .event(known.map(|known| known.made))
            });
        }
        let job_reads = account.requests.iter().filter(|request| reads_job(request));
        for request in job_reads {
            let is_lost =
                request.replies.iter().any(|reply| reply.body == ReplyBody::Refused(Code::OrderUnknown));
            tally.check(!is_lost, || {
                PromiseOffence::new("a purchase was acknowledged, and later its job was unknown").buyer(buyer)
            });
        }
        if first_claim(account).is_none() || state.had_refund(buyer) {
            continue;
        }
        let owned = state.owned_orders(buyer).next();
        tally.check(owned.is_some(), || {
            PromiseOffence::new("a reply says that a unit is the buyer's, and the ledger has none of theirs")
                .buyer(buyer)
        });
        let (Some(rows), Some((order, known))) = (&rows, owned) else { continue };
        let row = rows.get(&order).copied();
        let is_in_tables = row.is_some_and(|row| row.buyer == buyer && row.status == "confirmed");
        tally.check(is_in_tables, || {
            PromiseOffence::new(
                "a reply says that a unit is the buyer's, and the tables do not show the order",
            )
            .buyer(buyer)
            .order(order)
            .event(known.confirmed)
        });
    }
}

/// For `same_answer`: one key has one job with one outcome, no key was refused as another's, and after a reply that a unit is the buyer's
/// none says that it is not.
pub(super) fn check_same_answer(state: &JudgeState, accounts: &[AccountLog], tally: &mut JudgeTally) {
    for account in accounts {
        check_jobs(account, tally);
        // A call for a place may show a purchase whose own reply was lost; lists need not have it yet.
        let claims = requests_of(account)
            .filter(|(request, reply)| request.action != BuyerAction::Join && reply.body.is_owned());
        let Some(since) = claims.map(|(_, reply)| reply.span.received).min() else { continue };
        if state.had_refund(account.buyer) {
            continue;
        }
        for (request, reply) in requests_of(account).filter(|(_, reply)| reply.span.sent >= since) {
            let contradicts = match reply.body {
                ReplyBody::NotOwned => true,
                // An owner is answered that they own a unit, also when all units are sold.
                ReplyBody::Refused(Code::SoldOut | Code::AllHeld) => !reads_job(request),
                _ => false,
            };
            tally.check(!contradicts, || {
                let detail = "a reply said that a unit is the buyer's, and a later one that none is";
                let owned = state.owned_orders(account.buyer).next();
                PromiseOffence::new(detail)
                    .buyer(account.buyer)
                    .order(owned.map(|(id, _)| id))
                    .event(owned.map(|(_, order)| order.made))
            });
        }
    }
}

fn check_jobs(account: &AccountLog, tally: &mut JudgeTally) {
    let mut outcomes: HashMap<Uuid, bool> = HashMap::new();
    for request in &account.requests {
        let mut first: Option<Uuid> = None;
        for reply in &request.replies {
            if is_purchase(request) {
                tally.check(reply.body != ReplyBody::Refused(Code::KeyReused), || {
                    let detail = "a key was refused as used for another purchase, which it never was";
                    PromiseOffence::new(detail).buyer(account.buyer)
                });
            }
            let ReplyBody::Job { job, is_sold } = reply.body else { continue };
            let expected = *first.get_or_insert(job);
            tally.check(job == expected, || {
                let detail = format!("the same key was answered with job {expected} and with job {job}");
                PromiseOffence::new(detail).buyer(account.buyer)
            });
            let before = *outcomes.entry(job).or_insert(is_sold);
            tally.check(before == is_sold, || {
                let detail = format!("job {job} was shown as sold, and as not sold");
                PromiseOffence::new(detail).buyer(account.buyer)
            });
        }
    }
}

/// For `no_means_no`: a buyer who was answered that everything is sold owns nothing. When the answer was given every unit was another
/// buyer's, so that not even a request without a reply can have brought one about.
pub(super) fn check_refusals(state: &JudgeState, accounts: &[AccountLog], tally: &mut JudgeTally) {
    for account in accounts.iter().filter(|account| is_of_dialect(account)) {
        let was_refused = requests_of(account).any(|(request, reply)| {
            matches!(request.action, BuyerAction::Purchase { .. } | BuyerAction::Join)
                && reply.body == ReplyBody::Refused(Code::SoldOut)
        });
        if !was_refused {
            continue;
        }
        let owned = state.owned_orders(account.buyer).next();
        tally.check(owned.is_none(), || {
            PromiseOffence::new("the buyer got \"sold_out\", and owns a unit")
                .buyer(account.buyer)
                .order(owned.map(|(id, _)| id))
                .event(owned.map(|(_, order)| order.made))
        });
    }
}

/// For `settled`: a buyer has no more sold orders than purchases that can have sold one.
pub(super) fn check_sales_per_request(state: &JudgeState, account: &AccountLog, tally: &mut JudgeTally) {
    let may_have_sold = |request: &&RequestLog| {
        is_purchase(request)
            && (is_unsettled(request) || request.replies.iter().any(|reply| reply.body.is_owned()))
    };
    let (purchases, sold) =
        (account.requests.iter().filter(may_have_sold).count(), state.owned_orders(account.buyer).count());
    if purchases == 0 && sold == 0 {
        return;
    }
    tally.check(sold <= purchases, || {
        let last = state.owned_orders(account.buyer).max_by_key(|(_, order)| order.made);
        let detail =
            format!("{sold} orders are sold in the ledger, and {purchases} purchases can have sold one");
        PromiseOffence::new(detail)
            .buyer(account.buyer)
            .order(last.map(|(id, _)| id))
            .event(last.map(|(_, order)| order.made))
    });
}

/// Jobs that failed though their buyer owns no unit: then every unit was sold.
pub(super) fn find_failed_jobs<'a>(
    state: &'a JudgeState,
    accounts: &'a [AccountLog],
) -> impl Iterator<Item = (&'a AccountLog, RequestSpan, i64)> {
    let empty_handed = accounts.iter().filter(|account| {
        is_of_dialect(account) && first_claim(account).is_none() && !state.had_order(account.buyer)
    });
    empty_handed.flat_map(|account| {
        let failed = requests_of(account).filter(|(request, reply)| {
            is_purchase(request) && matches!(reply.body, ReplyBody::Job { is_sold: false, .. })
        });
        // A repeat of a key shows what was decided before it was sent.
        let first_sent = move |request: &RequestLog, reply: &LoggedReply| RequestSpan {
            sent: request.first_sent,
            received: reply.span.received,
        };
        failed.map(move |(request, reply)| (account, first_sent(request, reply), 1))
    })
}

fn replies_of(account: &AccountLog) -> impl Iterator<Item = &LoggedReply> {
    account.requests.iter().flat_map(|request| &request.replies)
}

fn requests_of(account: &AccountLog) -> impl Iterator<Item = (&RequestLog, &LoggedReply)> {
    account.requests.iter().flat_map(|request| request.replies.iter().map(move |reply| (request, reply)))
}
