//! Sends the events of the dialect `turnstile`. Jobs are read from their table in the order of their commits, so each is sent once, by
//! every instance, whichever decided it.

use super::{MemberFlag, buyer_room};
use crate::realtime::hub::{count_dropped, is_buffer_full};
use crate::shop::purchase_jobs::{self, JobCursor, JobResult, JobRow};
use crate::shop::{Shop, peer_changes, sales};
use crate::telemetry::sockets::SocketMetrics;
use sale::Timestamp;
use serde::Serialize;
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};
use uuid::Uuid;

/// How often what only time brings is looked at: the start and end of the sale, and a stock that had to wait.
const ROUND_INTERVAL: Duration = Duration::from_millis(100);
/// Pause after updates that a change triggered: in a rush there are thousands of changes a second.
const UPDATE_PAUSE: Duration = Duration::from_millis(20);
/// Milliseconds between two updates of the stock for everyone: at most five in any second, with a little more for the clocks of clients.
const STOCK_INTERVAL_MS: i64 = 220;
/// How often the telemetry is sent.
const TELEMETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What became of a job.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobOutcome<'a> {
    success: bool,
    product_id: &'a str,
    remaining_stock: u32,
    message: &'static str,
    job_id: Uuid,
    /// Of the refusal of a job that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct StockUpdate {
    stock: u32,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct GateStatus {
    status: &'static str,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SystemTelemetry {
    active_users: usize,
    queue_length: i64,
    db_status: &'static str,
}

/// The one task that sends. What became of jobs is read from the tables; while they do not answer, all else is sent as usual.
pub(super) struct TurnstileHub {
    outcomes: OutcomeSender,
    sale_updates: SaleUpdateSender,
}

/// What both parts of the hub have.
#[derive(Clone)]
struct NamespaceSender {
    shop: Arc<Shop>,
    io: SocketIo,
    path: &'static str,
    metrics: SocketMetrics,
    has_members: MemberFlag,
    /// The number of the last job of this process.
    written: watch::Receiver<i64>,
}

/// Sends what became of jobs.
struct OutcomeSender {
    sender: NamespaceSender,
    jobs: JobCursor,
}

/// Sends what changes of the sale, and the telemetry.
struct SaleUpdateSender {
    sender: NamespaceSender,
    /// Id or slug of the sale that the dialect sells.
    sale: Option<String>,
    last_stock: u32,
    stock_sent_at: Option<Timestamp>,
    last_status: &'static str,
    /// The number of the last job of this process at the last telemetry.
    reported_job: i64,
}

impl TurnstileHub {
    pub(super) fn new(
        shop: Arc<Shop>,
        io: SocketIo,
        path: &'static str,
        sale: Option<String>,
        metrics: SocketMetrics,
        has_members: MemberFlag,
    ) -> Self {
        let written = shop.jobs.subscribe();
        let sender = NamespaceSender { shop, io, path, metrics, has_members, written };
        let mut sale_updates = SaleUpdateSender {
            sender: sender.clone(),
            sale,
            last_stock: 0,
            stock_sent_at: None,
            last_status: "",
            reported_job: 0,
        };
        (sale_updates.last_stock, sale_updates.last_status) = sale_updates.read_sale();
        Self { outcomes: OutcomeSender { sender, jobs: JobCursor::default() }, sale_updates }
    }

    /// Runs until it is aborted.
    pub(super) async fn run(self) {
        tokio::join!(self.outcomes.run(), self.sale_updates.run());
    }
}

fn interval(every: Duration) -> Interval {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

impl SaleUpdateSender {
    async fn run(mut self) {
        let (mut round, mut telemetry) = (interval(ROUND_INTERVAL), interval(TELEMETRY_INTERVAL));
        // A late one does not delay those behind it.
        telemetry.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut changes = self.sender.shop.engine.views().subscribe_changes();
        loop {
            tokio::select! {
                _ = round.tick() => self.send_sale_updates().await,
                Ok(()) = changes.changed() => {
                    self.send_sale_updates().await;
                    tokio::time::sleep(UPDATE_PAUSE).await;
                }
                _ = telemetry.tick() => self.send_telemetry().await,
            }
        }
    }

    /// What remains of the sale, and whether it is open.
    fn read_sale(&self) -> (u32, &'static str) {
        let sale = sales::find_chosen(&self.sender.shop, self.sale.as_deref());
        let status = sales::describe_gate(sale.as_ref(), self.sender.shop.engine.now());
        (sale.map_or(0, |sale| sale.view.counters.unsold()), status)
    }

    /// Sends everyone what has changed of the sale.
    async fn send_sale_updates(&mut self) {
        let (stock, status) = self.read_sale();
        if status != self.last_status {
            self.last_status = status;
            self.sender.broadcast("sale-status-change", &GateStatus { status }).await;
        }
        let now = (self.sender.shop.now)();
        let is_due = self.stock_sent_at.is_none_or(|sent_at| now.ms_since(sent_at) >= STOCK_INTERVAL_MS);
        if stock != self.last_stock && is_due {
            self.last_stock = stock;
            self.stock_sent_at = Some(now);
            self.sender.broadcast("stock-update", &StockUpdate { stock }).await;
        }
    }

    async fn send_telemetry(&mut self) {
        let sockets = self.sender.sockets().len();
        self.sender.metrics.open.set(i64::try_from(sockets).unwrap_or(i64::MAX));
        if sockets == 0 {
            self.sender.has_members.set(false);
            // A socket may have joined a room in between.
            if !self.sender.sockets().is_empty() {
                self.sender.has_members.set(true);
            }
            return;
        }
        let (last, running) = (*self.sender.written.borrow(), self.sender.shop.jobs.running.get());
        let is_writing = running > 0 || last != self.reported_job;
        self.reported_job = last;
        let db_status = if is_writing { "Writing..." } else { "Idle" };
        let telemetry = SystemTelemetry { active_users: sockets, queue_length: running, db_status };
        self.sender.broadcast("system-telemetry", &telemetry).await;
    }
}

impl OutcomeSender {
    async fn run(mut self) {
        let (mut round, mut peers) = (interval(ROUND_INTERVAL), interval(peer_changes::POLL_INTERVAL));
        let mut written = self.sender.written.clone();
        let has_peers = self.sender.shop.tenancy.is_cluster();
        self.send_outcomes().await;
        loop {
            tokio::select! {
                _ = round.tick(), if self.jobs.is_failing() => self.send_outcomes().await,
                Ok(()) = written.changed() => {
                    self.send_outcomes().await;
                    tokio::time::sleep(UPDATE_PAUSE).await;
                }
                _ = peers.tick(), if has_peers => self.send_outcomes().await,
            }
        }
    }

    /// Sends what became of the jobs that are new. While no socket is in a room, nobody waits for them.
    async fn send_outcomes(&mut self) {
        if !self.sender.has_members.get() {
            let written = *self.sender.written.borrow();
            let newest = self.jobs.find_newest(&self.sender.shop, written).await;
            // A socket may have joined a room meanwhile, and wait for one of these jobs.
            if !self.sender.has_members.get() {
                self.jobs.skip(newest);
                return;
            }
        }
        loop {
            for job in self.jobs.read_next(&self.sender.shop).await {
                self.send_outcome(&job);
            }
            // Jobs that come meanwhile have a signal of their own.
            if !self.jobs.has_more() {
                return;
            }
        }
    }

    fn send_outcome(&self, job: &JobRow) {
        let Some(namespace) = self.sender.io.of(self.sender.path) else { return };
        let members = namespace.within(buyer_room(job.buyer)).sockets();
        if members.is_empty() {
            return;
        }
        let success = matches!(job.result, JobResult::Completed(_));
        let outcome = JobOutcome {
            success,
            product_id: &job.product,
            remaining_stock: job.remaining,
            message: purchase_jobs::describe_result(&job.result),
            job_id: job.id,
            code: job.result.code(),
        };
        let event = if success { "order_confirmed" } else { "order_failed" };
        self.sender.send_to(&members, event, &outcome);
        if !success {
            // A page waits for one of the two.
            let stock = purchase_jobs::remaining_units(&self.sender.shop, job.sale);
            self.sender.send_to(&members, "stock-update", &StockUpdate { stock });
        }
    }
}

impl NamespaceSender {
    fn sockets(&self) -> Vec<SocketRef> {
        self.io.of(self.path).map(|namespace| namespace.sockets()).unwrap_or_default()
    }

    async fn broadcast(&self, event: &'static str, document: &impl Serialize) {
        let Some(namespace) = self.io.of(self.path) else { return };
        let sockets = self.sockets().len();
        let result = namespace.emit(event, document).await;
        self.metrics.count_sent(event, sockets, count_dropped(&result));
    }

    fn send_to(&self, members: &[SocketRef], event: &'static str, document: &impl Serialize) {
        for socket in members {
            let result = socket.emit(event, document);
            self.metrics.count_sent(event, 1, usize::from(is_buffer_full(&result)));
        }
    }
}
