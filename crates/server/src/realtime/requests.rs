//! What a client may ask: join a line, leave it, watch a sale. Each is one call into `shop`, the same as over HTTP, and each
//! is acknowledged with a document or a problem.

use super::Hall;
use super::desk::{Note, Visit};
use super::guest::{Guest, May};
use super::words::{Inventory, LeftLine, Position, Said};
use crate::shop::{Shop, line, live, sales};
use sale::{BuyerId, Phase, SaleId, Seq};
use serde::Serialize;
use serde_json::Value;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::socket::Sid;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// Lines in which a buyer who comes without saying for what is looked for.
const LINES_LOOKED_AT_MAX: usize = 10;

/// How long to wait before an engine that was too busy is asked again how a buyer stands.
const STAND_RESTS: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::ZERO];

/// A problem by its stable code.
type Code = &'static str;

/// What is asked about.
#[derive(Clone, Copy)]
struct Asked {
    socket: Sid,
    sale: SaleId,
    buyer: Option<BuyerId>,
}

/// Hangs up what a socket that is let in may ask, and what happens when it goes.
pub fn hang_up<S>(hall: &Arc<Hall<S>>, socket: &SocketRef, guest: &Arc<Guest>)
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    socket.extensions.insert(Arc::clone(guest));
    on(hall, socket, "queue:join", join);
    on(hall, socket, "queue:leave", leave);
    on(hall, socket, "inventory:watch", watch);
    let at_end = Arc::clone(hall);
    socket.on_disconnect(move |socket: SocketRef| async move {
        let _stopped = at_end.desk.send(Note::Gone(socket.id)).await;
    });
}

/// Takes a socket in, and tells the buyer how things stand.
pub async fn welcome<S>(hall: &Arc<Hall<S>>, socket: SocketRef)
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    let Some(guest) = socket.extensions.get::<Arc<Guest>>() else { return };
    let (id, buyer) = (socket.id, guest.buyer());
    if hall.desk.send(Note::Came(Visit { socket, guest })).await.is_err() {
        return;
    }
    let Some(buyer) = buyer else { return };
    let now = (hall.shop.now)();
    let is_open = |phase| matches!(phase, Phase::Active | Phase::Paused);
    let views = hall.shop.engine.views().all();
    let lines = views.iter().filter(|view| {
        is_open(view.phase(now))
            || view.policy.line_opens_at().is_some_and(|at| at <= now && now < view.policy.ends_at)
    });
    for view in lines.take(LINES_LOOKED_AT_MAX) {
        tell_stand(hall, id, view.id, buyer, false).await;
    }
}

async fn join<S>(hall: Arc<Hall<S>>, asked: Asked) -> Result<Position, Code>
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    let buyer = asked.buyer.ok_or("unauthorized")?;
    let version = version(&hall, asked.sale);
    let joined = line::join(&hall.shop, asked.sale, buyer).await.map_err(live::code)?;
    let joined = joined.map_err(|refusal| refusal.code())?;
    tell_stand(&hall, asked.socket, asked.sale, buyer, false).await;
    Ok(Position::joined(&joined.standing, version))
}

async fn leave<S>(hall: Arc<Hall<S>>, asked: Asked) -> Result<LeftLine, Code>
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    let buyer = asked.buyer.ok_or("unauthorized")?;
    let left = line::leave(&hall.shop, asked.sale, buyer).await.map_err(live::code)?;
    let ticket = left.map_err(|refusal| refusal.code())?;
    Ok(LeftLine { flash_sale_id: asked.sale.0, ticket: ticket.0, status: "left" })
}

async fn watch<S>(hall: Arc<Hall<S>>, asked: Asked) -> Result<Inventory, Code>
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    let view = hall.shop.engine.views().get(asked.sale).ok_or("sale_unknown")?;
    if let Some(buyer) = asked.buyer {
        tell_stand(&hall, asked.socket, asked.sale, buyer, true).await;
    }
    Ok(Inventory::of(&view, (hall.shop.now)()))
}

/// Has the desk tell a buyer how they stand in a sale. An engine that is too busy to say is asked again a few times; then the
/// next thing that happens to the buyer tells it.
async fn tell_stand<S>(hall: &Arc<Hall<S>>, socket: Sid, sale: SaleId, buyer: BuyerId, is_asked: bool)
where
    S: Deref<Target = Shop>,
{
    for rest in STAND_RESTS {
        match live::stand(&hall.shop, sale, buyer).await {
            Ok(Some(stand)) => {
                let _stopped = hall.desk.send(Note::Stands { socket, buyer, stand, is_asked }).await;
                return;
            }
            Ok(None) => return,
            Err(_busy) => tokio::time::sleep(rest).await,
        }
    }
}

fn version<S: Deref<Target = Shop>>(hall: &Hall<S>, sale: SaleId) -> Seq {
    hall.shop.engine.views().get(sale).map_or(Seq(0), |view| view.seq)
}

/// Hangs a request up. Every one of them also makes the socket watch the sale that it is about.
fn on<S, F, A, T>(hall: &Arc<Hall<S>>, socket: &SocketRef, event: &'static str, request: F)
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
    F: Fn(Arc<Hall<S>>, Asked) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<T, Code>> + Send + 'static,
    T: Serialize + Send + 'static,
{
    let hall = Arc::clone(hall);
    socket.on(event, move |socket: SocketRef, TryData(data): TryData<Value>, ack: AckSender| {
        let hall = Arc::clone(&hall);
        async move {
            let Some(guest) = socket.extensions.get::<Arc<Guest>>() else { return };
            let answer = match parse(&hall, &guest, socket.id, data.ok()).await {
                Ok(asked) => {
                    let (sale, visit) = (asked.sale, Visit { socket, guest });
                    let _stopped = hall.desk.send(Note::Watch { visit, sale }).await;
                    request(Arc::clone(&hall), asked).await
                }
                Err(Unheard::Told(code)) => Err(code),
                Err(Unheard::ShownOut) => {
                    let _gone = socket.disconnect();
                    return;
                }
            };
            // A client that is gone, or does not read, needs no answer.
            let _gone = match answer {
                Ok(document) => ack.send(&document),
                Err(code) => ack.send(&problem(&hall, code)),
            };
        }
    });
}

/// Why a request is not looked at.
enum Unheard {
    Told(Code),
    ShownOut,
}

impl From<Code> for Unheard {
    fn from(code: Code) -> Self {
        Self::Told(code)
    }
}

async fn parse<S>(hall: &Hall<S>, guest: &Guest, socket: Sid, data: Option<Value>) -> Result<Asked, Unheard>
where
    S: Deref<Target = Shop>,
{
    let now = (hall.shop.now)();
    match guest.may_ask(now) {
        May::Ask => {}
        May::Wait => return Err("rate_limited".into()),
        May::Go => return Err(Unheard::ShownOut),
    }
    if guest.is_over(&hall.shop.accounts.tokens, now) {
        return Err("unauthorized".into());
    }
    let sale = data.as_ref().and_then(|data| data.get("flashSaleId")).and_then(Value::as_str);
    let sale = SaleId(sale.ok_or("bad_request")?.parse().map_err(|_| "bad_request")?);
    if !sales::is_there(&hall.shop, sale).await {
        return Err("sale_unknown".into());
    }
    Ok(Asked { socket, sale, buyer: guest.buyer() })
}

fn problem<S>(hall: &Hall<S>, code: Code) -> Said {
    let unknown = Said { code, title: "Refused", detail: "this cannot be done", status: 409 };
    (hall.dictionary)(code).unwrap_or(unknown)
}
