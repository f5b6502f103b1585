//! The process that is killed: an engine under load, which prints every reply to its parent as it arrives.

use crate::start;
use engine::Engine;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sale::{
    AdmissionMode, BuyerId, Command, CommandOutcome, Money, OrderId, OrderStatus, Policy, ReleaseReason,
    RequestKey, SaleId, Timestamp,
};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// Buyers at a time.
const CLIENTS: u64 = 64;
/// Sales: one with a line, one that sells at once, one that is scarce, one that is plentiful.
pub const SALES: u64 = 4;

pub fn sale_id(no: u64) -> SaleId {
    SaleId(Uuid::from_u64_pair(0x5a1e, no))
}

/// Starts the engine, prints the state that it found, and buys until killed.
pub fn serve(folder: &Path, life: u64) {
    let running = start(folder).unwrap();
    for view in running.engine.views().list() {
        print_line(&format!("state {} {} {:?}", view.id, view.seq, view.counters));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = &running.engine;
        for no in 0..SALES {
            if engine.views().get(sale_id(no)).is_none() {
                let policy = policy(no, engine.now());
                assert_eq!(
                    engine.command(sale_id(no), Command::Configure { policy }).await.unwrap().outcome,
                    CommandOutcome::Done
                );
            }
        }
        print_line("ready");
        for no in 0..CLIENTS {
            let client = Client {
                engine: engine.clone(),
                rng: StdRng::seed_from_u64(life * CLIENTS + no),
                buyer: BuyerId(Uuid::from_u64_pair(life, no)),
                orders: Vec::new(),
            };
            tokio::spawn(client.run());
        }
        std::future::pending::<()>().await;
    });
}

fn policy(no: u64, now: Timestamp) -> Box<Policy> {
    let (quantity, hold_s) =
        [(2_000, 1), (1_000_000, 0), (30, 1), (1_000_000, 60)][usize::try_from(no).unwrap()];
    let admission = match no {
        0 => AdmissionMode::Fifo { per_second: 2_000, checkout_s: 1, line_opens_s: 0, extension_s: 0 },
        _ => AdmissionMode::Open,
    };
    Box::new(Policy {
        quantity,
        unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
        starts_at: now,
        ends_at: now.plus_s(3_600),
        limit_per_buyer: 1_000_000,
        hold_s,
        admission,
    })
}

/// One line to the parent, in one piece; it reads them up to the last whole one.
fn print_line(line: &str) {
    let mut out = io::stdout().lock();
    // A parent that has gone has stopped listening; it will be noticed soon enough.
    let _heard = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}

struct Client {
    engine: Engine,
    rng: StdRng,
    buyer: BuyerId,
    orders: Vec<(SaleId, OrderId)>,
}

impl Client {
    async fn run(mut self) {
        loop {
            let (sale, command) = self.choose();
            let Ok(answer) = self.engine.command(sale, command.clone()).await else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let fact = match (answer.outcome, &command) {
                (CommandOutcome::Joined { ticket, .. }, _) => format!("joined {ticket}"),
                (CommandOutcome::Left { ticket }, _) => format!("left {ticket}"),
                (CommandOutcome::Order { order, .. }, _) => {
                    if matches!(command, Command::Reserve { .. }) {
                        self.orders.push((sale, order.id));
                    }
                    match order.status {
                        OrderStatus::Pending { .. } => format!("held {}", order.id),
                        OrderStatus::Confirmed => format!("confirmed {}", order.id),
                        OrderStatus::Refunded { .. } => format!("refunded {}", order.id),
                        _ => format!("released {}", order.id),
                    }
                }
                _ => continue,
            };
            print_line(&format!("answer {sale} {} {fact}", answer.seq));
        }
    }

    fn choose(&mut self) -> (SaleId, Command) {
        let buyer = self.buyer;
        let sale = sale_id(self.rng.random_range(0..SALES));
        if !self.orders.is_empty() && self.rng.random_range(0..3) == 0 {
            let (sale, order) = self.orders.swap_remove(self.rng.random_range(0..self.orders.len()));
            if self.rng.random_range(0..3) == 0 {
                self.orders.push((sale, order));
                return (sale, Command::BeginPayment { buyer, order });
            }
            let command = match self.rng.random_range(0..7) {
                6 => Command::EndPayment { buyer, order },
                0 => Command::Release { buyer, order, reason: ReleaseReason::Cancelled },
                1 => Command::Refund { order, restock: true },
                _ => Command::Confirm { buyer, order },
            };
            return (sale, command);
        }
        let command = match self.rng.random_range(0..6) {
            0 | 1 if sale == sale_id(0) => Command::Join { buyer },
            2 if sale == sale_id(0) => Command::Leave { buyer },
            _ => Command::Reserve {
                buyer,
                order: OrderId(Uuid::from_u128(self.rng.random())),
                quantity: 1,
                key: Some(RequestKey(self.rng.random())),
            },
        };
        (sale, command)
    }
}
