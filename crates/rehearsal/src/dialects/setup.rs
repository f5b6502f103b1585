//! Makes the buyers of a dialect, and finds the rehearsal's sale in its replies before the crowd comes.

use super::RehearsedDialect;
use super::calls::{DialectSale, IntegerIds};
use crate::client::{InstanceClient, InstanceReply, RequestError, Target};
use crate::context::BuyerCredentials;
use crate::merchant::OwnSale;
use bytes::Bytes;
use documents::rfc3339;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::http::Method;
use sale::{BuyerId, SaleId};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Tries of a call that gets no reply: half a minute.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);
/// Accounts that are made at the same time.
const SIGN_UPS: u32 = 8;
/// How often the dialect is asked for the new sale: instances may take some seconds to learn of it.
const SALE_TRIES: u32 = 75;
const SALE_PAUSE: Duration = Duration::from_millis(200);

/// A dialect to play in.
#[derive(Clone, Debug)]
pub struct DialectPlan {
    pub dialect: RehearsedDialect,
    /// Its address; below `/dialects/NAME` of the instance where there is none.
    pub url: Option<String>,
}

/// Why a drop cannot be played in a dialect.
#[derive(Debug, thiserror::Error)]
pub enum DialectError {
    #[error(
        "there is no dialect {name} at {url}: start the instance with --dialects {name}, or name its address"
    )]
    NotServed { name: &'static str, url: String },
    #[error("the dialect {name} at {url} does not answer")]
    Unreachable { name: &'static str, url: String, source: RequestError },
    #[error("{path} of the dialect {name} answered {status}, which is not what its contract says")]
    UnexpectedReply { name: &'static str, path: String, status: u16 },
    /// The dialect chooses its sale by a rule of its own.
    #[error(
        "the dialect {name} at {url} does not sell the sale that the rehearsal has just made: its instance must sell the active sale \
         or the next one, without a sale of its own settings and without another one that is active"
    )]
    OtherSale { name: &'static str, url: String },
    /// The instance allows no more accounts.
    #[error("the instance limited the sign-ups: start it with --limits off, or take fewer buyers")]
    SignUpLimited,
    /// It was stopped before anything was played.
    #[error("stopped before the first buyer came")]
    Stopped,
}

impl DialectPlan {
    /// The address of the dialect of this instance.
    #[must_use]
    pub fn choose_url(&self, instance: &str) -> String {
        self.url
            .clone()
            .unwrap_or_else(|| format!("{}/dialects/{}", instance.trim_end_matches('/'), self.dialect.name()))
    }
}

/// Buyers, each with what names it, and what makes their keys differ from those of other rehearsals.
pub(crate) struct DialectBuyers {
    pub(crate) credentials: Vec<BuyerCredentials>,
    pub(crate) names: Vec<String>,
    pub(crate) run: String,
}

/// Makes the buyers: guests are only names; accounts sign up and sign in by the dialect's calls.
pub(crate) async fn create_buyers(
    dialect: RehearsedDialect,
    (instance, target): (&Target, &Target),
    accounts: u32,
    cut: &watch::Receiver<bool>,
) -> Result<DialectBuyers, DialectError> {
    // A name is one rehearsal's: its buyers are thrown away.
    let run = format!("r{}", &Uuid::new_v4().simple().to_string()[..10]);
    let name = |number: u32| match dialect {
        RehearsedDialect::Holds => format!("{run}-{number}@example.com"),
        RehearsedDialect::Turnstile | RehearsedDialect::Attempts | RehearsedDialect::Drop => {
            format!("{run}-{number}")
        }
    };
    let names: Vec<String> = (0..accounts).map(name).collect();
    let credentials = if dialect.has_accounts() {
        let caller = DialectCaller::new(dialect, target);
        sign_up_all(&Arc::new(caller), &Arc::new(DialectCaller::new(dialect, instance)), &names, cut).await?
    } else {
        let guest =
            |name: &String| BuyerCredentials { buyer: dialect.derive_guest(name), token: String::new() };
        names.iter().map(guest).collect()
    };
    Ok(DialectBuyers { credentials, names, run })
}

/// Finds the sale in the dialect's replies.
pub(crate) async fn find_sale(
    dialect: RehearsedDialect,
    target: &Target,
    (own, quantity): (&OwnSale, u32),
    buyers: DialectBuyers,
) -> Result<(DialectSale, Vec<BuyerCredentials>), DialectError> {
    let DialectBuyers { credentials, names, run } = buyers;
    let token = credentials.first().map_or("", |credentials| credentials.token.as_str());
    let mut sale = DialectSale { dialect, sale: own.id, numbers: None, run, names };
    let caller = DialectCaller::new(dialect, target);
    let path = match dialect {
        // It shows no id and no time: the stock has to do.
        RehearsedDialect::Turnstile => "/api/stock".to_owned(),
        RehearsedDialect::Attempts | RehearsedDialect::Holds | RehearsedDialect::Drop => sale.page_path(),
    };
    for _ in 0..SALE_TRIES {
        let reply = caller.send(Method::GET, &path, None, token).await?;
        if reply.status.is_success() {
            // An instance without the dialect may have a page of another kind there.
            let not_served =
                |_| DialectError::NotServed { name: dialect.name(), url: target.url().to_owned() };
            let fields: SaleFields = serde_json::from_slice(&reply.body).map_err(not_served)?;
            if fields.is_of(dialect, own, quantity) {
                sale.numbers = fields.numbers();
                return Ok((sale, credentials));
            }
        } else if reply.status == StatusCode::NOT_FOUND && !caller.is_served().await? {
            return Err(DialectError::NotServed { name: dialect.name(), url: target.url().to_owned() });
        }
        tokio::time::sleep(SALE_PAUSE).await;
    }
    Err(DialectError::OtherSale { name: dialect.name(), url: target.url().to_owned() })
}

/// What a dialect shows of its sale.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SaleFields {
    /// An integer at `attempts`, a UUID at `holds`.
    #[serde(default)]
    id: Value,
    #[serde(default)]
    product_id: Value,
    start_time: Option<String>,
    total_stock: Option<u32>,
    remaining_stock: Option<u32>,
}

impl SaleFields {
    fn is_of(&self, dialect: RehearsedDialect, own: &OwnSale, quantity: u32) -> bool {
        let starts_then = self.start_time.as_deref() == Some(rfc3339(own.starts_at).as_str());
        match dialect {
            RehearsedDialect::Turnstile => self.remaining_stock == Some(quantity),
            RehearsedDialect::Attempts => starts_then && self.numbers().is_some(),
            RehearsedDialect::Holds => SaleId::deserialize(&self.id).is_ok_and(|id| id == own.id),
            RehearsedDialect::Drop => starts_then && self.total_stock == Some(quantity),
        }
    }

    fn numbers(&self) -> Option<IntegerIds> {
        Some(IntegerIds { sale: self.id.as_u64()?, product: self.product_id.as_u64()? })
    }
}

/// Signs up and signs in, several at a time; in the order of the names.
async fn sign_up_all(
    dialect: &Arc<DialectCaller>,
    instance: &Arc<DialectCaller>,
    names: &[String],
    cut: &watch::Receiver<bool>,
) -> Result<Vec<BuyerCredentials>, DialectError> {
    let mut made: Vec<(u32, BuyerCredentials)> = Vec::with_capacity(names.len());
    let mut running = JoinSet::new();
    let mut waiting = (0u32..).zip(names);
    loop {
        if *cut.borrow() {
            return Err(DialectError::Stopped);
        }
        while running.len() < SIGN_UPS as usize
            && let Some((number, name)) = waiting.next()
        {
            let (dialect, instance, name) = (Arc::clone(dialect), Arc::clone(instance), name.clone());
            running.spawn(async move {
                Ok::<_, DialectError>((number, sign_up(&dialect, &instance, &name, number).await?))
            });
        }
        match running.join_next().await {
            Some(Ok(account)) => made.push(account?),
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => break,
        }
    }
    made.sort_unstable_by_key(|(number, _)| *number);
    Ok(made.into_iter().map(|(_, credentials)| credentials).collect())
}

async fn sign_up(
    dialect: &DialectCaller,
    instance: &DialectCaller,
    name: &str,
    number: u32,
) -> Result<BuyerCredentials, DialectError> {
    #[derive(Deserialize)]
    struct SignedIn {
        token: String,
    }
    #[derive(Deserialize)]
    struct Account {
        id: BuyerId,
    }
    let password = Uuid::new_v4().simple().to_string();
    let path = "/api/auth/register";
    let body = json!({"username": name, "email": format!("{name}@example.com"), "password": password});
    let made = dialect.send_from(number, Method::POST, path, Some(&body), "").await?;
    // A try whose reply was lost may have made the account: signing in shows whether it did.
    if made.status != StatusCode::CREATED && made.status != StatusCode::CONFLICT {
        return Err(dialect.explain_failure(&made, path));
    }
    let path = "/api/auth/login";
    let body = json!({"username": name, "password": password});
    let signed_in = dialect.send_from(number, Method::POST, path, Some(&body), "").await?;
    let SignedIn { token } = dialect.parse(&signed_in, path)?;
    // The dialect shows an integer; the ledger has the account's own id.
    let path = "/api/v1/auth/me";
    let account = instance.send_from(number, Method::GET, path, None, &token).await?;
    let Account { id } = instance.parse(&account, path)?;
    Ok(BuyerCredentials { buyer: id, token })
}

/// Makes calls before the crowd comes.
struct DialectCaller {
    dialect: RehearsedDialect,
    client: InstanceClient,
}

impl DialectCaller {
    fn new(dialect: RehearsedDialect, target: &Target) -> Self {
        Self { dialect, client: InstanceClient::new(target.clone(), SIGN_UPS as usize) }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        token: &str,
    ) -> Result<InstanceReply, DialectError> {
        self.send_from(0, method, path, body, token).await
    }

    /// Sends from an address of the crowd, until there is a reply that is no passing failure.
    async fn send_from(
        &self,
        address: u32,
        method: Method,
        path: &str,
        body: Option<&Value>,
        token: &str,
    ) -> Result<InstanceReply, DialectError> {
        let mut left = TRIES;
        loop {
            left -= 1;
            let [_, a, b, c] = address.to_be_bytes();
            let mut start = self.client.target().request(method.clone(), path);
            start = start.header("x-forwarded-for", format!("10.{a}.{b}.{c}"));
            if !token.is_empty() {
                start = start.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            if body.is_some() {
                start = start.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            let bytes = body.map_or_else(Bytes::new, |body| body.to_string().into());
            let unexpected = |_| self.unexpected(path, 0);
            let request = start.body(Full::new(bytes)).map_err(unexpected)?;
            match self.client.send(request, self.client.acquire_connection().await).await {
                Ok(reply) if left > 0 && reply.status.is_server_error() => {}
                Ok(reply) => return Ok(reply),
                Err(source) if left == 0 => {
                    let url = self.client.target().url().to_owned();
                    return Err(DialectError::Unreachable { name: self.dialect.name(), url, source });
                }
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the dialect is there at all: each has a page of its health.
    async fn is_served(&self) -> Result<bool, DialectError> {
        Ok(self.send(Method::GET, "/health", None, "").await?.status.is_success())
    }

    fn parse<T: for<'de> Deserialize<'de>>(
        &self,
        reply: &InstanceReply,
        path: &str,
    ) -> Result<T, DialectError> {
        if !reply.status.is_success() {
            return Err(self.explain_failure(reply, path));
        }
        serde_json::from_slice(&reply.body).map_err(|_| self.unexpected(path, reply.status.as_u16()))
    }

    fn explain_failure(&self, reply: &InstanceReply, path: &str) -> DialectError {
        match reply.status {
            StatusCode::TOO_MANY_REQUESTS => DialectError::SignUpLimited,
            StatusCode::NOT_FOUND => {
                let url = self.client.target().url().to_owned();
                DialectError::NotServed { name: self.dialect.name(), url }
            }
            status => self.unexpected(path, status.as_u16()),
        }
    }

    fn unexpected(&self, path: &str, status: u16) -> DialectError {
        DialectError::UnexpectedReply { name: self.dialect.name(), path: path.to_owned(), status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observations::RunInstant;
    use sale::Timestamp;

    fn own() -> OwnSale {
        OwnSale { id: SaleId(Uuid::from_u128(5)), start: RunInstant(0), starts_at: Timestamp(1_000) }
    }

    #[test]
    fn a_sale_is_known_by_what_the_dialect_shows_of_it() {
        let is_own = |dialect, shown: Value| {
            SaleFields::deserialize(&shown).expect("fields").is_of(dialect, &own(), 20)
        };
        let start = "1970-01-01T00:00:01.000Z";
        assert!(is_own(RehearsedDialect::Drop, json!({"startTime": start, "totalStock": 20})));
        assert!(!is_own(RehearsedDialect::Drop, json!({"startTime": start, "totalStock": 21})));
        assert!(is_own(RehearsedDialect::Turnstile, json!({"success": true, "remainingStock": 20})));
        assert!(!is_own(RehearsedDialect::Turnstile, json!({"success": true, "remainingStock": 0})));
        assert!(is_own(RehearsedDialect::Attempts, json!({"id": 3, "productId": 2, "startTime": start})));
        assert!(!is_own(RehearsedDialect::Attempts, json!({"id": null, "productId": 2, "startTime": start})));
        assert!(is_own(RehearsedDialect::Holds, json!({"id": own().id, "item": {}})));
        assert!(!is_own(RehearsedDialect::Holds, json!({"id": Uuid::nil()})));
    }

    #[test]
    fn a_dialect_is_below_the_instance_unless_it_has_an_address() {
        let mut plan = DialectPlan { dialect: RehearsedDialect::Drop, url: None };
        assert_eq!(plan.choose_url("http://127.0.0.1:8080/"), "http://127.0.0.1:8080/dialects/drop");
        plan.url = Some("http://127.0.0.1:3000".to_owned());
        assert_eq!(plan.choose_url("http://127.0.0.1:8080"), "http://127.0.0.1:3000");
    }
}
