//! A socket at the desk: what it watches, and what it is still owed because there was no room for it. It knows no other socket.

use crate::auth::tokens::AccessTokens;
use crate::realtime::documents::{OrderUpdate, ProblemSummary};
use crate::realtime::session::SocketSession;
use sale::{SaleId, Timestamp};
use serde::Serialize;
use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use std::sync::Arc;

/// Orders of which a socket is owed news at most; of more than that the oldest is forgotten, and a reconnect tells it.
const PENDING_MAX: usize = 64;

/// A socket that is in.
pub struct SocketState {
    /// Where it is told things.
    pub socket: SocketRef,
    /// Who is behind it.
    pub session: Arc<SocketSession>,
    /// The sales of which it hears.
    pub watching: Vec<SaleId>,
    /// The sales in which it was told its buyer's place.
    sent_places: Vec<SaleId>,
    pending: PendingUpdates,
}

/// News of its buyer that a socket had no room for. A long poll that comes late finds its 32 places taken by sums, which are
/// told again anyway; whose turn it is must not be lost to them.
#[derive(Default)]
pub struct PendingUpdates {
    /// Sales in which the place has changed.
    pub places: Vec<SaleId>,
    /// Orders, each as it was last.
    pub orders: Vec<OrderUpdate>,
}

/// What became of something that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendResult {
    /// It is on its way, or nobody is there any more.
    Sent,
    /// There was no room.
    BufferFull,
    /// The session is over: it is not this socket's business any more.
    SessionOver,
}

impl SocketState {
    /// One who watches nothing yet.
    pub fn new(socket: SocketRef, guest: Arc<SocketSession>) -> Self {
        Self {
            socket,
            session: guest,
            watching: Vec::new(),
            sent_places: Vec::new(),
            pending: PendingUpdates::default(),
        }
    }

    /// Tells what is the business of its buyer alone. A socket whose session is over hears none of it, from the moment in which
    /// the session was ended.
    pub fn send_private(
        &self,
        event: &str,
        document: &impl Serialize,
        tokens: &AccessTokens,
        now: Timestamp,
    ) -> SendResult {
        if self.session.has_ended(tokens, now) {
            return SendResult::SessionOver;
        }
        if is_buffer_full(&self.socket.emit(event, document)) {
            SendResult::BufferFull
        } else {
            SendResult::Sent
        }
    }

    /// It was told its buyer's place in a sale.
    pub fn mark_place_sent(&mut self, sale: SaleId) {
        if !self.was_sent_place(sale) {
            self.sent_places.push(sale);
        }
    }

    pub fn was_sent_place(&self, sale: SaleId) -> bool {
        self.sent_places.contains(&sale)
    }

    /// Remembers that the place in a sale must be told when there is room. Whether that is the first thing it is owed.
    pub fn defer_place(&mut self, sale: SaleId) -> bool {
        let is_first = self.pending.is_empty();
        if !self.pending.places.contains(&sale) {
            self.pending.places.push(sale);
        }
        is_first
    }

    /// Remembers that an order must be told when there is room. Whether that is the first thing it is owed.
    pub fn defer_order(&mut self, news: OrderUpdate) -> bool {
        let is_first = self.pending.is_empty();
        if self.pending.orders.len() >= PENDING_MAX {
            self.pending.orders.remove(0);
        }
        self.pending.orders.push(news);
        is_first
    }

    /// Something newer is known of this order.
    pub fn drop_deferred_order(&mut self, news: &OrderUpdate) {
        self.pending.orders.retain(|owed| !owed.is_same_order(news));
    }

    /// All it is owed, to be told now.
    pub fn take_pending(&mut self) -> PendingUpdates {
        std::mem::take(&mut self.pending)
    }

    /// Tells a socket that its session is over, and ends it. Where there is no room to say so, its client does not read: the
    /// next look tries again, and the next ping ends it in any case.
    pub fn disconnect(&self, why: Option<ProblemSummary>) {
        if self.socket.connected() {
            if let Some(problem) = why {
                let _gone = self.socket.emit("session:over", &problem);
            }
            let _gone = self.socket.clone().disconnect();
        }
    }
}

impl PendingUpdates {
    fn is_empty(&self) -> bool {
        self.places.is_empty() && self.orders.is_empty()
    }
}

/// Whether a packet found no room. Who is about to close needs none.
pub fn is_buffer_full(told: &Result<(), SendError>) -> bool {
    matches!(told, Err(SendError::Socket(SocketError::InternalChannelFull)))
}
