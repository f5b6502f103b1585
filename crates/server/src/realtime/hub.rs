//! The desk: one task that knows every socket and sends all updates, so that each client hears things in the order in which
//! they happened. What was recorded comes from the follower, sums come from the published views; nothing is asked from here.
//!
//! It looks at what is due when the views' bell rings, so that a change of a quiet sale leaves at once, and ten times a second
//! for all that time alone brings: what had to wait, positions, a sale's start and end, sessions that are over.

mod events;
mod socket_state;
mod watchers;

use super::documents::{
    InventoryUpdate, LineStatus, OrderUpdate, PositionUpdate, ProblemCatalog, RestartNotice, StatusChange,
};
use super::session::SocketSession;
use super::throttle;
use crate::shop::live_updates::{BuyerSnapshot, SaleEvents};
use crate::shop::{Shop, line};
use crate::telemetry::sockets::SocketMetrics;
use engine::SaleView;
use events::{extract_order_change, extract_place_change};
use sale::{
    BuyerId, EventSeq, LedgerEntry, LinePosition, OrderId, OrderStatus, SaleId, SalePhase, Ticket, Timestamp,
};
use socket_state::{SendResult, SocketState, is_buffer_full};
use socketioxide::extract::SocketRef;
use socketioxide::socket::Sid;
use socketioxide::{BroadcastError, SocketError, SocketIo};
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use watchers::{BuyerSockets, LastSent, SaleWatchers, mark_order_sent};

/// What the desk is told by the sockets.
pub enum HubMessage {
    Connected(ConnectedSocket),
    /// A socket wants to hear of a sale. It may be quicker than the note that it came.
    Watch {
        visit: ConnectedSocket,
        sale: SaleId,
    },
    /// How a buyer stands in a sale, for this socket, and for the others if they do not know it.
    Snapshot {
        socket: Sid,
        buyer: BuyerId,
        stand: BuyerSnapshot,
        /// False when the socket is told because it has come, or has its answer already: then once is enough.
        is_asked: bool,
    },
    /// A socket was closed.
    Disconnected(Sid),
    /// The process stops: everyone is told, then this is answered.
    Shutdown(oneshot::Sender<()>),
}

/// Somebody who is in.
pub struct ConnectedSocket {
    pub socket: SocketRef,
    pub session: Arc<SocketSession>,
}

/// How often the desk looks at what time alone brings.
const ROUND_INTERVAL: Duration = Duration::from_millis(100);
/// Rounds in which every socket is looked at once, whether its token has expired and whether it is there: half a minute.
const ROUNDS_PER_CHECK: usize = 300;
/// After a look because the bell rang: in a rush it rings a thousand times a second, and a look costs by the sale.
const UPDATE_PAUSE: Duration = Duration::from_millis(20);
/// Sales that one socket may watch: one that asks for more is not a page of a shop.
const WATCHED_MAX: usize = 32;
/// When an update found no room in some sockets, all get it again, so that nobody is left with what is old.
const REPEAT_MS: i64 = 5_000;
/// After a stop, a new process is usually there.
const RETRY_AFTER_MS: u32 = 2_000;

/// Everyone who is connected, and what they know.
pub struct SocketHub<S> {
    shop: S,
    io: SocketIo,
    metrics: SocketMetrics,
    problems: ProblemCatalog,
    sockets: HashMap<Sid, SocketState>,
    buyers: HashMap<BuyerId, BuyerSockets>,
    sales: HashMap<SaleId, SaleWatchers>,
    to_check: VecDeque<Sid>,
    /// Sockets that are owed something.
    pending_sockets: Vec<Sid>,
    /// The sessions that had been ended when all sockets were last looked at.
    revocations: u64,
}

impl<S: Deref<Target = Shop>> SocketHub<S> {
    pub fn new(shop: S, io: SocketIo, metrics: SocketMetrics, dictionary: ProblemCatalog) -> Self {
        let (sockets, people, floors, to_check, owing) = Default::default();
        let revocations = shop.accounts.tokens.revocation_count();
        Self {
            shop,
            io,
            metrics,
            problems: dictionary,
            sockets,
            buyers: people,
            sales: floors,
            to_check,
            pending_sockets: owing,
            revocations,
        }
    }

    /// Works until nobody writes notes any more.
    pub async fn run(mut self, mut notes: mpsc::Receiver<HubMessage>, mut news: mpsc::Receiver<SaleEvents>) {
        let mut round = tokio::time::interval(ROUND_INTERVAL);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut rest, mut is_resting) = (tokio::time::interval(UPDATE_PAUSE), false);
        let mut bell = self.shop.engine.views().subscribe_changes();
        loop {
            tokio::select! {
                note = notes.recv() => match note {
                    Some(note) => self.handle_message(note).await,
                    None => return,
                },
                Some(stretch) = news.recv() => self.apply_events(&stretch),
                _ = round.tick() => self.run_round().await,
                Ok(()) = bell.changed(), if !is_resting => {
                    self.send_due_updates().await;
                    rest.reset();
                    is_resting = true;
                }
                _ = rest.tick(), if is_resting => is_resting = false,
            }
        }
    }

    async fn handle_message(&mut self, note: HubMessage) {
        match note {
            HubMessage::Connected(visit) => self.add_socket(visit),
            HubMessage::Watch { visit, sale } => self.watch_sale(visit, sale),
            HubMessage::Snapshot { socket, buyer, stand, is_asked } => {
                self.send_snapshot(socket, buyer, stand, is_asked)
            }
            HubMessage::Disconnected(socket) => self.remove_socket(socket),
            HubMessage::Shutdown(done) => {
                let word = RestartNotice { retry_after_ms: RETRY_AFTER_MS };
                let told = self.io.emit("server:restart", &word).await;
                let dropped = count_dropped(&told);
                self.metrics.count_sent("server:restart", self.sockets.len(), dropped);
                let _ = done.send(());
            }
        }
    }

    fn add_socket(&mut self, ConnectedSocket { socket, session: guest }: ConnectedSocket) {
        // The note that it is gone may have been quicker.
        if self.sockets.contains_key(&socket.id) || !socket.connected() {
            return;
        }
        if let Some(buyer) = guest.buyer() {
            let person = self.buyers.entry(buyer).or_insert_with(|| BuyerSockets::new(guest.connected_at));
            person.sockets.push(socket.id);
        }
        self.metrics.open.inc();
        self.to_check.push_back(socket.id);
        self.sockets.insert(socket.id, SocketState::new(socket, guest));
    }

    fn remove_socket(&mut self, socket: Sid) {
        let Some(member) = self.sockets.remove(&socket) else { return };
        self.metrics.open.dec();
        for sale in member.watching {
            if let Some(floor) = self.sales.get_mut(&sale) {
                floor.watchers = floor.watchers.saturating_sub(1);
            }
        }
        let Some(buyer) = member.session.buyer() else { return };
        let Some(person) = self.buyers.get_mut(&buyer) else { return };
        person.sockets.retain(|other| *other != socket);
        if person.sockets.is_empty() {
            let sales = std::mem::take(&mut person.sales);
            self.buyers.remove(&buyer);
            for sale in sales {
                if let Some(floor) = self.sales.get_mut(&sale) {
                    floor.last_sent.remove(&buyer);
                }
            }
        }
    }

    /// From now on the socket hears of the sale, beginning with how it stands.
    fn watch_sale(&mut self, visit: ConnectedSocket, sale: SaleId) {
        let socket = visit.socket.id;
        self.add_socket(visit);
        let Some(view) = self.shop.engine.views().get(sale) else { return };
        let Some(member) = self.sockets.get_mut(&socket) else { return };
        let now = (self.shop.now)();
        let floor = self.sales.entry(sale).or_insert_with(|| SaleWatchers::new(view.phase(now)));
        if !member.watching.contains(&sale) {
            if member.watching.len() >= WATCHED_MAX {
                return;
            }
            member.watching.push(sale);
            member.socket.join(sale_room(sale));
            if floor.watchers == 0 {
                // It is told just below, and nobody else is there to be told again.
                floor.phase = view.phase(now);
                floor.record_sent(&view, now, None);
            }
            floor.watchers += 1;
        }
        let inventory = member.socket.emit("inventory:update", &InventoryUpdate::from_view(&view, now));
        let status = member.socket.emit("sale:status-change", &StatusChange::from_view(&view, now));
        self.metrics.count_sent("inventory:update", 1, usize::from(is_buffer_full(&inventory)));
        self.metrics.count_sent("sale:status-change", 1, usize::from(is_buffer_full(&status)));
        if is_buffer_full(&inventory) || is_buffer_full(&status) {
            floor.schedule_repeat(now.plus_ms(REPEAT_MS));
        }
    }

    /// Tells a socket how its buyer stands. Other sockets of the buyer hear of it only when it is new.
    fn send_snapshot(&mut self, socket: Sid, buyer: BuyerId, stand: BuyerSnapshot, is_asked: bool) {
        let BuyerSnapshot { sale, version, place, orders } = stand;
        let Some(view) = self.shop.engine.views().get(sale) else { return };
        let (Some(_), Some(person)) = (self.sockets.get(&socket), self.buyers.get_mut(&buyer)) else {
            return;
        };
        let now = (self.shop.now)();
        let fresh = person.take_new_orders(&orders, version);
        let floor = self.sales.entry(sale).or_insert_with(|| SaleWatchers::new(view.phase(now)));
        person.add_sale(sale);
        let asked = match &place {
            Some(place) => LastSent::new(place.ticket, place.place.into(), version, now),
            None => LastSent::not_in_line(version, now),
        };
        let (spotted, is_new) = floor.merge_status(buyer, asked);
        for order in fresh.iter().rev() {
            let news = OrderUpdate::new(sale, order.id, order.status, version);
            self.send_order(socket, news, now);
        }
        if spotted.ticket == Ticket(0) {
            return;
        }
        if is_new {
            self.send_position_to_buyer(buyer, &view, spotted, now);
        } else if is_asked || !self.sockets.get(&socket).is_some_and(|member| member.was_sent_place(sale)) {
            // Who joined while being welcomed knows it already.
            self.send_position(socket, &view, spotted, now);
        }
    }

    /// Tells what time alone has brought: sums that had to wait, positions to who waits, and the end of a session.
    async fn run_round(&mut self) {
        self.send_due_updates().await;
        let now = (self.shop.now)();
        let mut due = Vec::new();
        for (sale, floor) in &mut self.sales {
            let Some(view) = self.shop.engine.views().get(*sale) else { continue };
            if matches!(view.phase(now), SalePhase::Ended | SalePhase::Closed) {
                floor.close_line();
            }
            due.extend(floor.take_due_positions(now).into_iter().map(|told| (Arc::clone(&view), told)));
        }
        for (view, (buyer, spotted)) in due {
            self.send_position_to_buyer(buyer, &view, spotted, now);
        }
        self.retry_pending(now);
        self.check_sockets(now);
    }

    /// Tells the sums, and a change of status, of each sale to who watches it, as far as they are due.
    async fn send_due_updates(&mut self) {
        let now = (self.shop.now)();
        let mut due = Vec::new();
        for (sale, floor) in self.sales.iter_mut().filter(|(_, floor)| floor.watchers > 0) {
            let Some(view) = self.shop.engine.views().get(*sale) else { continue };
            let phase = view.phase(now);
            let has_turned = std::mem::replace(&mut floor.phase, phase) != phase;
            if has_turned || floor.is_update_due(&view, now) {
                due.push((view, has_turned, floor.watchers));
            }
        }
        for (view, has_turned, watchers) in due {
            let dropped = self.send_sale_update(&view, has_turned, watchers, now).await;
            if let Some(floor) = self.sales.get_mut(&view.id) {
                floor.record_sent(&view, now, (dropped > 0).then(|| now.plus_ms(REPEAT_MS)));
            }
        }
    }

    async fn send_sale_update(
        &self,
        view: &SaleView,
        has_turned: bool,
        watchers: usize,
        now: Timestamp,
    ) -> usize {
        let room = sale_room(view.id);
        let mut lost = 0;
        if has_turned {
            let told = self
                .io
                .to(room.clone())
                .emit("sale:status-change", &StatusChange::from_view(view, now))
                .await;
            lost += count_dropped(&told);
            self.metrics.count_sent("sale:status-change", watchers, lost);
        }
        let told = self.io.to(room).emit("inventory:update", &InventoryUpdate::from_view(view, now)).await;
        self.metrics.count_sent("inventory:update", watchers, count_dropped(&told));
        lost + count_dropped(&told)
    }

    /// Tells all sockets of a buyer their place.
    fn send_position_to_buyer(&mut self, buyer: BuyerId, view: &SaleView, spotted: LastSent, now: Timestamp) {
        for socket in self.sockets_of(buyer) {
            self.send_position(socket, view, spotted, now);
        }
    }

    fn send_position(&mut self, socket: Sid, view: &SaleView, spotted: LastSent, now: Timestamp) {
        let Some(member) = self.sockets.get_mut(&socket) else { return };
        let event = "queue:position-update";
        let told =
            member.send_private(event, &position_update(view, spotted, now), &self.shop.accounts.tokens, now);
        if told == SendResult::Sent {
            member.mark_place_sent(view.id);
        }
        if told == SendResult::BufferFull && member.defer_place(view.id) {
            self.pending_sockets.push(socket);
        }
        self.record_result(socket, event, told);
    }

    fn send_order(&mut self, socket: Sid, news: OrderUpdate, now: Timestamp) {
        let Some(member) = self.sockets.get_mut(&socket) else { return };
        let event = "order:update";
        let told = member.send_private(event, &news, &self.shop.accounts.tokens, now);
        member.drop_deferred_order(&news);
        if told == SendResult::BufferFull && member.defer_order(news) {
            self.pending_sockets.push(socket);
        }
        self.record_result(socket, event, told);
    }

    fn record_result(&self, socket: Sid, event: &'static str, told: SendResult) {
        match told {
            SendResult::Sent | SendResult::BufferFull => {
                self.metrics.count_sent(event, 1, usize::from(told == SendResult::BufferFull))
            }
            SendResult::SessionOver => {
                if let Some(member) = self.sockets.get(&socket) {
                    member.disconnect((self.problems)("unauthorized"));
                }
            }
        }
    }

    /// Tells sockets what there was no room for before. Who still does not read stays in debt, until a ping ends it.
    fn retry_pending(&mut self, now: Timestamp) {
        for socket in std::mem::take(&mut self.pending_sockets) {
            let Some(member) = self.sockets.get_mut(&socket) else { continue };
            let (owed, buyer) = (member.take_pending(), member.session.buyer());
            for news in owed.orders {
                self.send_order(socket, news, now);
            }
            for sale in owed.places {
                let known = self.sales.get(&sale).zip(buyer);
                let spotted = known.and_then(|(floor, buyer)| floor.last_sent.get(&buyer).copied());
                if let Some((spotted, view)) = spotted.zip(self.shop.engine.views().get(sale)) {
                    self.send_position(socket, &view, spotted, now);
                }
            }
        }
    }

    fn sockets_of(&self, buyer: BuyerId) -> Vec<Sid> {
        self.buyers.get(&buyer).map_or_else(Vec::new, |person| person.sockets.clone())
    }

    /// Shows out whose token is no longer good: all at once when somebody's session was ended, otherwise a part at a time.
    fn check_sockets(&mut self, now: Timestamp) {
        let revocations = self.shop.accounts.tokens.revocation_count();
        let is_all = std::mem::replace(&mut self.revocations, revocations) != revocations;
        let part = if is_all { 1 } else { ROUNDS_PER_CHECK };
        for _ in 0..self.to_check.len().div_ceil(part) {
            let Some(socket) = self.to_check.pop_front() else { return };
            let Some(member) = self.sockets.get(&socket) else { continue };
            // A socket that closes in the very moment in which it opens may leave without a note.
            if !member.socket.connected() || self.io.get_socket(socket).is_none() {
                self.remove_socket(socket);
                continue;
            }
            if member.session.has_ended(&self.shop.accounts.tokens, now) {
                member.disconnect((self.problems)("unauthorized"));
            }
            self.to_check.push_back(socket);
        }
    }

    fn apply_events(&mut self, stretch: &SaleEvents) {
        let Some(view) = self.shop.engine.views().get(stretch.sale) else { return };
        let now = (self.shop.now)();
        for entry in &stretch.entries {
            let floor = self.sales.entry(view.id).or_insert_with(|| SaleWatchers::new(view.phase(now)));
            floor.update_line(entry);
            let extended = floor.extend_admissions(entry);
            for (buyer, spotted) in extended {
                self.send_position_to_buyer(buyer, &view, spotted, now);
            }
            if let Some((buyer, ticket, spot)) = extract_place_change(&entry.event, &view.policy) {
                self.update_place(&view, entry, buyer, ticket, spot, now);
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
        spot: Option<LineStatus>,
        now: Timestamp,
    ) {
        let Some(person) = self.buyers.get_mut(&buyer) else { return };
        let Some(floor) = self.sales.get_mut(&view.id) else { return };
        // What happened before they came they were told when they came, and what is known of a place has all that led to it.
        let is_old = match floor.last_sent.get(&buyer) {
            Some(known) => entry.seq <= known.version,
            None => entry.at < person.connected_at,
        };
        if is_old {
            return;
        }
        let spot = match spot {
            Some(spot) => spot,
            None => match floor.position(ticket) {
                Some(position) => LineStatus::Waiting(position),
                None => return,
            },
        };
        person.add_sale(view.id);
        let (spotted, is_new) = floor.merge_status(buyer, LastSent::new(ticket, spot, entry.seq, now));
        if is_new {
            self.send_position_to_buyer(buyer, view, spotted, now);
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
        let Some(person) = self.buyers.get_mut(&buyer) else { return };
        if entry.at >= person.connected_at && mark_order_sent(&mut person.orders, order, entry.seq) {
            let news = OrderUpdate::new(view.id, order, status, entry.seq);
            for socket in self.sockets_of(buyer) {
                self.send_order(socket, news.clone(), now);
            }
        }
    }
}

fn sale_room(sale: SaleId) -> String {
    format!("s{}", sale.0.simple())
}

/// How many sockets had no room. Those that close at this moment need none.
fn count_dropped(told: &Result<(), BroadcastError>) -> usize {
    match told {
        Err(BroadcastError::Socket(errors)) => {
            errors.iter().filter(|error| matches!(error, SocketError::InternalChannelFull)).count()
        }
        Ok(()) | Err(_) => 0,
    }
}

fn position_update(view: &SaleView, spotted: LastSent, now: Timestamp) -> PositionUpdate {
    let wait_s = match spotted.status {
        LineStatus::Waiting(position) => {
            line::estimated_wait_s(view, LinePosition::Waiting { position }, now)
        }
        LineStatus::Admitted { .. } | LineStatus::Lapsed | LineStatus::Left | LineStatus::Served => 0,
    };
    PositionUpdate::new(view.id, spotted.ticket, spotted.status, wait_s, spotted.version)
}
