//! All replies about orders, order by order. It never judges.

use crate::observations::{AccountLog, BuyerAction, LoggedReply, OrderPhase, ReplyBody, RequestSpan};
use sale::{BuyerId, OrderId};

/// One reply that showed an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownOrder {
    pub(super) order: OrderId,
    pub(super) buyer: BuyerId,
    pub(super) units: u32,
    pub(super) total_minor: i64,
    pub(super) status: OrderPhase,
    pub(super) span: RequestSpan,
}

/// Every reply that showed an order: grouped by order, in the order of hearing within it.
#[derive(Debug, Default)]
pub(super) struct ShownOrders {
    all: Vec<ShownOrder>,
}

impl ShownOrders {
    pub(super) fn from_accounts(accounts: &[AccountLog]) -> Self {
        let mut all: Vec<ShownOrder> = accounts
            .iter()
            .flat_map(|account| {
                account.requests.iter().flat_map(move |request| {
                    request.replies.iter().filter_map(move |reply| read_shown_order(account.buyer, reply))
                })
            })
            .collect();
        all.sort_unstable_by_key(|shown| (shown.order, shown.span.received));
        Self { all }
    }

    /// Order by order; each has at least one reply.
    pub(super) fn by_order(&self) -> impl Iterator<Item = &[ShownOrder]> {
        self.all.chunk_by(|one, other| one.order == other.order)
    }

    /// The first reply that confirms each order, in the order of receiving.
    pub(super) fn first_confirmations(&self) -> Vec<ShownOrder> {
        let is_confirmed = |shown: &&ShownOrder| shown.status == OrderPhase::Confirmed;
        let mut confirmed: Vec<ShownOrder> =
            self.by_order().filter_map(|tellings| tellings.iter().find(is_confirmed).copied()).collect();
        confirmed.sort_unstable_by_key(|shown| shown.span.received);
        confirmed
    }
}

/// What a reply showed of an order.
pub(super) fn read_shown_order(buyer: BuyerId, reply: &LoggedReply) -> Option<ShownOrder> {
    match reply.body {
        ReplyBody::Order { order, units, total_minor, status } => {
            Some(ShownOrder { order, buyer, units, total_minor, status, span: reply.span })
        }
        _ => None,
    }
}

/// Whether a request's outcome is open: it got no reply, or one that leaves the outcome open.
pub(super) fn is_unsettled(request: &crate::observations::RequestLog) -> bool {
    request.unanswered > 0
        || request.replies.is_empty()
        || request.replies.iter().any(|reply| match reply.body {
            ReplyBody::Refused(code) => code.is_transient(),
            ReplyBody::Malformed => true,
            _ => false,
        })
}

/// What a request is called in a finding.
pub(super) fn action_name(what: BuyerAction) -> &'static str {
    match what {
        BuyerAction::Join => "join",
        BuyerAction::Leave => "leave",
        BuyerAction::Order { .. } => "order",
        BuyerAction::Pay { .. } => "pay",
        BuyerAction::Cancel { .. } => "cancel",
        BuyerAction::Purchase { .. } => "purchase",
        BuyerAction::ReadPurchase { .. } => "read purchase",
    }
}
