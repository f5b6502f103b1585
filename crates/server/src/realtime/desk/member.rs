//! A socket at the desk: what it watches, and what it is still owed because there was no room for it. It knows no other socket.

use crate::auth::tokens::Tokens;
use crate::realtime::guest::Guest;
use crate::realtime::words::{OrderNews, Said};
use sale::{SaleId, Timestamp};
use serde::Serialize;
use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use std::sync::Arc;

/// Orders of which a socket is owed news at most; of more than that the oldest is forgotten, and a reconnect tells it.
const OWED_MAX: usize = 64;

/// A socket that is in.
pub struct Member {
    /// Where it is told things.
    pub socket: SocketRef,
    /// Who is behind it.
    pub guest: Arc<Guest>,
    /// The sales of which it hears.
    pub watching: Vec<SaleId>,
    /// The sales in which it was told its buyer's place.
    placed: Vec<SaleId>,
    owed: Owed,
}

/// News of its buyer that a socket had no room for. A long poll that comes late finds its 32 places taken by sums, which are
/// told again anyway; whose turn it is must not be lost to them.
#[derive(Default)]
pub struct Owed {
    /// Sales in which the place has changed.
    pub places: Vec<SaleId>,
    /// Orders, each as it was last.
    pub orders: Vec<OrderNews>,
}

/// What became of something that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is on its way, or nobody is there any more.
    Yes,
    /// There was no room.
    NoRoom,
    /// The session is over: it is not this socket's business any more.
    Over,
}

impl Member {
    /// One who watches nothing yet.
    pub fn new(socket: SocketRef, guest: Arc<Guest>) -> Self {
        Self { socket, guest, watching: Vec::new(), placed: Vec::new(), owed: Owed::default() }
    }

    /// Tells what is the business of its buyer alone. A socket whose session is over hears none of it, from the moment in which
    /// the session was ended.
    pub fn tell(&self, event: &str, document: &impl Serialize, tokens: &Tokens, now: Timestamp) -> Told {
        if self.guest.is_over(tokens, now) {
            return Told::Over;
        }
        if has_no_room(&self.socket.emit(event, document)) { Told::NoRoom } else { Told::Yes }
    }

    /// It was told its buyer's place in a sale.
    pub fn note_place(&mut self, sale: SaleId) {
        if !self.knows_place(sale) {
            self.placed.push(sale);
        }
    }

    /// Whether it was.
    pub fn knows_place(&self, sale: SaleId) -> bool {
        self.placed.contains(&sale)
    }

    /// Remembers that the place in a sale must be told when there is room. Whether that is the first thing it is owed.
    pub fn owe_place(&mut self, sale: SaleId) -> bool {
        let is_first = self.owed.is_empty();
        if !self.owed.places.contains(&sale) {
            self.owed.places.push(sale);
        }
        is_first
    }

    /// Remembers that an order must be told when there is room. Whether that is the first thing it is owed.
    pub fn owe_order(&mut self, news: OrderNews) -> bool {
        let is_first = self.owed.is_empty();
        if self.owed.orders.len() >= OWED_MAX {
            self.owed.orders.remove(0);
        }
        self.owed.orders.push(news);
        is_first
    }

    /// Something newer is known of this order.
    pub fn forget_order(&mut self, news: &OrderNews) {
        self.owed.orders.retain(|owed| !owed.is_of_the_order_of(news));
    }

    /// All it is owed, to be told now.
    pub fn take_owed(&mut self) -> Owed {
        std::mem::take(&mut self.owed)
    }

    /// Tells a socket that its session is over, and ends it. Where there is no room to say so, its client does not read: the
    /// next look tries again, and the next ping ends it in any case.
    pub fn show_out(&self, why: Option<Said>) {
        if self.socket.connected() {
            if let Some(problem) = why {
                let _gone = self.socket.emit("session:over", &problem);
            }
            let _gone = self.socket.clone().disconnect();
        }
    }
}

impl Owed {
    fn is_empty(&self) -> bool {
        self.places.is_empty() && self.orders.is_empty()
    }
}

/// Whether a packet found no room. Who is about to close needs none.
pub fn has_no_room(told: &Result<(), SendError>) -> bool {
    matches!(told, Err(SendError::Socket(SocketError::InternalChannelFull)))
}
