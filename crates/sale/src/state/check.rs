//! A full recount of a state against every promise that can be seen in one. Never called on the way of a purchase.

use super::SaleState;
use super::chunks::NO_RECORD;
use super::orders::OrderStage;
use crate::audit::{BrokenPromise, SalePromise};
use crate::outcome::LinePosition;

impl SaleState {
    /// Counts everything again, in O(n).
    ///
    /// # Errors
    ///
    /// The first promise found broken. For a state that came from [`SaleState::step`], or from a whole ledger written by it,
    /// there is none. A state that lacks entries may be short of units and beyond a limit, but its counts agree.
    pub fn check(&self) -> Result<(), BrokenPromise> {
        self.check_units()?;
        self.check_buyers()?;
        self.check_line()
    }

    fn check_units(&self) -> Result<(), BrokenPromise> {
        let stage_units = |wanted: &[OrderStage]| {
            let orders = self.orders.iter().filter(|order| wanted.contains(&order.stage));
            orders.map(|order| u64::from(order.quantity)).sum::<u64>()
        };
        let held = stage_units(&[OrderStage::Pending]);
        let sold = stage_units(&[OrderStage::Confirmed, OrderStage::RefundedNotRestocked]);
        let admitted = self.line.admitted_after(None).count() as u64;
        let units = &self.units;
        self.require_promise(units.is_consistent(), SalePromise::Units, || {
            format!("{units:?} does not add up")
        })?;
        self.require_promise(
            (units.held, units.sold, units.admitted) == (held, sold, admitted),
            SalePromise::Units,
            || format!("{units:?}, but the orders hold {held} and sold {sold}, and {admitted} are admitted"),
        )?;
        let quantity = self.policy().map_or(0, |policy| u64::from(policy.quantity));
        self.require_promise(
            self.policy().is_none() || quantity == units.quantity,
            SalePromise::Units,
            || format!("the policy promises {quantity} units, there are {}", units.quantity),
        )?;
        let is_whole = self.missing == 0;
        self.require_promise(!is_whole || units.short == 0, SalePromise::Units, || {
            format!("{} units are given out twice, and no entry is missing", units.short)
        })
    }

    fn check_buyers(&self) -> Result<(), BrokenPromise> {
        let limit = self.policy().map_or(u64::MAX, |policy| u64::from(policy.limit_per_buyer));
        for (number, buyer) in self.buyers.iter() {
            let (mut held, mut owned) = (0, 0);
            for order in self.orders.chain(buyer.last_order) {
                self.require_promise(order.buyer == number, SalePromise::Records, || {
                    format!("order {} is in the chain of buyer {}", order.id, buyer.id)
                })?;
                match order.stage {
                    OrderStage::Pending => held += u64::from(order.quantity),
                    OrderStage::Confirmed => owned += u64::from(order.quantity),
                    _ => {}
                }
            }
            let counted = (u64::from(buyer.held), u64::from(buyer.owned));
            self.require_promise(counted == (held, owned), SalePromise::Limit, || {
                format!(
                    "buyer {} has {counted:?} units held and owned, the orders say {:?}",
                    buyer.id,
                    (held, owned)
                )
            })?;
            self.require_promise(self.missing > 0 || held + owned <= limit, SalePromise::Limit, || {
                format!("buyer {} holds {held} and owns {owned} units, the limit is {limit}", buyer.id)
            })?;
        }
        let chained: usize =
            self.buyers.iter().map(|(_, buyer)| self.orders.chain(buyer.last_order).count()).sum();
        self.require_promise(chained == self.orders.len(), SalePromise::Records, || {
            format!("{} orders, {chained} of them in their buyers' chains", self.orders.len())
        })
    }

    fn check_line(&self) -> Result<(), BrokenPromise> {
        let members = self.line_members(None, usize::MAX);
        let mut position = 0;
        for member in &members {
            let number = self.line.buyer(member.ticket);
            let is_known = number != NO_RECORD && self.buyers.at(number).ticket() == Some(member.ticket);
            self.require_promise(is_known, SalePromise::Tickets, || {
                format!("ticket {} is in line, but its buyer does not have it", member.ticket)
            })?;
            if let LinePosition::Waiting { position: listed } = member.place {
                position += 1;
                let computed = self.line.position(member.ticket);
                self.require_promise(
                    listed == position && computed == Some(position),
                    SalePromise::TicketOrder,
                    || {
                        let ticket = member.ticket;
                        format!("ticket {ticket} is at {position}, but is listed at {listed} and computed as {computed:?}")
                    },
                )?;
            }
        }
        self.require_promise(position == self.line.waiting(), SalePromise::Tickets, || {
            format!("{position} wait, the count is {}", self.line.waiting())
        })?;
        let with_ticket = self.buyers.iter().filter(|(_, buyer)| buyer.ticket().is_some()).count();
        self.require_promise(with_ticket == members.len(), SalePromise::Tickets, || {
            format!("{with_ticket} buyers have a ticket, {} are in line", members.len())
        })
    }

    fn require_promise(
        &self,
        holds: bool,
        promise: SalePromise,
        detail: impl FnOnce() -> String,
    ) -> Result<(), BrokenPromise> {
        if holds {
            Ok(())
        } else {
            Err(BrokenPromise { promise, seq: self.seq(), buyer: None, detail: detail() })
        }
    }
}
