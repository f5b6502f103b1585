//! Buyers who stand in line, buy, abandon, are declined, and ask again with the same key when no reply comes.

use super::UNITS;
use super::instance::{Instance, text};
use engine::clock::{Clock, SystemClock};
use reqwest::StatusCode;
use sale::{BuyerId, Timestamp};
use serde_json::{Value, json};
use server::auth::Role;
use server::auth::tokens::{self, Tokens};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Requests under way at once: enough to fill batches, and below any usual limit of open files.
const IN_FLIGHT: usize = 128;
/// How often a buyer in line looks at the position.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Buyers who register over HTTP: hashing the passwords of thousands takes a small machine longer than all the rest.
const REGISTERED_MAX: usize = 200;

/// How this crowd behaves; 0 is never.
#[derive(Clone, Copy)]
pub struct Manners {
    /// Every so-manieth buyer leaves the hold to expire.
    pub abandon_every: usize,
    /// Every so-manieth buyer's payment is declined.
    pub decline_every: usize,
}

/// What the buyers were told: token and order of each "confirmed".
#[derive(Default)]
pub struct Told {
    pub confirmed: Vec<(String, String)>,
}

/// Buyers with a token each.
pub struct Crowd {
    pub tokens: Vec<String>,
}

#[derive(Clone)]
struct Buyer {
    no: usize,
    token: String,
    url: String,
    client: reqwest::Client,
    gate: Arc<Semaphore>,
}

impl Crowd {
    /// So many buyers: the first over HTTP, each with a password to be hashed, and the others with tokens signed by the
    /// instance's own key, as if they had signed up days ago.
    pub async fn gather(instance: &Instance, buyers: usize) -> Self {
        let gate = Arc::new(Semaphore::new(8));
        let tasks: Vec<_> = (0..buyers.min(REGISTERED_MAX))
            .map(|no| {
                let buyer = Buyer::new(instance, &gate, no, String::new());
                tokio::spawn(async move {
                    let name = format!("buyer-{no}");
                    let account =
                        json!({"email": format!("{name}@example.com"), "username": name, "password": "of this buyer"});
                    let (status, body) = buyer.send("POST", "/api/v1/auth/register", None, Some(&account)).await;
                    assert_eq!(status, StatusCode::CREATED, "{body}");
                    text(&body, "accessToken")
                })
            })
            .collect();
        let mut registered = Vec::new();
        for task in tasks {
            registered.push(task.await.unwrap());
        }
        let key = tokens::read_key(&instance.token_key().await).unwrap();
        let issuer = Tokens::new(key, 86_400, 1);
        let now = SystemClock::start(Timestamp::default()).now();
        let signed_up = (registered.len()..buyers).map(|_| {
            let id = Uuid::new_v4();
            issuer.issue(BuyerId(id), Role::Buyer, id, now)
        });
        Self { tokens: registered.into_iter().chain(signed_up).collect() }
    }

    /// All buyers want a unit of the sale; meanwhile the instance is killed so many times. Returns when it is sold out.
    pub async fn rush(&self, instance: &mut Instance, sale: &str, manners: Manners, kills: u64) -> Told {
        let gate = Arc::new(Semaphore::new(IN_FLIGHT));
        let over = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = self
            .tokens
            .iter()
            .enumerate()
            .map(|(no, token)| {
                let buyer = Buyer::new(instance, &gate, no, token.clone());
                let over = Arc::clone(&over);
                let sale = sale.to_owned();
                tokio::spawn(async move { buyer.shop(&sale, manners, &over).await })
            })
            .collect();
        for kill in 0..kills {
            // Wait until this part of the units is sold, so that each kill falls into the middle of buying.
            let part = u64::from(UNITS) * (kill + 1) / (kills + 2);
            loop {
                let status = instance.get(&format!("/api/v1/flash-sales/{sale}"), None).await;
                if status["sold"].as_u64().unwrap() >= part {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            instance.kill();
            instance.launch().await;
        }
        let mut told = Told::default();
        for task in tasks {
            told.confirmed.extend(task.await.unwrap());
        }
        told
    }
}

impl Buyer {
    fn new(instance: &Instance, gate: &Arc<Semaphore>, no: usize, token: String) -> Self {
        let (url, client, gate) = (instance.url.clone(), instance.client.clone(), Arc::clone(gate));
        Self { no, token, url, client, gate }
    }

    /// Tries until a unit is this buyer's or the sale is sold out; the token and order of what was confirmed.
    async fn shop(&self, sale: &str, manners: Manners, over: &AtomicBool) -> Option<(String, String)> {
        let wants = json!({"flashSaleId": sale});
        let mut tries = 0;
        while !over.load(Ordering::Relaxed) {
            let (status, body) = self.send("POST", "/api/v1/queue/join", None, Some(&wants)).await;
            match (status.as_u16(), body["code"].as_str()) {
                (200 | 201, _) | (409, Some("no_line")) => {}
                (409, Some("sold_out" | "limit_reached")) => return None,
                _ => panic!("join: {status} {body}"),
            }
            if status.is_success() && !self.wait_for_turn(sale, over).await {
                continue;
            }
            tries += 1;
            let key = format!("order-{sale}-{tries}");
            let order = json!({"flashSaleId": sale, "quantity": 1});
            let (status, body) = self.send("POST", "/api/v1/orders", Some(&key), Some(&order)).await;
            match (status.as_u16(), body["code"].as_str()) {
                (201, _) => {}
                (409, Some("all_held")) | (403, Some("not_admitted" | "not_in_line")) => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue;
                }
                (409, Some("sold_out")) => {
                    over.store(true, Ordering::Relaxed);
                    return None;
                }
                _ => panic!("order: {status} {body}"),
            }
            if manners.abandon_every > 0 && self.no.is_multiple_of(manners.abandon_every) {
                return None;
            }
            if let Some(confirmed) = self.pay(&text(&body, "id"), manners).await {
                return Some((self.token.clone(), confirmed));
            }
            if manners.decline_every > 0 && self.no.is_multiple_of(manners.decline_every) {
                return None;
            }
        }
        None
    }

    async fn pay(&self, order: &str, manners: Manners) -> Option<String> {
        let declined = manners.decline_every > 0 && self.no.is_multiple_of(manners.decline_every);
        let method = json!({"method": if declined { "sandbox:decline" } else { "sandbox:approve" }});
        let path = format!("/api/v1/orders/{order}/pay");
        let (status, body) = self.send("POST", &path, Some(&format!("pay-{order}")), Some(&method)).await;
        match status.as_u16() {
            200 => {
                assert!(!declined, "{body}");
                assert_eq!(body["status"], "confirmed", "{body}");
                Some(order.to_owned())
            }
            402 | 410 => None,
            _ => panic!("pay: {status} {body}"),
        }
    }

    /// True when it is this buyer's turn, false when the place is gone.
    async fn wait_for_turn(&self, sale: &str, over: &AtomicBool) -> bool {
        let path = format!("/api/v1/queue/position?flashSaleId={sale}");
        while !over.load(Ordering::Relaxed) {
            let (status, body) = self.send("GET", &path, None, None).await;
            match (status.as_u16(), body["status"].as_str()) {
                (200, Some("admitted")) => return true,
                (200, Some("waiting")) => {}
                (404 | 403, _) => return false,
                _ => panic!("position: {status} {body}"),
            }
            let (_, sale_now) = self.send("GET", &format!("/api/v1/flash-sales/{sale}"), None, None).await;
            if sale_now["availability"] == "sold_out" {
                over.store(true, Ordering::Relaxed);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        false
    }

    /// Sends until there is a reply that settles something: no connection, a cut connection and a 5xx are asked again.
    async fn send(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        for _ in 0..600 {
            let mut request = self
                .client
                .request(method.parse().unwrap(), format!("{}{path}", self.url))
                .header("X-Forwarded-For", format!("198.18.{}.{}", self.no / 250, self.no % 250 + 1));
            if !self.token.is_empty() {
                request = request.bearer_auth(&self.token);
            }
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let permit = self.gate.acquire().await.unwrap();
            let reply = async {
                let reply = request.send().await?;
                let status = reply.status();
                Ok::<_, reqwest::Error>((status, reply.bytes().await?))
            };
            let reply = reply.await;
            drop(permit);
            match reply {
                Ok((status, bytes))
                    if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS =>
                {
                    let in_flight = status == StatusCode::CONFLICT
                        && serde_json::from_slice::<Value>(&bytes)
                            .is_ok_and(|body| body["code"] == "request_in_flight");
                    if !in_flight {
                        return (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null));
                    }
                }
                Ok((status, _)) => assert!(status.as_u16() >= 500 || status == 429, "{status}"),
                Err(_cut) => {}
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{method} {path}: no reply after 600 tries");
    }
}
