//! Deciding in this process: the law over states held in memory. Fast, and alone: two processes that decide the same
//! sales would be told apart by the ledger, so a data folder is locked by the one that uses it.

use super::{Ask, Decide, DecideError, Decided, Told};
use crate::record::{Read, ReadError};
use crate::view::SaleView;
use sale::{Command, Entry, Outcome, Policy, Refusal, SaleId, State, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Decides in memory.
#[derive(Default)]
pub struct Memory {
    sales: HashMap<SaleId, Sale>,
    /// When each sale has something to do by itself. A sale stands here once, with its `due`.
    agenda: BTreeSet<(Timestamp, SaleId)>,
}

struct Sale {
    state: State,
    /// The policy as views share it; renewed when the state's own differs.
    policy: Arc<Policy>,
    due: Option<Timestamp>,
    /// Events of the batch that is being decided.
    fresh: Vec<Entry>,
    /// True while the sale is listed in the current batch's `touched`.
    touched: bool,
}

impl Decide for Memory {
    async fn decide(&mut self, now: Timestamp, asks: &[Ask]) -> Result<Decided, DecideError> {
        let mut touched = Vec::new();
        self.tick_due(now, &mut touched);
        let mut told = Vec::with_capacity(asks.len());
        for ask in asks {
            told.push(self.tell(now, ask, &mut touched));
        }
        let mut decided = Decided { told, ..Decided::default() };
        for id in touched {
            self.finish(now, id, &mut decided);
        }
        Ok(decided)
    }

    async fn rebuild(&mut self, ledger: &dyn Read) -> Result<Decided, ReadError> {
        self.sales.clear();
        self.agenda.clear();
        let mut states: HashMap<SaleId, State> = HashMap::new();
        let mut pages = ledger.scan();
        while let Some(page) = pages.recv().await {
            let page = page?;
            let state = states.entry(page.sale).or_default();
            for entry in &page.entries {
                state.apply(entry);
            }
        }
        for (id, state) in states {
            // A ledger that holds events of a sale before its announcement cannot be sold from; it is kept, unseen.
            if let Some(policy) = state.policy().cloned() {
                self.insert(id, state, policy);
            }
        }
        Ok(Decided { views: self.views(), ..Decided::default() })
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.agenda.first().map(|(due, _)| *due)
    }

    fn views(&self) -> Vec<Arc<SaleView>> {
        self.sales.iter().map(|(id, sale)| sale.view(*id)).collect()
    }
}

impl Memory {
    /// The last moment of any sale.
    #[must_use]
    pub fn clock(&self) -> Timestamp {
        self.sales.values().map(|sale| sale.state.clock()).max().unwrap_or_default()
    }

    fn insert(&mut self, id: SaleId, state: State, policy: Policy) {
        let due = state.next_due();
        if let Some(due) = due {
            self.agenda.insert((due, id));
        }
        self.sales
            .insert(id, Sale { state, policy: Arc::new(policy), due, fresh: Vec::new(), touched: false });
    }

    fn tick_due(&mut self, now: Timestamp, touched: &mut Vec<SaleId>) {
        let due: Vec<SaleId> =
            self.agenda.iter().take_while(|(due, _)| *due <= now).map(|(_, id)| *id).collect();
        for id in due {
            if let Some(sale) = self.sales.get_mut(&id) {
                sale.step(now, id, &Command::Tick, touched);
            }
        }
    }

    fn tell(&mut self, now: Timestamp, ask: &Ask, touched: &mut Vec<SaleId>) -> Told {
        match ask {
            Ask::Command { sale: id, command } => self.command(now, *id, command, touched),
            Ask::Sale { sale: id } => match self.sales.get(id) {
                Some(sale) => Told::Sale(sale.view(*id)),
                None => Told::NoSuchSale,
            },
            Ask::Buyer { sale, buyer } => match self.sales.get(sale) {
                Some(sale) => Told::Buyer(sale.state.buyer(*buyer)),
                None => Told::NoSuchSale,
            },
            Ask::Order { order } => Told::Order(
                self.sales.iter().find_map(|(id, sale)| sale.state.order(*order).map(|view| (*id, view))),
            ),
            Ask::OrdersOf { buyer, sales } => Told::Orders(
                sales
                    .iter()
                    .filter_map(|id| self.sales.get(id).map(|sale| (*id, sale)))
                    .flat_map(|(id, sale)| sale.state.orders_of(*buyer).map(move |view| (id, view)))
                    .collect(),
            ),
            Ask::Line { sale, after, limit } => match self.sales.get(sale) {
                Some(sale) => Told::Line(sale.state.line(*after, *limit)),
                None => Told::NoSuchSale,
            },
        }
    }

    fn command(&mut self, now: Timestamp, id: SaleId, command: &Command, touched: &mut Vec<SaleId>) -> Told {
        if let Command::Configure { policy } = command
            && !self.sales.contains_key(&id)
        {
            if !policy.problems().is_empty() {
                let outcome = Outcome::Refused(Refusal::BadPolicy);
                return Told::Outcome { outcome, seq: sale::Seq::default(), at: now };
            }
            self.insert(id, State::new(), (**policy).clone());
        }
        match self.sales.get_mut(&id) {
            Some(sale) => sale.step(now, id, command, touched),
            None => Told::NoSuchSale,
        }
    }

    /// Closes the batch of one sale: lets time pass once more (so that a unit freed by this batch is offered in this
    /// batch), and hands its events and view over.
    fn finish(&mut self, now: Timestamp, id: SaleId, decided: &mut Decided) {
        let Some(sale) = self.sales.get_mut(&id) else { return };
        if sale.state.policy().is_none() {
            // The law refused to announce it.
            self.sales.remove(&id);
            return;
        }
        sale.touched = false;
        if sale.state.next_due().is_some_and(|due| due <= now) {
            sale.state.step(now, &Command::Tick, &mut sale.fresh);
        }
        let due = sale.state.next_due();
        if due != sale.due {
            if let Some(old) = sale.due {
                self.agenda.remove(&(old, id));
            }
            if let Some(new) = due {
                self.agenda.insert((new, id));
            }
            sale.due = due;
        }
        if sale.fresh.is_empty() {
            return;
        }
        if let Some(policy) = sale.state.policy()
            && *policy != *sale.policy
        {
            sale.policy = Arc::new(policy.clone());
        }
        decided.views.push(sale.view(id));
        decided.batch.sales.push((id, std::mem::take(&mut sale.fresh)));
    }
}

impl Sale {
    fn step(&mut self, now: Timestamp, id: SaleId, command: &Command, touched: &mut Vec<SaleId>) -> Told {
        let outcome = self.state.step(now, command, &mut self.fresh);
        if !self.touched {
            self.touched = true;
            touched.push(id);
        }
        Told::Outcome { outcome, seq: self.state.seq(), at: now.max(self.state.clock()) }
    }

    fn view(&self, id: SaleId) -> Arc<SaleView> {
        Arc::new(SaleView::of(id, &self.state, Arc::clone(&self.policy)))
    }
}
