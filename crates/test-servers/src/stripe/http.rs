//! HTTP/1.1 of the stand-in: one request after the other on each connection.

use super::faults::FaultKind;
use super::{ApiCall, StandInState, api, control, lock, page};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Bytes of a request's head or body at most.
const PART_LEN_MAX: usize = 1 << 20;

#[derive(Clone, Debug)]
pub(super) struct StandInRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    /// By name in lower case.
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct StandInReply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl StandInReply {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: body.to_string() }
    }

    pub(super) fn html(status: u16, body: String) -> Self {
        Self { status, headers: vec![("content-type", "text/html; charset=utf-8".to_owned())], body }
    }

    pub(super) fn redirect(url: &str) -> Self {
        Self { status: 303, headers: vec![("location", url.to_owned())], body: String::new() }
    }
}

impl StandInRequest {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The parameters of a form: in the body of a POST, in the query otherwise.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let text = if self.method == "POST" { self.body.as_slice() } else { self.query.as_bytes() };
        form_urlencoded::parse(text).into_owned().collect()
    }
}

pub(super) async fn serve_connection(stream: TcpStream, state: Arc<StandInState>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        let Some(reply) = answer(&state, &request).await else { return };
        let mut text =
            format!("HTTP/1.1 {} Status\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
        for (name, value) in reply.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&reply.body);
        if stream.get_mut().write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The reply; `None` when the connection ends without one.
async fn answer(state: &Arc<StandInState>, request: &StandInRequest) -> Option<StandInReply> {
    if request.path.starts_with("/pay/") {
        return Some(page::answer(state, request));
    }
    if request.path.starts_with("/control/") {
        return Some(control::answer(state, request));
    }
    let fault = lock(&state.faults).take(&request.method, &request.path);
    let reply = match fault {
        None => Some(api::answer(state, request)),
        Some(FaultKind::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            Some(api::answer(state, request))
        }
        Some(FaultKind::TooMany) => Some(api::too_many()),
        Some(FaultKind::Fail) => Some(api::failure()),
        Some(FaultKind::FailAndKeep) => Some(api::keep_failure(state, request)),
        Some(FaultKind::Conflict) => Some(api::conflict()),
        Some(FaultKind::LoseReply | FaultKind::DoAndStall) => {
            drop(api::answer(state, request));
            None
        }
        Some(FaultKind::HangUp | FaultKind::Stall) => None,
    };
    lock(&state.calls).push(ApiCall {
        method: request.method.clone(),
        path: request.path.clone(),
        idempotency_key: request.header("idempotency-key").map(str::to_owned),
        parameters: request.parameters(),
        status: reply.as_ref().map_or(0, |reply| reply.status),
    });
    if matches!(fault, Some(FaultKind::Stall | FaultKind::DoAndStall)) {
        std::future::pending::<()>().await;
    }
    reply
}

/// The next request of a connection; `None` when it ends.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<StandInRequest> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        if head.len() > PART_LEN_MAX {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let len = headers.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    if len > PART_LEN_MAX {
        return None;
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.ok()?;
    Some(StandInRequest { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}
