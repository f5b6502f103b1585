//! A merchant's hand on a Doorbuster, with sales to be measured: every reply a real one, every token signed with the instances' own key.

use super::instance::{EMAIL, Instance, PASSWORD};
use super::wrk::{Load, Wrk};
use anyhow::Context;
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::auth::Role;
use server::auth::tokens::{self, AccessTokens};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a running sale runs: longer than any benchmark.
const SALE_S: i64 = 86_400;

/// How often and how long a request is made again that cannot be served now: servers that have just started, on a busy machine.
const TRIES: u32 = 30;
const TRY_EVERY: Duration = Duration::from_secs(1);

/// A shop, seen by its admin through one of its instances.
pub struct Shop {
    /// That instance's address.
    pub url: String,
    /// The file of the key that signs tokens.
    key: PathBuf,
    client: reqwest::blocking::Client,
    admin: String,
    product: String,
}

impl Shop {
    /// Signs in at an instance that has made its admin itself and signs with this key, and makes a product.
    pub fn enter(instance: &Instance, key: &Path) -> anyhow::Result<Self> {
        let (url, key) = (instance.url.clone(), key.to_owned());
        let client = reqwest::blocking::Client::new();
        let mut shop = Self { url, key, client, admin: String::new(), product: String::new() };
        let login = shop.post("/api/v1/auth/login", &json!({"email": EMAIL, "password": PASSWORD}))?;
        shop.admin = text(&login, "accessToken")?;
        let price = json!({"amount": 4999, "currency": "EUR"});
        let product = shop.post(
            "/api/v1/admin/products",
            &json!({"name": "Lamp", "description": "A lamp.", "price": price}),
        )?;
        shop.product = text(&product, "id")?;
        Ok(shop)
    }

    /// Tokens of as many buyers, one a line, signed with the shop's own key.
    pub fn tokens(&self, folder: &Path, buyers: usize) -> anyhow::Result<PathBuf> {
        let key = tokens::read_key(&self.key)?;
        let tokens = AccessTokens::new(key, 86_400, 1);
        let now = sale::Timestamp(jiff::Timestamp::from_second(self.now_s()?)?.as_millisecond());
        let lines: Vec<String> = (0..buyers)
            .map(|_| {
                let id = uuid::Uuid::new_v4();
                tokens.issue(sale::BuyerId(id), Role::Buyer, id, now)
            })
            .collect();
        let path = folder.join("tokens");
        std::fs::write(&path, lines.join("\n"))?;
        Ok(path)
    }

    /// Lets the instance see every token once, as it has seen those of buyers who signed in and looked at the sale.
    pub fn warm(&self, wrk: &Wrk, tokens: &Path) -> anyhow::Result<()> {
        let path = "/api/v1/orders?limit=1".into();
        let load = Load {
            method: "GET",
            path,
            tokens: tokens.to_owned(),
            bodies: None,
            is_spread: false,
            header: None,
        };
        wrk.run(&self.url, 32, &load)?;
        Ok(())
    }

    /// A running sale where anyone may buy at once.
    pub fn open_sale(&self, quantity: u32) -> anyhow::Result<String> {
        self.sale(json!({"quantity": quantity, "limitPerBuyer": 1_000_000, "payment": "none"}), -1, SALE_S)
    }

    /// A running sale where units are held until they are paid.
    pub fn holding_sale(&self, quantity: u32) -> anyhow::Result<String> {
        let holding = json!({"quantity": quantity, "limitPerBuyer": 1_000_000, "holdSeconds": 3600});
        self.sale(holding, -1, SALE_S)
    }

    /// A running sale whose only unit is sold.
    pub fn sold_out_sale(&self) -> anyhow::Result<String> {
        let sale = self.sale(json!({"quantity": 1, "payment": "none"}), -1, SALE_S)?;
        self.order(&sale)?;
        Ok(sale)
    }

    /// Makes an endpoint of webhooks for one type of event.
    pub fn create_webhook(&self, url: &str, kind: &str) -> anyhow::Result<()> {
        self.post("/api/v1/admin/webhooks", &json!({"url": url, "types": [kind]}))?;
        Ok(())
    }

    /// The number of a sale's last event.
    pub fn version(&self, sale: &str) -> anyhow::Result<u64> {
        let reply = self.client.get(format!("{}/api/v1/flash-sales/{sale}", self.url)).send()?;
        let document: Value = reply.error_for_status()?.json()?;
        document["version"].as_u64().with_context(|| format!("no version in {document}"))
    }

    /// Buys one unit if it can be had now.
    pub fn is_served(&self, sale: &str) -> anyhow::Result<bool> {
        let order = json!({"flashSaleId": sale, "quantity": 1});
        let request = self.client.post(format!("{}/api/v1/orders", self.url)).json(&order);
        Ok(request.bearer_auth(&self.admin).send()?.status().is_success())
    }

    /// Buys one unit, and returns the order.
    pub fn order(&self, sale: &str) -> anyhow::Result<Value> {
        self.post("/api/v1/orders", &json!({"flashSaleId": sale, "quantity": 1}))
    }

    /// The document of a sale.
    pub fn show(&self, sale: &str) -> anyhow::Result<Value> {
        let reply = self.client.get(format!("{}/api/v1/flash-sales/{sale}", self.url)).send()?;
        Ok(reply.error_for_status()?.json()?)
    }

    /// A sale that starts in an hour, whose line is open.
    pub fn line(&self) -> anyhow::Result<String> {
        let admission =
            json!({"type": "fifo", "perSecond": 50, "checkoutSeconds": 60, "lineOpensSecondsBefore": 7200});
        self.sale(json!({"quantity": 1000, "admission": admission}), 3600, 7200)
    }

    /// A running sale with a line, from which so many buyers are admitted each second; units for all of them.
    pub fn moving_line(&self, per_second: u64) -> anyhow::Result<String> {
        let admission = json!({"type": "fifo", "perSecond": per_second, "checkoutSeconds": 60});
        self.sale(json!({"quantity": 10_000_000, "admission": admission}), -1, SALE_S)
    }

    /// A sale in which nothing happens yet.
    pub fn upcoming_sale(&self) -> anyhow::Result<String> {
        self.sale(json!({"quantity": 1000}), 3600, 7200)
    }

    pub fn etag(&self, path: &str) -> anyhow::Result<String> {
        let reply = self.client.get(format!("{}{path}", self.url)).send()?.error_for_status()?;
        Ok(reply.headers().get("etag").context("no ETag")?.to_str()?.to_owned())
    }

    fn sale(&self, mut body: Value, starts_s: i64, ends_s: i64) -> anyhow::Result<String> {
        let now = jiff::Timestamp::from_second(self.now_s()?)?;
        body["productId"] = json!(self.product);
        body["price"] = json!({"amount": 1999, "currency": "EUR"});
        body["startsAt"] = json!(now.checked_add(jiff::SignedDuration::from_secs(starts_s))?.to_string());
        body["endsAt"] = json!(now.checked_add(jiff::SignedDuration::from_secs(ends_s))?.to_string());
        text(&self.post("/api/v1/admin/flash-sales", &body)?, "id")
    }

    /// The time by the instance's `Date` header.
    fn now_s(&self) -> anyhow::Result<i64> {
        let reply = self.client.get(format!("{}/livez", self.url)).send()?;
        let date = reply.headers().get("date").context("no Date")?.to_str()?.to_owned();
        Ok(jiff::fmt::rfc2822::parse(&date)?.timestamp().as_second())
    }

    /// Retries while the reply is a 503, as a client is to.
    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let key = uuid::Uuid::new_v4().to_string();
        for _ in 0..TRIES {
            let request = self.client.post(format!("{}{path}", self.url)).json(body).bearer_auth(&self.admin);
            let reply = request.header("Idempotency-Key", &key).send()?;
            let status = reply.status();
            let response = reply.text()?;
            if status == StatusCode::SERVICE_UNAVAILABLE {
                std::thread::sleep(TRY_EVERY);
                continue;
            }
            anyhow::ensure!(status.is_success(), "{path}: {status} {response}");
            return Ok(serde_json::from_str(&response)?);
        }
        anyhow::bail!("{path}: not now, even after {TRIES} tries")
    }
}

fn text(value: &Value, name: &str) -> anyhow::Result<String> {
    Ok(value[name].as_str().with_context(|| format!("no {name} in {value}"))?.to_owned())
}
