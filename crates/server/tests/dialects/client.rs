//! A client of a dialect: plain HTTP, with bodies as they come.

use crate::support::TestApp;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use server::http::dialects::Dialect;
use test_servers::wait::{HANG_LIMIT, eventually_some};

/// A client of one dialect of a shop.
#[derive(Clone)]
pub struct DialectClient {
    http: reqwest::Client,
    base: String,
}

/// A reply that was read to its end.
#[derive(Debug)]
pub struct DialectReply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl DialectClient {
    /// A client of the first listener that the dialect has, or of its prefix on the main listener.
    pub fn of(app: &TestApp, dialect: Dialect) -> Self {
        let own = app.instance.dialect_addresses.iter().find(|(of, _)| *of == dialect);
        let base = match own {
            Some((_, address)) => format!("http://{address}"),
            None => format!("http://{}{}", app.instance.address, dialect.prefix()),
        };
        Self { http: app.http.clone(), base }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub async fn get(&self, path: &str) -> DialectReply {
        self.send(|| self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> DialectReply {
        self.send(|| self.request(Method::POST, path).json(body)).await
    }

    pub async fn post_as(&self, token: &str, path: &str, body: &Value) -> DialectReply {
        self.send(|| self.request(Method::POST, path).bearer_auth(token).json(body)).await
    }

    pub async fn get_as(&self, token: &str, path: &str) -> DialectReply {
        self.send(|| self.request(Method::GET, path).bearer_auth(token)).await
    }

    /// Asks again while the servers of a busy machine do not answer, as clients do.
    async fn send(&self, build: impl Fn() -> RequestBuilder) -> DialectReply {
        eventually_some("a reply", HANG_LIMIT, async || {
            let reply = DialectReply::send(build()).await;
            let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
            let is_early = reply.status == StatusCode::SERVICE_UNAVAILABLE
                && (body["code"] == "unavailable" || body["code"] == "not_recorded");
            (!is_early).then_some(reply)
        })
        .await
    }

    /// A body of this content type, or of none.
    pub async fn post_raw(&self, path: &str, content_type: Option<&str>, body: &str) -> DialectReply {
        let request = self.request(Method::POST, path).body(body.to_owned());
        DialectReply::send(match content_type {
            Some(content_type) => request.header(CONTENT_TYPE, content_type),
            None => request,
        })
        .await
    }
}

impl DialectReply {
    pub async fn send(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    /// The message, after checking the status.
    pub fn message(&self, status: u16) -> String {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{} {:?}",
            String::from_utf8_lossy(&self.body),
            self.headers
        );
        self.json()["message"].as_str().unwrap_or_else(|| panic!("no message: {self:?}")).to_owned()
    }

    /// The document, after checking the status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{} {:?}",
            String::from_utf8_lossy(&self.body),
            self.headers
        );
        self.json()
    }
}
