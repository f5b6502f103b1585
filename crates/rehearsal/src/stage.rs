//! The merchant's side of a rehearsal: makes a sale of its own, watches it, reads its ledger and its rows, and closes it.
//! It never touches another sale, and never spends a unit of one.

mod api;

pub use api::StageError;

use crate::client::{Client, Target};
use crate::crowd::preset;
use crate::judge::{Observation, OrderRow, StatusSum, TableSums};
use crate::ledger;
use crate::told::Moment;
use crate::watch::Stopwatch;
use api::{Api, Page, document, moment, rfc3339};
use hyper::http::Method;
use sale::{Admission, BuyerId, Entry, OrderId, SaleId, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The name of every sale of a rehearsal begins so; an id follows.
pub const SLUG: &str = "rehearsal";
/// Items of a page: as many as the API gives.
const PAGE_LEN: u32 = 200;
/// The merchant needs few connections.
const CONNECTIONS: usize = 4;
/// A sale that starts within this time counts as one that real buyers wait for.
const SOON: Duration = Duration::from_secs(900);

/// Looks that find a new sale one after the other, before it counts as known: more than there are instances, mostly.
const LOOKS_IN_A_ROW: u32 = 12;
/// How long instances may take to hear of it.
const HEARD_WITHIN: Duration = Duration::from_secs(15);
const HEARD_LOOK_EVERY: Duration = Duration::from_millis(100);

/// What an admin signs in with.
#[derive(Clone)]
pub struct AdminLogin {
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
}

/// An instance, as the merchant works with it.
pub struct Stage {
    api: Api,
}

/// A sale of the rehearsal.
#[derive(Clone, Copy, Debug)]
pub struct OwnSale {
    /// Its id.
    pub id: SaleId,
    /// When it starts, by the stopwatch.
    pub start: Moment,
}

/// A sale of somebody else that runs or is about to.
#[derive(Clone, Debug)]
pub struct LiveSale {
    /// Its name in addresses.
    pub slug: String,
    /// What it does, such as `active`.
    pub status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SaleDocument {
    id: SaleId,
    slug: String,
    status: String,
    starts_at: String,
    server_time: String,
    version: u64,
    quantity: u32,
    available: u32,
    #[serde(default)]
    admitted: u32,
    held: u32,
    sold: u32,
    waiting: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OverviewDocument {
    sale: SaleDocument,
    orders: Vec<StatusDocument>,
    projected_version: u64,
    projection_lag: u64,
}

#[derive(Deserialize)]
struct StatusDocument {
    status: String,
    orders: u64,
    units: u64,
}

#[derive(Deserialize)]
struct OrderDocument {
    id: OrderId,
    buyer: BuyerDocument,
    quantity: u32,
    status: String,
}

#[derive(Deserialize)]
struct BuyerDocument {
    id: BuyerId,
}

/// How a sale stands, as the admin was told.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Where the units are.
    pub observation: Observation,
    /// The instance's time.
    pub server_time: Timestamp,
    /// What the tables show.
    pub tables: TableSums,
    /// Events that the tables are behind.
    pub lag: u64,
}

impl Stage {
    /// Signs in.
    ///
    /// # Errors
    /// When the instance cannot be reached, is no Doorbuster, or does not let this admin in.
    pub async fn enter(target: Target, admin: &AdminLogin) -> Result<Self, StageError> {
        let mut api = Api::new(Client::new(target, CONNECTIONS));
        api.sign_in(&admin.email, &admin.password).await?;
        Ok(Self { api })
    }

    /// Sales of others that run now, start within a quarter of an hour, or have somebody in their line already.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn live_sales(&self) -> Result<Vec<LiveSale>, StageError> {
        let mut live = Vec::new();
        for status in ["active", "paused", "upcoming"] {
            let path = format!("/api/v1/flash-sales?status={status}");
            for sale in self.all::<SaleDocument>(&path).await? {
                let starts_at = moment(&sale.starts_at)?;
                let soon = moment(&sale.server_time)?.plus_ms(ms(SOON));
                let is_awaited = starts_at <= soon || sale.waiting > 0;
                if !is_of_a_rehearsal(&sale.slug) && is_awaited {
                    live.push(LiveSale { slug: sale.slug, status: sale.status });
                }
            }
        }
        Ok(live)
    }

    /// What a sale of the instance promises, to rehearse with the same.
    ///
    /// # Errors
    /// When there is no such sale.
    pub async fn sale_like(&self, slug: &str) -> Result<preset::Sale, StageError> {
        api::sale_like(&self.api, slug).await
    }

    /// Makes a product and a sale of it that starts `lead` from now and lasts for `length`.
    ///
    /// # Errors
    /// When the instance does not make them.
    pub async fn announce(
        &self,
        sale: &preset::Sale,
        watch: &Stopwatch,
        lead: Duration,
        length: Duration,
    ) -> Result<OwnSale, StageError> {
        let product = json!({
            "name": "Rehearsal",
            "description": "A rehearsal by simulated buyers. Nothing is sold here.",
            "price": {"amount": 4999, "currency": "EUR"},
            "category": "rehearsal",
        });
        let product: Value = self.api.call(Method::POST, "/api/v1/admin/products", Some(&product)).await?;
        // The instance's clock is not ours: its time is taken from the reply, and the start is set by it.
        let far = Timestamp(crate::watch::wall_clock().as_millisecond()).plus_s(86_400);
        let body = json!({
            "productId": product["id"],
            "slug": format!("{SLUG}-{}", uuid::Uuid::new_v4().simple()),
            "price": {"amount": 2999, "currency": "EUR"},
            "quantity": sale.quantity,
            "startsAt": rfc3339(far),
            "endsAt": rfc3339(far.plus_ms(ms(length))),
            "limitPerBuyer": sale.limit_per_buyer,
            "holdSeconds": sale.hold_s,
            "admission": admission(sale.admission),
        });
        let id = self.make(&body).await?;
        self.until_known(id, watch).await?;
        let asked = watch.now();
        let look = self.look(id, watch).await?;
        let heard = watch.now();
        let start = Moment(asked.0.midpoint(heard.0)).plus(lead);
        let starts_at = look.server_time.plus_ms(ms(lead));
        let times = json!({"startsAt": rfc3339(starts_at), "endsAt": rfc3339(starts_at.plus_ms(ms(length)))});
        let path = format!("/api/v1/admin/flash-sales/{id}");
        let _edited: SaleDocument = self.api.call(Method::PATCH, &path, Some(&times)).await?;
        Ok(OwnSale { id, start })
    }

    /// Makes a sale. When the reply was lost, asking again finds the slug taken: by this very sale.
    async fn make(&self, body: &Value) -> Result<SaleId, StageError> {
        let made = self.api.call::<SaleDocument>(Method::POST, "/api/v1/admin/flash-sales", Some(body)).await;
        match made {
            Err(StageError::Refused { code, .. }) if code == "slug_taken" => {
                let path = format!("/api/v1/flash-sales/{}", body["slug"].as_str().unwrap_or_default());
                let found: SaleDocument = self.api.call(Method::GET, &path, None).await?;
                Ok(found.id)
            }
            made => Ok(made?.id),
        }
    }

    /// Behind one address there may be several instances, which hear of a new sale one after the other: a balancer that gives
    /// each request to the next one has asked all of them when so many in a row know it.
    async fn until_known(&self, sale: SaleId, watch: &Stopwatch) -> Result<(), StageError> {
        let deadline = watch.now().plus(HEARD_WITHIN);
        let mut in_a_row = 0;
        while in_a_row < LOOKS_IN_A_ROW {
            match self.look(sale, watch).await {
                Ok(_) => in_a_row += 1,
                Err(StageError::Refused { status: 404, .. }) if watch.now() < deadline => {
                    in_a_row = 0;
                    tokio::time::sleep(HEARD_LOOK_EVERY).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How the sale stands now.
    ///
    /// # Errors
    /// When the instance does not say.
    pub async fn look(&self, sale: SaleId, watch: &Stopwatch) -> Result<Overview, StageError> {
        let path = format!("/api/v1/admin/flash-sales/{sale}/overview");
        let overview: OverviewDocument = self.api.call(Method::GET, &path, None).await?;
        let heard = watch.now();
        let sale = overview.sale;
        let observation = Observation {
            at_ms: heard.0 / 1000,
            version: sale.version,
            quantity: sale.quantity,
            available: sale.available,
            admitted: sale.admitted,
            held: sale.held,
            sold: sale.sold,
            waiting: sale.waiting,
        };
        let statuses = overview.orders.into_iter();
        let statuses = statuses
            .map(|sum| StatusSum { status: sum.status, orders: sum.orders, units: sum.units })
            .collect();
        Ok(Overview {
            observation,
            server_time: moment(&sale.server_time)?,
            tables: TableSums { version: overview.projected_version, statuses },
            lag: overview.projection_lag,
        })
    }

    /// Ends the sale: who holds or was admitted keeps that, nobody else gets anything. Gives the version from which on it is closed.
    ///
    /// # Errors
    /// When the instance does not do it.
    pub async fn close(&self, sale: SaleId) -> Result<u64, StageError> {
        let path = format!("/api/v1/admin/flash-sales/{sale}/close");
        let closed: SaleDocument = self.api.call(Method::POST, &path, None).await?;
        Ok(closed.version)
    }

    /// All orders of the sale, as the tables show them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn orders(&self, sale: SaleId) -> Result<Vec<OrderRow>, StageError> {
        let path = format!("/api/v1/admin/flash-sales/{sale}/orders");
        let orders = self.all::<OrderDocument>(&path).await?.into_iter();
        let row = |order: OrderDocument| OrderRow {
            order: order.id,
            buyer: order.buyer.id,
            units: order.quantity,
            status: order.status,
        };
        Ok(orders.map(row).collect())
    }

    /// Reads the sale's ledger from its first event to its last.
    ///
    /// # Errors
    /// When it cannot be read, or an event in it cannot be understood.
    pub async fn read_ledger(&self, sale: SaleId, mut each: impl FnMut(&Entry)) -> Result<(), StageError> {
        let path = format!("/api/v1/admin/flash-sales/{sale}/events");
        let mut cursor = None;
        loop {
            let page: Page<Value> = self.page(&path, cursor.as_deref()).await?;
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
    pub async fn register(&self, name: &str, address: u32) -> Result<Option<(BuyerId, String)>, StageError> {
        api::register(&self.api, name, address).await
    }

    async fn all<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<Vec<T>, StageError> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page: Page<T> = self.page(path, cursor.as_deref()).await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn page<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        cursor: Option<&str>,
    ) -> Result<Page<T>, StageError> {
        let sign = if path.contains('?') { '&' } else { '?' };
        let mut path = format!("{path}{sign}limit={PAGE_LEN}");
        if let Some(cursor) = cursor {
            path.push_str("&cursor=");
            path.push_str(cursor);
        }
        document(&self.api.get(&path).await?, &path)
    }
}

/// Whether a sale's name is one that [`Stage::announce`] gives: a real sale may begin with the same word.
fn is_of_a_rehearsal(slug: &str) -> bool {
    let id = slug.strip_prefix(SLUG).and_then(|rest| rest.strip_prefix('-'));
    id.is_some_and(|id| uuid::Uuid::try_parse(id).is_ok())
}

fn admission(admission: Admission) -> Value {
    match admission {
        Admission::Open => json!({"type": "open"}),
        Admission::Fifo { per_second, checkout_s, line_opens_s, extension_s } => {
            let mut line = json!({
                "type": "fifo",
                "perSecond": per_second,
                "checkoutSeconds": checkout_s,
                "lineOpensSecondsBefore": line_opens_s,
            });
            // An older instance takes a field that it does not know for a mistake.
            if extension_s > 0 {
                line["extensionSeconds"] = extension_s.into();
            }
            line
        }
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
