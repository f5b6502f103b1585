//! The buyers' requests and the replies to them: the evidence from outside. It never judges.
//!
//! The size of an account's evidence depends on its joins, orders and payments, not on how often it polled its
//! place.

use sale::{BuyerId, OrderId, Ticket};
use uuid::Uuid;

/// A moment of the rehearsal: microseconds since it began, by the stopwatch of the machine that rehearses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunInstant(pub u64);

impl RunInstant {
    /// This long after it.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// This long before it.
    #[must_use]
    pub fn minus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// When one request was sent and when its reply was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestSpan {
    /// Before its first byte was sent.
    pub sent: RunInstant,
    /// After the last byte of its reply was read.
    pub received: RunInstant,
}

/// All requests of one account, and the replies. Several people may act for one account: two tabs, or a bot with many addresses.
#[derive(Clone, Debug)]
pub struct AccountLog {
    pub buyer: BuyerId,
    /// Its place in line, as replies showed it; `None` while it has none.
    pub place: Option<PlaceRecord>,
    /// The places that it had before.
    pub past_places: Vec<PlaceRecord>,
    /// The first time that a place of its was worse than before, though its buyer had done nothing.
    pub violation: Option<PlaceViolation>,
    /// Replies with a place.
    pub places_shown: u32,
    /// Its place in line where no number is shown (in a dialect).
    pub spot: SpotLog,
    /// Whether one of the people who act for it was counted as the one who bought.
    pub is_counted: bool,
    /// The first poll of its place whose reply says that everything is sold.
    pub sold_out_seen: Option<RequestSpan>,
    /// Its requests, in the order of sending. Polls are not in it.
    pub requests: Vec<RequestLog>,
    /// When it first sent a request for the place that it has, or does not have yet.
    joining_since: Option<RunInstant>,
    /// When its last place was known to be over. Replies to earlier requests may still name that place.
    place_ended_at: RunInstant,
}

/// One place in line, as replies showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceRecord {
    pub ticket: Ticket,
    /// From the first request for this place to the first reply with the number: it was given in between. Nothing where
    /// that cannot be said.
    pub joined: Option<RequestSpan>,
    /// The latest position shown, 0 once admitted.
    pub position: u32,
    pub shown: RequestSpan,
    /// True when a poll did not find the place although the buyer had not given it up; the ledger must then have the reason.
    pub is_lost: bool,
}

/// What was shown of an account's places in a line that shows no numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpotLog {
    /// From the first request for a place to the first reply that showed one.
    pub joined: Option<RequestSpan>,
    /// The latest position shown, 0 with a hold; `None` where there is no place now.
    last: Option<(u32, RequestSpan)>,
    /// A position and the later one that followed it, though the buyer had done nothing.
    pub violation: Option<(u32, u32)>,
    /// True when a poll did not find the place although the buyer had not given it up; the ledger must then have the reason.
    pub is_lost: bool,
}

/// A place that got worse though its buyer did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceViolation {
    /// Another number than before.
    Ticket { before: Ticket, after: Ticket },
    /// A later position than before. (From admitted to waiting is no such case: an admission may lapse.)
    Position { before: u32, after: u32 },
}

/// One thing an account wanted: one request, and its repetitions with the same key.
#[derive(Clone, Debug)]
pub struct RequestLog {
    pub action: BuyerAction,
    /// The replies, in the order in which they were received.
    pub replies: Vec<LoggedReply>,
    /// When it was sent for the first time.
    pub first_sent: RunInstant,
    /// Times that it was sent and no reply came.
    pub unanswered: u32,
}

/// A request that may change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuyerAction {
    /// A place in line.
    Join,
    /// The place given up.
    Leave,
    /// Units, under an `Idempotency-Key` that is this number's.
    Order { units: u32, key: u64 },
    Pay {
        order: OrderId,
        key: u64,
        /// Whether the method is one that the provider declines.
        declines: bool,
    },
    /// To give an order's units back.
    Cancel { order: OrderId },
    /// One unit, by the call with which a dialect sells. The number is that of the key, where the dialect has keys.
    Purchase { key: u64 },
    /// Whether a unit is the buyer's, as a dialect shows it: what became of this job, where it has jobs.
    ReadPurchase { job: Option<Uuid> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedReply {
    pub span: RequestSpan,
    pub status: u16,
    /// `Retry-After`, where the reply has one.
    pub retry_after_s: Option<u16>,
    pub body: ReplyBody,
}

/// The part of a reply that is a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyBody {
    /// A place in line.
    Place {
        ticket: Ticket,
        /// Waiting buyers ahead plus one; 0 when admitted.
        position: u32,
        /// The estimate of the wait, in seconds, where there is one.
        estimate_s: Option<u64>,
    },
    /// An order in some status.
    Order {
        order: OrderId,
        /// Its units.
        units: u32,
        /// The price of all its units, in minor units.
        total_minor: i64,
        status: OrderPhase,
    },
    /// A place in a line that shows no numbers: the position, 0 with a hold.
    Spot { position: u32 },
    /// A unit is the buyer's, by this order where the reply names it.
    Owned { order: Option<OrderId> },
    /// A purchase that has been decided, under the name that the dialect gave it.
    Job { job: Uuid, is_sold: bool },
    /// No unit is the buyer's at this moment.
    NotOwned,
    /// No, for this reason.
    Refused(Code),
    /// Success that says nothing of places and units.
    NoContent,
    /// Not a reply of the API: no JSON, or another document than expected.
    Malformed,
}

/// An order's status in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderPhase {
    /// Held until it is paid.
    Pending,
    Confirmed,
    /// Over: expired, cancelled, declined or refunded.
    Ended,
}

macro_rules! codes {
    ($($variant:ident $text:literal),+ $(,)?) => {
        /// The `code` of a refusal, as far as buyers meet it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is the code of the same name in docs/api.md")]
        pub enum Code { $($variant),+, Other }

        impl Code {
            /// The code with this text.
            #[must_use]
            pub fn of(text: &str) -> Self {
                match text { $($text => Self::$variant,)+ _ => Self::Other }
            }

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ Self::Other => "other" }
            }
        }
    };
}

codes! {
    SoldOut "sold_out", AllHeld "all_held", FewerLeft "fewer_left", LimitReached "limit_reached", AlreadyInLine "already_in_line",
    NoLine "no_line", NoExtension "no_extension", Paused "paused", OrderState "order_state", NotAdmitted "not_admitted",
    NotInLine "not_in_line", NotStarted "not_started", Ended "ended", Closed "closed",
    OrderExpired "order_expired", KeyReused "key_reused", SaleUnknown "sale_unknown",
    OrderUnknown "order_unknown", OrderPaying "order_paying", RequestInFlight "request_in_flight",
    PaymentUnknown "payment_unknown", PaymentDeclined "payment_declined", Unauthorized "unauthorized",
    RateLimited "rate_limited", Internal "internal", Overloaded "overloaded",
    Unavailable "unavailable", NotRecorded "not_recorded", Timeout "timeout",
}

impl Code {
    /// Whether the refusal leaves the outcome open: the buyer must send the same request again to know it.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::RequestInFlight
                | Self::PaymentUnknown
                | Self::RateLimited
                | Self::Internal
                | Self::Overloaded
                | Self::Unavailable
                | Self::NotRecorded
                | Self::Timeout
        )
    }
}

impl AccountLog {
    #[must_use]
    pub fn new(buyer: BuyerId) -> Self {
        Self {
            buyer,
            place: None,
            past_places: Vec::new(),
            violation: None,
            places_shown: 0,
            spot: SpotLog::default(),
            is_counted: false,
            sold_out_seen: None,
            requests: Vec::new(),
            joining_since: None,
            place_ended_at: RunInstant::default(),
        }
    }

    /// Records that a request for a place is about to be sent.
    pub fn request_place(&mut self, sent: RunInstant) {
        if self.place.is_none() {
            self.joining_since.get_or_insert(sent);
        }
    }

    /// Records a reply with a place.
    pub fn record_place(&mut self, ticket: Ticket, position: u32, span: RequestSpan) {
        self.places_shown += 1;
        if span.sent < self.place_ended_at {
            return;
        }
        let Some(place) = &mut self.place else {
            let joined = self.joining_since.take().map(|sent| RequestSpan { sent, received: span.received });
            self.place = Some(PlaceRecord { ticket, joined, position, shown: span, is_lost: false });
            return;
        };
        let before = *place;
        if ticket != before.ticket {
            self.violation.get_or_insert(PlaceViolation::Ticket { before: before.ticket, after: ticket });
        }
        // Two replies have an order only if one was received before the other's request was sent.
        if span.sent < before.shown.received {
            return;
        }
        if before.position > 0 && position > before.position {
            self.violation
                .get_or_insert(PlaceViolation::Position { before: before.position, after: position });
        }
        (place.position, place.shown) = (position, span);
    }

    /// Records a poll, sent at `look.sent`, whose reply says that there is no place.
    pub fn record_lost_place(&mut self, look: RequestSpan) {
        if let Some(place) = &mut self.place
            && place.shown.received <= look.sent
        {
            place.is_lost = true;
        }
        self.end_place(look.received);
    }

    /// Records a reply with a place that has no number.
    pub fn record_spot(&mut self, position: u32, span: RequestSpan) {
        if span.sent < self.place_ended_at {
            return;
        }
        let first_sent = self.joining_since.take().unwrap_or(span.sent);
        let spot = &mut self.spot;
        spot.joined.get_or_insert(RequestSpan { sent: first_sent, received: span.received });
        if let Some((before, shown)) = spot.last {
            // Two replies have an order only if one was received before the other's request was sent.
            if span.sent < shown.received {
                return;
            }
            if before > 0 && position > before {
                spot.violation.get_or_insert((before, position));
            }
        }
        spot.last = Some((position, span));
    }

    /// Records a poll whose reply says that there is no place in a line that shows no numbers.
    pub fn record_lost_spot(&mut self, look: RequestSpan) {
        if self.spot.last.is_some_and(|(_, shown)| shown.received <= look.sent) {
            self.spot.is_lost = true;
        }
        self.end_place(look.received);
    }

    /// Whether a reply said that a unit is the buyer's.
    #[must_use]
    pub fn owns_unit(&self) -> bool {
        self.requests.iter().flat_map(|request| &request.replies).any(|reply| reply.body.is_owned())
    }

    /// The place is over: given up, used for an order, or lost by doing nothing. The next one is a new one.
    pub fn end_place(&mut self, received: RunInstant) {
        self.past_places.extend(self.place.take());
        self.spot.last = None;
        self.joining_since = None;
        self.place_ended_at = self.place_ended_at.max(received);
    }
}

impl ReplyBody {
    /// Whether it says, in a dialect, that a unit is the buyer's.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        matches!(self, Self::Owned { .. } | Self::Job { is_sold: true, .. })
    }
}

impl RequestLog {
    /// Records a request that is about to be sent.
    #[must_use]
    pub fn new(what: BuyerAction, first_sent: RunInstant) -> Self {
        Self { action: what, replies: Vec::new(), first_sent, unanswered: 0 }
    }

    /// Records a reply. Of one refusal that comes again and again, the first and the last are kept.
    pub fn record_reply(&mut self, reply: LoggedReply) {
        if let [.., before, last] = &mut self.replies[..]
            && matches!(reply.body, ReplyBody::Refused(_))
            && before.body == last.body
            && last.body == reply.body
        {
            *last = reply;
        } else {
            self.replies.push(reply);
        }
    }

    /// The reply that settles it: the first that is no passing refusal.
    #[must_use]
    pub fn settling_reply(&self) -> Option<&LoggedReply> {
        self.replies.iter().find(|reply| match reply.body {
            ReplyBody::Refused(code) => !code.is_transient(),
            ReplyBody::Malformed => false,
            _ => true,
        })
    }
}
