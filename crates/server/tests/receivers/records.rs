//! What a shop has recorded of a sale, and so what receivers must get: its ledger, and the payments' outbox.

use reqwest::StatusCode;
use serde_json::Value;
use sqlx::{AnyPool, AssertSqlSafe, Row as _};
use std::collections::{HashMap, HashSet};
use test_servers::wait::{HANG_LIMIT, eventually_some};

/// Where a shop is read.
pub struct ShopAccess {
    /// Of its API.
    pub url: String,
    /// An access token of an admin.
    pub admin: String,
    /// Of its tables.
    pub database: String,
}

/// The records of one sale.
pub struct SaleRecords {
    pub sale: String,
    /// Its ledger as admins read it, in order.
    pub ledger: Vec<Value>,
    /// The steps of its payments, in order for each payment.
    pub payments: Vec<PaymentRecord>,
    /// The addresses of its buyers who have accounts, by their ids.
    pub emails: HashMap<String, String>,
}

/// A step of a payment in the outbox.
pub struct PaymentRecord {
    /// That of its event.
    pub id: String,
    pub payment: String,
    pub state: String,
    pub order: String,
    pub buyer: String,
    pub amount_minor: i64,
}

impl ShopAccess {
    /// The rows of a query on the tables, as text.
    pub async fn query(&self, statement: String) -> Vec<Vec<String>> {
        sqlx::any::install_default_drivers();
        let pool = AnyPool::connect(&self.database).await.unwrap();
        let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(&pool).await.unwrap();
        let texts =
            rows.iter().map(|row| (0..row.len()).map(|column| row.get::<String, _>(column)).collect());
        let texts = texts.collect();
        pool.close().await;
        texts
    }
}

impl SaleRecords {
    pub async fn read(shop: &ShopAccess, sale: &str) -> Self {
        let (mut ledger, mut emails, mut cursor) = (Vec::new(), HashMap::new(), String::new());
        let client = reqwest::Client::new();
        loop {
            let path = format!("/api/v1/admin/flash-sales/{sale}/events?limit=200{cursor}");
            // A busy shop may ask to come again.
            let reply = eventually_some("the ledger is read", HANG_LIMIT, async || {
                let request = client.get(format!("{}{path}", shop.url)).bearer_auth(&shop.admin);
                let reply = request.send().await.unwrap();
                (reply.status() != StatusCode::SERVICE_UNAVAILABLE).then_some(reply)
            })
            .await;
            let page: Value = reply.error_for_status().unwrap().json().await.unwrap();
            for buyer in page["people"].as_array().unwrap() {
                if let (Some(email), true) = (buyer["email"].as_str(), buyer["username"].is_string()) {
                    emails.insert(text(buyer, "id"), email.to_owned());
                }
            }
            ledger.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let statement = format!(
            "SELECT payment_id, state, part, order_id, buyer_id, CAST(amount_minor AS TEXT) FROM payment_events \
             WHERE sale_id = '{sale}' ORDER BY payment_id, step"
        );
        let payments = shop.query(statement).await.into_iter().map(PaymentRecord::from_row).collect();
        Self { sale: sale.to_owned(), ledger, payments, emails }
    }

    /// The ids of the ledger's events, in order.
    pub fn ledger_ids(&self) -> Vec<String> {
        self.ledger.iter().map(|event| text(event, "id")).collect()
    }

    /// The ids of all that must be published.
    pub fn due_ids(&self) -> HashSet<String> {
        let payments = self.payments.iter().map(|step| step.id.clone());
        self.ledger_ids().into_iter().chain(payments).collect()
    }

    /// The ids of all that may be published: also what follows from an event of the ledger, or from the clock.
    pub fn possible_ids(&self) -> HashSet<String> {
        let mut ids = self.due_ids();
        for event in &self.ledger {
            ids.insert(format!("{}/sold-out", text(event, "id")));
            if event["kind"] == "configured" {
                ids.insert(format!("{}/started/{}", self.sale, text(event, "startsAt")));
                ids.insert(format!("{}/ended/{}", self.sale, text(event, "endsAt")));
            }
        }
        ids
    }
}

impl PaymentRecord {
    fn from_row(row: Vec<String>) -> Self {
        let [payment, state, part, order, buyer, amount] = row.try_into().unwrap();
        let part = if part.is_empty() { part } else { format!("/{part}") };
        let id = format!("payments/{payment}/{state}{part}");
        Self { id, payment, state, order, buyer, amount_minor: amount.parse().unwrap() }
    }
}

pub(super) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}
