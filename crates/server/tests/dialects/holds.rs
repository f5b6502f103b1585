//! The dialect `holds`, as the clients of its design use it.

use crate::client::{DialectClient, DialectReply};
use crate::merchant::Merchant;
use crate::support::{ADMIN_EMAIL, PASSWORD, TestApp};
use futures::future::join_all;
use reqwest::Method;
use sale::Money;
use serde_json::{Value, json};
use server::commands::settings::Serve;
use server::http::dialects::Dialect;
use server::http::dialects::holds::check_payments;
use server::http::v1::rfc3339;
use server::shop::checkout::find_unpayable_sale;
use server::shop::follower_progress::CatchUpTimeouts;
use server::shop::guests::{DialectGuest, GuestOrigin};
use server::shop::single_orders::{OtherOrders, SinglePurchase, buy_one};
use server::store::payments::{self, BeginResult, NewPayment, PaymentLease, PaymentRow, PaymentState};
use std::sync::Arc;
use test_servers::postgres::PostgresServer;
use test_servers::redis::RedisServer;
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};

const FLAGS: [&str; 4] = ["--limits", "off", "--dialects", "holds=127.0.0.1:0"];
const OPEN: [&str; 2] = ["--dialect-admin", "open"];

/// A shop whose dialect has an admin, who is signed in.
struct Fixture {
    app: TestApp,
    client: DialectClient,
    token: String,
}

impl Fixture {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(more: &[&str]) -> Self {
        let app = TestApp::start_with(&[&FLAGS[..], more].concat()).await;
        Self::of(app).await
    }

    async fn of(app: TestApp) -> Self {
        let client = DialectClient::of(&app, Dialect::Holds);
        let body = json!({"email": ADMIN_EMAIL, "password": PASSWORD});
        let token = text(&client.post("/auth/signin", &body).await.expect(200), "token");
        Self { app, client, token }
    }

    async fn restart(self) -> Self {
        Self::of(self.app.restart().await).await
    }

    /// A moment so many seconds from the shop's now.
    fn moment(&self, seconds: i64) -> String {
        rfc3339(self.app.instance.app.shop.engine.now().plus_ms(seconds * 1_000))
    }

    /// The fields of a sale that began a minute ago, with these on top.
    fn sale_body(&self, quantity: u32, more: &Value) -> Value {
        let mut body = json!({
            "name": "Limited Lamp",
            "description": "It glows.",
            "startsAt": self.moment(-60),
            "endsAt": self.moment(3_600),
            "initialQuantity": quantity,
            "pricePerUnit": 99.99,
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    /// Makes such a sale, and returns its id.
    async fn sale(&self, quantity: u32, more: &Value) -> String {
        let made = self.client.post_as(&self.token, "/flash-sales", &self.sale_body(quantity, more)).await;
        text(&made.expect(201), "id")
    }

    async fn buy(&self, email: &str, sale: &str) -> DialectReply {
        self.client.post("/orders/buy", &json!({"email": email, "flashSaleId": sale})).await
    }

    async fn confirm(&self, email: &str, sale: &str) -> DialectReply {
        self.client.post("/orders/confirm", &json!({"email": email, "flashSaleId": sale})).await
    }

    async fn position(&self, email: &str, sale: &str) -> Value {
        let path = format!("/orders/position?flashSaleId={sale}&email={email}");
        self.client.get(&path).await.expect(200)
    }

    /// Joins the line, and waits for the hold.
    async fn hold(&self, email: &str, sale: &str) -> Value {
        self.buy(email, sale).await.expect(200);
        eventually_some("a hold", HANG_LIMIT, async || {
            Some(self.position(email, sale).await).filter(|place| place["status"] == "ready")
        })
        .await
    }

    /// Joins the line and confirms the hold; returns the order's id.
    async fn purchase(&self, email: &str, sale: &str) -> String {
        self.hold(email, sale).await;
        text(&self.confirm(email, sale).await.expect(200), "orderId")
    }

    async fn get(&self, path: &str) -> Value {
        self.client.get_as(&self.token, path).await.expect(200)
    }

    async fn put(&self, sale: &str, body: &Value) -> DialectReply {
        let request = self.client.request(Method::PUT, &format!("/flash-sales/{sale}"));
        DialectReply::send(request.bearer_auth(&self.token).json(body)).await
    }

    async fn delete(&self, sale: &str) -> Value {
        let request = self.client.request(Method::DELETE, &format!("/flash-sales/{sale}"));
        DialectReply::send(request.bearer_auth(&self.token)).await.expect(200)
    }

    /// Pauses, resumes or closes a sale by the native API.
    async fn act(&self, sale: &str, action: &str) {
        let path = format!("/api/v1/admin/flash-sales/{sale}/{action}");
        let reply = self.app.post_as(&self.token, &path, &json!({})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// What the sale's meta says.
    async fn meta(&self, sale: &str) -> Value {
        self.client.get(&format!("/flash-sales/{sale}/public")).await.expect(200)["meta"].clone()
    }

    /// Leaves a buyer's order pending, as a process does that dies between the order and its payment.
    async fn leave_order_unpaid(&self, email: &str, sale: &str) -> String {
        let shop = &self.app.instance.app.shop;
        let buyer = DialectGuest::new(GuestOrigin::Holds, email).unwrap().buyer();
        let sale = sale.parse().unwrap();
        match buy_one(shop, sale, buyer, OtherOrders::Impossible).await.unwrap() {
            SinglePurchase::Bought { order, .. } => order.view.id.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

fn text(document: &Value, field: &str) -> String {
    document[field].as_str().unwrap_or_else(|| panic!("no {field}: {document}")).to_owned()
}

/// Fails unless the document has all of these fields.
fn assert_fields(document: &Value, fields: &[&str]) {
    for field in fields {
        assert!(document.get(field).is_some(), "no {field}: {document}");
    }
}

const SALE_FIELDS: [&str; 13] = [
    "_id",
    "id",
    "name",
    "description",
    "startsAt",
    "endsAt",
    "initialQuantity",
    "startingQuantity",
    "currentQuantity",
    "pricePerUnit",
    "status",
    "createdAt",
    "updatedAt",
];

const ORDER_FIELDS: [&str; 9] = [
    "_id",
    "id",
    "userEmail",
    "flashSaleId",
    "flashSaleName",
    "paymentStatus",
    "totalAmount",
    "createdAt",
    "updatedAt",
];

fn none() -> Value {
    json!({"item": null, "meta": {"status": "not_found", "soldOut": false}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_from_the_line_to_sold_out() {
    let shop = Fixture::start().await;
    let sale = shop.sale(2, &json!({})).await;
    let joined = shop.buy(" Ada@Example.com ", &sale).await.expect(200);
    assert_fields(&joined, &["jobId", "position", "size", "hasActiveHold", "holdTtlSec"]);
    assert_eq!(joined["queued"], true);
    assert_eq!(joined["position"], 1);
    assert_eq!(joined["size"], 1);
    assert_eq!(joined["email"], "ada@example.com");
    assert_eq!(joined["flashSaleId"], json!(sale));

    let ready = shop.hold("ada@example.com", &sale).await;
    assert_eq!(
        (&ready["position"], &ready["hasActiveHold"], &ready["size"]),
        (&json!(1), &json!(true), &json!(1))
    );
    let seconds = ready["holdTtlSec"].as_u64().unwrap();
    assert!((890..=900).contains(&seconds), "{ready}");
    assert!(ready["ts"].as_i64().unwrap() > 1_700_000_000_000, "{ready}");
    let again = shop.buy("ADA@example.com", &sale).await.expect(200);
    assert_eq!((&again["hasActiveHold"], &again["jobId"]), (&json!(true), &joined["jobId"]));
    assert_eq!(shop.meta(&sale).await["progress"]["remaining"], 2, "holds lower nothing");

    let bought = shop.confirm("ada@example.com", &sale).await.expect(200);
    assert_eq!((&bought["ok"], &bought["inventoryLeft"]), (&json!(true), &json!(1)));
    let repeated = shop.confirm(" ADA@example.com", &sale).await.expect(200);
    assert_eq!(repeated["orderId"], bought["orderId"]);
    let owner = shop.buy("ada@example.com", &sale).await;
    assert!(owner.message(409).contains("already purchased"));
    assert_eq!(owner.json()["orderId"], bought["orderId"]);
    assert_eq!(shop.position("ada@example.com", &sale).await["status"], "none");

    shop.purchase("bob@example.com", &sale).await;
    let late = shop.buy("eve@example.com", &sale).await;
    assert!(late.message(409).contains("Sold out"));
    assert_eq!(late.json()["code"], "sold_out");
    assert!(shop.buy("bob@example.com", &sale).await.message(409).contains("already purchased"));
    assert!(shop.confirm("eve@example.com", &sale).await.message(409).contains("Sold out"));
    let meta = shop.meta(&sale).await;
    assert_eq!((&meta["soldOut"], &meta["status"]), (&json!(true), &json!("ongoing")));
    assert_eq!(meta["progress"], json!({"remaining": 0, "starting": 2, "ratio": 0.0}));

    let orders = shop.client.get("/orders/by-email?email=Ada%40example.com").await.expect(200);
    assert_eq!((&orders["total"], &orders["page"], &orders["limit"]), (&json!(1), &json!(1), &json!(20)));
    let order = &orders["items"][0];
    assert_fields(order, &ORDER_FIELDS);
    assert_eq!(order["_id"], bought["orderId"]);
    assert_eq!((&order["paymentStatus"], &order["userEmail"]), (&json!("paid"), &json!("ada@example.com")));
    assert_eq!((&order["flashSaleId"], &order["flashSaleName"]), (&json!(sale), &json!("Limited Lamp")));
    let raw = shop.client.get("/orders/by-email?email=ada@example.com").await;
    assert!(String::from_utf8_lossy(&raw.body).contains("\"totalAmount\":99.99,"), "{raw:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_on_both_layers_of_paths() {
    let shop = Fixture::start_with(&OPEN).await;
    for (number, (up, into, out)) in [
        ("/auth/signup", "/auth/signin", "/auth/signout"),
        ("/auth/sign-up/email", "/auth/sign-in/email", "/auth/sign-out"),
        ("/api/auth/sign-up/email", "/api/auth/sign-in/email", "/api/auth/sign-out"),
    ]
    .into_iter()
    .enumerate()
    {
        // The part before the `@` is the same for all, and so is a username of an account.
        let email = format!("Boss@shop{number}.example");
        let body = json!({"email": email, "password": "secret", "rememberMe": true, "callbackURL": "/"});
        let made = shop.client.post(up, &body).await.expect(201);
        let user = &made["user"];
        assert_fields(user, &["id", "image", "emailVerified", "createdAt", "updatedAt"]);
        assert_eq!((&user["email"], &user["name"]), (&json!(email.to_lowercase()), &json!("boss")));
        let signed_in = shop.client.post(into, &body).await.expect(200);
        assert_eq!(signed_in["user"]["id"], user["id"]);
        let token = text(&signed_in, "token");
        let session = shop.client.get_as(&token, "/api/auth/get-session").await.expect(200);
        assert_eq!(session["session"]["userId"], user["id"]);
        assert!(text(&session["session"], "expiresAt").ends_with('Z'));
        assert_eq!(session["user"]["email"], user["email"]);
        shop.client.get_as(&token, "/flash-sales").await.expect(200);
        let request =
            shop.client.request(Method::POST, out).header("authorization", format!("bearer {token}"));
        assert_eq!(DialectReply::send(request).await.expect(200), json!({"ok": true}));
        assert!(shop.client.get_as(&token, "/flash-sales").await.message(401).contains("Unauthorized"));
        let nobody = DialectReply::send(shop.client.request(Method::POST, out)).await;
        assert_eq!(nobody.expect(200), json!({"ok": true}));
        shop.client.post_raw(out, Some("application/json"), "{x").await.expect(400);
    }
    shop.client.post_raw("/flash-sales", Some("application/json"), "{x").await.expect(401);
    let named = json!({"email": "ada@shop.example", "password": "secret", "name": "Ada Lovelace"});
    assert_eq!(shop.client.post("/auth/signup", &named).await.expect(201)["user"]["name"], "Ada Lovelace");
    assert_eq!(shop.client.post("/auth/signup", &named).await.expect(409)["statusCode"], 409);
    for bad in [
        json!({"password": "secret"}),
        json!({"email": "x@shop.example"}),
        json!({"email": "x@shop.example", "password": "short"}),
        json!({"email": "nobody", "password": "secret"}),
    ] {
        assert_eq!(shop.client.post("/auth/signup", &bad).await.expect(400)["code"], "FST_ERR_VALIDATION");
    }
    for wrong in [
        json!({"email": "ada@shop.example", "password": "wrong one"}),
        json!({"email": "nobody@shop.example", "password": "secret"}),
        json!({"email": "nobody", "password": "secret"}),
    ] {
        assert_eq!(shop.client.post("/auth/signin", &wrong).await.expect(401)["error"], "Unauthorized");
    }
    let form = "email=ada%40shop.example&password=secret";
    shop.client.post_raw("/auth/signin", None, form).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_shop_takes_no_sign_ups_and_no_buyers_as_admins() {
    let shop = Fixture::start().await;
    let body = json!({"email": "ada@example.com", "password": "secret"});
    for path in ["/auth/signup", "/auth/sign-up/email", "/api/auth/sign-up/email"] {
        let refused = shop.client.post(path, &body).await;
        assert!(refused.message(401).contains("doorbuster admin create"));
        assert_eq!(refused.header("www-authenticate"), "Bearer");
        shop.client.post_raw(path, Some("application/json"), "{x").await.expect(401);
    }
    let buyer = shop.app.register("ada").await;
    let sale = shop.sale(1, &json!({})).await;
    for (method, path) in [
        (Method::GET, "/flash-sales".to_owned()),
        (Method::POST, "/flash-sales".to_owned()),
        (Method::GET, format!("/flash-sales/{sale}")),
        (Method::PUT, format!("/flash-sales/{sale}")),
        (Method::DELETE, format!("/flash-sales/{sale}")),
        (Method::GET, "/orders/admin/list".to_owned()),
        (Method::GET, "/orders/admin/list-admin".to_owned()),
        (Method::GET, format!("/orders/admin/queue/{sale}/overview")),
        (Method::GET, format!("/orders/admin/queue/overview?flashSaleId={sale}")),
        (Method::GET, format!("/orders/admin/queue/{sale}/members")),
        (Method::GET, format!("/orders/admin/queue/members?flashSaleId={sale}")),
        (Method::GET, format!("/orders/admin/queue/audit?flashSaleId={sale}")),
    ] {
        let anonymous = DialectReply::send(shop.client.request(method.clone(), &path)).await;
        assert!(anonymous.message(401).contains("Unauthorized"), "{path}");
        assert_eq!(anonymous.header("www-authenticate"), "Bearer", "{path}");
        let forged =
            DialectReply::send(shop.client.request(method.clone(), &path).bearer_auth("forged")).await;
        assert!(forged.message(401).contains("Unauthorized"), "{path}");
        let by_buyer = shop.client.request(method, &path).bearer_auth(&buyer.access);
        assert_eq!(DialectReply::send(by_buyer).await.expect(403)["error"], "Forbidden", "{path}");
    }
    assert!(shop.client.get("/api/auth/get-session").await.message(401).contains("Unauthorized"));
    // A buyer has a session, though not an admin's; and a doubled word before the token is none of the buyer's business.
    let request = shop.client.request(Method::GET, "/api/auth/get-session");
    let request = request.header("authorization", format!("Bearer Bearer {}", buyer.access));
    assert_eq!(DialectReply::send(request).await.expect(200)["session"]["userId"], json!(buyer.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_see_the_running_sale_that_started_first_else_the_next() {
    let shop = Fixture::start().await;
    let current = "/flash-sales/public/sale";
    assert_eq!(shop.client.get(current).await.expect(200), none());
    let far = shop.sale(1, &json!({"startsAt": shop.moment(900)})).await;
    let next = shop.sale(1, &json!({"startsAt": shop.moment(600)})).await;
    let shown = shop.client.get(current).await.expect(200);
    assert_eq!((&shown["item"]["id"], &shown["meta"]["status"]), (&json!(next), &json!("upcoming")));
    assert!(shown["meta"]["startsAt"].as_str().unwrap() > shop.moment(0).as_str());
    let second = shop.sale(1, &json!({"startsAt": shop.moment(-100)})).await;
    let first = shop.sale(1, &json!({"startsAt": shop.moment(-200)})).await;
    shop.sale(1, &json!({"startsAt": shop.moment(-300), "endsAt": shop.moment(-250)})).await;
    assert_eq!(shop.client.get(current).await.expect(200)["item"]["_id"], json!(first));
    shop.act(&first, "pause").await;
    let paused = shop.client.get(current).await.expect(200);
    assert_eq!((&paused["item"]["id"], &paused["meta"]["status"]), (&json!(first), &json!("ongoing")));
    shop.act(&first, "close").await;
    assert_eq!(shop.client.get(current).await.expect(200)["item"]["id"], json!(second));
    for sale in [&second, &next] {
        shop.act(sale, "close").await;
    }
    assert_eq!(shop.client.get(current).await.expect(200)["item"]["id"], json!(far));
    shop.act(&far, "close").await;
    assert_eq!(shop.client.get(current).await.expect(200), none());

    let named = shop.client.get(&format!("{current}?flashSaleId={first}")).await.expect(200);
    assert_eq!((&named["item"]["status"], &named["meta"]["status"]), (&json!("cancelled"), &json!("ended")));
    for unknown in ["0190f3a4-0000-7000-8000-000000000000", "507f1f77bcf86cd799439011"] {
        assert_eq!(shop.client.get(&format!("{current}?flashSaleId={unknown}")).await.expect(200), none());
        let by_path = shop.client.get(&format!("/flash-sales/{unknown}/public")).await.expect(404);
        assert_eq!((&by_path["item"], &by_path["meta"]), (&none()["item"], &none()["meta"]));
        assert_eq!(by_path["statusCode"], 404);
    }
    assert_eq!(shop.client.get("/flash-sales/%FF/public").await.expect(404)["meta"], none()["meta"]);
    let public = shop.client.get(&format!("/flash-sales/{second}/public")).await.expect(200);
    assert_fields(&public, &SALE_FIELDS);
    assert_fields(&public["item"], &SALE_FIELDS);
    assert_fields(&public["meta"], &["status", "soldOut", "progress", "startsAt", "endsAt"]);
    assert_eq!((&public["initialQuantity"], &public["startingQuantity"]), (&json!(1), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_is_refused_in_the_words_of_the_clients() {
    let shop = Fixture::start().await;
    let sale = shop.sale(1, &json!({})).await;
    for (field, body) in [
        ("email", json!({"flashSaleId": sale})),
        ("flashSaleId", json!({"email": "ada@example.com"})),
        ("both", json!({})),
        ("blank", json!({"email": " ", "flashSaleId": sale})),
    ] {
        for path in ["/orders/buy", "/orders/confirm"] {
            let refused = shop.client.post(path, &body).await;
            assert!(refused.message(400).contains("required"), "{field}");
            assert_eq!(refused.json()["code"], "FST_ERR_VALIDATION");
        }
    }
    assert_eq!(shop.buy("nobody", &sale).await.expect(400)["code"], "FST_ERR_VALIDATION");
    for unknown in ["0190f3a4-0000-7000-8000-000000000000", "507f1f77bcf86cd799439011", "12"] {
        assert_eq!(shop.buy("ada@example.com", unknown).await.expect(404)["error"], "Not Found");
        shop.confirm("ada@example.com", unknown).await.expect(404);
    }
    let early = shop.sale(1, &json!({"startsAt": shop.moment(600)})).await;
    assert!(shop.buy("ada@example.com", &early).await.message(409).contains("not started"));
    let over = shop.sale(1, &json!({"startsAt": shop.moment(-60), "endsAt": shop.moment(-30)})).await;
    assert!(shop.buy("ada@example.com", &over).await.message(409).contains("ended"));
    let closed = shop.sale(1, &json!({})).await;
    shop.act(&closed, "close").await;
    assert!(shop.buy("ada@example.com", &closed).await.message(409).contains("ended"));
    let merchant = Merchant::sign_in(&shop.app).await;
    let native = merchant.sale(&json!({})).await;
    let refused = shop.buy("ada@example.com", &native).await;
    assert!(refused.message(409).contains("line"));
    assert_eq!(refused.json()["code"], "no_line");
    assert!(shop.confirm("ada@example.com", &native).await.message(410).contains("expired"));
    assert_eq!(shop.meta(&native).await["status"], "ongoing", "a native sale is shown");
    let form = format!("email=ada%40example.com&flashSaleId={sale}");
    assert_eq!(shop.client.post_raw("/orders/buy", None, &form).await.expect(200)["queued"], true);
    assert_eq!(shop.client.get("/nowhere").await.expect(404)["error"], "Not Found");
    assert_eq!(
        shop.client.post_raw("/orders/buy", Some("application/json"), "{").await.expect(400)["statusCode"],
        400
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_is_always_answered() {
    let shop = Fixture::start_with(&["--holds-seconds", "30"]).await;
    let sale = shop.sale(1, &json!({})).await;
    let outside = shop.position("ada@example.com", &sale).await;
    assert_fields(&outside, &["status", "position", "size", "hasActiveHold", "holdTtlSec", "email", "ts"]);
    assert_eq!((&outside["status"], &outside["position"]), (&json!("none"), &Value::Null));
    let guests: i64 = {
        let database = shop.app.database().await;
        sqlx::query_scalar("SELECT COUNT(*) FROM guests").fetch_one(&database).await.unwrap()
    };
    assert_eq!(guests, 0, "a read stores nothing");
    for path in [
        "/orders/position?flashSaleId=507f1f77bcf86cd799439011&email=ada@example.com",
        "/orders/position?email=ada@example.com",
        "/orders/position",
        "/orders/position?flashSaleId=&email=",
        "/orders/position?flashSaleId=%00&email=%00",
    ] {
        let unknown = shop.client.get(path).await.expect(200);
        assert_eq!((&unknown["status"], &unknown["size"]), (&json!("none"), &json!(0)), "{path}");
    }

    shop.hold("ada@example.com", &sale).await;
    let waiting = shop.buy("bob@example.com", &sale).await.expect(200);
    assert_eq!((&waiting["position"], &waiting["size"]), (&json!(1), &json!(2)), "also if all is held");
    shop.buy("eve@example.com", &sale).await.expect(200);
    let eve = shop.position("eve@example.com", &sale).await;
    assert_eq!((&eve["status"], &eve["position"], &eve["size"]), (&json!("queued"), &json!(2), &json!(3)));
    assert_eq!((&eve["hasActiveHold"], &eve["holdTtlSec"]), (&json!(false), &json!(0)));
    let ada = shop.position("ada@example.com", &sale).await;
    assert_eq!((&ada["status"], &ada["position"]), (&json!("ready"), &json!(1)));

    // Ada's hold runs out, and the next in line gets one.
    shop.app.shift_clock(31_000);
    let bob = eventually_some("the next hold", HANG_LIMIT, async || {
        Some(shop.position("bob@example.com", &sale).await).filter(|place| place["status"] == "ready")
    });
    assert!(bob.await["holdTtlSec"].as_u64().unwrap() <= 30);
    assert_eq!(shop.position("ada@example.com", &sale).await["status"], "none");
    assert!(shop.confirm("ada@example.com", &sale).await.message(410).contains("expired"));
    let again = shop.buy("ada@example.com", &sale).await.expect(200);
    assert_eq!((&again["position"], &again["size"]), (&json!(2), &json!(3)), "at the end");
    assert!(shop.confirm("ada@example.com", &sale).await.message(410).contains("expired"), "not yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_stands_still_in_a_pause_and_outlives_the_sale() {
    let shop = Fixture::start().await;
    let sale = shop.sale(5, &json!({"endsAt": shop.moment(600)})).await;
    assert!(shop.confirm("eve@example.com", &sale).await.message(410).contains("expired"), "never had one");
    let before = shop.hold("ada@example.com", &sale).await["holdTtlSec"].as_u64().unwrap();
    shop.act(&sale, "pause").await;
    assert!(shop.confirm("ada@example.com", &sale).await.message(409).contains("paused"));
    shop.app.shift_clock(120_000);
    let paused = shop.position("ada@example.com", &sale).await;
    assert_eq!(paused["status"], "ready");
    assert!(before - paused["holdTtlSec"].as_u64().unwrap() < 60, "{before} {paused}");
    assert_eq!(
        shop.buy("bob@example.com", &sale).await.expect(200)["hasActiveHold"],
        false,
        "a line may be joined"
    );
    shop.act(&sale, "resume").await;
    shop.hold("bob@example.com", &sale).await;
    shop.app.shift_clock(500_000);
    assert_eq!(shop.meta(&sale).await["status"], "ended");
    assert!(shop.buy("eve@example.com", &sale).await.message(409).contains("ended"));
    let kept = shop.buy("ada@example.com", &sale).await.expect(200);
    assert_eq!(kept["hasActiveHold"], true);
    let bought = shop.confirm("ada@example.com", &sale).await.expect(200);
    assert_eq!(bought["inventoryLeft"], 4);
    shop.app.shift_clock(900_000);
    assert!(shop.confirm("bob@example.com", &sale).await.message(410).contains("expired"));
    assert_eq!(shop.confirm("ada@example.com", &sale).await.expect(200)["orderId"], bought["orderId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_fifty_times_at_once_is_one_call() {
    let shop = Fixture::start().await;
    let sale = shop.sale(3, &json!({})).await;
    let joined = join_all((0..50).map(|_| shop.buy("ada@example.com", &sale))).await;
    for reply in joined {
        assert_eq!(reply.expect(200)["size"], 1);
    }
    shop.hold("ada@example.com", &sale).await;
    let confirmed = join_all((0..50).map(|_| shop.confirm("ada@example.com", &sale))).await;
    let first = confirmed[0].expect(200)["orderId"].clone();
    for reply in &confirmed {
        let reply = reply.expect(200);
        assert_eq!((&reply["orderId"], &reply["inventoryLeft"]), (&first, &json!(2)));
    }
    let orders = shop.get("/orders/admin/list").await;
    assert_eq!(orders["total"], 1);
    let payments: i64 = {
        let database = shop.app.database().await;
        sqlx::query_scalar("SELECT COUNT(*) FROM payments").fetch_one(&database).await.unwrap()
    };
    assert_eq!(payments, 1, "one charge");

    let emails: Vec<String> = (0..20).map(|number| format!("buyer{number}@example.com")).collect();
    join_all(emails.iter().map(|email| shop.buy(email, &sale))).await.iter().for_each(|reply| {
        reply.expect(200);
    });
    eventually("two are sold", HANG_LIMIT, async || {
        join_all(emails.iter().map(|email| shop.confirm(email, &sale))).await;
        shop.meta(&sale).await["soldOut"] == true
    })
    .await;
    assert_eq!(shop.get("/orders/admin/list").await["total"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_left_unpaid_is_paid_by_the_next_confirmation() {
    let shop = Fixture::start().await;
    let sale = shop.sale(1, &json!({})).await;
    shop.hold("ada@example.com", &sale).await;
    let order = shop.leave_order_unpaid("ada@example.com", &sale).await;
    let shop = shop.restart().await;
    let place = shop.position("ada@example.com", &sale).await;
    assert_eq!(
        (&place["status"], &place["position"], &place["size"]),
        (&json!("ready"), &json!(1), &json!(1))
    );
    assert!(place["holdTtlSec"].as_u64().unwrap() > 0);
    assert_eq!(shop.buy("ada@example.com", &sale).await.expect(200)["hasActiveHold"], true);
    let listed = shop.client.get("/orders/by-email?email=ada@example.com").await.expect(200);
    assert_eq!(listed["items"][0]["paymentStatus"], "pending");
    assert_eq!(shop.meta(&sale).await["progress"]["remaining"], 1);
    let bought = shop.confirm("ada@example.com", &sale).await.expect(200);
    assert_eq!((text(&bought, "orderId"), &bought["inventoryLeft"]), (order, &json!(0)));
    let listed = shop.client.get("/orders/by-email?email=ada@example.com").await.expect(200);
    assert_eq!((&listed["total"], &listed["items"][0]["paymentStatus"]), (&json!(1), &json!("paid")));

    // A refund ends the order; the buyer may buy again.
    shop.put(&sale, &json!({"initialQuantity": 2})).await.expect(200);
    let order = text(&bought, "orderId");
    let path = format!("/api/v1/admin/orders/{order}/refund");
    let refunded = shop.app.post_as(&shop.token, &path, &json!({"restock": true})).await;
    assert_eq!(refunded.status, 200, "{refunded:?}");
    assert!(shop.confirm("ada@example.com", &sale).await.message(410).contains("expired"));
    assert_ne!(shop.purchase("ada@example.com", &sale).await, order);
    let listed = shop.client.get("/orders/by-email?email=ada@example.com").await.expect(200);
    let statuses: Vec<&Value> =
        listed["items"].as_array().unwrap().iter().map(|order| &order["paymentStatus"]).collect();
    assert_eq!(statuses, ["paid", "refunded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_are_made_shown_and_listed() {
    let shop = Fixture::start_with(&["--holds-per-second", "7", "--holds-seconds", "60"]).await;
    let soon = shop.moment(5);
    for (field, more) in [
        ("name", json!({"name": null})),
        ("startsAt", json!({"startsAt": null})),
        ("endsAt", json!({"endsAt": null})),
        ("initialQuantity", json!({"initialQuantity": null})),
        ("quantity below 1", json!({"initialQuantity": 0})),
        ("no whole number", json!({"initialQuantity": 1.5})),
        ("negative price", json!({"pricePerUnit": -1})),
        ("three decimals", json!({"pricePerUnit": 1.001})),
        ("no price", json!({"pricePerUnit": "cheap"})),
        ("end equal to start", json!({"startsAt": soon, "endsAt": soon})),
        ("end before start", json!({"endsAt": shop.moment(-120)})),
        ("no moment", json!({"startsAt": "tomorrow"})),
    ] {
        let made = shop.client.post_as(&shop.token, "/flash-sales", &shop.sale_body(1, &more)).await;
        let refused = made.expect(400);
        assert_eq!(refused["code"], "FST_ERR_VALIDATION", "{field}: {refused}");
    }
    assert_eq!(shop.get("/flash-sales").await["total"], 0);

    let plain = json!({"name": "Vase", "startsAt": "2020-01-01T01:00:00+01:00", "endsAt": shop.moment(60),
        "startingQuantity": "5"});
    let made = shop.client.post_as(&shop.token, "/flash-sales", &plain).await.expect(201);
    let vase = text(&made, "id");
    let shown = shop.client.get_as(&shop.token, &format!("/flash-sales/{vase}")).await;
    assert!(String::from_utf8_lossy(&shown.body).contains("\"pricePerUnit\":0,"), "{shown:?}");
    let shown = shown.expect(200);
    assert_fields(&shown, &SALE_FIELDS);
    assert_eq!(shown["startsAt"], "2020-01-01T00:00:00.000Z");
    assert_eq!((&shown["initialQuantity"], &shown["status"]), (&json!(5), &json!("OnSchedule")));
    let native = shop.app.get(&format!("/api/v1/flash-sales/{vase}")).await.json();
    assert_eq!(native["payment"], "none");
    assert_eq!(
        (&native["admission"]["perSecond"], &native["admission"]["checkoutSeconds"]),
        (&json!(7), &json!(60))
    );
    assert_eq!((&native["limitPerBuyer"], &native["price"]["currency"]), (&json!(1), &json!("USD")));
    let lamp = shop.sale(1, &json!({"pricePerUnit": "1234.5"})).await;
    let shown = shop.client.get_as(&shop.token, &format!("/flash-sales/{lamp}")).await;
    assert!(String::from_utf8_lossy(&shown.body).contains("\"pricePerUnit\":1234.5,"), "{shown:?}");
    let native = shop.app.get(&format!("/api/v1/flash-sales/{lamp}")).await.json();
    assert_eq!((&native["payment"], &native["price"]["amount"]), (&json!("required"), &json!(123_450)));
    // Without a price it is sold without a payment.
    shop.purchase("ada@example.com", &vase).await;

    let third = shop.sale(1, &json!({})).await;
    let all = shop.get("/flash-sales").await;
    assert_eq!((&all["total"], &all["page"]), (&json!(3), &json!(1)));
    let ids: Vec<String> = all["items"].as_array().unwrap().iter().map(|sale| text(sale, "_id")).collect();
    assert_eq!(ids, [third.clone(), lamp.clone(), vase.clone()]);
    let page = shop.get("/flash-sales?page=2&pageSize=2").await;
    assert_eq!((&page["total"], &page["page"], &page["pageSize"]), (&json!(3), &json!(2), &json!(2)));
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["items"][0]["id"], json!(vase));
    for unknown in ["0190f3a4-0000-7000-8000-000000000000", "507f1f77bcf86cd799439011"] {
        let path = format!("/flash-sales/{unknown}");
        assert!(shop.client.get_as(&shop.token, &path).await.message(404).contains("Not found"));
        assert!(shop.put(unknown, &json!({"name": "x"})).await.message(404).contains("Not found"));
        assert_eq!(shop.delete(unknown).await, json!({"deleted": 0}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_changes_what_differs_or_nothing_at_all() {
    let shop = Fixture::start().await;
    let sale = shop.sale(5, &json!({"startsAt": shop.moment(600)})).await;
    let path = format!("/flash-sales/{sale}");
    let before = shop.get(&path).await;
    // A form sends all fields, in the types of its inputs.
    let mut form = before.clone();
    form["pricePerUnit"] = json!("99.99");
    form["initialQuantity"] = json!("5");
    assert_eq!(shop.put(&sale, &form).await.expect(200), json!({"updated": 0}));
    assert_eq!(shop.put(&sale, &json!({})).await.expect(200), json!({"updated": 0}));
    assert_eq!(shop.put(&sale, &json!({"currentQuantity": 1})).await.expect(200), json!({"updated": 0}));
    assert_eq!(shop.get(&path).await, before);

    form["name"] = json!("Limited Chair");
    form["startingQuantity"] = json!(8);
    form["pricePerUnit"] = json!(10.5);
    form["startsAt"] = json!(shop.moment(700));
    assert_eq!(shop.put(&sale, &form).await.expect(200), json!({"updated": 1}));
    let edited = shop.get(&path).await;
    assert_eq!((&edited["name"], &edited["initialQuantity"]), (&json!("Limited Chair"), &json!(8)));
    assert_eq!((&edited["pricePerUnit"], &edited["startsAt"]), (&json!(10.5), &form["startsAt"]));
    for wrong in [
        json!({"endsAt": form["startsAt"]}),
        json!({"pricePerUnit": 0.001}),
        json!({"initialQuantity": 0}),
        json!({"initialQuantity": 6, "startingQuantity": 7}),
        json!({"status": "sleeping"}),
        json!({"name": ""}),
    ] {
        let refused = shop.put(&sale, &wrong).await.expect(400);
        assert_eq!(refused["code"], "FST_ERR_VALIDATION", "{wrong}: {refused}");
    }

    // Once the line is open, buyers rely on price and quantity, and nothing of a refused edit is kept.
    shop.app.shift_clock(701_000);
    shop.buy("ada@example.com", &sale).await.expect(200);
    let before = shop.get(&path).await;
    for refused in [
        json!({"name": "A trap", "pricePerUnit": 99}),
        json!({"name": "A trap", "initialQuantity": 1, "status": "cancelled"}),
    ] {
        assert_eq!(shop.put(&sale, &refused).await.expect(409)["code"], "promise_made");
        assert_eq!(shop.get(&path).await, before);
    }
    assert_eq!(
        shop.put(&sale, &json!({"name": "Chair", "initialQuantity": 9})).await.expect(200)["updated"],
        1
    );
    assert_eq!(shop.put(&sale, &json!({"status": "cancelled"})).await.expect(200)["updated"], 1);
    let closed = shop.get(&path).await;
    assert_eq!((&closed["status"], &closed["name"]), (&json!("cancelled"), &json!("Chair")));
    assert_eq!(shop.put(&sale, &json!({"status": "cancelled"})).await.expect(200)["updated"], 0);
    shop.put(&sale, &json!({"status": "OnSchedule"})).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_with_a_buyer_is_closed_instead_of_deleted() {
    let shop = Fixture::start().await;
    let (unused, used) = (shop.sale(1, &json!({})).await, shop.sale(1, &json!({})).await);
    shop.buy("ada@example.com", &used).await.expect(200);
    assert_eq!(shop.delete(&unused).await, json!({"deleted": 1}));
    shop.client.get_as(&shop.token, &format!("/flash-sales/{unused}")).await.expect(404);
    assert_eq!(shop.delete(&unused).await, json!({"deleted": 0}));
    assert_eq!(shop.delete(&used).await["deleted"], 1);
    assert_eq!(shop.get(&format!("/flash-sales/{used}")).await["status"], "cancelled");
    shop.delete(&used).await;
    assert_eq!(shop.get("/flash-sales").await["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_whose_line_is_empty_again_is_deleted_unless_it_has_an_order() {
    let shop = Fixture::start_with(&["--holds-seconds", "30"]).await;
    let lapsed = shop.sale(1, &json!({})).await;
    shop.hold("ada@example.com", &lapsed).await;
    let ended = shop.sale(1, &json!({"endsAt": shop.moment(600)})).await;
    for email in ["ada@example.com", "bob@example.com"] {
        shop.buy(email, &ended).await.expect(200);
    }
    let closed = shop.sale(1, &json!({})).await;
    for email in ["ada@example.com", "bob@example.com"] {
        shop.buy(email, &closed).await.expect(200);
    }
    let ordered = shop.sale(1, &json!({})).await;
    shop.hold("ada@example.com", &ordered).await;
    shop.leave_order_unpaid("ada@example.com", &ordered).await;
    let natively = shop.sale(1, &json!({})).await;
    shop.hold("ada@example.com", &natively).await;
    assert_eq!(shop.delete(&lapsed).await, json!({"deleted": 1, "closed": true}), "it has a hold");
    assert_eq!(shop.delete(&closed).await, json!({"deleted": 1, "closed": true}), "it has a line");
    shop.app.shift_clock(1_000_000);
    for sale in [&lapsed, &ended] {
        eventually("the hold is over", HANG_LIMIT, async || {
            shop.get(&format!("/orders/admin/queue/{sale}/overview")).await["activeHolds"] == 0
        })
        .await;
        assert_eq!(shop.delete(sale).await, json!({"deleted": 1}));
        shop.client.get_as(&shop.token, &format!("/flash-sales/{sale}")).await.expect(404);
        assert_eq!(shop.position("ada@example.com", sale).await["status"], "none");
    }
    assert_eq!(shop.delete(&closed).await["closed"], true, "buyers waited when it was closed");
    assert_eq!(shop.delete(&ordered).await["closed"], true, "it has an order, though an expired one");
    // The native call keeps every sale that a buyer was in.
    let native = format!("/api/v1/admin/flash-sales/{natively}");
    let reply = shop.app.request(Method::DELETE, &native).bearer_auth(&shop.token).send().await.unwrap();
    assert_eq!(reply.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_edits_at_once_are_one_edit() {
    let shop = Fixture::start().await;
    let sale = shop.sale(5, &json!({"startsAt": shop.moment(600)})).await;
    for body in [
        json!({"name": "Chair", "initialQuantity": 8, "pricePerUnit": 7}),
        json!({"description": "It stands."}),
        json!({"endsAt": shop.moment(7_200)}),
        json!({"status": "cancelled"}),
    ] {
        let replies = join_all((0..6).map(|_| shop.put(&sale, &body))).await;
        let updated: u64 = replies.iter().map(|reply| reply.expect(200)["updated"].as_u64().unwrap()).sum();
        assert_eq!(updated, 1, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_change_of_a_sale_is_what_a_client_can_see() {
    let shop = Fixture::start().await;
    let sale = shop.sale(5, &json!({"startsAt": shop.moment(600)})).await;
    let path = format!("/flash-sales/{sale}");
    let updated_at = async || text(&shop.get(&path).await, "updatedAt");
    let mut last = updated_at().await;
    assert!(last >= text(&shop.get(&path).await, "createdAt"));
    let mut steps = 0;
    let mut expect_change = |now: String, what: &str| {
        assert!(now > last, "{what}: {now} is not after {last}");
        last = now;
        steps += 1;
    };
    shop.app.shift_clock(1_000);
    shop.put(&sale, &json!({"pricePerUnit": 3})).await.expect(200);
    expect_change(updated_at().await, "price");
    shop.app.shift_clock(1_000);
    shop.put(&sale, &json!({"name": "Chair"})).await.expect(200);
    expect_change(updated_at().await, "name");
    shop.app.shift_clock(1_000);
    shop.put(&sale, &json!({"initialQuantity": 6})).await.expect(200);
    expect_change(updated_at().await, "quantity");
    shop.app.shift_clock(601_000);
    let before = updated_at().await;
    shop.hold("ada@example.com", &sale).await;
    assert_eq!(updated_at().await, before, "a line changes nothing of a sale");
    text(&shop.confirm("ada@example.com", &sale).await.expect(200), "orderId");
    expect_change(updated_at().await, "what remains");
    let public = shop.client.get(&format!("/flash-sales/{sale}/public")).await.expect(200);
    assert_eq!(public["updatedAt"], json!(updated_at().await));
    shop.app.shift_clock(1_000);
    shop.put(&sale, &json!({"status": "cancelled"})).await.expect(200);
    expect_change(updated_at().await, "status");
    assert_eq!(steps, 5);
    let last = updated_at().await;
    let shop = shop.restart().await;
    assert_eq!(text(&shop.get(&path).await, "updatedAt"), last, "also after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_buyer_learns_that_all_is_sold_and_keeps_the_place() {
    let counted =
        ["--dialects", "holds=127.0.0.1:0", "--limit-buy", "100000/1m", "--limit-read", "100000/1m"];
    for flags in [&FLAGS[..], &counted] {
        let shop = Fixture::of(TestApp::start_with(flags).await).await;
        let sale = shop.sale(1, &json!({})).await;
        shop.hold("ada@example.com", &sale).await;
        shop.buy("bob@example.com", &sale).await.expect(200);
        let order = text(&shop.confirm("ada@example.com", &sale).await.expect(200), "orderId");
        for _ in 0..2 {
            let refused = shop.buy("bob@example.com", &sale).await;
            assert!(refused.message(409).contains("Sold out"));
            assert_eq!(refused.json()["code"], "sold_out");
            assert_eq!(shop.position("bob@example.com", &sale).await["status"], "queued");
        }
        let refund = format!("/api/v1/admin/orders/{order}/refund");
        let refunded = shop.app.post_as(&shop.token, &refund, &json!({"restock": true})).await;
        assert_eq!(refunded.status, 200, "{refunded:?}");
        shop.purchase("bob@example.com", &sale).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_holders_and_says_to_others_that_they_have_no_hold() {
    let shop = Fixture::start().await;
    let sale = shop.sale(1, &json!({})).await;
    shop.hold("ada@example.com", &sale).await;
    shop.buy("bob@example.com", &sale).await.expect(200);
    shop.act(&sale, "pause").await;
    assert!(shop.confirm("ada@example.com", &sale).await.message(409).contains("paused"));
    for (email, code) in [("bob@example.com", "not_admitted"), ("eve@example.com", "not_in_line")] {
        let refused = shop.confirm(email, &sale).await;
        assert!(refused.message(410).contains("expired"), "{email}");
        assert_eq!(refused.json()["code"], code);
    }
    shop.act(&sale, "resume").await;
    let sold_out = shop.confirm("ada@example.com", &sale).await.expect(200)["inventoryLeft"].clone();
    assert_eq!(sold_out, 0);
    shop.act(&sale, "pause").await;
    assert!(shop.confirm("eve@example.com", &sale).await.message(409).contains("Sold out"));
    assert_eq!(shop.confirm("ada@example.com", &sale).await.expect(200)["inventoryLeft"], 0, "a repeat");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_confirmation_has_what_is_left_right_after_it() {
    let shop = Fixture::start().await;
    let sale = shop.sale(20, &json!({"pricePerUnit": 0})).await;
    let emails: Vec<String> = (0..12).map(|number| format!("buyer{number}@example.com")).collect();
    join_all(emails.iter().map(|email| shop.hold(email, &sale))).await;
    let confirmed = join_all(emails.iter().map(|email| shop.confirm(email, &sale))).await;
    let mut left: Vec<u64> =
        confirmed.iter().map(|reply| reply.expect(200)["inventoryLeft"].as_u64().unwrap()).collect();
    left.sort_unstable();
    assert_eq!(left, (8..20).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_that_repeat_each_other_are_one_change_and_reads() {
    let flags = ["--dialects", "holds=127.0.0.1:0", "--limit-buy", "3/1h", "--limit-read", "100000/1h"];
    let shop = Fixture::of(TestApp::start_with(&flags).await).await;
    let (sale, other) = (shop.sale(2, &json!({})).await, shop.sale(2, &json!({})).await);
    let joined = join_all((0..20).map(|_| shop.buy("ada@example.com", &sale))).await;
    for reply in &joined {
        assert_eq!(reply.expect(200)["jobId"], joined[0].json()["jobId"]);
    }
    shop.hold("ada@example.com", &sale).await;
    let confirmed = join_all((0..20).map(|_| shop.confirm("ada@example.com", &sale))).await;
    for reply in &confirmed {
        assert_eq!(reply.expect(200)["orderId"], confirmed[0].json()["orderId"]);
    }
    shop.buy("ada@example.com", &sale).await.expect(409);
    // So far two calls changed something. A confirmation without a hold changes nothing.
    shop.confirm("ada@example.com", &other).await.expect(410);
    shop.buy("ada@example.com", &other).await.expect(200);
    shop.confirm("ada@example.com", &sale).await.expect(200);
    shop.buy("ada@example.com", &other).await.expect(200);
    let third = shop.sale(2, &json!({})).await;
    shop.buy("ada@example.com", &third).await.expect(429);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_listed_in_pages_however_far_the_tables_lag() {
    let usual = |settings: &mut Serve| settings.catch_up_timeouts = CatchUpTimeouts::default();
    let shop = Fixture::of(TestApp::start_with_settings(&FLAGS, usual).await).await;
    let (one, other) = (shop.sale(5, &json!({})).await, shop.sale(5, &json!({"name": "Vase"})).await);
    let first = shop.purchase("ada@example.com", &one).await;
    // An account with the same address is another buyer.
    shop.app.register("ada").await;
    eventually("the tables have the order", HANG_LIMIT, async || {
        let database = shop.app.database().await;
        let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM orders WHERE status = 'confirmed'")
            .fetch_one(&database)
            .await
            .unwrap();
        rows == 1
    })
    .await;
    // From here on the tables get nothing.
    let database = shop.app.database().await;
    sqlx::query("ALTER TABLE sale_counters RENAME TO hidden_counters").execute(&database).await.unwrap();
    let mut orders = vec![first];
    for email in ["bob@example.com", "eve@example.com"] {
        orders.push(shop.purchase(email, &one).await);
    }
    orders.push(shop.purchase("ada@example.com", &other).await);
    let newest_first: Vec<String> = orders.iter().rev().cloned().collect();
    for path in ["/orders/admin/list", "/orders/admin/list-admin"] {
        let listed = shop.get(path).await;
        assert_eq!((&listed["total"], &listed["page"], &listed["limit"]), (&json!(4), &json!(1), &json!(20)));
        assert_eq!(ids_of(&listed), newest_first, "{path}");
        assert_fields(&listed["items"][0], &ORDER_FIELDS);
        assert!(listed["items"].as_array().unwrap().iter().all(|order| order["paymentStatus"] == "paid"));
    }
    for (page, expected) in [(1, &newest_first[..3]), (2, &newest_first[3..]), (3, &[][..])] {
        let listed = shop.get(&format!("/orders/admin/list?page={page}&limit=3")).await;
        assert_eq!((&listed["total"], ids_of(&listed)), (&json!(4), expected.to_vec()), "{page}");
    }
    let of_sale = shop.get(&format!("/orders/admin/list?flashSaleId={one}")).await;
    assert_eq!(of_sale["total"], 3);
    let of_ada = shop.get("/orders/admin/list?userEmail=Ada%40Example.com").await;
    assert_eq!(ids_of(&of_ada), [orders[3].clone(), orders[0].clone()]);
    assert_eq!(of_ada["items"][0]["userEmail"], "ada@example.com");
    let both = shop.get(&format!("/orders/admin/list?userEmail=ada@example.com&flashSaleId={one}")).await;
    assert_eq!(ids_of(&both), [orders[0].clone()]);
    shop.client.get_as(&shop.token, "/orders/admin/list?userEmail=a%00").await.expect(400);
    for nothing in ["userEmail=ada", "userEmail=nobody@example.com", "flashSaleId=507f1f77bcf86cd799439011"] {
        assert_eq!(shop.get(&format!("/orders/admin/list?{nothing}")).await["total"], 0, "{nothing}");
    }
    assert_eq!(shop.get("/orders/admin/list?limit=1000").await["limit"], 100);

    let by_email = "/orders/by-email?email=ada@example.com";
    let mine = shop.client.get(by_email).await.expect(200);
    assert_eq!((&mine["total"], ids_of(&mine)), (&json!(2), vec![orders[3].clone(), orders[0].clone()]));
    let second = shop.client.get(&format!("{by_email}&page=2&limit=1")).await.expect(200);
    assert_eq!((&second["total"], ids_of(&second)), (&json!(2), vec![orders[0].clone()]));
    let one_sale = shop.client.get(&format!("{by_email}&flashSaleId={other}")).await.expect(200);
    assert_eq!(ids_of(&one_sale), [orders[3].clone()]);
    let no_sale = shop.client.get(&format!("{by_email}&flashSaleId=12")).await.expect(200);
    assert_eq!(no_sale["total"], 0);
    shop.client.get("/orders/by-email").await.expect(400);
    shop.client.get("/orders/by-email?email=nobody").await.expect(400);

    let members = shop.get(&format!("/orders/admin/queue/{one}/members")).await;
    assert_eq!(members["total"], 0);
    shop.buy("late@example.com", &one).await.expect(200);
    let late = shop.get(&format!("/orders/admin/queue/{one}/members")).await;
    assert_eq!(late["items"][0]["email"], "late@example.com");
    assert!(late["items"][0]["score"].as_i64().unwrap() > 1_700_000_000_000);

    sqlx::query("ALTER TABLE hidden_counters RENAME TO sale_counters").execute(&database).await.unwrap();
    eventually("the tables have caught up", HANG_LIMIT, async || {
        let listed = shop.get("/orders/admin/list").await;
        listed["total"] == 4 && ids_of(&listed) == newest_first
    })
    .await;
}

fn ids_of(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|order| text(order, "_id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_is_shown_to_the_merchant() {
    let shop = Fixture::start().await;
    let sale = shop.sale(2, &json!({})).await;
    shop.purchase("ada@example.com", &sale).await;
    let before = shop.app.instance.app.shop.engine.now().0;
    shop.hold("bob@example.com", &sale).await;
    for email in ["eve@example.com", "dan@example.com"] {
        shop.buy(email, &sale).await.expect(200);
    }
    let overview = shop.get(&format!("/orders/admin/queue/{sale}/overview")).await;
    for (field, expected) in [
        ("totalInQueue", json!(3)),
        ("lineSize", json!(3)),
        ("processing", json!(1)),
        ("activeHolds", json!(1)),
        ("waiting", json!(2)),
        ("isPaused", json!(false)),
        ("queueName", json!("sale-processing-queue")),
        ("flashSaleId", json!(sale)),
    ] {
        assert_eq!(overview[field], expected, "{field}: {overview}");
    }
    let jobs = json!({"waiting": 2, "active": 1, "completed": 1, "failed": 0, "delayed": 0, "paused": 0});
    assert_eq!(overview["jobCounts"], jobs);
    let same = shop.get(&format!("/orders/admin/queue/overview?flashSaleId={sale}")).await;
    assert_eq!(same["jobCounts"], jobs);

    let members = shop.get(&format!("/orders/admin/queue/{sale}/members")).await;
    assert_eq!((&members["total"], &members["page"], &members["limit"]), (&json!(3), &json!(1), &json!(50)));
    let shown: Vec<(&Value, &Value)> =
        members["items"].as_array().unwrap().iter().map(|one| (&one["email"], &one["position"])).collect();
    assert_eq!(
        shown,
        [
            (&json!("bob@example.com"), &json!(1)),
            (&json!("eve@example.com"), &json!(2)),
            (&json!("dan@example.com"), &json!(3)),
        ]
    );
    let (bob, eve) = (&members["items"][0], &members["items"][1]);
    assert!(bob["holdTtlSec"].as_u64().unwrap() > 800, "{bob}");
    assert_eq!(eve["holdTtlSec"], 0);
    assert!((before..=before + 60_000).contains(&bob["score"].as_i64().unwrap()), "{bob}");
    let page = shop.get(&format!("/orders/admin/queue/members?flashSaleId={sale}&page=2&limit=2")).await;
    assert_eq!((&page["total"], &page["items"][0]["position"]), (&json!(3), &json!(3)));
    assert_eq!(shop.get(&format!("/orders/admin/queue/{sale}/members?limit=1000")).await["limit"], 200);

    let audit = shop.get(&format!("/orders/admin/queue/audit?flashSaleId={sale}&sample=2")).await;
    assert_fields(&audit, &["ts", "queueName", "jobCounts", "flashSaleId", "otherQueues", "strays"]);
    assert_eq!(audit["head"].as_array().unwrap().len(), 2);
    let hold = &audit["holds"][0];
    assert_fields(hold, &["key", "ttlSec"]);
    assert_eq!((&hold["email"], &hold["inQueue"]), (&json!("bob@example.com"), &json!(true)));
    assert_eq!(audit["holds"].as_array().unwrap().len(), 1);

    shop.app.shift_clock(901_000);
    eventually("the hold has lapsed", HANG_LIMIT, async || {
        let jobs = shop.get(&format!("/orders/admin/queue/{sale}/overview")).await["jobCounts"].clone();
        jobs["failed"] == 1 && jobs["waiting"] == 1 && jobs["active"] == 1
    })
    .await;
    shop.act(&sale, "pause").await;
    assert_eq!(shop.get(&format!("/orders/admin/queue/{sale}/overview")).await["isPaused"], true);
    for path in ["overview", "members", "audit"] {
        shop.client.get_as(&shop.token, &format!("/orders/admin/queue/{path}")).await.expect(400);
        let unknown = format!("/orders/admin/queue/{path}?flashSaleId=507f1f77bcf86cd799439011");
        shop.client.get_as(&shop.token, &unknown).await.expect(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_count_by_address_of_the_buyer_and_repeats_are_reads() {
    let flags = [
        "--dialects",
        "holds=127.0.0.1:0",
        "--limit-buy",
        "2/1h",
        "--limit-read",
        "6/1h",
        "--limit-auth",
        "2/1h",
    ];
    let shop = Fixture::of(TestApp::start_with(&flags).await).await;
    let merchant = Merchant::sign_in(&shop.app).await;
    let fifo = json!({"admission": {"type": "fifo", "perSecond": 50, "checkoutSeconds": 900}});
    let mut sales = Vec::new();
    for _ in 0..3 {
        sales.push(merchant.sale(&fifo).await);
    }
    for _ in 0..3 {
        shop.buy("ada@example.com", &sales[0]).await.expect(200);
    }
    shop.buy("ada@example.com", &sales[1]).await.expect(200);
    let refused = shop.buy("Ada@example.com", &sales[2]).await;
    assert_eq!(refused.expect(429)["statusCode"], 429);
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    shop.buy("bob@example.com", &sales[2]).await.expect(200);
    // Two repeats so far are reads.
    for _ in 0..4 {
        shop.position("ada@example.com", &sales[0]).await;
    }
    let read = shop.client.get("/orders/by-email?email=ada@example.com").await;
    assert!(read.header("retry-after").parse::<u32>().unwrap() > 0);
    read.expect(429);
    shop.client.get(&format!("/flash-sales/{}/public", sales[0])).await.expect(200);
    let body = json!({"email": ADMIN_EMAIL, "password": PASSWORD});
    shop.client.post("/auth/signin", &body).await.expect(429);
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_see_and_find_guests_where_an_account_has_its_address() {
    let shop = Fixture::start().await;
    let sale = shop.sale(3, &json!({})).await;
    let order = shop.purchase("Ada.Guest@example.com", &sale).await;
    shop.hold("bob@example.com", &sale).await;
    // Registered afterwards: the guest's orders stay the guest's.
    let account = shop.app.register("bob").await;
    let own = shop.app.get_as(&account.access, "/api/v1/orders").await.json();
    assert_eq!(own["items"], json!([]));
    for query in ["q=ada.guest", "buyer=ada.guest%40example.com", &format!("q={}", &order[..18])] {
        let path = format!("/api/v1/admin/orders?{query}");
        let listed = eventually_some("the order is listed", HANG_LIMIT, async || {
            let listed = shop.app.get_as(&shop.token, &path).await.json();
            Some(listed).filter(|listed| listed["items"].as_array().is_some_and(|items| !items.is_empty()))
        })
        .await;
        assert_eq!(listed["items"][0]["id"], json!(order), "{query}");
        let buyer = &listed["items"][0]["buyer"];
        assert_eq!((&buyer["email"], &buyer["username"]), (&json!("ada.guest@example.com"), &Value::Null));
    }
    let none = shop.app.get_as(&shop.token, "/api/v1/admin/orders?q=ada.nobody").await.json();
    assert_eq!(none["items"], json!([]));
    let line = format!("/api/v1/admin/flash-sales/{sale}/queue");
    for path in [line.clone(), format!("{line}?buyer=bob%40example.com")] {
        let listed = shop.app.get_as(&shop.token, &path).await.json();
        assert_eq!(
            listed["items"][0]["buyer"]["email"], "bob@example.com",
            "{path}: the guest, not the account"
        );
        assert_ne!(listed["items"][0]["buyer"]["id"], json!(account.id));
    }
    let events = format!("/api/v1/admin/flash-sales/{sale}/events?buyer=ada.guest%40example.com");
    let events = shop.app.get_as(&shop.token, &events).await.json();
    assert!(!events["items"].as_array().unwrap().is_empty(), "{events}");
    let table = shop.app.get_as(&shop.token, "/api/v1/admin/orders.csv").await;
    assert!(String::from_utf8_lossy(&table.body).contains("ada.guest@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_have_a_page_and_a_description_of_their_own() {
    let shop = Fixture::start().await;
    assert_eq!(shop.client.get("/health").await.expect(200), json!({"status": "ok"}));
    let page = shop.client.get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    let html = String::from_utf8_lossy(&page.body).into_owned();
    for file in ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/swagger-initializer.js"] {
        assert!(html.contains(&format!("\"{file}\"")), "{file}: {html}");
        assert_eq!(shop.client.get(&format!("/{file}")).await.status, 200, "{file}");
    }
    let settings = shop.client.get("/docs/swagger-initializer.js").await;
    assert!(String::from_utf8_lossy(&settings.body).contains("\"docs/openapi.json\""), "{settings:?}");
    let description = shop.client.get("/docs/openapi.json").await.expect(200);
    assert!(text(&description, "openapi").starts_with("3."));
    assert!(description["paths"]["/orders/buy"]["post"].is_object());
    shop.client.get("/docs/nothing.js").await.expect(404);

    let app = TestApp::start_with(&["--limits", "off", "--dialects", "holds"]).await;
    let mounted = DialectClient::of(&app, Dialect::Holds);
    assert!(String::from_utf8_lossy(&mounted.get("/docs").await.body).contains("\"docs/swagger-ui.css\""));
    mounted.get("/docs/openapi.json").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_sale_that_takes_payments_is_in_the_way_of_another_provider() {
    let shop = Fixture::start().await;
    let inner = &shop.app.instance.app.shop;
    shop.sale(1, &json!({"pricePerUnit": 0})).await;
    assert!(find_unpayable_sale(inner, "stripe").is_none());
    let paid = shop.sale(1, &json!({})).await;
    assert_eq!(check_payments(inner), Ok(()), "the sandbox knows the method of a confirmation");
    assert_eq!(find_unpayable_sale(inner, "stripe").unwrap().view.id.to_string(), paid);
    shop.act(&paid, "close").await;
    assert!(find_unpayable_sale(inner, "stripe").is_none(), "a sale that is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_of_another_provider_is_refused_before_anyone_waits_for_it() {
    let shop = Fixture::start().await;
    let sale = shop.sale(1, &json!({})).await;
    // As another instance, on which the merchant has switched to Stripe, would make it.
    let database = shop.app.database().await;
    for change in ["UPDATE sales SET provider = 'stripe'", "UPDATE changes SET count = count + 1"] {
        sqlx::query(change).execute(&database).await.unwrap();
    }
    let inner = &shop.app.instance.app.shop;
    inner.catalogue.refresh(&inner.store).await.unwrap();
    for reply in [shop.buy("ada@example.com", &sale).await, shop.confirm("ada@example.com", &sale).await] {
        assert!(reply.message(409).contains("payments through stripe"), "{reply:?}");
        assert_eq!(reply.json()["code"], "payment_unavailable");
    }
    assert_eq!(shop.get("/orders/admin/list").await["total"], 0);
    assert_eq!(shop.position("ada@example.com", &sale).await["status"], "none");
    assert!(check_payments(inner).unwrap_err().contains("through stripe"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_of_a_sale_with_three_decimals_is_no_change() {
    let shop = Fixture::start().await;
    let admin = shop.app.admin().await.access;
    let lamp = json!({"name": "Lamp", "price": {"amount": 1_234, "currency": "KWD"}});
    let lamp = shop.app.post_as(&admin, "/api/v1/admin/products", &lamp).await.json();
    let sale = json!({
        "productId": lamp["id"], "quantity": 1, "price": {"amount": 1_234, "currency": "KWD"},
        "startsAt": shop.moment(600), "endsAt": shop.moment(3_600),
        "admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 60},
    });
    let made = shop.app.post_as(&admin, "/api/v1/admin/flash-sales", &sale).await;
    assert_eq!(made.status, 201, "{made:?}");
    let sale = text(&made.json(), "id");
    let form = shop.get(&format!("/flash-sales/{sale}")).await;
    assert_eq!(form["pricePerUnit"], json!(1.234));
    assert_eq!(shop.put(&sale, &form).await.expect(200), json!({"updated": 0}));
    shop.put(&sale, &json!({"pricePerUnit": 1.235})).await.expect(400);
    assert_eq!(shop.put(&sale, &json!({"pricePerUnit": "1.23"})).await.expect(200), json!({"updated": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_a_crash_left_between_two_steps_does_not_stop_the_next_confirmation() {
    let shop = Fixture::start().await;
    let inner = Arc::clone(&shop.app.instance.app.shop);
    for (number, state) in [PaymentState::Started, PaymentState::Voided].into_iter().enumerate() {
        let (sale, email) = (shop.sale(1, &json!({})).await, format!("buyer{number}@example.com"));
        shop.hold(&email, &sale).await;
        let order = shop.leave_order_unpaid(&email, &sale).await;
        let now = inner.engine.now();
        let payment = PaymentRow {
            id: uuid::Uuid::new_v4(),
            order: order.parse().unwrap(),
            sale: sale.parse().unwrap(),
            buyer: DialectGuest::new(GuestOrigin::Holds, &email).unwrap().buyer(),
            provider: "sandbox".to_owned(),
            reference: None,
            method: "sandbox:approve".to_owned(),
            amount: Money { minor: 9_999, currency: "USD".parse().unwrap() },
            state,
            action_url: None,
            language: String::new(),
            reason: String::new(),
            restock: false,
            refunded_minor: 0,
            created_at: now,
            updated_at: now,
            tries: 0,
        };
        let mut writing = inner.store.begin().await.unwrap();
        let lease = PaymentLease { holder: uuid::Uuid::new_v4(), until: now };
        // The reconciler leaves it alone for an hour.
        let new = NewPayment { payment, key: None, try_at: now.plus_s(3_600), lease };
        let begun = payments::begin_payments(&mut writing, &[&new]).await.unwrap();
        assert!(matches!(begun[..], [BeginResult::Begun(_)]));
        writing.commit().await.unwrap();
        let bought = shop.confirm(&email, &sale).await.expect(200);
        assert_eq!((text(&bought, "orderId"), &bought["inventoryLeft"]), (order, &json!(0)), "{state:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_keep_one_line_and_give_one_order() {
    let (valkey, database) = (RedisServer::start(), PostgresServer::shared().create_database());
    let url = valkey.url();
    let one = Fixture::start_with(&["--database", &database, "--valkey", &url]).await;
    let two = Fixture::of(one.app.second_instance().await).await;
    let sale = one.sale(2, &json!({})).await;
    let joined = one.buy("ada@example.com", &sale).await.expect(200);
    let again = two.buy("ada@example.com", &sale).await.expect(200);
    assert_eq!(joined["jobId"], again["jobId"]);
    two.hold("ada@example.com", &sale).await;
    let calls = (0..20).map(|number| {
        let instance = if number % 2 == 0 { &one } else { &two };
        instance.confirm("ada@example.com", &sale)
    });
    let confirmed = join_all(calls).await;
    let first = confirmed[0].expect(200)["orderId"].clone();
    for reply in &confirmed {
        assert_eq!(reply.expect(200)["orderId"], first);
    }
    let plain = json!({});
    let sales = join_all((0..6).map(|_| one.sale(2, &plain))).await;
    for (number, sale) in sales.iter().enumerate() {
        let (buying, reading) = if number % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let email = format!("buyer{number}@example.com");
        let order = buying.purchase(&email, sale).await;
        let path = format!("/orders/by-email?email={email}");
        let mine = reading.client.get(&path).await.expect(200);
        assert_eq!((&mine["total"], &mine["items"][0]["_id"]), (&json!(1), &json!(order)), "at the other");
        assert_eq!(reading.meta(sale).await["progress"]["remaining"], 1);
        assert_eq!(reading.get(&format!("/flash-sales/{sale}")).await["currentQuantity"], 1);
        let fresh = buying.sale(1, &plain).await;
        let listed = reading.get("/flash-sales").await["items"].clone();
        assert_eq!(listed[0]["id"], json!(fresh), "the newest, which another instance has just made");
        let listed = listed.as_array().unwrap().iter().find(|listed| listed["id"] == json!(sale)).unwrap();
        assert_eq!(listed["currentQuantity"], 1);
        let refund = format!("/api/v1/admin/orders/{order}/refund");
        let refunded = buying.app.post_as(&buying.token, &refund, &json!({"restock": true})).await;
        assert_eq!(refunded.status, 200, "{refunded:?}");
        let mine = reading.client.get(&path).await.expect(200);
        assert_eq!(mine["items"][0]["paymentStatus"], "refunded");
        buying.act(sale, "close").await;
        assert_eq!(reading.meta(sale).await["status"], "ended");
    }
    for instance in [&one, &two] {
        let of_ada = "/orders/admin/list?userEmail=ada@example.com";
        assert_eq!(instance.get(of_ada).await["total"], 1);
        let mine = instance.client.get("/orders/by-email?email=ada@example.com").await.expect(200);
        assert_eq!((&mine["total"], &mine["items"][0]["paymentStatus"]), (&json!(1), &json!("paid")));
        assert!(instance.buy("ada@example.com", &sale).await.message(409).contains("already purchased"));
    }
}
