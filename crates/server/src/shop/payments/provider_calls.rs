//! The calls of payment providers: a payment's row becomes what its provider needs, and its provider is found by name. A payment whose
//! provider this instance does not have gets no reply, so that it waits for an instance that has it.

use super::{PaymentError, PaymentService};
use crate::payments::{
    AuthorisationResult, IntentId, NoProviderReply, OutsideRefund, PaymentProvider, ProviderAnswer,
    ProviderDispute, ProviderPayment, ProviderReply, ProviderWithTimeout, RefundId,
};
use crate::shop::catalogue::CatalogueRefusal;
use crate::store::accounts;
use crate::store::payments::PaymentRow;
use engine::EngineError;
use engine::error_text::describe_error;
use sale::{Money, Policy, SaleId};
use std::sync::Arc;
use uuid::Uuid;

/// The path to which a provider's page leads back; a payment's id follows.
pub const RETURN_PATH: &str = "/pay/return/";

impl PaymentService {
    /// The provider of a sale's orders, also of a sale that another process has just announced. `None` when this instance does not have it.
    ///
    /// # Errors
    /// When the sale is not in the tables that could be read: its orders are paid through no other provider than its own.
    pub(super) async fn provider_of_sale(
        &self,
        sale: SaleId,
    ) -> Result<Option<&Arc<ProviderWithTimeout>>, PaymentError> {
        if !self.catalogue.contains(sale) {
            self.catalogue.refresh_for_miss(self.tables.store()).await;
        }
        let listing = self.catalogue.listing(sale).ok_or(PaymentError::Engine(EngineError::StateUnknown))?;
        Ok(self.providers.get(&listing.provider))
    }

    /// Whether a sale with this policy could be paid through a provider. One that takes no payment always can.
    ///
    /// # Errors
    /// The refusal, for the merchant.
    pub fn check_price(&self, provider: &str, policy: &Policy) -> Result<(), CatalogueRefusal> {
        let Some(provider) = self.providers.get(provider) else { return Ok(()) };
        if policy.sells_at_once() || policy.unit_price.minor == 0 {
            return Ok(());
        }
        provider
            .check_price(policy.unit_price, policy.limit_per_buyer)
            .map_err(|refusal| CatalogueRefusal::PriceRefused(refusal.to_string()))
    }

    /// Whether the buyer pays on a page of the provider.
    pub(super) fn is_redirect(&self, payment: &PaymentRow) -> bool {
        self.providers.get(&payment.provider).is_some_and(|provider| provider.is_redirect(&payment.method))
    }

    pub(super) async fn authorise_at_provider(&self, payment: &PaymentRow) -> AuthorisationResult {
        let Ok(provider) = self.provider(payment) else { return AuthorisationResult::Unknown };
        provider.authorise(&self.provider_payment(payment).await).await
    }

    pub(super) async fn find_at_provider(
        &self,
        payment: &PaymentRow,
    ) -> Result<Option<ProviderAnswer>, NoProviderReply> {
        self.provider(payment)?.find(&self.provider_payment(payment).await).await
    }

    pub(super) async fn capture_at_provider(&self, payment: &PaymentRow) -> ProviderReply {
        self.provider(payment)?.capture(&self.provider_payment(payment).await).await
    }

    pub(super) async fn void_at_provider(&self, payment: &PaymentRow) -> ProviderReply {
        self.provider(payment)?.void(&self.provider_payment(payment).await).await
    }

    pub(super) async fn refund_at_provider(
        &self,
        payment: &PaymentRow,
        refund: Uuid,
        amount_minor: i64,
    ) -> ProviderReply {
        let amount = Money { minor: amount_minor, ..payment.amount };
        self.provider(payment)?.refund(&self.provider_payment(payment).await, RefundId(refund), amount).await
    }

    pub(super) async fn list_outside_refunds(
        &self,
        payment: &PaymentRow,
    ) -> Result<Vec<OutsideRefund>, NoProviderReply> {
        self.provider(payment)?.list_outside_refunds(&self.provider_payment(payment).await).await
    }

    pub(super) async fn find_disputes(
        &self,
        payment: &PaymentRow,
    ) -> Result<Vec<ProviderDispute>, NoProviderReply> {
        self.provider(payment)?.find_disputes(&self.provider_payment(payment).await).await
    }

    fn provider(&self, payment: &PaymentRow) -> Result<&Arc<ProviderWithTimeout>, NoProviderReply> {
        self.providers.get(&payment.provider).ok_or_else(|| {
            tracing::warn!(
                payment = %payment.id, provider = payment.provider,
                "this instance does not have the provider of a payment; the payment waits for one that has it"
            );
            NoProviderReply
        })
    }

    async fn provider_payment(&self, payment: &PaymentRow) -> ProviderPayment {
        let url = |path: String| self.public_url.as_ref().map(|url| url.join(&path));
        ProviderPayment {
            intent: IntentId(payment.id),
            reference: payment.reference.clone(),
            order: payment.order,
            sale: payment.sale,
            buyer: payment.buyer,
            amount: payment.amount,
            method: payment.method.clone(),
            buyer_email: self.find_email(payment).await,
            description: self.describe(payment),
            language: Some(payment.language.clone()).filter(|language| !language.is_empty()),
            return_url: url(format!("{RETURN_PATH}{}", payment.id)),
            cancel_url: url(format!("/orders/{}", payment.order)),
        }
    }

    /// What the buyer reads on the provider's page: the product as the sale showed it when the payment began, and how often. It stays the
    /// same for every call.
    fn describe(&self, payment: &PaymentRow) -> String {
        let Some(listing) = self.catalogue.listing(payment.sale) else { return payment.order.to_string() };
        let name = &listing.product_at(payment.created_at).name;
        let unit_minor = self.engine.views().get(payment.sale).map(|view| view.policy.unit_price.minor);
        match unit_minor.filter(|minor| *minor > 0).map(|minor| payment.amount.minor / minor) {
            Some(quantity) if quantity > 1 => format!("{quantity} × {name}"),
            _ => name.clone(),
        }
    }

    /// The address of the buyer's account, for a page of the provider. Without it the page asks for one. Once the provider has an id of its
    /// own for the payment, the page is made.
    async fn find_email(&self, payment: &PaymentRow) -> Option<String> {
        if payment.reference.is_some() || !self.is_redirect(payment) {
            return None;
        }
        match accounts::find(self.tables.store(), payment.buyer).await {
            Ok(account) => account.map(|account| account.email),
            Err(error) => {
                tracing::warn!(
                    error = describe_error(&error), payment = %payment.id,
                    "reading a buyer's address failed; the provider's page asks for one"
                );
                None
            }
        }
    }
}
