//! Who comes in: the token of the connect payload is checked, and the limits; whoever is refused is told why in the
//! `connect_error`. What a guest then asks is in [`super::requests`].

use super::limiter::{CapacityReached, SocketPeer};
use super::session::SocketSession;
use super::{SocketContext, requests};
use crate::auth::tokens::TokenError;
use crate::shop::Shop;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;
use std::sync::Arc;

/// Why somebody does not come in. Its `Display` is the message of the `connect_error`: a stable code, a colon, a sentence.
#[derive(Debug, thiserror::Error)]
enum ConnectRefusal {
    #[error("unauthorized: this access token is not valid, or no longer; sign in again")]
    Token(#[from] TokenError),
    #[error("bad_request: connect with {{\"token\": \"…\"}}, or with nothing to watch without an account")]
    Payload,
    #[error("{0}")]
    Full(CapacityReached),
}

/// Opens the one namespace there is.
pub fn register_namespace<S>(io: &SocketIo, hall: &Arc<SocketContext<S>>)
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    let (at_gate, inside) = (Arc::clone(hall), Arc::clone(hall));
    let check = move |socket: SocketRef, auth: TryData<Value>| {
        let hall = Arc::clone(&at_gate);
        async move {
            let guest = authorize_socket(&hall, &socket, auth.0.ok())
                .inspect_err(|refused| hall.metrics.count_refused(refusal_reason(refused)))?;
            // Before the client is told that it is in: what it asks at once finds somebody who listens.
            requests::register_handlers(&hall, &socket, &Arc::new(guest));
            Ok::<(), ConnectRefusal>(())
        }
    };
    let welcome = move |socket: SocketRef| {
        let hall = Arc::clone(&inside);
        async move { requests::accept_socket(&hall, socket).await }
    };
    io.ns("/", welcome.with(check));
}

fn authorize_socket<S>(
    hall: &SocketContext<S>,
    socket: &SocketRef,
    auth: Option<Value>,
) -> Result<SocketSession, ConnectRefusal>
where
    S: Deref<Target = Shop>,
{
    let now = (hall.shop.now)();
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
    let session = token.map(|token| hall.shop.accounts.tokens.verify(token, now)).transpose()?;
    // The door of HTTP has put it there.
    let visitor = socket.req_parts().extensions.get::<SocketPeer>().cloned();
    let visitor = visitor.unwrap_or_else(|| SocketPeer::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    visitor
        .acquire_permit(&hall.limiter, session.map(|session| session.buyer))
        .map_err(ConnectRefusal::Full)?;
    Ok(SocketSession::new(session.map(|session| (session, hall.subscribers.subscribe())), now))
}

fn refusal_reason(refused: &ConnectRefusal) -> &'static str {
    match refused {
        ConnectRefusal::Token(_) => "unauthorized",
        ConnectRefusal::Payload => "bad_request",
        ConnectRefusal::Full(full) => full.code(),
    }
}
