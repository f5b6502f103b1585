//! How a buyer buys by the calls of a dialect: at once, or through a line and a hold. In the end everyone reads whether they own a unit,
//! as the dialect's pages do.

use super::{LATE_BY, RETRY_AFTER_S, SimulatedBuyer, final_outcome, pick_better, replies};
use crate::context::BuyerOutcome;
use crate::crowd::PaymentBehaviour;
use crate::dialects::{self, RehearsedDialect, SpotReply};
use crate::estimates::WaitOutcome;
use crate::metrics::RequestKind;
use crate::observations::{BuyerAction, Code, ReplyBody, RunInstant};
use std::time::Duration;

/// A poll of the place of a dialect's line.
enum SpotCheck {
    InLine(u32),
    NotInLine,
    NoReply,
}

impl SimulatedBuyer {
    pub(super) async fn buy_in_dialect(
        &mut self,
        dialect: RehearsedDialect,
        presses: RunInstant,
    ) -> Result<BuyerOutcome, BuyerOutcome> {
        let outcome = if dialect.has_line() {
            self.buy_held_unit(presses).await
        } else {
            self.buy_at_once(presses).await
        };
        if outcome != Err(BuyerOutcome::Stopped) {
            self.read_purchase(dialect).await;
        }
        outcome
    }

    async fn buy_at_once(&mut self, presses: RunInstant) -> Result<BuyerOutcome, BuyerOutcome> {
        let mut due = presses;
        let key = self.next_key();
        loop {
            let body = self.purchase_unit(key, due).await?;
            due = match body {
                body if body.is_owned() => return Ok(self.count_owner()),
                ReplyBody::Job { .. } => return Err(self.explain_failed_job()),
                ReplyBody::Refused(Code::AllHeld | Code::Paused) => self.wait_about(RETRY_AFTER_S).await?,
                ReplyBody::Refused(Code::NotStarted) => self.wait_about(0.2).await?,
                body => return Err(final_outcome(body)),
            };
        }
    }

    async fn buy_held_unit(&mut self, presses: RunInstant) -> Result<BuyerOutcome, BuyerOutcome> {
        let mut due = presses;
        loop {
            due = self.wait_for_hold(due).await?;
            match self.member.payment {
                PaymentBehaviour::Never | PaymentBehaviour::Cancels => return Ok(BuyerOutcome::HoldExpired),
                PaymentBehaviour::Late => {
                    let hold = Duration::from_secs(u64::from(self.context.sale.checkout_s));
                    due = self.context.clock.now().plus(hold + LATE_BY);
                    if !self.context.wait_until(due).await {
                        return Err(BuyerOutcome::Stopped);
                    }
                }
                PaymentBehaviour::Promptly | PaymentBehaviour::Declined => {}
            }
            let key = self.next_key();
            due = match self.purchase_unit(key, due).await? {
                body if body.is_owned() => return Ok(self.count_owner()),
                ReplyBody::Refused(Code::NotInLine | Code::NotAdmitted | Code::OrderExpired) => {
                    if self.member.payment == PaymentBehaviour::Late {
                        return Err(BuyerOutcome::TooLate);
                    }
                    self.end_place(self.context.clock.now());
                    self.wait_about(0.7).await?
                }
                ReplyBody::Refused(Code::AllHeld | Code::Paused) => self.wait_about(RETRY_AFTER_S).await?,
                body => return Err(final_outcome(body)),
            };
        }
    }

    /// Joins, and waits for the hold. Returns when to confirm it.
    async fn wait_for_hold(&mut self, mut due: RunInstant) -> Result<RunInstant, BuyerOutcome> {
        'join: loop {
            let mut wait_s = match self.join_line(due).await? {
                ReplyBody::Spot { position: 0 } => {
                    self.end_wait(WaitOutcome::Admitted);
                    return self.wait_about(0.7).await;
                }
                ReplyBody::Spot { position } => self.note_place(position, None),
                ReplyBody::Refused(Code::NotStarted) => {
                    due = self.wait_about(0.5).await?;
                    continue;
                }
                // Another pair of hands was faster, or a reply was lost.
                body if body.is_owned() => return Err(self.count_owner()),
                body => {
                    self.end_wait(WaitOutcome::NoUnitLeft);
                    return Err(final_outcome(body));
                }
            };
            loop {
                due = self.wait_about(wait_s).await?;
                if self.member.habits.leaves {
                    // The dialect has no call for it: the buyer closes the page.
                    return Err(BuyerOutcome::GaveBack);
                }
                match Box::pin(self.fetch_spot(due)).await {
                    SpotCheck::InLine(0) => {
                        self.end_wait(WaitOutcome::Admitted);
                        return self.wait_about(0.7).await;
                    }
                    SpotCheck::InLine(position) => wait_s = self.note_place(position, None),
                    SpotCheck::NotInLine => continue 'join,
                    SpotCheck::NoReply => {}
                }
            }
        }
    }

    async fn purchase_unit(&mut self, key: u64, due: RunInstant) -> Result<ReplyBody, BuyerOutcome> {
        let request = self.log_request(BuyerAction::Purchase { key });
        let habits = self.member.habits;
        let reply = if habits.two_tabs {
            let other = self.next_key();
            let other = self.log_request(BuyerAction::Purchase { key: other });
            pick_better(self.send_both([request, other], due).await)
        } else if habits.double_clicks {
            pick_better(self.send_both([request, request], due).await)
        } else {
            self.send_until_settled(request, due).await
        };
        let reply = reply.ok_or_else(|| self.unsettled_outcome(request))?;
        if reply.body.is_owned() {
            self.end_place(reply.span.received);
        }
        Ok(reply.body)
    }

    /// Reads what became of the purchases. Where a dialect has jobs, each of them is read.
    async fn read_purchase(&mut self, dialect: RehearsedDialect) {
        let jobs = self.context.with_account(self.member.account, |account| {
            let replies = account.requests.iter().flat_map(|request| &request.replies);
            let jobs = replies.filter_map(|reply| match reply.body {
                ReplyBody::Job { job, .. } => Some(job),
                _ => None,
            });
            let mut jobs: Vec<_> = jobs.collect();
            jobs.sort_unstable();
            jobs.dedup();
            jobs
        });
        if dialect != RehearsedDialect::Turnstile {
            self.send_read(BuyerAction::ReadPurchase { job: None }).await;
        }
        for job in jobs {
            self.send_read(BuyerAction::ReadPurchase { job: Some(job) }).await;
        }
    }

    async fn send_read(&self, what: BuyerAction) {
        let request = self.log_request(what);
        let _settled = self.send_until_settled(request, self.context.clock.now()).await;
    }

    async fn fetch_spot(&self, due: RunInstant) -> SpotCheck {
        let Some(dialect) = &self.context.dialect else { return SpotCheck::NoReply };
        let answer = self.get_once(&dialect.position_path(self.member.account)).await;
        self.context.metrics.record_latency(RequestKind::Look, due, self.context.clock.now());
        let Some((reply, span)) = answer else { return SpotCheck::NoReply };
        self.context.metrics.record_reply(span.received, replies::read_code(&reply));
        match dialects::read_spot(&reply) {
            Some(SpotReply::InLine(position)) => {
                self.context.with_account(self.member.account, |account| account.record_spot(position, span));
                SpotCheck::InLine(position)
            }
            Some(SpotReply::NotInLine) => {
                self.context.with_account(self.member.account, |account| account.record_lost_spot(span));
                SpotCheck::NotInLine
            }
            None => SpotCheck::NoReply,
        }
    }

    /// The first of those who act for one account has bought; the others find that there is nothing more for them.
    fn count_owner(&self) -> BuyerOutcome {
        let is_first = self
            .context
            .with_account(self.member.account, |account| !std::mem::replace(&mut account.is_counted, true));
        if is_first { BuyerOutcome::Bought } else { BuyerOutcome::LimitReached }
    }

    fn explain_failed_job(&self) -> BuyerOutcome {
        let owns_unit = self.context.with_account(self.member.account, |account| account.owns_unit());
        if owns_unit { BuyerOutcome::LimitReached } else { BuyerOutcome::SoldOut }
    }
}
