//! A shop's payments in a folder of its own. Dropping the [`World`] is a crash; opening another on its folder is the restart.

use engine::clock::{Clock, ManualClock};
use engine::pipeline::PipelineLimits;
use engine::{Engine, RunningEngine};
use futures::future::BoxFuture;
use sale::{
    AdmissionMode, BuyerId, Command, CommandOutcome, Money, OrderId, OrderStatus, Policy, ReleaseReason,
    SaleId, Timestamp,
};
use server::payments::sandbox::{PageDecision, SandboxProvider};
use server::payments::{
    AuthorisationResult, CapturedAtProvider, IntentId, NoProviderReply, OutsideRefund, PaymentProvider,
    PaymentProviders, PriceRefusal, ProviderAnswer, ProviderDispute, ProviderHealth, ProviderPayment,
    ProviderReply, ProviderTimeouts, RefundId,
};
use server::shop::catalogue::SaleCatalogue;
use server::shop::grouped_store::GroupedStore;
use server::shop::idempotency_keys::IdempotencyKey;
use server::shop::payments::charge_table::ChargeTable;
use server::shop::payments::{
    PaidOrder, PayRequest, PaymentError, PaymentRefusal, PaymentResult, PaymentRuntime, PaymentService,
    ReconcileTiming, RefundRequest,
};
use server::shop::tenancy::Tenancy;
use server::store::payments::{self as rows, PaymentRow};
use server::store::products::{self, Product, ProductId};
use server::store::sales::{self, LimitScope, NewSale, PaymentMode};
use server::store::{DATABASE_FILE, Store};
use sqlx::{Connection, Row};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_servers::postgres::PostgresServer;
use test_servers::wait::HANG_LIMIT;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, watch};
use uuid::Uuid;

pub const START: Timestamp = Timestamp(1_800_000_000_000);
pub const PRICE: i64 = 4_999;
pub const HOLD_S: u32 = 60;
/// From a hold's beginning to its end while a payment is in progress.
pub const PAYING_MS: i64 = (2 * HOLD_S as i64 + 60) * 1000;
pub const APPROVE: &str = "sandbox:approve";
pub const DECLINE: &str = "sandbox:decline";
pub const LOST: &str = "sandbox:lost";
pub const REDIRECT: &str = "sandbox:redirect";

/// The calls of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderCall {
    Authorise,
    Capture,
    Void,
    Refund,
    Find,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderFault {
    /// The request is lost: nothing is done.
    LoseRequest,
    /// The reply is lost: it is done.
    LoseReply,
    /// The request hangs on its way, until [`Stage::go_on`].
    HangBefore,
    /// The reply hangs on its way, until [`Stage::go_on`].
    HangAfter,
}

/// A provider with faults.
pub struct FaultyProvider {
    inner: SandboxProvider,
    faults: Mutex<HashMap<ProviderCall, ProviderFault>>,
    hanging: watch::Sender<u32>,
    permits: watch::Sender<u32>,
}

impl FaultyProvider {
    pub fn inject_fault(&self, call: ProviderCall, fault: ProviderFault) {
        self.faults.lock().unwrap().insert(call, fault);
    }

    pub fn clear_faults(&self) {
        self.faults.lock().unwrap().clear();
    }

    /// Waits until a call hangs.
    pub async fn wait_until_hanging(&self) {
        let mut hanging = self.hanging.subscribe();
        let hangs = hanging.wait_for(|hanging| *hanging > 0);
        tokio::time::timeout(HANG_LIMIT, hangs).await.expect("a call should hang").unwrap();
    }

    /// Lets all hanging calls go on, and no more hang.
    pub fn release_calls(&self) {
        self.clear_faults();
        self.permits.send_modify(|permits| *permits += 1);
    }

    async fn wait_at_gate(&self, mut permits: watch::Receiver<u32>) {
        self.hanging.send_modify(|hanging| *hanging += 1);
        permits.changed().await.unwrap();
        self.hanging.send_modify(|hanging| *hanging -= 1);
    }

    async fn apply_fault<T>(&self, call: ProviderCall, answer: BoxFuture<'_, T>) -> Option<T> {
        // Before the fault is looked up: else a call could begin to hang just after all were let go.
        let permits = self.permits.subscribe();
        let fault = self.faults.lock().unwrap().get(&call).copied();
        match fault {
            None => Some(answer.await),
            Some(ProviderFault::LoseRequest) => None,
            Some(ProviderFault::LoseReply) => {
                answer.await;
                None
            }
            Some(ProviderFault::HangBefore) => {
                self.wait_at_gate(permits).await;
                Some(answer.await)
            }
            Some(ProviderFault::HangAfter) => {
                let answer = answer.await;
                self.wait_at_gate(permits).await;
                Some(answer)
            }
        }
    }
}

impl PaymentProvider for FaultyProvider {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn accepts(&self, method: &str) -> bool {
        self.inner.accepts(method)
    }

    fn is_redirect(&self, method: &str) -> bool {
        self.inner.is_redirect(method)
    }

    fn check_price(&self, unit_price: Money, quantity_max: u32) -> Result<(), PriceRefusal> {
        self.inner.check_price(unit_price, quantity_max)
    }

    fn authorise<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, AuthorisationResult> {
        let answer = self.apply_fault(ProviderCall::Authorise, self.inner.authorise(payment));
        Box::pin(async { answer.await.unwrap_or(AuthorisationResult::Unknown) })
    }

    fn capture<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, ProviderReply> {
        let answer = self.apply_fault(ProviderCall::Capture, self.inner.capture(payment));
        Box::pin(async { answer.await.unwrap_or(Err(NoProviderReply)) })
    }

    fn void<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, ProviderReply> {
        let answer = self.apply_fault(ProviderCall::Void, self.inner.void(payment));
        Box::pin(async { answer.await.unwrap_or(Err(NoProviderReply)) })
    }

    fn refund<'a>(
        &'a self,
        payment: &'a ProviderPayment,
        refund: RefundId,
        amount: Money,
    ) -> BoxFuture<'a, ProviderReply> {
        let answer = self.apply_fault(ProviderCall::Refund, self.inner.refund(payment, refund, amount));
        Box::pin(async { answer.await.unwrap_or(Err(NoProviderReply)) })
    }

    fn find<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Option<ProviderAnswer>, NoProviderReply>> {
        let answer = self.apply_fault(ProviderCall::Find, self.inner.find(payment));
        Box::pin(async { answer.await.unwrap_or(Err(NoProviderReply)) })
    }

    fn list_outside_refunds<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Vec<OutsideRefund>, NoProviderReply>> {
        self.inner.list_outside_refunds(payment)
    }

    fn find_disputes<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Vec<ProviderDispute>, NoProviderReply>> {
        self.inner.find_disputes(payment)
    }

    fn list_captured(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CapturedAtProvider>, NoProviderReply>> {
        self.inner.list_captured(from, to)
    }

    fn health(&self) -> ProviderHealth {
        self.inner.health()
    }
}

/// Payments and all that they need.
pub struct PaymentFixture {
    pub clock: Arc<ManualClock>,
    pub engine: Engine,
    pub store: Store,
    pub provider: Arc<FaultyProvider>,
    pub payments: Arc<PaymentService>,
    catalogue: Arc<SaleCatalogue>,
    embedded: Option<RunningEngine>,
    tables: String,
}

/// A lease is renewed by the machine's clock and is over by the test's: long enough that the machine is never quicker.
pub const LEASE_MS: i64 = 40_000;

/// Where the tables are of payments that two processes work on.
#[derive(Clone, Copy, Debug)]
pub enum TablesOn {
    Sqlite,
    Postgres,
}

/// A provider that may take its time.
fn long_timeouts() -> ProviderTimeouts {
    ProviderTimeouts { authorise: HANG_LIMIT, other: HANG_LIMIT, list: HANG_LIMIT }
}

/// The tables of a new shop are made once, and copied: all migrations take longer than many tests.
async fn copy_new_tables(folder: &Path) {
    static NEW_TABLES: OnceCell<Vec<u8>> = OnceCell::const_new();
    let make = || async {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        store.close().await;
        assert!(!folder.path().join("shop.db-wal").exists(), "the file should have everything");
        std::fs::read(folder.path().join(DATABASE_FILE)).unwrap()
    };
    let file = folder.join(DATABASE_FILE);
    if !file.exists() {
        std::fs::write(file, NEW_TABLES.get_or_init(make).await).unwrap();
    }
}

impl PaymentFixture {
    pub async fn open(folder: &Path) -> Self {
        Self::with_limits(folder, long_timeouts()).await
    }

    pub async fn with_limits(folder: &Path, limits: ProviderTimeouts) -> Self {
        copy_new_tables(folder).await;
        let store = Store::open(folder).await.unwrap();
        let tables = format!("sqlite://{}", folder.join(DATABASE_FILE).display());
        Self::build(folder, store, tables, limits, ReconcileTiming::default()).await
    }

    /// One of two processes on the same tables; the other is [`World::beside`].
    pub async fn shared(folder: &Path, tables: TablesOn) -> Self {
        let (store, url) = match tables {
            TablesOn::Sqlite => {
                copy_new_tables(folder).await;
                let url = format!("sqlite://{}", folder.join(DATABASE_FILE).display());
                (Store::open(folder).await.unwrap(), url)
            }
            TablesOn::Postgres => {
                let url = PostgresServer::shared().create_database();
                (Store::connect(&url).await.unwrap(), url)
            }
        };
        let timing =
            ReconcileTiming { tenancy: Tenancy::Cluster, lease_ms: LEASE_MS, ..ReconcileTiming::default() };
        Self::build(folder, store, url, long_timeouts(), timing).await
    }

    /// The payments of another process: it shares the tables, the provider and the ledger with this one.
    pub async fn second_service(&self) -> Arc<PaymentService> {
        let provider: Arc<dyn PaymentProvider> = Arc::clone(&self.provider) as _;
        let timing =
            ReconcileTiming { tenancy: Tenancy::Cluster, lease_ms: LEASE_MS, ..ReconcileTiming::default() };
        let (store, engine) =
            (GroupedStore::start(self.store.clone(), "payments", &Handle::current()), self.engine.clone());
        let providers = PaymentProviders::new(provider, Vec::new(), long_timeouts());
        let catalogue = SaleCatalogue::load(&self.store, Tenancy::Cluster).await.unwrap();
        PaymentService::new(
            store,
            engine,
            Arc::new(catalogue),
            providers,
            None,
            (timing, PaymentRuntime::current()),
        )
    }

    async fn build(
        folder: &Path,
        store: Store,
        tables: String,
        limits: ProviderTimeouts,
        timing: ReconcileTiming,
    ) -> Self {
        let mut manual = None;
        let embedded = engine::start_on_sqlite(folder, PipelineLimits::default(), |last| {
            let clock = ManualClock::at(last.max(START));
            manual = Some(Arc::clone(&clock));
            clock
        })
        .unwrap();
        store.migrate().await.unwrap();
        let clock = Arc::clone(manual.as_ref().unwrap());
        let charges = ChargeTable {
            tables: GroupedStore::start(store.clone(), "sandbox_charges", &Handle::current()),
            now: Arc::new(move || clock.now()),
        };
        let stage = Arc::new(FaultyProvider {
            inner: SandboxProvider::new(Arc::new(charges), Duration::from_millis(1)),
            faults: Mutex::default(),
            hanging: watch::Sender::new(0),
            permits: watch::Sender::new(0),
        });
        let engine = embedded.engine.clone();
        let provider: Arc<dyn PaymentProvider> = Arc::clone(&stage) as _;
        let (to_tables, to_engine) =
            (GroupedStore::start(store.clone(), "payments", &Handle::current()), engine.clone());
        let providers = PaymentProviders::new(provider, Vec::new(), limits);
        let catalogue = Arc::new(SaleCatalogue::load(&store, timing.tenancy).await.unwrap());
        let listed = Arc::clone(&catalogue);
        let payments = PaymentService::new(
            to_tables,
            to_engine,
            listed,
            providers,
            None,
            (timing, PaymentRuntime::current()),
        );
        Self {
            catalogue,
            clock: manual.unwrap(),
            engine,
            store,
            provider: stage,
            payments,
            embedded: Some(embedded),
            tables,
        }
    }

    /// A sale that has started.
    pub async fn sale(&self, number: u128, quantity: u32, admission: AdmissionMode) -> SaleId {
        self.priced_sale(number, quantity, admission, PRICE).await
    }

    pub async fn priced_sale(
        &self,
        number: u128,
        quantity: u32,
        admission: AdmissionMode,
        price: i64,
    ) -> SaleId {
        self.list_sale(SaleId(Uuid::from_u128(number)), price).await;
        self.unlisted_sale(number, quantity, admission, price).await
    }

    /// A sale that the ledger has and the tables do not.
    pub async fn unlisted_sale(
        &self,
        number: u128,
        quantity: u32,
        admission: AdmissionMode,
        price: i64,
    ) -> SaleId {
        let sale = SaleId(Uuid::from_u128(number));
        let policy = Policy {
            quantity,
            unit_price: Money { minor: price, currency: "EUR".parse().unwrap() },
            starts_at: START,
            ends_at: START.plus_s(86_400),
            limit_per_buyer: 2,
            hold_s: HOLD_S,
            admission,
        };
        self.run_command(sale, Command::Configure { policy: Box::new(policy) }).await;
        sale
    }

    /// Writes the rows of a sale, unless it is listed.
    async fn list_sale(&self, sale: SaleId, price: i64) {
        if self.catalogue.contains(sale) {
            return;
        }
        let product = Product {
            id: ProductId(sale.0),
            name: "Lamp".to_owned(),
            description: String::new(),
            price: Money { minor: price, currency: "EUR".parse().unwrap() },
            category: None,
            image_url: None,
            created_at: START,
            updated_at: START,
            deleted_at: None,
        };
        let row = NewSale {
            id: sale,
            product: product.id,
            slug: &format!("lamp-{sale}"),
            created_at: START,
            payment: PaymentMode::Required,
            provider: self.provider.name(),
            limit_by: LimitScope::Account,
            require_confirmed_email: false,
            made_by: None,
        };
        let mut writing = self.store.begin().await.unwrap();
        products::insert(&mut writing, &product).await.unwrap();
        assert!(sales::insert(&mut writing, row).await.unwrap());
        writing.commit().await.unwrap();
        sales::set_announced(&self.store, sale, START).await.unwrap();
        self.catalogue.refresh(&self.store).await.unwrap();
    }

    pub async fn run_command(&self, sale: SaleId, command: Command) -> CommandOutcome {
        self.engine.command(sale, command).await.unwrap().outcome
    }

    /// Holds units; panics when the law says no.
    pub async fn hold(&self, sale: SaleId, buyer: BuyerId, quantity: u32) -> OrderId {
        self.try_hold(sale, buyer, quantity).await.expect("a unit is free")
    }

    pub async fn try_hold(&self, sale: SaleId, buyer: BuyerId, quantity: u32) -> Option<OrderId> {
        let order = OrderId(Uuid::new_v4());
        let outcome = self.run_command(sale, Command::Reserve { buyer, order, quantity, key: None }).await;
        matches!(outcome, CommandOutcome::Order { .. }).then_some(order)
    }

    pub async fn cancel(&self, sale: SaleId, buyer: BuyerId, order: OrderId) -> CommandOutcome {
        self.run_command(sale, Command::Release { buyer, order, reason: ReleaseReason::Cancelled }).await
    }

    pub async fn status(&self, order: OrderId) -> OrderStatus {
        self.engine.order(order).await.unwrap().unwrap().1.status
    }

    pub async fn pay(&self, buyer: BuyerId, order: OrderId, method: &str) -> PaymentResult {
        self.payments.pay(pay(buyer, order, method, None)).await
    }

    pub async fn pay_with_key(
        &self,
        buyer: BuyerId,
        order: OrderId,
        method: &str,
        key: &str,
    ) -> PaymentResult {
        self.payments.pay(pay(buyer, order, method, Some(key))).await
    }

    pub async fn refund(&self, order: OrderId, restock: bool, key: Option<&str>) -> PaymentResult {
        let key = key.map(IdempotencyKey::from_text);
        self.payments.refund(RefundRequest { admin: buyer(999), order, amount: None, restock, key }).await
    }

    /// Refunds a part, or all that is left.
    pub async fn refund_part(&self, order: OrderId, minor: i64, key: Option<&str>) -> PaymentResult {
        self.payments.refund(part(order, minor, key)).await
    }

    /// Does what a buyer does on the sandbox's page; `false` when there is no such page.
    pub async fn decide(&self, payment: Uuid, decision: PageDecision) -> bool {
        self.provider.inner.decide_page(IntentId(payment), decision).await.unwrap().is_some()
    }

    /// Opens a page to pay on, and returns its payment.
    pub async fn open_page(&self, buyer: BuyerId, order: OrderId) -> PaymentRow {
        self.open_page_with(buyer, order, None).await
    }

    pub async fn open_page_with_key(&self, buyer: BuyerId, order: OrderId, key: &str) -> PaymentRow {
        self.open_page_with(buyer, order, Some(key)).await
    }

    async fn open_page_with(&self, buyer: BuyerId, order: OrderId, key: Option<&str>) -> PaymentRow {
        let opened = paid(self.payments.pay(pay(buyer, order, REDIRECT, key)).await);
        assert!(opened.is_open(), "{opened:?}");
        opened.payment.unwrap()
    }

    pub async fn find_live_payment(&self, order: OrderId) -> Option<PaymentRow> {
        rows::find_live(&self.store, order).await.unwrap()
    }

    /// Lets every payment that was left come to its end, but for open pages of orders that are held.
    pub async fn reconcile(&self) {
        for _ in 0..4 {
            if self.payments.reconcile(Timestamp::MAX).await.unwrap().waiting == 0 {
                break;
            }
        }
        let mut left = rows::list_unsettled(&self.store, Timestamp::MAX, 100).await.unwrap();
        left.retain(|payment| payment.state != rows::PaymentState::Open);
        assert_eq!(left, [], "all is settled");
        let parts = rows::list_pending(&self.store, Timestamp::MAX, 100).await.unwrap();
        assert_eq!(parts, [], "all parts are refunded or refused");
    }

    /// The sandbox's intents, each with its status and amount.
    pub async fn charges(&self) -> Vec<(Uuid, String, i64)> {
        let mut connection = sqlx::AnyConnection::connect(&self.tables).await.unwrap();
        let rows =
            sqlx::query("SELECT intent_id, standing, amount_minor FROM sandbox_charges ORDER BY intent_id")
                .fetch_all(&mut connection)
                .await
                .unwrap();
        connection.close().await.unwrap();
        let charge = |row: &sqlx::any::AnyRow| {
            let id: String = row.try_get("intent_id").unwrap();
            (id.parse().unwrap(), row.try_get("standing").unwrap(), row.try_get("amount_minor").unwrap())
        };
        rows.iter().map(charge).collect()
    }

    /// Money that the provider holds for us, without what it gave back, and money that it has only set aside.
    pub async fn money(&self) -> (i64, i64) {
        let mut connection = sqlx::AnyConnection::connect(&self.tables).await.unwrap();
        let mut total = async |status: &str| -> i64 {
            sqlx::query_scalar(
                "SELECT CAST(COALESCE(SUM(amount_minor - refunded_minor), 0) AS BIGINT) FROM sandbox_charges WHERE standing = $1",
            )
            .bind(status.to_owned())
            .fetch_one(&mut connection)
            .await
            .unwrap()
        };
        let money = (total("captured").await, total("authorised").await);
        connection.close().await.unwrap();
        money
    }

    /// The promise of this module: we have the money of the confirmed orders but for the parts that were refunded, and no other.
    pub async fn assert_books_agree(&self, buyers: impl IntoIterator<Item = BuyerId>, sale: SaleId) {
        let mut due = 0;
        for buyer in buyers {
            for (_, order) in self.engine.buyer_orders(buyer, vec![sale]).await.unwrap() {
                let is_paid = order.status == OrderStatus::Confirmed;
                due += if is_paid { PRICE * i64::from(order.quantity) } else { 0 };
                let payment = self.find_live_payment(order.id).await;
                if is_paid {
                    due -= payment.as_ref().map_or(0, |payment| payment.refunded_minor);
                }
                let has_ours = payment.is_some_and(|payment| payment.state == rows::PaymentState::Captured);
                assert_eq!(has_ours, is_paid, "{order:?}");
            }
        }
        assert_eq!(self.money().await, (due, 0), "captured, set aside");
    }

    /// Has PostgreSQL undo the next `count` transactions that insert into a table, as it does when another one is in the way.
    pub fn undo_next_inserts(&self, table: &str, count: u32) {
        // What a sequence has given is not taken back with the transaction.
        let sql = format!(
            "CREATE SEQUENCE {table}_tries;
            CREATE FUNCTION undo_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('{table}_tries') <= {count} THEN
                    RAISE EXCEPTION 'undone' USING ERRCODE = '40001';
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER undo BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION undo_{table}();"
        );
        PostgresServer::shared().run_sql(&self.tables, &sql);
    }

    /// How many rows were to be inserted since [`Self::undo_next_inserts`]; afterwards nothing is undone any more.
    pub fn count_inserts(&self, table: &str) -> u32 {
        let sql = format!("SELECT last_value FROM {table}_tries");
        let count = PostgresServer::shared().run_sql(&self.tables, &sql);
        let end =
            format!("DROP TRIGGER undo ON {table}; DROP FUNCTION undo_{table}; DROP SEQUENCE {table}_tries");
        PostgresServer::shared().run_sql(&self.tables, &end);
        count.parse().unwrap()
    }

    /// Ends the engine as a stop of the process would, so that another fixture may open the folder.
    pub fn stop_engine(&mut self) {
        if let Some(embedded) = self.embedded.take() {
            embedded.stop();
        }
    }
}

impl Drop for PaymentFixture {
    fn drop(&mut self) {
        self.stop_engine();
    }
}

pub fn buyer(number: u128) -> BuyerId {
    BuyerId(Uuid::from_u128(0xB000 + number))
}

pub fn pay(buyer: BuyerId, order: OrderId, method: &str, key: Option<&str>) -> PayRequest {
    let key = key.map(IdempotencyKey::from_text);
    PayRequest { buyer, order, method: Some(method.to_owned()), key, language: "en" }
}

pub fn part(order: OrderId, minor: i64, key: Option<&str>) -> RefundRequest {
    let amount = Some(Money { minor, currency: "EUR".parse().unwrap() });
    let key = key.map(IdempotencyKey::from_text);
    RefundRequest { admin: buyer(999), order, amount, restock: false, key }
}

pub fn fifo() -> AdmissionMode {
    AdmissionMode::Fifo { per_second: 100, checkout_s: 600, line_opens_s: 0, extension_s: 0 }
}

#[track_caller]
pub fn paid(answered: PaymentResult) -> PaidOrder {
    answered.expect("an answer").expect("a payment")
}

#[track_caller]
pub fn refused(answered: PaymentResult) -> PaymentRefusal {
    answered.expect("an answer").expect_err("a refusal")
}

#[track_caller]
pub fn unsettled(answered: PaymentResult) {
    assert!(matches!(answered, Err(PaymentError::Unsettled)), "{answered:?}");
}
