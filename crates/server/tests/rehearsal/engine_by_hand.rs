//! A decider written out by hand over the law, with a place for a fault at each step. Without a fault it does what the real
//! one does. What it records is numbered apart from its state, so that a fault in the state still makes a ledger that can be
//! read.

use crate::broken::{Fault, Scene};
use engine::SaleView;
use engine::decide::{Ask, Decide, DecideError, Decided, Told};
use engine::record::{Read, ReadError};
use sale::{Command, Entry, Outcome, Policy, SaleId, Seq, State, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decides by the law and a fault.
pub struct ByHand<F> {
    fault: F,
    sales: BTreeMap<SaleId, Sale>,
}

#[derive(Default)]
struct Sale {
    state: State,
    /// What was promised, as the ledger has it.
    policy: Option<Arc<Policy>>,
    /// The number of the last event that was recorded.
    recorded: Seq,
    fresh: Vec<Entry>,
}

impl<F: Fault> ByHand<F> {
    pub fn new(fault: F) -> Self {
        Self { fault, sales: BTreeMap::new() }
    }

    fn tell(&mut self, now: Timestamp, ask: &Ask) -> Told {
        let fault = &mut self.fault;
        match ask {
            Ask::Command { sale, command } => {
                if matches!(command, Command::Configure { .. }) {
                    self.sales.entry(*sale).or_default();
                }
                let Some(sale) = self.sales.get_mut(sale) else { return Told::NoSuchSale };
                let outcome = sale.step(now, command.clone(), fault);
                Told::Outcome { outcome, seq: sale.recorded, at: now }
            }
            Ask::Sale { sale: id } => {
                let view = self.sales.get(id).and_then(|sale| sale.view(*id, &|view| fault.shown(view)));
                view.map_or(Told::NoSuchSale, Told::Sale)
            }
            Ask::Buyer { sale, buyer } => {
                self.sales.get(sale).map_or(Told::NoSuchSale, |sale| Told::Buyer(sale.state.buyer(*buyer)))
            }
            Ask::Order { order } => Told::Order(
                self.sales.iter().find_map(|(id, sale)| sale.state.order(*order).map(|view| (*id, view))),
            ),
            Ask::OrdersOf { buyer, sales } => {
                let known = sales.iter().filter_map(|id| self.sales.get(id).map(|sale| (*id, sale)));
                let orders =
                    known.flat_map(|(id, sale)| sale.state.orders_of(*buyer).map(move |view| (id, view)));
                Told::Orders(orders.collect())
            }
            Ask::Line { sale, after, limit } => self
                .sales
                .get(sale)
                .map_or(Told::NoSuchSale, |sale| Told::Line(sale.state.line(*after, *limit))),
        }
    }
}

impl Sale {
    /// As [`State::step`], with a fault.
    fn step(&mut self, now: Timestamp, mut command: Command, fault: &mut impl Fault) -> Outcome {
        let now = now.max(self.state.clock());
        fault.asked(&mut command);
        if self.state.next_due().is_some_and(|due| due <= now) {
            self.run(now, &Command::Tick, fault);
        }
        self.run(now, &command, fault)
    }

    fn run(&mut self, now: Timestamp, command: &Command, fault: &mut impl Fault) -> Outcome {
        let mut events = Vec::new();
        let mut outcome = self.state.decide(now, command, &mut events);
        fault.decided(&Scene { state: &self.state, now, command }, &mut outcome, &mut events);
        for event in events {
            for applied in fault.applied(&event) {
                self.state.apply(&Entry { seq: self.state.seq().next(), at: now, event: applied });
            }
            if let sale::Event::Configured { policy } = &event {
                self.policy = Some(Arc::from(policy.clone()));
            }
            if !fault.loses(&event) {
                self.recorded = self.recorded.next();
                self.fresh.push(Entry { seq: self.recorded, at: now, event });
            }
        }
        outcome
    }

    fn view(&self, id: SaleId, shown: &Shown<'_>) -> Option<Arc<SaleView>> {
        let mut view = SaleView::of(id, &self.state, Arc::clone(self.policy.as_ref()?));
        view.seq = self.recorded;
        shown(&mut view);
        Some(Arc::new(view))
    }
}

/// What a fault makes of what is shown.
type Shown<'a> = dyn Fn(&mut SaleView) + 'a;

impl<T: Fault> Decide for ByHand<T> {
    async fn decide(&mut self, now: Timestamp, asks: &[Ask]) -> Result<Decided, DecideError> {
        let mut decided = Decided::default();
        for ask in asks {
            let mut told = self.tell(now, ask);
            self.fault.told(now, &mut told);
            decided.told.push(told);
        }
        for (id, sale) in &mut self.sales {
            if sale.state.next_due().is_some_and(|due| due <= now) {
                sale.run(now.max(sale.state.clock()), &Command::Tick, &mut self.fault);
            }
            if !sale.fresh.is_empty() {
                decided.views.extend(sale.view(*id, &|view| self.fault.shown(view)));
                decided.batch.sales.push((*id, std::mem::take(&mut sale.fresh)));
            }
        }
        Ok(decided)
    }

    async fn rebuild(&mut self, ledger: &dyn Read) -> Result<Decided, ReadError> {
        self.sales.clear();
        let mut pages = ledger.scan();
        while let Some(page) = pages.recv().await {
            let page = page?;
            let sale = self.sales.entry(page.sale).or_default();
            for entry in &page.entries {
                sale.state.apply(entry);
                sale.recorded = entry.seq;
            }
            sale.policy = sale.state.policy().cloned().map(Arc::new);
        }
        Ok(Decided { views: self.views(), ..Decided::default() })
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.sales.values().filter_map(|sale| sale.state.next_due()).min()
    }

    fn views(&self) -> Vec<Arc<SaleView>> {
        let shown = |view: &mut SaleView| self.fault.shown(view);
        self.sales.iter().filter_map(|(id, sale)| sale.view(*id, &shown)).collect()
    }
}
