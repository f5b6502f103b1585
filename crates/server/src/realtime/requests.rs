//! What a client may ask: join a line, leave it, watch a sale. Each is one call into `shop`, the same as over HTTP, and each
//! is acknowledged with a document or a problem.

use super::SocketContext;
use super::documents::{InventoryUpdate, LeaveReply, PositionUpdate, ProblemSummary};
use super::hub::{ConnectedSocket, HubMessage};
use super::session::{Permission, SocketSession};
use crate::shop::{Shop, line, live_updates, sales};
use sale::{BuyerId, EventSeq, SaleId, SalePhase};
use serde::Serialize;
use serde_json::Value;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::socket::Sid;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// Lines in which a buyer who comes without saying for what is looked for.
const LINES_CHECKED_MAX: usize = 10;

/// How long to wait before an engine that was too busy is asked again how a buyer stands.
const SNAPSHOT_RETRY_DELAYS: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::ZERO];

/// A problem by its stable code.
type ProblemCode = &'static str;

/// What is asked about.
#[derive(Clone, Copy)]
struct SocketRequest {
    socket: Sid,
    sale: SaleId,
    buyer: Option<BuyerId>,
}

/// Hangs up what a socket that is let in may ask, and what happens when it goes.
pub fn register_handlers<S>(hall: &Arc<SocketContext<S>>, socket: &SocketRef, guest: &Arc<SocketSession>)
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    socket.extensions.insert(Arc::clone(guest));
    register_handler(hall, socket, "queue:join", join_line);
    register_handler(hall, socket, "queue:leave", leave_line);
    register_handler(hall, socket, "inventory:watch", watch_sale);
    let at_end = Arc::clone(hall);
    socket.on_disconnect(move |socket: SocketRef| async move {
        let _stopped = at_end.hub.send(HubMessage::Disconnected(socket.id)).await;
    });
}

/// Takes a socket in, and tells the buyer how things stand.
pub async fn accept_socket<S>(hall: &Arc<SocketContext<S>>, socket: SocketRef)
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    let Some(guest) = socket.extensions.get::<Arc<SocketSession>>() else { return };
    let (id, buyer) = (socket.id, guest.buyer());
    if hall.hub.send(HubMessage::Connected(ConnectedSocket { socket, session: guest })).await.is_err() {
        return;
    }
    let Some(buyer) = buyer else { return };
    let now = (hall.shop.now)();
    let is_open = |phase| matches!(phase, SalePhase::Active | SalePhase::Paused);
    let views = hall.shop.engine.views().list();
    let lines = views.iter().filter(|view| {
        is_open(view.phase(now))
            || view.policy.line_opens_at().is_some_and(|at| at <= now && now < view.policy.ends_at)
    });
    for view in lines.take(LINES_CHECKED_MAX) {
        send_snapshot(hall, id, view.id, buyer, false).await;
    }
}

async fn join_line<S>(
    hall: Arc<SocketContext<S>>,
    asked: SocketRequest,
) -> Result<PositionUpdate, ProblemCode>
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    let buyer = asked.buyer.ok_or("unauthorized")?;
    let version = sale_version(&hall, asked.sale);
    let joined = line::join(&hall.shop, asked.sale, buyer).await.map_err(live_updates::error_code)?;
    let joined = joined.map_err(|refusal| refusal.code())?;
    send_snapshot(&hall, asked.socket, asked.sale, buyer, false).await;
    Ok(PositionUpdate::from_join(&joined.status, version))
}

async fn leave_line<S>(hall: Arc<SocketContext<S>>, asked: SocketRequest) -> Result<LeaveReply, ProblemCode>
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    let buyer = asked.buyer.ok_or("unauthorized")?;
    let left = line::leave(&hall.shop, asked.sale, buyer).await.map_err(live_updates::error_code)?;
    let ticket = left.map_err(|refusal| refusal.code())?;
    Ok(LeaveReply { flash_sale_id: asked.sale.0, ticket: ticket.0, status: "left" })
}

async fn watch_sale<S>(
    hall: Arc<SocketContext<S>>,
    asked: SocketRequest,
) -> Result<InventoryUpdate, ProblemCode>
where
    S: Deref<Target = Shop> + Send + Sync + 'static,
{
    let view = hall.shop.engine.views().get(asked.sale).ok_or("sale_unknown")?;
    if let Some(buyer) = asked.buyer {
        send_snapshot(&hall, asked.socket, asked.sale, buyer, true).await;
    }
    Ok(InventoryUpdate::from_view(&view, (hall.shop.now)()))
}

/// Has the desk tell a buyer how they stand in a sale. An engine that is too busy to say is asked again a few times; then the
/// next thing that happens to the buyer tells it.
async fn send_snapshot<S>(
    hall: &Arc<SocketContext<S>>,
    socket: Sid,
    sale: SaleId,
    buyer: BuyerId,
    is_asked: bool,
) where
    S: Deref<Target = Shop>,
{
    for rest in SNAPSHOT_RETRY_DELAYS {
        match live_updates::load_snapshot(&hall.shop, sale, buyer).await {
            Ok(Some(stand)) => {
                let _stopped = hall.hub.send(HubMessage::Snapshot { socket, buyer, stand, is_asked }).await;
                return;
            }
            Ok(None) => return,
            Err(_busy) => tokio::time::sleep(rest).await,
        }
    }
}

fn sale_version<S: Deref<Target = Shop>>(hall: &SocketContext<S>, sale: SaleId) -> EventSeq {
    hall.shop.engine.views().get(sale).map_or(EventSeq(0), |view| view.seq)
}

/// Hangs a request up. Every one of them also makes the socket watch the sale that it is about.
fn register_handler<S, F, A, T>(
    hall: &Arc<SocketContext<S>>,
    socket: &SocketRef,
    event: &'static str,
    request: F,
) where
    S: Deref<Target = Shop> + Send + Sync + 'static,
    F: Fn(Arc<SocketContext<S>>, SocketRequest) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<T, ProblemCode>> + Send + 'static,
    T: Serialize + Send + 'static,
{
    let hall = Arc::clone(hall);
    socket.on(event, move |socket: SocketRef, TryData(data): TryData<Value>, ack: AckSender| {
        let hall = Arc::clone(&hall);
        async move {
            let Some(guest) = socket.extensions.get::<Arc<SocketSession>>() else { return };
            let answer = match parse_request(&hall, &guest, socket.id, data.ok()).await {
                Ok(asked) => {
                    let (sale, visit) = (asked.sale, ConnectedSocket { socket, session: guest });
                    let _stopped = hall.hub.send(HubMessage::Watch { visit, sale }).await;
                    request(Arc::clone(&hall), asked).await
                }
                Err(RequestRejection::Problem(code)) => Err(code),
                Err(RequestRejection::Disconnect) => {
                    let _gone = socket.disconnect();
                    return;
                }
            };
            // A client that is gone, or does not read, needs no answer.
            let _gone = match answer {
                Ok(document) => ack.send(&document),
                Err(code) => ack.send(&problem_summary(&hall, code)),
            };
        }
    });
}

/// Why a request is not looked at.
enum RequestRejection {
    Problem(ProblemCode),
    Disconnect,
}

impl From<ProblemCode> for RequestRejection {
    fn from(code: ProblemCode) -> Self {
        Self::Problem(code)
    }
}

async fn parse_request<S>(
    hall: &SocketContext<S>,
    guest: &SocketSession,
    socket: Sid,
    data: Option<Value>,
) -> Result<SocketRequest, RequestRejection>
where
    S: Deref<Target = Shop>,
{
    let now = (hall.shop.now)();
    match guest.spend_request(now) {
        Permission::Granted => {}
        Permission::RateLimited => return Err("rate_limited".into()),
        Permission::Disconnect => return Err(RequestRejection::Disconnect),
    }
    if guest.has_ended(&hall.shop.accounts.tokens, now) {
        return Err("unauthorized".into());
    }
    let sale = data.as_ref().and_then(|data| data.get("flashSaleId")).and_then(Value::as_str);
    let sale = SaleId(sale.ok_or("bad_request")?.parse().map_err(|_| "bad_request")?);
    if !sales::exists(&hall.shop, sale).await {
        return Err("sale_unknown".into());
    }
    Ok(SocketRequest { socket, sale, buyer: guest.buyer() })
}

fn problem_summary<S>(hall: &SocketContext<S>, code: ProblemCode) -> ProblemSummary {
    let unknown = ProblemSummary { code, title: "Refused", detail: "this cannot be done", status: 409 };
    (hall.problems)(code).unwrap_or(unknown)
}
