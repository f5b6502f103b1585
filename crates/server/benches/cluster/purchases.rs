//! What buyers do, through one instance and through three behind nginx, as ratios to the bare endpoint.

use super::Bench;
use super::common::bare;
use super::common::files::Files;
use super::ground::{self, BenchCluster, INSTANCES};
use super::ratios::{Case, ProxiedBare, print_head};

/// Units of a sale that does not sell out.
const UNITS: u32 = 10_000_000;
/// Waiting lines: buyers × lines is how many joins can be measured, since each buyer joins a line once.
const LINES: usize = 60;

/// Everything a buyer does, at one instance.
pub fn one_instance(bench: &Bench<'_>) -> anyhow::Result<()> {
    let ground = BenchCluster::fresh(bench.servers, &[])?;
    let (shop, files) = (&ground.shop, ground.files());
    let open = shop.open_sale(UNITS)?;
    let lines: Vec<String> = (0..LINES).map(|_| shop.line()).collect::<anyhow::Result<_>>()?;
    let lines = files.joins("lines", &lines)?;
    shop.warm(bench.measure.wrk, &ground.tokens)?;

    if let [bare, ..] = bench.measure.bares {
        bare::check(bare, shop, &open)?;
    }
    let join = |connections| {
        let (ours, bare) = (files.post("/api/v1/queue/join", &lines), files.post("/orders", &lines));
        Case::new("join the line", connections, ours, bare)
    };
    let status = files.get(&format!("/api/v1/flash-sales/{open}"), None);
    let purchase =
        |connections| purchase("durable purchase", connections, &files, std::slice::from_ref(&open));
    let cases = [
        Case { wanted: Some((0.36, 0.45)), ..purchase(256)? },
        purchase(64)?,
        Case { wanted: Some((0.46, 0.46)), ..join(256) },
        join(64),
        Case { wanted: Some((0.62, 0.62)), ..sold_out(&ground)? },
        Case {
            wanted: Some((0.90, 0.90)),
            ..Case::new("sale status", 256, status, files.get("/status", None))
        },
    ];
    print_head(false);
    cases.iter().try_for_each(|case| bench.measure.print(case, "1 instance", &ground.urls(), None))
}

/// Buying, and being too late, through nginx.
pub fn behind_nginx(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut ground = BenchCluster::fresh(bench.servers, &[])?;
    let open = ground.shop.open_sale(UNITS)?;
    let sold_out = sold_out(&ground)?;
    ground.restart(INSTANCES, &[])?;
    let urls: Vec<String> = bench.measure.bares.iter().map(|bare| bare.url.clone()).collect();
    let (proxy, proxied) = (ground::proxy(&ground.urls()), ProxiedBare(ground::proxy(&urls)));
    let url = [proxy.url()];
    print_head(true);
    for case in [purchase("durable purchase", 256, &ground.files(), &[open])?, sold_out] {
        bench.measure.print(&case, "nginx, 3 instances", &url, Some(&proxied))?;
    }
    Ok(())
}

/// Buying a unit in these sales, one request after the other in another one.
pub fn purchase(what: &str, connections: u32, files: &Files<'_>, sales: &[String]) -> anyhow::Result<Case> {
    let bodies = files.orders("orders", sales)?;
    let mut load = files.post("/api/v1/orders", &bodies);
    load.is_spread = true;
    Ok(Case::new(what, connections, load, files.post("/orders", &bodies)))
}

/// Wanting a unit of a sale that has none.
pub fn sold_out(ground: &BenchCluster<'_>) -> anyhow::Result<Case> {
    let files = ground.files();
    let bodies = files.orders("sold-out", &[ground.shop.sold_out_sale()?])?;
    let case =
        Case::new("sold out", 256, files.post("/api/v1/orders", &bodies), files.post("/orders", &bodies));
    Ok(Case { refuses: true, ..case })
}
