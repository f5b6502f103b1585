//! What is measured: for each case the request, its bare twin, and what is wanted of the ratio.

use super::doorbuster::Doorbuster;
use super::peer::Peer;
use super::wrk::Load;
use std::path::{Path, PathBuf};

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
    pub fn make(shop: &Doorbuster) -> anyhow::Result<Self> {
        Ok(Self { open: shop.open_sale(10_000_000)?, sold_out: shop.sold_out_sale()? })
    }
}

/// Where requests come from: bodies and tokens in files.
struct Files<'a> {
    folder: &'a Path,
    tokens: &'a Path,
    peer_tokens: Option<&'a Path>,
}

impl Files<'_> {
    fn bodies(&self, name: &str, bodies: &[String]) -> anyhow::Result<PathBuf> {
        let file = self.folder.join(name);
        std::fs::write(&file, bodies.join("\n"))?;
        Ok(file)
    }

    fn post(&self, path: &str, bodies: &Path) -> Load {
        let (tokens, bodies) = (self.tokens.to_owned(), Some(bodies.to_owned()));
        Load { method: "POST", path: path.into(), tokens, bodies, header: None }
    }

    fn get(&self, path: &str, header: Option<String>) -> Load {
        Load { method: "GET", path: path.into(), tokens: self.tokens.to_owned(), bodies: None, header }
    }

    fn peer_order(&self, bodies: &Path) -> Option<Load> {
        Some(Load { tokens: self.peer_tokens?.to_owned(), ..self.post("/api/v1/orders", bodies) })
    }
}

/// All cases, in the order of the table.
pub fn all(
    shop: &Doorbuster,
    peer: Option<&Peer>,
    folder: &Path,
    tokens: &Path,
    sales: &Sales,
) -> anyhow::Result<Vec<Case>> {
    let files = Files { folder, tokens, peer_tokens: peer.map(|peer| peer.tokens.as_path()) };
    let order = |sale: &str| vec![format!(r#"{{"flashSaleId":"{sale}","quantity":1}}"#)];
    let open = files.bodies("open", &order(&sales.open))?;
    let sold_out = files.bodies("sold-out", &order(&sales.sold_out))?;
    let lines: Vec<String> = (0..LINES)
        .map(|_| Ok(format!(r#"{{"flashSaleId":"{}"}}"#, shop.line()?)))
        .collect::<anyhow::Result<_>>()?;
    let lines = files.bodies("lines", &lines)?;

    let mut cases = Vec::new();
    for (connections, wanted) in [(256, (0.65, 0.75)), (64, (0.40, 0.60))] {
        cases.push(Case {
            name: "durable purchase",
            connections,
            load: files.post("/api/v1/orders", &open),
            bare: files.post("/orders", &open),
            peer: files.peer_order(&open),
            wanted,
            refuses: false,
        });
    }
    cases.push(Case {
        name: "sold out",
        connections: 256,
        load: files.post("/api/v1/orders", &sold_out),
        bare: files.post("/orders", &sold_out),
        peer: files.peer_order(&sold_out),
        wanted: (0.90, 1.2),
        refuses: true,
    });
    for (connections, wanted) in [(256, (0.65, 0.75)), (64, (0.40, 0.60))] {
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
fn status(shop: &Doorbuster, files: &Files<'_>, open: &str) -> anyhow::Result<[Case; 2]> {
    let upcoming = format!("/api/v1/flash-sales/{}", shop.upcoming_sale()?);
    let unchanged = format!("If-None-Match: {}", shop.etag(&upcoming)?);
    let case = |name, load| Case {
        name,
        connections: 256,
        load,
        bare: files.get("/status", None),
        peer: None,
        wanted: (0.95, 0.95),
        refuses: false,
    };
    Ok([
        case("sale status", files.get(&format!("/api/v1/flash-sales/{open}"), None)),
        case("sale status, not modified", files.get(&upcoming, Some(unchanged))),
    ])
}
