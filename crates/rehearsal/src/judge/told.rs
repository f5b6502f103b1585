//! All that was told about orders, order by order. It never judges.

use crate::told::{Account, OrderStatus, Reply, Said, Span, What};
use sale::{BuyerId, OrderId};

/// One reply that showed an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling {
    pub(super) order: OrderId,
    pub(super) buyer: BuyerId,
    pub(super) units: u32,
    pub(super) total_minor: i64,
    pub(super) status: OrderStatus,
    pub(super) span: Span,
}

/// Every reply that showed an order: grouped by order, in the order of hearing within it.
#[derive(Debug, Default)]
pub(super) struct Tellings {
    all: Vec<Telling>,
}

impl Tellings {
    pub(super) fn of(accounts: &[Account]) -> Self {
        let mut all: Vec<Telling> = accounts
            .iter()
            .flat_map(|account| {
                account.asked.iter().flat_map(move |asked| {
                    asked.replies.iter().filter_map(move |reply| telling(account.buyer, reply))
                })
            })
            .collect();
        all.sort_unstable_by_key(|telling| (telling.order, telling.span.heard));
        Self { all }
    }

    /// Order by order; each has at least one telling.
    pub(super) fn orders(&self) -> impl Iterator<Item = &[Telling]> {
        self.all.chunk_by(|one, other| one.order == other.order)
    }

    /// The first reply about each order that said "confirmed", in the order of hearing.
    pub(super) fn confirmed(&self) -> Vec<Telling> {
        let is_confirmed = |telling: &&Telling| telling.status == OrderStatus::Confirmed;
        let mut confirmed: Vec<Telling> =
            self.orders().filter_map(|tellings| tellings.iter().find(is_confirmed).copied()).collect();
        confirmed.sort_unstable_by_key(|telling| telling.span.heard);
        confirmed
    }
}

/// What a reply showed of an order.
pub(super) fn telling(buyer: BuyerId, reply: &Reply) -> Option<Telling> {
    match reply.said {
        Said::Order { order, units, total_minor, status } => {
            Some(Telling { order, buyer, units, total_minor, status, span: reply.span })
        }
        _ => None,
    }
}

/// Whether anything about a request is open: a reply that never came, or one that says nothing of the outcome.
pub(super) fn is_open(asked: &crate::told::Asked) -> bool {
    asked.unanswered > 0
        || asked.replies.is_empty()
        || asked.replies.iter().any(|reply| match reply.said {
            Said::Refused(code) => code.is_passing(),
            Said::Nonsense => true,
            _ => false,
        })
}

/// What a request is called in a finding.
pub(super) fn name_of(what: What) -> &'static str {
    match what {
        What::Join => "join",
        What::Leave => "leave",
        What::Order { .. } => "order",
        What::Pay { .. } => "pay",
        What::Cancel { .. } => "cancel",
    }
}
