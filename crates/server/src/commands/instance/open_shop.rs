//! Puts the shop together from its settings, its tables and its engine.

use super::super::CommandError;
use super::super::settings::{OnOff, Serve};
use super::super::stripe::open_stripe;
use super::super::token_key::load_token_key;
use crate::auth::passwords::PasswordPool;
use crate::auth::tokens::AccessTokens;
use crate::clock::TimeSource;
use crate::payments::sandbox::{SLOW_DELAY, SandboxProvider};
use crate::payments::{PaymentProvider, PaymentProviders, ProviderTimeouts};
use crate::shop::Shop;
use crate::shop::accounts::AccountService;
use crate::shop::attempts::{self, AttemptsInbox};
use crate::shop::catalogue::SaleCatalogue;
use crate::shop::confirmed_emails::ConfirmedBuyers;
use crate::shop::follower_lag::FollowerLag;
use crate::shop::follower_progress::FollowerProgress;
use crate::shop::fresh_views::FreshViews;
use crate::shop::grouped_store::GroupedStore;
use crate::shop::guests::GuestBook;
use crate::shop::integer_ids::{self, AccountNumbers};
use crate::shop::keyed_locks::KeyedLocks;
use crate::shop::line_feed::LineReaders;
use crate::shop::mailboxes::MailboxClaims;
use crate::shop::mails::MailOutbox;
use crate::shop::native_guests::GuestLimits;
use crate::shop::payments::charge_table::ChargeTable;
use crate::shop::payments::{PaymentRuntime, PaymentService, ReconcileTiming};
use crate::shop::provider_notices::NoticeService;
use crate::shop::public_url::PublicUrl;
use crate::shop::published_events::EventPublisher;
use crate::shop::purchase_jobs::PurchaseJobs;
use crate::shop::receipts::ReceiptSigner;
use crate::shop::sale_changes::SaleChanges;
use crate::shop::sold_out_memory::SoldOutMemory;
use crate::shop::summary::SummaryCache;
use crate::shop::tenancy::Tenancy;
use crate::shop::webhooks::WebhookService;
use crate::store::Store;
use crate::telemetry::followers::FollowerMetrics;
use crate::telemetry::metrics::{Counter, ServerMetrics};
use crate::telemetry::purchases::PurchaseMetrics;
use crate::telemetry::sales::SaleGauges;
use crate::telemetry::stripe::StripeMetrics;
use crate::webhooks::client::{WebhookClient, load_tls_config};
use anyhow::Context;
use engine::{RunningEngine, SaleView};
use sale::Timestamp;
use std::sync::Arc;

pub(super) async fn open_shop(
    settings: &Serve,
    store: Store,
    (running, wall_clock): (&RunningEngine, TimeSource),
    metrics: &ServerMetrics,
    projector: &FollowerMetrics,
    public_url: Option<PublicUrl>,
) -> Result<(Shop, AttemptsInbox), CommandError> {
    let tenancy = choose_tenancy(settings);
    let engine = running.engine.clone();
    let clock = Arc::clone(engine.clock());
    let now: TimeSource = Arc::new(move || clock.now());
    let ttl_s = u32::try_from(settings.token_ttl.as_secs()).unwrap_or(u32::MAX);
    let tokens = AccessTokens::new(
        load_token_key(settings, &store, now()).await?,
        ttl_s,
        settings.token_cache as usize,
    );
    let mails = settings.mail.smtp.as_ref().map(|_| MailOutbox::new(tokens.secret_for("mails")));
    let receipts = ReceiptSigner::new(&tokens.secret_for("receipts"));
    let passwords =
        PasswordPool::start(settings.password_threads()).context("the password threads cannot start")?;
    let payment_runtime = PaymentRuntime::start_thread().context("the thread of payments cannot start")?;
    let payment_tables = GroupedStore::start(store.clone(), "payments", payment_runtime.handle());
    let charges = ChargeTable { tables: payment_tables.clone(), now: Arc::clone(&now) };
    let sandbox = Arc::new(SandboxProvider::new(Arc::new(charges), SLOW_DELAY));
    let timing = ReconcileTiming { tenancy, ..ReconcileTiming::default() };
    integer_ids::fill_missing(&store).await.map_err(anyhow::Error::from)?;
    let catalogue = SaleCatalogue::load(&store, tenancy).await.map_err(anyhow::Error::from)?;
    let catalogue = Arc::new(catalogue);
    let stripe_metrics = StripeMetrics::default();
    let stripe = settings.payments.stripe_settings(public_url.as_ref(), |name| std::env::var(name).ok())?;
    let (stripe, secrets) = match stripe {
        Some(stripe) => {
            if stripe.key.is_unrestricted() {
                tracing::warn!(
                    "the key of Stripe may do everything; give the shop a restricted key with the rights that docs/stripe.md names"
                );
            }
            let (secrets, metrics) = (stripe.secrets.clone(), stripe_metrics.clone());
            let timeouts = settings.payments.stripe_timeouts;
            (Some(open_stripe(stripe, Arc::clone(&now), metrics, timeouts)), secrets)
        }
        None => (None, Vec::new()),
    };
    // What was begun with the sandbox ends with it.
    let others: Arc<dyn PaymentProvider> = Arc::clone(&sandbox) as _;
    let providers = match &stripe {
        Some(stripe) => {
            PaymentProviders::new(Arc::clone(stripe) as _, vec![others], ProviderTimeouts::default())
        }
        None => PaymentProviders::new(others, Vec::new(), ProviderTimeouts::default()),
    };
    let payments = PaymentService::new(
        payment_tables,
        engine.clone(),
        Arc::clone(&catalogue),
        providers,
        public_url.clone(),
        (timing, payment_runtime),
    );
    if !settings.demo && stripe.is_none() {
        tracing::warn!(
            provider = payments.provider_name(),
            "payments go through the sandbox: orders are confirmed, and no money moves"
        );
    }
    let dropped = Counter::default();
    let (attempts, inbox) = attempts::buffer(dropped.clone());

    metrics.register("attempts_dropped", "Refused attempts that could be neither kept nor counted", dropped);
    metrics.with_registry(|registry| engine.metrics().register(registry));
    payments.metrics().register(metrics);
    let for_gauges = engine.clone();
    metrics.register_sale_gauges(move || {
        let now = for_gauges.now();
        for_gauges.views().list().iter().map(|view| sale_gauges(view, now)).collect()
    });

    let notices = stripe.map(|stripe| {
        stripe_metrics.register(metrics);
        let clocks = (Arc::clone(&now), Arc::clone(&wall_clock));
        NoticeService::new(store.clone(), clocks, secrets, stripe, Arc::clone(&payments), stripe_metrics)
    });
    let refresh_ttl_ms = i64::try_from(settings.refresh_ttl.as_millis()).unwrap_or(i64::MAX);
    let accounts = AccountService {
        now: Arc::clone(&now),
        store: store.clone(),
        tokens,
        passwords,
        refresh_ttl_ms,
        mails,
    };
    let events = EventPublisher::new(settings.event_addresses(public_url.as_ref()), Arc::clone(&catalogue));
    let guests = GuestBook::start(store.clone(), Arc::clone(&now));
    let webhooks = open_webhooks(settings);
    let sold_out = SoldOutMemory::start(store.clone(), tenancy);
    let jobs = PurchaseJobs::start(store.clone(), tenancy);
    metrics.register("jobs_running", "Purchase jobs that are being decided or written", jobs.running.clone());
    let purchases = PurchaseMetrics::default();
    purchases.register(metrics);
    let shop = Shop {
        now,
        wall_clock,
        engine,
        store,
        tenancy,
        catalogue,
        projected: FollowerProgress::default(),
        catch_up_timeouts: settings.catch_up_timeouts,
        lag: FollowerLag::new(projector.lag_events.clone(), projector.lag_seconds.clone()),
        attempts,
        payments,
        sandbox: Some(sandbox),
        notices,
        keys: Arc::default(),
        receipts,
        summaries: SummaryCache::default(),
        fresh_views: FreshViews::default(),
        line_readers: LineReaders::default(),
        changes: SaleChanges::default(),
        hold_calls: KeyedLocks::default(),
        accounts,
        mailboxes: MailboxClaims::default(),
        confirmed_buyers: ConfirmedBuyers::default(),
        guests,
        account_numbers: AccountNumbers::default(),
        sold_out,
        jobs,
        purchases,
        guest_limits: GuestLimits::new(settings.guests == OnOff::On),
        webhooks,
        public_url,
        events,
    };
    Ok((shop, inbox))
}

fn open_webhooks(settings: &Serve) -> WebhookService {
    let resolver = Arc::clone(&settings.webhooks.webhook_resolver.0);
    let client = WebhookClient::new(settings.webhooks.policy(), resolver, load_tls_config());
    WebhookService { client: Arc::new(client), wake: Arc::default() }
}

/// A data folder is locked. A database may have other processes, also without a Valkey: one whose ledger was taken over may still
/// be running.
fn choose_tenancy(settings: &Serve) -> Tenancy {
    if settings.database.is_some() { Tenancy::Cluster } else { Tenancy::Single }
}

fn sale_gauges(view: &SaleView, now: Timestamp) -> SaleGauges {
    let units = view.counters;
    let version = i64::try_from(view.seq.0).unwrap_or(i64::MAX);
    let gauges = [units.quantity, units.available, units.admitted, units.held, units.sold, view.waiting(now)]
        .map(i64::from);
    let [quantity, available, admitted, held, sold, waiting] = gauges;
    SaleGauges {
        sale: view.id.to_string(),
        values: [quantity, available, admitted, held, sold, waiting, version],
    }
}
