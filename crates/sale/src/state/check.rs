//! A full recount of a state against every promise that can be seen in one. Never called on the way of a purchase.

use super::State;
use super::chunks::NONE;
use super::orders::Stage;
use crate::audit::{Broken, Promise};
use crate::outcome::Place;

impl State {
    /// Counts everything again, in O(n).
    ///
    /// # Errors
    ///
    /// The first promise found broken. For a state that came from [`State::step`], or from a whole ledger written by it,
    /// there is none. A state that lacks entries may be short of units and beyond a limit, but its counts agree.
    pub fn check(&self) -> Result<(), Broken> {
        self.check_units()?;
        self.check_buyers()?;
        self.check_line()
    }

    fn check_units(&self) -> Result<(), Broken> {
        let stage_units = |wanted: &[Stage]| {
            let orders = self.orders.iter().filter(|order| wanted.contains(&order.stage));
            orders.map(|order| u64::from(order.quantity)).sum::<u64>()
        };
        let held = stage_units(&[Stage::Pending]);
        let sold = stage_units(&[Stage::Confirmed, Stage::RefundedAndGone]);
        let admitted = self.line.admitted_after(None).count() as u64;
        let units = &self.units;
        self.require(units.add_up(), Promise::Units, || format!("{units:?} does not add up"))?;
        self.require(
            (units.held, units.sold, units.admitted) == (held, sold, admitted),
            Promise::Units,
            || format!("{units:?}, but the orders hold {held} and sold {sold}, and {admitted} are admitted"),
        )?;
        let quantity = self.policy().map_or(0, |policy| u64::from(policy.quantity));
        self.require(self.policy().is_none() || quantity == units.quantity, Promise::Units, || {
            format!("the policy promises {quantity} units, there are {}", units.quantity)
        })?;
        let is_whole = self.missing == 0;
        self.require(!is_whole || units.short == 0, Promise::Units, || {
            format!("{} units are given out twice, and no entry is missing", units.short)
        })
    }

    fn check_buyers(&self) -> Result<(), Broken> {
        let limit = self.policy().map_or(u64::MAX, |policy| u64::from(policy.limit_per_buyer));
        for (number, buyer) in self.buyers.iter() {
            let (mut held, mut owned) = (0, 0);
            for order in self.orders.chain(buyer.last_order) {
                self.require(order.buyer == number, Promise::Records, || {
                    format!("order {} is in the chain of buyer {}", order.id, buyer.id)
                })?;
                match order.stage {
                    Stage::Pending => held += u64::from(order.quantity),
                    Stage::Confirmed => owned += u64::from(order.quantity),
                    _ => {}
                }
            }
            let counted = (u64::from(buyer.held), u64::from(buyer.owned));
            self.require(counted == (held, owned), Promise::Limit, || {
                format!(
                    "buyer {} has {counted:?} units held and owned, the orders say {:?}",
                    buyer.id,
                    (held, owned)
                )
            })?;
            self.require(self.missing > 0 || held + owned <= limit, Promise::Limit, || {
                format!("buyer {} holds {held} and owns {owned} units, the limit is {limit}", buyer.id)
            })?;
        }
        let chained: usize =
            self.buyers.iter().map(|(_, buyer)| self.orders.chain(buyer.last_order).count()).sum();
        self.require(chained == self.orders.len(), Promise::Records, || {
            format!("{} orders, {chained} of them in their buyers' chains", self.orders.len())
        })
    }

    fn check_line(&self) -> Result<(), Broken> {
        let members = self.line(None, usize::MAX);
        let mut position = 0;
        for member in &members {
            let number = self.line.buyer(member.ticket);
            let is_known = number != NONE && self.buyers.at(number).ticket() == Some(member.ticket);
            self.require(is_known, Promise::Tickets, || {
                format!("ticket {} is in line, but its buyer does not have it", member.ticket)
            })?;
            if let Place::Waiting { position: told } = member.place {
                position += 1;
                let exact = self.line.position(member.ticket);
                self.require(told == position && exact == position, Promise::TicketOrder, || {
                    format!("ticket {} is at {position} and is told {told} and {exact}", member.ticket)
                })?;
            }
        }
        self.require(position == self.line.waiting(), Promise::Tickets, || {
            format!("{position} wait, the count is {}", self.line.waiting())
        })?;
        let with_ticket = self.buyers.iter().filter(|(_, buyer)| buyer.ticket().is_some()).count();
        self.require(with_ticket == members.len(), Promise::Tickets, || {
            format!("{with_ticket} buyers have a ticket, {} are in line", members.len())
        })
    }

    fn require(&self, holds: bool, promise: Promise, detail: impl FnOnce() -> String) -> Result<(), Broken> {
        if holds { Ok(()) } else { Err(Broken { promise, seq: self.seq(), buyer: None, detail: detail() }) }
    }
}
