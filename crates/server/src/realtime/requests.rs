//! The requests of a socket: join a line, leave it, watch a sale. Each makes the same call into `shop` as over HTTP, and is
//! acknowledged with a document or a problem.

use super::SocketContext;
use super::documents::{
    InventoryUpdate, LeaveReply, LineStatusDocument, PositionUpdate, ProblemSummary, inventory_update,
    join_reply,
};
use super::hub::{ConnectedSocket, HubMessage};
use super::limiter::socket_peer;
use super::session::{Permission, SocketSession};
use crate::shop::{line, live_updates, sales};
use engine::SaleView;
use sale::{BuyerId, EventSeq, SaleId, SalePhase, Timestamp};
use serde::Serialize;
use serde_json::Value;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::socket::Sid;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Open sales in which the place of a buyer who connects is looked up.
const LINES_CHECKED_MAX: usize = 10;

/// Sales that are over in which it is looked up: the newest.
const OVER_SALES_CHECKED_MAX: usize = 3;

/// So long after its end a sale is looked up for a buyer who connects: a day, in milliseconds.
const OVER_SALES_KEPT_MS: i64 = 86_400_000;

/// Pauses before the snapshot of a buyer is loaded again, after the engine was overloaded.
const SNAPSHOT_RETRY_DELAYS: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::ZERO];

/// The stable code of a problem.
type ProblemCode = &'static str;

/// Which limits a request counts against, besides the budget of its socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestKind {
    Read,
    /// Counts like the same request over HTTP.
    Change,
}

#[derive(Clone, Copy)]
struct SocketRequest {
    socket: Sid,
    sale: SaleId,
    buyer: Option<BuyerId>,
}

/// Registers the handlers of a socket that may connect.
pub fn register_handlers(context: &Arc<SocketContext>, socket: &SocketRef, session: &Arc<SocketSession>) {
    socket.extensions.insert(Arc::clone(session));
    register_handler(context, socket, "queue:join", RequestKind::Change, join_line);
    register_handler(context, socket, "queue:leave", RequestKind::Change, leave_line);
    register_handler(context, socket, "inventory:watch", RequestKind::Read, watch_sale);
    let on_disconnect_context = Arc::clone(context);
    socket.on_disconnect(move |socket: SocketRef| async move {
        let _stopped = on_disconnect_context.hub.send(HubMessage::Disconnected(socket.id)).await;
    });
}

/// Registers a connected socket with the hub, and sends it the buyer's place and orders in open sales.
pub async fn accept_socket(context: &Arc<SocketContext>, socket: SocketRef) {
    let Some(session) = socket.extensions.get::<Arc<SocketSession>>() else { return };
    let (id, buyer) = (socket.id, session.buyer());
    if context.hub.send(HubMessage::Connected(ConnectedSocket { socket, session })).await.is_err() {
        return;
    }
    let Some(buyer) = buyer else { return };
    let now = (context.shop.now)();
    let views = context.shop.engine.views().list();
    let open = views.iter().filter(|view| is_open(view, now)).take(LINES_CHECKED_MAX);
    // A buyer who was away when the sale ended waits for nothing.
    let mut over: Vec<_> = views.iter().filter(|view| is_recently_over(view, now)).collect();
    over.sort_unstable_by_key(|view| std::cmp::Reverse(view.policy.starts_at));
    for view in open.chain(over.into_iter().take(OVER_SALES_CHECKED_MAX)) {
        send_snapshot(context, id, view.id, buyer, false).await;
    }
}

/// Whether a buyer may have a place or an order that changes.
fn is_open(view: &SaleView, now: Timestamp) -> bool {
    match view.phase(now) {
        SalePhase::Active | SalePhase::Paused => true,
        SalePhase::Upcoming => view.policy.line_opens_at().is_some_and(|at| at <= now),
        SalePhase::Ended | SalePhase::Closed => false,
    }
}

/// Whether a sale with a line is over for a day at most, as far as its announced end says.
fn is_recently_over(view: &SaleView, now: Timestamp) -> bool {
    view.is_over(now)
        && view.policy.line_opens_at().is_some()
        && now < view.policy.ends_at.plus_ms(OVER_SALES_KEPT_MS)
}

async fn join_line(
    context: Arc<SocketContext>,
    request: SocketRequest,
) -> Result<PositionUpdate, ProblemCode> {
    let buyer = request.buyer.ok_or("unauthorized")?;
    if context.change_limits.refuses_joins() {
        return Err("overloaded");
    }
    let version = sale_version(&context, request.sale);
    let joined = line::join(&context.shop, request.sale, buyer).await.map_err(live_updates::error_code)?;
    let joined = joined.map_err(|refusal| refusal.code())?;
    send_snapshot(&context, request.socket, request.sale, buyer, false).await;
    Ok(join_reply(&joined.status, version))
}

async fn leave_line(context: Arc<SocketContext>, request: SocketRequest) -> Result<LeaveReply, ProblemCode> {
    let buyer = request.buyer.ok_or("unauthorized")?;
    let left = line::leave(&context.shop, request.sale, buyer).await.map_err(live_updates::error_code)?;
    let ticket = left.map_err(|refusal| refusal.code())?;
    Ok(LeaveReply { flash_sale_id: request.sale, ticket, status: LineStatusDocument::Left })
}

async fn watch_sale(
    context: Arc<SocketContext>,
    request: SocketRequest,
) -> Result<InventoryUpdate, ProblemCode> {
    let view = context.shop.engine.views().get(request.sale).ok_or("sale_unknown")?;
    if let Some(buyer) = request.buyer {
        send_snapshot(&context, request.socket, request.sale, buyer, true).await;
    }
    Ok(inventory_update(&view, (context.shop.now)()))
}

/// Loads a buyer's place and orders in a sale, and has the hub send them. It retries a few times while the engine is overloaded;
/// after that the buyer's next event sends them.
async fn send_snapshot(
    context: &Arc<SocketContext>,
    socket: Sid,
    sale: SaleId,
    buyer: BuyerId,
    is_asked: bool,
) {
    for delay in SNAPSHOT_RETRY_DELAYS {
        match live_updates::load_snapshot(&context.shop, sale, buyer).await {
            Ok(Some(snapshot)) => {
                let _stopped =
                    context.hub.send(HubMessage::Snapshot { socket, buyer, snapshot, is_asked }).await;
                return;
            }
            Ok(None) => return,
            Err(_busy) => tokio::time::sleep(delay).await,
        }
    }
}

fn sale_version(context: &SocketContext, sale: SaleId) -> EventSeq {
    context.shop.engine.views().get(sale).map_or(EventSeq(0), |view| view.seq)
}

/// Registers a handler. Each request also subscribes the socket to its sale.
fn register_handler<F, A, T>(
    context: &Arc<SocketContext>,
    socket: &SocketRef,
    event: &'static str,
    kind: RequestKind,
    handler: F,
) where
    F: Fn(Arc<SocketContext>, SocketRequest) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<T, ProblemCode>> + Send + 'static,
    T: Serialize + Send + 'static,
{
    let context = Arc::clone(context);
    socket.on(event, move |socket: SocketRef, TryData(data): TryData<Value>, ack: AckSender| {
        let context = Arc::clone(&context);
        async move {
            let Some(session) = socket.extensions.get::<Arc<SocketSession>>() else { return };
            let answer = match parse_request(&context, &session, &socket, kind, data.ok()).await {
                Ok(request) => {
                    let (sale, connected) = (request.sale, ConnectedSocket { socket, session });
                    let _stopped = context.hub.send(HubMessage::Watch { connected, sale }).await;
                    handler(Arc::clone(&context), request)
                        .await
                        .map_err(|code| problem_summary(&context, code))
                }
                Err(RequestRejection::Problem(code)) => Err(problem_summary(&context, code)),
                Err(RequestRejection::RateLimited(seconds)) => {
                    let problem = problem_summary(&context, "rate_limited");
                    Err(ProblemSummary { retry_after_seconds: Some(seconds), ..problem })
                }
                Err(RequestRejection::Disconnect) => {
                    let _gone = socket.disconnect();
                    return;
                }
            };
            // A client that is gone, or does not read, gets no acknowledgement.
            let _gone = match answer {
                Ok(document) => ack.send(&document),
                Err(problem) => ack.send(&problem),
            };
        }
    });
}

/// Why a request is refused before it reaches its handler.
enum RequestRejection {
    Problem(ProblemCode),
    /// The request limits of the API are reached; the seconds to wait.
    RateLimited(u32),
    Disconnect,
}

impl From<ProblemCode> for RequestRejection {
    fn from(code: ProblemCode) -> Self {
        Self::Problem(code)
    }
}

async fn parse_request(
    context: &SocketContext,
    session: &SocketSession,
    socket: &SocketRef,
    kind: RequestKind,
    data: Option<Value>,
) -> Result<SocketRequest, RequestRejection> {
    let now = (context.shop.now)();
    match session.spend_request(now) {
        Permission::Granted => {}
        Permission::RateLimited => return Err("rate_limited".into()),
        Permission::Disconnect => return Err(RequestRejection::Disconnect),
    }
    let has_ended = session.has_ended(&context.shop.accounts.tokens, now);
    if kind == RequestKind::Change {
        let buyer = session.buyer().filter(|_| !has_ended);
        let address = socket_peer(socket).address();
        if let Some(seconds) = context.change_limits.count_change(buyer, address, now).await {
            return Err(RequestRejection::RateLimited(seconds));
        }
    }
    if has_ended {
        return Err("unauthorized".into());
    }
    let sale = parse_sale(data.as_ref()).ok_or("bad_request")?;
    if !sales::exists(&context.shop, sale).await {
        return Err("sale_unknown".into());
    }
    Ok(SocketRequest { socket: socket.id, sale, buyer: session.buyer() })
}

/// The sale of a request: `{flashSaleId}`, or its id alone.
fn parse_sale(data: Option<&Value>) -> Option<SaleId> {
    let text = match data? {
        Value::String(id) => Some(id.as_str()),
        data => data.get("flashSaleId").and_then(Value::as_str),
    };
    text?.parse().ok().map(SaleId)
}

fn problem_summary(context: &SocketContext, code: ProblemCode) -> ProblemSummary {
    let (title, detail, status) = ("Refused", "this cannot be done", 409);
    let unknown = ProblemSummary { code, title, detail, status, retry_after_seconds: None };
    (context.problems)(code).unwrap_or(unknown)
}
