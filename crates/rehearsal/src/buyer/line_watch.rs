//! How a buyer who waits in line watches the place: by polling it, by the line's feed, or by a socket. Each gives the same kinds of
//! answers, and writes down every place that it shows.

use super::{PlaceCheck, SimulatedBuyer, replies};
use crate::client::LiveSocket;
use crate::context::WatchMode;
use crate::metrics::RequestKind;
use crate::observations::{RequestSpan, RunInstant};
use documents::line_feed::LineFeedDocument;
use documents::socket::{LineStatusDocument, PositionUpdate};
use documents::{AvailabilityDocument, LineDocument};
use hyper::StatusCode;
use sale::{LineFeed, Ticket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// A feed may be older than the request for it by this much: a second at its server, a second in each of two caches, and what an
/// instance learns late of the others.
const FEED_AGE_MAX: Duration = Duration::from_secs(5);
/// An update of a socket may have been under way so long.
const UPDATE_AGE_MAX: Duration = Duration::from_secs(5);
/// A page asks for the feed so often, about.
pub(super) const FEED_INTERVAL_S: f64 = 1.0;
/// Who hears nothing on a socket for so long looks for themselves, as the pages do.
const QUIET_MAX: Duration = Duration::from_secs(30);

/// What a buyer keeps from one look to the next.
pub(super) struct LineWatch {
    ticket: Ticket,
    /// The place that was shown last, and its estimate.
    position: u32,
    estimate_s: Option<u64>,
    /// The version of the feed that was used last. An older one may come from another cache, and is passed over.
    version: u64,
    socket: Option<OpenSocket>,
}

struct OpenSocket {
    live: Box<LiveSocket>,
    _permit: OwnedSemaphorePermit,
}

impl LineWatch {
    pub(super) fn new(ticket: Ticket, position: u32, estimate_s: Option<u64>) -> Self {
        Self { ticket, position, estimate_s, version: 0, socket: None }
    }

    fn last_place(&self) -> PlaceCheck {
        PlaceCheck::Waiting { position: self.position, estimate_s: self.estimate_s }
    }
}

impl SimulatedBuyer {
    /// Looks for the place, or waits until it is shown.
    pub(super) async fn watch_place(&self, watch: &mut LineWatch, due: RunInstant) -> PlaceCheck {
        match self.context.watch {
            WatchMode::Poll => self.check_place_in_tabs(due).await,
            WatchMode::Feed => self.check_feed(watch, due).await,
            WatchMode::Socket => self.listen_for_place(watch, due).await,
        }
    }

    /// Computes the place from the line's feed. What only the buyer may know, the turn and how a place ended, is asked for once the
    /// feed says that it has come to that.
    async fn check_feed(&self, watch: &mut LineWatch, due: RunInstant) -> PlaceCheck {
        let answer = self.get_public_once(&self.context.sale.line_feed_path).await;
        self.context.metrics.record_latency(RequestKind::Look, due, self.context.clock.now());
        let Some((reply, span)) = answer else { return PlaceCheck::NoReply };
        self.context.metrics.record_reply(span.received, replies::read_code(&reply));
        if reply.status != StatusCode::OK {
            return PlaceCheck::NoReply;
        }
        let Ok(document) = serde_json::from_slice::<LineFeedDocument>(&reply.body) else {
            return PlaceCheck::NoReply;
        };
        if document.version < watch.version {
            return watch.last_place();
        }
        watch.version = document.version;
        let Some(line) = document.line.as_ref().and_then(LineDocument::to_feed) else {
            return self.fetch_place(due).await;
        };
        if watch.ticket > line.last_ticket {
            // It is older than the ticket.
            return watch.last_place();
        }
        let Some(position) = line.position(watch.ticket) else { return self.fetch_place(due).await };
        let span = RequestSpan { sent: span.sent.minus(FEED_AGE_MAX), received: span.received };
        let is_sold_out = document.availability == AvailabilityDocument::SoldOut;
        self.context.with_account(self.member.account, |account| {
            if is_exact(&line, watch.ticket) {
                account.record_place(watch.ticket, position, span);
            }
            if is_sold_out {
                account.sold_out_seen.get_or_insert(span);
            }
        });
        if is_sold_out {
            return PlaceCheck::SoldOut;
        }
        watch.position = watch.position.min(position);
        watch.estimate_s =
            document.pace().estimate_wait_s(document.server_time, watch.ticket, watch.position);
        watch.last_place()
    }

    /// Waits for the next update of the place on the buyer's socket; connects it first. Without a socket the place is polled.
    async fn listen_for_place(&self, watch: &mut LineWatch, due: RunInstant) -> PlaceCheck {
        if watch.socket.is_none() {
            watch.socket = self.open_socket(due).await;
        }
        let Some(socket) = &mut watch.socket else { return self.fetch_place(due).await };
        let quiet = self.context.clock.now().plus(QUIET_MAX).min(self.deadline);
        let update = tokio::select! {
            update = socket.live.next_event("queue:position-update") => update,
            _ = self.context.wait_until(quiet) => return self.fetch_place(self.context.clock.now()).await,
        };
        let update = update.map(|document| serde_json::from_str::<PositionUpdate>(&document));
        match update {
            Ok(Ok(update)) if update.flash_sale_id == self.context.sale.id => {
                self.read_update(watch, &update)
            }
            Ok(_) => watch.last_place(),
            Err(_) => {
                watch.socket = None;
                self.fetch_place(self.context.clock.now()).await
            }
        }
    }

    /// The buyer's socket; `None` when there are as many as may be, or it is not to be had now.
    async fn open_socket(&self, due: RunInstant) -> Option<OpenSocket> {
        let permit = Arc::clone(&self.context.socket_permits).try_acquire_owned().ok()?;
        let [_, a, b, c] = self.member.address.to_be_bytes();
        let token = self.context.token(self.member.account);
        let opened = LiveSocket::open(self.context.client.target(), token, &format!("10.{a}.{b}.{c}")).await;
        self.context.metrics.record_latency(RequestKind::Look, due, self.context.clock.now());
        let opened = opened.inspect_err(|error| tracing::debug!(%error, "a socket was not opened")).ok()?;
        Some(OpenSocket { live: Box::new(opened), _permit: permit })
    }

    fn read_update(&self, watch: &mut LineWatch, update: &PositionUpdate) -> PlaceCheck {
        let received = self.context.clock.now();
        let span = RequestSpan { sent: received.minus(UPDATE_AGE_MAX), received };
        let account = self.member.account;
        match update.status {
            LineStatusDocument::Waiting | LineStatusDocument::Admitted => {
                self.context.with_account(account, |account| {
                    account.record_place(update.ticket, update.position, span);
                });
                if update.status == LineStatusDocument::Admitted {
                    return PlaceCheck::Admitted;
                }
                (watch.position, watch.estimate_s) = (update.position, update.estimated_wait_seconds);
                watch.last_place()
            }
            LineStatusDocument::Over => PlaceCheck::Over,
            LineStatusDocument::Lapsed | LineStatusDocument::Left | LineStatusDocument::Served => {
                self.context.with_account(account, |account| account.record_lost_place(span));
                PlaceCheck::NotInLine
            }
        }
    }
}

/// Whether the feed tells of this ticket by itself. Other places may be off by a thousandth, and promise nothing.
fn is_exact(line: &LineFeed, ticket: Ticket) -> bool {
    ticket.0 <= line.serving.0.saturating_add(line.exact_tickets)
}
