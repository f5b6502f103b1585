//! What is measured: for each case the request, its bare twin, and what is wanted of the ratio.

use super::common::files::Files;
use super::common::shop::Shop;
use super::common::wrk::Load;
use super::peer::PeerServer;
use std::path::Path;

/// Waiting lines: buyers × lines is how many joins can be measured, since each buyer joins a line once.
const LINES: usize = 60;

pub struct Case {
    pub name: &'static str,
    pub connections: u32,
    pub load: Load,
    pub bare: Load,
    /// The same for the peer, where it has such a thing.
    pub peer: Option<Load>,
    /// What must be reached and what is reached for, as ratios to bare.
    pub wanted: (f64, f64),
    /// True when refusals are the point.
    pub refuses: bool,
}

/// The two sales in which orders are placed.
pub struct Sales {
    pub open: String,
    pub sold_out: String,
}

impl Sales {
    pub fn make(shop: &Shop) -> anyhow::Result<Self> {
        Ok(Self { open: shop.open_sale(10_000_000)?, sold_out: shop.sold_out_sale()? })
    }
}

/// All cases, in the order of the table.
pub fn all(
    shop: &Shop,
    peer: Option<&PeerServer>,
    folder: &Path,
    tokens: &Path,
    sales: &Sales,
) -> anyhow::Result<Vec<Case>> {
    let files = Files { folder, tokens };
    let peer_order = |bodies: &Path| {
        let tokens = peer?.tokens.clone();
        Some(Load { tokens, ..files.post("/api/v1/orders", bodies) })
    };
    let open = files.orders("open", std::slice::from_ref(&sales.open))?;
    let sold_out = files.orders("sold-out", std::slice::from_ref(&sales.sold_out))?;
    let lines: Vec<String> = (0..LINES).map(|_| shop.line()).collect::<anyhow::Result<_>>()?;
    let lines = files.joins("lines", &lines)?;

    let mut cases = Vec::new();
    for (connections, wanted) in [(256, (0.66, 0.75)), (64, (0.58, 0.65))] {
        cases.push(Case {
            name: "durable purchase",
            connections,
            load: files.post("/api/v1/orders", &open),
            bare: files.post("/orders", &open),
            peer: peer_order(&open),
            wanted,
            refuses: false,
        });
    }
    cases.push(Case {
        name: "sold out",
        connections: 256,
        load: files.post("/api/v1/orders", &sold_out),
        bare: files.post("/orders", &sold_out),
        peer: peer_order(&sold_out),
        wanted: (0.92, 1.0),
        refuses: true,
    });
    for (connections, wanted) in [(256, (0.68, 0.75)), (64, (0.60, 0.70))] {
        cases.push(Case {
            name: "join the line",
            connections,
            load: files.post("/api/v1/queue/join", &lines),
            bare: files.post("/orders", &lines),
            peer: None,
            wanted,
            refuses: false,
        });
    }
    cases.extend(status(shop, &files, &sales.open)?);
    Ok(cases)
}

/// Looking at a sale, and asking whether it has changed.
fn status(shop: &Shop, files: &Files<'_>, open: &str) -> anyhow::Result<[Case; 2]> {
    let upcoming = format!("/api/v1/flash-sales/{}", shop.upcoming_sale()?);
    let unchanged = format!("If-None-Match: {}", shop.etag(&upcoming)?);
    let case = |name, load, wanted| Case {
        name,
        connections: 256,
        load,
        bare: files.get("/status", None),
        peer: None,
        wanted,
        refuses: false,
    };
    Ok([
        case("sale status", files.get(&format!("/api/v1/flash-sales/{open}"), None), (0.95, 1.1)),
        case("sale status, not modified", files.get(&upcoming, Some(unchanged)), (1.0, 1.1)),
    ])
}
