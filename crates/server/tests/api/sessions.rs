//! Sessions end with a new password or a new role, and when their owner, an admin or the command line ends them: on every instance.

use crate::support::{ADMIN_EMAIL, PASSWORD, SignedInUser, TestApp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::auth::Role;
use server::mail::language::BuyerLanguage;
use server::shop::accounts::{self, AccountRegistration};
use std::process::{Command, Output};
use test_servers::wait::{HANG_LIMIT, eventually};

const ME: &str = "/api/v1/auth/me";
const NEW_PASSWORD: &str = "a brand new password";

async fn login(app: &TestApp, email: &str, password: &str) -> StatusCode {
    app.post("/api/v1/auth/login", &json!({"email": email, "password": password})).await.status
}

async fn sign_in(app: &TestApp, username: &str) -> SignedInUser {
    let reply = app.post("/api/v1/auth/login", &json!({"username": username, "password": PASSWORD})).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    SignedInUser::from_body(&reply.json())
}

async fn is_over(app: &TestApp, tokens: &SignedInUser) -> bool {
    app.get_as(&tokens.access, ME).await.status == StatusCode::UNAUTHORIZED
}

/// That neither token of a session works, here or at another instance.
async fn assert_over(app: &TestApp, tokens: &SignedInUser) {
    assert!(is_over(app, tokens).await);
    let refresh = json!({"refreshToken": tokens.refresh});
    assert_eq!(app.post("/api/v1/auth/refresh", &refresh).await.problem(), "bad_refresh_token");
}

/// Runs `doorbuster admin` on the tables of a shop that runs.
fn admin(app: &TestApp, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    command.arg("admin").args(arguments);
    let url = app.database_url();
    if url.starts_with("postgres") {
        command.args(["--database", &url]);
    } else {
        command.arg("--data").arg(app.data());
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (status.code(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_all_sessions_and_begins_one() {
    let app = TestApp::start().await;
    let (first, second) = (app.register("ada").await, sign_in(&app, "ada").await);
    let bob = app.register("bob").await;
    let change = |current: &str| json!({"currentPassword": current, "newPassword": NEW_PASSWORD});
    let refused = app.post_as(&first.access, "/api/v1/auth/password", &change("not my password")).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (422, "invalid_body"));
    assert_eq!(refused.json()["errors"][0]["pointer"], "/currentPassword");
    assert!(!is_over(&app, &second).await, "nothing was changed");

    let reply = app.post_as(&first.access, "/api/v1/auth/password", &change(PASSWORD)).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let changed = SignedInUser::from_body(&reply.json());
    for old in [&first, &second] {
        assert_over(&app, old).await;
    }
    assert!(!is_over(&app, &changed).await && !is_over(&app, &bob).await);
    assert_eq!(login(&app, "ada@example.com", PASSWORD).await, StatusCode::UNAUTHORIZED);
    assert_eq!(login(&app, "ada@example.com", NEW_PASSWORD).await, StatusCode::OK);
    let app = app.restart().await;
    assert_over(&app, &first).await;
    assert!(!is_over(&app, &changed).await);
    assert_eq!(app.post("/api/v1/auth/password", &change(PASSWORD)).await.problem(), "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_everywhere_ends_every_session_of_the_account() {
    let app = TestApp::start().await;
    let (first, second, bob) =
        (app.register("ada").await, sign_in(&app, "ada").await, app.register("bob").await);
    let reply = app.post_as(&first.access, "/api/v1/auth/sign-out-everywhere", &json!({})).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{reply:?}");
    for old in [&first, &second] {
        assert_over(&app, old).await;
    }
    assert!(!is_over(&app, &bob).await);
    assert!(!is_over(&app, &sign_in(&app, "ada").await).await, "the account can sign in again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_sessions_at_one_instance_ends_them_at_another_however_many_there_are() {
    let first = TestApp::on_postgres().await;
    let second = first.second_instance().await;
    let mut sessions = vec![first.register("ada").await];
    for _ in 0..4 {
        sessions.push(sign_in(&second, "ada").await);
    }
    // More than are read at a time, all ended by one change.
    let more = "INSERT INTO sessions (id, user_id, created_at, expires_at) \
        SELECT '0190f3a4-0000-7000-8000-' || lpad(n::text, 12, '0'), id, 0, 99999999999999 \
        FROM users, generate_series(1, 2500) n WHERE username = 'ada'";
    sqlx::query(more).execute(&first.database().await).await.unwrap();
    first.post_as(&sessions[0].access, "/api/v1/auth/sign-out-everywhere", &json!({})).await;
    for session in &sessions {
        eventually("signed out", HANG_LIMIT, async || is_over(&second, session).await).await;
        assert_over(&first, session).await;
    }
    let revocations = || second.instance.app.shop.accounts.tokens.revocation_count();
    eventually("every session is read", HANG_LIMIT, async || revocations() == 2_505).await;
    let again = sign_in(&second, "ada").await;
    assert!(!is_over(&first, &again).await);
    second.post_as(&again.access, "/api/v1/auth/logout", &json!({})).await;
    eventually("one more is read", HANG_LIMIT, async || is_over(&first, &again).await).await;
    assert_eq!(revocations(), 2_506, "each is read once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_checked_the_old_password_begins_no_session_after_the_change() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let (body, nothing) = (json!({"username": "ada", "password": PASSWORD}), json!({}));
    for _ in 0..5 {
        let ada = sign_in(&app, "ada").await;
        let logins = futures::future::join_all((0..8).map(|_| app.post("/api/v1/auth/login", &body)));
        let (logins, ended) =
            tokio::join!(logins, app.post_as(&ada.access, "/api/v1/auth/sign-out-everywhere", &nothing));
        assert_eq!(ended.status, StatusCode::NO_CONTENT);
        let begun: Vec<Value> = logins
            .into_iter()
            .filter(|login| login.status == StatusCode::OK)
            .map(|login| login.json())
            .collect();
        let open = app.database().await;
        let open: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM sessions JOIN users ON users.id = user_id \
            WHERE username = 'ada' AND revoked_at IS NULL",
        )
        .fetch_one(&open)
        .await
        .unwrap();
        let mut valid = 0;
        for tokens in begun.iter().map(SignedInUser::from_body) {
            valid += i64::from(!is_over(&app, &tokens).await);
        }
        assert_eq!(valid, open, "the tokens of a session work exactly as long as the tables say");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_ends_sessions_and_sets_roles_and_the_last_admin_stays() {
    let app = TestApp::start().await;
    let (boss, ada) = (app.admin().await, app.register("ada").await);
    let path = |id: &str, what: &str| format!("/api/v1/admin/accounts/{id}/{what}");
    let role = |role: &str| json!({"role": role});
    for what in ["end-sessions", "role"] {
        let refused = app.post_as(&ada.access, &path(&boss.id, what), &role("buyer")).await;
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (403, "forbidden"));
        let nobody = path("0190f3a4-0000-7000-8000-000000000000", what);
        let refused = app.post_as(&boss.access, &nobody, &role("buyer")).await;
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (404, "account_unknown"));
    }
    let ended = app.post_as(&boss.access, &path(&ada.id, "end-sessions"), &json!({})).await;
    assert_eq!(ended.status, StatusCode::OK, "{ended:?}");
    assert_eq!((&ended.json()["username"], &ended.json()["endedSessions"]), (&json!("ada"), &json!(1)));
    assert_over(&app, &ada).await;

    let last = app.post_as(&boss.access, &path(&boss.id, "role"), &role("buyer")).await;
    assert_eq!((last.status.as_u16(), last.problem().as_str()), (409, "last_admin"));
    assert!(!is_over(&app, &boss).await);
    let ada = sign_in(&app, "ada").await;
    let unchanged = app.post_as(&boss.access, &path(&ada.id, "role"), &role("buyer")).await.json();
    assert_eq!(unchanged["endedSessions"], 0);
    let promoted = app.post_as(&boss.access, &path(&ada.id, "role"), &role("admin")).await;
    assert_eq!((promoted.status, &promoted.json()["role"]), (StatusCode::OK, &json!("admin")));
    assert_over(&app, &ada).await;
    let ada = sign_in(&app, "ada").await;
    assert_eq!(app.get_as(&ada.access, "/api/v1/admin/orders").await.status, StatusCode::OK);

    let demoted = app.post_as(&ada.access, &path(&boss.id, "role"), &role("buyer")).await;
    assert_eq!(demoted.status, StatusCode::OK, "{demoted:?}");
    assert_over(&app, &boss).await;
    let boss = app.admin().await;
    assert_eq!(app.get_as(&boss.access, "/api/v1/admin/orders").await.problem(), "forbidden");
    assert_eq!(
        app.post_as(&ada.access, &path(&ada.id, "role"), &role("buyer")).await.problem(),
        "last_admin"
    );
    assert_eq!(
        app.post_as(&ada.access, &path(&ada.id, "role"), &role("owner")).await.problem(),
        "invalid_body"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_admins_who_demote_each_other_one_stays() {
    let app = TestApp::on_postgres().await;
    let other = app.second_instance().await;
    let (boss, ada) = (app.admin().await, app.register("ada").await);
    let path = |id: &str| format!("/api/v1/admin/accounts/{id}/role");
    app.post_as(&boss.access, &path(&ada.id), &json!({"role": "admin"})).await;
    let ada = sign_in(&other, "ada").await;
    let (to_ada, to_boss, buyer) = (path(&ada.id), path(&boss.id), json!({"role": "buyer"}));
    let replies = tokio::join!(
        app.post_as(&boss.access, &to_ada, &buyer),
        other.post_as(&ada.access, &to_boss, &buyer),
    );
    let done = [replies.0, replies.1].iter().filter(|reply| reply.status == StatusCode::OK).count();
    assert_eq!(done, 1);
    let admins = sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE role = 'admin'");
    let pool = app.database().await;
    let admins: i64 = admins.fetch_one(&pool).await.unwrap();
    assert_eq!(admins, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_promotes_an_account_only_on_purpose_and_ends_its_sessions_at_once() {
    let app = TestApp::start().await;
    let squatter = app.register("boss2").await;
    let create = ["create", "--email", "boss2@example.com", "--password", NEW_PASSWORD];
    let (code, text) = admin(&app, &create);
    assert_eq!(code, Some(2), "{text}");
    for part in [
        "--promote",
        "boss2@example.com",
        "a buyer",
        "username boss2",
        "20",
        "1 session",
        "Nothing was changed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("boss2@example.com is a buyer") && text.matches('@').count() == 1, "{text}");
    assert!(!text.contains(NEW_PASSWORD));
    assert!(!is_over(&app, &squatter).await);

    let (code, text) = admin(&app, &[&create[..], &["--promote"]].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("a buyer") && text.contains("1 session"), "{text}");
    eventually("the squatter is signed out", HANG_LIMIT, async || is_over(&app, &squatter).await).await;
    assert_over(&app, &squatter).await;
    assert_eq!(login(&app, "boss2@example.com", PASSWORD).await, StatusCode::UNAUTHORIZED);
    assert_eq!(login(&app, "boss2@example.com", NEW_PASSWORD).await, StatusCode::OK);

    // A stolen session of an admin ends in the same way.
    let stolen = app.admin().await;
    let reset = ["create", "--email", ADMIN_EMAIL, "--password", NEW_PASSWORD, "--promote"];
    let (code, text) = admin(&app, &reset);
    assert!(code == Some(0) && text.contains("an admin"), "{text}");
    eventually("the thief is signed out", HANG_LIMIT, async || is_over(&app, &stolen).await).await;
    let app = app.restart().await;
    assert!(is_over(&app, &stolen).await && is_over(&app, &squatter).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_becomes_the_first_admin_loses_its_sessions() {
    let app = TestApp::start().await;
    let squatter = app.admin().await;
    let pool = app.database().await;
    sqlx::query("UPDATE users SET role = 'buyer'").execute(&pool).await.unwrap();
    let registration = AccountRegistration {
        email: ADMIN_EMAIL.parse().unwrap(),
        username: "boss".parse().unwrap(),
        password: NEW_PASSWORD.to_owned().try_into().unwrap(),
        language: BuyerLanguage::default(),
    };
    let service = &app.instance.app.shop.accounts;
    let made = accounts::create_first_admin(service, registration).await.unwrap().unwrap();
    assert_eq!(made.map(|admin| admin.role), Some(Role::Admin));
    assert_over(&app, &squatter).await;
    assert_eq!(login(&app, ADMIN_EMAIL, NEW_PASSWORD).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_ends_sessions_and_takes_the_role_away() {
    let app = TestApp::start().await;
    let (boss, ada) = (app.admin().await, app.register("ada").await);
    let (code, text) = admin(&app, &["end-sessions", "--email", "ada@example.com"]);
    assert!(code == Some(0) && text.contains("1 session ended"), "{text}");
    eventually("ada is signed out", HANG_LIMIT, async || is_over(&app, &ada).await).await;
    assert!(!is_over(&app, &boss).await);

    let (code, text) = admin(&app, &["revoke", "--email", ADMIN_EMAIL]);
    assert!(code == Some(1) && text.contains("last admin"), "{text}");
    admin(&app, &["create", "--email", "second@example.com", "--password", NEW_PASSWORD]);
    let (code, text) = admin(&app, &["revoke", "--email", ADMIN_EMAIL]);
    assert!(code == Some(0) && text.contains("is a buyer now"), "{text}");
    eventually("the boss is signed out", HANG_LIMIT, async || is_over(&app, &boss).await).await;
    let boss = app.admin().await;
    assert_eq!(app.get_as(&boss.access, "/api/v1/admin/orders").await.problem(), "forbidden");
    let (code, text) = admin(&app, &["revoke", "--email", ADMIN_EMAIL]);
    assert!(code == Some(0) && text.contains("is no admin"), "{text}");
    for command in ["revoke", "end-sessions"] {
        let (code, text) = admin(&app, &[command, "--email", "nobody@example.com"]);
        assert!(code == Some(2) && text.contains("--email"), "{text}");
    }
}
