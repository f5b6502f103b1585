//! The merchant's calls of the API. Each call is retried while the instance does not reply, because a rehearsal kills it on
//! purpose. A refusal is returned at once.

use crate::client::{InstanceClient, InstanceReply, RequestError};
use crate::crowd::preset;
use crate::ledger::LedgerError;
use bytes::Bytes;
use documents::{OverviewDocument, SaleDocument};
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::http::Method;
use sale::BuyerId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// After this many failed tries the instance counts as unreachable: half a minute.
const TRIES: u32 = 120;
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// The first call is given up sooner: a wrong address should be reported within seconds.
const FIRST_CALL_TRIES: u32 = 8;
/// Nor should an address that takes every request and answers none.
const FIRST_CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the merchant's side does not work.
#[derive(Debug, thiserror::Error)]
pub enum MerchantError {
    #[error("{url} does not answer")]
    Unreachable { url: String, source: RequestError },
    #[error("{url} does not know an admin with this address and password")]
    BadLogin { url: String },
    /// The account is no admin's.
    #[error("the account {email} is no admin of {url}: a rehearsal makes a sale and reads its ledger")]
    NotAdmin { email: String, url: String },
    /// It answers, but not like a Doorbuster.
    #[error("{path} answered {status}, which is not what a Doorbuster says: is the address right?")]
    UnexpectedReply { path: String, status: u16 },
    #[error("{path} answered {status} {code}: {detail}")]
    Refused { path: String, status: u16, code: String, detail: String },
    /// An event of the ledger cannot be understood.
    #[error("the ledger cannot be read")]
    Ledger(#[from] LedgerError),
}

/// A page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListPage<T> {
    pub(super) items: Vec<T>,
    pub(super) next_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignInDocument {
    user: UserDocument,
    access_token: String,
}

#[derive(Deserialize)]
struct UserDocument {
    id: BuyerId,
    #[serde(default)]
    role: String,
}

/// Calls as the admin.
pub(super) struct AdminApi {
    client: InstanceClient,
    bearer: Option<HeaderValue>,
}

impl AdminApi {
    pub(super) fn new(client: InstanceClient) -> Self {
        Self { client, bearer: None }
    }

    pub(super) async fn sign_in(&mut self, email: &str, password: &str) -> Result<(), MerchantError> {
        let path = "/api/v1/auth/login";
        let url = || self.client.target().url().to_owned();
        let body = json!({"email": email, "password": password});
        let answer = self.send_with_retries(Method::POST, path, Some(&body), FIRST_CALL_TRIES);
        let late = |_| MerchantError::Unreachable { url: url(), source: RequestError::Timeout };
        let reply = tokio::time::timeout(FIRST_CALL_TIMEOUT, answer).await.map_err(late)??;
        if reply.status == 401 {
            return Err(MerchantError::BadLogin { url: url() });
        }
        let signed_in: SignInDocument = parse_document(&check_status(reply, path)?, path)?;
        if signed_in.user.role != "admin" {
            return Err(MerchantError::NotAdmin { email: email.to_owned(), url: url() });
        }
        let foreign = |_| MerchantError::UnexpectedReply { path: path.to_owned(), status: 200 };
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
    ) -> Result<T, MerchantError> {
        parse_document(&check_status(self.send_with_retries(method, path, body, TRIES).await?, path)?, path)
    }

    pub(super) async fn get(&self, path: &str) -> Result<InstanceReply, MerchantError> {
        check_status(self.send_with_retries(Method::GET, path, None, TRIES).await?, path)
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), MerchantError> {
        check_status(self.send_with_retries(Method::DELETE, path, None, TRIES).await?, path)?;
        Ok(())
    }

    /// The first reply that is no transient failure.
    async fn send_with_retries(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        tries: u32,
    ) -> Result<InstanceReply, MerchantError> {
        let mut left = tries;
        loop {
            left -= 1;
            let sent = self
                .client
                .send(
                    self.build_request(method.clone(), path, body, None),
                    self.client.acquire_connection().await,
                )
                .await;
            match sent {
                Ok(reply) if left > 0 && (reply.status.is_server_error() || reply.status == 429) => {}
                Ok(reply) => return Ok(reply),
                Err(source) if left == 0 => {
                    return Err(MerchantError::Unreachable {
                        url: self.client.target().url().to_owned(),
                        source,
                    });
                }
                Err(_) => {}
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    fn build_request(
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

pub(super) async fn register_buyer(
    api: &AdminApi,
    name: &str,
    address: u32,
) -> Result<Option<(BuyerId, String)>, MerchantError> {
    #[derive(Serialize)]
    struct RegistrationBody<'a> {
        email: String,
        username: &'a str,
        password: String,
    }
    let path = "/api/v1/auth/register";
    // The buyer acts by its token alone: the password is not kept.
    let password = uuid::Uuid::new_v4().simple().to_string();
    let anyone = AdminApi { client: InstanceClient::new(api.client.target().clone(), 1), bearer: None };
    let mut tries = 0;
    let reply = loop {
        tries += 1;
        // A try whose reply was lost may have taken the name.
        let name = if tries == 1 { name.to_owned() } else { format!("{name}-{tries}") };
        let body = json!(RegistrationBody {
            email: format!("{name}@example.com"),
            username: &name,
            password: password.clone()
        });
        let request = anyone.build_request(Method::POST, path, Some(&body), Some(address));
        match anyone.client.send(request, anyone.client.acquire_connection().await).await {
            Ok(reply) if reply.status.is_server_error() && tries < TRIES => {}
            Ok(reply) => break reply,
            Err(source) if tries >= TRIES => {
                return Err(MerchantError::Unreachable { url: api.client.target().url().to_owned(), source });
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    };
    if reply.status == 429 {
        return Ok(None);
    }
    let signed_in: SignInDocument = parse_document(&check_status(reply, path)?, path)?;
    Ok(Some((signed_in.user.id, signed_in.access_token)))
}

/// What a sale of the instance promises.
pub(super) async fn load_sale_plan(api: &AdminApi, slug: &str) -> Result<preset::SalePlan, MerchantError> {
    let path = format!("/api/v1/flash-sales/{slug}");
    let named: SaleDocument = parse_document(&api.get(&path).await?, &path)?;
    let path = format!("/api/v1/admin/flash-sales/{}/overview", named.id);
    let OverviewDocument { sale: rules, .. } = parse_document(&api.get(&path).await?, &path)?;
    Ok(preset::SalePlan {
        quantity: rules.sale.quantity,
        limit_per_buyer: rules.sale.limit_per_buyer,
        hold_s: rules.sale.hold_seconds,
        admission: rules.sale.admission.into(),
    })
}

fn check_status(reply: InstanceReply, path: &str) -> Result<InstanceReply, MerchantError> {
    #[derive(Deserialize)]
    struct RefusalDocument {
        code: String,
        #[serde(default)]
        detail: String,
    }
    if reply.status.is_success() {
        return Ok(reply);
    }
    let status = reply.status.as_u16();
    let path = path.to_owned();
    Err(match serde_json::from_slice::<RefusalDocument>(&reply.body) {
        Ok(RefusalDocument { code, detail }) => MerchantError::Refused { path, status, code, detail },
        Err(_) => MerchantError::UnexpectedReply { path, status },
    })
}

pub(super) fn parse_document<T: for<'de> Deserialize<'de>>(
    reply: &InstanceReply,
    path: &str,
) -> Result<T, MerchantError> {
    serde_json::from_slice(&reply.body)
        .map_err(|_| MerchantError::UnexpectedReply { path: path.to_owned(), status: reply.status.as_u16() })
}
