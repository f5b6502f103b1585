//! Random histories of several buyers at once, an admin, somebody at Stripe's dashboard, a bank that decides disputes, and a network that loses
//! replies and webhooks' order, or everything. At their end Stripe keeps the money of the confirmed orders, less refunds and lost disputes.

use super::*;
use crate::support::tests_on_postgres;
use futures::future::join_all;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use test_servers::histories::{HistoryPlan, HistoryTest, SHRINK_RUNS_MAX, SeededRandom, shrink};
use tokio::sync::OnceCell;

const BUYERS: usize = 6;
const STEPS: usize = 14;
const TEST: HistoryTest = HistoryTest {
    prefix: "STRIPE",
    histories: 4,
    command: "cargo test -p server --test api whatever_happens",
};
/// So many histories meet all that is rare.
const HISTORIES_THAT_MEET_ALL: usize = 200;
/// How long the shop waits for a reply of Stripe: short, because some never come.
const ATTEMPT: Duration = Duration::from_millis(300);

/// What one buyer, or somebody about the buyer's order, does or tries. What is not possible changes nothing.
#[derive(Clone, Copy, Debug)]
enum StoryStep {
    Pay,
    OnPage(BuyerChoice),
    BankAnswers {
        is_accepted: bool,
    },
    ComeBack,
    Cancel,
    RefundOrder,
    RefundPart,
    RefundInDashboard,
    OpenDispute,
    CloseDispute {
        is_won: bool,
    },
    /// The next such requests to Stripe fail; the shop sends each three times.
    Fault {
        path: &'static str,
        count: u32,
        kind: FaultKind,
    },
    /// Stripe answers nothing any more until the end.
    Silence,
}

impl StoryStep {
    fn by_chance(chance: &mut SeededRandom, webhooks: WebhookMode) -> Self {
        match chance.below(24) {
            0..=5 => Self::Pay,
            6..=9 => Self::OnPage(chance.pick(&[
                BuyerChoice::Approve,
                BuyerChoice::Approve,
                BuyerChoice::Decline,
                BuyerChoice::Submit,
                BuyerChoice::BeginChallenge,
            ])),
            10 => Self::BankAnswers { is_accepted: chance.below(2) == 0 },
            11 => Self::ComeBack,
            12 => Self::Cancel,
            13 | 14 => Self::RefundOrder,
            15 | 16 => Self::RefundPart,
            // Without a webhook the shop hears of it from `doorbuster reconcile` alone.
            17 if webhooks == WebhookMode::Never => Self::ComeBack,
            17 => Self::RefundInDashboard,
            18 | 19 => Self::OpenDispute,
            20 => Self::CloseDispute { is_won: chance.below(2) == 0 },
            _ => Self::Fault {
                path: chance.pick(&[
                    "POST /v1/",
                    "/v1/checkout/",
                    "/capture",
                    "/expire",
                    "POST /v1/refunds",
                    "GET /v1/disputes",
                    "GET /v1/disputes",
                ]),
                count: chance.pick(&[1, 3]),
                kind: chance.pick(&[
                    FaultKind::LoseReply,
                    FaultKind::HangUp,
                    FaultKind::TooMany,
                    FaultKind::Fail,
                    FaultKind::Stall,
                    FaultKind::DoAndStall,
                ]),
            },
        }
    }
}

/// A whole history.
#[derive(Clone, Debug)]
struct MoneyPlan {
    webhooks: WebhookMode,
    /// Those that were held back come in the reverse order.
    is_reversed: bool,
    /// How the bank answers at the end what it has not answered, and decides disputes, by buyer.
    bank_accepts: [bool; BUYERS],
    /// The steps of each buyer's story.
    stories: Vec<Vec<StoryStep>>,
}

impl MoneyPlan {
    fn from_seed(seed: u64) -> Self {
        let mut chance = SeededRandom::new(seed);
        let webhooks =
            chance.pick(&[WebhookMode::Once, WebhookMode::Twice, WebhookMode::Hold, WebhookMode::Never]);
        let mut stories: Vec<Vec<_>> = (0..BUYERS)
            .map(|_| (0..STEPS).map(|_| StoryStep::by_chance(&mut chance, webhooks)).collect())
            .collect();
        if chance.below(4) == 0 {
            let at = usize::try_from(chance.below(STEPS as u64)).unwrap();
            stories[0][at] = StoryStep::Silence;
        }
        let is_reversed = chance.below(2) == 0;
        let bank_accepts = std::array::from_fn(|_| chance.below(2) == 0);
        Self { webhooks, is_reversed, bank_accepts, stories }
    }

    /// The history, one line a step.
    fn describe(&self) -> String {
        let Self { webhooks, is_reversed, bank_accepts, stories } = self;
        let mut text = format!("webhooks {webhooks:?}, reversed {is_reversed}\n");
        for (number, (story, accepts)) in stories.iter().zip(bank_accepts).enumerate() {
            if !story.is_empty() {
                text += &format!("buyer {number}, for whom the bank at last decides {accepts}\n");
            }
            for step in story {
                text += &format!("    {step:?}\n");
            }
        }
        text
    }
}

/// Steps are counted over all stories.
impl HistoryPlan for MoneyPlan {
    fn count_steps(&self) -> usize {
        self.stories.iter().map(Vec::len).sum()
    }

    fn without(&self, skipped: Range<usize>) -> Self {
        let mut index = 0;
        let mut keep = |_: &StoryStep| {
            index += 1;
            !skipped.contains(&(index - 1))
        };
        let stories =
            self.stories.iter().map(|story| story.iter().copied().filter(&mut keep).collect()).collect();
        Self { stories, ..*self }
    }
}

/// The accounts of a history, signed in.
#[derive(Clone)]
struct ShopAccounts {
    admin: SignedInUser,
    buyers: Vec<SignedInUser>,
}

impl ShopAccounts {
    async fn register(app: &TestApp) -> Self {
        let mut buyers = Vec::new();
        for number in 0..BUYERS {
            buyers.push(app.register(&format!("buyer{number}")).await);
        }
        Self { admin: app.admin().await, buyers }
    }
}

/// A shop that has its accounts, made once: to hash their passwords and to make the tables takes longer than a history.
struct PreparedShop {
    /// What is in its data folder, by name.
    files: Vec<(OsString, Vec<u8>)>,
    accounts: ShopAccounts,
}

impl PreparedShop {
    /// `None` where shops have a database, which cannot be copied like a folder.
    async fn find() -> Option<&'static Self> {
        static PREPARED: OnceCell<PreparedShop> = OnceCell::const_new();
        if tests_on_postgres() {
            return None;
        }
        let prepare = || async {
            let app = TestApp::start().await;
            let accounts = ShopAccounts::register(&app).await;
            let folder = app.stop().await;
            let files = std::fs::read_dir(folder.path().join("data")).unwrap().map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name(), std::fs::read(entry.path()).unwrap())
            });
            Self { files: files.collect(), accounts }
        };
        Some(PREPARED.get_or_init(prepare).await)
    }

    fn copy_folder(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        for (name, content) in &self.files {
            std::fs::write(data.join(name), content).unwrap();
        }
        folder
    }
}

/// One buyer's order and what happened to its payment.
struct BuyerStory {
    buyer: SignedInUser,
    order: String,
    payment: Option<Uuid>,
    /// The payment and the dispute about it.
    dispute: Option<(Uuid, String)>,
}

impl BuyerStory {
    fn session(&self, shop: &StripeShop) -> Option<String> {
        shop.stripe.find_session(&self.payment?.to_string())
    }

    fn intent(&self, shop: &StripeShop) -> Option<String> {
        let session = shop.stripe.object(&self.session(shop)?)?;
        session["payment_intent"].as_str().map(str::to_owned)
    }

    /// What a lost dispute took from a payment, and the bank's word; `None` without a dispute about it.
    fn dispute_of(&self, shop: &StripeShop, payment: Uuid) -> Option<(i64, String)> {
        let (_, dispute) = self.dispute.as_ref().filter(|(disputed, _)| *disputed == payment)?;
        let dispute = shop.stripe.object(dispute)?;
        let status = dispute["status"].as_str()?.to_owned();
        Some((if status == "lost" { dispute["amount"].as_i64()? } else { 0 }, status))
    }

    async fn take_step(&mut self, shop: &StripeShop, admin: &str, step: StoryStep) {
        let refund = async |body: Value| {
            let path = format!("/api/v1/admin/orders/{}/refund", self.order);
            drop(shop.app.post_as(admin, &path, &body).await);
        };
        match step {
            StoryStep::Pay => {
                let reply = shop.pay(&self.buyer, &self.order).await;
                if reply.status == 200 {
                    let payment = reply.json()["payment"]["id"].as_str().unwrap().parse().unwrap();
                    self.payment = Some(payment);
                }
            }
            StoryStep::OnPage(choice) => {
                if let Some(session) = self.session(shop) {
                    let _closed = shop.stripe.act_as_buyer(&session, choice);
                }
            }
            StoryStep::BankAnswers { is_accepted } => {
                if let Some(session) = self.session(shop) {
                    let _not_processing = shop.stripe.finish_processing(&session, is_accepted);
                }
            }
            StoryStep::ComeBack => {
                if let Some(payment) = self.payment {
                    let back = shop.app.request(Method::GET, &format!("/pay/return/{payment}"));
                    assert_eq!(back.send().await.unwrap().status(), 303);
                }
            }
            StoryStep::Cancel => {
                let path = format!("/api/v1/orders/{}", self.order);
                let request = shop.app.request(Method::DELETE, &path).bearer_auth(&self.buyer.access);
                drop(HttpReply::send(request).await);
            }
            StoryStep::RefundOrder => refund(json!({"restock": true})).await,
            StoryStep::RefundPart => refund(json!({"amount": eur(900), "restock": false})).await,
            StoryStep::RefundInDashboard => {
                if let Some(intent) = self.intent(shop) {
                    let _less_is_left = shop.stripe.refund_in_dashboard(&intent, 700);
                }
            }
            StoryStep::OpenDispute => {
                if let (None, Some(payment), Some(intent)) = (&self.dispute, self.payment, self.intent(shop))
                {
                    let opened = shop.stripe.open_dispute(&intent);
                    self.dispute = opened.ok().map(|dispute| (payment, dispute));
                }
            }
            StoryStep::CloseDispute { is_won } => self.close_dispute(shop, is_won),
            StoryStep::Fault { path, count, kind } => shop.stripe.fail_next(path, count, kind),
            StoryStep::Silence => shop.stripe.fail_next("/v1/", u32::MAX, FaultKind::Stall),
        }
    }

    fn close_dispute(&self, shop: &StripeShop, is_won: bool) {
        if let Some((_, dispute)) = &self.dispute {
            let _decided_before = shop.stripe.close_dispute(dispute, is_won);
        }
    }
}

#[test]
fn whatever_happens_stripe_keeps_the_money_of_the_confirmed_orders() {
    let histories = TEST.play_all(MoneyPlan::from_seed, MoneyPlan::describe, play);
    let is_long = histories.len() >= HISTORIES_THAT_MEET_ALL;
    let seen: BTreeSet<String> = histories.into_iter().flatten().collect();
    for end in ["captured won", "captured lost", "refunded won", "voided lost"] {
        assert!(!is_long || seen.contains(end), "histories should end in every way, not only in {seen:?}");
    }
}

#[test]
fn a_history_that_fails_is_described_without_what_does_not_matter() {
    let fails = |plan: &MoneyPlan| {
        let is_whole = |story: &Vec<StoryStep>| {
            let at = |wanted: fn(&StoryStep) -> bool| story.iter().position(wanted);
            let refunded = at(|step| matches!(step, StoryStep::RefundOrder));
            at(|step| matches!(step, StoryStep::OpenDispute))
                .zip(refunded)
                .is_some_and(|(open, back)| open < back)
        };
        plan.stories.iter().any(is_whole)
    };
    let plan = (1..).map(MoneyPlan::from_seed).find(&fails).unwrap();
    let story = shrink(plan, SHRINK_RUNS_MAX, fails).describe();
    let steps: Vec<&str> = story.lines().filter(|line| line.starts_with(' ')).map(str::trim).collect();
    assert_eq!(steps, ["OpenDispute", "RefundOrder"], "{story}");
}

/// Plays a history: how its payments and their disputes ended.
fn play(plan: &MoneyPlan) -> BTreeSet<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let played = catch_unwind(AssertUnwindSafe(|| runtime.block_on(play_stories(plan))));
    // Does not wait for what still runs.
    runtime.shutdown_background();
    played.unwrap_or_else(|panic| resume_unwind(panic))
}

async fn play_stories(plan: &MoneyPlan) -> BTreeSet<String> {
    let timeouts = ClientTimeouts { attempt: ATTEMPT };
    let (shop, accounts) = match PreparedShop::find().await {
        Some(prepared) => {
            let folder = prepared.copy_folder();
            let shop = StripeShop::start_in(folder, StripeStandIn::start(), timeouts).await;
            (shop, prepared.accounts.clone())
        }
        None => {
            let shop = StripeShop::start_with(StripeStandIn::start(), timeouts).await;
            let accounts = ShopAccounts::register(&shop.app).await;
            (shop, accounts)
        }
    };
    let ShopAccounts { admin, buyers } = accounts;
    let sale = shop.sale_of(&admin, u32::try_from(BUYERS).unwrap()).await;
    shop.stripe.set_webhook_mode(plan.webhooks);
    let mut stories = Vec::new();
    for buyer in buyers {
        let order = shop.hold(&buyer, &sale).await;
        stories.push(BuyerStory { buyer, order, payment: None, dispute: None });
    }
    let acting = stories.iter_mut().zip(&plan.stories).map(async |(story, steps)| {
        for step in steps {
            story.take_step(&shop, &admin.access, *step).await;
        }
    });
    join_all(acting).await;
    shop.stripe.heal();
    for (story, accepts) in stories.iter().zip(plan.bank_accepts) {
        if let Some(session) = story.session(&shop) {
            let _not_processing = shop.stripe.finish_processing(&session, accepts);
        }
        story.close_dispute(&shop, accepts);
    }
    if plan.webhooks != WebhookMode::Never {
        shop.stripe.set_webhook_mode(WebhookMode::Once);
        shop.stripe.release_webhooks(plan.is_reversed);
    }
    // Holds end, and with them the pages that are open.
    shop.app.shift_clock(HOLD_S * 2_000);
    let store = &shop.app.instance.app.shop.store;
    eventually("everything is settled", HANG_LIMIT, async || {
        shop.settle_payments().await;
        payments::count_unsettled(store, sale::Timestamp(0)).await.unwrap().all == 0
            && payments::count_pending(store).await.unwrap() == 0
            && shop.stripe.count_held_webhooks() == 0
            && provider_notices::count_open(store).await.unwrap() == 0
    })
    .await;
    let ends = check_money(plan, &shop, &stories).await;
    shop.app.stop().await;
    ends
}

/// What the shop's tables say of each order is what Stripe has of the money.
async fn check_money(plan: &MoneyPlan, shop: &StripeShop, stories: &[BuyerStory]) -> BTreeSet<String> {
    let store = &shop.app.instance.app.shop.store;
    let (mut expected, mut orders, mut ends) = (0, Vec::new(), BTreeSet::new());
    for story in stories {
        let order = sale::OrderId(story.order.parse().unwrap());
        let status = shop.order_status(&story.buyer, &story.order).await;
        let rows = payments::list_of_order(store, order).await.unwrap();
        let states: Vec<_> = rows.iter().map(|row| row.state.as_str()).collect();
        let captured = rows.iter().filter(|row| row.state == PaymentState::Captured).count();
        assert_eq!(captured, usize::from(status == "confirmed"), "{status} {states:?}");
        for row in &rows {
            let dispute = story.dispute_of(shop, row.id);
            let lost = dispute.as_ref().map_or(0, |(lost, _)| *lost);
            if plan.webhooks != WebhookMode::Never {
                assert_eq!(payment_findings::sum_lost(store, row.id).await.unwrap(), lost);
            }
            // A bank may take money that was refunded before. Voided money was never taken, unless a bank has taken it since.
            expected += match row.state {
                PaymentState::Captured | PaymentState::Refunded => PRICE - row.refunded_minor - lost,
                PaymentState::Voided if lost > 0 => PRICE - row.refunded_minor - lost,
                _ => 0,
            };
            ends.extend(dispute.map(|(_, word)| format!("{} {word}", row.state.as_str())));
        }
        orders.push(format!("{}: {status} {states:?}", story.order));
    }
    assert_eq!(shop.stripe.money_kept("eur"), expected, "{orders:#?}");
    ends
}
