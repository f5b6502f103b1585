//! The measure of all ratios: axum as its documentation shows it, one JSON route each way, nothing else. It reads the same
//! requests and writes documents of the same members as Doorbuster, so that a ratio shows what Doorbuster does between the two.

use super::shop::Shop;
use anyhow::Context;
use axum::routing::{get, post};
use axum::{Json, Router, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::process::{Child, Command};
use test_servers::ReservedPort;

/// A running bare endpoint; ends with the value.
pub struct BareServer {
    pub url: String,
    child: Child,
    _port: ReservedPort,
}

impl Drop for BareServer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewOrder {
    flash_sale_id: String,
    quantity: Option<u32>,
}

#[derive(Clone, Serialize)]
struct Money {
    amount: i64,
    currency: String,
}

/// The document of an order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    id: String,
    flash_sale_id: String,
    product: OrderedProduct,
    status: &'static str,
    payment_required: bool,
    paying: bool,
    quantity: u32,
    unit_price: Money,
    total: Money,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderedProduct {
    id: &'static str,
    name: &'static str,
    description: &'static str,
    image_url: Option<&'static str>,
}

/// The document of a sale.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sale {
    id: &'static str,
    slug: &'static str,
    product: Product,
    price: Money,
    list_price: Money,
    quantity: u32,
    available: u32,
    held: u32,
    sold: u32,
    availability: &'static str,
    status: &'static str,
    starts_at: &'static str,
    ends_at: &'static str,
    limit_per_buyer: u32,
    limit_by: &'static str,
    require_confirmed_email: bool,
    payment: &'static str,
    hold_seconds: u32,
    admission: Admission,
    waiting: u32,
    server_time: &'static str,
    version: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    id: &'static str,
    name: &'static str,
    description: &'static str,
    category: Option<&'static str>,
    image_url: Option<&'static str>,
}

#[derive(Serialize)]
struct Admission {
    r#type: &'static str,
}

const ID: &str = "01a1fc0f-e12d-7d6e-82a2-479e48bdf9c0";
const TIME: &str = "2026-11-21T03:04:51.549Z";

fn price(amount: i64) -> Money {
    Money { amount, currency: "EUR".to_owned() }
}

async fn order(Json(order): Json<NewOrder>) -> (StatusCode, Json<Order>) {
    let quantity = order.quantity.unwrap_or(1);
    let order = Order {
        id: ID.to_owned(),
        flash_sale_id: order.flash_sale_id,
        product: OrderedProduct { id: ID, name: "Lamp", description: "A lamp.", image_url: None },
        status: "confirmed",
        payment_required: false,
        paying: false,
        quantity,
        unit_price: price(1999),
        total: price(1999 * i64::from(quantity)),
        created_at: TIME.to_owned(),
        updated_at: TIME.to_owned(),
    };
    (StatusCode::CREATED, Json(order))
}

async fn sale() -> Json<Sale> {
    Json(Sale {
        id: ID,
        slug: "lamp",
        product: Product { id: ID, name: "Lamp", description: "A lamp.", category: None, image_url: None },
        price: price(1999),
        list_price: price(4999),
        quantity: 1000,
        available: 1000,
        held: 0,
        sold: 0,
        availability: "available",
        status: "upcoming",
        starts_at: TIME,
        ends_at: TIME,
        limit_per_buyer: 1,
        limit_by: "account",
        require_confirmed_email: false,
        payment: "not_required",
        hold_seconds: 0,
        admission: Admission { r#type: "open" },
        waiting: 0,
        server_time: TIME,
        version: 1,
    })
}

/// Starts this program again as the bare endpoint, in a process of its own as Doorbuster is.
pub fn start() -> anyhow::Result<BareServer> {
    let port = ReservedPort::reserve();
    let child = Command::new(std::env::current_exe()?).args(["bare", &port.get().to_string()]).spawn()?;
    super::wrk::wait_for(port.get()).context("the bare endpoint did not start")?;
    Ok(BareServer { url: format!("http://127.0.0.1:{}", port.get()), child, _port: port })
}

/// Both must write the same documents, or a ratio compares nothing: an order, and a sale.
pub fn check(bare: &BareServer, shop: &Shop, sale: &str) -> anyhow::Result<()> {
    let client = reqwest::blocking::Client::new();
    let order = client.post(format!("{}/orders", bare.url)).json(&json!({"flashSaleId": sale})).send()?;
    let status = client.get(format!("{}/status", bare.url)).send()?;
    for (bare, ours) in [(order.json()?, shop.order(sale)?), (status.json::<Value>()?, shop.show(sale)?)] {
        anyhow::ensure!(
            members(&bare) == members(&ours),
            "the bare endpoint writes another document: {bare} beside {ours}"
        );
    }
    Ok(())
}

/// The names of all members, also of those within members, sorted.
pub fn members(document: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        names.extend(members(value).into_iter().map(|inner| format!("{name}.{inner}")));
        names.push(name.clone());
    }
    names.sort();
    names
}

/// Is the bare endpoint.
#[tokio::main]
pub async fn serve(port: u16) -> anyhow::Result<()> {
    let app = Router::new().route("/orders", post(order)).route("/status", get(sale));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    Ok(axum::serve(listener, app).await?)
}
