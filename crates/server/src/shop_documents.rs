//! Builds the API's JSON documents (`crates/documents`) from what the shop and the engine know. HTTP and sockets share them.

use crate::shop::Shop;
use crate::shop::catalogue::SaleListing;
use crate::shop::dashboard::BuyerIdentity;
use crate::shop::line::{OverCause, PlaceContext, PlaceStatus, QueueStatus};
use crate::shop::orders::PricedOrder;
use crate::shop::payments::PaidOrder;
use crate::shop::sales::{self, LimitScope, ListedSale, PaymentMode, SoldProduct};
use documents::flash_sale::{LimitScopeDocument, SalePaymentDocument};
use documents::place::{LineFigures, LineStatus, OverReason, PlaceStatusDocument};
use documents::{
    AdminSaleDocument, AvailabilityDocument, BuyerDocument, LineDocument, LineFeedDocument,
    NextActionDocument, OrderDocument, PaymentDocument, PlaceDocument, ProductSummary, SaleDocument,
    SoldProductDocument,
};
use engine::SaleView;
use sale::{BuyerId, LineFeed, LinePosition, Money, SaleId, Timestamp};
use std::collections::HashMap;
use uuid::Uuid;

/// A sale as it is at `now`: the catalogue's listing and the engine's view in one document.
#[must_use]
pub fn sale_document(listing: &SaleListing, view: &SaleView, now: Timestamp) -> SaleDocument {
    let (policy, units) = (&view.policy, view.counters);
    SaleDocument {
        id: listing.sale,
        slug: listing.slug.clone(),
        product: listing.product.as_ref().into(),
        price: policy.unit_price.into(),
        list_price: listing.product.list_price.into(),
        quantity: units.quantity,
        available: units.available,
        held: units.held,
        sold: units.sold,
        availability: AvailabilityDocument::new(view.availability, view.is_over(now)),
        status: view.phase(now).into(),
        starts_at: policy.starts_at,
        ends_at: policy.ends_at,
        limit_per_buyer: policy.limit_per_buyer,
        limit_by: listing.limit_by.into(),
        require_confirmed_email: listing.require_confirmed_email,
        payment: PaymentMode::from_listing(listing, policy).into(),
        hold_seconds: policy.hold_s,
        admission: policy.admission.into(),
        waiting: view.waiting(now),
        server_time: now,
        version: view.seq.0,
    }
}

/// The waiting line of a sale for everyone, without a line when the sale is over; `None` for a sale that has none.
#[must_use]
pub fn line_feed_document(
    view: &SaleView,
    line: Option<&LineFeed>,
    now: Timestamp,
) -> Option<LineFeedDocument> {
    let pace = view.line_moment(now).pace()?;
    let units = view.counters;
    Some(LineFeedDocument {
        flash_sale_id: view.id,
        version: view.seq.0,
        server_time: now,
        status: view.phase(now).into(),
        paused: view.paused_at().is_some(),
        availability: AvailabilityDocument::new(view.availability, view.is_over(now)),
        starts_at: pace.starts_at,
        ends_at: pace.ends_at,
        per_second: pace.per_second,
        limit_per_buyer: pace.limit_per_buyer,
        units_left: units.unsold(),
        available: pace.free,
        admitted: pace.admitted,
        held: units.held,
        sold: units.sold,
        line: line.filter(|_| !view.is_over(now)).map(LineDocument::from),
    })
}

/// The same with what only admins see.
#[must_use]
pub fn admin_sale_document(sale: &ListedSale, now: Timestamp) -> AdminSaleDocument {
    AdminSaleDocument {
        sale: sale_document(&sale.listing, &sale.view, now),
        admitted: sale.view.counters.admitted,
        provider: sale.listing.provider.clone(),
        created_at: sale.listing.created_at,
    }
}

impl From<PaymentMode> for SalePaymentDocument {
    fn from(payment: PaymentMode) -> Self {
        match payment {
            PaymentMode::Required => Self::Required,
            PaymentMode::Nothing => Self::None,
        }
    }
}

impl From<LimitScope> for LimitScopeDocument {
    fn from(scope: LimitScope) -> Self {
        match scope {
            LimitScope::Account => Self::Account,
            LimitScope::Mailbox => Self::Mailbox,
        }
    }
}

#[must_use]
pub fn buyer_document(id: BuyerId, people: &HashMap<BuyerId, BuyerIdentity>) -> BuyerDocument {
    let person = people.get(&id);
    let email = person.map(|person| person.email.clone());
    BuyerDocument { id, email, username: person.and_then(|person| person.username.clone()) }
}

impl From<&SoldProduct> for ProductSummary {
    fn from(product: &SoldProduct) -> Self {
        Self {
            id: product.id.0,
            name: product.name.clone(),
            description: product.description.clone(),
            category: product.category.clone(),
            image_url: product.image_url.clone(),
        }
    }
}

/// An order with its product as it was sold.
#[must_use]
pub fn order_document(shop: &Shop, order: &PricedOrder) -> OrderDocument {
    let product = sold_product_document(shop, order.sale, order.view.made_at);
    let listing = shop.catalogue.listing(order.sale).filter(|_| order.requires_payment);
    let terms = (order.unit_price, order.requires_payment);
    OrderDocument {
        provider: listing.map(|listing| listing.provider.clone()),
        ..OrderDocument::from_view(&order.view, order.sale, terms, product)
    }
}

/// The same with its payment.
#[must_use]
pub fn paid_order_document(shop: &Shop, paid: PaidOrder) -> OrderDocument {
    // A page whose payment is submitted has nothing left to be done.
    let open = paid.payment.as_ref().filter(|_| paid.is_open() && !paid.order.view.status.is_paying());
    let next_action =
        open.and_then(|payment| payment.action_url.clone()).map(|url| NextActionDocument::Redirect { url });
    let payment = paid.payment.map(|payment| PaymentDocument {
        id: payment.id,
        method: payment.method,
        status: payment.state.as_str().to_owned(),
        amount: payment.amount.into(),
        refunded: Money { minor: payment.refunded_minor, ..payment.amount }.into(),
    });
    OrderDocument { payment, next_action, ..order_document(shop, &paid.order) }
}

/// What a sale showed of its product at a moment. A sale that is not listed, which no sale with orders should be, is named by its id.
fn sold_product_document(shop: &Shop, sale: SaleId, at: Timestamp) -> SoldProductDocument {
    match sales::find_sold_product(shop, sale, at) {
        Some(product) => SoldProductDocument {
            id: product.id.0,
            name: product.name.clone(),
            description: product.description.clone(),
            image_url: product.image_url.clone(),
        },
        None => SoldProductDocument {
            id: Uuid::nil(),
            name: sale.to_string(),
            description: String::new(),
            image_url: None,
        },
    }
}

impl From<PlaceStatus> for LineStatus {
    fn from(place: PlaceStatus) -> Self {
        match place {
            PlaceStatus::InLine(position) => position.into(),
            PlaceStatus::Over(cause) => Self::Over(cause.into()),
            PlaceStatus::Lapsed { at } => Self::Lapsed { at },
            PlaceStatus::Left { at } => Self::Left { at },
        }
    }
}

impl From<OverCause> for OverReason {
    fn from(cause: OverCause) -> Self {
        match cause {
            OverCause::Ended => Self::Ended,
            OverCause::Closed => Self::Closed,
            OverCause::Deleted => Self::Deleted,
        }
    }
}

impl From<PlaceContext> for LineFigures {
    fn from(figures: PlaceContext) -> Self {
        let PlaceContext { availability, is_over, units_left, estimated_wait_s, paused_at } = figures;
        let availability = AvailabilityDocument::new(availability, is_over);
        Self { availability, units_left, estimated_wait_s, paused_at }
    }
}

impl From<QueueStatus> for PlaceDocument {
    fn from(status: QueueStatus) -> Self {
        let QueueStatus { sale, ticket, place, figures, receipt } = status;
        let word = match place {
            PlaceStatus::InLine(LinePosition::Waiting { .. }) => PlaceStatusDocument::Waiting,
            PlaceStatus::InLine(LinePosition::Admitted { .. }) => PlaceStatusDocument::Admitted,
            PlaceStatus::Over(_) => PlaceStatusDocument::Over,
            PlaceStatus::Lapsed { .. } => PlaceStatusDocument::Lapsed,
            PlaceStatus::Left { .. } => PlaceStatusDocument::Left,
        };
        Self::new(sale, ticket, (word, place.into()), &figures.into(), receipt.to_string())
    }
}
