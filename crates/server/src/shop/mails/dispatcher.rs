//! Sends the mails that are due: the urgent ones first, a few at a time, under leases that a crash gives back. One process of a cluster sends
//! at a time; two that both believe it is their turn share the work, because each mail is leased. It never logs an address.

use super::admin_mails::plan_admin_mails;
use super::content::{MailContent, MailedOrder, MailedSale};
use super::subscriptions::{REMINDERS_MAX, remind_of_start};
use super::tokens::{TOKEN_MINUTES, TokenPurpose};
use super::{MailOutbox, MailPriority};
use crate::clock::TimeSource;
use crate::mail::MailKind;
use crate::mail::language::BuyerLanguage;
use crate::mail::relay::{CONNECTIONS_MAX, MailRelay, OutgoingMail, SEND_TIMEOUT, SendFailure};
use crate::mail::templates::{MailShop, MailTemplates, MailValue, MailValues};
use crate::shop::catalogue::SaleCatalogue;
use crate::shop::catalogue_text::format_decimal;
use crate::shop::public_url::PublicUrl;
use crate::shop::tenancy::Tenancy;
use crate::store::mails::{MailLease, MailRow, MailState};
use crate::store::{Store, StoreError, accounts, mail_subscriptions, mail_switches, mail_tokens, mails};
use crate::telemetry::mails::MailMetrics;
use engine::error_text::describe_error;
use engine::{Engine, EngineError};
use sale::{BuyerId, LinePosition, Money, OrderId, SaleId, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

/// The lock of the process that sends.
const LOCK_NAME: &str = "mail sender";
/// How long a process may take for the mails that it has claimed, in milliseconds: twice the time limit of one mail, and more than clocks
/// differ. After a crash no process sends them for so long.
const LEASE_MS: i64 = 2_000 * SEND_TIMEOUT.as_secs().cast_signed();
/// Time between the tries of a mail, in milliseconds: five tries over two hours. A relay that greylists takes the second.
const RETRY_AFTER_MS: [i64; 4] = [60_000, 540_000, 1_800_000, 4_800_000];
/// So long an address that bounced gets no mail, in milliseconds.
const BOUNCE_MS: i64 = 7 * 86_400_000;
/// How long mails are kept, in milliseconds.
const KEEP_MS: i64 = 90 * 86_400_000;
/// How long subscriptions are kept, in milliseconds: longer than any sale is announced before it starts.
const KEEP_SUBSCRIPTIONS_MS: i64 = 400 * 86_400_000;
/// Where a mail program ends a subscription with one press (RFC 8058).
const UNSUBSCRIBE_PATH: &str = "/api/v1/reminders/unsubscribe";
/// Time between two looks for sales that start soon, and for what admins should know, in milliseconds.
const PLAN_EVERY_MS: i64 = 15_000;
/// Sales that start later have no reminders yet, in milliseconds.
const REMIND_WITHIN_MS: i64 = 86_400_000;
/// Old rows that one sweep deletes, at most.
const SWEEP_MAX: u32 = 1_000;
/// Time between two sweeps, in milliseconds.
const SWEEP_EVERY_MS: i64 = 600_000;
/// Waiting mails that are counted for the metric, after each pass.
const COUNTED_MAX: u32 = 10_000;
/// How often mails are looked for that another process wrote.
const PASS_EVERY: Duration = Duration::from_secs(1);
/// What mails under way get to finish when the process stops.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Between two log lines of one kind, in milliseconds.
const LOG_EVERY_MS: i64 = 60_000;

/// Mails of these priorities, and how many of them and of all less urgent ones are sent at a time.
struct PriorityClass {
    first: MailPriority,
    last: MailPriority,
    places: u32,
}

/// The most urgent first. Mails that the relay hangs on leave two places to account mails and turns, and two more to turns.
const CLASSES: [PriorityClass; 3] = [
    PriorityClass { first: MailPriority::Turn, last: MailPriority::Turn, places: CONNECTIONS_MAX },
    PriorityClass { first: MailPriority::Awaited, last: MailPriority::Awaited, places: CONNECTIONS_MAX - 2 },
    PriorityClass { first: MailPriority::Report, last: MailPriority::Reminder, places: CONNECTIONS_MAX - 4 },
];

/// So many mails in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailRate {
    pub count: u32,
    pub window_ms: i64,
}

/// What sending needs besides the tables.
pub struct DispatcherSettings {
    pub relay: MailRelay,
    pub templates: MailTemplates,
    pub shop: MailShop,
    pub public_url: PublicUrl,
    pub rate: MailRate,
    pub tenancy: Tenancy,
    pub metrics: MailMetrics,
    pub engine: Engine,
    pub catalogue: Arc<SaleCatalogue>,
}

/// Sends mails until the process stops.
pub struct MailDispatcher {
    sender: Arc<DueMailSender>,
    /// The mails that are being sent. A relay may think for minutes about one, and the others do not wait for it.
    sending: JoinSet<EndedTry>,
    /// How many of each of [`CLASSES`] these are.
    sending_of: [u32; CLASSES.len()],
    /// When the mails of the last window were claimed that the relay was given, or will be.
    sent: VecDeque<Timestamp>,
    swept_at: Option<Timestamp>,
    planned_at: Option<Timestamp>,
}

/// A mail that is not being sent any more.
struct EndedTry {
    class: usize,
    claimed_at: Timestamp,
    /// Whether the relay was given the mail.
    result: Result<bool, StoreError>,
}

/// Prepares mails and gives them to the relay.
struct DueMailSender {
    store: Store,
    now: TimeSource,
    outbox: MailOutbox,
    settings: DispatcherSettings,
    retry_log: LogThrottle,
    end_log: LogThrottle,
    failure_log: LogThrottle,
}

/// What became of one try.
enum TryOutcome {
    Sent,
    Retry(String),
    Ended(MailState, String),
}

/// A mail with all that its templates show, or why it is of no use any more.
enum PreparedMail {
    Ready(ReadyMail),
    Useless(&'static str),
}

/// What the templates of a mail show.
struct ReadyMail {
    language: BuyerLanguage,
    values: MailValues,
    /// The token that ends the subscription of which it is.
    unsubscribe_token: Option<String>,
}

impl PreparedMail {
    fn ready(language: BuyerLanguage, values: MailValues) -> Self {
        Self::Ready(ReadyMail { language, values, unsubscribe_token: None })
    }
}

impl MailDispatcher {
    #[must_use]
    pub fn new(store: Store, now: TimeSource, outbox: MailOutbox, settings: DispatcherSettings) -> Self {
        let sender = DueMailSender {
            store,
            now,
            outbox,
            settings,
            retry_log: LogThrottle::default(),
            end_log: LogThrottle::default(),
            failure_log: LogThrottle::default(),
        };
        Self {
            sender: Arc::new(sender),
            sending: JoinSet::new(),
            sending_of: [0; CLASSES.len()],
            sent: VecDeque::new(),
            swept_at: None,
            planned_at: None,
        }
    }

    /// Sends mails until `stop` becomes true.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut lock = None;
        while !*stop.borrow() {
            let stopped = async {
                let _ = stop.wait_for(|stop| *stop).await;
                tokio::time::sleep(STOP_GRACE).await;
            };
            let pass = tokio::select! {
                pass = self.run_pass(&mut lock) => pass,
                () = stopped => break,
            };
            let has_more = pass.unwrap_or_else(|error| {
                self.sender.log_failure(&error, (self.sender.now)());
                false
            });
            if has_more {
                continue;
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = self.sender.outbox.changed() => {}
                () = tokio::time::sleep(PASS_EVERY) => {}
            }
        }
        // What is under way then stays leased; it is sent again when the lease ends.
        let ended = async { while self.sending.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(STOP_GRACE, ended).await;
        if let Some(lock) = lock {
            Store::close(&lock).await;
        }
    }

    /// One pass, if it is the turn of this process. True when more mails may be due.
    async fn run_pass(&mut self, lock: &mut Option<Store>) -> Result<bool, StoreError> {
        if self.sender.settings.tenancy.is_cluster() {
            let lock = match lock {
                Some(lock) => lock,
                None => lock.insert(self.sender.store.open_follower().await?),
            };
            if !lock.try_lock_follower(LOCK_NAME).await? {
                // The process that sends says how many wait.
                self.sender.settings.metrics.set_waiting(0, 0);
                return Ok(false);
            }
        }
        let claimed = self.send_due().await?;
        let now = (self.sender.now)();
        if self.planned_at.is_none_or(|planned| now.ms_since(planned) >= PLAN_EVERY_MS) {
            self.plan_reminders(now).await?;
            plan_admin_mails(&self.sender.store, &self.sender.outbox, now).await?;
            self.planned_at = Some(now);
        }
        if self.swept_at.is_none_or(|swept| now.ms_since(swept) >= SWEEP_EVERY_MS) {
            self.swept_at = Some(now);
            mails::delete_old(&self.sender.store, now.plus_ms(-KEEP_MS), SWEEP_MAX).await?;
            mails::delete_old_bounces(&self.sender.store, now).await?;
            mail_subscriptions::delete_old(&self.sender.store, now.plus_ms(-KEEP_SUBSCRIPTIONS_MS)).await?;
            mail_tokens::delete_expired(&self.sender.store, now.plus_ms(-86_400_000), SWEEP_MAX).await?;
        }
        let (waiting, oldest) = mails::find_waiting(&self.sender.store, now, COUNTED_MAX).await?;
        self.sender.settings.metrics.set_waiting(waiting, oldest.map_or(0, |oldest| now.ms_since(oldest)));
        Ok(claimed > 0)
    }

    /// Writes the reminders of all sales that start soon.
    async fn plan_reminders(&self, now: Timestamp) -> Result<(), StoreError> {
        let DispatcherSettings { engine, catalogue, .. } = &self.sender.settings;
        for view in engine.views().list() {
            let starts_at = view.policy.starts_at;
            if starts_at <= now || starts_at.ms_since(now) > REMIND_WITHIN_MS || view.is_over(now) {
                continue;
            }
            let Some(listing) = catalogue.find(&view.id.to_string()) else { continue };
            let product = listing.product.name.clone();
            let sale = MailedSale { sale: view.id, slug: listing.slug.clone(), product };
            while remind_of_start(&self.sender.store, &self.sender.outbox, (&sale, starts_at), now).await?
                >= REMINDERS_MAX as usize
            {}
        }
        Ok(())
    }

    /// Begins to send mails that are due, as many as have a place and are within the rate. Returns how many it has claimed.
    async fn send_due(&mut self) -> Result<usize, StoreError> {
        self.take_ended()?;
        let now = (self.sender.now)();
        let given_up = mails::give_up_expired(&self.sender.store, now).await?;
        self.sender.settings.metrics.count(MailState::GivenUp.as_str(), given_up);
        let mut count = 0;
        for (class, PriorityClass { first, last, .. }) in CLASSES.iter().enumerate() {
            let limit = self.count_allowed(class, now);
            if limit == 0 {
                continue;
            }
            let lease = MailLease { holder: Uuid::new_v4(), until: now.plus_ms(LEASE_MS) };
            let priorities = (first.as_number(), last.as_number());
            let claimed = mails::claim_due(&self.sender.store, lease, priorities, now, limit).await?;
            self.sent.extend(claimed.iter().map(|_| now));
            count += claimed.len();
            for mail in claimed {
                let sender = Arc::clone(&self.sender);
                self.sending_of[class] += 1;
                self.sending.spawn(async move {
                    let result = sender.send_one(lease, &mail).await;
                    // A place is free.
                    sender.outbox.notify();
                    EndedTry { class, claimed_at: now, result }
                });
            }
        }
        Ok(count)
    }

    /// Forgets the mails that are sent. Those that the relay was not given do not count in the rate.
    fn take_ended(&mut self) -> Result<(), StoreError> {
        while let Some(ended) = self.sending.try_join_next() {
            match ended {
                Ok(EndedTry { class, claimed_at, result }) => {
                    self.sending_of[class] -= 1;
                    if !result? && let Some(unused) = self.sent.iter().rposition(|at| *at == claimed_at) {
                        self.sent.remove(unused);
                    }
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        Ok(())
    }

    /// How many mails of a class may be sent at once now.
    fn count_allowed(&mut self, class: usize, now: Timestamp) -> u32 {
        let MailRate { count, window_ms } = self.sender.settings.rate;
        while self.sent.front().is_some_and(|sent| now.ms_since(*sent) >= window_ms) {
            self.sent.pop_front();
        }
        let used = u32::try_from(self.sent.len()).unwrap_or(u32::MAX);
        let (more_urgent, others) = self.sending_of.split_at(class);
        let others: u32 = others.iter().sum();
        let sending = others + more_urgent.iter().sum::<u32>();
        let places = CLASSES[class].places.saturating_sub(others);
        count.saturating_sub(used).min(places).min(CONNECTIONS_MAX.saturating_sub(sending))
    }
}

impl DueMailSender {
    /// Sends a mail and writes what became of it. While the tables do not answer it is written again and again: otherwise the mail would
    /// wait for the end of its lease, and might be sent twice. Returns whether the relay was given the mail.
    async fn send_one(&self, lease: MailLease, mail: &MailRow) -> Result<bool, StoreError> {
        let (outcome, is_given) = match self.write_mail(mail).await {
            Ok(Ok(outgoing)) => (self.give_to_relay(&outgoing).await, true),
            Ok(Err(outcome)) => (outcome, false),
            Err(error) => {
                self.log_failure(&error, (self.now)());
                (TryOutcome::Retry(error.to_string()), false)
            }
        };
        let now = (self.now)();
        let wait_ms = RETRY_AFTER_MS.get(mail.tries.max(1) as usize - 1).copied();
        let (state, reason) = match outcome {
            TryOutcome::Sent => (MailState::Sent, None),
            TryOutcome::Retry(reason) if wait_ms.is_some() => (MailState::Waiting, Some(reason)),
            TryOutcome::Retry(reason) => (MailState::Failed, Some(reason)),
            TryOutcome::Ended(state, reason) => (state, Some(reason)),
        };
        let (wait_ms, shown) = (wait_ms.unwrap_or_default(), reason.as_deref().unwrap_or_default());
        self.settings.metrics.count(if state == MailState::Waiting { "retried" } else { state.as_str() }, 1);
        while let Err(error) =
            self.write_outcome(lease, mail, (state, reason.as_deref()), (wait_ms, now)).await
        {
            if (self.now)() >= lease.until {
                return Err(error);
            }
            self.settings.metrics.count("unrecorded", 1);
            self.log_failure(&error, (self.now)());
            tokio::time::sleep(PASS_EVERY).await;
        }
        if state != MailState::Waiting {
            self.log_end(mail, state, shown, now);
        } else if is_given {
            self.log_retry(mail, shown, wait_ms, now);
        }
        Ok(is_given)
    }

    /// Writes what became of a mail at `now`. One that waits is tried again in `wait_ms`.
    async fn write_outcome(
        &self,
        lease: MailLease,
        mail: &MailRow,
        (state, reason): (MailState, Option<&str>),
        (wait_ms, now): (i64, Timestamp),
    ) -> Result<(), StoreError> {
        let shown = reason.unwrap_or_default();
        if state == MailState::Waiting {
            mails::retry(&self.store, lease, mail.id, now.plus_ms(wait_ms), shown).await?;
            return Ok(());
        }
        let mut writing = self.store.begin().await?;
        mails::finish(&mut writing, lease, mail.id, state, reason, now).await?;
        if state == MailState::Sent
            && let Some(MailContent::UnitReturned { subscription, .. }) =
                MailContent::from_json(&mail.content)
        {
            mail_subscriptions::end_served(&mut writing, subscription, mail.id).await?;
        }
        if state == MailState::Bounced {
            let until = now.plus_ms(BOUNCE_MS);
            mails::remember_bounce(&mut writing, &mail.recipient, shown, now, until).await?;
        }
        writing.commit().await
    }

    /// The mail as the relay gets it, or what becomes of it without the relay.
    async fn write_mail(&self, mail: &MailRow) -> Result<Result<OutgoingMail, TryOutcome>, StoreError> {
        let now = (self.now)();
        if let Some(reason) = mails::find_bounce(&self.store, &mail.recipient, now).await? {
            return Ok(Err(TryOutcome::Ended(MailState::Suppressed, reason)));
        }
        let Some(content) = MailContent::from_json(&mail.content) else {
            return Ok(Err(TryOutcome::Retry("this version does not know the kind of mail".to_owned())));
        };
        if self.is_switched_off(content.kind()).await? {
            let reason = "the merchant has switched off this kind of mail".to_owned();
            return Ok(Err(TryOutcome::Ended(MailState::GivenUp, reason)));
        }
        let ReadyMail { language, values, unsubscribe_token } = match self.prepare(&content, mail).await? {
            PreparedMail::Ready(ready) => ready,
            PreparedMail::Useless(reason) => {
                return Ok(Err(TryOutcome::Ended(MailState::GivenUp, reason.to_owned())));
            }
        };
        let settings = &self.settings;
        let rendered = match settings.templates.render(content.kind(), language, &settings.shop, &values) {
            Ok(rendered) => rendered,
            Err(error) => return Ok(Err(TryOutcome::Ended(MailState::Failed, error.to_string()))),
        };
        Ok(Ok(OutgoingMail {
            id: mail.id,
            recipient: mail.recipient.clone(),
            content: rendered,
            date: now,
            unsubscribe_url: unsubscribe_token
                .map(|token| settings.public_url.join(&format!("{UNSUBSCRIBE_PATH}?token={token}"))),
        }))
    }

    async fn give_to_relay(&self, mail: &OutgoingMail) -> TryOutcome {
        match self.settings.relay.send(mail).await {
            Ok(()) => TryOutcome::Sent,
            Err(SendFailure::Refused(reason)) => TryOutcome::Ended(MailState::Bounced, reason),
            Err(SendFailure::Delayed(reason) | SendFailure::Unauthorized(reason)) => {
                TryOutcome::Retry(reason)
            }
            Err(SendFailure::Impossible(reason)) => TryOutcome::Ended(MailState::Failed, reason),
        }
    }

    async fn is_switched_off(&self, kind: MailKind) -> Result<bool, StoreError> {
        if !kind.has_switch() {
            return Ok(false);
        }
        let off = mail_switches::list_off(&self.store).await?;
        Ok(off.iter().any(|off| off == kind.as_str()))
    }

    /// Looks up what a mail shows now.
    async fn prepare(&self, content: &MailContent, mail: &MailRow) -> Result<PreparedMail, StoreError> {
        match content {
            MailContent::ConfirmAddress { token } => {
                self.prepare_link(mail, TokenPurpose::ConfirmAddress, *token, "/confirm-address").await
            }
            MailContent::ResetPassword { token } => {
                self.prepare_link(mail, TokenPurpose::ResetPassword, *token, "/reset-password").await
            }
            MailContent::GuestCode { token } => {
                let code = self.outbox.tokens.code(*token);
                let (first, last) = code.split_at(4);
                let code = MailValue::from(format!("{first} {last}"));
                let values = BTreeMap::from([("code", code), ("minutes", MailValue::from(TOKEN_MINUTES))]);
                Ok(PreparedMail::ready(BuyerLanguage::from_stored(&mail.language), values))
            }
            MailContent::OrderConfirmed { order } => {
                let language = self.find_language(mail).await?;
                Ok(PreparedMail::ready(language, self.show_order(order, language)))
            }
            MailContent::OrderRefunded { refund } => {
                let language = self.find_language(mail).await?;
                let values = BTreeMap::from([
                    ("product", MailValue::from(refund.product.as_str())),
                    ("amount", MailValue::from(format_money(refund.amount, language))),
                    ("order", MailValue::from(refund.order.to_string())),
                    ("link", self.link_to(&order_path(refund.order, refund.is_guest))),
                ]);
                Ok(PreparedMail::ready(language, values))
            }
            MailContent::YourTurn { sale, buyer, until } => {
                let Some(until) = self.find_turn(sale.sale, *buyer, *until).await else {
                    return Ok(PreparedMail::Useless("the turn was used or left, or is over"));
                };
                let mut values = self.show_sale(sale);
                values.insert("until", MailValue::from(format_moment(until)));
                Ok(PreparedMail::ready(self.find_language(mail).await?, values))
            }
            MailContent::SaleReminder { sale, starts_at, subscription } => {
                let starts_at = MailValue::from(format_moment(*starts_at));
                self.prepare_reminder(mail, sale, *subscription, Some(("starts_at", starts_at))).await
            }
            MailContent::UnitReturned { sale, subscription } => {
                self.prepare_reminder(mail, sale, *subscription, None).await
            }
            MailContent::EndpointDisabled { endpoint, address, is_gone } => {
                let values = BTreeMap::from([
                    ("endpoint", MailValue::from(address.as_str())),
                    ("is_gone", MailValue::from(*is_gone)),
                    ("link", self.link_to(&format!("/admin/webhooks/{endpoint}"))),
                ]);
                Ok(PreparedMail::ready(self.find_language(mail).await?, values))
            }
            MailContent::PaymentStuck { payment, order, state, count } => {
                let values = BTreeMap::from([
                    ("payment", MailValue::from(payment.to_string())),
                    ("order", MailValue::from(order.to_string())),
                    ("state", MailValue::from(state.as_str())),
                    ("count", MailValue::from(*count)),
                    ("link", self.link_to(&format!("/admin/orders?q={order}"))),
                ]);
                Ok(PreparedMail::ready(self.find_language(mail).await?, values))
            }
            MailContent::TurnMissed { sale } => {
                Ok(PreparedMail::ready(self.find_language(mail).await?, self.show_sale(sale)))
            }
        }
    }

    /// Until when a buyer may buy now; `None` when it is not the buyer's turn. While the engine does not answer, it is `known`: a mail that
    /// comes too late is better than none.
    async fn find_turn(&self, sale: SaleId, buyer: BuyerId, known: Timestamp) -> Option<Timestamp> {
        let engine = &self.settings.engine;
        match engine.buyer(sale, buyer).await {
            Ok(view) => match view.place {
                Some(LinePosition::Admitted { until, .. }) => Some(until).filter(|end| *end > engine.now()),
                Some(LinePosition::Waiting { .. }) | None => None,
            },
            Err(EngineError::NoSuchSale) => None,
            Err(_) => Some(known),
        }
    }

    /// A mail to a subscriber, in the language of the subscription.
    async fn prepare_reminder(
        &self,
        mail: &MailRow,
        sale: &MailedSale,
        subscription: Uuid,
        more: Option<(&'static str, MailValue)>,
    ) -> Result<PreparedMail, StoreError> {
        let token = self.outbox.tokens.unsubscribe_token(subscription);
        let digest = self.outbox.tokens.digest_link(&token).unwrap_or_default();
        if !mail_subscriptions::insert_link(&self.store, subscription, &digest).await? {
            return Ok(PreparedMail::Useless("the subscription has ended"));
        }
        let url = self.settings.public_url.join(&format!("/unsubscribe#token={token}"));
        let mut values = self.show_sale(sale);
        values.insert("unsubscribe_url", MailValue::from(url));
        values.extend(more);
        let language = BuyerLanguage::from_stored(&mail.language);
        Ok(PreparedMail::Ready(ReadyMail { language, values, unsubscribe_token: Some(token) }))
    }

    /// The language of the account with the address, or that of the mail where there is none.
    async fn find_language(&self, mail: &MailRow) -> Result<BuyerLanguage, StoreError> {
        let user = accounts::find_by_email(&self.store, &mail.recipient).await?;
        let code = user.map_or_else(|| mail.language.clone(), |user| user.language);
        Ok(BuyerLanguage::from_stored(&code))
    }

    fn show_order(&self, order: &MailedOrder, language: BuyerLanguage) -> MailValues {
        BTreeMap::from([
            ("product", MailValue::from(order.product.as_str())),
            ("quantity", MailValue::from(order.quantity)),
            ("unit_price", MailValue::from(format_money(order.unit_price, language))),
            ("total", MailValue::from(format_money(order.total, language))),
            ("order", MailValue::from(order.order.to_string())),
            ("link", self.link_to(&order_path(order.order, order.is_guest))),
        ])
    }

    fn link_to(&self, path: &str) -> MailValue {
        MailValue::from(self.settings.public_url.join(path))
    }

    fn show_sale(&self, sale: &MailedSale) -> MailValues {
        BTreeMap::from([
            ("product", MailValue::from(sale.product.as_str())),
            ("link", MailValue::from(self.settings.public_url.join(&format!("/s/{}", sale.slug)))),
        ])
    }

    /// A mail with a link for the account of its address. A token is behind the `#`, which browsers send to no server.
    async fn prepare_link(
        &self,
        mail: &MailRow,
        purpose: TokenPurpose,
        token: Uuid,
        path: &str,
    ) -> Result<PreparedMail, StoreError> {
        let Some(user) = accounts::find_by_email(&self.store, &mail.recipient).await? else {
            return Ok(PreparedMail::Useless("no account has the address"));
        };
        if purpose == TokenPurpose::ConfirmAddress
            && accounts::is_email_confirmed(&self.store, user.id).await?
        {
            return Ok(PreparedMail::Useless("the address is confirmed"));
        }
        let token = self.outbox.tokens.link_token(purpose, token);
        let link = self.settings.public_url.join(&format!("{path}#token={token}"));
        let values = BTreeMap::from([
            ("username", MailValue::from(user.username)),
            ("link", MailValue::from(link)),
            ("minutes", MailValue::from(TOKEN_MINUTES)),
        ]);
        Ok(PreparedMail::ready(BuyerLanguage::from_stored(&user.language), values))
    }

    fn log_failure(&self, error: &StoreError, now: Timestamp) {
        if self.failure_log.admit(now) {
            tracing::error!(
                error = describe_error(error),
                "the mails could not be read or written; retrying every second; check the database"
            );
        }
    }

    fn log_retry(&self, mail: &MailRow, reason: &str, wait_ms: i64, now: Timestamp) {
        if self.retry_log.admit(now) {
            tracing::warn!(
                mail = %mail.id,
                kind = mail.kind,
                tries = mail.tries,
                wait_s = wait_ms / 1_000,
                reason = hide_address(reason, &mail.recipient),
                "the mail relay did not take a mail; it is tried again; check the relay when this repeats"
            );
        }
    }

    fn log_end(&self, mail: &MailRow, state: MailState, reason: &str, now: Timestamp) {
        if matches!(state, MailState::Failed | MailState::Bounced) && self.end_log.admit(now) {
            tracing::warn!(
                mail = %mail.id,
                kind = mail.kind,
                state = state.as_str(),
                tries = mail.tries,
                reason = hide_address(reason, &mail.recipient),
                "a mail was not delivered; it stays in the list of mails, where an admin can send it again"
            );
        }
    }
}

/// Where the buyer sees an order. A guest finds it by its id and the address.
fn order_path(order: OrderId, is_guest: bool) -> String {
    if is_guest { "/orders/find".to_owned() } else { format!("/orders/{order}") }
}

/// An amount with its currency, with the decimal sign of the language.
fn format_money(money: Money, language: BuyerLanguage) -> String {
    let amount = format_decimal(money);
    let amount = match language {
        BuyerLanguage::German => amount.replace('.', ","),
        BuyerLanguage::English | BuyerLanguage::Arabic => amount,
    };
    format!("{amount} {}", money.currency)
}

/// A moment to the minute. The shop does not know where its buyers are.
fn format_moment(at: Timestamp) -> String {
    let at =
        jiff::Timestamp::from_millisecond(at.0.clamp(0, Timestamp::MAX.0)).unwrap_or(jiff::Timestamp::MAX);
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A relay's reply often repeats the recipient.
fn hide_address(reason: &str, recipient: &str) -> String {
    reason.to_lowercase().replace(&recipient.to_lowercase(), "…")
}

/// Lets one log line of a kind through in a while, so that an outage of the relay does not fill the log.
#[derive(Default)]
struct LogThrottle(AtomicI64);

impl LogThrottle {
    fn admit(&self, now: Timestamp) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        let is_due = now.0.saturating_sub(last) >= LOG_EVERY_MS;
        if is_due {
            self.0.store(now.0, Ordering::Relaxed);
        }
        is_due
    }
}
