//! `doorbuster reconcile`: compares what the payment provider captured in a time with the confirmed orders of the ledger, and prints what
//! differs. It changes nothing, here or there, so it may run beside a running instance, and after a restore. Ledger, tables and provider are read
//! one after the other; what a running instance does between them differs once, and is not a difference.

mod differences;

use super::database::DatabaseUrl;
use super::settings::{PaymentArguments, ProviderName, StripeSettings};
use super::stripe::open_stripe;
use super::verify::{self, LedgerOrders};
use super::{CommandError, print_line, runtime};
use crate::clock::TimeSource;
use crate::http::timestamp::{BAD_TIMESTAMP, parse_rfc3339};
use crate::payments::sandbox::{SLOW_DELAY, SandboxProvider};
use crate::payments::stripe::client::ClientTimeouts;
use crate::payments::{CapturedAtProvider, PaymentProvider};
use crate::shop::grouped_store::GroupedStore;
use crate::shop::payments::charge_table::ChargeTable;
use crate::store::Store;
use crate::store::payments::{ReconciledPayment, list_begun, list_sales};
use crate::telemetry::stripe::StripeMetrics;
use anyhow::Context;
use differences::{BooksDifference, ReconcileInput, find_differences};
use sale::{SaleId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use uuid::Uuid;

/// The provider's books are read from so long before the time to so long behind it, in milliseconds: a payment is begun with the provider
/// some time after its row, and confirmed some time after that.
const MARGIN_MS: i64 = 25 * 3_600 * 1_000;

/// Nobody waits for a reply of a list as a buyer does.
const LIST_TIMEOUTS: ClientTimeouts = ClientTimeouts { attempt: Duration::from_secs(30) };

/// What to compare.
#[derive(Debug, clap::Args)]
pub struct ReconcileArgs {
    /// Beginning of the time, such as 2026-11-27 or 2026-11-27T09:00:00Z. A payment belongs to the time at which it was begun.
    #[arg(long, env = "DOORBUSTER_FROM", value_parser = parse_moment, value_name = "TIME")]
    from: Timestamp,
    /// End of the time, which does not belong to it.
    #[arg(long, env = "DOORBUSTER_TO", value_parser = parse_moment, value_name = "TIME")]
    to: Timestamp,
    /// The data folder of a running or stopped instance.
    #[arg(long, env = "DOORBUSTER_DATA", default_value = "./data", value_name = "FOLDER")]
    data: PathBuf,
    /// PostgreSQL of a running or stopped instance, instead of the folder.
    #[arg(long, env = "DOORBUSTER_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<DatabaseUrl>,
    #[command(flatten)]
    payments: PaymentArguments,
}

/// What the shop has.
struct ShopBooks {
    payments: BTreeMap<Uuid, ReconciledPayment>,
    sales: BTreeSet<SaleId>,
    orders: LedgerOrders,
}

/// Prints what differs.
///
/// # Errors
/// Usage when a setting is wrong; a failed check when something differs; failure when the books cannot be read.
pub fn run(settings: &ReconcileArgs, now: &TimeSource) -> Result<(), CommandError> {
    if settings.from >= settings.to {
        return Err(CommandError::Usage("--to: it must be after --from".into()));
    }
    let stripe = settings.payments.stripe_access(|name| std::env::var(name).ok())?;
    let runtime = runtime()?;
    let (mut differences, mut compared) = compare_books(settings, stripe.clone(), now, &runtime)?;
    if !differences.is_empty() {
        let (again, compared_again) = compare_books(settings, stripe, now, &runtime)?;
        differences.retain(|difference| again.contains(difference));
        compared = compared_again;
    }
    for difference in &differences {
        print_line(&difference.to_string());
    }
    print_line(&format!("{compared} captured payments compared, {} differences", differences.len()));
    if differences.is_empty() { Ok(()) } else { Err(CommandError::CheckFailed) }
}

/// What differs now, and how many captured payments were compared.
fn compare_books(
    settings: &ReconcileArgs,
    stripe: Option<StripeSettings>,
    now: &TimeSource,
    runtime: &Runtime,
) -> Result<(Vec<BooksDifference>, usize), CommandError> {
    let provider_name = match settings.payments.payments {
        ProviderName::Sandbox => "sandbox",
        ProviderName::Stripe => "stripe",
    };
    let window = (settings.from.plus_ms(-MARGIN_MS), settings.to.plus_ms(MARGIN_MS));
    let orders = match &settings.database {
        Some(database) => runtime.block_on(verify::read_database_orders(database))?,
        None => verify::read_folder_orders(&settings.data)?,
    };
    let (captured, books) = runtime.block_on(async {
        let store = open_tables(settings).await?;
        let payments = list_begun(&store, provider_name, window).await.map_err(anyhow::Error::from)?;
        let sales = list_sales(&store, provider_name).await.map_err(anyhow::Error::from)?;
        let captured = list_captured(stripe, &store, now, window).await?;
        store.close().await;
        Ok::<_, CommandError>((captured, ShopBooks { payments, sales, orders }))
    })?;
    let input = ReconcileInput {
        from: settings.from,
        to: settings.to,
        captured: &captured,
        payments: &books.payments,
        sales: &books.sales,
        orders: &books.orders,
    };
    let in_time = captured.iter().filter(|captured| input.is_in_time(captured.captured_at)).count();
    Ok((find_differences(&input), in_time))
}

async fn open_tables(settings: &ReconcileArgs) -> Result<Store, CommandError> {
    let store = match &settings.database {
        Some(database) => database.open_tables_without_timeout().await?,
        None => Store::open_read_only(&settings.data, false).await.map_err(anyhow::Error::from)?,
    };
    if !store.is_current().await.map_err(anyhow::Error::from)? {
        let sentence = "the tables are not those of this version; run `doorbuster migrate` first";
        return Err(CommandError::Usage(sentence.into()));
    }
    Ok(store)
}

async fn list_captured(
    stripe: Option<StripeSettings>,
    store: &Store,
    now: &TimeSource,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<CapturedAtProvider>, CommandError> {
    let provider: Arc<dyn PaymentProvider> = match stripe {
        Some(stripe) => open_stripe(stripe, Arc::clone(now), StripeMetrics::default(), LIST_TIMEOUTS),
        None => {
            let tables = GroupedStore::start(store.clone(), "payments", &Handle::current());
            let charges = ChargeTable { tables, now: Arc::clone(now) };
            Arc::new(SandboxProvider::new(Arc::new(charges), SLOW_DELAY))
        }
    };
    let listed = provider.list_captured(from, to).await;
    Ok(listed.context("the payments of the provider cannot be listed; the log may say why")?)
}

/// A date, which is its first moment in UTC, or a date with a time.
fn parse_moment(text: &str) -> Result<Timestamp, &'static str> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    parse_rfc3339(&whole).ok_or(BAD_TIMESTAMP)
}
