//! One buyer's story, from opening the page to the end: what a person (or a bot) does next, given what the shop just said.
//! It writes down every answer that is a promise, and never judges it.

mod ask;

mod words;

use crate::crowd::{Pays, Person};
use crate::meter::Kind;
use crate::scene::{Outcome, Scene};
use crate::told::{Code, Moment, OrderStatus, Reply, Said, What};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sale::OrderId;
use std::sync::Arc;
use std::time::Duration;

/// Requests that a hammering bot sends without waiting, before it behaves like everyone: far above what limits allow.
const HAMMER_REQUESTS: u32 = 50;
/// A person in line looks at the place at most this often, and at least that often.
const LOOK_EVERY_S: (f64, f64) = (1.0, 15.0);
/// Who pays late comes back so long after the end of the hold.
const LATE_BY: Duration = Duration::from_millis(500);
/// A person who was told that all units are in other carts tries again after about this long.
const RETRY_AFTER_S: f64 = 2.0;

/// Plays one person from opening the page to the end.
pub async fn play(scene: Arc<Scene>, person: Person) {
    // The button can be pressed while the page still waits for its figures.
    let page = Buyer::new(Arc::clone(&scene), person);
    // Boxed, as every request below: a buyer who only waits, and most do most of the time, keeps no room for one.
    let ((), outcome) = tokio::join!(Box::pin(page.open()), Buyer::new(Arc::clone(&scene), person).press());
    scene.outcomes.end(outcome);
}

struct Buyer {
    scene: Arc<Scene>,
    person: Person,
    rng: SmallRng,
    /// Waits no longer than this.
    deadline: Moment,
    /// Keys used so far.
    keys: u64,
    hammers_left: u32,
}

/// What a look at the place said.
enum Looked {
    /// Still waiting; the estimate in seconds.
    Waiting(f64),
    Admitted,
    /// No place any more.
    Gone,
    /// Everything is sold.
    SoldOut,
    /// No answer.
    Nothing,
}

impl Buyer {
    fn new(scene: Arc<Scene>, person: Person) -> Self {
        let hammers_left = if person.habits.hammers { HAMMER_REQUESTS } else { 0 };
        let rng = SmallRng::seed_from_u64(person.seed);
        Self { scene, person, rng, deadline: Moment(u64::MAX), keys: 0, hammers_left }
    }

    /// A moment counted from the start of the sale.
    fn moment_of(&self, from_start_us: i64) -> Moment {
        Moment(self.scene.start.0.saturating_add_signed(from_start_us))
    }

    async fn open(&self) {
        let opens = self.moment_of(self.person.opens_us);
        tokio::join!(self.look_at_sale(opens), self.look_at_place(opens));
    }

    async fn press(mut self) -> Outcome {
        let presses = self.moment_of(self.person.presses_us);
        if !self.scene.until(presses).await {
            return Outcome::SentHome;
        }
        self.scene.outcomes.arrive();
        self.scene.meter.arrived(presses);
        self.deadline = presses.plus(self.scene.patience);
        match self.shop(presses).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    /// The whole way to a unit, or to knowing that there is none. `Err` is an early end.
    async fn shop(&mut self, presses: Moment) -> Result<Outcome, Outcome> {
        let mut due = presses;
        let mut units = self.person.units;
        let mut key = self.next_key();
        loop {
            if self.scene.sale.admissions_per_s.is_some() {
                due = self.stand_in_line(due).await?;
            }
            let said = self.order(units, key, due).await?;
            due = match said {
                Said::Order { status: OrderStatus::Confirmed, .. } => return Ok(Outcome::Bought),
                Said::Order { order, status: OrderStatus::Pending, .. } => return self.settle(order).await,
                Said::Refused(Code::AllHeld) if units > 1 => {
                    // Fewer units than wanted are better than none.
                    (units, key) = (1, self.next_key());
                    self.scene.watch.now()
                }
                Said::Refused(Code::AllHeld | Code::NotAdmitted | Code::NotInLine | Code::Paused) => {
                    self.think(RETRY_AFTER_S).await?
                }
                Said::Refused(Code::NotStarted) => self.think(0.2).await?,
                said => return Err(ended(said)),
            };
        }
    }

    /// Joins, and waits for the turn. When it comes, tells when to order.
    async fn stand_in_line(&mut self, mut due: Moment) -> Result<Moment, Outcome> {
        'join: loop {
            let mut wait_s = match self.join(due).await? {
                Said::Place { position: 0, .. } => return self.think(0.7).await,
                Said::Place { position, .. } => Self::next_look_s(self.estimate_s(position)),
                Said::Refused(Code::NotStarted) => {
                    due = self.think(0.5).await?;
                    continue;
                }
                Said::Refused(Code::NoLine) => return Ok(due),
                said => return Err(ended(said)),
            };
            loop {
                due = self.think(wait_s).await?;
                if self.person.habits.leaves {
                    self.leave(due).await?;
                    return Err(Outcome::GaveBack);
                }
                match Box::pin(self.look(due)).await {
                    Looked::Admitted => return self.think(0.7).await,
                    Looked::SoldOut => return Err(Outcome::SoldOut),
                    Looked::Gone => continue 'join,
                    Looked::Waiting(estimate_s) => wait_s = Self::next_look_s(estimate_s),
                    Looked::Nothing => {}
                }
            }
        }
    }

    /// Seconds until the turn of someone at this position, by the sale's pace; and until the start, if that is to come.
    fn estimate_s(&self, position: u32) -> f64 {
        let pace = self.scene.sale.admissions_per_s.unwrap_or(1);
        let until_start_us = self.scene.start.0.saturating_sub(self.scene.watch.now().0);
        f64::from(position) / f64::from(pace) + until_start_us as f64 / 1e6
    }

    /// Whoever has long to wait looks seldom.
    fn next_look_s(estimate_s: f64) -> f64 {
        (estimate_s / 3.0).clamp(LOOK_EVERY_S.0, LOOK_EVERY_S.1)
    }

    async fn join(&mut self, due: Moment) -> Result<Said, Outcome> {
        let sent = self.scene.watch.now();
        self.scene.with_account(self.person.account, |account| account.ask_for_place(sent));
        let asked = self.begin(What::Join);
        let reply = if self.person.habits.double_clicks || self.person.habits.two_tabs {
            let other = self.begin(What::Join);
            better(self.ask_both([asked, other], due).await)
        } else {
            self.ask(asked, due).await
        };
        reply.map(|reply| reply.said).ok_or_else(|| self.unsettled(asked))
    }

    async fn leave(&mut self, due: Moment) -> Result<(), Outcome> {
        let asked = self.begin(What::Leave);
        let reply = self.ask(asked, due).await.ok_or_else(|| self.unsettled(asked))?;
        if matches!(reply.said, Said::Done | Said::Refused(_)) {
            self.place_ends(reply.span.heard);
        }
        Ok(())
    }

    async fn order(&mut self, units: u32, key: u64, due: Moment) -> Result<Said, Outcome> {
        let asked = self.begin(What::Order { units, key });
        let habits = self.person.habits;
        let reply = if habits.two_tabs {
            // The other tab orders too, with a key of its own; at most one of them can have the last unit of the limit.
            let other = self.next_key();
            let other = self.begin(What::Order { units, key: other });
            let replies = self.ask_both([asked, other], due).await;
            if let [Some(one), Some(two)] = replies
                && is_yes(&one)
                && is_yes(&two)
            {
                self.give_back(&two).await;
                Some(one)
            } else {
                better(replies)
            }
        } else if habits.double_clicks {
            better(self.ask_both([asked, asked], due).await)
        } else {
            self.ask(asked, due).await
        };
        let reply = reply.ok_or_else(|| self.unsettled(asked))?;
        if matches!(reply.said, Said::Order { .. } | Said::Refused(Code::NotInLine)) {
            self.place_ends(reply.span.heard);
        }
        Ok(reply.said)
    }

    /// What one tab bought too much, is given back.
    async fn give_back(&mut self, reply: &Reply) {
        if let Said::Order { order, status: OrderStatus::Pending, .. } = reply.said {
            let asked = self.begin(What::Cancel { order });
            let _whatever = self.ask(asked, self.scene.watch.now()).await;
        }
    }

    /// Pays for a hold, or does what else this person does with it.
    async fn settle(&mut self, order: OrderId) -> Result<Outcome, Outcome> {
        // Nobody loses patience with a unit in the cart.
        let hold = Duration::from_secs(u64::from(self.scene.sale.hold_s));
        self.deadline = self.scene.watch.now().plus(self.scene.patience + hold);
        match self.person.pays {
            Pays::Never => return Ok(Outcome::LetGo),
            Pays::Cancels => {
                let due = self.think(1.5).await?;
                let asked = self.begin(What::Cancel { order });
                self.ask(asked, due).await.ok_or_else(|| self.unsettled(asked))?;
                return Ok(Outcome::GaveBack);
            }
            Pays::Late => {
                let over = self.scene.watch.now().plus(hold + LATE_BY);
                if !self.scene.until(over).await {
                    return Err(Outcome::SentHome);
                }
            }
            Pays::Promptly | Pays::Declined => {}
        }
        let due = self.think(1.5).await?;
        let said = self.pay(order, due).await?;
        Ok(match said {
            Said::Order { status: OrderStatus::Confirmed, .. } => Outcome::Bought,
            Said::Refused(Code::PaymentDeclined) => Outcome::Declined,
            Said::Refused(Code::OrderExpired) => Outcome::TooLate,
            said => ended(said),
        })
    }

    async fn pay(&mut self, order: OrderId, due: Moment) -> Result<Said, Outcome> {
        let declines = self.person.pays == Pays::Declined;
        let key = self.next_key();
        let asked = self.begin(What::Pay { order, key, declines });
        let reply = if self.person.habits.double_clicks {
            better(self.ask_both([asked, asked], due).await)
        } else {
            self.ask(asked, due).await
        };
        reply.map(|reply| reply.said).ok_or_else(|| self.unsettled(asked))
    }

    /// Waits about this long; a hammering bot does not. Tells when the next request is due.
    async fn think(&mut self, about_s: f64) -> Result<Moment, Outcome> {
        let now = self.scene.watch.now();
        if now >= self.deadline {
            return Err(Outcome::LostPatience);
        }
        if self.hammers_left > 0 {
            self.hammers_left -= 1;
            return Ok(now);
        }
        let due = now.plus(Duration::from_secs_f64(about_s * self.rng.random_range(0.7..1.3)));
        if self.scene.until(due).await { Ok(due) } else { Err(Outcome::SentHome) }
    }

    /// How it ends for someone whose request was never settled: it may have been put off again and again.
    fn unsettled(&self, asked: ask::AskedAt) -> Outcome {
        let was_put_off = self
            .scene
            .with_account(self.person.account, |account| !account.asked[asked.0].replies.is_empty());
        match (self.scene.is_over(), was_put_off) {
            (true, _) => Outcome::SentHome,
            (false, true) => Outcome::LostPatience,
            (false, false) => Outcome::NoReply,
        }
    }

    fn place_ends(&self, heard: Moment) {
        self.scene.with_account(self.person.account, |account| account.place_ends(heard));
    }

    fn next_key(&mut self) -> u64 {
        self.keys += 1;
        self.person.seed.wrapping_add(self.keys)
    }

    /// A look in each tab.
    async fn look(&self, due: Moment) -> Looked {
        if self.person.habits.two_tabs {
            let (looked, _other) = tokio::join!(self.look_at_place(due), self.look_at_place(due));
            looked
        } else {
            self.look_at_place(due).await
        }
    }

    async fn look_at_sale(&self, due: Moment) {
        if let Some((reply, span)) = self.get_once(&self.scene.sale.path).await {
            self.scene.meter.answered(span.heard, words::code(&reply));
        }
        self.scene.meter.settled(Kind::Look, due, self.scene.watch.now());
    }

    async fn look_at_place(&self, due: Moment) -> Looked {
        let answer = self.get_once(&self.scene.sale.position_path).await;
        self.scene.meter.settled(Kind::Look, due, self.scene.watch.now());
        let Some((reply, span)) = answer else {
            return Looked::Nothing;
        };
        let Some(place) = words::place(&reply) else {
            let code = words::code(&reply);
            // "You have no place" is an answer, not a refusal.
            self.scene.meter.answered(span.heard, code.filter(|code| *code != Code::NotInLine));
            if code == Some(Code::NotInLine) {
                self.scene.with_account(self.person.account, |account| account.place_is_gone(span));
                return Looked::Gone;
            }
            return Looked::Nothing;
        };
        self.scene.meter.answered(span.heard, None);
        self.scene.with_account(self.person.account, |account| {
            account.hear_place(place.ticket, place.position, span);
            if place.is_sold_out {
                account.looked_sold_out.get_or_insert(span);
            }
        });
        match place {
            words::Place { position: 0, .. } => Looked::Admitted,
            words::Place { is_sold_out: true, .. } => Looked::SoldOut,
            words::Place { estimated_wait_s, .. } => Looked::Waiting(estimated_wait_s),
        }
    }
}

/// Of two replies, the one that a person would go by.
fn better([one, two]: [Option<Reply>; 2]) -> Option<Reply> {
    match (one, two) {
        (Some(one), Some(two)) if is_yes(&two) && !is_yes(&one) => Some(two),
        (one, two) => one.or(two),
    }
}

fn is_yes(reply: &Reply) -> bool {
    !matches!(reply.said, Said::Refused(_) | Said::Nonsense)
}

/// How it ends for someone who was told this, and cannot go on.
fn ended(said: Said) -> Outcome {
    match said {
        Said::Refused(Code::SoldOut) => Outcome::SoldOut,
        Said::Refused(Code::LimitReached) => Outcome::LimitReached,
        _ => Outcome::TurnedAway,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a buyer's task: a crowd of 100,000 has to fit beside the instance.
    const TASK_LEN_MAX: usize = 2_048;

    #[test]
    fn a_buyer_who_waits_costs_little_memory() {
        fn task_len<F: Future>(_: impl Fn(Arc<Scene>, Person) -> F) -> usize {
            size_of::<F>()
        }
        let len = task_len(play);
        assert!(len <= TASK_LEN_MAX, "{len} bytes");
    }
}
