//! Making an account, signing in and out, staying signed in.

use crate::support::{ADMIN_EMAIL, HttpReply, PASSWORD, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::json;
use server::shop::accounts::{self, REFRESH_GRACE_MS};
use std::collections::HashSet;
use test_servers::wait::{HANG_LIMIT, eventually_some};

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_registers_signs_in_and_sees_themselves() {
    let app = TestApp::start().await;
    let body = json!({"email": "Ada@Example.com", "username": "Ada", "password": PASSWORD});
    let reply = app.post("/api/v1/auth/register", &body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let registered = reply.json();
    assert_eq!(registered["user"]["email"], "ada@example.com");
    assert_eq!(registered["user"]["username"], "Ada");
    assert_eq!(registered["user"]["role"], "buyer");
    assert!(registered["user"]["createdAt"].as_str().unwrap().ends_with('Z'), "{registered}");
    assert_eq!(registered["expiresIn"], 86_400);

    for name in [json!({"email": "ADA@example.com"}), json!({"username": "ada"})] {
        let mut login = name;
        login["password"] = PASSWORD.into();
        let reply = app.post("/api/v1/auth/login", &login).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        let me = app.get_as(&SignedInUser::from_body(&reply.json()).access, "/api/v1/auth/me").await;
        assert_eq!(me.status, StatusCode::OK);
        assert_eq!(me.json(), registered["user"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_account_with_the_same_address_or_name_is_refused() {
    let app = TestApp::start().await;
    app.register("ada").await;
    for (email, username, code) in
        [("ADA@example.com", "other", "email_taken"), ("other@example.com", "ADA", "username_taken")]
    {
        let body = json!({"email": email, "username": username, "password": PASSWORD});
        let reply = app.post("/api/v1/auth/register", &body).await;
        assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::CONFLICT, code));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_parallel_registrations_of_one_name_one_succeeds() {
    let app = TestApp::start().await;
    let body = json!({"email": "ada@example.com", "username": "ada", "password": PASSWORD});
    let attempts = (0..50).map(|_| app.post("/api/v1/auth/register", &body));
    let replies = futures::future::join_all(attempts).await;
    let made = replies.iter().filter(|reply| reply.status == StatusCode::CREATED).count();
    assert_eq!(made, 1);
    for reply in replies.iter().filter(|reply| reply.status != StatusCode::CREATED) {
        assert!(["email_taken", "overloaded"].contains(&reply.problem().as_str()), "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_name_get_the_same_reply() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let mut bodies = Vec::new();
    for login in [
        json!({"username": "ada", "password": "wrong password"}),
        json!({"username": "nobody", "password": PASSWORD}),
        json!({"email": "nobody@example.com", "password": PASSWORD}),
    ] {
        let reply = app.post("/api/v1/auth/login", &login).await;
        assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::UNAUTHORIZED, "bad_credentials"));
        bodies.push(reply.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_not_valid_are_all_named() {
    let app = TestApp::start().await;
    let body = json!({"email": "nobody", "username": "<script>", "password": "short"});
    let reply = app.post("/api/v1/auth/register", &body).await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid_body"));
    insta::assert_json_snapshot!(reply.json()["errors"], @r#"
    [
      {
        "detail": "an e-mail address, such as ada@example.com",
        "pointer": "/email"
      },
      {
        "detail": "3 to 32 letters, digits, '_', '.' or '-'",
        "pointer": "/username"
      },
      {
        "detail": "8 to 256 characters",
        "pointer": "/password"
      }
    ]
    "#);
    let reply = app.post("/api/v1/auth/login", &json!({"password": PASSWORD})).await;
    assert_eq!(reply.problem(), "invalid_body");
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_and_script_in_names_are_just_text() {
    let app = TestApp::start().await;
    app.register("ada").await;
    for text in ["' OR '1'='1", "ada'; DROP TABLE users; --", "<img src=x onerror=alert(1)>", "\u{0}", "🦀"]
    {
        let reply = app.post("/api/v1/auth/login", &json!({"username": text, "password": text})).await;
        assert_eq!(reply.problem(), "invalid_body", "{text}");
        let body =
            json!({"email": "eve@example.com", "username": "eve", "password": format!("{text}-----------")});
        let reply = app.post("/api/v1/auth/register", &body).await;
        if text == "\u{0}" {
            assert_eq!(reply.problem(), "invalid_body", "no text has it, not even a password");
        } else {
            assert!([StatusCode::CREATED, StatusCode::CONFLICT].contains(&reply.status), "{reply:?}");
        }
    }
    app.get_as(&app.admin().await.access, "/api/v1/auth/me").await.json();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_works_once_and_a_second_use_ends_the_session() {
    let app = TestApp::start().await;
    let first = app.register("ada").await;
    let refresh = async |token: &str| app.post("/api/v1/auth/refresh", &json!({"refreshToken": token})).await;
    let reply = refresh(&first.refresh).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let second = SignedInUser::from_body(&reply.json());
    assert_ne!(first.refresh, second.refresh);
    assert_eq!(app.get_as(&second.access, "/api/v1/auth/me").await.status, StatusCode::OK);

    app.shift_clock(REFRESH_GRACE_MS + 1_000);
    let reused = refresh(&first.refresh).await;
    assert_eq!((reused.status, reused.problem().as_str()), (StatusCode::UNAUTHORIZED, "bad_refresh_token"));
    assert_eq!(refresh(&second.refresh).await.problem(), "bad_refresh_token", "the family is revoked");
    for token in [&first.access, &second.access] {
        assert_eq!(app.get_as(token, "/api/v1/auth/me").await.problem(), "unauthorized");
    }
    assert_eq!(refresh("dbr_unknown").await.problem(), "bad_refresh_token");
    assert_eq!(refresh(&"x".repeat(50_000)).await.problem(), "bad_refresh_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_refreshes_with_one_token_get_one_successor() {
    let app = TestApp::start().await;
    let tokens = app.register("ada").await;
    let body = json!({"refreshToken": tokens.refresh});
    let replies = futures::future::join_all((0..20).map(|_| app.post("/api/v1/auth/refresh", &body))).await;
    // A busy database may not answer each in time.
    let replies = replies.iter().filter(|reply| reply.status != StatusCode::SERVICE_UNAVAILABLE);
    let successors: HashSet<String> =
        replies.map(|reply| SignedInUser::from_body(&reply.json()).refresh).collect();
    assert_eq!(successors.len(), 1);
    let count = count_rows(
        &app,
        "SELECT COUNT(*) FROM refresh_tokens WHERE used_at IS NULL AND session_id = \
        (SELECT session_id FROM refresh_tokens WHERE used_at IS NOT NULL)",
    );
    assert_eq!(count.await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_reply_was_lost_is_repeated_while_its_successor_is_unused() {
    let app = TestApp::start().await;
    let first = app.register("ada").await;
    let refresh = async |app: &TestApp, token: &str| {
        app.post("/api/v1/auth/refresh", &json!({"refreshToken": token})).await
    };
    let lost = SignedInUser::from_body(&refresh(&app, &first.refresh).await.json());
    // The process that sent the lost reply is gone, too.
    let app = app.restart().await;
    app.shift_clock(REFRESH_GRACE_MS - 25_000);
    let again = refresh(&app, &first.refresh).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    let again = SignedInUser::from_body(&again.json());
    assert_eq!(again.refresh, lost.refresh);
    assert_eq!(app.get_as(&again.access, "/api/v1/auth/me").await.status, StatusCode::OK);

    let next = SignedInUser::from_body(&refresh(&app, &again.refresh).await.json());
    let stolen = refresh(&app, &first.refresh).await;
    assert_eq!(stolen.problem(), "bad_refresh_token", "its successor is used: two clients have the token");
    assert_eq!(refresh(&app, &next.refresh).await.problem(), "bad_refresh_token", "the family is revoked");
    assert_eq!(app.get_as(&next.access, "/api/v1/auth/me").await.problem(), "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_hold_no_refresh_token_and_not_what_its_successor_is_computed_from() {
    let app = TestApp::start().await;
    let first = app.register("ada").await;
    let second = app.post("/api/v1/auth/refresh", &json!({"refreshToken": first.refresh})).await.json();
    let second = SignedInUser::from_body(&second);
    let pool = app.database().await;
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT token_hash FROM refresh_tokens").fetch_all(&pool).await.unwrap();
    assert!(rows.len() >= 2);
    for row in rows {
        assert!(row.len() == 64 && row.bytes().all(|byte| byte.is_ascii_hexdigit()), "{row}");
        assert!(![&first.refresh, &second.refresh].contains(&&row));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_refreshed_lives_on_and_its_logout_outlives_a_restart() {
    let app = TestApp::start_with(&["--limits", "off", "--refresh-ttl", "1h", "--token-ttl", "2h"]).await;
    let mut tokens = app.register("ada").await;
    let sweep = async |app: &TestApp| {
        accounts::forget_expired_sessions(&app.instance.app.shop.accounts).await.unwrap();
    };
    for _ in 0..3 {
        app.shift_clock(40 * 60_000);
        sweep(&app).await;
        let reply = app.post("/api/v1/auth/refresh", &json!({"refreshToken": tokens.refresh})).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        tokens = SignedInUser::from_body(&reply.json());
    }
    let used = "SELECT COUNT(*) FROM refresh_tokens WHERE used_at IS NOT NULL";
    assert!(count_rows(&app, used).await <= 2, "expired tokens of the session are deleted");
    let signed_out = app.post_as(&tokens.access, "/api/v1/auth/logout", &json!({})).await;
    assert_eq!(signed_out.status, StatusCode::NO_CONTENT);
    // The refresh token has expired, and the access token would be valid for another 50 minutes.
    app.shift_clock(70 * 60_000);
    sweep(&app).await;
    assert_eq!(app.get_as(&tokens.access, "/api/v1/auth/me").await.problem(), "unauthorized");
    let app = app.restart().await;
    assert_eq!(app.get_as(&tokens.access, "/api/v1/auth/me").await.problem(), "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_expires() {
    let app = TestApp::start_with(&["--limits", "off", "--refresh-ttl", "1h"]).await;
    let tokens = app.register("ada").await;
    app.shift_clock(3_600_001);
    let reply = app.post("/api/v1/auth/refresh", &json!({"refreshToken": tokens.refresh})).await;
    assert_eq!(reply.problem(), "bad_refresh_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_voids_the_session_here_at_once_and_after_a_restart() {
    let app = TestApp::start().await;
    let (tokens, other) = (app.register("ada").await, app.admin().await);
    let reply =
        HttpReply::send(app.request(Method::POST, "/api/v1/auth/logout").bearer_auth(&tokens.access)).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{reply:?}");
    let check = async |app: &TestApp| {
        assert_eq!(app.get_as(&tokens.access, "/api/v1/auth/me").await.problem(), "unauthorized");
        let refresh = json!({"refreshToken": tokens.refresh});
        assert_eq!(app.post("/api/v1/auth/refresh", &refresh).await.problem(), "bad_refresh_token");
        assert_eq!(app.get_as(&other.access, "/api/v1/auth/me").await.status, StatusCode::OK, "others stay");
    };
    check(&app).await;
    check(&app.restart().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_bcrypt_hash_is_accepted_and_upgraded() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let bcrypt = bcrypt::hash("an old password", 4).unwrap();
    for prefix in ["$2a", "$2b", "$2y"] {
        let imported = format!("{prefix}{}", &bcrypt[3..]);
        set_hash(&app, &imported).await;
        for _ in 0..2 {
            let login = json!({"username": "ada", "password": "an old password"});
            assert_eq!(app.post("/api/v1/auth/login", &login).await.status, StatusCode::OK);
            assert!(hash(&app).await.starts_with("$argon2id$"));
        }
        let login = json!({"username": "ada", "password": "another password"});
        assert_eq!(app.post("/api/v1/auth/login", &login).await.problem(), "bad_credentials");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_bcrypt_cuts_off_signs_in_and_does_not_replace_the_hash() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let owned = format!("{}-right", "p".repeat(72));
    let imported = bcrypt::hash(&owned, 4).unwrap();
    set_hash(&app, &imported).await;
    let login = async |password: &str| {
        app.post("/api/v1/auth/login", &json!({"username": "ada", "password": password})).await.status
    };
    for password in [format!("{}-typo", "p".repeat(72)), "p".repeat(72), owned.clone()] {
        assert_eq!(login(&password).await, StatusCode::OK, "{password}");
        assert_eq!(hash(&app).await, imported, "the owner's password still signs in");
    }
    assert_eq!(login(&"p".repeat(71)).await, StatusCode::UNAUTHORIZED);
    // A password of the owner's choice ends it.
    let tokens = app.post("/api/v1/auth/login", &json!({"username": "ada", "password": owned})).await.json();
    let change = json!({"currentPassword": owned, "newPassword": format!("{owned} is new")});
    let tokens = SignedInUser::from_body(&tokens);
    assert_eq!(app.post_as(&tokens.access, "/api/v1/auth/password", &change).await.status, StatusCode::OK);
    assert_eq!(login(&format!("{owned} is wrong")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(login(&format!("{owned} is new")).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_that_costs_too_much_signs_nobody_in() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let argon2 =
        "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let bcrypt = bcrypt::hash(PASSWORD, 4).unwrap().replace("$04$", "$31$");
    for imported in [argon2, bcrypt.as_str()] {
        set_hash(&app, imported).await;
        let reply = app.post("/api/v1/auth/login", &json!({"username": "ada", "password": PASSWORD})).await;
        assert_eq!(reply.problem(), "bad_credentials");
        assert_eq!(hash(&app).await, imported);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_signs_in_in_whatever_form_a_keyboard_sends_it() {
    let app = TestApp::start().await;
    let (composed, decomposed) =
        ("gr\u{fc}\u{df}e aus der k\u{fc}che", "gru\u{308}\u{df}e aus der ku\u{308}che");
    let body = json!({"email": "ada@example.com", "username": "ada", "password": decomposed});
    assert_eq!(app.post("/api/v1/auth/register", &body).await.status, StatusCode::CREATED);
    let login = async |password: &str| {
        app.post("/api/v1/auth/login", &json!({"username": "ada", "password": password})).await.status
    };
    for typed in [composed, decomposed] {
        assert_eq!(login(typed).await, StatusCode::OK);
    }
    // Imported, or from before passwords were normalised: hashed as it was typed.
    let imported = bcrypt::hash(decomposed, 4).unwrap();
    for typed in [composed, decomposed] {
        set_hash(&app, &imported).await;
        for _ in 0..2 {
            assert_eq!(login(typed).await, StatusCode::OK);
            assert!(hash(&app).await.starts_with("$argon2id$"));
        }
    }
    assert_eq!(login("grusse aus der kuche").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_common_password_is_refused_for_a_new_account_and_a_new_password() {
    let app = TestApp::start().await;
    let ada = app.register("ada").await;
    for common in ["password", "Password1", "1234567890", "qwertyuiop"] {
        let body = json!({"email": "eve@example.com", "username": "eve", "password": common});
        let reply = app.post("/api/v1/auth/register", &body).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (422, "invalid_body"), "{common}");
        assert_eq!(reply.json()["errors"][0]["pointer"], "/password");
        let change = json!({"currentPassword": PASSWORD, "newPassword": common});
        let reply = app.post_as(&ada.access, "/api/v1/auth/password", &change).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (422, "invalid_body"), "{common}");
        assert_eq!(reply.json()["errors"][0]["pointer"], "/newPassword");
    }
    // One that was imported signs in.
    set_hash(&app, &bcrypt::hash("password", 4).unwrap()).await;
    let login = json!({"username": "ada", "password": "password"});
    assert_eq!(app.post("/api/v1/auth/login", &login).await.status, StatusCode::OK);
}

async fn count_rows(app: &TestApp, query: &'static str) -> i64 {
    let pool = app.database().await;
    sqlx::query_scalar(query).fetch_one(&pool).await.unwrap()
}

async fn set_hash(app: &TestApp, hash: &str) {
    let pool = app.database().await;
    sqlx::query("UPDATE users SET password_hash = $1 WHERE username = 'ada'")
        .bind(hash)
        .execute(&pool)
        .await
        .unwrap();
}

async fn hash(app: &TestApp) -> String {
    let pool = app.database().await;
    sqlx::query_scalar("SELECT password_hash FROM users WHERE username = 'ada'")
        .fetch_one(&pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_one_admin() {
    let app = TestApp::start().await;
    let me = app.get_as(&app.admin().await.access, "/api/v1/auth/me").await.json();
    assert_eq!(me["role"], "admin");
    assert_eq!(me["email"], ADMIN_EMAIL);
    assert!(app.instance.first_admin.is_none(), "a password that was given is not printed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_storm_is_refused_with_retry_after_and_reads_go_on() {
    let app = TestApp::start_with(&["--limits", "off"]).await;
    let body = json!({"username": "nobody", "password": PASSWORD});
    // On a busy machine a storm may be so slow that it is none.
    let refused = eventually_some("some of a storm is refused", HANG_LIMIT, async || {
        let storm = futures::future::join_all((0..200).map(|_| app.post("/api/v1/auth/login", &body)));
        let (mut replies, probe) = tokio::join!(storm, app.get("/livez"));
        assert_eq!(probe.status, StatusCode::OK);
        replies.retain(|reply| reply.status == StatusCode::SERVICE_UNAVAILABLE);
        (!replies.is_empty()).then_some(replies)
    })
    .await;
    for reply in refused {
        assert_eq!(reply.problem(), "overloaded");
        assert!(reply.header("retry-after").parse::<u32>().unwrap() >= 1);
    }
}
