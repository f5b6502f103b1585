//! The desk: one task that knows every socket and sends all updates, so that each client hears things in the order in which
//! they happened. What was recorded comes from the follower, sums come from the published views; nothing is asked from here.
//!
//! It looks at what is due when the views' bell rings, so that a change of a quiet sale leaves at once, and ten times a second
//! for all that time alone brings: what had to wait, positions, a sale's start and end, sessions that are over.

mod events;
mod floor;
mod member;

use super::guest::Guest;
use super::line::Line;
use super::pace;
use super::words::{Dictionary, GoodBye, Inventory, OrderNews, Position, Spot, Status};
use crate::shop::live::{Stand, Stretch};
use crate::shop::{Shop, line};
use crate::telemetry::sockets::SocketMetrics;
use engine::SaleView;
use events::{count, moved, ordered};
use floor::{Floor, Person, Spotted, told_orders};
use member::{Member, Told, has_no_room};
use sale::{BuyerId, Entry, OrderId, OrderStatus, Phase, Place, SaleId, Seq, Ticket, Timestamp};
use socketioxide::extract::SocketRef;
use socketioxide::socket::Sid;
use socketioxide::{BroadcastError, SocketError, SocketIo};
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

/// What the desk is told by the sockets.
pub enum Note {
    /// Somebody came in.
    Came(Visit),
    /// A socket wants to hear of a sale. It may be quicker than the note that it came.
    Watch {
        /// Which socket.
        visit: Visit,
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
        /// False when the socket is told because it has come, or has its answer already: then once is enough.
        is_asked: bool,
    },
    /// A socket was closed.
    Gone(Sid),
    /// The process stops: everyone is told, then this is answered.
    GoodBye(oneshot::Sender<()>),
}

/// Somebody who is in.
pub struct Visit {
    /// Their socket.
    pub socket: SocketRef,
    /// Who it is.
    pub guest: Arc<Guest>,
}

/// How often the desk looks at what time alone brings.
const ROUND: Duration = Duration::from_millis(100);
/// Rounds in which every socket is looked at once, whether its token has expired and whether it is there: half a minute.
const ROUNDS_FOR_ALL: usize = 300;
/// After a look because the bell rang: in a rush it rings a thousand times a second, and a look costs by the sale.
const GLANCE_REST: Duration = Duration::from_millis(20);
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
    /// Sockets that are owed something.
    owing: Vec<Sid>,
    /// The sessions that had been ended when all sockets were last looked at.
    revocations: u64,
}

impl<S: Deref<Target = Shop>> Desk<S> {
    /// An empty desk.
    pub fn new(shop: S, io: SocketIo, metrics: SocketMetrics, dictionary: Dictionary) -> Self {
        let (sockets, people, floors, to_check, owing) = Default::default();
        let revocations = shop.accounts.tokens.revocations();
        Self { shop, io, metrics, dictionary, sockets, people, floors, to_check, owing, revocations }
    }

    /// Works until nobody writes notes any more.
    pub async fn run(mut self, mut notes: mpsc::Receiver<Note>, mut news: mpsc::Receiver<Stretch>) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut rest, mut is_resting) = (tokio::time::interval(GLANCE_REST), false);
        let mut bell = self.shop.engine.views().bell();
        loop {
            tokio::select! {
                note = notes.recv() => match note {
                    Some(note) => self.note(note).await,
                    None => return,
                },
                Some(stretch) = news.recv() => self.fold(&stretch),
                _ = round.tick() => self.round().await,
                Ok(()) = bell.changed(), if !is_resting => {
                    self.tell_sales().await;
                    rest.reset();
                    is_resting = true;
                }
                _ = rest.tick(), if is_resting => is_resting = false,
            }
        }
    }

    async fn note(&mut self, note: Note) {
        match note {
            Note::Came(visit) => self.came(visit),
            Note::Watch { visit, sale } => self.watch(visit, sale),
            Note::Stands { socket, buyer, stand, is_asked } => self.stands(socket, buyer, stand, is_asked),
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

    fn came(&mut self, Visit { socket, guest }: Visit) {
        // The note that it is gone may have been quicker.
        if self.sockets.contains_key(&socket.id) || !socket.connected() {
            return;
        }
        if let Some(buyer) = guest.buyer() {
            let person = self.people.entry(buyer).or_insert_with(|| Person::new(guest.came_at));
            person.sockets.push(socket.id);
        }
        self.metrics.open.inc();
        self.to_check.push_back(socket.id);
        self.sockets.insert(socket.id, Member::new(socket, guest));
    }

    fn gone(&mut self, socket: Sid) {
        let Some(member) = self.sockets.remove(&socket) else { return };
        self.metrics.open.dec();
        for sale in member.watching {
            if let Some(floor) = self.floors.get_mut(&sale) {
                floor.watchers = floor.watchers.saturating_sub(1);
            }
        }
        let Some(buyer) = member.guest.buyer() else { return };
        let Some(person) = self.people.get_mut(&buyer) else { return };
        person.sockets.retain(|other| *other != socket);
        if person.sockets.is_empty() {
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
    fn watch(&mut self, visit: Visit, sale: SaleId) {
        let socket = visit.socket.id;
        self.came(visit);
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
            if floor.watchers == 0 {
                // It is told just below, and nobody else is there to be told again.
                floor.phase = view.phase(now);
                floor.told(&view, now, None);
            }
            floor.watchers += 1;
        }
        let inventory = member.socket.emit("inventory:update", &Inventory::of(&view, now));
        let status = member.socket.emit("sale:status-change", &Status::of(&view, now));
        self.metrics.sent("inventory:update", 1, usize::from(has_no_room(&inventory)));
        self.metrics.sent("sale:status-change", 1, usize::from(has_no_room(&status)));
        if has_no_room(&inventory) || has_no_room(&status) {
            floor.repeat(now.plus_ms(REPEAT_MS));
        }
    }

    /// Tells a socket how its buyer stands. Other sockets of the buyer hear of it only when it is new.
    fn stands(&mut self, socket: Sid, buyer: BuyerId, stand: Stand, is_asked: bool) {
        let Stand { sale, version, place, orders } = stand;
        let Some(view) = self.shop.engine.views().get(sale) else { return };
        let (Some(_), Some(person)) = (self.sockets.get(&socket), self.people.get_mut(&buyer)) else {
            return;
        };
        let now = (self.shop.now)();
        let fresh = person.take_orders(&orders, version);
        let floor = self.floors.entry(sale).or_insert_with(|| Floor::new(view.phase(now)));
        person.is_in(sale);
        let asked = match &place {
            Some(place) => Spotted::new(place.ticket, place.place.into(), version, now),
            None => Spotted::nowhere(version, now),
        };
        let (spotted, is_new) = floor.spot(buyer, asked);
        for order in fresh.iter().rev() {
            let news = OrderNews::of(sale, order.id, order.status, version);
            self.tell_order(socket, news, now);
        }
        if spotted.ticket == Ticket(0) {
            return;
        }
        if is_new {
            self.tell_places(buyer, &view, spotted, now);
        } else if is_asked || !self.sockets.get(&socket).is_some_and(|member| member.knows_place(sale)) {
            // Who joined while being welcomed knows it already.
            self.tell_place(socket, &view, spotted, now);
        }
    }

    /// Tells what time alone has brought: sums that had to wait, positions to who waits, and the end of a session.
    async fn round(&mut self) {
        self.tell_sales().await;
        let now = (self.shop.now)();
        let mut due = Vec::new();
        for (sale, floor) in &mut self.floors {
            let Some(view) = self.shop.engine.views().get(*sale) else { continue };
            if matches!(view.phase(now), Phase::Ended | Phase::Closed) {
                floor.close_line();
            }
            due.extend(floor.positions_due(now).into_iter().map(|told| (Arc::clone(&view), told)));
        }
        for (view, (buyer, spotted)) in due {
            self.tell_places(buyer, &view, spotted, now);
        }
        self.pay_debts(now);
        self.check_sockets(now);
    }

    /// Tells the sums, and a change of status, of each sale to who watches it, as far as they are due.
    async fn tell_sales(&mut self) {
        let now = (self.shop.now)();
        let mut due = Vec::new();
        for (sale, floor) in self.floors.iter_mut().filter(|(_, floor)| floor.watchers > 0) {
            let Some(view) = self.shop.engine.views().get(*sale) else { continue };
            let phase = view.phase(now);
            let has_turned = std::mem::replace(&mut floor.phase, phase) != phase;
            if has_turned || floor.is_due(&view, now) {
                due.push((view, has_turned, floor.watchers));
            }
        }
        for (view, has_turned, watchers) in due {
            let dropped = self.tell_sale(&view, has_turned, watchers, now).await;
            if let Some(floor) = self.floors.get_mut(&view.id) {
                floor.told(&view, now, (dropped > 0).then(|| now.plus_ms(REPEAT_MS)));
            }
        }
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

    /// Tells all sockets of a buyer their place.
    fn tell_places(&mut self, buyer: BuyerId, view: &SaleView, spotted: Spotted, now: Timestamp) {
        for socket in self.sockets_of(buyer) {
            self.tell_place(socket, view, spotted, now);
        }
    }

    fn tell_place(&mut self, socket: Sid, view: &SaleView, spotted: Spotted, now: Timestamp) {
        let Some(member) = self.sockets.get_mut(&socket) else { return };
        let event = "queue:position-update";
        let told = member.tell(event, &position(view, spotted, now), &self.shop.accounts.tokens, now);
        if told == Told::Yes {
            member.note_place(view.id);
        }
        if told == Told::NoRoom && member.owe_place(view.id) {
            self.owing.push(socket);
        }
        self.told(socket, event, told);
    }

    fn tell_order(&mut self, socket: Sid, news: OrderNews, now: Timestamp) {
        let Some(member) = self.sockets.get_mut(&socket) else { return };
        let event = "order:update";
        let told = member.tell(event, &news, &self.shop.accounts.tokens, now);
        member.forget_order(&news);
        if told == Told::NoRoom && member.owe_order(news) {
            self.owing.push(socket);
        }
        self.told(socket, event, told);
    }

    fn told(&self, socket: Sid, event: &'static str, told: Told) {
        match told {
            Told::Yes | Told::NoRoom => self.metrics.sent(event, 1, usize::from(told == Told::NoRoom)),
            Told::Over => {
                if let Some(member) = self.sockets.get(&socket) {
                    member.show_out((self.dictionary)("unauthorized"));
                }
            }
        }
    }

    /// Tells sockets what there was no room for before. Who still does not read stays in debt, until a ping ends it.
    fn pay_debts(&mut self, now: Timestamp) {
        for socket in std::mem::take(&mut self.owing) {
            let Some(member) = self.sockets.get_mut(&socket) else { continue };
            let (owed, buyer) = (member.take_owed(), member.guest.buyer());
            for news in owed.orders {
                self.tell_order(socket, news, now);
            }
            for sale in owed.places {
                let known = self.floors.get(&sale).zip(buyer);
                let spotted = known.and_then(|(floor, buyer)| floor.people.get(&buyer).copied());
                if let Some((spotted, view)) = spotted.zip(self.shop.engine.views().get(sale)) {
                    self.tell_place(socket, &view, spotted, now);
                }
            }
        }
    }

    fn sockets_of(&self, buyer: BuyerId) -> Vec<Sid> {
        self.people.get(&buyer).map_or_else(Vec::new, |person| person.sockets.clone())
    }

    /// Shows out whose token is no longer good: all at once when somebody's session was ended, otherwise a part at a time.
    fn check_sockets(&mut self, now: Timestamp) {
        let revocations = self.shop.accounts.tokens.revocations();
        let is_all = std::mem::replace(&mut self.revocations, revocations) != revocations;
        let part = if is_all { 1 } else { ROUNDS_FOR_ALL };
        for _ in 0..self.to_check.len().div_ceil(part) {
            let Some(socket) = self.to_check.pop_front() else { return };
            let Some(member) = self.sockets.get(&socket) else { continue };
            // A socket that closes in the very moment in which it opens may leave without a note.
            if !member.socket.connected() || self.io.get_socket(socket).is_none() {
                self.gone(socket);
                continue;
            }
            if member.guest.is_over(&self.shop.accounts.tokens, now) {
                member.show_out((self.dictionary)("unauthorized"));
            }
            self.to_check.push_back(socket);
        }
    }

    fn fold(&mut self, stretch: &Stretch) {
        let Some(view) = self.shop.engine.views().get(stretch.sale) else { return };
        let now = (self.shop.now)();
        for entry in &stretch.entries {
            let floor = self.floors.entry(view.id).or_insert_with(|| Floor::new(view.phase(now)));
            count(&mut floor.line, &entry.event);
            let extended = floor.stretch_admissions(entry);
            for (buyer, spotted) in extended {
                self.tell_places(buyer, &view, spotted, now);
            }
            if let Some((buyer, ticket, spot)) = moved(&entry.event, &view.policy) {
                self.place(&view, entry, buyer, ticket, spot, now);
            }
            if let Some((buyer, order, status)) = ordered(&entry.event) {
                self.order(&view, entry, buyer, order, status, now);
            }
        }
    }

    fn place(
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
        // What happened before they came they were told when they came, and what is known of a place has all that led to it.
        let is_old = match floor.people.get(&buyer) {
            Some(known) => entry.seq <= known.version,
            None => entry.at < person.came_at,
        };
        if is_old {
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
            self.tell_places(buyer, view, spotted, now);
        }
    }

    fn order(
        &mut self,
        view: &SaleView,
        entry: &Entry,
        buyer: BuyerId,
        order: OrderId,
        status: OrderStatus,
        now: Timestamp,
    ) {
        let Some(person) = self.people.get_mut(&buyer) else { return };
        if entry.at >= person.came_at && told_orders(&mut person.orders, order, entry.seq) {
            let news = OrderNews::of(view.id, order, status, entry.seq);
            for socket in self.sockets_of(buyer) {
                self.tell_order(socket, news.clone(), now);
            }
        }
    }
}

fn room_of_sale(sale: SaleId) -> String {
    format!("s{}", sale.0.simple())
}

/// How many sockets had no room. Those that close at this moment need none.
fn dropped(told: &Result<(), BroadcastError>) -> usize {
    match told {
        Err(BroadcastError::Socket(errors)) => {
            errors.iter().filter(|error| matches!(error, SocketError::InternalChannelFull)).count()
        }
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
