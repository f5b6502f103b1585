//! What the tests of the catalogue and of sales have in common: an admin with a product and a sale.

use crate::support::{HttpReply, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use sale::Timestamp;
use serde_json::{Value, json};
use test_servers::wait::{HANG_LIMIT, eventually_some};

/// An admin of a shop.
pub struct Merchant<'a> {
    pub app: &'a TestApp,
    pub token: String,
}

impl<'a> Merchant<'a> {
    pub async fn sign_in(app: &'a TestApp) -> Self {
        Self { app, token: app.admin().await.access }
    }

    pub async fn post(&self, path: &str, body: &Value) -> HttpReply {
        self.app.post_as(&self.token, &format!("/api/v1/admin{path}"), body).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> HttpReply {
        let request = self.app.request(Method::PATCH, &format!("/api/v1/admin{path}"));
        HttpReply::send(request.bearer_auth(&self.token).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> HttpReply {
        let request = self.app.request(Method::DELETE, &format!("/api/v1/admin{path}"));
        HttpReply::send(request.bearer_auth(&self.token)).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let reply = self.app.get_as(&self.token, &format!("/api/v1/admin{path}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()
    }

    /// Makes a product, and returns its id.
    pub async fn product(&self, name: &str) -> String {
        let reply = self.post("/products", &json!({"name": name, "price": eur(4999)})).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        id(&reply.json())
    }

    /// A sale of a new product that runs now for an hour, with these fields on top.
    pub fn sale_body(&self, product: &str, more: &Value) -> Value {
        let mut body = json!({
            "productId": product,
            "price": eur(2999),
            "quantity": 10,
            "startsAt": self.moment(-1_000),
            "endsAt": self.moment(3_600_000),
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    /// Makes such a sale, and returns its id.
    pub async fn sale(&self, more: &Value) -> String {
        let product = self.product("A thing").await;
        let reply = self.post("/flash-sales", &self.sale_body(&product, more)).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        id(&reply.json())
    }

    /// A moment so many milliseconds from the shop's now, as on the wire.
    pub fn moment(&self, ms: i64) -> String {
        server::http::v1::rfc3339(self.now().plus_ms(ms))
    }

    pub fn now(&self) -> Timestamp {
        self.app.instance.app.shop.engine.now()
    }
}

/// Orders units for a buyer.
pub async fn order(app: &TestApp, buyer: &SignedInUser, sale: &str, quantity: u32) -> HttpReply {
    app.post_as(&buyer.access, "/api/v1/orders", &json!({"flashSaleId": sale, "quantity": quantity})).await
}

/// The same with an idempotency key.
pub async fn order_with_key(
    app: &TestApp,
    buyer: &SignedInUser,
    sale: &str,
    quantity: u32,
    key: &str,
) -> HttpReply {
    let request = app.request(Method::POST, "/api/v1/orders").bearer_auth(&buyer.access);
    let body = json!({"flashSaleId": sale, "quantity": quantity});
    HttpReply::send(request.header("idempotency-key", key).json(&body)).await
}

/// Pays an order with a method of the sandbox, such as `approve`.
pub async fn pay(app: &TestApp, buyer: &SignedInUser, order: &str, method: &str) -> HttpReply {
    let body = json!({"method": format!("sandbox:{method}")});
    app.post_as(&buyer.access, &format!("/api/v1/orders/{order}/pay"), &body).await
}

pub async fn join_line(app: &TestApp, buyer: &SignedInUser, sale: &str) -> HttpReply {
    app.post_as(&buyer.access, "/api/v1/queue/join", &json!({"flashSaleId": sale})).await
}

/// A buyer's place in line.
pub async fn position(app: &TestApp, buyer: &SignedInUser, sale: &str) -> Value {
    find_place(app, buyer, sale).await.json()
}

/// The reply about a buyer's place.
pub async fn find_place(app: &TestApp, buyer: &SignedInUser, sale: &str) -> HttpReply {
    app.get_as(&buyer.access, &format!("/api/v1/queue/position?flashSaleId={sale}")).await
}

/// The place in line of a buyer, once admitted.
pub async fn wait_until_admitted(app: &TestApp, buyer: &SignedInUser, sale: &str) -> Value {
    eventually_some("admission", HANG_LIMIT, async || {
        Some(position(app, buyer, sale).await).filter(|place| place["status"] == "admitted")
    })
    .await
}

pub fn assert_refused(reply: &HttpReply, status: u16, code: &str) {
    assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (status, code), "{reply:?}");
}

pub fn eur(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

pub fn id(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

/// The fields that a reply complains about, in order of their names.
pub fn error_pointers(reply: &HttpReply) -> Vec<String> {
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{reply:?}");
    let body = reply.json();
    let errors = body["errors"].as_array().unwrap_or_else(|| panic!("no fields: {body}"));
    let mut pointers: Vec<String> =
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
    pointers.sort();
    pointers
}
