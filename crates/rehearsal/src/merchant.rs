//! The merchant's side of a rehearsal: makes a sale of its own, watches it, reads its ledger and its rows, and closes it.
//! It never touches another sale, and never spends a unit of one.

mod api;

pub use api::MerchantError;

use crate::client::{InstanceClient, Target};
use crate::clock::RunClock;
use crate::crowd::preset;
use crate::judge::{ShownStatusTotal, ShownTableTotals, StockSample, TableOrder};
use crate::ledger;
use crate::observations::RunInstant;
use api::{AdminApi, ListPage, parse_document};
use documents::{
    AdminOrderDocument, AdminSaleDocument, AdmissionDocument, OverviewDocument, SaleDocument, rfc3339,
};
use hyper::http::Method;
use sale::{BuyerId, LedgerEntry, SaleId, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The name of every sale of a rehearsal begins so; an id follows.
pub const SLUG_PREFIX: &str = "rehearsal";
/// Items of a page: as many as the API gives.
const PAGE_LEN: u32 = 200;
/// The merchant needs few connections.
const CONNECTIONS: usize = 4;
/// A sale that starts within this time counts as one that real buyers wait for.
const LIVE_WITHIN: Duration = Duration::from_secs(900);

/// Successful reads of a new sale in a row, before it counts as known: mostly more than there are instances.
const CONSECUTIVE_READS: u32 = 12;
/// How long instances may take to learn of it.
const PROPAGATION_TIMEOUT: Duration = Duration::from_secs(15);
const PROPAGATION_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What an admin signs in with.
#[derive(Clone)]
pub struct AdminLogin {
    pub email: String,
    pub password: String,
}

/// An instance, as the merchant works with it.
pub struct MerchantClient {
    api: AdminApi,
}

/// Something that was made, as far as it is read.
#[derive(Deserialize)]
struct CreatedDocument {
    id: uuid::Uuid,
}

/// A sale of the rehearsal.
#[derive(Clone, Copy, Debug)]
pub struct OwnSale {
    pub id: SaleId,
    /// When it starts, by the stopwatch.
    pub start: RunInstant,
    /// When it starts, by the instance's clock.
    pub starts_at: Timestamp,
}

/// Another merchant's sale that runs or is about to.
#[derive(Clone, Debug)]
pub struct LiveSale {
    /// Its name in addresses.
    pub slug: String,
    /// What it does, such as `active`.
    pub status: &'static str,
}

/// The admin's overview of a sale.
#[derive(Clone, Debug)]
pub struct AdminOverview {
    /// Where the units are.
    pub stock: StockSample,
    pub server_time: Timestamp,
    /// What the tables show.
    pub tables: ShownTableTotals,
    /// Events that the tables are behind.
    pub lag: u64,
}

impl MerchantClient {
    /// Signs in.
    ///
    /// # Errors
    /// When the instance cannot be reached, is no Doorbuster, or does not let this admin in.
    pub async fn sign_in(target: Target, admin: &AdminLogin) -> Result<Self, MerchantError> {
        let mut api = AdminApi::new(InstanceClient::new(target, CONNECTIONS));
        api.sign_in(&admin.email, &admin.password).await?;
        Ok(Self { api })
    }

    /// Other sales that run now, start within a quarter of an hour, or have a buyer in their line already.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list_live_sales(&self) -> Result<Vec<LiveSale>, MerchantError> {
        let mut live = Vec::new();
        for status in ["active", "paused", "upcoming"] {
            let path = format!("/api/v1/flash-sales?status={status}");
            for sale in self.read_all_pages::<SaleDocument>(&path).await? {
                let soon = sale.server_time.plus_ms(to_millis(LIVE_WITHIN));
                let is_awaited = sale.starts_at <= soon || sale.waiting > 0;
                if !is_rehearsal_slug(&sale.slug) && is_awaited {
                    live.push(LiveSale { slug: sale.slug, status });
                }
            }
        }
        Ok(live)
    }

    /// What a sale of the instance promises, to rehearse with the same.
    ///
    /// # Errors
    /// When there is no such sale.
    pub async fn load_sale_plan(&self, slug: &str) -> Result<preset::SalePlan, MerchantError> {
        api::load_sale_plan(&self.api, slug).await
    }

    /// Makes an endpoint of webhooks that gets every event. Returns its id.
    ///
    /// # Errors
    /// When the instance does not make it.
    pub async fn create_webhook(&self, url: &str) -> Result<uuid::Uuid, MerchantError> {
        let body = json!({"url": url, "types": ["*"], "description": "A rehearsal"});
        let made: CreatedDocument =
            self.api.call(Method::POST, "/api/v1/admin/webhooks", Some(&body)).await?;
        Ok(made.id)
    }

    /// Deletes an endpoint of webhooks, with what waits for it.
    ///
    /// # Errors
    /// When the instance does not delete it.
    pub async fn delete_webhook(&self, id: uuid::Uuid) -> Result<(), MerchantError> {
        self.api.delete(&format!("/api/v1/admin/webhooks/{id}")).await
    }

    /// Makes a product and a sale of it that starts `lead` from now and lasts for `length`.
    ///
    /// # Errors
    /// When the instance does not make them.
    pub async fn create_sale(
        &self,
        sale: &preset::SalePlan,
        watch: &RunClock,
        lead: Duration,
        length: Duration,
    ) -> Result<OwnSale, MerchantError> {
        let product = json!({
            "name": "Rehearsal",
            "description": "A rehearsal by simulated buyers. Nothing is sold here.",
            "price": {"amount": 4999, "currency": "EUR"},
            "category": "rehearsal",
        });
        let product: Value = self.api.call(Method::POST, "/api/v1/admin/products", Some(&product)).await?;
        // The instance's clock is not ours: its time is taken from the reply, and the start is set by it.
        let far = Timestamp(crate::clock::wall_clock().as_millisecond()).plus_s(86_400);
        let body = json!({
            "productId": product["id"],
            "slug": format!("{SLUG_PREFIX}-{}", uuid::Uuid::new_v4().simple()),
            "price": {"amount": 2999, "currency": "EUR"},
            "quantity": sale.quantity,
            "startsAt": rfc3339(far),
            "endsAt": rfc3339(far.plus_ms(to_millis(length))),
            "limitPerBuyer": sale.limit_per_buyer,
            "holdSeconds": sale.hold_s,
            "admission": AdmissionDocument::from(sale.admission),
        });
        let id = self.post_sale(&body).await?;
        self.wait_until_known(id, watch).await?;
        let sent_at = watch.now();
        let overview = self.load_overview(id, watch).await?;
        let received_at = watch.now();
        let start = RunInstant(sent_at.0.midpoint(received_at.0)).plus(lead);
        let starts_at = overview.server_time.plus_ms(to_millis(lead));
        let ends_at = starts_at.plus_ms(to_millis(length));
        let times = json!({"startsAt": rfc3339(starts_at), "endsAt": rfc3339(ends_at)});
        let path = format!("/api/v1/admin/flash-sales/{id}");
        let _edited: AdminSaleDocument = self.api.call(Method::PATCH, &path, Some(&times)).await?;
        Ok(OwnSale { id, start, starts_at })
    }

    /// Makes a sale. When the reply was lost, asking again finds the slug taken: by this very sale.
    async fn post_sale(&self, body: &Value) -> Result<SaleId, MerchantError> {
        let made =
            self.api.call::<AdminSaleDocument>(Method::POST, "/api/v1/admin/flash-sales", Some(body)).await;
        match made {
            Err(MerchantError::Refused { code, .. }) if code == "slug_taken" => {
                let path = format!("/api/v1/flash-sales/{}", body["slug"].as_str().unwrap_or_default());
                let found: SaleDocument = self.api.call(Method::GET, &path, None).await?;
                Ok(found.id)
            }
            made => Ok(made?.sale.id),
        }
    }

    /// Waits until all instances behind the address know a new sale: a round-robin balancer has reached each of them after
    /// [`CONSECUTIVE_READS`] successful reads in a row.
    async fn wait_until_known(&self, sale: SaleId, watch: &RunClock) -> Result<(), MerchantError> {
        let deadline = watch.now().plus(PROPAGATION_TIMEOUT);
        let mut in_a_row = 0;
        while in_a_row < CONSECUTIVE_READS {
            match self.load_overview(sale, watch).await {
                Ok(_) => in_a_row += 1,
                Err(MerchantError::Refused { status: 404, .. }) if watch.now() < deadline => {
                    in_a_row = 0;
                    tokio::time::sleep(PROPAGATION_POLL_INTERVAL).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads the sale's overview.
    ///
    /// # Errors
    /// When the instance does not reply with it.
    pub async fn load_overview(
        &self,
        sale: SaleId,
        watch: &RunClock,
    ) -> Result<AdminOverview, MerchantError> {
        let path = format!("/api/v1/admin/flash-sales/{sale}/overview");
        let overview: OverviewDocument = self.api.call(Method::GET, &path, None).await?;
        let received_at = watch.now();
        let AdminSaleDocument { sale, admitted, .. } = overview.sale;
        let stock = StockSample {
            at_ms: received_at.0 / 1000,
            version: sale.version,
            quantity: sale.quantity,
            available: sale.available,
            admitted,
            held: sale.held,
            sold: sale.sold,
            waiting: sale.waiting,
        };
        let statuses = overview.orders.into_iter();
        let statuses = statuses
            .map(|total| ShownStatusTotal { status: total.status, orders: total.orders, units: total.units })
            .collect();
        Ok(AdminOverview {
            stock,
            server_time: sale.server_time,
            tables: ShownTableTotals { version: overview.projected_version, statuses },
            lag: overview.projection_lag,
        })
    }

    /// Closes the sale: holds and admissions stay, no other buyer gets a unit. Returns the version that closed it.
    ///
    /// # Errors
    /// When the instance refuses or does not answer.
    pub async fn close_sale(&self, sale: SaleId) -> Result<u64, MerchantError> {
        let path = format!("/api/v1/admin/flash-sales/{sale}/close");
        let closed: AdminSaleDocument = self.api.call(Method::POST, &path, None).await?;
        Ok(closed.sale.version)
    }

    /// All orders of the sale, as the tables show them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list_orders(&self, sale: SaleId) -> Result<Vec<TableOrder>, MerchantError> {
        let path = format!("/api/v1/admin/flash-sales/{sale}/orders");
        let orders = self.read_all_pages::<AdminOrderDocument>(&path).await?.into_iter();
        let row = |order: AdminOrderDocument| TableOrder {
            order: order.id,
            buyer: order.buyer.id,
            units: order.quantity,
            status: order.status.as_str().to_owned(),
        };
        Ok(orders.map(row).collect())
    }

    /// Reads the sale's ledger from its first event to its last.
    ///
    /// # Errors
    /// When it cannot be read, or an event in it cannot be understood.
    pub async fn read_ledger(
        &self,
        sale: SaleId,
        mut each: impl FnMut(&LedgerEntry),
    ) -> Result<(), MerchantError> {
        let path = format!("/api/v1/admin/flash-sales/{sale}/events");
        let mut cursor = None;
        loop {
            let page: ListPage<Value> = self.read_page(&path, cursor.as_deref()).await?;
            for item in page.items {
                each(&ledger::parse(&item)?);
            }
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Makes an account for a simulated buyer; the token to act with. `Ok(None)` when the instance allows no more now.
    ///
    /// # Errors
    /// When it does not work.
    pub async fn register_buyer(
        &self,
        name: &str,
        address: u32,
    ) -> Result<Option<(BuyerId, String)>, MerchantError> {
        api::register_buyer(&self.api, name, address).await
    }

    async fn read_all_pages<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
    ) -> Result<Vec<T>, MerchantError> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page: ListPage<T> = self.read_page(path, cursor.as_deref()).await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn read_page<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        cursor: Option<&str>,
    ) -> Result<ListPage<T>, MerchantError> {
        let sign = if path.contains('?') { '&' } else { '?' };
        let mut path = format!("{path}{sign}limit={PAGE_LEN}");
        if let Some(cursor) = cursor {
            path.push_str("&cursor=");
            path.push_str(cursor);
        }
        parse_document(&self.api.get(&path).await?, &path)
    }
}

/// Whether [`MerchantClient::create_sale`] made this slug: a real sale's slug may begin with the same word.
fn is_rehearsal_slug(slug: &str) -> bool {
    let id = slug.strip_prefix(SLUG_PREFIX).and_then(|rest| rest.strip_prefix('-'));
    id.is_some_and(|id| uuid::Uuid::try_parse(id).is_ok())
}

fn to_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
