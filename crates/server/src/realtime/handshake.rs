//! The connect handshake: verifies the token of the payload and applies the limits. The `connect_error` gives the reason of a
//! refusal. The requests of a connected socket are in [`super::requests`].

use super::limiter::{CapacityReached, socket_peer};
use super::session::SocketSession;
use super::{SocketContext, requests};
use crate::auth::tokens::TokenError;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use std::sync::Arc;

/// The `Display` is the message of the `connect_error`: a stable code, a colon, a sentence.
#[derive(Debug, thiserror::Error)]
enum ConnectRefusal {
    #[error("unauthorized: this access token is not valid, or no longer; sign in again")]
    Token(#[from] TokenError),
    #[error("bad_request: connect with {{\"token\": \"…\"}}, or with nothing to watch without an account")]
    Payload,
    #[error("{0}")]
    Full(CapacityReached),
}

pub fn register_namespace(io: &SocketIo, context: &Arc<SocketContext>) {
    let (check_context, welcome_context) = (Arc::clone(context), Arc::clone(context));
    let check = move |socket: SocketRef, auth: TryData<Value>| {
        let context = Arc::clone(&check_context);
        async move {
            let session = authorize_socket(&context, &socket, auth.0.ok())
                .inspect_err(|refusal| context.metrics.count_refused(refusal_reason(refusal)))?;
            // Before the client knows that it is connected, so that its first request finds a handler.
            requests::register_handlers(&context, &socket, &Arc::new(session));
            Ok::<(), ConnectRefusal>(())
        }
    };
    let welcome = move |socket: SocketRef| {
        let context = Arc::clone(&welcome_context);
        async move { requests::accept_socket(&context, socket).await }
    };
    io.ns("/", welcome.with(check));
}

fn authorize_socket(
    context: &SocketContext,
    socket: &SocketRef,
    auth: Option<Value>,
) -> Result<SocketSession, ConnectRefusal> {
    let now = (context.shop.now)();
    let token = match &auth {
        None | Some(Value::Null) => None,
        Some(Value::Object(fields)) => match fields.get("token") {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) if token.is_empty() => None,
            Some(Value::String(token)) => Some(token.as_str()),
            Some(_) => return Err(ConnectRefusal::Payload),
        },
        Some(_) => return Err(ConnectRefusal::Payload),
    };
    let session = token.map(|token| context.shop.accounts.tokens.verify(token, now)).transpose()?;
    socket_peer(socket)
        .acquire_permit(&context.limiter, session.map(|session| session.buyer))
        .map_err(ConnectRefusal::Full)?;
    let session = SocketSession::new(session.map(|session| (session, context.subscribers.subscribe())), now);
    let wants_positions = auth.as_ref().is_none_or(|auth| auth["positions"] != Value::Bool(false));
    Ok(if wants_positions { session } else { session.without_positions() })
}

fn refusal_reason(refusal: &ConnectRefusal) -> &'static str {
    match refusal {
        ConnectRefusal::Token(_) => "unauthorized",
        ConnectRefusal::Payload => "bad_request",
        ConnectRefusal::Full(capacity) => capacity.code(),
    }
}
