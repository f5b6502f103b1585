//! Making an account, signing in and out, staying signed in.

use crate::support::{ADMIN_EMAIL, HttpReply, PASSWORD, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::json;

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
        assert!([StatusCode::CREATED, StatusCode::CONFLICT].contains(&reply.status), "{reply:?}");
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
async fn of_many_parallel_refreshes_at_most_one_succeeds() {
    let app = TestApp::start().await;
    let tokens = app.register("ada").await;
    let body = json!({"refreshToken": tokens.refresh});
    let replies = futures::future::join_all((0..20).map(|_| app.post("/api/v1/auth/refresh", &body))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == StatusCode::OK).count(), 1);
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
    let app = TestApp::start().await;
    let body = json!({"username": "nobody", "password": PASSWORD});
    let storm = futures::future::join_all((0..200).map(|_| app.post("/api/v1/auth/login", &body)));
    let (replies, probe) = tokio::join!(storm, app.get("/livez"));
    assert_eq!(probe.status, StatusCode::OK);
    let refused: Vec<_> =
        replies.iter().filter(|reply| reply.status == StatusCode::SERVICE_UNAVAILABLE).collect();
    assert!(!refused.is_empty());
    for reply in refused {
        assert_eq!(reply.problem(), "overloaded");
        assert!(reply.header("retry-after").parse::<u32>().unwrap() >= 1);
    }
}
