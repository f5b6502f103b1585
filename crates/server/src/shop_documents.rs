//! Builds the API's JSON documents (`crates/documents`) from what the shop and the engine know. HTTP and sockets share them.

use crate::shop::catalogue::SaleListing;
use crate::shop::dashboard::BuyerIdentity;
use crate::shop::line::QueueStatus;
use crate::shop::orders::PricedOrder;
use crate::shop::payments::PaidOrder;
use crate::shop::products::Product;
use crate::shop::sales::{LimitScope, ListedSale, PaymentMode};
use documents::flash_sale::{LimitScopeDocument, SalePaymentDocument};
use documents::{
    AdminSaleDocument, BuyerDocument, OrderDocument, PaymentDocument, PlaceDocument, ProductSummary,
    SaleDocument,
};
use engine::SaleView;
use sale::{BuyerId, Timestamp};
use std::collections::HashMap;

/// A sale as it is at `now`: the catalogue's listing and the engine's view in one document.
#[must_use]
pub fn sale_document(listing: &SaleListing, view: &SaleView, now: Timestamp) -> SaleDocument {
    let (policy, units) = (&view.policy, view.counters);
    SaleDocument {
        id: listing.sale,
        slug: listing.slug.clone(),
        product: listing.product.as_ref().into(),
        price: policy.unit_price.into(),
        list_price: listing.product.price.into(),
        quantity: units.quantity,
        available: units.available,
        held: units.held,
        sold: units.sold,
        availability: view.availability.into(),
        status: view.phase(now).into(),
        starts_at: policy.starts_at,
        ends_at: policy.ends_at,
        limit_per_buyer: policy.limit_per_buyer,
        limit_by: listing.limit_by.into(),
        payment: PaymentMode::from_listing(listing, policy).into(),
        hold_seconds: policy.hold_s,
        admission: policy.admission.into(),
        waiting: units.waiting,
        server_time: now,
        version: view.seq.0,
    }
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
    let person = people.get(&id).cloned();
    let (email, username) = person.map(|person| (person.email, person.username)).unzip();
    BuyerDocument { id, email, username }
}

impl From<&Product> for ProductSummary {
    fn from(product: &Product) -> Self {
        Self {
            id: product.id.0,
            name: product.name.clone(),
            description: product.description.clone(),
            category: product.category.clone(),
            image_url: product.image_url.clone(),
        }
    }
}

impl From<PricedOrder> for OrderDocument {
    fn from(order: PricedOrder) -> Self {
        Self::from_view(&order.view, order.sale, order.unit_price, order.requires_payment)
    }
}

impl From<PaidOrder> for OrderDocument {
    fn from(paid: PaidOrder) -> Self {
        let payment = paid.payment.map(|payment| PaymentDocument {
            id: payment.id,
            method: payment.method,
            status: payment.state.as_str().to_owned(),
            amount: payment.amount.into(),
        });
        Self { payment, ..paid.order.into() }
    }
}

impl From<QueueStatus> for PlaceDocument {
    fn from(status: QueueStatus) -> Self {
        let QueueStatus { sale, ticket, place, availability, estimated_wait_s, receipt } = status;
        Self::new(sale, (ticket, place), availability, estimated_wait_s, receipt.to_string())
    }
}
