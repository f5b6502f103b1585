//! Mails, through a real SMTP server: links for passwords and addresses, codes for guests, and what becomes of a mail when the relay refuses,
//! hangs, closes early or is gone.

use crate::merchant::{
    Merchant, assert_refused, error_pointers, id, join_line, order, pay, wait_until_admitted,
};
use crate::receivers::mails::assert_mails_match;
use crate::receivers::records::ShopAccess;
use crate::support::{ADMIN_EMAIL, HttpReply, PASSWORD, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use test_servers::mail::{ArrivedMail, MailServer};
use test_servers::receiver::WebhookReceiver;
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};

const NEW_PASSWORD: &str = "another good password";
const HOUR_MS: i64 = 3_600_000;

/// A shop that sends its mails to this relay.
async fn shop_with(relay: &str, more: &[&str]) -> TestApp {
    let flags = [
        "--limits",
        "off",
        "--smtp",
        relay,
        "--mail-from",
        "Lamps & More <shop@shop.example>",
        "--public-url",
        "https://shop.example",
        "--mail-rate",
        "1000/1s",
    ];
    TestApp::start_with(&[flags.as_slice(), more].concat()).await
}

/// Waits until so many mails for an address have arrived, and returns them.
async fn arrived(server: &MailServer, recipient: &str, count: usize) -> Vec<ArrivedMail> {
    let what = format!("{count} mails arrive for {recipient}");
    eventually_some(&what, HANG_LIMIT, async || {
        let mails = server.list_mails_to(recipient);
        (mails.len() >= count).then_some(mails)
    })
    .await
}

/// The mails that the merchant sees, once there is one in this state for the address.
async fn listed(app: &TestApp, state: &str, recipient: &str) -> Value {
    let admin = app.admin().await;
    eventually_some(&format!("a mail for {recipient} is {state}"), HANG_LIMIT, async || {
        let page = app.get_as(&admin.access, &format!("/api/v1/admin/mails?state={state}")).await.json();
        page["items"].as_array().unwrap().iter().find(|mail| mail["recipient"] == recipient).cloned()
    })
    .await
}

/// Compares all mails with what is recorded of a sale. No process was killed, so each came once.
async fn assert_match(app: &TestApp, server: &MailServer, sale: &str) {
    let url = format!("http://{}", app.instance.address);
    let shop = ShopAccess { url, admin: app.admin().await.access, database: app.database_url() };
    assert_mails_match(&shop, &[sale], server, 0).await;
}

async fn reset(app: &TestApp, token: &str, password: &str) -> HttpReply {
    app.post("/api/v1/auth/reset", &json!({"token": token, "password": password})).await
}

async fn sign_in(app: &TestApp, username: &str, password: &str) -> HttpReply {
    app.post("/api/v1/auth/login", &json!({"username": username, "password": password})).await
}

async fn is_confirmed(app: &TestApp, email: &str) -> bool {
    let pool = app.database().await;
    let statement =
        format!("SELECT COUNT(*) FROM users WHERE email = '{email}' AND email_confirmed_at IS NOT NULL");
    let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&pool).await.unwrap();
    count == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_replaced_with_a_link_that_works_once() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let ada = app.register("ada").await;
    arrived(&server, "ada@example.com", 1).await;
    let asked = app.post("/api/v1/auth/forgot", &json!({"email": "Ada@Example.com"})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    assert_eq!(asked.json(), json!({"email": "ada@example.com", "expiresIn": 3600}));
    let mail = arrived(&server, "ada@example.com", 2).await.pop().unwrap();
    assert_eq!(mail.header("Subject"), "Choose a new password for Lamps & More");
    assert!(mail.header("From").ends_with("<shop@shop.example>"), "{}", mail.head);
    assert!(mail.text.contains("https://shop.example/reset-password#token=dbm_"), "{}", mail.text);
    assert!(mail.html.contains(&mail.token()), "{}", mail.html);
    let token = mail.token();

    let weak = reset(&app, &token, "password").await;
    assert_eq!(weak.problem(), "invalid_body", "the link is not used up");
    let other = json!({"token": token, "password": NEW_PASSWORD, "email": "bob@example.com"});
    assert_eq!(app.post("/api/v1/auth/reset", &other).await.problem(), "bad_mail_token");
    assert_eq!(reset(&app, &token, NEW_PASSWORD).await.status, StatusCode::NO_CONTENT);
    assert_eq!(reset(&app, &token, "a third good password").await.problem(), "bad_mail_token", "twice");
    assert_eq!(
        app.get_as(&ada.access, "/api/v1/auth/me").await.problem(),
        "unauthorized",
        "its sessions have ended"
    );
    assert_eq!(sign_in(&app, "ada", PASSWORD).await.problem(), "bad_credentials");
    assert_eq!(sign_in(&app, "ada", NEW_PASSWORD).await.status, StatusCode::OK);
    assert!(is_confirmed(&app, "ada@example.com").await, "the link proves the address");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_refused_when_it_is_late_or_for_something_else() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    app.register("ada").await;
    let confirm = arrived(&server, "ada@example.com", 1).await[0].token();
    assert_eq!(reset(&app, &confirm, NEW_PASSWORD).await.problem(), "bad_mail_token", "of another purpose");
    app.post("/api/v1/auth/forgot", &json!({"email": "ada@example.com"})).await;
    let late = arrived(&server, "ada@example.com", 2).await.pop().unwrap().token();
    assert_eq!(app.post("/api/v1/auth/verify", &json!({"token": late})).await.problem(), "bad_mail_token");
    app.shift_clock(HOUR_MS);
    assert_eq!(reset(&app, &late, NEW_PASSWORD).await.problem(), "bad_mail_token", "late");
    for bad in ["", "dbm_", "dbm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &"x".repeat(5_000)] {
        assert_eq!(reset(&app, bad, NEW_PASSWORD).await.problem(), "bad_mail_token", "{bad}");
    }
    // Of two links the second voids the first once it is used.
    for _ in 0..2 {
        app.post("/api/v1/auth/forgot", &json!({"email": "ada@example.com"})).await;
    }
    let mails = arrived(&server, "ada@example.com", 4).await;
    assert_eq!(reset(&app, &mails[3].token(), NEW_PASSWORD).await.status, StatusCode::NO_CONTENT);
    assert_eq!(reset(&app, &mails[2].token(), NEW_PASSWORD).await.problem(), "bad_mail_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_confirmed_in_the_language_of_the_buyer() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let body = json!({"email": "ada@example.com", "username": "ada", "password": PASSWORD, "language": "ar"});
    assert_eq!(app.post("/api/v1/auth/register", &body).await.status, StatusCode::CREATED);
    let request =
        app.request(Method::POST, "/api/v1/auth/register").header("accept-language", "de-AT,en;q=0.5");
    let body = json!({"email": "bob@example.com", "username": "bob", "password": PASSWORD});
    assert_eq!(HttpReply::send(request.json(&body)).await.status, StatusCode::CREATED);
    let wrong =
        json!({"email": "eve@example.com", "username": "eve", "password": PASSWORD, "language": "fr"});
    assert_eq!(app.post("/api/v1/auth/register", &wrong).await.problem(), "invalid_body");

    let arabic = arrived(&server, "ada@example.com", 1).await.remove(0);
    assert!(arabic.html.contains("dir=\"rtl\"") && arabic.text.contains("مرحبًا ada"), "{}", arabic.text);
    let german = arrived(&server, "bob@example.com", 1).await.remove(0);
    assert!(german.text.contains("Hallo bob"), "{}", german.text);
    assert!(!is_confirmed(&app, "ada@example.com").await);
    let verify = async |body: Value| app.post("/api/v1/auth/verify", &body).await;
    let wrong = verify(json!({"token": arabic.token(), "email": "bob@example.com"})).await;
    assert_eq!(wrong.problem(), "bad_mail_token");
    assert_eq!(verify(json!({"token": arabic.token()})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(verify(json!({"token": arabic.token()})).await.problem(), "bad_mail_token", "twice");
    assert!(is_confirmed(&app, "ada@example.com").await);
    assert_eq!(verify(json!({})).await.problem(), "invalid_body");

    // Another link comes on request, in the account's language, and none where the address is confirmed.
    assert_eq!(verify(json!({"email": "bob@example.com"})).await.status, StatusCode::ACCEPTED);
    assert_eq!(verify(json!({"email": "ada@example.com"})).await.status, StatusCode::ACCEPTED);
    let again = arrived(&server, "bob@example.com", 2).await.pop().unwrap();
    assert!(again.text.contains("Hallo bob"), "{}", again.text);
    let given_up = listed(&app, "given_up", "ada@example.com").await;
    assert_eq!(given_up["reason"], "the address is confirmed");
    assert_eq!(server.list_mails_to("ada@example.com").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_address_is_answered_as_a_known_one_and_gets_no_mail() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    app.register("ada").await;
    for path in ["/api/v1/auth/forgot", "/api/v1/auth/verify"] {
        let known = app.post(path, &json!({"email": "ada@example.com"})).await;
        let unknown = app.post(path, &json!({"email": "eve@example.com"})).await;
        assert_eq!((known.status, unknown.status), (StatusCode::ACCEPTED, StatusCode::ACCEPTED));
        assert_eq!(known.json()["expiresIn"], unknown.json()["expiresIn"]);
        // Both write the same rows.
        let pool = app.database().await;
        let rows: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM mail_tokens").fetch_one(&pool).await.unwrap();
        assert_eq!(rows % 2, 1, "one is of the registration");
    }
    let mail = listed(&app, "given_up", "eve@example.com").await;
    assert_eq!((&mail["reason"], &mail["tries"]), (&json!("no account has the address"), &json!(1)));
    arrived(&server, "ada@example.com", 3).await;
    assert!(server.list_mails_to("eve@example.com").is_empty());
    for _ in 0..9 {
        assert_eq!(app.post("/api/v1/auth/forgot", &json!({"email": "ada@example.com"})).await.status, 202);
    }
    arrived(&server, "ada@example.com", 7).await;
    let admin = app.admin().await;
    let mails = app.get_as(&admin.access, "/api/v1/admin/mails?limit=200").await.json();
    let to_ada =
        mails["items"].as_array().unwrap().iter().filter(|mail| mail["recipient"] == "ada@example.com");
    assert_eq!(to_ada.filter(|mail| mail["kind"] == "reset_password").count(), 5, "an hour's worth");
    let pool = app.database().await;
    let statement =
        "SELECT COUNT(*) FROM mail_tokens WHERE email = 'ada@example.com' AND purpose = 'reset_password'";
    let tokens: i64 = sqlx::query_scalar(statement).fetch_one(&pool).await.unwrap();
    assert_eq!(tokens, 5, "and no token without a mail");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_holds_a_link_or_a_code() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &["--guests", "on"]).await;
    app.register("ada").await;
    app.post("/api/v1/auth/guest", &json!({"email": "bob@example.com"})).await;
    let token = arrived(&server, "ada@example.com", 1).await[0].token();
    let code = guest_code(&server, "bob@example.com", 1).await;
    let pool = app.database().await;
    for (table, columns) in [("mails", "content || mail_key"), ("mail_tokens", "digest || id")] {
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {columns} FROM {table}")))
                .fetch_all(&pool)
                .await
                .unwrap();
        assert!(!rows.is_empty());
        for row in rows {
            assert!(!row.contains(&token) && !row.contains(&code), "{table}: {row}");
        }
    }
}

/// The code of the guest's newest mail.
async fn guest_code(server: &MailServer, email: &str, count: usize) -> String {
    let mail = arrived(server, email, count).await.pop().unwrap();
    let digits: String =
        mail.text.split("\n\n").nth(1).unwrap().chars().filter(char::is_ascii_digit).collect();
    assert_eq!(digits.len(), 8, "{}", mail.text);
    digits
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_with_a_code_is_the_same_buyer_again() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &["--guests", "on"]).await;
    let call = async |body: Value| app.post("/api/v1/auth/guest", &body).await;
    let asked = call(json!({"email": "Ada@Example.com"})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    assert_eq!(asked.json()["email"], "ada@example.com");
    let code = guest_code(&server, "ada@example.com", 1).await;
    assert_eq!(call(json!({"email": "eve@example.com", "code": code})).await.problem(), "bad_mail_token");
    let first =
        call(json!({"email": "ada@example.com", "code": format!("{} {}", &code[..4], &code[4..])})).await;
    assert_eq!(first.status, StatusCode::OK, "{first:?}");
    assert_eq!(
        call(json!({"email": "ada@example.com", "code": code})).await.problem(),
        "bad_mail_token",
        "twice"
    );

    call(json!({"email": "ada@example.com"})).await;
    let code = guest_code(&server, "ada@example.com", 2).await;
    let again = call(json!({"email": "ADA@example.com", "code": code})).await.json();
    assert_eq!(again["user"]["id"], first.json()["user"]["id"]);
    let me = app.get_as(again["accessToken"].as_str().unwrap(), "/api/v1/auth/me").await.json();
    assert_eq!(me["email"], "ada@example.com");

    // Five tries are all.
    call(json!({"email": "ada@example.com"})).await;
    let code = guest_code(&server, "ada@example.com", 3).await;
    for n in 0..5 {
        let wrong = if code == "00000000" { "11111111" } else { "00000000" };
        let reply = call(json!({"email": "ada@example.com", "code": wrong})).await;
        assert_eq!(reply.problem(), "bad_mail_token", "{n}");
    }
    assert_eq!(call(json!({"email": "ada@example.com", "code": code})).await.problem(), "bad_mail_token");
    call(json!({"email": "ada@example.com"})).await;
    let code = guest_code(&server, "ada@example.com", 4).await;
    app.shift_clock(HOUR_MS);
    assert_eq!(
        call(json!({"email": "ada@example.com", "code": code})).await.problem(),
        "bad_mail_token",
        "late"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_with_a_code_gets_mails_in_the_language_of_the_last_visit() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &["--guests", "on"]).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 5})).await;
    let call = async |language: &str, body: Value| {
        let request = app.request(Method::POST, "/api/v1/auth/guest").header("accept-language", language);
        HttpReply::send(request.json(&body)).await
    };
    for (n, language, receipt) in [(0, "de", "Deine Bestellung bei"), (1, "en", "Your order at")] {
        let asked = call(language, json!({"email": "ada@example.com"})).await;
        assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
        let code = eventually_some("the code arrives", HANG_LIMIT, async || {
            let mails = server.list_mails_to("ada@example.com");
            let codes: Vec<&ArrivedMail> =
                mails.iter().filter(|mail| !mail.text.contains("https://shop.example/orders")).collect();
            let digits = |mail: &ArrivedMail| {
                let line = mail.text.split("\n\n").nth(1).unwrap_or_default();
                line.chars().filter(char::is_ascii_digit).collect::<String>()
            };
            codes.get(n).map(|mail| digits(mail))
        })
        .await;
        let visit = call(language, json!({"email": "ada@example.com", "code": code})).await.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (id_of_guest, access) = (text(&visit["user"]["id"]), text(&visit["accessToken"]));
        let guest = SignedInUser { id: id_of_guest, access, refresh: String::new() };
        let made = order(&app, &guest, &sale, 1).await.json();
        assert_eq!(pay(&app, &guest, &id(&made), "approve").await.status, StatusCode::OK);
        arrived_about(&server, "ada@example.com", receipt).await;
    }
    assert_match(&app, &server, &sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_relay_nothing_needs_mail() {
    let app = TestApp::start_with(&["--limits", "off", "--guests", "on"]).await;
    assert_eq!(app.get("/api/v1/features").await.json(), json!({"mail": false, "guests": true}));
    app.register("ada").await;
    for (path, body) in [
        ("forgot", json!({"email": "ada@example.com"})),
        ("reset", json!({"token": "dbm_x", "password": NEW_PASSWORD})),
        ("verify", json!({"token": "dbm_x"})),
        ("verify", json!({"email": "ada@example.com"})),
        ("guest", json!({"email": "ada@example.com", "code": "12345678"})),
    ] {
        assert_eq!(app.post(&format!("/api/v1/auth/{path}"), &body).await.problem(), "not_found", "{path}");
    }
    assert_eq!(
        app.post("/api/v1/auth/guest", &json!({"email": "ada@example.com"})).await.status,
        StatusCode::OK
    );
    let pool = app.database().await;
    let mails: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mails").fetch_one(&pool).await.unwrap();
    assert_eq!(mails, 0);
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    assert_eq!(app.get("/api/v1/features").await.json(), json!({"mail": true, "guests": false}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greylisted_mail_is_sent_later_and_once() {
    let server = MailServer::start();
    server.refuse("ada@example.com", "451 4.7.1 greylisted, try later", 1);
    let app = shop_with(&server.url(), &[]).await;
    app.register("ada").await;
    let waiting = eventually_some("the first try fails", HANG_LIMIT, async || {
        let mail = listed(&app, "waiting", "ada@example.com").await;
        mail["reason"].is_string().then_some(mail)
    })
    .await;
    assert!(waiting["reason"].as_str().unwrap().contains("greylisted"), "{waiting}");
    assert_eq!(waiting["tries"], 1);
    app.shift_clock(60_000);
    arrived(&server, "ada@example.com", 1).await;
    let sent = listed(&app, "sent", "ada@example.com").await;
    assert_eq!((&sent["tries"], &sent["reason"]), (&json!(2), &Value::Null));
    assert_eq!(server.list_mails_to("ada@example.com").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_five_times_has_failed_and_can_be_sent_again() {
    let server = MailServer::start();
    server.refuse("ada@example.com", "451 4.3.0 later", 5);
    let app = shop_with(&server.url(), &["--guests", "on"]).await;
    app.register("ada").await;
    // A link of an hour is of no use after it, so the clock stays within: the table says when the next try is.
    let pool = app.database().await;
    for tries in 1..5 {
        eventually(&format!("{tries} tries have failed"), HANG_LIMIT, async || {
            let statement = format!("SELECT COUNT(*) FROM mails WHERE tries = {tries} AND lease IS NULL");
            let failed: i64 =
                sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&pool).await.unwrap();
            failed == 1
        })
        .await;
        sqlx::query("UPDATE mails SET next_try_at = 0").execute(&pool).await.unwrap();
    }
    let failed = listed(&app, "failed", "ada@example.com").await;
    assert_eq!(failed["tries"], 5);
    let admin = app.admin().await;
    let path = format!("/api/v1/admin/mails/{}/resend", failed["id"].as_str().unwrap());
    sqlx::query("UPDATE mails SET expires_at = 1").execute(&pool).await.unwrap();
    let late = app.post_as(&admin.access, &path, &json!({})).await;
    assert_eq!((late.status, late.problem().as_str()), (StatusCode::CONFLICT, "mail_expired"));
    listed(&app, "failed", "ada@example.com").await;
    sqlx::query("UPDATE mails SET expires_at = NULL").execute(&pool).await.unwrap();
    assert_eq!(app.post_as(&admin.access, &path, &json!({})).await.status, StatusCode::ACCEPTED);
    arrived(&server, "ada@example.com", 1).await;
    listed(&app, "sent", "ada@example.com").await;
    assert_eq!(app.post_as(&admin.access, &path, &json!({})).await.problem(), "mail_unknown", "it is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_bounces_gets_no_mail_for_a_week() {
    let server = MailServer::start();
    server.refuse("ada@example.com", "550 5.1.1 no such mailbox", 1);
    let app = shop_with(&server.url(), &[]).await;
    app.register("ada").await;
    let bounced = listed(&app, "bounced", "ada@example.com").await;
    assert!(bounced["reason"].as_str().unwrap().contains("no such mailbox"), "{bounced}");
    let forgot = json!({"email": "ada@example.com"});
    app.post("/api/v1/auth/forgot", &forgot).await;
    listed(&app, "suppressed", "ada@example.com").await;
    app.register("bob").await;
    arrived(&server, "bob@example.com", 1).await;
    assert!(server.list_mails_to("ada@example.com").is_empty());
    app.shift_clock(7 * 24 * HOUR_MS);
    app.post("/api/v1/auth/forgot", &forgot).await;
    arrived(&server, "ada@example.com", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_mails_that_failed_since_a_moment_are_sent_again() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    for name in ["ada", "bob"] {
        let email = format!("{name}@example.com");
        server.refuse(&email, "550 5.1.1 no such mailbox", 1);
        app.register(name).await;
        listed(&app, "bounced", &email).await;
    }
    app.post("/api/v1/auth/forgot", &json!({"email": "ada@example.com"})).await;
    listed(&app, "suppressed", "ada@example.com").await;
    // The link of this one is over.
    let late = "UPDATE mails SET expires_at = 1 WHERE recipient = 'bob@example.com'";
    sqlx::query(late).execute(&app.database().await).await.unwrap();
    let resend = async |since: i64| {
        let since = merchant.moment(since);
        merchant.post("/mails/resend-failed", &json!({"since": since})).await
    };
    for (since, count) in [(HOUR_MS, 0), (-HOUR_MS, 2), (-HOUR_MS, 0)] {
        let reply = resend(since).await;
        assert_eq!((reply.status, reply.json()), (StatusCode::ACCEPTED, json!({"count": count})), "{since}");
    }
    arrived(&server, "ada@example.com", 2).await;
    assert_eq!(listed(&app, "bounced", "bob@example.com").await["tries"], 1);
    let missing = merchant.post("/mails/resend-failed", &json!({})).await;
    assert_eq!(error_pointers(&missing), ["/since"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_mails_that_the_relay_is_given_count_in_the_rate() {
    let server = MailServer::start();
    server.refuse("ada@example.com", "550 5.1.1 no such mailbox", 1);
    let relay = server.url();
    let flags = ["--limits", "off", "--smtp", &relay, "--mail-from", "shop@shop.example"];
    let flags = [&flags[..], &["--public-url", "https://shop.example", "--mail-rate", "3/10m"]].concat();
    let app = TestApp::start_with(&flags).await;
    let pool = app.database().await;
    app.register("ada").await;
    listed(&app, "bounced", "ada@example.com").await;
    for n in 1..=4 {
        app.post("/api/v1/auth/forgot", &json!({"email": "ada@example.com"})).await;
        eventually("the mail is suppressed", HANG_LIMIT, async || {
            count_rows(&pool, "FROM mails WHERE state = 'suppressed'").await == n
        })
        .await;
    }
    for name in ["bob", "carl"] {
        app.register(name).await;
        listed(&app, "sent", &format!("{name}@example.com")).await;
    }
    app.register("dora").await;
    listed(&app, "waiting", "dora@example.com").await;
    // The sender is woken for erin's mail, too, and a registration takes longer than sending a mail.
    app.register("erin").await;
    listed(&app, "waiting", "erin@example.com").await;
    assert_eq!(
        listed(&app, "waiting", "dora@example.com").await["tries"],
        0,
        "three were given to the relay"
    );
    assert_eq!(server.list_mails_to("dora@example.com").len(), 0);
    app.shift_clock(10 * 60_000);
    for name in ["dora", "erin"] {
        listed(&app, "sent", &format!("{name}@example.com")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_wait_while_the_relay_is_gone_hangs_or_closes_early() {
    let mut server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    server.kill();
    app.register("ada").await;
    eventually("the first try fails", HANG_LIMIT, async || {
        listed(&app, "waiting", "ada@example.com").await["reason"].is_string()
    })
    .await;
    server.restart();
    app.shift_clock(60_000);
    arrived(&server, "ada@example.com", 1).await;

    // A relay that says hello and hangs up.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = format!("smtp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _gone = stream.write_all(b"220 relay.example ESMTP\r\n");
        }
    });
    let app = shop_with(&relay, &[]).await;
    app.register("bob").await;
    eventually("the try fails", HANG_LIMIT, async || {
        let mail = listed(&app, "waiting", "bob@example.com").await;
        mail["tries"] == 1 && mail["reason"].is_string()
    })
    .await;

    // One that hangs delays only mails: the shop goes on, and stops in time.
    let app = shop_with(&server.url(), &[]).await;
    let frozen = server.freeze();
    app.register("carl").await;
    eventually("the mail is being sent", HANG_LIMIT, async || {
        listed(&app, "waiting", "carl@example.com").await["tries"] == 1
    })
    .await;
    assert_eq!(sign_in(&app, "carl", PASSWORD).await.status, StatusCode::OK);
    app.instance.stop().await;
    drop(frozen);
}

/// A relay that takes each mail, but never replies to the end of one for `slow`. Returns its address.
fn start_thinking_relay(slow: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = format!("smtp://{}", listener.local_addr().unwrap());
    let serve = move |mut stream: TcpStream| -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let (mut is_slow, mut is_mail) = (false, false);
        stream.write_all(b"220 relay.example ESMTP\r\n")?;
        while let Some(line) = lines.next().transpose()? {
            let reply = match (is_mail, line.as_str()) {
                (true, ".") if is_slow => continue,
                (true, ".") => {
                    is_mail = false;
                    "250 2.0.0 taken"
                }
                (true, _) => continue,
                (false, "DATA") => {
                    is_mail = true;
                    "354 go on"
                }
                (false, line) => {
                    is_slow = if line.starts_with("RCPT") { line.contains(slow) } else { is_slow };
                    "250 relay.example"
                }
            };
            stream.write_all(format!("{reply}\r\n").as_bytes())?;
        }
        Ok(())
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream));
        }
    });
    relay
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_thinks_about_one_mail_delays_no_other_one() {
    let app = shop_with(&start_thinking_relay("carl@example.com"), &[]).await;
    app.register("carl").await;
    eventually("the mail is being sent", HANG_LIMIT, async || {
        listed(&app, "waiting", "carl@example.com").await["tries"] == 1
    })
    .await;
    for name in ["ada", "bob"] {
        app.register(name).await;
        listed(&app, "sent", &format!("{name}@example.com")).await;
    }
    let carls = listed(&app, "waiting", "carl@example.com").await;
    assert_eq!((&carls["tries"], &carls["reason"]), (&json!(1), &Value::Null), "the relay may still take it");
    app.instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_that_a_relay_hangs_on_leave_places_to_more_urgent_ones() {
    let app = shop_with(&start_thinking_relay("slow"), &[]).await;
    let pool = app.database().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = upcoming_sale(&merchant, 25 * HOUR_MS).await;
    for n in 0..8 {
        let wish = json!({"topic": "start", "email": format!("slow{n}@example.com")});
        assert_eq!(subscribe(&app, &sale, &wish).await.status, StatusCode::ACCEPTED);
    }
    app.shift_clock(HOUR_MS + 60_000);
    let under_way = async |kind: &str, count: i64| {
        let from = format!("FROM mails WHERE kind = '{kind}' AND state = 'waiting' AND lease IS NOT NULL");
        eventually(&format!("{count} mails {kind} hang"), HANG_LIMIT, async || {
            count_rows(&pool, &from).await == count
        })
        .await;
    };
    under_way("sale_reminder", 4).await;
    app.register("bob").await;
    listed(&app, "sent", "bob@example.com").await;
    for n in 0..8 {
        app.register(&format!("slow-account{n}")).await;
    }
    under_way("confirm_address", 2).await;
    let admission =
        json!({"type": "fifo", "perSecond": 1, "checkoutSeconds": 600, "lineOpensSecondsBefore": 0});
    let sale = merchant.sale(&json!({"quantity": 1, "admission": admission})).await;
    join_line(&app, &ada, &sale).await;
    eventually("the mail about the turn is sent", HANG_LIMIT, async || {
        count_rows(&pool, "FROM mails WHERE kind = 'your_turn' AND state = 'sent'").await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_a_dead_process_was_sending_is_sent_again_when_its_lease_ends() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let pool = app.database().await;
    server.refuse("ada@example.com", "451 4.3.0 later", 1);
    app.register("ada").await;
    eventually("the first try fails", HANG_LIMIT, async || {
        listed(&app, "waiting", "ada@example.com").await["reason"].is_string()
    })
    .await;
    // As a process leaves it that was killed while it sent.
    let statement = "UPDATE mails SET lease = 'dead', lease_until = next_try_at + 60000, next_try_at = 0";
    sqlx::query(statement).execute(&pool).await.unwrap();
    app.register("bob").await;
    arrived(&server, "bob@example.com", 1).await;
    assert!(server.list_mails_to("ada@example.com").is_empty(), "it is leased");
    app.shift_clock(120_000);
    arrived(&server, "ada@example.com", 1).await;
    listed(&app, "sent", "ada@example.com").await;
    assert_eq!(server.list_mails_to("ada@example.com").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_outage_of_the_tables_sends_no_mail_twice_and_delays_none_by_its_lease() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let pool = app.database().await;
    let rename = async |table: &str, name: &str| {
        let statement = format!("ALTER TABLE {table} RENAME TO {name}");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    };
    // The relay takes a mail, and that cannot be written.
    let replies = server.hold_replies();
    app.register("ada").await;
    arrived(&server, "ada@example.com", 1).await;
    rename("mails", "mails_away").await;
    drop(replies);
    app.wait_for_metrics(&["doorbuster_mails_total{outcome=\"unrecorded\"}"]).await;
    rename("mails_away", "mails").await;
    assert_eq!(listed(&app, "sent", "ada@example.com").await["tries"], 1);
    // What a mail needs cannot be read, so the relay does not get it.
    rename("mail_bounces", "mail_bounces_away").await;
    app.register("bob").await;
    eventually("the try is over", HANG_LIMIT, async || {
        listed(&app, "waiting", "bob@example.com").await["reason"] == "the shop's database failed"
    })
    .await;
    rename("mail_bounces_away", "mail_bounces").await;
    app.shift_clock(60_000);
    listed(&app, "sent", "bob@example.com").await;
    for email in ["ada@example.com", "bob@example.com"] {
        assert_eq!(server.list_mails_to(email).len(), 1, "{email}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_send_each_mail_once() {
    let server = MailServer::start();
    let (one, two) = {
        let database = test_servers::postgres::PostgresServer::shared().create_database();
        let one = shop_with(&server.url(), &["--database", &database]).await;
        let two = one.second_instance().await;
        (one, two)
    };
    let names: Vec<String> = (0..20).map(|n| format!("buyer{n}")).collect();
    let registered: Vec<SignedInUser> =
        futures::future::join_all(names.iter().map(|name| two.register(name))).await;
    assert_eq!(registered.len(), 20);
    eventually("all mails arrive", HANG_LIMIT, async || server.list_mails().len() >= 20).await;
    for name in &names {
        listed(&two, "sent", &format!("{name}@example.com")).await;
    }
    let mut recipients: Vec<String> = server.list_mails().into_iter().map(|mail| mail.recipient).collect();
    recipients.sort_unstable();
    let before = recipients.len();
    recipients.dedup();
    assert_eq!((before, recipients.len()), (20, 20));
    drop(one);
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_addresses_get_their_mails_and_nothing_gets_into_a_head() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    for (n, email) in
        ["o'brien+drop@mail.example.co.uk", "!#$%&'*+-=?^_`{|}~@example.com"].into_iter().enumerate()
    {
        let body = json!({"email": email, "username": format!("user{n}"), "password": PASSWORD});
        let made = app.post("/api/v1/auth/register", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        let mail = arrived(&server, email, 1).await.remove(0);
        assert!(mail.header("To").contains(email), "{}", mail.head);
    }
    for bad in [
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\nX: y",
        "ada@example.com, eve@example.com",
    ] {
        let reply = app.post("/api/v1/auth/forgot", &json!({"email": bad})).await;
        assert_eq!(reply.problem(), "invalid_body", "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_mails_is_for_admins_and_has_pages() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let ada = app.register("ada").await;
    app.register("bob").await;
    app.register("carl").await;
    for name in ["ada", "bob", "carl"] {
        listed(&app, "sent", &format!("{name}@example.com")).await;
    }
    assert_eq!(app.get_as(&ada.access, "/api/v1/admin/mails").await.problem(), "forbidden");
    let admin = app.admin().await.access;
    let pages = app.read_pages(&admin, "/api/v1/admin/mails?limit=2").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(pages[0][0]["recipient"], "carl@example.com", "the newest first");
    let shown = pages[0][0].to_string();
    assert!(!shown.contains("dbm_") && pages[0][0]["finishedAt"].is_string(), "{shown}");
    assert_eq!(app.get_as(&admin, "/api/v1/admin/mails?state=lost").await.problem(), "invalid_query");
    let unknown = format!("/api/v1/admin/mails/{}/resend", uuid::Uuid::new_v4());
    assert_eq!(app.post_as(&admin, &unknown, &json!({})).await.problem(), "mail_unknown");
    app.wait_for_metrics(&["doorbuster_mails_total{outcome=\"sent\"} 3"]).await;
}

/// Waits for a mail with a subject, and returns it.
async fn arrived_about(server: &MailServer, recipient: &str, subject: &str) -> ArrivedMail {
    eventually_some(&format!("a mail {subject:?} for {recipient}"), HANG_LIMIT, async || {
        server.list_mails_to(recipient).into_iter().find(|mail| mail.header("Subject").contains(subject))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_gets_its_receipt_and_its_refund_by_mail_once() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 5})).await;
    let body = json!({"email": "ada@example.com", "username": "ada", "password": PASSWORD, "language": "de"});
    let ada = SignedInUser::from_body(&app.post("/api/v1/auth/register", &body).await.json());
    let made = order(&app, &ada, &sale, 2).await.json();
    assert_eq!(pay(&app, &ada, &id(&made), "approve").await.status, StatusCode::OK);
    let receipt = arrived_about(&server, "ada@example.com", "Deine Bestellung bei Lamps & More ist").await;
    for part in ["A thing", "59,98 EUR", "29,99 EUR", &id(&made)] {
        assert!(receipt.text.contains(part) && receipt.html.contains(part), "{part}: {}", receipt.text);
    }
    assert!(receipt.text.contains(&format!("https://shop.example/orders/{}", id(&made))), "{}", receipt.text);
    let part = json!({"amount": {"amount": 1_000, "currency": "EUR"}, "restock": false});
    for (body, amount) in [(part, "10,00 EUR"), (json!({"restock": false}), "49,98 EUR")] {
        let refund = merchant.post(&format!("/orders/{}/refund", id(&made)), &body).await;
        assert_eq!(refund.status, StatusCode::OK, "{refund:?}");
        eventually("the refund is mailed with its amount", HANG_LIMIT, async || {
            let mails = server.list_mails_to("ada@example.com");
            mails.iter().any(|mail| {
                mail.text.contains("erstattet") && mail.text.contains(amount) && mail.html.contains(amount)
            })
        })
        .await;
    }

    // A rewound follower delivers the events again, and no mail is sent again.
    let rewind = merchant.post("/followers/mail/rewind", &json!({"flashSaleId": sale, "seq": 0})).await;
    assert_eq!(rewind.status, StatusCode::OK, "{rewind:?}");
    let other = order(&app, &ada, &sale, 1).await.json();
    assert_eq!(pay(&app, &ada, &id(&other), "approve").await.status, StatusCode::OK);
    eventually("the second receipt", HANG_LIMIT, async || {
        server.list_mails_to("ada@example.com").iter().any(|mail| mail.text.contains(&id(&other)))
    })
    .await;
    let about_first =
        server.list_mails_to("ada@example.com").into_iter().filter(|mail| mail.text.contains(&id(&made)));
    assert_eq!(about_first.count(), 3, "a receipt and two refunds");
    assert_match(&app, &server, &sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_hears_of_a_turn_and_of_a_missed_one() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let admission =
        json!({"type": "fifo", "perSecond": 1, "checkoutSeconds": 600, "lineOpensSecondsBefore": 0});
    let sale = merchant.sale(&json!({"quantity": 1, "admission": admission})).await;
    join_line(&app, &ada, &sale).await;
    let place = wait_until_admitted(&app, &ada, &sale).await;
    let turn = arrived_about(&server, "ada@example.com", "It is your turn: A thing").await;
    let until = place["admittedUntil"].as_str().unwrap();
    let until = format!("{} {} UTC", &until[..10], &until[11..16]);
    assert!(turn.text.contains(&until), "{until}: {}", turn.text);
    assert!(turn.text.contains("https://shop.example/s/"), "{}", turn.text);
    app.shift_clock(600_000);
    arrived_about(&server, "ada@example.com", "Your turn is over: A thing").await;
    assert_match(&app, &server, &sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_about_a_turn_is_given_up_when_the_turn_is_over() {
    let server = MailServer::start();
    server.refuse("ada@example.com", "451 4.3.0 later", 2);
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    // Long enough that the first try is never late.
    let admission =
        json!({"type": "fifo", "perSecond": 1, "checkoutSeconds": 600, "lineOpensSecondsBefore": 0});
    let sale = merchant.sale(&json!({"quantity": 1, "admission": admission})).await;
    join_line(&app, &ada, &sale).await;
    eventually("the first try fails", HANG_LIMIT, async || {
        let page = merchant.get("/mails?state=waiting").await;
        let mails = page["items"].as_array().unwrap();
        mails.iter().any(|mail| mail["kind"] == "your_turn" && mail["reason"].is_string())
    })
    .await;
    app.shift_clock(600_000);
    eventually("the mail is given up", HANG_LIMIT, async || {
        let page = merchant.get("/mails?state=given_up").await;
        page["items"].as_array().unwrap().iter().any(|mail| mail["kind"] == "your_turn")
    })
    .await;
    arrived_about(&server, "ada@example.com", "Your turn is over").await;
    assert_match(&app, &server, &sale).await;
    let mails = server.list_mails_to("ada@example.com");
    assert!(!mails.iter().any(|mail| mail.header("Subject").contains("It is your turn")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_about_a_turn_that_was_used_is_given_up() {
    let server = MailServer::start();
    server.refuse("ada@example.com", "451 4.3.0 later", 2);
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let admission =
        json!({"type": "fifo", "perSecond": 1, "checkoutSeconds": 600, "lineOpensSecondsBefore": 0});
    let sale = merchant.sale(&json!({"quantity": 1, "admission": admission})).await;
    join_line(&app, &ada, &sale).await;
    eventually("the first try fails", HANG_LIMIT, async || {
        let page = merchant.get("/mails?state=waiting").await;
        let mails = page["items"].as_array().unwrap();
        mails.iter().any(|mail| mail["kind"] == "your_turn" && mail["reason"].is_string())
    })
    .await;
    let held = order(&app, &ada, &sale, 1).await;
    assert!(held.status.is_success(), "{held:?}");
    app.shift_clock(61_000);
    eventually("the mail is given up", HANG_LIMIT, async || {
        let page = merchant.get("/mails?state=given_up").await;
        let mails = page["items"].as_array().unwrap();
        mails.iter().any(|mail| {
            mail["kind"] == "your_turn" && mail["reason"] == "the turn was used or left, or is over"
        })
    })
    .await;
    let mails = server.list_mails_to("ada@example.com");
    assert!(!mails.iter().any(|mail| mail.header("Subject").contains("It is your turn")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_merchant_switches_kinds_of_mails_off() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let switches = merchant.get("/mail-switches").await;
    assert_eq!(switches["order_confirmed"], true);
    assert_eq!(switches.get("reset_password"), None, "it has no switch");
    let wrong = merchant.patch("/mail-switches", &json!({"reset_password": false, "nothing": true})).await;
    assert_eq!(wrong.problem(), "invalid_body");
    let off = merchant.patch("/mail-switches", &json!({"order_confirmed": false})).await;
    assert_eq!(
        (&off.json()["order_confirmed"], &off.json()["order_refunded"]),
        (&json!(false), &json!(true))
    );
    let sale = merchant.sale(&json!({})).await;
    let ada = app.register("ada").await;
    let made = order(&app, &ada, &sale, 1).await.json();
    assert_eq!(pay(&app, &ada, &id(&made), "approve").await.status, StatusCode::OK);
    let mail = listed(&app, "given_up", "ada@example.com").await;
    assert_eq!(mail["reason"], "the merchant has switched off this kind of mail");
    assert_match(&app, &server, &sale).await;
    assert!(merchant.patch("/mail-switches", &json!({"order_confirmed": true})).await.status.is_success());
}

/// A sale that starts in so many milliseconds.
async fn upcoming_sale(merchant: &Merchant<'_>, ms: i64) -> String {
    let times = json!({"startsAt": merchant.moment(ms), "endsAt": merchant.moment(ms + 24 * HOUR_MS)});
    merchant.sale(&times).await
}

async fn subscribe(app: &TestApp, sale: &str, body: &Value) -> HttpReply {
    app.post(&format!("/api/v1/flash-sales/{sale}/reminders"), body).await
}

/// Ends the subscription of a mail, as a mail program does it.
async fn press_unsubscribe(app: &TestApp, mail: &ArrivedMail) {
    let one_click = mail.header("List-Unsubscribe").trim_matches(['<', '>']);
    let request = app.request(Method::POST, one_click.strip_prefix("https://shop.example").unwrap());
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let reply = HttpReply::send(request.body("List-Unsubscribe=One-Click")).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{reply:?}");
}

/// Counts the rows of `FROM … WHERE …` in the shop's tables.
async fn count_rows(pool: &sqlx::AnyPool, from: &str) -> i64 {
    let statement = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) {from}"));
    sqlx::query_scalar(statement).fetch_one(pool).await.unwrap()
}

/// Waits until what became of each mail is recorded, which is a moment after it arrived. When the clock is turned past the end of its lease in
/// that moment, it is sent again.
async fn wait_until_recorded(app: &TestApp) {
    let pool = app.database().await;
    eventually("no mail is leased", HANG_LIMIT, async || {
        count_rows(&pool, "FROM mails WHERE lease IS NOT NULL").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_announced_a_day_and_a_quarter_of_an_hour_before_it_starts() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = upcoming_sale(&merchant, 25 * HOUR_MS).await;
    for (body, pointer) in [
        (json!({"topic": "start"}), "/email"),
        (json!({"topic": "all", "email": "eve@example.com"}), "/topic"),
        (json!({"topic": "start", "email": "eve"}), "/email"),
        (json!({"topic": "start", "email": "eve@example.com", "language": "fr"}), "/language"),
    ] {
        assert_eq!(error_pointers(&subscribe(&app, &sale, &body).await), [pointer]);
    }
    let reply =
        subscribe(&app, &sale, &json!({"topic": "start", "email": "Eve@example.com", "language": "de"}))
            .await;
    assert_eq!(
        (reply.status, reply.json()),
        (StatusCode::ACCEPTED, json!({"email": "eve@example.com", "topic": "start"}))
    );
    let again = subscribe(&app, &sale, &json!({"topic": "start", "email": "eve@example.com"})).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "a repeat changes nothing");
    let ada = app.register("ada").await;
    let path = format!("/api/v1/flash-sales/{sale}/reminders");
    let own = app.post_as(&ada.access, &path, &json!({"topic": "start"})).await;
    assert_eq!(own.json()["email"], "ada@example.com");
    assert_eq!(
        subscribe(&app, "nothing", &json!({"topic": "start", "email": "eve@example.com"})).await.problem(),
        "sale_unknown"
    );

    app.shift_clock(HOUR_MS + 60_000);
    let first = arrived_about(&server, "eve@example.com", "Der Verkauf beginnt").await;
    assert!(first.text.contains("Keine Mails mehr zu diesem Verkauf"), "{}", first.text);
    assert_eq!(first.header("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    arrived_about(&server, "ada@example.com", "the sale starts").await;
    for _ in 0..2 {
        press_unsubscribe(&app, &first).await;
    }
    wait_until_recorded(&app).await;
    app.shift_clock(24 * HOUR_MS - 16 * 60_000 + 60_000);
    eventually("the second reminder", HANG_LIMIT, async || {
        let mails = server.list_mails_to("ada@example.com");
        mails.iter().filter(|mail| mail.header("Subject").contains("the sale starts")).count() == 2
    })
    .await;
    assert_eq!(server.list_mails_to("eve@example.com").len(), 1, "who has unsubscribed hears no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_link_ends_its_subscription_also_after_the_token_key_was_replaced() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = upcoming_sale(&merchant, 25 * HOUR_MS).await;
    for email in ["eve@example.com", "bob@example.com"] {
        let wish = json!({"topic": "start", "email": email});
        assert_eq!(subscribe(&app, &sale, &wish).await.status, StatusCode::ACCEPTED);
    }
    app.shift_clock(HOUR_MS + 60_000);
    let of_old_key = arrived_about(&server, "eve@example.com", "the sale starts").await;
    listed(&app, "sent", "bob@example.com").await;
    let folder = tempfile::tempdir().unwrap();
    let other_key = folder.path().join("token-key.pem");
    server::auth::tokens::read_or_create_key(&other_key).unwrap();
    let app = app.restart_with(&["--token-key", other_key.to_str().unwrap()]).await;
    let pool = app.database().await;
    app.shift_clock(24 * HOUR_MS - 15 * 60_000);
    let of_new_key = arrived(&server, "bob@example.com", 2).await.pop().unwrap();
    assert_eq!(count_rows(&pool, "FROM mail_subscriptions").await, 2);
    for mail in [of_old_key, of_new_key] {
        press_unsubscribe(&app, &mail).await;
    }
    assert_eq!(count_rows(&pool, "FROM mail_subscriptions").await, 0);
    assert_eq!(count_rows(&pool, "FROM mail_unsubscribe_links").await, 0, "they end with their subscription");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_confirmed_address_sees_and_ends_its_reminders() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"quantity": 1})).await;
    for topic in ["start", "unit"] {
        for email in ["ada@example.com", "eve@example.com"] {
            subscribe(&app, &sale, &json!({"topic": topic, "email": email})).await;
        }
    }
    // Before the address is confirmed its account may be that of a stranger.
    let ada = app.register("ada").await;
    let own = async || app.get_as(&ada.access, "/api/v1/reminders").await.json();
    let unconfirmed = own().await;
    assert_eq!(unconfirmed, json!({"email": "ada@example.com", "isConfirmed": false, "items": []}));
    confirm(&app, &server, "ada@example.com").await;
    let listed = own().await;
    assert_eq!(listed["isConfirmed"], true);
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{listed}");
    assert_eq!((&items[0]["flashSaleId"], &items[0]["topic"]), (&json!(sale), &json!("start")));
    assert!(items[0]["product"].is_string() && items[0]["slug"].is_string(), "{listed}");

    let end = async |buyer: &SignedInUser, reminder: &Value| {
        let path = format!("/api/v1/reminders/{}", id(reminder));
        let request = app.request(Method::DELETE, &path).bearer_auth(&buyer.access);
        assert_eq!(HttpReply::send(request).await.status, StatusCode::NO_CONTENT);
    };
    let eve = app.register("eve").await;
    confirm(&app, &server, "eve@example.com").await;
    end(&eve, &items[0]).await;
    assert_eq!(own().await["items"].as_array().unwrap().len(), 2, "one of another address stays");
    end(&ada, &items[0]).await;
    end(&ada, &items[0]).await;
    assert_eq!(own().await["items"], json!([items[1]]));
    let stranger = HttpReply::send(app.request(Method::GET, "/api/v1/reminders")).await;
    assert_eq!(stranger.problem(), "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reminder_of_a_subscription_that_has_ended_is_given_up() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = upcoming_sale(&merchant, 25 * HOUR_MS).await;
    let wish = json!({"topic": "start", "email": "eve@example.com"});
    assert_eq!(subscribe(&app, &sale, &wish).await.status, StatusCode::ACCEPTED);
    app.shift_clock(HOUR_MS + 60_000);
    let first = arrived_about(&server, "eve@example.com", "the sale starts").await;
    wait_until_recorded(&app).await;
    // The second reminder waits for its next try when she unsubscribes.
    server.refuse("eve@example.com", "451 4.7.1 greylisted", 1);
    app.shift_clock(24 * HOUR_MS - 15 * 60_000);
    eventually("the second reminder is refused", HANG_LIMIT, async || {
        listed(&app, "waiting", "eve@example.com").await["reason"].is_string()
    })
    .await;
    press_unsubscribe(&app, &first).await;
    app.shift_clock(60_000);
    let given_up = listed(&app, "given_up", "eve@example.com").await;
    assert_eq!(given_up["reason"], "the subscription has ended");
    assert_eq!(server.list_mails_to("eve@example.com").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_who_waits_for_a_unit_hears_once_that_one_came_back() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"quantity": 1})).await;
    let ada = app.register("ada").await;
    let held = order(&app, &ada, &sale, 1).await.json();
    assert_eq!(
        subscribe(&app, &sale, &json!({"topic": "unit", "email": "eve@example.com"})).await.status,
        202
    );
    let cancel = async |order: &Value| {
        let path = format!("/api/v1/orders/{}", id(order));
        let reply = HttpReply::send(app.request(Method::DELETE, &path).bearer_auth(&ada.access)).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    };
    cancel(&held).await;
    let mail = arrived_about(&server, "eve@example.com", "A unit of A thing came back").await;
    assert!(mail.text.contains("https://shop.example/unsubscribe#token=dbm_"), "{}", mail.text);
    // She has heard of it; the next unit is for those who ask again.
    let held = order(&app, &ada, &sale, 1).await.json();
    assert_eq!(
        subscribe(&app, &sale, &json!({"topic": "unit", "email": "bob@example.com"})).await.status,
        202
    );
    cancel(&held).await;
    arrived_about(&server, "bob@example.com", "A unit of A thing came back").await;
    assert_eq!(server.list_mails_to("eve@example.com").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_who_did_not_get_the_mail_about_a_unit_hears_of_the_next_one() {
    let server = MailServer::start();
    server.refuse("eve@example.com", "451 4.3.0 later", 1);
    server.refuse("carl@example.com", "550 5.1.1 no such mailbox", 1);
    let app = shop_with(&server.url(), &[]).await;
    let pool = app.database().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"quantity": 1})).await;
    let ada = app.register("ada").await;
    let return_unit = async || {
        let held = order(&app, &ada, &sale, 1).await.json();
        let path = format!("/api/v1/orders/{}", id(&held));
        let reply = HttpReply::send(app.request(Method::DELETE, &path).bearer_auth(&ada.access)).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    };
    for email in ["eve@example.com", "carl@example.com"] {
        let wish = json!({"topic": "unit", "email": email});
        assert_eq!(subscribe(&app, &sale, &wish).await.status, StatusCode::ACCEPTED);
    }
    return_unit().await;
    listed(&app, "bounced", "carl@example.com").await;
    eventually("the first try fails", HANG_LIMIT, async || {
        listed(&app, "waiting", "eve@example.com").await["reason"].is_string()
    })
    .await;
    // While her mail waits she gets no other one.
    return_unit().await;
    subscribe(&app, &sale, &json!({"topic": "unit", "email": "bob@example.com"})).await;
    return_unit().await;
    arrived_about(&server, "bob@example.com", "A unit of A thing came back").await;
    let of_eve = "FROM mails WHERE recipient = 'eve@example.com'";
    assert_eq!(count_rows(&pool, of_eve).await, 1);
    app.shift_clock(10 * 60_000);
    listed(&app, "given_up", "eve@example.com").await;
    return_unit().await;
    arrived_about(&server, "eve@example.com", "A unit of A thing came back").await;
    assert_eq!(count_rows(&pool, of_eve).await, 2);
    // An address that bounces gets no mail for a week, and takes nobody's place.
    let of_carl = "FROM mails WHERE recipient = 'carl@example.com'";
    assert_eq!(count_rows(&pool, of_carl).await, 1);
    sqlx::query("DELETE FROM mail_bounces").execute(&pool).await.unwrap();
    return_unit().await;
    arrived_about(&server, "carl@example.com", "A unit of A thing came back").await;
    eventually("all subscriptions are used", HANG_LIMIT, async || {
        count_rows(&pool, "FROM mail_subscriptions").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_comes_back_in_a_pause_is_mailed_when_buyers_can_buy_again() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"quantity": 1})).await;
    let ada = app.register("ada").await;
    let held = order(&app, &ada, &sale, 1).await.json();
    let wish = json!({"topic": "unit", "email": "eve@example.com"});
    assert_eq!(subscribe(&app, &sale, &wish).await.status, 202);
    let paused = merchant.post(&format!("/flash-sales/{sale}/pause"), &json!({})).await;
    assert!(paused.status.is_success(), "{paused:?}");
    let path = format!("/api/v1/orders/{}", id(&held));
    let cancelled = HttpReply::send(app.request(Method::DELETE, &path).bearer_auth(&ada.access)).await;
    assert_eq!(cancelled.status, StatusCode::OK, "{cancelled:?}");
    // The follower has delivered the cancelled order while the sale was paused.
    eventually("the follower has caught up", HANG_LIMIT, async || {
        let followers = merchant.get("/followers").await;
        let items = followers["items"].as_array().unwrap();
        items.iter().any(|item| item["name"] == "mail" && item["eventsBehind"] == 0)
    })
    .await;
    let mails = merchant.get("/mails").await;
    let mails = mails["items"].as_array().unwrap();
    assert!(!mails.iter().any(|mail| mail["kind"] == "unit_returned"), "{mails:?}");
    let resumed = merchant.post(&format!("/flash-sales/{sale}/resume"), &json!({})).await;
    assert!(resumed.status.is_success(), "{resumed:?}");
    let mail = arrived_about(&server, "eve@example.com", "A unit of A thing came back").await;
    assert!(mail.text.contains("https://shop.example/s/"), "{}", mail.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admins_hear_of_an_endpoint_that_was_disabled() {
    let server = MailServer::start();
    let flags = ["--webhooks-allow-http", "--webhooks-allow-private", "127.0.0.0/8"];
    let app = shop_with(&server.url(), &flags).await;
    let merchant = Merchant::sign_in(&app).await;
    let receiver = WebhookReceiver::with_status(410);
    let body = json!({"url": receiver.url("/secret-path"), "types": ["sale.announced"]});
    let webhook = merchant.post("/webhooks", &body).await.json();
    merchant.sale(&json!({})).await;
    let mail = arrived_about(&server, ADMIN_EMAIL, "are off").await;
    assert!(mail.text.contains("gone (410)"), "{}", mail.text);
    let link = format!("https://shop.example/admin/webhooks/{}", id(&webhook));
    assert!(mail.text.contains(&link), "{}", mail.text);
    assert!(!mail.text.contains("secret-path"), "an address may have a secret: {}", mail.text);
    // An edit of the disabled endpoint is no news; that it is disabled again is. What waited is due by then, and is sent at once.
    let path = format!("/webhooks/{}", id(&webhook));
    assert!(merchant.patch(&path, &json!({"description": "The warehouse"})).await.status.is_success());
    app.shift_clock(60_000);
    assert!(merchant.patch(&path, &json!({"enabled": true})).await.status.is_success());
    eventually("the second mail", HANG_LIMIT, async || {
        let mails = server.list_mails_to(ADMIN_EMAIL);
        mails.iter().filter(|mail| mail.header("Subject").contains("are off")).count() == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admins_hear_of_payments_that_cannot_be_settled_once_an_hour() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 5})).await;
    let ada = app.register("ada").await;
    let pool = app.database().await;
    let stick = async |n: i64| {
        let made = order(&app, &ada, &sale, 1).await.json();
        assert_eq!(pay(&app, &ada, &id(&made), "approve").await.status, StatusCode::OK);
        // As when its provider has not answered for years: the reconciler leaves it until then.
        let statement = format!(
            "UPDATE payments SET state = 'voiding', updated_at = {n}, try_at = {} WHERE order_id = '{}'",
            i64::MAX / 2,
            id(&made)
        );
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    };
    stick(0).await;
    let count = || {
        let mails = server.list_mails_to(ADMIN_EMAIL);
        mails.iter().filter(|mail| mail.header("Subject").contains("A payment needs you")).count()
    };
    let mail = arrived_about(&server, ADMIN_EMAIL, "A payment needs you").await;
    // The templates write the slashes of an attribute as references.
    let html = mail.html.replace("&#x2f;", "/");
    for part in ["being released", "https://shop.example/admin/orders?q="] {
        assert!(mail.text.contains(part) && html.contains(part), "{part}: {}\n{html}", mail.text);
    }
    assert_eq!(count(), 1);
    // Another one needs a person, while the oldest still does: within the hour no admin hears of it.
    stick(1).await;
    wait_until_recorded(&app).await;
    app.shift_clock(30 * 60_000);
    let later = json!({"email": "ada@example.com"});
    assert_eq!(app.post("/api/v1/auth/forgot", &later).await.status, StatusCode::ACCEPTED);
    arrived_about(&server, "ada@example.com", "Choose a new password").await;
    assert_eq!(count(), 1);
    wait_until_recorded(&app).await;
    app.shift_clock(31 * 60_000);
    eventually("the next mail", HANG_LIMIT, async || count() == 2).await;
}

/// Uses the link of the first mail to an address.
async fn confirm(app: &TestApp, server: &MailServer, email: &str) {
    let link = arrived_about(server, email, "Confirm your e-mail address").await;
    let reply = app.post("/api/v1/auth/verify", &json!({"token": link.token()})).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_may_be_for_confirmed_addresses_only() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &["--guests", "on"]).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"requireConfirmedEmail": true})).await;
    let other = merchant.sale(&json!({})).await;
    let shows = async |sale: &str| {
        app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["requireConfirmedEmail"].clone()
    };
    assert_eq!((shows(&sale).await, shows(&other).await), (json!(true), json!(false)));
    let ada = app.register("ada").await;
    assert_refused(&order(&app, &ada, &sale, 1).await, 403, "email_unconfirmed");
    assert_eq!(order(&app, &ada, &other, 1).await.status, StatusCode::CREATED);
    confirm(&app, &server, "ada@example.com").await;
    assert_eq!(order(&app, &ada, &sale, 1).await.status, StatusCode::CREATED);
    // A code proves a guest's address.
    let call = async |body: Value| app.post("/api/v1/auth/guest", &body).await;
    assert_eq!(call(json!({"email": "eve@example.com"})).await.status, StatusCode::ACCEPTED);
    let code = guest_code(&server, "eve@example.com", 1).await;
    let eve = call(json!({"email": "eve@example.com", "code": code})).await.json();
    let body = json!({"flashSaleId": sale, "quantity": 1});
    let reply = app.post_as(eve["accessToken"].as_str().unwrap(), "/api/v1/orders", &body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    // It stays so after a restart, and cannot be changed.
    let path = format!("/flash-sales/{sale}");
    let edit = merchant.patch(&path, &json!({"requireConfirmedEmail": false})).await;
    assert_eq!(edit.problem(), "invalid_body");
    let bob = app.register("bob").await;
    let app = app.restart().await;
    assert_refused(&order(&app, &bob, &sale, 1).await, 403, "email_unconfirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_may_be_for_confirmed_addresses_only() {
    let server = MailServer::start();
    let app = shop_with(&server.url(), &[]).await;
    let merchant = Merchant::sign_in(&app).await;
    let admission =
        json!({"type": "fifo", "perSecond": 10, "checkoutSeconds": 60, "lineOpensSecondsBefore": 0});
    let sale = merchant
        .sale(&json!({"admission": admission, "requireConfirmedEmail": true, "limitBy": "mailbox"}))
        .await;
    let ada = app.register("ada").await;
    assert_refused(&join_line(&app, &ada, &sale).await, 403, "email_unconfirmed");
    confirm(&app, &server, "ada@example.com").await;
    assert!(join_line(&app, &ada, &sale).await.status.is_success());
    wait_until_admitted(&app, &ada, &sale).await;
    assert_eq!(order(&app, &ada, &sale, 1).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_without_mail_makes_no_sale_for_confirmed_addresses() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("A thing").await;
    let body = merchant.sale_body(&product, &json!({"requireConfirmedEmail": true}));
    let reply = merchant.post("/flash-sales", &body).await;
    assert_eq!(error_pointers(&reply), ["/requireConfirmedEmail"]);
    let body = merchant.sale_body(&product, &json!({"requireConfirmedEmail": "yes"}));
    assert_eq!(error_pointers(&merchant.post("/flash-sales", &body).await), ["/requireConfirmedEmail"]);
}
