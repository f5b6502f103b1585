//! Bad input: each gets a whole problem document, and the next request is served as ever.

use crate::support::{HttpReply, PASSWORD, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::json;

const REGISTER: &str = "/api/v1/auth/register";

/// A POST of these bytes as JSON.
async fn post_raw(app: &TestApp, body: impl Into<reqwest::Body>) -> HttpReply {
    let request = app.request(Method::POST, REGISTER).header("content-type", "application/json");
    HttpReply::send(request.body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_a_problem_document() {
    let app = TestApp::start().await;
    let reply = app.get("/api/v1/nowhere").await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::NOT_FOUND, "not_found"));
    insta::assert_json_snapshot!(reply.json(), @r#"
    {
      "code": "not_found",
      "detail": "no resource has this address",
      "instance": "/api/v1/nowhere",
      "status": 404,
      "title": "Not found",
      "type": "/problems/not_found"
    }
    "#);
    for path in ["/api", "/api/v1/", "/..%2f..%2fetc/passwd", "/%ff", "/docs/nothing.js", "/problems/nothing"]
    {
        assert_eq!(app.get(path).await.problem(), "not_found", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_gets_the_list_of_allowed_methods() {
    let app = TestApp::start().await;
    for (method, path, allow) in [
        (Method::GET, REGISTER, "POST"),
        (Method::DELETE, REGISTER, "POST"),
        (Method::OPTIONS, REGISTER, "POST"),
        (Method::POST, "/livez", "GET,HEAD"),
        (Method::from_bytes(b"BREW").unwrap(), REGISTER, "POST"),
    ] {
        let reply = HttpReply::send(app.request(method, path)).await;
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
        );
        assert_eq!(reply.header("allow"), allow, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_json_is_unsupported() {
    let app = TestApp::start().await;
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "", "/", "\u{fc}"]
    {
        let request = app.request(Method::POST, REGISTER).header("content-type", content_type).body("{}");
        let reply = HttpReply::send(request).await;
        assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
        assert_eq!(reply.problem(), "unsupported_media_type");
    }
    for content_type in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.shop+json"] {
        let request = app.request(Method::POST, REGISTER).header("content-type", content_type).body("{}");
        assert_eq!(HttpReply::send(request).await.problem(), "invalid_body", "{content_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_json_is_refused_with_its_position() {
    let app = TestApp::start().await;
    let deep = "[".repeat(60_000);
    let twice = json!({"email": "a@b.c", "username": "ada", "password": PASSWORD}).to_string().repeat(2);
    for body in ["", "{", "nonsense", "{\"email\":}", &twice, "{\"email\": \"\u{1}\"}"] {
        let reply = post_raw(&app, body.to_owned()).await;
        assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::BAD_REQUEST, "bad_json"), "{body}");
    }
    assert_eq!(post_raw(&app, deep).await.problem(), "invalid_body");
    assert_eq!(post_raw(&app, "{\"email\":".repeat(6000)).await.problem(), "invalid_body");
    let reply = post_raw(&app, "{\n  \"email\": oops}").await;
    assert_eq!(reply.json()["detail"], "the body is not valid JSON at line 2, column 12");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_are_refused() {
    let app = TestApp::start().await;
    let mut body = br#"{"email": ""#.to_vec();
    body.extend_from_slice(&[0xff, 0xfe, 0xc3, 0x28]);
    body.extend_from_slice(br#""}"#);
    let reply = post_raw(&app, body).await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::BAD_REQUEST, "bad_json"));
    assert_eq!(post_raw(&app, b"{\"email\": \"\\ud800\"}".to_vec()).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_and_wrong_types_are_pointed_at() {
    let app = TestApp::start().await;
    for (body, pointer) in [
        (json!({"email": 7, "username": "ada", "password": PASSWORD}), "/email"),
        (json!({"email": "ada@example.com", "username": null, "password": PASSWORD}), "/username"),
        (
            json!({"email": "ada@example.com", "username": "ada", "password": PASSWORD, "isAdmin": true}),
            "/isAdmin",
        ),
        (
            json!({"email": "ada@example.com", "username": "ada", "password": PASSWORD, "a/b~c": true}),
            "/a~1b~0c",
        ),
        (json!({"username": "ada", "password": PASSWORD}), "/email"),
        (json!(["ada@example.com", "ada", PASSWORD]), ""),
        (json!("text"), ""),
    ] {
        let reply = app.post(REGISTER, &body).await;
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid_body")
        );
        assert_eq!(reply.json()["errors"][0]["pointer"], pointer, "{body} {}", reply.json());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_a_hundred_thousand_characters_are_refused_in_few_words() {
    let app = TestApp::start_with(&["--limits", "off", "--body-limit", "1048576"]).await;
    let huge = "a".repeat(100_000);
    let bodies = [
        json!({"email": format!("{huge}@example.com"), "username": huge, "password": huge}),
        json!({huge.as_str(): 1}),
        json!({"email": {"a": huge}, "username": "ada", "password": PASSWORD}),
        json!({"email": "ada@example.com", "username": 1, "password": PASSWORD, "x": huge}),
    ];
    for body in bodies {
        let reply = app.post(REGISTER, &body).await;
        assert_eq!(reply.problem(), "invalid_body");
        assert!(reply.body.len() < 1500, "{} bytes", reply.body.len());
    }
    let refresh = json!({"refreshToken": huge});
    assert_eq!(app.post("/api/v1/auth/refresh", &refresh).await.problem(), "bad_refresh_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_ten_megabytes_gets_its_answer() {
    let app = TestApp::start().await;
    let reply = post_raw(&app, vec![b'x'; 10 << 20]).await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    assert_eq!(reply.json()["detail"], "a body may have 65536 bytes");

    // Without a length it is counted as it comes.
    let pieces = futures::stream::iter((0..160).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10])));
    let reply = post_raw(&app, reqwest::Body::wrap_stream(pieces)).await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));

    // A body where none is expected is refused too.
    let reply = HttpReply::send(app.request(Method::GET, "/livez").body(vec![0; 100_000])).await;
    assert_eq!(reply.problem(), "body_too_large");
    let fits = format!("{{\"email\":\"{}\"}}", "a".repeat(65_536 - 12));
    assert_eq!(fits.len(), 65_536);
    assert_eq!(post_raw(&app, fits).await.problem(), "invalid_body");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sort_of_problem_has_a_page() {
    let app = TestApp::start().await;
    for kind in server::http::problem::kind::ALL {
        let reply = app.get(&format!("/problems/{}", kind.code)).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", kind.code);
        assert!(String::from_utf8(reply.body).unwrap().contains(kind.title));
    }
}
