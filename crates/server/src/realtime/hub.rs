//! The socket hub: one task that knows every socket and sends all updates, so that each client receives them in order. Events
//! come from the follower, counters from the published views; the hub never calls the engine.
//!
//! It sends due updates when a view changes, so that a change of a quiet sale leaves at once; to a crowd group by group, so that
//! requests do not wait for thousands of sockets to be written. Ten times a second it also sends what only time brings: delayed
//! updates, positions, the start and end of a sale, the end of a session.

mod events;
mod socket_state;
mod watchers;

use super::documents::{
    LineFigures, LineStatus, OrderUpdate, PositionUpdate, ProblemCatalog, RestartNotice, inventory_update,
    status_change,
};
use super::session::SocketSession;
use super::throttle;
use crate::shop::live_updates::{BuyerSnapshot, SaleEvents};
use crate::shop::{Shop, line};
use crate::telemetry::sockets::SocketMetrics;
use engine::SaleView;
use events::{extract_order_change, extract_place_change};
use sale::{BuyerId, EventSeq, LedgerEntry, OrderId, OrderStatus, SaleId, Ticket, Timestamp};
pub(super) use socket_state::is_buffer_full;
use socket_state::{SendResult, SocketState};
use socketioxide::extract::SocketRef;
use socketioxide::socket::Sid;
use socketioxide::{BroadcastError, SocketError, SocketIo};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use watchers::{
    BuyerSockets, DueUpdate, GROUP_LEN_MAX, LastSent, SaleWatchers, estimate_wait_s, mark_order_sent,
};

/// A message from a socket's handlers.
pub enum HubMessage {
    Connected(ConnectedSocket),
    /// Subscribes a socket to a sale. It may overtake the socket's `Connected`.
    Watch {
        connected: ConnectedSocket,
        sale: SaleId,
    },
    /// A buyer's place and orders in a sale, for this socket, and for the buyer's other sockets if they changed.
    Snapshot {
        socket: Sid,
        buyer: BuyerId,
        snapshot: BuyerSnapshot,
        /// Whether the client asked for it. If not, a socket that was sent the place already does not get it again.
        is_asked: bool,
    },
    Disconnected(Sid),
    /// The process stops: the hub notifies every socket, then answers.
    Shutdown(oneshot::Sender<()>),
}

pub struct ConnectedSocket {
    pub socket: SocketRef,
    pub session: Arc<SocketSession>,
}

/// How often the hub sends what only time brings.
const ROUND_INTERVAL: Duration = Duration::from_millis(100);
/// Rounds in which each socket is checked once for an expired token and a lost connection: half a minute.
const ROUNDS_PER_CHECK: usize = 300;
/// Pause after updates that a change triggered: in a rush views change a thousand times a second, and each pass visits every
/// sale.
const UPDATE_PAUSE: Duration = Duration::from_millis(20);
/// Pause after a group of watchers when more groups are due: the requests that came meanwhile are answered in it.
const GROUP_PAUSE: Duration = Duration::from_millis(2);
/// Sales that one socket may watch; a page of the shop watches far fewer.
const WATCHED_MAX: usize = 32;
/// When the buffers of some sockets were full, their group gets the update again after this time, so that none keeps old
/// counters.
const REPEAT_MS: i64 = 5_000;
/// By then a new process usually runs.
const RETRY_AFTER_MS: u32 = 2_000;

/// All sockets of this process, and what each was sent.
pub struct SocketHub {
    shop: Arc<Shop>,
    io: SocketIo,
    metrics: SocketMetrics,
    problems: ProblemCatalog,
    sockets: HashMap<Sid, SocketState>,
    buyers: HashMap<BuyerId, BuyerSockets>,
    sales: HashMap<SaleId, SaleWatchers>,
    to_check: VecDeque<Sid>,
    /// Sockets with updates that did not fit into their buffers.
    pending_sockets: Vec<Sid>,
    /// The count of revoked sessions at the last check of all sockets.
    revocations: u64,
}

impl SocketHub {
    pub fn new(shop: Arc<Shop>, io: SocketIo, metrics: SocketMetrics, problems: ProblemCatalog) -> Self {
        let (sockets, buyers, sales, to_check, pending_sockets) = Default::default();
        let revocations = shop.accounts.tokens.revocation_count();
        Self { shop, io, metrics, problems, sockets, buyers, sales, to_check, pending_sockets, revocations }
    }

    /// Runs until every sender of messages is gone.
    pub async fn run(
        mut self,
        mut messages: mpsc::Receiver<HubMessage>,
        mut events: mpsc::Receiver<SaleEvents>,
    ) {
        let mut round = tokio::time::interval(ROUND_INTERVAL);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut pause, mut is_pausing, mut is_behind) = (tokio::time::interval(UPDATE_PAUSE), false, false);
        let mut changes = self.shop.engine.views().subscribe_changes();
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.handle_message(message).await,
                    None => return,
                },
                Some(batch) = events.recv() => self.apply_events(&batch),
                _ = round.tick() => {
                    if !is_pausing {
                        is_behind = self.send_due_updates().await;
                        is_pausing = is_behind;
                        pause.reset_after(GROUP_PAUSE);
                    } else {
                        // What only time brings is sent as soon as the pause is over.
                        is_behind = true;
                    }
                    self.run_round();
                }
                Ok(()) = changes.changed(), if !is_pausing => {
                    is_behind = self.send_due_updates().await;
                    is_pausing = true;
                    pause.reset_after(pause_after_pass(is_behind));
                }
                _ = pause.tick(), if is_pausing => {
                    is_pausing = is_behind;
                    if is_behind {
                        is_behind = self.send_due_updates().await;
                        pause.reset_after(pause_after_pass(is_behind));
                    }
                }
            }
        }
    }

    async fn handle_message(&mut self, message: HubMessage) {
        match message {
            HubMessage::Connected(connected) => self.add_socket(connected),
            HubMessage::Watch { connected, sale } => self.watch_sale(connected, sale),
            HubMessage::Snapshot { socket, buyer, snapshot, is_asked } => {
                self.send_snapshot(socket, buyer, snapshot, is_asked)
            }
            HubMessage::Disconnected(socket) => self.remove_socket(socket),
            HubMessage::Shutdown(done) => {
                let notice = RestartNotice { retry_after_ms: RETRY_AFTER_MS };
                let result = self.io.emit("server:restart", &notice).await;
                let dropped = count_dropped(&result);
                self.metrics.count_sent("server:restart", self.sockets.len(), dropped);
                let _ = done.send(());
            }
        }
    }

    fn add_socket(&mut self, ConnectedSocket { socket, session }: ConnectedSocket) {
        // The socket may have disconnected before this message arrived.
        if self.sockets.contains_key(&socket.id) || !socket.connected() {
            return;
        }
        if let Some(buyer) = session.buyer() {
            let buyer_sockets =
                self.buyers.entry(buyer).or_insert_with(|| BuyerSockets::new(session.connected_at));
            buyer_sockets.sockets.push(socket.id);
            buyer_sockets.position_sockets += usize::from(session.wants_positions);
        }
        self.metrics.open.inc();
        self.to_check.push_back(socket.id);
        self.sockets.insert(socket.id, SocketState::new(socket, session));
    }

    fn remove_socket(&mut self, socket: Sid) {
        let Some(state) = self.sockets.remove(&socket) else { return };
        self.metrics.open.dec();
        for (sale, group) in state.watching {
            if let Some(watched_sale) = self.sales.get_mut(&sale) {
                watched_sale.remove_watcher(group);
            }
        }
        let Some(buyer) = state.session.buyer() else { return };
        let Some(buyer_sockets) = self.buyers.get_mut(&buyer) else { return };
        buyer_sockets.sockets.retain(|other| *other != socket);
        let wanted = usize::from(state.session.wants_positions);
        buyer_sockets.position_sockets = buyer_sockets.position_sockets.saturating_sub(wanted);
        if buyer_sockets.sockets.is_empty() {
            let sales = std::mem::take(&mut buyer_sockets.sales);
            self.buyers.remove(&buyer);
            for sale in sales {
                if let Some(watched_sale) = self.sales.get_mut(&sale) {
                    watched_sale.last_sent.remove(&buyer);
                }
            }
        }
    }

    /// Subscribes the socket to the sale, and sends it the current counters and status.
    fn watch_sale(&mut self, connected: ConnectedSocket, sale: SaleId) {
        let socket = connected.socket.id;
        self.add_socket(connected);
        let Some(view) = self.shop.engine.views().get(sale) else { return };
        let Some(state) = self.sockets.get_mut(&socket) else { return };
        let now = (self.shop.now)();
        let watched_sale = self.sales.entry(sale).or_default();
        let known = state.watching.iter().find(|(watched, _)| *watched == sale).map(|(_, group)| *group);
        let group = match known {
            Some(group) => group,
            None if state.watching.len() >= WATCHED_MAX => return,
            None => {
                let group = watched_sale.add_watcher(&view, now);
                state.watching.push((sale, group));
                state.socket.join(group_room(sale, group));
                group
            }
        };
        let inventory = state.socket.emit("inventory:update", &inventory_update(&view, now));
        let status = state.socket.emit("sale:status-change", &status_change(&view, now));
        self.metrics.count_sent("inventory:update", 1, usize::from(is_buffer_full(&inventory)));
        self.metrics.count_sent("sale:status-change", 1, usize::from(is_buffer_full(&status)));
        if is_buffer_full(&inventory) || is_buffer_full(&status) {
            watched_sale.schedule_repeat(group, now.plus_ms(REPEAT_MS));
        }
    }

    /// Sends a socket its buyer's place and orders. The buyer's other sockets get the place only if it changed.
    fn send_snapshot(&mut self, socket: Sid, buyer: BuyerId, snapshot: BuyerSnapshot, is_asked: bool) {
        let BuyerSnapshot { sale, version, place, orders } = snapshot;
        let Some(view) = self.shop.engine.views().get(sale) else { return };
        let (Some(_), Some(buyer_sockets)) = (self.sockets.get(&socket), self.buyers.get_mut(&buyer)) else {
            return;
        };
        let now = (self.shop.now)();
        let new_orders = buyer_sockets.take_new_orders(&orders, version);
        let watched_sale = self.sales.entry(sale).or_default();
        buyer_sockets.add_sale(sale);
        let current = match &place {
            Some(place) => {
                LastSent::new(place.ticket, place.place.into(), version, now).with_estimate(&view, now)
            }
            None => LastSent::not_in_line(version, now),
        };
        let (last_sent, is_new) = watched_sale.merge_status(buyer, current);
        for order in new_orders.iter().rev() {
            let update = OrderUpdate::new(sale, order.id, order.status, version);
            self.send_order(socket, update, now);
        }
        if last_sent.ticket == Ticket(0) {
            return;
        }
        if is_new {
            self.send_position_to_buyer(buyer, &view, last_sent, now);
        } else if is_asked || !self.sockets.get(&socket).is_some_and(|state| state.was_sent_place(sale)) {
            // A buyer who joined while the socket connected was sent the place already.
            self.send_position(socket, &view, last_sent, now);
        }
    }

    /// Sends what only time brings: positions of waiting buyers, the end of sessions.
    fn run_round(&mut self) {
        let now = (self.shop.now)();
        let mut due = Vec::new();
        for (sale, watched_sale) in &mut self.sales {
            let Some(view) = self.shop.engine.views().get(*sale) else { continue };
            let sent = match line::find_over_cause(&self.shop, &view, now) {
                Some(cause) => watched_sale.close_line(&view, cause.into(), now),
                None => {
                    let buyers = &self.buyers;
                    let is_wanted = |buyer: &BuyerId| {
                        buyers.get(buyer).is_some_and(|buyer_sockets| buyer_sockets.position_sockets > 0)
                    };
                    watched_sale.take_due_positions(&view, now, is_wanted)
                }
            };
            due.extend(sent.into_iter().map(|result| (Arc::clone(&view), result)));
        }
        for (view, (buyer, last_sent)) in due {
            let is_position = matches!(last_sent.status, LineStatus::Waiting(_));
            for socket in self.list_sockets(buyer) {
                let wants = |state: &SocketState| !is_position || state.session.wants_positions;
                if self.sockets.get(&socket).is_some_and(wants) {
                    self.send_position(socket, &view, last_sent, now);
                }
            }
        }
        self.retry_pending(now);
        self.check_sockets(now);
    }

    /// Sends due counters, and changes of status, to as many watchers as a group may have: the start, the end and the last unit first, then
    /// to the group that has waited longest. Returns whether more are due.
    async fn send_due_updates(&mut self) -> bool {
        let now = (self.shop.now)();
        let mut due = Vec::new();
        for (sale, watched_sale) in self.sales.iter().filter(|(_, watched_sale)| watched_sale.has_watchers())
        {
            let Some(view) = self.shop.engine.views().get(*sale) else { continue };
            due.extend(watched_sale.list_due(&view, now));
        }
        due.sort_by_key(|update| (!(update.has_phase_changed || update.is_last_unit), update.sent_at));
        let mut sent_len = 0;
        for update in due {
            sent_len += update.watchers;
            if sent_len > GROUP_LEN_MAX {
                return true;
            }
            let dropped = self.send_sale_update(&update, now).await;
            if let Some(watched_sale) = self.sales.get_mut(&update.view.id) {
                let repeat_at = (dropped > 0).then(|| now.plus_ms(REPEAT_MS));
                watched_sale.record_sent(update.group, &update.view, now, repeat_at);
            }
        }
        false
    }

    async fn send_sale_update(&self, update: &DueUpdate, now: Timestamp) -> usize {
        let DueUpdate { view, watchers, .. } = update;
        let room = group_room(view.id, update.group);
        let mut dropped = 0;
        if update.has_phase_changed {
            let result = self.io.to(room.clone()).emit("sale:status-change", &status_change(view, now)).await;
            dropped += count_dropped(&result);
            self.metrics.count_sent("sale:status-change", *watchers, dropped);
        }
        let result = self.io.to(room).emit("inventory:update", &inventory_update(view, now)).await;
        self.metrics.count_sent("inventory:update", *watchers, count_dropped(&result));
        dropped + count_dropped(&result)
    }

    fn send_position_to_buyer(
        &mut self,
        buyer: BuyerId,
        view: &SaleView,
        last_sent: LastSent,
        now: Timestamp,
    ) {
        for socket in self.list_sockets(buyer) {
            self.send_position(socket, view, last_sent, now);
        }
    }

    fn send_position(&mut self, socket: Sid, view: &SaleView, last_sent: LastSent, now: Timestamp) {
        let Some(state) = self.sockets.get_mut(&socket) else { return };
        let event = "queue:position-update";
        let result = state.send_private(
            event,
            &position_update(view, last_sent, now),
            &self.shop.accounts.tokens,
            now,
        );
        if result == SendResult::Sent {
            state.mark_place_sent(view.id);
        }
        if result == SendResult::BufferFull && state.defer_place(view.id) {
            self.pending_sockets.push(socket);
        }
        self.record_result(socket, event, result);
    }

    fn send_order(&mut self, socket: Sid, update: OrderUpdate, now: Timestamp) {
        let Some(state) = self.sockets.get_mut(&socket) else { return };
        let event = "order:update";
        let result = state.send_private(event, &update, &self.shop.accounts.tokens, now);
        state.drop_deferred_order(&update);
        if result == SendResult::BufferFull && state.defer_order(update) {
            self.pending_sockets.push(socket);
        }
        self.record_result(socket, event, result);
    }

    fn record_result(&self, socket: Sid, event: &'static str, result: SendResult) {
        match result {
            SendResult::Sent | SendResult::BufferFull => {
                self.metrics.count_sent(event, 1, usize::from(result == SendResult::BufferFull))
            }
            SendResult::SessionOver => {
                if let Some(state) = self.sockets.get(&socket) {
                    state.disconnect((self.problems)("unauthorized"));
                }
            }
        }
    }

    /// Sends what did not fit into full buffers before. What still does not fit stays pending, until a ping ends the socket.
    fn retry_pending(&mut self, now: Timestamp) {
        for socket in std::mem::take(&mut self.pending_sockets) {
            let Some(state) = self.sockets.get_mut(&socket) else { continue };
            let (pending, buyer) = (state.take_pending(), state.session.buyer());
            for update in pending.orders {
                self.send_order(socket, update, now);
            }
            for sale in pending.places {
                let known = self.sales.get(&sale).zip(buyer);
                let last_sent =
                    known.and_then(|(watched_sale, buyer)| watched_sale.last_sent.get(&buyer).copied());
                if let Some((last_sent, view)) = last_sent.zip(self.shop.engine.views().get(sale)) {
                    self.send_position(socket, &view, last_sent, now);
                }
            }
        }
    }

    fn list_sockets(&self, buyer: BuyerId) -> Vec<Sid> {
        self.buyers.get(&buyer).map_or_else(Vec::new, |buyer_sockets| buyer_sockets.sockets.clone())
    }

    /// Disconnects sockets whose token is no longer valid: checks all after a session was revoked, else a part each round.
    fn check_sockets(&mut self, now: Timestamp) {
        let revocations = self.shop.accounts.tokens.revocation_count();
        let is_all = std::mem::replace(&mut self.revocations, revocations) != revocations;
        let part = if is_all { 1 } else { ROUNDS_PER_CHECK };
        for _ in 0..self.to_check.len().div_ceil(part) {
            let Some(socket) = self.to_check.pop_front() else { return };
            let Some(state) = self.sockets.get(&socket) else { continue };
            // A socket that closes while it opens may send no `Disconnected`.
            if !state.socket.connected() || self.io.get_socket(socket).is_none() {
                self.remove_socket(socket);
                continue;
            }
            if state.session.has_ended(&self.shop.accounts.tokens, now) {
                state.disconnect((self.problems)("unauthorized"));
            }
            self.to_check.push_back(socket);
        }
    }

    fn apply_events(&mut self, events: &SaleEvents) {
        let Some(view) = self.shop.engine.views().get(events.sale) else { return };
        let now = (self.shop.now)();
        for entry in &events.entries {
            let watched_sale = self.sales.entry(view.id).or_default();
            watched_sale.update_line(entry);
            let extended = watched_sale.extend_admissions(entry);
            for (buyer, last_sent) in extended {
                self.send_position_to_buyer(buyer, &view, last_sent, now);
            }
            if let Some((buyer, ticket, status)) = extract_place_change(entry, &view.policy) {
                self.update_place(&view, entry, buyer, ticket, status, now);
            }
            if let Some((buyer, order, status)) = extract_order_change(&entry.event) {
                self.update_order(&view, entry, buyer, order, status, now);
            }
        }
    }

    fn update_place(
        &mut self,
        view: &SaleView,
        entry: &LedgerEntry,
        buyer: BuyerId,
        ticket: Ticket,
        status: Option<LineStatus>,
        now: Timestamp,
    ) {
        let Some(buyer_sockets) = self.buyers.get_mut(&buyer) else { return };
        let Some(watched_sale) = self.sales.get_mut(&view.id) else { return };
        // A snapshot covers what happened before the buyer connected; a known place covers all events up to its version.
        let is_old = match watched_sale.last_sent.get(&buyer) {
            Some(known) => entry.seq <= known.version,
            None => entry.at < buyer_sockets.connected_at,
        };
        if is_old {
            return;
        }
        let status = match status {
            Some(status) => status,
            None => match watched_sale.position(ticket) {
                Some(position) => LineStatus::Waiting(position),
                None => return,
            },
        };
        buyer_sockets.add_sale(view.id);
        let (last_sent, is_new) = watched_sale
            .merge_status(buyer, LastSent::new(ticket, status, entry.seq, now).with_estimate(view, now));
        if is_new {
            self.send_position_to_buyer(buyer, view, last_sent, now);
        }
    }

    fn update_order(
        &mut self,
        view: &SaleView,
        entry: &LedgerEntry,
        buyer: BuyerId,
        order: OrderId,
        status: OrderStatus,
        now: Timestamp,
    ) {
        let Some(buyer_sockets) = self.buyers.get_mut(&buyer) else { return };
        if entry.at >= buyer_sockets.connected_at
            && mark_order_sent(&mut buyer_sockets.orders, order, entry.seq)
        {
            let update = OrderUpdate::new(view.id, order, status, entry.seq);
            for socket in self.list_sockets(buyer) {
                self.send_order(socket, update.clone(), now);
            }
        }
    }
}

fn pause_after_pass(is_behind: bool) -> Duration {
    if is_behind { GROUP_PAUSE } else { UPDATE_PAUSE }
}

fn group_room(sale: SaleId, group: usize) -> String {
    format!("s{}.{group}", sale.0.simple())
}

/// Sockets whose buffer was full. Sockets that are closing do not count.
pub(super) fn count_dropped(result: &Result<(), BroadcastError>) -> usize {
    match result {
        Err(BroadcastError::Socket(errors)) => {
            errors.iter().filter(|error| matches!(error, SocketError::InternalChannelFull)).count()
        }
        Ok(()) | Err(_) => 0,
    }
}

fn position_update(view: &SaleView, last_sent: LastSent, now: Timestamp) -> PositionUpdate {
    let mut figures: LineFigures = line::read_place_context(view, None, now).into();
    figures.estimated_wait_s = estimate_wait_s(view, &last_sent, now);
    PositionUpdate::new(view.id, last_sent.ticket, last_sent.status, &figures, last_sent.version)
}
