//! The documents of `holds`: a sale, its state, an order. Prices are JSON numbers, written digit by digit.

use super::super::error::DialectError;
use crate::shop::Shop;
use crate::shop::accounts::AccountProfile;
use crate::shop::catalogue_text::format_decimal;
use crate::shop::order_pages::OrderRow;
use crate::shop::sale_changes::find_last_change;
use crate::shop::sales::{self, ListedSale};
use documents::rfc3339;
use sale::{Money, OrderStatus, SalePhase, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// An amount as a JSON number in whole units of its currency.
pub(super) struct AmountDocument(pub(super) Money);

impl AmountDocument {
    /// The number, as it stands in a document.
    pub(super) fn to_text(&self) -> String {
        let text = format_decimal(self.0);
        // `99.90` is the same number as `99.9`, which is how the clients write it.
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    }
}

impl Serialize for AmountDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_text()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// A sale, with all that its documents say.
pub(super) struct ShownSale {
    pub(super) sale: ListedSale,
    /// When something of it last changed that a document shows.
    changed_at: Timestamp,
}

impl ShownSale {
    pub(super) async fn load(shop: &Shop, sale: ListedSale) -> Result<Self, DialectError> {
        let changed_at = find_last_change(shop, &sale).await?;
        Ok(Self { sale, changed_at })
    }
}

/// Several sales, in their order.
pub(super) async fn load_shown_sales(
    shop: &Shop,
    sales: Vec<ListedSale>,
) -> Result<Vec<ShownSale>, DialectError> {
    let mut shown = Vec::with_capacity(sales.len());
    for sale in sales {
        shown.push(ShownSale::load(shop, sale).await?);
    }
    Ok(shown)
}

/// A sale.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SaleDocument {
    #[serde(rename = "_id")]
    object_id: String,
    id: String,
    name: String,
    description: String,
    starts_at: String,
    ends_at: String,
    initial_quantity: u32,
    starting_quantity: u32,
    current_quantity: u32,
    price_per_unit: AmountDocument,
    status: &'static str,
    created_at: String,
    updated_at: String,
}

impl SaleDocument {
    pub(super) fn new(shown: &ShownSale, now: Timestamp) -> Self {
        let ListedSale { listing, view } = &shown.sale;
        let is_closed = view.phase(now) == SalePhase::Closed;
        Self {
            object_id: view.id.to_string(),
            id: view.id.to_string(),
            name: listing.product.name.clone(),
            description: listing.product.description.clone(),
            starts_at: rfc3339(view.policy.starts_at),
            ends_at: rfc3339(view.policy.ends_at),
            initial_quantity: view.counters.quantity,
            starting_quantity: view.counters.quantity,
            current_quantity: view.counters.unsold(),
            price_per_unit: AmountDocument(view.policy.unit_price),
            status: if is_closed { CANCELLED } else { ON_SCHEDULE },
            created_at: rfc3339(listing.created_at),
            updated_at: rfc3339(shown.changed_at),
        }
    }
}

/// The word for a sale that an admin closed.
pub(super) const CANCELLED: &str = "cancelled";
/// The word for any other sale.
pub(super) const ON_SCHEDULE: &str = "OnSchedule";

/// The state of a sale.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetaDocument {
    status: &'static str,
    sold_out: bool,
    progress: ProgressDocument,
    starts_at: String,
    ends_at: String,
}

#[derive(Serialize)]
struct ProgressDocument {
    remaining: u32,
    starting: u32,
    /// A share, not money.
    ratio: f64,
}

impl MetaDocument {
    pub(super) fn new(sale: &ListedSale, now: Timestamp) -> Self {
        let (policy, counters) = (&sale.view.policy, sale.view.counters);
        let (remaining, starting) = (counters.unsold(), counters.quantity);
        Self {
            status: status_word(sale, now),
            sold_out: remaining == 0,
            progress: ProgressDocument {
                remaining,
                starting,
                ratio: f64::from(remaining) / f64::from(starting.max(1)),
            },
            starts_at: rfc3339(policy.starts_at),
            ends_at: rfc3339(policy.ends_at),
        }
    }
}

/// The word for a sale's state: by its times alone, unless it was closed.
fn status_word(sale: &ListedSale, now: Timestamp) -> &'static str {
    match sale.view.phase(now) {
        SalePhase::Upcoming => "upcoming",
        SalePhase::Active | SalePhase::Paused => "ongoing",
        SalePhase::Ended | SalePhase::Closed => "ended",
    }
}

/// A sale with its state.
#[derive(Serialize)]
pub(super) struct ItemDocument {
    item: SaleDocument,
    meta: MetaDocument,
}

impl ItemDocument {
    pub(super) fn new(shown: &ShownSale, now: Timestamp) -> Self {
        Self { item: SaleDocument::new(shown, now), meta: MetaDocument::new(&shown.sale, now) }
    }
}

/// The same, with the fields of the sale beside it.
#[derive(Serialize)]
pub(super) struct PublicSaleDocument {
    #[serde(flatten)]
    sale: SaleDocument,
    #[serde(flatten)]
    item: ItemDocument,
}

impl PublicSaleDocument {
    pub(super) fn new(shown: &ShownSale, now: Timestamp) -> Self {
        Self { sale: SaleDocument::new(shown, now), item: ItemDocument::new(shown, now) }
    }
}

/// An order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderDocument {
    #[serde(rename = "_id")]
    object_id: String,
    id: String,
    user_email: Option<String>,
    flash_sale_id: String,
    flash_sale_name: String,
    payment_status: &'static str,
    total_amount: AmountDocument,
    created_at: String,
    updated_at: String,
}

impl OrderDocument {
    pub(super) fn new(shop: &Shop, row: &OrderRow, user_email: Option<String>) -> Self {
        let order = &row.order;
        let product = sales::find_sold_product(shop, row.sale, order.made_at);
        let total = row.unit_price.checked_mul(order.quantity);
        Self {
            object_id: order.id.to_string(),
            id: order.id.to_string(),
            user_email,
            flash_sale_id: row.sale.to_string(),
            flash_sale_name: product.map_or_else(|| row.sale.to_string(), |product| product.name.clone()),
            payment_status: payment_word(order.status),
            // The law bounds price and quantity, so their product fits.
            total_amount: AmountDocument(total.unwrap_or(row.unit_price)),
            created_at: rfc3339(order.made_at),
            updated_at: rfc3339(order.changed_at),
        }
    }
}

fn payment_word(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Pending { .. } => "pending",
        OrderStatus::Confirmed => "paid",
        OrderStatus::Declined => "failed",
        OrderStatus::Refunded { .. } => "refunded",
        OrderStatus::Cancelled | OrderStatus::Expired => "cancelled",
    }
}

/// A page of anything.
#[derive(Serialize)]
pub(super) struct PageDocument<T> {
    pub(super) items: Vec<T>,
    pub(super) total: u64,
    pub(super) page: u64,
    pub(super) limit: u32,
}

/// An account.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserDocument {
    id: String,
    email: String,
    name: String,
    image: Option<String>,
    email_verified: bool,
    created_at: String,
    updated_at: String,
}

impl From<AccountProfile> for UserDocument {
    fn from(account: AccountProfile) -> Self {
        let local_part = account.email.split('@').next().unwrap_or_default().to_owned();
        Self {
            id: account.id.to_string(),
            name: account.full_name.unwrap_or(local_part),
            email: account.email,
            image: None,
            email_verified: false,
            created_at: rfc3339(account.created_at),
            updated_at: rfc3339(account.updated_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_an_exact_number() {
        for (minor, currency, expected) in [
            (9999, "USD", "99.99"),
            (9990, "USD", "99.9"),
            (10_000, "USD", "100"),
            (0, "USD", "0"),
            (5, "USD", "0.05"),
            (100_000_000_001, "USD", "1000000000.01"),
            (100, "JPY", "100"),
        ] {
            let amount = AmountDocument(Money { minor, currency: currency.parse().unwrap() });
            assert_eq!(serde_json::to_string(&amount).unwrap(), expected);
        }
    }

    #[test]
    fn a_status_is_one_of_a_closed_set() {
        let at = Timestamp(1);
        for (status, word) in [
            (OrderStatus::Pending { until: at, paying_until: None }, "pending"),
            (OrderStatus::Confirmed, "paid"),
            (OrderStatus::Declined, "failed"),
            (OrderStatus::Refunded { restocked: true }, "refunded"),
            (OrderStatus::Cancelled, "cancelled"),
            (OrderStatus::Expired, "cancelled"),
        ] {
            assert_eq!(payment_word(status), word);
        }
    }
}
