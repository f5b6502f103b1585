//! A Doorbuster in a folder of its own, with sales to be measured. Release binary, durable ledger, limits on (but wide:
//! the generator is one address and few buyers), every reply a real one.

use super::wrk::{Load, Wrk, wait_for};
use anyhow::Context;
use serde_json::{Value, json};
use server::auth::Role;
use server::auth::tokens::{self, Tokens};
use server::commands::instance::TOKEN_KEY_FILE;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const EMAIL: &str = "bench@example.com";
const PASSWORD: &str = "only for this run";

/// A running instance; ends with the value.
pub struct Doorbuster {
    pub url: String,
    pub child: Child,
    client: reqwest::blocking::Client,
    admin: String,
    product: String,
    data: PathBuf,
}

impl Drop for Doorbuster {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Doorbuster {
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(folder, &[])
    }

    /// One that is started with further flags.
    pub fn start_with(folder: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let data = folder.join("data");
        let port = own_servers::free_port();
        let child = Command::new(env!("CARGO_BIN_EXE_doorbuster"))
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--metrics-listen", "127.0.0.1:0"])
            .args(["--limit-buy", "1000000000/15m", "--limit-read", "1000000000/1m", "--data"])
            .arg(&data)
            .args(flags)
            .env("DOORBUSTER_ADMIN_EMAIL", EMAIL)
            .env("DOORBUSTER_ADMIN_PASSWORD", PASSWORD)
            .stdout(Stdio::null())
            .spawn()
            .context("the doorbuster binary cannot be started")?;
        wait_for(port)?;
        let client = reqwest::blocking::Client::new();
        let url = format!("http://127.0.0.1:{port}");
        let mut shop = Self { url, child, client, admin: String::new(), product: String::new(), data };
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

    /// Tokens of as many buyers, one a line, signed with the instance's own key.
    pub fn tokens(&self, folder: &Path, buyers: usize) -> anyhow::Result<PathBuf> {
        let key = tokens::read_key(&self.data.join(TOKEN_KEY_FILE))?;
        let tokens = Tokens::new(key, 86_400, 1);
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
        let load = Load { method: "GET", path, tokens: tokens.to_owned(), bodies: None, header: None };
        wrk.run(&self.url, 32, &load)?;
        Ok(())
    }

    /// A running sale where anyone may buy at once.
    pub fn open_sale(&self, quantity: u32) -> anyhow::Result<String> {
        self.sale(json!({"quantity": quantity, "limitPerBuyer": 1_000_000, "payment": "none"}), -1, 3600)
    }

    /// A running sale whose only unit is sold.
    pub fn sold_out_sale(&self) -> anyhow::Result<String> {
        let sale = self.sale(json!({"quantity": 1, "payment": "none"}), -1, 3600)?;
        self.order(&sale)?;
        Ok(sale)
    }

    /// Buys one unit, and tells the order.
    pub fn order(&self, sale: &str) -> anyhow::Result<Value> {
        self.post("/api/v1/orders", &json!({"flashSaleId": sale, "quantity": 1}))
    }

    /// A sale that starts in an hour, whose line is open.
    pub fn line(&self) -> anyhow::Result<String> {
        let admission =
            json!({"type": "fifo", "perSecond": 50, "checkoutSeconds": 60, "lineOpensSecondsBefore": 7200});
        self.sale(json!({"quantity": 1000, "admission": admission}), 3600, 7200)
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

    /// The time as the instance's `Date` header tells it.
    fn now_s(&self) -> anyhow::Result<i64> {
        let reply = self.client.get(format!("{}/livez", self.url)).send()?;
        let date = reply.headers().get("date").context("no Date")?.to_str()?.to_owned();
        Ok(jiff::fmt::rfc2822::parse(&date)?.timestamp().as_second())
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.client.post(format!("{}{path}", self.url)).json(body).bearer_auth(&self.admin);
        let reply = request.send()?;
        let status = reply.status();
        let told = reply.text()?;
        anyhow::ensure!(status.is_success(), "{path}: {status} {told}");
        Ok(serde_json::from_str(&told)?)
    }
}

fn text(value: &Value, name: &str) -> anyhow::Result<String> {
    Ok(value[name].as_str().with_context(|| format!("no {name} in {value}"))?.to_owned())
}
