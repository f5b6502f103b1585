//! Buyers who stand in line, buy, abandon, are declined, and retry with the same key when no reply comes.

use super::instance::{ServerProcess, text};
use super::retrying_client::{RequestTally, RetryingClient};
use engine::clock::{Clock, SystemClock};
use reqwest::StatusCode;
use sale::{BuyerId, Timestamp};
use serde_json::json;
use server::auth::Role;
use server::auth::tokens::{self, AccessTokens};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Requests under way at once: enough to fill batches, and below any usual limit of open files.
const IN_FLIGHT: usize = 128;
/// How often a buyer in line polls the position.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Buyers who register over HTTP: hashing the passwords of thousands takes a small machine longer than all the rest.
const REGISTERED_MAX: usize = 200;

/// How this crowd behaves; 0 is never.
#[derive(Clone, Copy)]
pub struct BuyerMix {
    /// Every so-manieth buyer leaves the hold to expire.
    pub abandon_every: usize,
    /// Every so-manieth buyer's payment is declined.
    pub decline_every: usize,
}

/// The replies to all buyers.
#[derive(Default)]
pub struct ConfirmedOrders {
    /// Token and order of each "confirmed".
    pub confirmed: Vec<(String, String)>,
    /// What they met on the way there.
    pub stats: RequestTally,
}

/// Buyers with a token each.
pub struct BuyerCrowd {
    pub tokens: Vec<String>,
}

/// A crowd that is at it.
pub struct RunningCrowd {
    buyers: Vec<JoinHandle<Option<(String, String)>>>,
    stats: Arc<Mutex<RequestTally>>,
}

struct CrowdBuyer {
    client: RetryingClient,
}

impl BuyerCrowd {
    /// So many buyers: the first over HTTP, each with a password to be hashed, and the others with tokens signed by the
    /// instance's own key, as if they had signed up days ago.
    pub async fn register(instance: &ServerProcess, buyers: usize) -> Self {
        let (permits, stats) = (Arc::new(Semaphore::new(8)), Arc::default());
        let tasks: Vec<_> = (0..buyers.min(REGISTERED_MAX))
            .map(|no| {
                let client = instance.retrying_client(&permits, &stats, no, String::new());
                tokio::spawn(async move {
                    let name = format!("buyer-{no}");
                    let account =
                        json!({"email": format!("{name}@example.com"), "username": name, "password": "of this buyer"});
                    let (status, body) = client.send("POST", "/api/v1/auth/register", None, Some(&account)).await;
                    if status == StatusCode::CREATED {
                        return text(&body, "accessToken");
                    }
                    // A try that got no reply was carried out.
                    assert_eq!(status, StatusCode::CONFLICT, "{body}");
                    let (status, body) = client.send("POST", "/api/v1/auth/login", None, Some(&account)).await;
                    assert_eq!(status, StatusCode::OK, "{body}");
                    text(&body, "accessToken")
                })
            })
            .collect();
        let mut registered = Vec::new();
        for task in tasks {
            registered.push(task.await.unwrap());
        }
        let others = Self::with_signed_tokens(instance, buyers - registered.len()).await;
        Self { tokens: registered.into_iter().chain(others.tokens).collect() }
    }

    /// So many buyers with tokens signed by the instance's own key.
    pub async fn with_signed_tokens(instance: &ServerProcess, buyers: usize) -> Self {
        Self::with_tokens_signed_by(&instance.token_key().await, buyers)
    }

    /// The same with the key in a file.
    pub fn with_tokens_signed_by(key: &Path, buyers: usize) -> Self {
        let issuer = AccessTokens::new(tokens::read_key(key).unwrap(), 86_400, 1);
        let now = SystemClock::start(Timestamp::default()).now();
        let token = |id: Uuid| issuer.issue(BuyerId(id), Role::Buyer, id, now);
        Self { tokens: (0..buyers).map(|_| token(Uuid::new_v4())).collect() }
    }

    /// All buyers want a unit of the sale, of which there are so many; meanwhile the instance is killed so many times. Returns
    /// when it is sold out.
    pub async fn run_with_kills(
        &self,
        instance: &mut ServerProcess,
        sale: &str,
        units: u32,
        mix: BuyerMix,
        kills: u64,
    ) -> ConfirmedOrders {
        let rush = self.start(&[instance], sale, mix);
        for kill in 0..kills {
            // Wait until this part of the units is sold, so that each kill falls into the middle of buying.
            instance.wait_until_sold(sale, u64::from(units) * (kill + 1) / (kills + 2)).await;
            instance.kill();
            instance.launch().await;
        }
        rush.collect_replies().await
    }

    /// All buyers want a unit of the sale, at whichever of the instances answers.
    pub fn start(&self, instances: &[&ServerProcess], sale: &str, manners: BuyerMix) -> RunningCrowd {
        let (permits, tally) = (Arc::new(Semaphore::new(IN_FLIGHT)), Arc::default());
        let over = Arc::new(AtomicBool::new(false));
        let urls: Arc<[String]> = instances.iter().map(|instance| instance.url.clone()).collect();
        let buyers = self.tokens.iter().enumerate().map(|(no, token)| {
            let buyer_client = instances[0].retrying_client(&permits, &tally, no, token.clone());
            let buyer = CrowdBuyer { client: RetryingClient { urls: Arc::clone(&urls), ..buyer_client } };
            let (over, sale) = (Arc::clone(&over), sale.to_owned());
            tokio::spawn(async move { buyer.buy_until_sold_out(&sale, manners, &over).await })
        });
        RunningCrowd { buyers: buyers.collect(), stats: tally }
    }
}

impl RunningCrowd {
    /// Waits until it is sold out: the replies to all buyers.
    pub async fn collect_replies(self) -> ConfirmedOrders {
        let mut confirmed = Vec::new();
        for buyer in self.buyers {
            confirmed.extend(buyer.await.unwrap());
        }
        ConfirmedOrders { confirmed, stats: self.stats.lock().unwrap().clone() }
    }
}

impl CrowdBuyer {
    /// Tries until a unit is this buyer's or the sale is sold out; the token and order of what was confirmed.
    async fn buy_until_sold_out(
        &self,
        sale: &str,
        mix: BuyerMix,
        over: &AtomicBool,
    ) -> Option<(String, String)> {
        let wants = json!({"flashSaleId": sale});
        let mut tries = 0;
        while !over.load(Ordering::Relaxed) {
            let (status, body) = self.client.send("POST", "/api/v1/queue/join", None, Some(&wants)).await;
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
            let (status, body) = self.client.send("POST", "/api/v1/orders", Some(&key), Some(&order)).await;
            match (status.as_u16(), body["code"].as_str()) {
                (201, _) => {}
                (409, Some("all_held")) | (403, Some("not_admitted" | "not_in_line")) => {
                    tokio::time::sleep(POLL_INTERVAL).await;
                    continue;
                }
                (409, Some("sold_out")) => {
                    over.store(true, Ordering::Relaxed);
                    return None;
                }
                _ => panic!("order: {status} {body}"),
            }
            if mix.abandon_every > 0 && self.client.number.is_multiple_of(mix.abandon_every) {
                return None;
            }
            if let Some(confirmed) = self.pay(&text(&body, "id"), mix).await {
                return Some((self.client.token.clone(), confirmed));
            }
            if mix.decline_every > 0 && self.client.number.is_multiple_of(mix.decline_every) {
                return None;
            }
        }
        None
    }

    async fn pay(&self, order: &str, mix: BuyerMix) -> Option<String> {
        let declined = mix.decline_every > 0 && self.client.number.is_multiple_of(mix.decline_every);
        let method = json!({"method": if declined { "sandbox:decline" } else { "sandbox:approve" }});
        let path = format!("/api/v1/orders/{order}/pay");
        let (status, body) =
            self.client.send("POST", &path, Some(&format!("pay-{order}")), Some(&method)).await;
        match status.as_u16() {
            200 => {
                assert!(!declined, "{body}");
                assert_eq!(body["status"], "confirmed", "{body}");
                Some(order.to_owned())
            }
            402 => {
                // The unit is held for another card; this buyer has none.
                let path = format!("/api/v1/orders/{order}");
                self.client.send("DELETE", &path, None, None).await;
                None
            }
            410 => None,
            _ => panic!("pay: {status} {body}"),
        }
    }

    /// True when it is this buyer's turn, false when the place is gone.
    async fn wait_for_turn(&self, sale: &str, over: &AtomicBool) -> bool {
        let path = format!("/api/v1/queue/position?flashSaleId={sale}");
        while !over.load(Ordering::Relaxed) {
            let (status, body) = self.client.send("GET", &path, None, None).await;
            match (status.as_u16(), body["status"].as_str()) {
                (200, Some("admitted")) => return true,
                (200, Some("waiting")) => {}
                (200, Some("lapsed" | "left" | "over")) | (404 | 403, _) => return false,
                _ => panic!("position: {status} {body}"),
            }
            let (_, sale_now) =
                self.client.send("GET", &format!("/api/v1/flash-sales/{sale}"), None, None).await;
            if sale_now["availability"] == "sold_out" {
                over.store(true, Ordering::Relaxed);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        false
    }
}
