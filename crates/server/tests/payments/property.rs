//! Random histories: buyers with several tabs, a merchant, an admin, a provider that loses things, time that passes, a process that dies.
//! Three things always hold:
//!
//! - The provider keeps the money of the confirmed orders and no other: units confirmed × price − refunds.
//! - What a buyer reads as over ("you were not charged", expired, cancelled) is over: it is never charged for good afterwards.
//! - A buyer who tries again only after such an answer never pays twice for one purchase.

use crate::support::*;
use sale::{AdmissionMode, Command, Event, EventSeq, OrderId, OrderStatus, SaleId, Timestamp};
use server::shop::payments::{PaymentRefusal, PaymentResult, RefundRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const HISTORIES: u64 = 60;
const STEPS: u32 = 70;
const BUYERS: u64 = 4;
const UNITS: u32 = 4;

/// SplitMix64: small, seeded, the same everywhere.
struct SeededRandom(u64);

impl SeededRandom {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn pick<T: Copy>(&mut self, some: &[T]) -> T {
        some[usize::try_from(self.below(some.len() as u64)).unwrap()]
    }
}

#[test]
fn whatever_happens_the_provider_holds_the_money_of_the_confirmed_orders() {
    let seeds = match std::env::var("PAYMENTS_SEED") {
        Ok(seed) => seed.parse().unwrap()..=seed.parse().unwrap(),
        Err(_) => 1..=HISTORIES,
    };
    let is_whole = seeds.clone().count() > 1;
    let (mut seen, mut read) = (BTreeSet::new(), BTreeSet::new());
    for seed in seeds {
        let played = std::panic::catch_unwind(|| play(seed));
        let Ok((charges, answers)) = played else {
            panic!("replay with: PAYMENTS_SEED={seed} cargo test -p server --test payments whatever_happens");
        };
        seen.extend(charges.into_iter().map(|(_, status, _)| status));
        read.extend(answers);
    }
    assert!(!is_whole || seen.len() == 4, "histories should end in every way, not only in {seen:?}");
    let answers =
        ["cancelled", "confirmed", "declined", "expired", "in flight", "paying", "tried again", "unknown"];
    assert!(!is_whole || read == answers.into(), "buyers should read every answer, not only {read:?}");
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

fn play(seed: u64) -> (Charges, BTreeSet<&'static str>) {
    let folder = tempfile::tempdir().unwrap();
    let mut chance = SeededRandom(seed);
    let mut history = MoneyHistory::default();
    let mut charges = Vec::new();
    let lives = 1 + chance.below(3);
    for life in 0..lives {
        let process = runtime();
        let fixture = process.block_on(run_life(folder.path(), &mut chance, &mut history, life + 1 == lives));
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
    chance: &mut SeededRandom,
    history: &mut MoneyHistory,
    is_last: bool,
) -> PaymentFixture {
    let fixture = PaymentFixture::open(folder).await;
    let sale = fixture.sale(1, UNITS, AdmissionMode::Open).await;
    let mut working = RunningRequests::default();
    for _ in 0..STEPS {
        step(&fixture, sale, chance, history, &mut working).await;
    }
    if is_last {
        working.finish(&fixture, history).await;
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
#[derive(Default)]
struct RunningRequests {
    /// What is under way: the reply to each payment, with its order.
    tasks: JoinSet<Option<(OrderId, PaymentResult)>>,
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

async fn step(
    fixture: &PaymentFixture,
    sale: SaleId,
    chance: &mut SeededRandom,
    history: &mut MoneyHistory,
    working: &mut RunningRequests,
) {
    working.read_replies(history);
    let who = chance.below(BUYERS);
    let orders = history.orders();
    match chance.below(26) {
        0..=3 => place_order(fixture, sale, who, true, history).await,
        4..=6 => place_order(fixture, sale, who, false, history).await,
        7..=13 if !orders.is_empty() => {
            let (owner, order) = chance.pick(&orders);
            let method =
                chance.pick(&[APPROVE, APPROVE, APPROVE, "sandbox:slow", DECLINE, DECLINE, LOST, LOST]);
            // With a key, with another one from a second tab, and without.
            let key = chance.pick(&[None, Some("a"), Some("b")]).map(|key| format!("{key}{order}{method}"));
            let payments = fixture.payments.clone();
            let request = pay(buyer(owner.into()), order, method, key.as_deref());
            working.tasks.spawn(async move { Some((order, payments.pay(request).await)) });
        }
        14 if !orders.is_empty() => {
            let (owner, order) = chance.pick(&orders);
            fixture.cancel(sale, buyer(owner.into()), order).await;
        }
        15 if !orders.is_empty() => {
            let (_, order) = chance.pick(&orders);
            let payments = fixture.payments.clone();
            let restock = chance.below(2) == 0;
            working.tasks.spawn(async move {
                drop(payments.refund(RefundRequest { admin: buyer(999), order, restock, key: None }).await);
                None
            });
        }
        16 => {
            let call = chance.pick(&[
                ProviderCall::Authorise,
                ProviderCall::Capture,
                ProviderCall::Void,
                ProviderCall::Refund,
                ProviderCall::Find,
            ]);
            let faults = [
                ProviderFault::LoseRequest,
                ProviderFault::LoseReply,
                ProviderFault::HangBefore,
                ProviderFault::HangAfter,
            ];
            fixture.provider.inject_fault(call, chance.pick(&faults));
        }
        17..=18 => fixture.provider.release_calls(),
        // Within a hold, past it, and past all the time that a payment may take.
        19 => {
            let longest = chance.pick(&[u64::from(HOLD_S) * 500, u64::from(HOLD_S) * 1500, 240_000]);
            fixture.clock.advance_ms(i64::try_from(chance.below(longest)).unwrap());
        }
        20 => {
            let payments = fixture.payments.clone();
            working.tasks.spawn(async move {
                payments.reconcile(Timestamp::MAX).await.unwrap();
                None
            });
        }
        21..=22 if !orders.is_empty() => {
            let (_, order) = chance.pick(&orders);
            history.read_status(order, fixture.status(order).await);
        }
        23 => {
            let merchant = [Command::Pause, Command::Resume, Command::Resume];
            let command = merchant[usize::try_from(chance.below(3)).unwrap()].clone();
            fixture.run_command(sale, command).await;
        }
        24 if chance.below(20) == 0 => {
            fixture.run_command(sale, Command::Close).await;
        }
        // Without such a pause it would hang on the machine's load whether anything is ever paid, and so refunded.
        _ => working.finish(fixture, history).await,
    }
}
