//! The desk: one task that knows every socket and sends all updates, so that each client hears things in the order in which
//! they happened. What was recorded comes from the follower, sums come from the published views; nothing is asked from here.

mod floor;

use super::guest::Guest;
use super::line::Line;
use super::pace;
use super::words::{Dictionary, GoodBye, Inventory, OrderNews, Position, Spot, Status};
use crate::shop::live::{Stand, Stretch};
use crate::shop::{Shop, line};
use crate::telemetry::sockets::SocketMetrics;
use engine::SaleView;
use floor::{Floor, Person, Spotted, told_orders};
use sale::{
    BuyerId, Entry, Event, OrderId, OrderStatus, Place, Policy, Release, SaleId, Seq, Source, Ticket,
    Timestamp,
};
use serde::Serialize;
use socketioxide::extract::SocketRef;
use socketioxide::socket::Sid;
use socketioxide::{BroadcastError, SocketIo};
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

/// What the desk is told by the sockets.
pub enum Note {
    /// Somebody came in.
    Came {
        /// Their socket.
        socket: SocketRef,
        /// Who it is.
        guest: Arc<Guest>,
    },
    /// A socket wants to hear of a sale.
    Watch {
        /// Which socket.
        socket: Sid,
        /// Which sale.
        sale: SaleId,
    },
    /// How a buyer stands in a sale, for this socket, and for the others if they do not know it.
    Stands {
        /// Which socket.
        socket: Sid,
        /// Whose.
        buyer: BuyerId,
        /// How they stand.
        stand: Stand,
    },
    /// A socket was closed.
    Gone(Sid),
    /// The process stops: everyone is told, then this is answered.
    GoodBye(oneshot::Sender<()>),
}

/// How often the desk looks at what is due.
const ROUND: Duration = Duration::from_millis(100);
/// Rounds in which every token is looked at once: half a minute.
const ROUNDS_FOR_TOKENS: usize = 300;
/// Sales that one socket may watch: one that asks for more is not a page of a shop.
const WATCHED_MAX: usize = 32;
/// When an update found no room in some sockets, all get it again, so that nobody is left with what is old.
const REPEAT_MS: i64 = 5_000;
/// After a stop, a new process is usually there.
const RETRY_AFTER_MS: u32 = 2_000;

/// Everyone who is connected, and what they know.
pub struct Desk<S> {
    shop: S,
    io: SocketIo,
    metrics: SocketMetrics,
    dictionary: Dictionary,
    sockets: HashMap<Sid, Member>,
    people: HashMap<BuyerId, Person>,
    floors: HashMap<SaleId, Floor>,
    to_check: VecDeque<Sid>,
}

struct Member {
    socket: SocketRef,
    guest: Arc<Guest>,
    watching: Vec<SaleId>,
}

impl<S: Deref<Target = Shop>> Desk<S> {
    /// An empty desk.
    pub fn new(shop: S, io: SocketIo, metrics: SocketMetrics, dictionary: Dictionary) -> Self {
        let (sockets, people, floors) = Default::default();
        Self { shop, io, metrics, dictionary, sockets, people, floors, to_check: VecDeque::new() }
    }

    /// Works until nobody writes notes any more.
    pub async fn run(mut self, mut notes: mpsc::Receiver<Note>, mut news: mpsc::Receiver<Stretch>) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                note = notes.recv() => match note {
                    Some(note) => self.note(note).await,
                    None => return,
                },
                Some(stretch) = news.recv() => self.fold(stretch).await,
                _ = round.tick() => self.round().await,
            }
        }
    }

    async fn note(&mut self, note: Note) {
        match note {
            Note::Came { socket, guest } => self.came(socket, guest),
            Note::Watch { socket, sale } => self.watch(socket, sale),
            Note::Stands { socket, buyer, stand } => self.stands(socket, buyer, stand).await,
            Note::Gone(socket) => self.gone(socket),
            Note::GoodBye(done) => {
                let word = GoodBye { retry_after_ms: RETRY_AFTER_MS };
                let told = self.io.emit("server:restart", &word).await;
                let dropped = dropped(&told);
                self.metrics.sent("server:restart", self.sockets.len(), dropped);
                let _ = done.send(());
            }
        }
    }

    fn came(&mut self, socket: SocketRef, guest: Arc<Guest>) {
        if let Some(buyer) = guest.buyer {
            let now = (self.shop.now)();
            self.people.entry(buyer).or_insert_with(|| Person::new(now)).sockets += 1;
            socket.join(room_of_buyer(buyer));
        }
        self.metrics.open.inc();
        self.to_check.push_back(socket.id);
        self.sockets.insert(socket.id, Member { socket, guest, watching: Vec::new() });
    }

    fn gone(&mut self, socket: Sid) {
        let Some(member) = self.sockets.remove(&socket) else { return };
        self.metrics.open.dec();
        for sale in member.watching {
            if let Some(floor) = self.floors.get_mut(&sale) {
                floor.watchers = floor.watchers.saturating_sub(1);
            }
        }
        let Some(buyer) = member.guest.buyer else { return };
        let Some(person) = self.people.get_mut(&buyer) else { return };
        person.sockets -= 1;
        if person.sockets == 0 {
            let sales = std::mem::take(&mut person.sales);
            self.people.remove(&buyer);
            for sale in sales {
                if let Some(floor) = self.floors.get_mut(&sale) {
                    floor.people.remove(&buyer);
                }
            }
        }
    }

    /// From now on the socket hears of the sale, beginning with how it stands.
    fn watch(&mut self, socket: Sid, sale: SaleId) {
        let Some(view) = self.shop.engine.views().get(sale) else { return };
        let Some(member) = self.sockets.get_mut(&socket) else { return };
        let now = (self.shop.now)();
        let floor = self.floors.entry(sale).or_insert_with(|| Floor::new(view.phase(now)));
        if !member.watching.contains(&sale) {
            if member.watching.len() >= WATCHED_MAX {
                return;
            }
            member.watching.push(sale);
            member.socket.join(room_of_sale(sale));
            floor.watchers += 1;
        }
        let inventory = member.socket.emit("inventory:update", &Inventory::of(&view, now));
        let status = member.socket.emit("sale:status-change", &Status::of(&view, now));
        self.metrics.sent("inventory:update", 1, usize::from(inventory.is_err()));
        self.metrics.sent("sale:status-change", 1, usize::from(status.is_err()));
    }

    /// Tells a socket how its buyer stands. Other sockets of the buyer hear of it only when it is new.
    async fn stands(&mut self, socket: Sid, buyer: BuyerId, stand: Stand) {
        let Stand { sale, version, place, orders } = stand;
        let Some(view) = self.shop.engine.views().get(sale) else { return };
        let (Some(member), Some(person)) = (self.sockets.get(&socket), self.people.get_mut(&buyer)) else {
            return;
        };
        let now = (self.shop.now)();
        let fresh = person.take_orders(&orders, version);
        for order in fresh.iter().rev() {
            let news = OrderNews::of(sale, order.id, order.status, version);
            let told = member.socket.emit("order:update", &news);
            self.metrics.sent("order:update", 1, usize::from(told.is_err()));
        }
        let floor = self.floors.entry(sale).or_insert_with(|| Floor::new(view.phase(now)));
        person.is_in(sale);
        let asked = match &place {
            Some(place) => Spotted::new(place.ticket, place.place.into(), version, now),
            None => Spotted::nowhere(version, now),
        };
        let (spotted, is_new) = floor.spot(buyer, asked);
        if spotted.ticket == Ticket(0) {
            return;
        }
        let document = position(&view, spotted, now);
        if is_new {
            self.tell_buyer(buyer, "queue:position-update", &document).await;
        } else {
            let told = member.socket.emit("queue:position-update", &document);
            self.metrics.sent("queue:position-update", 1, usize::from(told.is_err()));
        }
    }

    /// Tells what is due: sums and status of each sale to who watches it, positions to who waits, and the end of a session.
    async fn round(&mut self) {
        let now = (self.shop.now)();
        for view in self.shop.engine.views().all() {
            let phase = view.phase(now);
            let floor = self.floors.entry(view.id).or_insert_with(|| Floor::new(phase));
            let has_turned = std::mem::replace(&mut floor.phase, phase) != phase;
            let watchers = floor.watchers;
            let is_due = watchers > 0 && (has_turned || floor.is_due(&view, now));
            let positions = floor.positions_due(now);
            if is_due {
                let dropped = self.tell_sale(&view, has_turned, watchers, now).await;
                if let Some(floor) = self.floors.get_mut(&view.id) {
                    floor.told(&view, now, (dropped > 0).then(|| now.plus_ms(REPEAT_MS)));
                }
            }
            for (buyer, spotted) in positions {
                self.tell_buyer(buyer, "queue:position-update", &position(&view, spotted, now)).await;
            }
        }
        self.check_tokens(now);
    }

    async fn tell_sale(&self, view: &SaleView, has_turned: bool, watchers: usize, now: Timestamp) -> usize {
        let room = room_of_sale(view.id);
        let mut lost = 0;
        if has_turned {
            let told = self.io.to(room.clone()).emit("sale:status-change", &Status::of(view, now)).await;
            lost += dropped(&told);
            self.metrics.sent("sale:status-change", watchers, lost);
        }
        let told = self.io.to(room).emit("inventory:update", &Inventory::of(view, now)).await;
        self.metrics.sent("inventory:update", watchers, dropped(&told));
        lost + dropped(&told)
    }

    async fn tell_buyer(&self, buyer: BuyerId, event: &'static str, document: &impl Serialize) {
        let Some(person) = self.people.get(&buyer) else { return };
        let told = self.io.to(room_of_buyer(buyer)).emit(event, document).await;
        self.metrics.sent(event, person.sockets, dropped(&told));
    }

    /// Shows out whose token is no longer good, a part of all at a time.
    fn check_tokens(&mut self, now: Timestamp) {
        for _ in 0..self.to_check.len().div_ceil(ROUNDS_FOR_TOKENS) {
            let Some(socket) = self.to_check.pop_front() else { return };
            let Some(member) = self.sockets.get(&socket) else { continue };
            self.to_check.push_back(socket);
            if member.guest.is_over(&self.shop.accounts.tokens, now) {
                if let Some(problem) = (self.dictionary)("unauthorized") {
                    let _gone = member.socket.emit("session:over", &problem);
                }
                let _gone = member.socket.clone().disconnect();
            }
        }
    }

    async fn fold(&mut self, stretch: Stretch) {
        let Some(view) = self.shop.engine.views().get(stretch.sale) else { return };
        let now = (self.shop.now)();
        for entry in &stretch.entries {
            let floor = self.floors.entry(view.id).or_insert_with(|| Floor::new(view.phase(now)));
            count(&mut floor.line, &entry.event);
            let extended = floor.stretch_admissions(entry);
            for (buyer, spotted) in extended {
                self.tell_buyer(buyer, "queue:position-update", &position(&view, spotted, now)).await;
            }
            if let Some((buyer, ticket, spot)) = moved(&entry.event, &view.policy) {
                self.place(&view, entry, buyer, ticket, spot, now).await;
            }
            if let Some((buyer, order, status)) = ordered(&entry.event) {
                self.order(&view, entry, buyer, order, status).await;
            }
        }
    }

    async fn place(
        &mut self,
        view: &SaleView,
        entry: &Entry,
        buyer: BuyerId,
        ticket: Ticket,
        spot: Option<Spot>,
        now: Timestamp,
    ) {
        let Some(person) = self.people.get_mut(&buyer) else { return };
        let Some(floor) = self.floors.get_mut(&view.id) else { return };
        // What happened before they came they were told when they came.
        if entry.at < person.came_at && !floor.people.contains_key(&buyer) {
            return;
        }
        let spot = match spot {
            Some(spot) => spot,
            None => match floor.line.position(ticket) {
                Some(position) => Spot::Waiting(position),
                None => return,
            },
        };
        person.is_in(view.id);
        let (spotted, is_new) = floor.spot(buyer, Spotted::new(ticket, spot, entry.seq, now));
        if is_new {
            self.tell_buyer(buyer, "queue:position-update", &position(view, spotted, now)).await;
        }
    }

    async fn order(
        &mut self,
        view: &SaleView,
        entry: &Entry,
        buyer: BuyerId,
        order: OrderId,
        status: OrderStatus,
    ) {
        let Some(person) = self.people.get_mut(&buyer) else { return };
        if entry.at >= person.came_at && told_orders(&mut person.orders, order, entry.seq) {
            let news = OrderNews::of(view.id, order, status, entry.seq);
            self.tell_buyer(buyer, "order:update", &news).await;
        }
    }
}

fn room_of_sale(sale: SaleId) -> String {
    format!("s{}", sale.0.simple())
}

fn room_of_buyer(buyer: BuyerId) -> String {
    format!("b{}", buyer.0.simple())
}

/// How many sockets had no room.
fn dropped(told: &Result<(), BroadcastError>) -> usize {
    match told {
        Err(BroadcastError::Socket(errors)) => errors.len(),
        Ok(()) | Err(_) => 0,
    }
}

fn position(view: &SaleView, spotted: Spotted, now: Timestamp) -> Position {
    let wait_s = match spotted.spot {
        Spot::Waiting(position) => line::estimated_wait_s(view, Place::Waiting { position }, now),
        Spot::Admitted { .. } | Spot::Lapsed | Spot::Left | Spot::Served => 0,
    };
    Position::of(view.id, spotted.ticket, spotted.spot, wait_s, spotted.version)
}

/// Counts who begins and who ceases to wait.
fn count(line: &mut Line, event: &Event) {
    match event {
        Event::Joined { ticket, .. } => line.join(*ticket),
        Event::Admitted { ticket, .. } | Event::Left { ticket, admitted: false, .. } => line.leave(*ticket),
        _ => {}
    }
}

/// Whose place an event is about, and what it is now; `None` when the line tells.
fn moved(event: &Event, policy: &Policy) -> Option<(BuyerId, Ticket, Option<Spot>)> {
    match *event {
        Event::Joined { buyer, ticket } => Some((buyer, ticket, None)),
        Event::Left { buyer, ticket, .. } => Some((buyer, ticket, Some(Spot::Left))),
        Event::Admitted { buyer, ticket, until } => {
            let spot = Spot::Admitted { until, extension_s: policy.extension_s() };
            Some((buyer, ticket, Some(spot)))
        }
        Event::Extended { buyer, ticket, until } => {
            Some((buyer, ticket, Some(Spot::Admitted { until, extension_s: 0 })))
        }
        Event::Lapsed { buyer, ticket } => Some((buyer, ticket, Some(Spot::Lapsed))),
        Event::Held { buyer, from: Source::Admission { ticket }, .. }
        | Event::Confirmed { buyer, from: Source::Admission { ticket }, .. } => {
            Some((buyer, ticket, Some(Spot::Served)))
        }
        _ => None,
    }
}

/// Which order an event is about, and what has become of it.
fn ordered(event: &Event) -> Option<(BuyerId, OrderId, OrderStatus)> {
    match *event {
        Event::Held { buyer, order, until, .. } => Some((buyer, order, OrderStatus::Pending { until })),
        Event::Confirmed { buyer, order, .. } => Some((buyer, order, OrderStatus::Confirmed)),
        Event::Released { buyer, order, reason, .. } => {
            let status = match reason {
                Release::Cancelled => OrderStatus::Cancelled,
                Release::Declined => OrderStatus::Declined,
                Release::Expired => OrderStatus::Expired,
            };
            Some((buyer, order, status))
        }
        Event::Refunded { buyer, order, restocked, .. } => {
            Some((buyer, order, OrderStatus::Refunded { restocked }))
        }
        _ => None,
    }
}
