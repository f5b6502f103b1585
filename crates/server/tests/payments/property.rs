//! Random histories: buyers with several tabs, a merchant, an admin, a provider that loses things, time that passes, a process that dies.
//! Three things always hold:
//!
//! - The provider keeps the money of the confirmed orders and no other: units confirmed × price − refunds.
//! - What a buyer reads as over ("you were not charged", expired, cancelled) is over: it is never charged for good afterwards.
//! - A buyer who tries again only after such an answer never pays twice for one purchase.

use crate::support::*;
use sale::{AdmissionMode, Command, Event, EventSeq, OrderId, OrderStatus, SaleId, Timestamp};
use server::payments::sandbox::PageDecision;
use server::shop::payments::{PaymentRefusal, PaymentResult, PaymentService, RefundRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use test_servers::histories::{self, HistoryTest, SeededRandom};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const TEST: HistoryTest = HistoryTest {
    prefix: "PAYMENTS",
    histories: 60,
    command: "cargo test -p server --test payments whatever_happens",
};
const STEPS: u32 = 70;
const BUYERS: u64 = 4;
const UNITS: u32 = 4;

/// The steps of histories by chance.
struct StepChance(SeededRandom);

impl StepChance {
    fn index(&mut self) -> usize {
        usize::try_from(self.0.below(64)).unwrap()
    }

    fn step(&mut self) -> HistoryStep {
        let (order, page, instance) = (self.index(), self.index(), self.index() % 2);
        match self.0.below(34) {
            0..=3 => HistoryStep::Order { buyer: self.0.below(BUYERS), is_new: true },
            4..=6 => HistoryStep::Order { buyer: self.0.below(BUYERS), is_new: false },
            7..=13 => {
                let methods = [APPROVE, APPROVE, REDIRECT, REDIRECT, REDIRECT, "sandbox:slow", DECLINE, LOST];
                let (method, tab) = (self.0.pick(&methods), self.0.pick(&[None, Some("a"), Some("b")]));
                HistoryStep::Pay { order, method, tab, instance }
            }
            14 => HistoryStep::Cancel { order },
            15 => HistoryStep::Refund { order, restock: self.0.below(2) == 0, instance },
            16 => {
                let call = self.0.pick(&[
                    ProviderCall::Authorise,
                    ProviderCall::Capture,
                    ProviderCall::Void,
                    ProviderCall::Refund,
                    ProviderCall::Find,
                ]);
                let fault = self.0.pick(&[
                    ProviderFault::LoseRequest,
                    ProviderFault::LoseReply,
                    ProviderFault::HangBefore,
                    ProviderFault::HangAfter,
                ]);
                HistoryStep::Fault { call, fault }
            }
            17..=18 => HistoryStep::ReleaseCalls,
            // Within a hold, past it, and past all the time that a payment may take.
            19 => {
                let longest = self.0.pick(&[u64::from(HOLD_S) * 500, u64::from(HOLD_S) * 1500, 240_000]);
                HistoryStep::Advance { ms: i64::try_from(self.0.below(longest)).unwrap() }
            }
            20 => HistoryStep::Reconcile { instance },
            21..=22 => HistoryStep::Look { order },
            23 => self.0.pick(&[HistoryStep::Pause, HistoryStep::Resume, HistoryStep::Resume]),
            24 if self.0.below(20) == 0 => HistoryStep::Close,
            26 => {
                let minor = 1 + i64::try_from(self.0.below(u64::try_from(PRICE).unwrap())).unwrap();
                HistoryStep::RefundPart { order, minor, key: self.0.pick(&[None, Some("part")]) }
            }
            27..=31 => {
                let decision = self.0.pick(&[
                    PageDecision::Approve,
                    PageDecision::Approve,
                    PageDecision::Decline,
                    PageDecision::Submit,
                ]);
                HistoryStep::Decide { page, decision, comes_back: self.0.below(2) == 0, instance }
            }
            32..=33 => HistoryStep::Notice { page, instance },
            // Without such a pause it would hang on the machine's load whether anything is ever paid, and so refunded.
            _ => HistoryStep::Finish,
        }
    }
}

#[test]
fn whatever_happens_the_provider_holds_the_money_of_the_confirmed_orders() {
    let ends = TEST.play_all(HistoryPlan::from_seed, HistoryPlan::describe, play);
    let is_whole = ends.len() > 1;
    let (mut seen, mut read) = (BTreeSet::new(), BTreeSet::new());
    for (charges, answers) in ends {
        seen.extend(charges.into_iter().map(|(_, status, _)| status));
        read.extend(answers);
    }
    assert!(!is_whole || seen.len() >= 4, "histories should end in every way, not only in {seen:?}");
    let answers = [
        "cancelled",
        "confirmed",
        "declined",
        "expired",
        "in flight",
        "open",
        "paying",
        "tried again",
        "unknown",
    ];
    assert!(!is_whole || read == answers.into(), "buyers should read every answer, not only {read:?}");
}

/// What happens in a history. Orders and pages are counted from the first one, and around.
#[derive(Clone, Copy, Debug)]
enum HistoryStep {
    /// A buyer orders: for a new purchase, or again for one whose orders were all read as over.
    Order {
        buyer: u64,
        is_new: bool,
    },
    /// Without a key, or with that of one of two tabs, at one of two instances.
    Pay {
        order: usize,
        method: &'static str,
        tab: Option<&'static str>,
        instance: usize,
    },
    Cancel {
        order: usize,
    },
    Refund {
        order: usize,
        restock: bool,
        instance: usize,
    },
    /// Twice at once.
    RefundPart {
        order: usize,
        minor: i64,
        key: Option<&'static str>,
    },
    /// A buyer on the bank's page, who comes back or closes the tab.
    Decide {
        page: usize,
        decision: PageDecision,
        comes_back: bool,
        instance: usize,
    },
    /// A webhook: late, twice, or of a payment of which nothing is new.
    Notice {
        page: usize,
        instance: usize,
    },
    Fault {
        call: ProviderCall,
        fault: ProviderFault,
    },
    ReleaseCalls,
    Advance {
        ms: i64,
    },
    Reconcile {
        instance: usize,
    },
    Look {
        order: usize,
    },
    Pause,
    Resume,
    Close,
    /// All that is under way comes to its end.
    Finish,
}

/// A whole history: what happens in each life of the process.
#[derive(Clone, Debug)]
struct HistoryPlan {
    has_two_instances: bool,
    lives: Vec<Vec<HistoryStep>>,
}

impl HistoryPlan {
    fn from_seed(seed: u64) -> Self {
        let mut chance = StepChance(SeededRandom::new(seed));
        let lives = 1 + chance.0.below(3);
        let steps = |chance: &mut StepChance| (0..STEPS).map(|_| chance.step()).collect();
        Self {
            has_two_instances: seed.is_multiple_of(3),
            lives: (0..lives).map(|_| steps(&mut chance)).collect(),
        }
    }

    /// The history, one line a step.
    fn describe(&self) -> String {
        let mut story = format!("{} instance(s)\n", if self.has_two_instances { 2 } else { 1 });
        for (number, life) in self.lives.iter().enumerate() {
            story += if number == 0 { "the process starts\n" } else { "the process is killed, and starts\n" };
            for step in life {
                story += &format!("    {step:?}\n");
            }
        }
        story
    }
}

/// Steps are counted over all lives.
impl histories::HistoryPlan for HistoryPlan {
    fn count_steps(&self) -> usize {
        self.lives.iter().map(Vec::len).sum()
    }

    fn without(&self, skipped: Range<usize>) -> Self {
        let mut index = 0;
        let mut keep = |_: &HistoryStep| {
            index += 1;
            !skipped.contains(&(index - 1))
        };
        let lives = self.lives.iter().map(|life| life.iter().copied().filter(&mut keep).collect()).collect();
        Self { lives, ..*self }
    }
}

/// What one buyer wants: one unit. Another order is made only when all before it were read as over.
#[derive(Debug, Default)]
struct SimulatedPurchase {
    orders: Vec<OrderId>,
}

/// All that happened so far, over all lives of the process.
#[derive(Default)]
struct MoneyHistory {
    /// Purchases, by buyer.
    purchases: BTreeMap<u64, Vec<SimulatedPurchase>>,
    /// Orders that a buyer read as over, with the answer.
    over: BTreeMap<OrderId, &'static str>,
    /// Orders that a reply called paid.
    paid: BTreeSet<OrderId>,
    answers: BTreeSet<&'static str>,
}

impl MoneyHistory {
    fn orders(&self) -> Vec<(u64, OrderId)> {
        let purchases = self.purchases.iter().flat_map(|(who, all)| all.iter().map(move |one| (*who, one)));
        purchases.flat_map(|(who, one)| one.orders.iter().map(move |order| (who, *order))).collect()
    }

    /// A buyer reads the status of an order, on a page or from a socket.
    fn read_status(&mut self, order: OrderId, status: OrderStatus) {
        let word = if status.is_paying() { "paying" } else { status.as_str() };
        match status {
            OrderStatus::Expired | OrderStatus::Cancelled | OrderStatus::Declined => {
                self.over.insert(order, word);
                self.answers.insert(word);
            }
            OrderStatus::Confirmed => {
                assert_eq!(self.over.get(&order), None, "{order} was over, and is confirmed");
                self.answers.insert(word);
            }
            OrderStatus::Pending { .. } if status.is_paying() => {
                assert_eq!(self.over.get(&order), None, "{order} was over, and is being paid");
                self.answers.insert(word);
            }
            OrderStatus::Pending { .. } | OrderStatus::Refunded { .. } => {}
        }
    }

    fn read_reply(&mut self, order: OrderId, answered: &PaymentResult) {
        match answered {
            Ok(Ok(done)) if done.is_open() => {
                self.answers.insert("open");
                self.read_status(order, done.order.view.status);
            }
            Ok(Ok(done)) => {
                self.paid.insert(order);
                self.read_status(order, done.order.view.status);
            }
            Ok(Err(PaymentRefusal::OrderGone(status))) => self.read_status(order, *status),
            Ok(Err(PaymentRefusal::Declined { .. })) => {
                self.answers.insert("declined");
            }
            Ok(Err(PaymentRefusal::InFlight)) => {
                self.answers.insert("in flight");
            }
            Ok(Err(PaymentRefusal::OrderState(_))) => {}
            Ok(Err(refusal)) => panic!("{refusal:?}"),
            Err(_) => {
                self.answers.insert("unknown");
            }
        }
    }
}

type Charges = Vec<(uuid::Uuid, String, i64)>;

fn play(plan: &HistoryPlan) -> (Charges, BTreeSet<&'static str>) {
    let folder = tempfile::tempdir().unwrap();
    let mut history = MoneyHistory::default();
    let mut charges = Vec::new();
    for (number, life) in (1..).zip(&plan.lives) {
        let process = runtime();
        let is_last = number == plan.lives.len();
        let life = run_life(folder.path(), plan.has_two_instances, life, &mut history, is_last);
        let fixture = process.block_on(life);
        charges = process.block_on(fixture.charges());
        // Tasks that are under way die where they are.
        process.shutdown_background();
        drop(fixture);
    }
    (charges, history.answers)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn run_life(
    folder: &Path,
    has_two_instances: bool,
    steps: &[HistoryStep],
    history: &mut MoneyHistory,
    is_last: bool,
) -> PaymentFixture {
    let fixture = if has_two_instances {
        PaymentFixture::shared(folder, TablesOn::Sqlite).await
    } else {
        PaymentFixture::open(folder).await
    };
    let first = fixture.payments.clone();
    let second = if has_two_instances { fixture.second_service().await } else { first.clone() };
    let sale = fixture.sale(1, UNITS, AdmissionMode::Open).await;
    let mut working = RunningRequests { tasks: JoinSet::new(), instances: [first, second] };
    for step in steps {
        take_step(&fixture, sale, *step, history, &mut working).await;
    }
    if is_last {
        working.finish(&fixture, history).await;
        // The bank answers everything that it has.
        for (number, (payment, status, _)) in fixture.charges().await.into_iter().enumerate() {
            if status == "submitted" {
                let decision = if number % 2 == 0 { PageDecision::Approve } else { PageDecision::Decline };
                fixture.decide(payment, decision).await;
            }
        }
        fixture.reconcile().await;
        let everyone = (0..BUYERS).map(|number| buyer(number.into()));
        fixture.assert_books_agree(everyone, sale).await;
        check_history(&fixture, sale, history).await;
    } else {
        // Not waited for; dropping the set would end them in good order.
        working.tasks.detach_all();
    }
    fixture
}

/// What buyers read is what became of their orders.
async fn check_history(fixture: &PaymentFixture, sale: SaleId, history: &mut MoneyHistory) {
    for (_, order) in history.orders() {
        let status = fixture.status(order).await;
        assert!(!status.is_paying(), "{order} is settled, and it is {status:?}");
        history.read_status(order, status);
        let is_paid = matches!(status, OrderStatus::Confirmed | OrderStatus::Refunded { .. });
        assert!(
            is_paid || !history.paid.contains(&order),
            "{order} was told to be paid, and it is {status:?}"
        );
    }
    for (who, purchase) in
        history.purchases.iter().flat_map(|(who, all)| all.iter().map(move |one| (who, one)))
    {
        let mut paid = 0;
        for order in &purchase.orders {
            paid += u32::from(fixture.status(*order).await == OrderStatus::Confirmed);
        }
        assert!(paid <= 1, "buyer {who} paid {paid} times for one purchase: {purchase:?}");
    }
    // Nor did anyone else ever read it: what the ledger publishes as over stays over.
    let entries = fixture.engine.ledger().read_entries(sale, EventSeq(0), 100_000).await.unwrap();
    let mut released = BTreeSet::new();
    for entry in entries {
        match entry.event {
            Event::Released { order, .. } => assert!(released.insert(order), "{order} was released twice"),
            Event::Confirmed { order, .. } => assert!(!released.contains(&order), "{order} was released"),
            _ => {}
        }
    }
}

/// The requests of buyers and the admin in one life of the process.
struct RunningRequests {
    /// What is under way: the reply to each payment, with its order.
    tasks: JoinSet<Option<(OrderId, PaymentResult)>>,
    /// Twice the same where there is one.
    instances: [Arc<PaymentService>; 2],
}

impl RunningRequests {
    /// Buyers read the replies that have arrived.
    fn read_replies(&mut self, history: &mut MoneyHistory) {
        while let Some(done) = self.tasks.try_join_next() {
            if let Some((order, answered)) = done.unwrap() {
                history.read_reply(order, &answered);
            }
        }
    }

    fn spawn_refund(&mut self, instance: usize, request: RefundRequest) {
        let payments = self.instances[instance].clone();
        self.tasks.spawn(async move {
            drop(payments.refund(request).await);
            None
        });
    }

    fn spawn_notice(&mut self, instance: usize, payment: uuid::Uuid) {
        let payments = self.instances[instance].clone();
        self.tasks.spawn(async move {
            payments.wake(payment).await.unwrap();
            None
        });
    }

    /// Lets all that hangs go on, and waits for all that is under way.
    async fn finish(&mut self, fixture: &PaymentFixture, history: &mut MoneyHistory) {
        fixture.provider.release_calls();
        while let Some(done) = self.tasks.join_next().await {
            if let Some((order, answered)) = done.unwrap() {
                history.read_reply(order, &answered);
            }
        }
    }
}

/// A buyer orders: for a new purchase, or again for one whose orders were all read as over.
async fn place_order(
    fixture: &PaymentFixture,
    sale: SaleId,
    who: u64,
    is_new: bool,
    history: &mut MoneyHistory,
) {
    let over = &history.over;
    let is_over = |purchase: &SimulatedPurchase| purchase.orders.iter().all(|order| over.contains_key(order));
    let purchases = history.purchases.entry(who).or_default();
    let again = if is_new { None } else { purchases.iter().position(is_over) };
    if !is_new && again.is_none() {
        return;
    }
    let Some(order) = fixture.try_hold(sale, buyer(who.into()), 1).await else { return };
    match again {
        Some(index) => {
            purchases[index].orders.push(order);
            history.answers.insert("tried again");
        }
        None => purchases.push(SimulatedPurchase { orders: vec![order] }),
    }
}

async fn take_step(
    fixture: &PaymentFixture,
    sale: SaleId,
    step: HistoryStep,
    history: &mut MoneyHistory,
    working: &mut RunningRequests,
) {
    working.read_replies(history);
    let orders = history.orders();
    let find_order = |index: usize| (!orders.is_empty()).then(|| orders[index % orders.len()]);
    match step {
        HistoryStep::Order { buyer, is_new } => place_order(fixture, sale, buyer, is_new, history).await,
        HistoryStep::Pay { order, method, tab, instance } => {
            let Some((owner, order)) = find_order(order) else { return };
            let key = tab.map(|tab| format!("{tab}{order}{method}"));
            let request = pay(buyer(owner.into()), order, method, key.as_deref());
            let payments = working.instances[instance].clone();
            working.tasks.spawn(async move { Some((order, payments.pay(request).await)) });
        }
        HistoryStep::Cancel { order } => {
            let Some((owner, order)) = find_order(order) else { return };
            fixture.cancel(sale, buyer(owner.into()), order).await;
        }
        HistoryStep::Refund { order, restock, instance } => {
            let Some((_, order)) = find_order(order) else { return };
            let request = RefundRequest { admin: buyer(999), order, amount: None, restock, key: None };
            working.spawn_refund(instance, request);
        }
        HistoryStep::RefundPart { order, minor, key } => {
            let Some((_, order)) = find_order(order) else { return };
            for instance in 0..2 {
                working.spawn_refund(instance, part(order, minor, key));
            }
        }
        HistoryStep::Decide { page, decision, comes_back, instance } => {
            let Some(payment) = find_charge(fixture, page).await else { return };
            fixture.decide(payment, decision).await;
            if comes_back {
                working.spawn_notice(instance, payment);
            }
        }
        HistoryStep::Notice { page, instance } => {
            let Some(payment) = find_charge(fixture, page).await else { return };
            working.spawn_notice(instance, payment);
        }
        HistoryStep::Fault { call, fault } => fixture.provider.inject_fault(call, fault),
        HistoryStep::ReleaseCalls => fixture.provider.release_calls(),
        HistoryStep::Advance { ms } => {
            fixture.clock.advance_ms(ms);
        }
        HistoryStep::Reconcile { instance } => {
            let payments = working.instances[instance].clone();
            // One of two instances leaves alone what the other has leased.
            let is_alone = Arc::ptr_eq(&working.instances[0], &working.instances[1]);
            let due = if is_alone { Timestamp::MAX } else { fixture.engine.now() };
            working.tasks.spawn(async move {
                payments.reconcile(due).await.unwrap();
                None
            });
        }
        HistoryStep::Look { order } => {
            let Some((_, order)) = find_order(order) else { return };
            history.read_status(order, fixture.status(order).await);
        }
        HistoryStep::Pause => {
            fixture.run_command(sale, Command::Pause).await;
        }
        HistoryStep::Resume => {
            fixture.run_command(sale, Command::Resume).await;
        }
        HistoryStep::Close => {
            fixture.run_command(sale, Command::Close).await;
        }
        HistoryStep::Finish => working.finish(fixture, history).await,
    }
}

async fn find_charge(fixture: &PaymentFixture, index: usize) -> Option<uuid::Uuid> {
    let charges = fixture.charges().await;
    (!charges.is_empty()).then(|| charges[index % charges.len()].0)
}
