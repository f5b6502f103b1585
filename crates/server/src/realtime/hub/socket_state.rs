//! The hub's state of one socket: what it watches, and updates that did not fit into its buffer. It knows no other socket.

use crate::auth::tokens::AccessTokens;
use crate::realtime::documents::{OrderUpdate, ProblemSummary};
use crate::realtime::session::SocketSession;
use sale::{SaleId, Timestamp};
use serde::Serialize;
use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use std::sync::Arc;

/// Orders with a pending update. Of more the oldest is dropped; the snapshot after a reconnect has it.
const PENDING_MAX: usize = 64;

pub struct SocketState {
    pub socket: SocketRef,
    pub session: Arc<SocketSession>,
    /// The sales that it watches, each with its group of watchers.
    pub watching: Vec<(SaleId, usize)>,
    /// The sales in which it was sent its buyer's place.
    sent_places: Vec<SaleId>,
    pending: PendingUpdates,
}

/// Updates about its buyer that did not fit into a socket's buffer. A slow long poll fills its 32 packets with counters, which are
/// sent again anyway; a buyer's place and orders must not be lost to them.
#[derive(Default)]
pub struct PendingUpdates {
    /// Sales in which the place changed.
    pub places: Vec<SaleId>,
    /// The last update of each order.
    pub orders: Vec<OrderUpdate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendResult {
    /// Queued, or the socket is gone.
    Sent,
    BufferFull,
    /// The session has ended, so the socket may not have it.
    SessionOver,
}

impl SocketState {
    pub fn new(socket: SocketRef, session: Arc<SocketSession>) -> Self {
        Self {
            socket,
            session,
            watching: Vec::new(),
            sent_places: Vec::new(),
            pending: PendingUpdates::default(),
        }
    }

    /// Sends what only the socket's buyer may see; a socket whose session has ended gets nothing.
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

    pub fn mark_place_sent(&mut self, sale: SaleId) {
        if !self.was_sent_place(sale) {
            self.sent_places.push(sale);
        }
    }

    pub fn was_sent_place(&self, sale: SaleId) -> bool {
        self.sent_places.contains(&sale)
    }

    /// Marks the place in a sale as pending. Returns true when nothing was pending before.
    pub fn defer_place(&mut self, sale: SaleId) -> bool {
        let is_first = self.pending.is_empty();
        if !self.pending.places.contains(&sale) {
            self.pending.places.push(sale);
        }
        is_first
    }

    /// Marks an order as pending. Returns true when nothing was pending before.
    pub fn defer_order(&mut self, update: OrderUpdate) -> bool {
        let is_first = self.pending.is_empty();
        if self.pending.orders.len() >= PENDING_MAX {
            self.pending.orders.remove(0);
        }
        self.pending.orders.push(update);
        is_first
    }

    /// Drops the pending update of an order for which there is a newer one.
    pub fn drop_deferred_order(&mut self, update: &OrderUpdate) {
        self.pending.orders.retain(|pending| !pending.is_same_order(update));
    }

    pub fn take_pending(&mut self) -> PendingUpdates {
        std::mem::take(&mut self.pending)
    }

    /// Sends `session:over`, and closes the socket. If the buffer is full, the client does not read: the next check tries again,
    /// and the next ping ends the socket in any case.
    pub fn disconnect(&self, reason: Option<ProblemSummary>) {
        if self.socket.connected() {
            if let Some(problem) = reason {
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

/// Whether a packet was dropped because the buffer was full. A closing socket does not count.
pub fn is_buffer_full(result: &Result<(), SendError>) -> bool {
    matches!(result, Err(SendError::Socket(SocketError::InternalChannelFull)))
}
