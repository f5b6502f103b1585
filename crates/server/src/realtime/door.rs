//! Who comes in: the token of the connect payload is checked, and the limits; whoever is refused is told why in the
//! `connect_error`. What a guest then asks is in [`super::requests`].

use super::gate::{Full, Visitor};
use super::guest::Guest;
use super::{Hall, requests};
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
enum Refused {
    #[error("unauthorized: this access token is not valid, or no longer; sign in again")]
    Token(#[from] TokenError),
    #[error("bad_request: connect with {{\"token\": \"…\"}}, or with nothing to watch without an account")]
    Payload,
    #[error("{0}")]
    Full(Full),
}

/// Opens the one namespace there is.
pub fn open<S>(io: &SocketIo, hall: &Arc<Hall<S>>)
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    let (at_gate, inside) = (Arc::clone(hall), Arc::clone(hall));
    let check = move |socket: SocketRef, auth: TryData<Value>| {
        let hall = Arc::clone(&at_gate);
        async move {
            let guest = admit(&hall, &socket, auth.0.ok())
                .inspect_err(|refused| hall.metrics.refused(reason(refused)))?;
            // Before the client is told that it is in: what it asks at once finds somebody who listens.
            requests::hang_up(&hall, &socket, &Arc::new(guest));
            Ok::<(), Refused>(())
        }
    };
    let welcome = move |socket: SocketRef| {
        let hall = Arc::clone(&inside);
        async move { requests::welcome(&hall, socket).await }
    };
    io.ns("/", welcome.with(check));
}

fn admit<S>(hall: &Hall<S>, socket: &SocketRef, auth: Option<Value>) -> Result<Guest, Refused>
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
            Some(_) => return Err(Refused::Payload),
        },
        Some(_) => return Err(Refused::Payload),
    };
    let session = token.map(|token| hall.shop.accounts.tokens.verify(token, now)).transpose()?;
    // The door of HTTP has put it there.
    let visitor = socket.req_parts().extensions.get::<Visitor>().cloned();
    let visitor = visitor.unwrap_or_else(|| Visitor::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    visitor.enter(&hall.gate, session.map(|session| session.buyer)).map_err(Refused::Full)?;
    Ok(Guest::new(session.map(|session| (session, hall.audience.enter())), now))
}

fn reason(refused: &Refused) -> &'static str {
    match refused {
        Refused::Token(_) => "unauthorized",
        Refused::Payload => "bad_request",
        Refused::Full(full) => full.code(),
    }
}
