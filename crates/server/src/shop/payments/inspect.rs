//! The payments of an order with all that an admin needs to look into them: where they are at the provider, how often they were tried, when
//! they are tried again, and what happened to their money there without the shop. It changes nothing.

use super::PaymentService;
use crate::payments::stripe::STRIPE;
use crate::store::StoreError;
use crate::store::payment_findings::{self, FindingRow};
use crate::store::payments::{self as rows, PaymentRow};
use sale::{OrderId, Timestamp};

/// A payment as an admin sees it.
#[derive(Clone, Debug)]
pub struct InspectedPayment {
    pub payment: PaymentRow,
    /// Its page in the provider's dashboard, where there is one.
    pub dashboard_url: Option<String>,
    /// When the reconciler asks the provider again; `None` when nothing is left to ask.
    pub next_try_at: Option<Timestamp>,
    /// The oldest first.
    pub findings: Vec<FindingRow>,
}

impl PaymentService {
    /// The payments of an order, the oldest first; none for an order that is not known.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn inspect_order(&self, order: OrderId) -> Result<Vec<InspectedPayment>, StoreError> {
        let mut payments = Vec::new();
        for payment in rows::list_of_order(self.tables.store(), order).await? {
            let findings = payment_findings::list_of_payment(self.tables.store(), payment.id).await?;
            let next_try_at = rows::find_next_try(self.tables.store(), payment.id).await?;
            let dashboard_url = find_dashboard_url(&payment);
            payments.push(InspectedPayment { payment, dashboard_url, next_try_at, findings });
        }
        Ok(payments)
    }
}

/// Stripe's dashboard finds a payment by our id of it, which its metadata have.
fn find_dashboard_url(payment: &PaymentRow) -> Option<String> {
    let reference = payment.reference.as_deref().filter(|_| payment.provider == STRIPE)?;
    let mode = if reference.starts_with("cs_test_") { "test/" } else { "" };
    Some(format!("https://dashboard.stripe.com/{mode}search?query={}", payment.id))
}
