//! The shop's pages as a browser gets them.

use crate::merchant::{Merchant, eur, id};
use crate::support::{HttpReply, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn every_address_of_a_page_answers_with_the_page_or_how_to_build_it() {
    let app = TestApp::start().await;
    let first = app.get("/").await;
    let id = "0190f3a4-0000-7000-8000-000000000000";
    for path in [
        "/",
        "/orders",
        &format!("/orders/{id}"),
        "/sign-in",
        "/register",
        "/admin",
        "/admin/products",
        &format!("/admin/sales/{id}/edit"),
    ] {
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

async fn get_html(app: &TestApp, path: &str) -> HttpReply {
    HttpReply::send(app.request(Method::GET, path).header("accept", "text/html")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_leads_nowhere_is_the_page_with_404() {
    let app = TestApp::start().await;
    let page = app.get("/").await;
    for path in [
        "/s/unknown",
        "/orders/not-a-uuid",
        "/admin/nowhere",
        "/admin/orders/1",
        "/admin/sales/1/edit",
        "/admin/products/1",
        "/nowhere",
    ] {
        let reply = get_html(&app, path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(reply.body, page.body, "{path}");
        assert!(reply.header("content-security-policy").contains("script-src 'self';"), "{path}");
        let known = app.request(Method::GET, path).header("accept", "text/html");
        let known = HttpReply::send(known.header("if-none-match", page.header("etag"))).await;
        assert_eq!(known.status, StatusCode::NOT_FOUND, "also for who has the page: {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_at_the_end_redirects_to_the_page() {
    let app = TestApp::start().await;
    for (path, page) in
        [("/s/demo/", "/s/demo"), ("/admin/", "/admin"), ("/orders/?from=mail", "/orders?from=mail")]
    {
        let reply = app.get(path).await;
        assert_eq!((reply.status, reply.header("location")), (StatusCode::PERMANENT_REDIRECT, page));
    }
    for path in ["/nowhere/", "//evil.example/", "/api/v1/flash-sales/"] {
        assert_eq!(app.get(path).await.problem(), "not_found", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_sale_has_a_preview() {
    let app = TestApp::start_with(&["--limits", "off", "--public-url", "https://shop.example/"]).await;
    let merchant = Merchant::sign_in(&app).await;
    let product = json!({
        "name": "<b>\"Ember\" & Co</b>",
        "description": "Warm.\n\nAnd bright.",
        "price": eur(4999),
        "imageUrl": "/img/ember.png?a=1&b=2",
    });
    let product = id(&merchant.post("/products", &product).await.json());
    let sale = merchant.sale_body(&product, &json!({"slug": "ember"}));
    let created = merchant.post("/flash-sales", &sale).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");

    let reply = app.get("/s/ember").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.header("link").starts_with("</api/v1/flash-sales/ember>; rel=preload"));
    let html = String::from_utf8(reply.body.clone()).unwrap();
    for tag in [
        "<title>&lt;b&gt;&quot;Ember&quot; &amp; Co&lt;/b&gt; · Doorbuster</title>",
        r#"<meta property="og:type" content="product">"#,
        r#"<meta property="og:title" content="&lt;b&gt;&quot;Ember&quot; &amp; Co&lt;/b&gt;">"#,
        r#"<meta property="og:description" content="29.99 EUR instead of 49.99 EUR. Warm. And bright.">"#,
        r#"<meta name="description" content="29.99 EUR instead of 49.99 EUR. Warm. And bright.">"#,
        r#"<meta property="og:url" content="https://shop.example/s/ember">"#,
        r#"<link rel="canonical" href="https://shop.example/s/ember">"#,
        r#"<meta property="og:image" content="https://shop.example/img/ember.png?a=1&amp;b=2">"#,
        r#"<meta property="product:price:amount" content="29.99">"#,
        r#"<meta property="product:price:currency" content="EUR">"#,
    ] {
        assert_eq!(html.matches(tag).count(), 1, "{tag} in {html}");
    }
    assert_eq!(html.matches("<title>").count(), 1);
    assert!(!html.contains("<b>") && html.contains("/assets/"), "{html}");
    let policy = reply.header("content-security-policy");
    assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");

    // All forms are one content with one tag.
    let with = async |name: &str, value: &str| {
        HttpReply::send(app.request(Method::GET, "/s/ember").header(name, value)).await
    };
    let gzip = with("accept-encoding", "gzip").await;
    assert_eq!((gzip.header("content-encoding"), gzip.header("etag")), ("gzip", reply.header("etag")));
    assert_eq!(gzip.decoded_body(), reply.body);
    assert_eq!(with("accept-encoding", "br").await.header("content-encoding"), "br");
    assert_eq!(with("if-none-match", reply.header("etag")).await.status, StatusCode::NOT_MODIFIED);
    let edit = json!({"product": {"description": "Cool."}});
    let edited = merchant.patch(&format!("/flash-sales/{}", id(&created.json())), &edit).await;
    assert_eq!(edited.status, StatusCode::OK, "{edited:?}");
    let edited = with("if-none-match", reply.header("etag")).await;
    assert_eq!(edited.status, StatusCode::OK);
    assert!(String::from_utf8(edited.body).unwrap().contains("instead of 49.99 EUR. Cool."));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_address_of_a_sale_leads_to_its_new_one() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"slug": "old", "startsAt": merchant.moment(600_000)})).await;
    let moved = merchant.patch(&format!("/flash-sales/{sale}"), &json!({"slug": "new"})).await;
    assert_eq!(moved.status, StatusCode::OK, "{moved:?}");
    let reply = app.get("/s/old?from=mail").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (StatusCode::PERMANENT_REDIRECT, "/s/new?from=mail")
    );
    assert_eq!(app.get("/s/new").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_has_whole_addresses_or_none_and_a_demo_those_of_its_listener() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    for (slug, picture) in [("path", "/img/a.png"), ("web", "https://cdn.example/a.png")] {
        let product = json!({"name": "A thing", "price": eur(4999), "imageUrl": picture});
        let product = id(&merchant.post("/products", &product).await.json());
        let sale = merchant.sale_body(&product, &json!({"slug": slug}));
        assert_eq!(merchant.post("/flash-sales", &sale).await.status, StatusCode::CREATED);
        let html = String::from_utf8(app.get(&format!("/s/{slug}")).await.body).unwrap();
        assert!(
            html.contains("og:title") && !html.contains("og:url") && !html.contains("canonical"),
            "{html}"
        );
        assert_eq!(
            html.contains(r#"<meta property="og:image" content="https://cdn.example/a.png">"#),
            slug == "web"
        );
        assert!(!html.contains(r#"content="/img/a.png""#), "{html}");
    }
    let demo = TestApp::start_with(&["--demo"]).await;
    let html = String::from_utf8(demo.get("/s/demo").await.body).unwrap();
    let url = format!(r#"<meta property="og:url" content="http://{}/s/demo">"#, demo.instance.address);
    assert!(html.contains(&url), "{url} in {html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_and_crawlers_find_what_they_always_ask_for() {
    let app = TestApp::start().await;
    let icon = app.get("/favicon.ico").await;
    assert_eq!((icon.status, icon.header("content-type")), (StatusCode::OK, "image/x-icon"));
    assert!(icon.body.starts_with(&[0, 0, 1, 0]));
    let robots = app.get("/robots.txt").await;
    assert_eq!((robots.status, robots.header("content-type")), (StatusCode::OK, "text/plain; charset=utf-8"));
    let text = String::from_utf8(robots.body).unwrap();
    assert!(text.contains("Disallow: /admin\n") && !text.contains("Disallow: /s/"), "{text}");
}
