//! Calls of the API by the merchant: each is asked again while the instance cannot answer, because a rehearsal kills it on
//! purpose. A refusal is told at once.

use crate::client::{Client, Reply, Unanswered};
use crate::crowd::preset;
use crate::ledger::{AdmissionDocument, LedgerError};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::http::Method;
use sale::{BuyerId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// An instance that refuses the merchant so often, is gone: half a minute, where nobody listens.
const TRIES: u32 = 120;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(250);
/// The first call is given up sooner: a wrong address should not take half a minute to be told.
const TRIES_FIRST: u32 = 8;
/// Nor should an address that takes every request and answers none.
const PATIENCE_FIRST: Duration = Duration::from_secs(10);

/// Why the merchant's side does not work.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Nobody answers.
    #[error("{url} does not answer")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        source: Unanswered,
    },
    /// The sign-in failed.
    #[error("{url} does not know an admin with this address and password")]
    BadLogin {
        /// Where.
        url: String,
    },
    /// The account is no admin's.
    #[error("the account {email} is no admin of {url}: a rehearsal makes a sale and reads its ledger")]
    NoAdmin {
        /// Who.
        email: String,
        /// Where.
        url: String,
    },
    /// It answers, but not like a Doorbuster.
    #[error("{path} answered {status}, which is not what a Doorbuster says: is the address right?")]
    Foreign {
        /// Which call.
        path: String,
        /// What.
        status: u16,
    },
    /// It refuses.
    #[error("{path} answered {status} {code}: {detail}")]
    Refused {
        /// Which call.
        path: String,
        /// The status.
        status: u16,
        /// The problem's code.
        code: String,
        /// The problem's words.
        detail: String,
    },
    /// An event of the ledger cannot be understood.
    #[error("the ledger cannot be read")]
    Ledger(#[from] LedgerError),
}

/// A page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedIn {
    user: User,
    access_token: String,
}

#[derive(Deserialize)]
struct User {
    id: BuyerId,
    #[serde(default)]
    role: String,
}

/// Calls as the admin.
pub(super) struct Api {
    client: Client,
    bearer: Option<HeaderValue>,
}

impl Api {
    pub(super) fn new(client: Client) -> Self {
        Self { client, bearer: None }
    }

    pub(super) async fn sign_in(&mut self, email: &str, password: &str) -> Result<(), StageError> {
        let path = "/api/v1/auth/login";
        let url = || self.client.target().url().to_owned();
        let body = json!({"email": email, "password": password});
        let answer = self.answer(Method::POST, path, Some(&body), TRIES_FIRST);
        let late = |_| StageError::Unreachable { url: url(), source: Unanswered::Slow };
        let reply = tokio::time::timeout(PATIENCE_FIRST, answer).await.map_err(late)??;
        if reply.status == 401 {
            return Err(StageError::BadLogin { url: url() });
        }
        let signed_in: SignedIn = document(&checked(reply, path)?, path)?;
        if signed_in.user.role != "admin" {
            return Err(StageError::NoAdmin { email: email.to_owned(), url: url() });
        }
        let foreign = |_| StageError::Foreign { path: path.to_owned(), status: 200 };
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", signed_in.access_token)).map_err(foreign)?;
        bearer.set_sensitive(true);
        self.bearer = Some(bearer);
        Ok(())
    }

    pub(super) async fn call<T: for<'de> Deserialize<'de>>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, StageError> {
        document(&checked(self.answer(method, path, body, TRIES).await?, path)?, path)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Reply, StageError> {
        checked(self.answer(Method::GET, path, None, TRIES).await?, path)
    }

    /// The first reply that is no passing trouble.
    async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        tries: u32,
    ) -> Result<Reply, StageError> {
        let mut left = tries;
        loop {
            left -= 1;
            let sent = self
                .client
                .send(self.request(method.clone(), path, body, None), self.client.turn().await)
                .await;
            match sent {
                Ok(reply) if left > 0 && (reply.status.is_server_error() || reply.status == 429) => {}
                Ok(reply) => return Ok(reply),
                Err(source) if left == 0 => {
                    return Err(StageError::Unreachable {
                        url: self.client.target().url().to_owned(),
                        source,
                    });
                }
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        address: Option<u32>,
    ) -> Request<Full<Bytes>> {
        let mut start = self.client.target().request(method, path);
        if let Some(bearer) = &self.bearer {
            start = start.header(AUTHORIZATION, bearer.clone());
        }
        if let Some(address) = address {
            let [_, a, b, c] = address.to_be_bytes();
            start = start.header("x-forwarded-for", format!("10.{a}.{b}.{c}"));
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        start = start.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        start.body(Full::new(body)).expect("method, path and headers are made of checked parts")
    }
}

/// Makes an account.
pub(super) async fn register(
    api: &Api,
    name: &str,
    address: u32,
) -> Result<Option<(BuyerId, String)>, StageError> {
    #[derive(Serialize)]
    struct Registration<'a> {
        email: String,
        username: &'a str,
        password: String,
    }
    let path = "/api/v1/auth/register";
    // Nobody signs in with it again: the password is forgotten here.
    let password = uuid::Uuid::new_v4().simple().to_string();
    let anyone = Api { client: Client::new(api.client.target().clone(), 1), bearer: None };
    let mut tries = 0;
    let reply = loop {
        tries += 1;
        // A try whose reply was lost may have taken the name.
        let name = if tries == 1 { name.to_owned() } else { format!("{name}-{tries}") };
        let body = json!(Registration {
            email: format!("{name}@example.com"),
            username: &name,
            password: password.clone()
        });
        let request = anyone.request(Method::POST, path, Some(&body), Some(address));
        match anyone.client.send(request, anyone.client.turn().await).await {
            Ok(reply) if reply.status.is_server_error() && tries < TRIES => {}
            Ok(reply) => break reply,
            Err(source) if tries >= TRIES => {
                return Err(StageError::Unreachable { url: api.client.target().url().to_owned(), source });
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    };
    if reply.status == 429 {
        return Ok(None);
    }
    let signed_in: SignedIn = document(&checked(reply, path)?, path)?;
    Ok(Some((signed_in.user.id, signed_in.access_token)))
}

/// What a sale of the instance promises.
pub(super) async fn sale_like(api: &Api, slug: &str) -> Result<preset::Sale, StageError> {
    #[derive(Deserialize)]
    struct Named {
        id: sale::SaleId,
    }
    #[derive(Deserialize)]
    struct Overview {
        sale: Document,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        quantity: u32,
        limit_per_buyer: u32,
        hold_seconds: u32,
        admission: AdmissionDocument,
    }
    let path = format!("/api/v1/flash-sales/{slug}");
    let named: Named = document(&api.get(&path).await?, &path)?;
    let path = format!("/api/v1/admin/flash-sales/{}/overview", named.id);
    let Overview { sale } = document(&api.get(&path).await?, &path)?;
    Ok(preset::Sale {
        quantity: sale.quantity,
        limit_per_buyer: sale.limit_per_buyer,
        hold_s: sale.hold_seconds,
        admission: sale.admission.into(),
    })
}

fn checked(reply: Reply, path: &str) -> Result<Reply, StageError> {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
        #[serde(default)]
        detail: String,
    }
    if reply.status.is_success() {
        return Ok(reply);
    }
    let status = reply.status.as_u16();
    let path = path.to_owned();
    Err(match serde_json::from_slice::<Problem>(&reply.body) {
        Ok(Problem { code, detail }) => StageError::Refused { path, status, code, detail },
        Err(_) => StageError::Foreign { path, status },
    })
}

pub(super) fn document<T: for<'de> Deserialize<'de>>(reply: &Reply, path: &str) -> Result<T, StageError> {
    serde_json::from_slice(&reply.body)
        .map_err(|_| StageError::Foreign { path: path.to_owned(), status: reply.status.as_u16() })
}

/// A moment of the instance.
pub(super) fn moment(text: &str) -> Result<Timestamp, StageError> {
    let foreign = |_| StageError::Foreign { path: format!("a moment, {text},"), status: 200 };
    text.parse::<jiff::Timestamp>().map(|at| Timestamp(at.as_millisecond())).map_err(foreign)
}

/// The same as text, with milliseconds.
pub(super) fn rfc3339(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::MAX);
    format!("{at:.3}")
}
