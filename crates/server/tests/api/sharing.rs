//! Processes that share one PostgreSQL: each sees what another changed, and none undoes it. Where a test needs two that decide,
//! the second is a shop of its own over the engine of the first, with its own copy of everything that is kept in memory.

use crate::merchant::{Merchant, id, order};
use crate::support::{HttpReply, PASSWORD, TestApp};
use reqwest::{Method, StatusCode};
use sale::{SaleId, Timestamp};
use serde_json::json;
use server::auth::passwords::PasswordPool;
use server::auth::tokens::{AccessTokens, generate_key};
use server::followers::idempotency_warmup::{self, IdempotencyWarmup};
use server::followers::local::{LocalDependencies, start_local};
use server::mail::language::BuyerLanguage;
use server::shop::accounts::{self, AccountRegistration, AccountService, REFRESH_GRACE_MS};
use server::shop::catalogue::SaleCatalogue;
use server::shop::catalogue_text::Slug;
use server::shop::follower_progress::FollowerProgress;
use server::shop::idempotency_keys::{IdempotencyKey, KeyClaim};
use server::shop::receipts::ReceiptSigner;
use server::shop::sales::{self, SaleEdit};
use server::shop::tenancy::Tenancy;
use server::shop::{Shop, attempts};
use server::store::sales::{self as rows, LimitScope, NewSale, PaymentMode};
use server::store::{Store, followers};
use server::telemetry::followers::FollowerMetrics;
use std::sync::Arc;
use test_servers::postgres::PostgresServer;
use test_servers::wait::{HANG_LIMIT, eventually};

/// Another process's shop on the same tables.
pub async fn second_shop(app: &TestApp) -> Shop {
    let ours = &app.instance.app.shop;
    let store = Store::connect(&app.database_url()).await.unwrap();
    let accounts = AccountService {
        now: Arc::clone(&ours.now),
        store: store.clone(),
        tokens: AccessTokens::new(generate_key().unwrap(), 60, 10),
        passwords: PasswordPool::start(1).unwrap(),
        refresh_ttl_ms: 1_000,
        mails: None,
    };
    Shop {
        now: Arc::clone(&ours.now),
        wall_clock: Arc::clone(&ours.wall_clock),
        engine: ours.engine.clone(),
        catalogue: Arc::new(SaleCatalogue::load(&store, Tenancy::Cluster).await.unwrap()),
        guest_limits: server::shop::native_guests::GuestLimits::new(false),
        guests: server::shop::guests::GuestBook::start(store.clone(), Arc::clone(&ours.now)),
        jobs: server::shop::purchase_jobs::PurchaseJobs::start(store.clone(), Tenancy::Cluster),
        confirmed_buyers: server::shop::confirmed_emails::ConfirmedBuyers::default(),
        purchases: server::telemetry::purchases::PurchaseMetrics::default(),
        account_numbers: server::shop::integer_ids::AccountNumbers::default(),
        sold_out: server::shop::sold_out_memory::SoldOutMemory::start(store.clone(), Tenancy::Cluster),
        store,
        tenancy: Tenancy::Cluster,
        projected: ours.projected.clone(),
        catch_up_timeouts: ours.catch_up_timeouts,
        lag: ours.lag.clone(),
        attempts: attempts::buffer(server::telemetry::metrics::Counter::default()).0,
        payments: Arc::clone(&ours.payments),
        sandbox: ours.sandbox.clone(),
        notices: ours.notices.clone(),
        keys: Arc::default(),
        receipts: ReceiptSigner::new(&[0; 32]),
        summaries: server::shop::summary::SummaryCache::default(),
        fresh_views: server::shop::fresh_views::FreshViews::default(),
        line_readers: server::shop::line_feed::LineReaders::default(),
        changes: server::shop::sale_changes::SaleChanges::default(),
        hold_calls: server::shop::keyed_locks::KeyedLocks::default(),
        accounts,
        mailboxes: server::shop::mailboxes::MailboxClaims::default(),
        webhooks: server::shop::webhooks::WebhookService {
            client: Arc::clone(&ours.webhooks.client),
            wake: Arc::default(),
        },
        public_url: None,
        events: ours.events.clone(),
    }
}

fn sale_id(text: &str) -> SaleId {
    text.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_another_process_made_is_found_at_once() {
    let app = TestApp::on_postgres().await;
    let merchant = Merchant::sign_in(&app).await;
    let other = second_shop(&app).await;
    for n in 0..5 {
        let sale = sale_id(&merchant.sale(&json!({"slug": format!("drop-{n}")})).await);
        assert!(sales::find(&other, sale).is_none(), "the second process has not loaded it yet");
        let found = if n % 2 == 0 {
            sales::find_named_or_refresh(&other, &format!("drop-{n}")).await
        } else {
            assert!(sales::exists(&other, sale).await);
            sales::find_or_refresh(&other, sale).await
        };
        assert_eq!(found.unwrap().listing.slug, format!("drop-{n}"));
    }
    assert!(sales::find_named_or_refresh(&other, "nothing-here").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_changes_in_the_catalogue_the_other_reads() {
    let first = TestApp::on_postgres().await;
    let second = first.second_instance().await;
    let merchant = Merchant::sign_in(&second).await;
    let product = merchant.product("A lamp").await;
    let body = merchant.sale_body(&product, &json!({"slug": "lamp"}));
    let sale = id(&merchant.post("/flash-sales", &body).await.json());
    let seen = &first.instance.app.shop.catalogue;
    eventually("announced", HANG_LIMIT, async || seen.contains(sale_id(&sale))).await;

    merchant.patch(&format!("/flash-sales/{sale}"), &json!({"product": {"name": "A chair"}})).await;
    let listed = || seen.listing(sale_id(&sale)).unwrap();
    eventually("renamed", HANG_LIMIT, async || listed().product.name == "A chair").await;
    merchant.patch(&format!("/flash-sales/{sale}"), &json!({"slug": "chair"})).await;
    eventually("moved", HANG_LIMIT, async || seen.find_by_slug("chair").is_some()).await;
    assert!(seen.find_by_slug("lamp").is_none());
    assert_eq!(seen.find_by_former_slug("lamp").map(|listing| listing.sale), Some(sale_id(&sale)));
    assert_eq!(merchant.delete(&format!("/flash-sales/{sale}")).await.status, StatusCode::NO_CONTENT);
    eventually("deleted", HANG_LIMIT, async || !seen.contains(sale_id(&sale))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_at_two_processes_do_not_take_each_others_edit_back() {
    let app = TestApp::on_postgres().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = sale_id(&merchant.sale(&json!({"startsAt": merchant.moment(1_800_000)})).await);
    let (here, other) = (&app.instance.app.shop, second_shop(&app).await);
    let ends_at = merchant.now().plus_ms(7_200_000);
    for n in 1..=20 {
        let more = SaleEdit { quantity: Some(100 + n), ..SaleEdit::default() };
        let later = ends_at.plus_s(n);
        let longer = SaleEdit { ends_at: Some(later), ..SaleEdit::default() };
        let slug = Slug::from_name(&format!("drop {n}"), 1);
        let moved = SaleEdit { slug: Some(slug), ..SaleEdit::default() };
        let (one, two, three) = tokio::join!(
            sales::edit(here, sale, more),
            sales::edit(&other, sale, longer),
            sales::edit(&other, sale, moved),
        );
        for edited in [one, two, three] {
            edited.unwrap().unwrap();
        }
        let found = sales::find_named_or_refresh(&other, &format!("drop-{n}")).await.unwrap();
        assert_eq!((found.view.policy.quantity, found.view.policy.ends_at), (100 + n, later));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_make_sales_of_one_name_give_them_different_addresses() {
    let app = TestApp::on_postgres().await;
    let merchant = Merchant::sign_in(&app).await;
    let first = merchant.sale(&json!({})).await;
    let (here, other) = (&app.instance.app.shop, second_shop(&app).await);
    let sold = sales::find(here, sale_id(&first)).unwrap();
    let draft = || sales::SaleDraft {
        product: sold.listing.product.id,
        slug: None,
        policy: (*sold.view.policy).clone(),
        limit_by: sales::LimitScope::Account,
        require_confirmed_email: false,
        made_by: None,
    };
    let mut slugs = vec![sold.listing.slug.clone()];
    for _ in 0..5 {
        let (one, two) =
            tokio::join!(sales::create(here, draft(), None), sales::create(&other, draft(), None));
        slugs.extend([one, two].map(|made| made.unwrap().unwrap().listing.slug.clone()));
    }
    slugs.sort();
    slugs.dedup();
    assert_eq!(slugs.len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_leaves_a_sale_alone_that_another_process_is_announcing() {
    let app = TestApp::on_postgres().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("A lamp").await.parse().unwrap();
    let other = second_shop(&app).await;
    let made_at = merchant.now();
    let announcing = SaleId(uuid::Uuid::new_v4());
    let (payment, provider) = (PaymentMode::Required, "sandbox");
    let (created_at, limit_by) = (made_at, LimitScope::Account);
    let new = NewSale {
        id: announcing,
        product,
        slug: "soon",
        created_at,
        payment,
        provider,
        limit_by,
        require_confirmed_email: false,
        made_by: None,
    };
    let mut writing = app.instance.app.shop.store.begin().await.unwrap();
    assert!(rows::insert(&mut writing, new).await.unwrap());
    writing.commit().await.unwrap();
    let unannounced = async || rows::list_unannounced(&other.store, Timestamp::MAX).await.unwrap();

    sales::finish_unannounced(&other).await.unwrap();
    assert_eq!(unannounced().await, [announcing]);
    app.shift_clock(121_000);
    sales::finish_unannounced(&other).await.unwrap();
    assert_eq!(unannounced().await, [], "its maker has given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_on_one_database_sign_with_one_key() {
    let first = TestApp::on_postgres().await;
    let ada = first.register("ada").await;
    let second = first.second_instance().await;
    let me = second.get_as(&ada.access, "/api/v1/auth/me").await;
    assert_eq!((me.status, &me.json()["username"]), (StatusCode::OK, &json!("ada")));
    let jwks = |app: &TestApp| app.instance.app.shop.accounts.tokens.jwks();
    assert_eq!(jwks(&first), jwks(&second));
    let secret = |app: &TestApp| app.instance.app.shop.accounts.tokens.secret_for("receipts");
    assert_eq!(secret(&first), secret(&second), "a receipt of one is known to the other");
    assert!(!second.data().exists(), "there is nothing to keep in a folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_data_folder_becomes_that_of_the_database_once() {
    let app = TestApp::start().await;
    let jwks = |app: &TestApp| app.instance.app.shop.accounts.tokens.jwks();
    let known = jwks(&app);
    let key = app.data().join("token-key.pem");
    let with_key = TestApp::on_postgres_with_key(&key).await;
    if key.exists() {
        assert_eq!(jwks(&with_key), known, "sessions stay valid");
        assert_eq!(jwks(&with_key.second_instance().await), known);
    } else {
        // These tests run on a database: the folder of the first shop has no key.
        assert_ne!(jwks(&with_key), known);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_at_one_process_counts_at_the_other() {
    let first = TestApp::on_postgres().await;
    let (ada, bob) = (first.register("ada").await, first.register("bob").await);
    let second = first.second_instance().await;
    let me = async |app: &TestApp, token: &str| app.get_as(token, "/api/v1/auth/me").await.status;
    for token in [&ada.access, &bob.access] {
        assert_eq!(me(&second, token).await, StatusCode::OK);
    }
    first.post_as(&ada.access, "/api/v1/auth/logout", &json!({})).await;
    eventually("ada is signed out", HANG_LIMIT, async || {
        me(&second, &ada.access).await == StatusCode::UNAUTHORIZED
    })
    .await;

    // A refresh whose reply was lost is repeated at another process.
    let refresh = json!({"refreshToken": bob.refresh});
    let lost = first.post("/api/v1/auth/refresh", &refresh).await;
    assert_eq!(lost.status, StatusCode::OK);
    let again = second.post("/api/v1/auth/refresh", &refresh).await;
    assert_eq!(again.json()["refreshToken"], lost.json()["refreshToken"]);
    // A refresh token that is used twice, at two processes, ends its whole family at both.
    first.shift_clock(REFRESH_GRACE_MS + 1_000);
    assert_eq!(second.post("/api/v1/auth/refresh", &refresh).await.status, StatusCode::UNAUTHORIZED);
    eventually("bob is signed out", HANG_LIMIT, async || {
        me(&first, &bob.access).await == StatusCode::UNAUTHORIZED
    })
    .await;
    let revocations = second.instance.app.shop.accounts.tokens.revocation_count();
    assert_eq!(revocations, 2, "each revocation is read once, not at every poll");
    let again = json!({"email": "bob@example.com", "password": PASSWORD});
    assert_eq!(second.post("/api/v1/auth/login", &again).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_used_at_one_process_is_noticed_at_another() {
    let app = TestApp::on_postgres().await;
    let merchant = Merchant::sign_in(&app).await;
    let (one, two) = (merchant.sale(&json!({})).await, merchant.sale(&json!({})).await);
    let ada = app.register("ada").await;
    let other = second_shop(&app).await;
    let keys = Arc::clone(&other.keys);
    let warmup = IdempotencyWarmup::new(other.engine.clone(), Arc::clone(&keys), Tenancy::Cluster);
    let dependencies = LocalDependencies {
        engine: other.engine.clone(),
        progress: FollowerProgress::default(),
        metrics: FollowerMetrics::default(),
        random: Box::new(|| 0.0),
    };
    let following = start_local(warmup, dependencies, idempotency_warmup::PACE).unwrap();
    let buyer = ada.id.parse().unwrap();
    for (text, sale, elsewhere) in [("k1", &one, &two), ("k2", &two, &one)] {
        let body = json!({"flashSaleId": sale, "quantity": 1});
        let request = app.request(Method::POST, "/api/v1/orders").bearer_auth(&ada.access).json(&body);
        let ordered = HttpReply::send(request.header("idempotency-key", text)).await;
        assert_eq!(ordered.status, StatusCode::CREATED, "{ordered:?}");
        let key = IdempotencyKey::from_text(text).request_key();
        let begin =
            |sale: &str| keys.claim(buyer, key, keys.fingerprint((sale_id(sale), 1_u32)), merchant.now());
        eventually("the key is known", HANG_LIMIT, async || matches!(begin(elsewhere), KeyClaim::Reused))
            .await;
        assert!(matches!(begin(sale), KeyClaim::Completed));
    }
    tokio::task::spawn_blocking(|| following.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_first_starts_at_once_one_makes_the_admin() {
    let app = TestApp::on_postgres().await;
    let second_accounts = &second_shop(&app).await.accounts;
    PostgresServer::shared().run_sql(&app.database_url(), "DELETE FROM sessions; DELETE FROM users");
    let registration = |n: usize| AccountRegistration {
        email: "first@example.com".parse().unwrap(),
        username: "first".parse().unwrap(),
        password: format!("password {n}").try_into().unwrap(),
        language: BuyerLanguage::default(),
    };
    let each = (0..6).map(|n| accounts::create_first_admin(second_accounts, registration(n)));
    let made = futures::future::join_all(each).await;
    let made: Vec<bool> = made.into_iter().map(|made| made.unwrap().unwrap().is_some()).collect();
    assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
    for (n, is_made) in made.into_iter().enumerate() {
        let login = json!({"email": "first@example.com", "password": format!("password {n}")});
        let status = app.post("/api/v1/auth/login", &login).await.status;
        let expected = if is_made { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(status, expected, "only the password of the created admin works");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_first_starts_at_once_on_an_empty_database_are_both_well() {
    let (one, two) = TestApp::two_on_postgres().await;
    let ada = one.register("ada").await;
    assert_eq!(two.get_as(&ada.access, "/api/v1/auth/me").await.status, StatusCode::OK);
    let admins = "SELECT COUNT(*) FROM users WHERE role = 'admin'";
    assert_eq!(PostgresServer::shared().run_sql(&one.database_url(), admins).trim(), "1");
    assert_eq!(one.admin().await.id, two.admin().await.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_how_far_the_tables_are_behind() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    merchant.sale(&json!({})).await;
    let level = json!({"eventsBehind": 0, "secondsBehind": 0});
    eventually("the tables are level", HANG_LIMIT, async || {
        app.get("/health").await.json()["tables"] == level
    })
    .await;
    app.wait_for_metrics(&["doorbuster_projector_lag_events 0", "doorbuster_projector_lag_seconds 0"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_sees_no_more_of_the_ledger_lets_another_write_the_tables() {
    let first = TestApp::on_postgres().await;
    let merchant = Merchant::sign_in(&first).await;
    let sale = merchant.sale(&json!({"payment": "none"})).await;
    assert_eq!(order(&first, &first.register("ada").await, &sale, 1).await.status, StatusCode::CREATED);
    let shown = async |app: &TestApp| {
        let tables = Store::connect(&app.database_url()).await.unwrap();
        let shown = rows_of_followers(&tables, sale_id(&sale)).await;
        tables.close().await;
        shown
    };
    eventually("the first writes", HANG_LIMIT, async || shown(&first).await == 2).await;
    // The second takes the ledger over; what is published at the first stands still, and it has the tables' lock.
    let second = first.second_instance().await;
    assert_eq!(order(&second, &second.register("bob").await, &sale, 1).await.status, StatusCode::CREATED);
    eventually("the second writes", HANG_LIMIT, async || shown(&second).await == 3).await;
    let known = || first.instance.app.shop.projected.delivered_seq(sale_id(&sale)).0;
    eventually("the first knows it", HANG_LIMIT, async || known() == 3).await;
}

/// How far the tables say that they are.
async fn rows_of_followers(tables: &Store, sale: SaleId) -> u64 {
    let offsets = followers::list_offsets(tables, server::followers::projector::FOLLOWER_NAME).await.unwrap();
    offsets.into_iter().find(|(of, _)| *of == sale).map_or(0, |(_, offset)| offset.seq.0)
}
