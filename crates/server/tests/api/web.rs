//! The shop's pages as a browser gets them.

use crate::support::{HttpReply, TestApp};
use reqwest::{Method, StatusCode};

#[tokio::test(flavor = "multi_thread")]
async fn every_address_of_a_page_answers_with_the_page_or_how_to_build_it() {
    let app = TestApp::start().await;
    let first = app.get("/").await;
    for path in
        ["/", "/s/lamp", "/orders", "/orders/1", "/sign-in", "/register", "/admin", "/admin/sales/1/edit"]
    {
        let reply = app.get(path).await;
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(reply.body, first.body, "{path}");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        let text = String::from_utf8(reply.body).unwrap();
        match reply.status {
            StatusCode::OK => assert!(text.contains("/assets/"), "{text}"),
            status => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                assert!(text.contains("make run"), "{text}");
            }
        }
    }
    assert_eq!(app.request(Method::POST, "/orders").send().await.unwrap().status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_lost_gets_a_page_and_a_program_a_problem() {
    let app = TestApp::start().await;
    let ask = async |path: &str, accept: &str| {
        HttpReply::send(app.request(Method::GET, path).header("accept", accept)).await
    };
    let lost = ask("/nowhere", "text/html,application/xhtml+xml").await;
    assert_eq!(lost.header("content-type"), "text/html; charset=utf-8");
    assert!(!lost.status.is_success());
    assert_eq!(ask("/nowhere", "*/*").await.problem(), "not_found");
    for path in ["/api/v1/nowhere", "/assets/nothing.js", "/docs/nothing.js", "/assets/..%2findex.html"] {
        assert_eq!(ask(path, "text/html").await.problem(), "not_found", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_hash_in_its_name_is_kept_for_good_and_the_page_is_asked_for_again() {
    let app = TestApp::start().await;
    let page = app.get("/").await;
    assert_eq!(
        page.status,
        StatusCode::OK,
        "this server has no pages in it: `scripts/web.sh build` makes them"
    );
    assert_eq!(page.header("cache-control"), "no-cache");
    let again =
        HttpReply::send(app.request(Method::GET, "/").header("if-none-match", page.header("etag"))).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));

    let text = String::from_utf8(page.body).unwrap();
    let files: Vec<&str> = text.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(
        files.iter().any(|file| file.ends_with(".js")) && files.iter().any(|file| file.ends_with(".css"))
    );
    for file in files {
        let plain = app.get(file).await;
        assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable", "{file}");
        for coding in ["br", "gzip"] {
            let packed =
                HttpReply::send(app.request(Method::GET, file).header("accept-encoding", coding)).await;
            if plain.body.len() > 2_000 {
                assert_eq!(packed.header("content-encoding"), coding, "{file}");
                assert!(packed.body.len() < plain.body.len(), "{file}");
            }
        }
    }
}
