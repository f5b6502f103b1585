//! The built-in provider for trying things out: no money moves, but everything else is as with a real one. It stands for
//! another company, so it keeps durable books of its own ([`Books`]) and never looks into ours.

use super::{Authorisation, Charge, IntentId, Provider, Standing, Told, Unanswered};
use futures::future::BoxFuture;
use sale::Money;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How long `sandbox:slow` takes (api.md).
pub const SLOW: Duration = Duration::from_secs(3);

/// What the sandbox does with a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// Approves.
    Approve,
    /// Declines.
    Decline,
    /// Approves after [`SLOW`].
    Slow,
    /// Charges, but the reply is lost.
    Lost,
}

/// Every method with its name.
const METHODS: [(&str, Method); 4] = [
    ("sandbox:approve", Method::Approve),
    ("sandbox:decline", Method::Decline),
    ("sandbox:slow", Method::Slow),
    ("sandbox:lost", Method::Lost),
];

/// The names of the methods that the sandbox knows.
pub fn methods() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|(name, _)| *name)
}

/// One line of the sandbox's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub intent: IntentId,
    /// How much; `None` for an intent that was closed before it was ever seen.
    pub amount: Option<Money>,
    /// How it stands.
    pub standing: Standing,
}

/// The sandbox's books cannot be read or written at the moment.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox's books are closed")]
pub struct BooksClosed(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where the sandbox keeps its books. What a call has written is durable when it returns.
pub trait Books: Send + Sync + 'static {
    /// The line of an intent.
    fn read(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<Line>, BooksClosed>>;

    /// Adds a line; `false` when the intent has one already, which stays as it is.
    fn add<'a>(&'a self, line: &'a Line) -> BoxFuture<'a, Result<bool, BooksClosed>>;

    /// Moves an intent on; `false` when it does not stand at `from`.
    fn change(
        &self,
        intent: IntentId,
        from: Standing,
        to: Standing,
    ) -> BoxFuture<'_, Result<bool, BooksClosed>>;
}

/// See the module.
pub struct Sandbox {
    books: Arc<dyn Books>,
    slow: Duration,
}

impl Sandbox {
    /// A sandbox with these books. `slow` is how long `sandbox:slow` takes: [`SLOW`], or less in a test.
    #[must_use]
    pub fn new(books: Arc<dyn Books>, slow: Duration) -> Self {
        Self { books, slow }
    }

    async fn charge(&self, charge: &Charge) -> Result<Authorisation, BooksClosed> {
        let Some(method) = method(&charge.method) else {
            return Ok(declined("the sandbox does not know this payment method"));
        };
        if let Some(line) = self.books.read(charge.intent).await? {
            return Ok(repeated(&line, charge));
        }
        if method == Method::Slow {
            tokio::time::sleep(self.slow).await;
        }
        let standing = if method == Method::Decline { Standing::Declined } else { Standing::Authorised };
        let line = Line { intent: charge.intent, amount: Some(charge.amount), standing };
        if !self.books.add(&line).await? {
            // Another call with the same intent was quicker, or the intent was closed meanwhile.
            let known = self.books.read(charge.intent).await?;
            return Ok(known.map_or(Authorisation::Unknown, |line| repeated(&line, charge)));
        }
        Ok(match method {
            Method::Lost => Authorisation::Unknown,
            Method::Approve | Method::Slow | Method::Decline => repeated(&line, charge),
        })
    }

    /// Moves an intent from one standing to the next, and tells how it stands then.
    async fn step(&self, intent: IntentId, from: Standing, to: Standing) -> Told {
        let moved = async {
            if self.books.change(intent, from, to).await? {
                return Ok(Some(to));
            }
            Ok(self.books.read(intent).await?.map(|line| line.standing))
        };
        moved.await.map_err(unanswered)?.ok_or(Unanswered)
    }
}

impl Provider for Sandbox {
    fn accepts(&self, name: &str) -> bool {
        method(name).is_some()
    }

    fn authorise<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Authorisation> {
        Box::pin(async move {
            self.charge(charge).await.unwrap_or_else(|closed| {
                unanswered(closed);
                Authorisation::Unknown
            })
        })
    }

    fn capture(&self, intent: IntentId) -> BoxFuture<'_, Told> {
        Box::pin(self.step(intent, Standing::Authorised, Standing::Captured))
    }

    fn void(&self, intent: IntentId) -> BoxFuture<'_, Told> {
        Box::pin(async move {
            let closed = Line { intent, amount: None, standing: Standing::Voided };
            if self.books.add(&closed).await.map_err(unanswered)? {
                return Ok(Standing::Voided);
            }
            self.step(intent, Standing::Authorised, Standing::Voided).await
        })
    }

    fn refund(&self, intent: IntentId) -> BoxFuture<'_, Told> {
        Box::pin(self.step(intent, Standing::Captured, Standing::Refunded))
    }

    fn find(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<Standing>, Unanswered>> {
        Box::pin(async move {
            let line = self.books.read(intent).await.map_err(unanswered)?;
            Ok(line.map(|line| line.standing))
        })
    }
}

fn method(name: &str) -> Option<Method> {
    METHODS.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
}

/// The answer to a charge that the books know already. A retry after a lost reply comes here, and gets it.
fn repeated(line: &Line, charge: &Charge) -> Authorisation {
    match line.standing {
        Standing::Authorised | Standing::Captured if line.amount == Some(charge.amount) => {
            Authorisation::Authorised
        }
        Standing::Authorised | Standing::Captured => declined("this payment was begun with another amount"),
        Standing::Declined => declined("the bank declined the payment"),
        Standing::Voided | Standing::Refunded => declined("this payment is over"),
    }
}

fn declined(reason: &'static str) -> Authorisation {
    Authorisation::Declined { reason: Cow::Borrowed(reason) }
}

fn unanswered(closed: BooksClosed) -> Unanswered {
    tracing::error!(error = &closed as &dyn std::error::Error, "the sandbox provider cannot answer");
    Unanswered
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::Mutex;
    use uuid::Uuid;

    #[derive(Default)]
    struct Paper(Mutex<HashMap<IntentId, Line>>);

    impl Books for Paper {
        fn read(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<Line>, BooksClosed>> {
            Box::pin(async move { Ok(self.0.lock().unwrap().get(&intent).cloned()) })
        }

        fn add<'a>(&'a self, line: &'a Line) -> BoxFuture<'a, Result<bool, BooksClosed>> {
            Box::pin(async move {
                let mut lines = self.0.lock().unwrap();
                let is_new = !lines.contains_key(&line.intent);
                lines.entry(line.intent).or_insert_with(|| line.clone());
                Ok(is_new)
            })
        }

        fn change(
            &self,
            intent: IntentId,
            from: Standing,
            to: Standing,
        ) -> BoxFuture<'_, Result<bool, BooksClosed>> {
            Box::pin(async move {
                let mut lines = self.0.lock().unwrap();
                let line = lines.get_mut(&intent).filter(|line| line.standing == from);
                Ok(line.map(|line| line.standing = to).is_some())
            })
        }
    }

    fn sandbox() -> Sandbox {
        Sandbox::new(Arc::new(Paper::default()), Duration::from_millis(1))
    }

    fn charge(method: &str) -> Charge {
        let amount = Money { minor: 4999, currency: "EUR".parse().unwrap() };
        Charge { intent: IntentId(Uuid::from_u128(7)), amount, method: method.to_owned() }
    }

    #[tokio::test]
    async fn an_approved_charge_is_captured_once_and_refunded_once() {
        let sandbox = sandbox();
        let charge = charge("sandbox:approve");
        assert_eq!(sandbox.find(charge.intent).await, Ok(None));
        for _ in 0..2 {
            assert_eq!(sandbox.authorise(&charge).await, Authorisation::Authorised);
        }
        for _ in 0..2 {
            assert_eq!(sandbox.capture(charge.intent).await, Ok(Standing::Captured));
        }
        assert_eq!(sandbox.void(charge.intent).await, Ok(Standing::Captured), "what is taken is not let go");
        for _ in 0..2 {
            assert_eq!(sandbox.refund(charge.intent).await, Ok(Standing::Refunded));
        }
        assert_eq!(sandbox.capture(charge.intent).await, Ok(Standing::Refunded));
    }

    #[tokio::test]
    async fn a_lost_reply_is_found_out_by_asking_or_by_retrying() {
        let sandbox = sandbox();
        let charge = charge("sandbox:lost");
        assert_eq!(sandbox.authorise(&charge).await, Authorisation::Unknown);
        assert_eq!(sandbox.find(charge.intent).await, Ok(Some(Standing::Authorised)));
        assert_eq!(sandbox.authorise(&charge).await, Authorisation::Authorised);
    }

    #[tokio::test]
    async fn an_intent_that_was_closed_unseen_is_declined_when_it_arrives() {
        let sandbox = sandbox();
        let charge = charge("sandbox:approve");
        assert_eq!(sandbox.void(charge.intent).await, Ok(Standing::Voided));
        assert!(matches!(sandbox.authorise(&charge).await, Authorisation::Declined { .. }));
    }

    #[tokio::test]
    async fn a_slow_charge_that_is_voided_meanwhile_is_declined() {
        let sandbox = Arc::new(Sandbox::new(Arc::new(Paper::default()), Duration::from_millis(50)));
        let charge = charge("sandbox:slow");
        let (answer, voided) = tokio::join!(sandbox.authorise(&charge), sandbox.void(charge.intent));
        assert_eq!(voided, Ok(Standing::Voided));
        assert!(matches!(answer, Authorisation::Declined { .. }), "{answer:?}");
    }

    #[tokio::test]
    async fn a_declined_charge_stays_declined() {
        let sandbox = sandbox();
        let charge = charge("sandbox:decline");
        for _ in 0..2 {
            assert!(matches!(sandbox.authorise(&charge).await, Authorisation::Declined { .. }));
        }
        assert_eq!(sandbox.capture(charge.intent).await, Ok(Standing::Declined));
        assert_eq!(sandbox.void(charge.intent).await, Ok(Standing::Declined));
    }

    #[tokio::test]
    async fn another_amount_under_the_same_intent_is_declined() {
        let sandbox = sandbox();
        let mut charge = charge("sandbox:approve");
        sandbox.authorise(&charge).await;
        charge.amount.minor += 1;
        assert!(matches!(sandbox.authorise(&charge).await, Authorisation::Declined { .. }));
    }
}
