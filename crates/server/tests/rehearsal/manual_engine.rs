//! A decider over the law with a hook for a fault at each step. Without a fault it does what the real one does. It numbers what it
//! records apart from its state, so that a fault in the state still makes a ledger that can be
//! read.

use crate::faults::{DecisionContext, EngineFault};
use engine::SaleView;
use engine::decide::{BatchDecider, DecideError, DecidedBatch, Reply, Request};
use engine::record::{LedgerReader, ReadError};
use sale::{Command, CommandOutcome, EventSeq, LedgerEntry, Policy, SaleId, SaleState, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decides by the law and a fault.
pub struct ManualEngine<F> {
    fault: F,
    sales: BTreeMap<SaleId, Sale>,
}

#[derive(Default)]
struct Sale {
    state: SaleState,
    /// What was promised, as the ledger has it.
    policy: Option<Arc<Policy>>,
    /// The number of the last event that was recorded.
    recorded: EventSeq,
    fresh: Vec<LedgerEntry>,
}

impl<F: EngineFault> ManualEngine<F> {
    pub fn new(fault: F) -> Self {
        Self { fault, sales: BTreeMap::new() }
    }

    fn answer(&mut self, now: Timestamp, request: &Request) -> Reply {
        let fault = &mut self.fault;
        match request {
            Request::Command { sale, command } => {
                if matches!(command, Command::Configure { .. }) {
                    self.sales.entry(*sale).or_default();
                }
                let Some(sale) = self.sales.get_mut(sale) else { return Reply::NoSuchSale };
                let outcome = sale.step(now, command.clone(), fault);
                let unsold = sale.state.counters().unsold();
                Reply::Outcome { outcome, seq: sale.recorded, at: now, unsold }
            }
            Request::Sale { sale: id } => {
                let view =
                    self.sales.get(id).and_then(|sale| sale.view(*id, &|view| fault.change_view(view)));
                view.map_or(Reply::NoSuchSale, Reply::Sale)
            }
            Request::Buyer { sale, buyer } => {
                self.sales.get(sale).map_or(Reply::NoSuchSale, |sale| Reply::Buyer(sale.state.buyer(*buyer)))
            }
            Request::Order { order } => Reply::Order(
                self.sales.iter().find_map(|(id, sale)| sale.state.order(*order).map(|view| (*id, view))),
            ),
            Request::OrdersOf { buyer, sales } => {
                let known = sales.iter().filter_map(|id| self.sales.get(id).map(|sale| (*id, sale)));
                let orders =
                    known.flat_map(|(id, sale)| sale.state.buyer_orders(*buyer).map(move |view| (id, view)));
                Reply::Orders(orders.collect())
            }
            Request::Line { sale, after, limit } => self
                .sales
                .get(sale)
                .map_or(Reply::NoSuchSale, |sale| Reply::Line(sale.state.line_members(*after, *limit))),
        }
    }
}

impl Sale {
    /// As [`State::step`], with a fault.
    fn step(&mut self, now: Timestamp, mut command: Command, fault: &mut impl EngineFault) -> CommandOutcome {
        let now = now.max(self.state.latest_time());
        fault.before_decision(&mut command);
        if self.state.next_due().is_some_and(|due| due <= now) {
            self.run(now, &Command::Tick, fault);
        }
        self.run(now, &command, fault)
    }

    fn run(&mut self, now: Timestamp, command: &Command, fault: &mut impl EngineFault) -> CommandOutcome {
        let mut events = Vec::new();
        let mut outcome = self.state.decide(now, command, &mut events);
        fault.after_decision(
            &DecisionContext { state: &self.state, now, command },
            &mut outcome,
            &mut events,
        );
        for event in events {
            for applied in fault.change_event(&event) {
                self.state.apply(&LedgerEntry { seq: self.state.seq().next(), at: now, event: applied });
            }
            if let sale::Event::Configured { policy } = &event {
                self.policy = Some(Arc::from(policy.clone()));
            }
            if !fault.loses_event(&event) {
                self.recorded = self.recorded.next();
                self.fresh.push(LedgerEntry { seq: self.recorded, at: now, event });
            }
        }
        outcome
    }

    fn view(&self, id: SaleId, shown: &ViewChange<'_>) -> Option<Arc<SaleView>> {
        let mut view = SaleView::from_state(id, &self.state, Arc::clone(self.policy.as_ref()?));
        view.seq = self.recorded;
        shown(&mut view);
        Some(Arc::new(view))
    }
}

/// A fault's change of a view.
type ViewChange<'a> = dyn Fn(&mut SaleView) + 'a;

impl<T: EngineFault> BatchDecider for ManualEngine<T> {
    async fn decide(&mut self, now: Timestamp, requests: &[Request]) -> Result<DecidedBatch, DecideError> {
        let mut decided = DecidedBatch::default();
        for request in requests {
            let mut result = self.answer(now, request);
            self.fault.change_reply(now, &mut result);
            decided.replies.push(result);
        }
        for (id, sale) in &mut self.sales {
            if sale.state.next_due().is_some_and(|due| due <= now) {
                sale.run(now.max(sale.state.latest_time()), &Command::Tick, &mut self.fault);
            }
            if !sale.fresh.is_empty() {
                decided.views.extend(sale.view(*id, &|view| self.fault.change_view(view)));
                decided.batch.sales.push((*id, std::mem::take(&mut sale.fresh)));
            }
        }
        Ok(decided)
    }

    async fn rebuild(&mut self, ledger: &dyn LedgerReader) -> Result<DecidedBatch, ReadError> {
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
        Ok(DecidedBatch { views: self.views(), ..DecidedBatch::default() })
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.sales.values().filter_map(|sale| sale.state.next_due()).min()
    }

    fn views(&self) -> Vec<Arc<SaleView>> {
        let shown = |view: &mut SaleView| self.fault.change_view(view);
        self.sales.iter().filter_map(|(id, sale)| sale.view(*id, &shown)).collect()
    }
}
