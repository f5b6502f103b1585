//! Decides in this process, over states held in memory. Only one process may decide a sale this way, so it locks the data folder
//! or claims the ledger.

use super::{BatchDecider, DecideError, DecidedBatch, Reply, Request};
use crate::record::{LedgerReader, ReadError};
use crate::view::SaleView;
use sale::{Command, CommandOutcome, EventSeq, LedgerEntry, Policy, Refusal, SaleId, SaleState, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Events that are read at a time when a state catches up.
const CATCH_UP_LEN: usize = 10_000;

#[derive(Default)]
pub struct MemoryDecider {
    sales: HashMap<SaleId, MemorySale>,
    /// When each sale has something due; a sale is listed once, with its `due`.
    agenda: BTreeSet<(Timestamp, SaleId)>,
}

struct MemorySale {
    state: SaleState,
    /// The policy as views share it; replaced when the state's policy differs.
    policy: Arc<Policy>,
    due: Option<Timestamp>,
    /// Events of the batch that is being decided.
    fresh: Vec<LedgerEntry>,
    /// True while the sale is listed in the current batch's `touched`.
    touched: bool,
}

impl BatchDecider for MemoryDecider {
    async fn decide(&mut self, now: Timestamp, requests: &[Request]) -> Result<DecidedBatch, DecideError> {
        let mut touched = Vec::new();
        self.tick_due(now, &mut touched);
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            replies.push(self.decide_request(now, request, &mut touched));
        }
        let mut decided = DecidedBatch { replies, ..DecidedBatch::default() };
        for id in touched {
            self.finish_sale(now, id, &mut decided);
        }
        Ok(decided)
    }

    async fn rebuild(&mut self, ledger: &dyn LedgerReader) -> Result<DecidedBatch, ReadError> {
        self.sales.clear();
        self.agenda.clear();
        let mut states: HashMap<SaleId, SaleState> = HashMap::new();
        let mut pages = ledger.scan();
        while let Some(page) = pages.recv().await {
            let page = page?;
            let state = states.entry(page.sale).or_default();
            for entry in &page.entries {
                state.apply(entry);
            }
        }
        for (id, state) in states {
            // A ledger with events of a sale before its announcement cannot be sold from: the sale stays hidden.
            if let Some(policy) = state.policy().cloned() {
                self.insert(id, state, policy);
            }
        }
        Ok(DecidedBatch { views: self.views(), ..DecidedBatch::default() })
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.agenda.first().map(|(due, _)| *due)
    }

    fn views(&self) -> Vec<Arc<SaleView>> {
        self.sales.iter().map(|(id, sale)| sale.view(*id)).collect()
    }
}

impl MemoryDecider {
    /// The latest moment of any sale.
    #[must_use]
    pub fn latest_time(&self) -> Timestamp {
        self.sales.values().map(|sale| sale.state.latest_time()).max().unwrap_or_default()
    }

    /// Applies what the ledger has and this state lacks, up to the last events in `heads` at least: a ledger may grow while it is folded
    /// by a process that has not claimed it yet.
    ///
    /// # Errors
    /// When the ledger cannot be read, or is damaged.
    pub async fn catch_up(
        &mut self,
        ledger: &dyn LedgerReader,
        heads: &[(SaleId, EventSeq)],
    ) -> Result<(), ReadError> {
        for &(id, head) in heads {
            let known = self.sales.get(&id).map_or(EventSeq(0), |sale| sale.state.seq());
            if known >= head {
                continue;
            }
            let mut entries = ledger.read_entries(id, known, CATCH_UP_LEN).await?;
            if entries.is_empty() {
                continue;
            }
            let mut state = self.remove(id).unwrap_or_default();
            while !entries.is_empty() {
                entries.iter().for_each(|entry| state.apply(entry));
                entries = ledger.read_entries(id, state.seq(), CATCH_UP_LEN).await?;
            }
            if let Some(policy) = state.policy().cloned() {
                self.insert(id, state, policy);
            }
        }
        Ok(())
    }

    fn remove(&mut self, id: SaleId) -> Option<SaleState> {
        let sale = self.sales.remove(&id)?;
        if let Some(due) = sale.due {
            self.agenda.remove(&(due, id));
        }
        Some(sale.state)
    }

    fn insert(&mut self, id: SaleId, state: SaleState, policy: Policy) {
        let due = state.next_due();
        if let Some(due) = due {
            self.agenda.insert((due, id));
        }
        self.sales.insert(
            id,
            MemorySale { state, policy: Arc::new(policy), due, fresh: Vec::new(), touched: false },
        );
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

    fn decide_request(&mut self, now: Timestamp, request: &Request, touched: &mut Vec<SaleId>) -> Reply {
        match request {
            Request::Command { sale: id, command } => self.decide_command(now, *id, command, touched),
            Request::Sale { sale: id } => match self.sales.get(id) {
                Some(sale) => Reply::Sale(sale.view(*id)),
                None => Reply::NoSuchSale,
            },
            Request::Buyer { sale, buyer } => match self.sales.get(sale) {
                Some(sale) => Reply::Buyer(sale.state.buyer(*buyer)),
                None => Reply::NoSuchSale,
            },
            Request::Order { order } => Reply::Order(
                self.sales.iter().find_map(|(id, sale)| sale.state.order(*order).map(|view| (*id, view))),
            ),
            Request::OrdersOf { buyer, sales } => Reply::Orders(
                sales
                    .iter()
                    .filter_map(|id| self.sales.get(id).map(|sale| (*id, sale)))
                    .flat_map(|(id, sale)| sale.state.buyer_orders(*buyer).map(move |view| (id, view)))
                    .collect(),
            ),
            Request::Line { sale, after, limit } => match self.sales.get(sale) {
                Some(sale) => Reply::Line(sale.state.line_members(*after, *limit)),
                None => Reply::NoSuchSale,
            },
        }
    }

    fn decide_command(
        &mut self,
        now: Timestamp,
        id: SaleId,
        command: &Command,
        touched: &mut Vec<SaleId>,
    ) -> Reply {
        if let Command::Configure { policy } = command
            && !self.sales.contains_key(&id)
        {
            if !policy.problems().is_empty() {
                let outcome = CommandOutcome::Refused(Refusal::BadPolicy);
                return Reply::Outcome { outcome, seq: EventSeq::default(), at: now, unsold: 0 };
            }
            self.insert(id, SaleState::new(), (**policy).clone());
        }
        match self.sales.get_mut(&id) {
            Some(sale) => sale.step(now, id, command, touched),
            None => Reply::NoSuchSale,
        }
    }

    /// Ends the batch of one sale: lets time pass once more, so that a unit that this batch freed is offered in this batch,
    /// and moves the sale's events and view into the batch.
    fn finish_sale(&mut self, now: Timestamp, id: SaleId, decided: &mut DecidedBatch) {
        let Some(sale) = self.sales.get_mut(&id) else { return };
        if sale.state.policy().is_none() {
            // The law refused to announce the sale.
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

impl MemorySale {
    fn step(&mut self, now: Timestamp, id: SaleId, command: &Command, touched: &mut Vec<SaleId>) -> Reply {
        let outcome = self.state.step(now, command, &mut self.fresh);
        if !self.touched {
            self.touched = true;
            touched.push(id);
        }
        let at = now.max(self.state.latest_time());
        Reply::Outcome { outcome, seq: self.state.seq(), at, unsold: self.state.counters().unsold() }
    }

    fn view(&self, id: SaleId) -> Arc<SaleView> {
        Arc::new(SaleView::from_state(id, &self.state, Arc::clone(&self.policy)))
    }
}
