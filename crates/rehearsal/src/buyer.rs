//! One simulated buyer, from opening the page to the end: what a person (or a bot) does next, given the shop's last reply.
//! It writes down every answer that is a promise, and never judges it.

mod dialect_purchase;
mod line_watch;
mod requests;

mod replies;

use crate::context::{BuyerOutcome, RunContext, WatchMode};
use crate::crowd::{CrowdMember, PaymentBehaviour};
use crate::estimates::{BuyerWait, WaitOutcome};
use crate::metrics::RequestKind;
use crate::observations::{BuyerAction, Code, LoggedReply, OrderPhase, ReplyBody, RunInstant};
use line_watch::{FEED_INTERVAL_S, LineWatch};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sale::OrderId;
use std::sync::Arc;
use std::time::Duration;

/// Requests that a hammering bot sends without waiting, before it behaves like the others: far above what limits allow.
const HAMMER_REQUESTS: u32 = 50;
/// A person in line polls the place at most this often, and at least that often.
const POLL_INTERVAL_S: (f64, f64) = (1.0, 15.0);
/// Who pays late comes back so long after the end of the hold.
const LATE_BY: Duration = Duration::from_millis(500);
/// After a refusal that may pass and does not say when, a person tries again after about this long.
const RETRY_AFTER_S: f64 = 2.0;

/// Plays one person from opening the page to the end.
pub async fn run_buyer(context: Arc<RunContext>, person: CrowdMember) {
    // The button can be pressed while the page still loads.
    let page = SimulatedBuyer::new(Arc::clone(&context), person);
    // Boxed, as every request below: a buyer who only waits, and most do most of the time, needs no memory for one.
    let ((), outcome) = tokio::join!(
        Box::pin(page.open_page()),
        SimulatedBuyer::new(Arc::clone(&context), person).press_button()
    );
    context.outcomes.record_end(outcome);
}

struct SimulatedBuyer {
    context: Arc<RunContext>,
    member: CrowdMember,
    rng: SmallRng,
    /// Waits no longer than this.
    deadline: RunInstant,
    /// Keys used so far.
    keys: u64,
    hammers_left: u32,
    /// The wait in line, and the estimate of it that was given first.
    wait: BuyerWait,
}

/// The result of polling the place.
enum PlaceCheck {
    /// Still waiting.
    Waiting {
        position: u32,
        estimate_s: Option<u64>,
    },
    Admitted,
    /// No place any more.
    NotInLine,
    SoldOut,
    /// The sale is over.
    Over,
    NoReply,
}

impl SimulatedBuyer {
    fn new(context: Arc<RunContext>, person: CrowdMember) -> Self {
        let hammers_left = if person.habits.hammers { HAMMER_REQUESTS } else { 0 };
        let rng = SmallRng::seed_from_u64(person.seed);
        Self {
            context,
            member: person,
            rng,
            deadline: RunInstant(u64::MAX),
            keys: 0,
            hammers_left,
            wait: BuyerWait::NotBegun,
        }
    }

    /// A moment counted from the start of the sale.
    fn instant_from_start(&self, from_start_us: i64) -> RunInstant {
        RunInstant(self.context.start.0.saturating_add_signed(from_start_us))
    }

    async fn open_page(&self) {
        let opens = self.instant_from_start(self.member.opens_us);
        match &self.context.dialect {
            Some(dialect) => self.fetch_sale(&dialect.page_path(), opens).await,
            None => {
                tokio::join!(self.fetch_sale(&self.context.sale.path, opens), self.fetch_place(opens));
            }
        }
    }

    async fn press_button(mut self) -> BuyerOutcome {
        let presses = self.instant_from_start(self.member.presses_us);
        if !self.context.wait_until(presses).await {
            return BuyerOutcome::Stopped;
        }
        self.context.outcomes.record_arrival();
        self.context.metrics.record_arrival(presses);
        self.deadline = presses.plus(self.context.give_up_after);
        let outcome = match self.context.dialect.as_ref().map(|sale| sale.dialect) {
            Some(dialect) => Box::pin(self.buy_in_dialect(dialect, presses)).await,
            None => self.buy_units(presses).await,
        };
        self.end_wait(WaitOutcome::BrokenOff);
        match outcome {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    /// The whole way to a unit, or to knowing that there is none. `Err` is an early end.
    async fn buy_units(&mut self, presses: RunInstant) -> Result<BuyerOutcome, BuyerOutcome> {
        let mut due = presses;
        let mut units = self.member.units;
        let mut key = self.next_key();
        loop {
            if self.context.sale.admissions_per_s.is_some() {
                due = self.wait_in_line(due).await?;
            }
            let LoggedReply { body, retry_after_s, .. } = self.place_order(units, key, due).await?;
            due = match body {
                ReplyBody::Order { status: OrderPhase::Confirmed, .. } => return Ok(BuyerOutcome::Bought),
                ReplyBody::Order { order, status: OrderPhase::Pending, .. } => {
                    return self.finish_order(order).await;
                }
                ReplyBody::Refused(Code::AllHeld | Code::FewerLeft) if units > 1 => {
                    // Fewer units than wanted are better than none.
                    (units, key) = (1, self.next_key());
                    self.context.clock.now()
                }
                ReplyBody::Refused(Code::AllHeld) => {
                    let due = self.plan_retry(retry_after_s)?;
                    self.wait_until(due).await?
                }
                ReplyBody::Refused(Code::NotAdmitted | Code::NotInLine | Code::Paused) => {
                    self.wait_about(RETRY_AFTER_S).await?
                }
                ReplyBody::Refused(Code::NotStarted) => self.wait_about(0.2).await?,
                body => return Err(final_outcome(body)),
            };
        }
    }

    /// Joins, and waits for the turn. Returns when to order.
    async fn wait_in_line(&mut self, mut due: RunInstant) -> Result<RunInstant, BuyerOutcome> {
        'join: loop {
            let (mut watch, mut wait_s) = match self.join_line(due).await? {
                ReplyBody::Place { position: 0, .. } => {
                    self.end_wait(WaitOutcome::Admitted);
                    return self.wait_about(0.7).await;
                }
                ReplyBody::Place { ticket, position, estimate_s } => {
                    (LineWatch::new(ticket, position, estimate_s), self.note_place(position, estimate_s))
                }
                ReplyBody::Refused(Code::NotStarted) => {
                    due = self.wait_about(0.5).await?;
                    continue;
                }
                ReplyBody::Refused(Code::NoLine) => return Ok(due),
                body => return Err(final_outcome(body)),
            };
            loop {
                let leaves = self.member.habits.leaves;
                due = self.wait_about(if leaves { wait_s } else { self.watch_interval_s(wait_s) }).await?;
                if leaves {
                    self.leave_line(due).await?;
                    return Err(BuyerOutcome::GaveBack);
                }
                match Box::pin(self.watch_place(&mut watch, due)).await {
                    PlaceCheck::Admitted => {
                        self.end_wait(WaitOutcome::Admitted);
                        return self.wait_about(0.7).await;
                    }
                    PlaceCheck::SoldOut => {
                        self.end_wait(WaitOutcome::NoUnitLeft);
                        return Err(BuyerOutcome::SoldOut);
                    }
                    PlaceCheck::Over => {
                        self.end_wait(WaitOutcome::NoUnitLeft);
                        return Err(BuyerOutcome::Refused);
                    }
                    PlaceCheck::NotInLine => {
                        self.end_wait(WaitOutcome::BrokenOff);
                        continue 'join;
                    }
                    PlaceCheck::Waiting { position, estimate_s } => {
                        wait_s = self.note_place(position, estimate_s);
                    }
                    PlaceCheck::NoReply => {}
                }
            }
        }
    }

    /// Notes a place that was shown, with its estimate; returns the seconds until the next poll.
    fn note_place(&mut self, position: u32, estimate_s: Option<u64>) -> f64 {
        let now = self.context.clock.now();
        let estimate_s = estimate_s.map(|estimate_s| estimate_s as f64);
        if now >= self.context.start {
            self.wait.note_place(now, estimate_s);
        }
        Self::poll_interval_s(estimate_s.unwrap_or_else(|| self.expect_wait_s(position)))
    }

    fn end_wait(&mut self, outcome: WaitOutcome) {
        self.context.estimates.record_end(&mut self.wait, self.context.clock.now(), outcome);
    }

    /// Seconds until the turn of a buyer at this position, by the sale's pace; and until the start, if that is to come.
    fn expect_wait_s(&self, position: u32) -> f64 {
        let pace = self.context.sale.admissions_per_s.unwrap_or(1);
        let until_start_us = self.context.start.0.saturating_sub(self.context.clock.now().0);
        f64::from(position) / f64::from(pace) + until_start_us as f64 / 1e6
    }

    /// A buyer with a long wait polls seldom.
    fn poll_interval_s(estimate_s: f64) -> f64 {
        (estimate_s / 3.0).clamp(POLL_INTERVAL_S.0, POLL_INTERVAL_S.1)
    }

    /// Seconds from one look at the place to the next; of a buyer who is sent the place, none.
    fn watch_interval_s(&self, poll_interval_s: f64) -> f64 {
        match self.context.watch {
            WatchMode::Poll => poll_interval_s,
            WatchMode::Feed => FEED_INTERVAL_S,
            WatchMode::Socket => 0.0,
        }
    }

    async fn join_line(&mut self, due: RunInstant) -> Result<ReplyBody, BuyerOutcome> {
        let sent = self.context.clock.now();
        self.context.with_account(self.member.account, |account| account.request_place(sent));
        let request = self.log_request(BuyerAction::Join);
        let reply = if self.member.habits.double_clicks || self.member.habits.two_tabs {
            let other = self.log_request(BuyerAction::Join);
            pick_better(self.send_both([request, other], due).await)
        } else {
            self.send_until_settled(request, due).await
        };
        reply.map(|reply| reply.body).ok_or_else(|| self.unsettled_outcome(request))
    }

    async fn leave_line(&mut self, due: RunInstant) -> Result<(), BuyerOutcome> {
        let request = self.log_request(BuyerAction::Leave);
        let reply =
            self.send_until_settled(request, due).await.ok_or_else(|| self.unsettled_outcome(request))?;
        if matches!(reply.body, ReplyBody::NoContent | ReplyBody::Refused(_)) {
            self.end_place(reply.span.received);
        }
        Ok(())
    }

    async fn place_order(
        &mut self,
        units: u32,
        key: u64,
        due: RunInstant,
    ) -> Result<LoggedReply, BuyerOutcome> {
        let request = self.log_request(BuyerAction::Order { units, key });
        let habits = self.member.habits;
        let reply = if habits.two_tabs {
            // The other tab orders too, with a key of its own; at most one of them can have the last unit of the limit.
            let other = self.next_key();
            let other = self.log_request(BuyerAction::Order { units, key: other });
            let replies = self.send_both([request, other], due).await;
            if let [Some(one), Some(two)] = replies
                && is_accepted(&one)
                && is_accepted(&two)
            {
                self.cancel_extra_order(&two).await;
                Some(one)
            } else {
                pick_better(replies)
            }
        } else if habits.double_clicks {
            pick_better(self.send_both([request, request], due).await)
        } else {
            self.send_until_settled(request, due).await
        };
        let reply = reply.ok_or_else(|| self.unsettled_outcome(request))?;
        if matches!(reply.body, ReplyBody::Order { .. } | ReplyBody::Refused(Code::NotInLine)) {
            self.end_place(reply.span.received);
        }
        Ok(reply)
    }

    /// What one tab bought too much, is given back.
    async fn cancel_extra_order(&mut self, reply: &LoggedReply) {
        if let ReplyBody::Order { order, status: OrderPhase::Pending, .. } = reply.body {
            let request = self.log_request(BuyerAction::Cancel { order });
            let _settled = self.send_until_settled(request, self.context.clock.now()).await;
        }
    }

    /// Pays for a hold, or does what else this person does with it.
    async fn finish_order(&mut self, order: OrderId) -> Result<BuyerOutcome, BuyerOutcome> {
        // No buyer gives up with a unit in the cart.
        let hold = Duration::from_secs(u64::from(self.context.sale.hold_s));
        self.deadline = self.context.clock.now().plus(self.context.give_up_after + hold);
        match self.member.payment {
            PaymentBehaviour::Never => return Ok(BuyerOutcome::HoldExpired),
            PaymentBehaviour::Cancels => {
                let due = self.wait_about(1.5).await?;
                let request = self.log_request(BuyerAction::Cancel { order });
                self.send_until_settled(request, due).await.ok_or_else(|| self.unsettled_outcome(request))?;
                return Ok(BuyerOutcome::GaveBack);
            }
            PaymentBehaviour::Late => {
                let over = self.context.clock.now().plus(hold + LATE_BY);
                if !self.context.wait_until(over).await {
                    return Err(BuyerOutcome::Stopped);
                }
            }
            PaymentBehaviour::Promptly | PaymentBehaviour::Declined => {}
        }
        let due = self.wait_about(1.5).await?;
        let body = self.pay_order(order, due).await?;
        Ok(match body {
            ReplyBody::Order { status: OrderPhase::Confirmed, .. } => BuyerOutcome::Bought,
            ReplyBody::Refused(Code::PaymentDeclined) => BuyerOutcome::Declined,
            ReplyBody::Refused(Code::OrderExpired) => BuyerOutcome::TooLate,
            body => final_outcome(body),
        })
    }

    async fn pay_order(&mut self, order: OrderId, due: RunInstant) -> Result<ReplyBody, BuyerOutcome> {
        let declines = self.member.payment == PaymentBehaviour::Declined;
        let key = self.next_key();
        let request = self.log_request(BuyerAction::Pay { order, key, declines });
        let reply = if self.member.habits.double_clicks {
            pick_better(self.send_both([request, request], due).await)
        } else {
            self.send_until_settled(request, due).await
        };
        reply.map(|reply| reply.body).ok_or_else(|| self.unsettled_outcome(request))
    }

    /// Waits about this long; a hammering bot does not. Returns when the next request is due.
    async fn wait_about(&mut self, about_s: f64) -> Result<RunInstant, BuyerOutcome> {
        let wait_s = self.vary_wait(about_s);
        let due = self.plan_wait(wait_s)?;
        self.wait_until(due).await
    }

    async fn wait_until(&self, due: RunInstant) -> Result<RunInstant, BuyerOutcome> {
        if self.context.wait_until(due).await { Ok(due) } else { Err(BuyerOutcome::Stopped) }
    }

    fn vary_wait(&mut self, about_s: f64) -> f64 {
        about_s * self.rng.random_range(0.7..1.3)
    }

    /// When a wait that begins now is over; for a hammering bot at once.
    fn plan_wait(&mut self, wait_s: f64) -> Result<RunInstant, BuyerOutcome> {
        let now = self.context.clock.now();
        if now >= self.deadline {
            return Err(BuyerOutcome::GaveUp);
        }
        if self.hammers_left > 0 {
            self.hammers_left -= 1;
            return Ok(now);
        }
        Ok(now.plus(Duration::from_secs_f64(wait_s)))
    }

    /// When a refused buyer tries again: exactly when the refusal says, because the instance has spread its buyers already. A buyer who does
    /// not wait that long gives up at once.
    fn plan_retry(&mut self, retry_after_s: Option<u16>) -> Result<RunInstant, BuyerOutcome> {
        let wait_s = retry_after_s.map_or_else(|| self.vary_wait(RETRY_AFTER_S), f64::from);
        let due = self.plan_wait(wait_s)?;
        if due > self.deadline { Err(BuyerOutcome::GaveUp) } else { Ok(due) }
    }

    /// The outcome of a buyer whose request was never settled: the shop may have put it off again and again.
    fn unsettled_outcome(&self, request: requests::RequestIndex) -> BuyerOutcome {
        let was_put_off = self
            .context
            .with_account(self.member.account, |account| !account.requests[request.0].replies.is_empty());
        match (self.context.is_stopped(), was_put_off) {
            (true, _) => BuyerOutcome::Stopped,
            (false, true) => BuyerOutcome::GaveUp,
            (false, false) => BuyerOutcome::NoReply,
        }
    }

    fn end_place(&self, received: RunInstant) {
        self.context.with_account(self.member.account, |account| account.end_place(received));
    }

    fn next_key(&mut self) -> u64 {
        self.keys += 1;
        self.member.seed.wrapping_add(self.keys)
    }

    /// Polls the place in each tab.
    async fn check_place_in_tabs(&self, due: RunInstant) -> PlaceCheck {
        if self.member.habits.two_tabs {
            let (looked, _other) = tokio::join!(self.fetch_place(due), self.fetch_place(due));
            looked
        } else {
            self.fetch_place(due).await
        }
    }

    async fn fetch_sale(&self, path: &str, due: RunInstant) {
        if let Some((reply, span)) = self.get_once(path).await {
            self.context.metrics.record_reply(span.received, replies::read_code(&reply));
        }
        self.context.metrics.record_latency(RequestKind::Look, due, self.context.clock.now());
    }

    async fn fetch_place(&self, due: RunInstant) -> PlaceCheck {
        let answer = self.get_once(&self.context.sale.position_path).await;
        self.context.metrics.record_latency(RequestKind::Look, due, self.context.clock.now());
        let Some((reply, span)) = answer else {
            return PlaceCheck::NoReply;
        };
        let Some(shown) = replies::read_place(&reply) else {
            let code = replies::read_code(&reply);
            // "You have no place" is an answer, not a refusal.
            self.context.metrics.record_reply(span.received, code.filter(|code| *code != Code::NotInLine));
            if code == Some(Code::NotInLine) {
                self.context.with_account(self.member.account, |account| account.record_lost_place(span));
                return PlaceCheck::NotInLine;
            }
            return PlaceCheck::NoReply;
        };
        self.context.metrics.record_reply(span.received, None);
        let place = match shown {
            replies::PlaceReply::InLine(place) => place,
            replies::PlaceReply::Over => return PlaceCheck::Over,
            replies::PlaceReply::Ended => {
                self.context.with_account(self.member.account, |account| account.record_lost_place(span));
                return PlaceCheck::NotInLine;
            }
        };
        self.context.with_account(self.member.account, |account| {
            account.record_place(place.ticket, place.position, span);
            if place.is_sold_out {
                account.sold_out_seen.get_or_insert(span);
            }
        });
        match place {
            replies::ShownPlace { position: 0, .. } => PlaceCheck::Admitted,
            replies::ShownPlace { is_sold_out: true, .. } => PlaceCheck::SoldOut,
            replies::ShownPlace { position, estimate_s, .. } => PlaceCheck::Waiting { position, estimate_s },
        }
    }
}

/// Of two replies, the one that a person would act on.
fn pick_better([one, two]: [Option<LoggedReply>; 2]) -> Option<LoggedReply> {
    match (one, two) {
        (Some(one), Some(two)) if is_accepted(&two) && !is_accepted(&one) => Some(two),
        (one, two) => one.or(two),
    }
}

fn is_accepted(reply: &LoggedReply) -> bool {
    !matches!(
        reply.body,
        ReplyBody::Refused(_) | ReplyBody::Malformed | ReplyBody::Job { is_sold: false, .. }
    )
}

/// The outcome of a buyer who got this reply and cannot continue.
fn final_outcome(body: ReplyBody) -> BuyerOutcome {
    match body {
        ReplyBody::Refused(Code::SoldOut) => BuyerOutcome::SoldOut,
        ReplyBody::Refused(Code::LimitReached) => BuyerOutcome::LimitReached,
        _ => BuyerOutcome::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{InstanceClient, Target};
    use crate::clock::RunClock;
    use crate::context::SaleEndpoints;
    use crate::crowd::BuyerHabits;
    use sale::{AdmissionMode, SaleId};
    use uuid::Uuid;

    /// A buyer who waits for a minute at most.
    fn buyer(habits: BuyerHabits) -> SimulatedBuyer {
        let client = InstanceClient::new(Target::new("http://127.0.0.1:1").unwrap(), 1);
        let sale = SaleEndpoints::new(SaleId(Uuid::nil()), AdmissionMode::Open, 60);
        let clock = RunClock::start();
        let context = RunContext::new((client, sale), (clock, clock.now(), Duration::ZERO), vec![]);
        let payment = PaymentBehaviour::Promptly;
        let member = CrowdMember {
            opens_us: 0,
            presses_us: 0,
            account: 0,
            address: 0,
            units: 1,
            payment,
            habits,
            seed: 7,
        };
        let mut buyer = SimulatedBuyer::new(Arc::new(context), member);
        buyer.deadline = clock.now().plus(Duration::from_secs(60));
        buyer
    }

    /// The shortest and the longest wait that a plan can be.
    fn planned_wait(
        buyer: &mut SimulatedBuyer,
        retry_after_s: Option<u16>,
    ) -> Result<(f64, f64), BuyerOutcome> {
        let before = buyer.context.clock.now();
        let due = buyer.plan_retry(retry_after_s)?;
        let after = buyer.context.clock.now();
        let seconds = |from: RunInstant| due.0.saturating_sub(from.0) as f64 / 1e6;
        Ok((seconds(after), seconds(before)))
    }

    #[test]
    fn a_refused_buyer_retries_exactly_after_retry_after() {
        let mut patient = buyer(BuyerHabits::default());
        let (least_s, most_s) = planned_wait(&mut patient, Some(17)).unwrap();
        assert!(least_s <= 17.0 && most_s >= 17.0, "{least_s} to {most_s}");
        let (_, most_s) = planned_wait(&mut patient, None).unwrap();
        assert!(most_s >= 0.7 * RETRY_AFTER_S, "{most_s}");
    }

    #[test]
    fn a_buyer_whose_patience_ends_before_retry_after_gives_up_and_a_bot_does_not_wait() {
        let retry_after_s = Some(61);
        assert_eq!(
            planned_wait(&mut buyer(BuyerHabits::default()), retry_after_s),
            Err(BuyerOutcome::GaveUp)
        );
        let mut bot = buyer(BuyerHabits { hammers: true, ..BuyerHabits::default() });
        let (least_s, _) = planned_wait(&mut bot, retry_after_s).unwrap();
        assert!(least_s <= 0.0, "{least_s}");
    }

    /// Bytes of a buyer's task: a crowd of 100,000 has to fit beside the instance.
    const TASK_LEN_MAX: usize = 2_048;

    #[test]
    fn a_buyer_who_waits_costs_little_memory() {
        fn task_len<F: Future>(_: impl Fn(Arc<RunContext>, CrowdMember) -> F) -> usize {
            size_of::<F>()
        }
        let len = task_len(run_buyer);
        assert!(len <= TASK_LEN_MAX, "{len} bytes");
    }
}
