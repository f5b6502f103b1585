//! How the cost of a purchase grows: with the instances that share a sale, with the sales that run at once, and with what each
//! instance does beside it.

use super::Bench;
use super::ground::{BenchCluster, INSTANCES};
use super::purchases::{purchase, sold_out};
use super::ratios::print_head;

/// Units of each sale.
const UNITS: u32 = 10_000_000;
/// Sales that run at once.
const SALES: [usize; 3] = [1, 10, 100];

/// One, two and three instances without nginx: the generator loads all at once, each over its part of the connections.
pub fn instances(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut ground = BenchCluster::fresh(bench.servers, &[])?;
    let open = [ground.shop.open_sale(UNITS)?];
    let sold_out = sold_out(&ground)?;
    print_head(false);
    for count in 1..=INSTANCES {
        ground.restart(count, &[])?;
        ground.shop.warm(bench.measure.wrk, &ground.tokens)?;
        let purchase = purchase("durable purchase", 256, &ground.files(), &open)?;
        for case in [&purchase, &sold_out] {
            bench.measure.print(case, &instances_text(count), &ground.urls(), None)?;
        }
    }
    Ok(())
}

/// Purchases that are spread over sales.
pub fn sales(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut ground = BenchCluster::fresh(bench.servers, &[])?;
    let most = SALES.into_iter().max().unwrap_or(1);
    let all: Vec<String> = (0..most).map(|_| ground.shop.open_sale(UNITS)).collect::<anyhow::Result<_>>()?;
    print_head(false);
    for instances in [1, INSTANCES] {
        ground.restart(instances, &[])?;
        ground.shop.warm(bench.measure.wrk, &ground.tokens)?;
        for count in SALES {
            let sales = if count == 1 { "1 sale".to_owned() } else { format!("{count} sales at once") };
            let what = format!("durable purchase, {sales}");
            let case = purchase(&what, 256, &ground.files(), &all[..count])?;
            bench.measure.print(&case, &instances_text(instances), &ground.urls(), None)?;
        }
    }
    Ok(())
}

/// What a purchase costs without what comes with it.
pub fn price(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut ground = BenchCluster::fresh(bench.servers, &[])?;
    let open = [ground.shop.open_sale(UNITS)?];
    let rows: [(&str, &[&str]); 3] = [
        ("all as it is", &[]),
        ("no limits: none are shared", &["--limits", "off"]),
        (
            "no limits, and the API alone: no instance writes tables or settles payments",
            &["--limits", "off", "--roles", "api"],
        ),
    ];
    print_head(false);
    for (what, flags) in rows {
        ground.restart(1, flags)?;
        ground.shop.warm(bench.measure.wrk, &ground.tokens)?;
        let case = purchase(&format!("durable purchase, {what}"), 256, &ground.files(), &open)?;
        bench.measure.print(&case, "1 instance", &ground.urls(), None)?;
    }
    Ok(())
}

fn instances_text(instances: usize) -> String {
    if instances == 1 { "1 instance".to_owned() } else { format!("{instances} instances at once") }
}
