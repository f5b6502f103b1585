//! The measure of all ratios: axum as its documentation shows it, one JSON route each way, nothing else.

use anyhow::Context;
use axum::routing::{get, post};
use axum::{Json, Router, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::process::{Child, Command};

/// A running bare endpoint; ends with the value.
pub struct Bare {
    pub url: String,
    child: Child,
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    flash_sale_id: String,
    quantity: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    flash_sale_id: String,
    status: &'static str,
    quantity: u32,
}

/// Starts this program again as the bare endpoint, in a process of its own as Doorbuster is.
pub fn start() -> anyhow::Result<Bare> {
    let port = super::wrk::free_port()?;
    let child = Command::new(std::env::current_exe()?).args(["bare", &port.to_string()]).spawn()?;
    super::wrk::wait_for(port).context("the bare endpoint did not start")?;
    Ok(Bare { url: format!("http://127.0.0.1:{port}"), child })
}

/// Is the bare endpoint.
#[tokio::main]
pub async fn serve(port: u16) -> anyhow::Result<()> {
    let app = Router::new()
        .route(
            "/orders",
            post(|Json(order): Json<Order>| async move {
                let quantity = order.quantity.unwrap_or(1);
                (
                    StatusCode::CREATED,
                    Json(Reply { flash_sale_id: order.flash_sale_id, status: "confirmed", quantity }),
                )
            }),
        )
        .route(
            "/status",
            get(|| async { Json(Reply { flash_sale_id: String::new(), status: "active", quantity: 1000 }) }),
        );
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    Ok(axum::serve(listener, app).await?)
}
