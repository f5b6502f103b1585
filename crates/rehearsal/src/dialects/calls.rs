//! What the clients of each dialect send. It never sends anything itself.

use super::RehearsedDialect;
use crate::observations::BuyerAction;
use hyper::http::Method;
use sale::SaleId;
use serde_json::{Value, json};

/// The product that the clients of `turnstile` name. Any id means its sale.
const PRODUCT: &str = "sneaker-001";

/// A sale as the clients of a dialect name it, and the names of its buyers.
#[derive(Clone, Debug)]
pub(crate) struct DialectSale {
    pub(crate) dialect: RehearsedDialect,
    pub(crate) sale: SaleId,
    /// The integer ids of the sale and of its product, where the dialect has them.
    pub(crate) numbers: Option<IntegerIds>,
    /// What makes the keys of this rehearsal differ from those of all others.
    pub(crate) run: String,
    /// By account: what names its buyer.
    pub(crate) names: Vec<String>,
}

/// Integer ids, as `attempts` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IntegerIds {
    pub(crate) sale: u64,
    pub(crate) product: u64,
}

/// A request of a client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DialectCall {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) body: Option<Value>,
}

impl DialectCall {
    fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), idempotency_key: None, body: None }
    }

    fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), idempotency_key: None, body: Some(body) }
    }
}

impl DialectSale {
    /// The path that a client's page reads first.
    pub(crate) fn page_path(&self) -> String {
        match self.dialect {
            RehearsedDialect::Turnstile => "/api/status".to_owned(),
            RehearsedDialect::Attempts => "/api/flash-sale/status".to_owned(),
            RehearsedDialect::Holds => format!("/flash-sales/{}/public", self.sale),
            RehearsedDialect::Drop => "/api/sale/status".to_owned(),
        }
    }

    /// The path of a buyer's place in line.
    pub(crate) fn position_path(&self, account: u32) -> String {
        format!("/orders/position?flashSaleId={}&email={}", self.sale, self.name(account))
    }

    /// The call by which a client does this.
    pub(crate) fn build_call(&self, action: BuyerAction, account: u32) -> DialectCall {
        match action {
            BuyerAction::Purchase { key } => self.build_purchase(account, key),
            BuyerAction::ReadPurchase { job } => match (self.dialect, job) {
                (RehearsedDialect::Turnstile, Some(job)) => DialectCall::get(format!("/api/buy/{job}")),
                (RehearsedDialect::Turnstile, None) => DialectCall::get(self.page_path()),
                (RehearsedDialect::Attempts, _) => {
                    let product = self.numbers.map_or(0, |numbers| numbers.product);
                    DialectCall::get(format!("/api/orders/status/{product}"))
                }
                (RehearsedDialect::Holds, _) => DialectCall::get(format!(
                    "/orders/by-email?email={}&flashSaleId={}",
                    self.name(account),
                    self.sale
                )),
                (RehearsedDialect::Drop, _) => {
                    DialectCall::get(format!("/api/sale/user/{}", self.name(account)))
                }
            },
            // The only other call that a client makes is that for a place.
            BuyerAction::Join
            | BuyerAction::Leave
            | BuyerAction::Order { .. }
            | BuyerAction::Pay { .. }
            | BuyerAction::Cancel { .. } => DialectCall::post("/orders/buy", self.describe_buyer(account)),
        }
    }

    fn build_purchase(&self, account: u32, key: u64) -> DialectCall {
        match self.dialect {
            RehearsedDialect::Turnstile => {
                let body = json!({"productId": PRODUCT, "userId": self.name(account), "quantity": 1});
                let idempotency_key = Some(format!("{}-{account}-{key:016x}", self.run));
                DialectCall { idempotency_key, ..DialectCall::post("/api/buy", body) }
            }
            RehearsedDialect::Attempts => {
                let sale = self.numbers.map_or(0, |numbers| numbers.sale);
                DialectCall::post(format!("/api/flash-sale/attempt/{sale}"), json!({}))
            }
            RehearsedDialect::Holds => DialectCall::post("/orders/confirm", self.describe_buyer(account)),
            RehearsedDialect::Drop => {
                DialectCall::post("/api/sale/purchase", json!({"userId": self.name(account)}))
            }
        }
    }

    fn describe_buyer(&self, account: u32) -> Value {
        json!({"email": self.name(account), "flashSaleId": self.sale})
    }

    fn name(&self, account: u32) -> &str {
        self.names.get(account as usize).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn sale_of(dialect: RehearsedDialect) -> DialectSale {
        let numbers = Some(IntegerIds { sale: 7, product: 3 });
        let names = vec!["ann@example.com".to_owned()];
        DialectSale { dialect, sale: SaleId(Uuid::nil()), numbers, run: "r1".to_owned(), names }
    }

    #[test]
    fn each_client_purchases_in_its_own_way() {
        let purchase = |dialect| sale_of(dialect).build_call(BuyerAction::Purchase { key: 5 }, 0);
        let drop = purchase(RehearsedDialect::Drop);
        assert_eq!(drop.path, "/api/sale/purchase");
        assert_eq!(drop.body, Some(json!({"userId": "ann@example.com"})));
        let turnstile = purchase(RehearsedDialect::Turnstile);
        assert_eq!(turnstile.path, "/api/buy");
        assert_eq!(turnstile.idempotency_key.as_deref(), Some("r1-0-0000000000000005"));
        assert_eq!(purchase(RehearsedDialect::Attempts).path, "/api/flash-sale/attempt/7");
        let holds = purchase(RehearsedDialect::Holds);
        assert_eq!(holds.path, "/orders/confirm");
        assert_eq!(holds.body, Some(json!({"email": "ann@example.com", "flashSaleId": Uuid::nil()})));
        assert!([drop, turnstile, holds].iter().all(|call| call.method == Method::POST));
    }

    #[test]
    fn each_client_reads_its_purchase_in_its_own_way() {
        let job = Some(Uuid::nil());
        let path = |dialect| sale_of(dialect).build_call(BuyerAction::ReadPurchase { job }, 0).path;
        assert_eq!(path(RehearsedDialect::Drop), "/api/sale/user/ann@example.com");
        assert_eq!(path(RehearsedDialect::Turnstile), format!("/api/buy/{}", Uuid::nil()));
        assert_eq!(path(RehearsedDialect::Attempts), "/api/orders/status/3");
        let by_email = format!("/orders/by-email?email=ann@example.com&flashSaleId={}", Uuid::nil());
        assert_eq!(path(RehearsedDialect::Holds), by_email);
        assert_eq!(sale_of(RehearsedDialect::Holds).build_call(BuyerAction::Join, 0).path, "/orders/buy");
    }
}
