//! Random histories: buyers, an admin, a provider that loses things, time that passes, a process that dies. At the end the
//! provider holds the money of the confirmed orders and no other.

use crate::support::*;
use sale::{AdmissionMode, OrderId, OrderStatus, SaleId};
use server::shop::payments::PaymentRefusal;
use std::collections::BTreeSet;
use std::path::Path;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const HISTORIES: u64 = 40;
const STEPS: u32 = 60;
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
    let mut seen = BTreeSet::new();
    for seed in seeds {
        let played = std::panic::catch_unwind(|| play(seed));
        let Ok(charges) = played else {
            panic!("replay with: PAYMENTS_SEED={seed} cargo test -p server --test payments whatever_happens");
        };
        seen.extend(charges.into_iter().map(|(_, status, _)| status));
    }
    assert!(!is_whole || seen.len() == 4, "histories should end in every way, not only in {seen:?}");
}

fn play(seed: u64) -> Vec<(uuid::Uuid, String, i64)> {
    let folder = tempfile::tempdir().unwrap();
    let mut chance = SeededRandom(seed);
    let mut orders = Vec::new();
    let mut charges = Vec::new();
    let lives = 1 + chance.below(3);
    for life in 0..lives {
        let process = runtime();
        let fixture = process.block_on(run_life(folder.path(), &mut chance, &mut orders, life + 1 == lives));
        charges = process.block_on(fixture.charges());
        // Tasks that are under way die where they are.
        process.shutdown_background();
        drop(fixture);
    }
    charges
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn run_life(
    folder: &Path,
    chance: &mut SeededRandom,
    orders: &mut Vec<(u64, OrderId)>,
    is_last: bool,
) -> PaymentFixture {
    let fixture = PaymentFixture::open(folder).await;
    let sale = fixture.sale(1, UNITS, AdmissionMode::Open).await;
    let mut working = RunningRequests::default();
    for _ in 0..STEPS {
        step(&fixture, sale, chance, orders, &mut working).await;
    }
    if is_last {
        working.finish(&fixture).await;
        fixture.reconcile().await;
        let everyone = (0..BUYERS).map(|number| buyer(number.into()));
        fixture.assert_books_agree(everyone, sale).await;
        for order in working.paid {
            let status = fixture.status(order).await;
            assert!(
                matches!(status, OrderStatus::Confirmed | OrderStatus::Refunded { .. }),
                "the buyer got {order} as paid, and it is {status:?}"
            );
        }
    } else {
        // Not waited for; dropping the set would end them in good order.
        working.tasks.detach_all();
    }
    fixture
}

/// The requests of buyers and the admin in one life of the process.
#[derive(Default)]
struct RunningRequests {
    /// What is under way, and the order of each payment when it was made.
    tasks: JoinSet<Option<OrderId>>,
    /// The orders that a reply called paid.
    paid: Vec<OrderId>,
}

impl RunningRequests {
    /// Lets all that hangs go on, and waits for all that is under way.
    async fn finish(&mut self, fixture: &PaymentFixture) {
        fixture.provider.release_calls();
        while let Some(done) = self.tasks.join_next().await {
            self.paid.extend(done.unwrap());
        }
    }
}

async fn step(
    fixture: &PaymentFixture,
    sale: SaleId,
    chance: &mut SeededRandom,
    orders: &mut Vec<(u64, OrderId)>,
    working: &mut RunningRequests,
) {
    let who = chance.below(BUYERS);
    match chance.below(20) {
        0..=4 => {
            if let Some(order) = fixture.try_hold(sale, buyer(who.into()), 1).await {
                orders.push((who, order));
            }
        }
        5..=11 if !orders.is_empty() => {
            let (owner, order) = chance.pick(orders);
            let method = chance.pick(&[APPROVE, APPROVE, APPROVE, DECLINE, LOST, LOST]);
            let key = chance.pick(&[None, Some("a"), Some("b")]).map(|key| format!("{key}{order}{method}"));
            let payments = fixture.payments.clone();
            let request = pay(buyer(owner.into()), order, method, key.as_deref());
            working.tasks.spawn(async move {
                let answered = payments.pay(request).await;
                assert!(
                    !matches!(answered, Ok(Err(PaymentRefusal::KeyReused | PaymentRefusal::OrderUnknown))),
                    "{answered:?}"
                );
                matches!(answered, Ok(Ok(_))).then_some(order)
            });
        }
        12 if !orders.is_empty() => {
            let (owner, order) = chance.pick(orders);
            fixture.cancel(sale, buyer(owner.into()), order).await;
        }
        13 if !orders.is_empty() => {
            let (_, order) = chance.pick(orders);
            let payments = fixture.payments.clone();
            let restock = chance.below(2) == 0;
            working.tasks.spawn(async move {
                let request =
                    server::shop::payments::RefundRequest { admin: buyer(999), order, restock, key: None };
                drop(payments.refund(request).await);
                None
            });
        }
        14 => {
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
        15..=16 => fixture.provider.release_calls(),
        17 => fixture.clock.advance_ms(i64::try_from(chance.below(u64::from(HOLD_S) * 1500)).unwrap()),
        18 => {
            let payments = fixture.payments.clone();
            working.tasks.spawn(async move {
                payments.reconcile(sale::Timestamp::MAX).await.unwrap();
                None
            });
        }
        // Without such a pause it would hang on the machine's load whether anything is ever paid, and so refunded.
        _ => working.finish(fixture).await,
    }
}
