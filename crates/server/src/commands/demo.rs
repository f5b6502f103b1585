//! `--demo`: a product and a sale that starts in a moment, so that a first visitor has something to buy. It calls the use cases
//! that an admin's requests call, and only when no demo sale can be bought from any more.

use super::CommandError;
use crate::shop::Shop;
use crate::shop::catalogue::CatalogueResult;
use crate::shop::catalogue_text::{Category, Description, ProductName, Slug};
use crate::shop::products::{self, ProductDraft};
use crate::shop::sales::{self, LimitScope, ListedSale, SaleDraft};
use anyhow::Context;
use sale::{AdmissionMode, Availability, Money, Policy, SalePhase};
use std::fmt;

/// How the demo's addresses begin.
const SLUG: &str = "demo";
/// Units: few enough to sell out by hand or by script.
const QUANTITY: u32 = 100;
/// Seconds until it starts: time to make an account and to join the line.
const STARTS_IN_S: u32 = 30;
/// Seconds that it runs: a day.
const LASTS_S: u32 = 86_400;
/// Demo sales a data folder can have: after each, the next start makes another.
const DEMOS_MAX: u32 = 1_000;

/// The demo's sale, for the welcome.
pub struct DemoSale {
    sale: ListedSale,
    now: sale::Timestamp,
}

impl fmt::Display for DemoSale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = &self.sale.view.policy;
        write!(f, "Demo sale: {} × {}, ", policy.quantity, self.sale.listing.product.name)?;
        match policy.starts_at.ms_since(self.now) {
            ms @ 1.. => write!(f, "starts in {} s", ms.unsigned_abs().div_ceil(1000))?,
            _ => write!(f, "running")?,
        }
        write!(f, ": /api/v1/flash-sales/{} (id {}).", self.sale.listing.slug, self.sale.listing.sale)
    }
}

/// The demo's sale: the one there is while it can be bought from, or a new one.
pub async fn prepare_demo(shop: &Shop) -> Result<DemoSale, CommandError> {
    let now = (shop.now)();
    for n in 1..=DEMOS_MAX {
        if let Some(sale) = sales::find_named_or_refresh(shop, &slug(n)).await {
            let over = matches!(sale.view.phase(now), SalePhase::Ended | SalePhase::Closed);
            if !over && sale.view.availability != Availability::SoldOut {
                return Ok(DemoSale { sale, now });
            }
        } else if sales::is_slug_free(shop, &slug(n)).await.map_err(anyhow::Error::from)? {
            let sale = create_sale(shop, &slug(n)).await?;
            return Ok(DemoSale { sale, now: (shop.now)() });
        }
    }
    Err(CommandError::Usage("--demo: this data folder has had enough demos, give it another --data".into()))
}

fn slug(n: u32) -> String {
    if n == 1 { SLUG.to_owned() } else { format!("{SLUG}-{n}") }
}

async fn create_sale(shop: &Shop, slug: &str) -> Result<ListedSale, CommandError> {
    let currency = "EUR".parse().context("the demo's currency")?;
    let draft = ProductDraft {
        name: require_valid(ProductName::try_from("Aurora desk lamp".to_owned()))?,
        description: require_valid(Description::try_from(
            "A small lamp that looks like the northern sky. One hundred were made.".to_owned(),
        ))?,
        price: Money { minor: 12_900, currency },
        category: Some(require_valid(Category::try_from("Lighting".to_owned()))?),
        image_url: None,
    };
    let product = require_accepted(products::create(shop, draft, None).await)?;
    let starts_at = (shop.now)().plus_s(STARTS_IN_S);
    let policy = Policy {
        quantity: QUANTITY,
        unit_price: Money { minor: 4_900, currency },
        starts_at,
        ends_at: starts_at.plus_s(LASTS_S),
        limit_per_buyer: 1,
        hold_s: 300,
        admission: AdmissionMode::Fifo {
            per_second: 5,
            checkout_s: 120,
            line_opens_s: 3600,
            extension_s: 240,
        },
    };
    let slug = Some(require_valid(Slug::try_from(slug.to_owned()))?);
    let draft = SaleDraft {
        product: product.id,
        slug,
        policy,
        limit_by: LimitScope::Account,
        require_confirmed_email: false,
        made_by: None,
    };
    require_accepted(sales::create(shop, draft, None).await)
}

fn require_accepted<T>(result: CatalogueResult<T>) -> Result<T, CommandError> {
    let accepted = result.map_err(anyhow::Error::from)?;
    accepted.map_err(|refusal| anyhow::anyhow!("the demo sale was refused: {refusal:?}").into())
}

fn require_valid<T, E: fmt::Debug>(made: Result<T, E>) -> Result<T, CommandError> {
    made.map_err(|error| anyhow::anyhow!("a text of the demo is not valid: {error:?}").into())
}
