//! Access tokens that someone tampered with, in every way that has ever worked somewhere.

use crate::support::{HttpReply, TestApp};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signer, SigningKey};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const ME: &str = "/api/v1/auth/me";

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&BASE64.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    format!("{signed}.{}", BASE64.encode(sign(signed.as_bytes())))
}

async fn assert_refused(app: &TestApp, token: &str, how: &str) {
    let reply = app.get_as(token, ME).await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::UNAUTHORIZED, "unauthorized"), "{how}");
    assert!(reply.header("www-authenticate").starts_with("Bearer"), "{how}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_are_refused() {
    let app = TestApp::start().await;
    let real = app.register("ada").await.access;
    let jwks = app.get("/.well-known/jwks.json").await.json();
    let public = BASE64.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
    let (header, claims) = (part(&real, 0), part(&real, 1));
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(header["kid"], jwks["keys"][0]["kid"]);

    let with = |value: &Value, name: &str, new: &str| {
        let mut value = value.clone();
        value[name] = new.into();
        value
    };
    let foreign = SigningKey::from_bytes(&[9; 32]);
    let ed25519 = |bytes: &[u8]| foreign.sign(bytes).to_bytes().to_vec();
    // HMAC with the public key as its secret: what a library does that trusts the token's own `alg`.
    let hs256 = |bytes: &[u8]| hmac_sha256(&public, bytes);
    let admin = with(&claims, "role", "admin");
    let mut own_key = header.clone();
    own_key["jwk"] =
        json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(foreign.verifying_key().as_bytes())});
    for (how, forged) in [
        ("alg none", token(&with(&header, "alg", "none"), &admin, |_| Vec::new())),
        ("alg nOnE", token(&with(&header, "alg", "nOnE"), &admin, |_| Vec::new())),
        ("no signature", token(&header, &admin, |_| Vec::new())),
        ("HS256 with the public key", token(&with(&header, "alg", "HS256"), &admin, hs256)),
        ("EdDSA header, HMAC signature", token(&header, &admin, hs256)),
        ("another key", token(&header, &admin, ed25519)),
        ("another key with its own kid", token(&with(&header, "kid", "other"), &admin, ed25519)),
        ("a key of its own in the header", token(&own_key, &admin, ed25519)),
        ("a changed claim under the old signature", {
            let (_, signature) = real.rsplit_once('.').unwrap();
            format!("{}.{}.{signature}", BASE64.encode(header.to_string()), BASE64.encode(admin.to_string()))
        }),
        ("an all-zero signature", token(&header, &admin, |_| vec![0; 64])),
        ("four parts", format!("{real}.x")),
        ("two parts", real.rsplit_once('.').unwrap().0.to_owned()),
        ("padding", format!("{real}==")),
        ("garbage", "garbage".to_owned()),
        ("ten thousand characters", "a".repeat(10_000)),
    ] {
        assert_refused(&app, &forged, how).await;
    }
    assert_eq!(app.get_as(&real, ME).await.status, StatusCode::OK, "the real one still works");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_shop_is_refused() {
    let (app, other) = (TestApp::start().await, TestApp::start().await);
    let foreign = other.register("ada").await.access;
    app.register("ada").await;
    assert_refused(&app, &foreign, "another shop's token").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_expires_on_the_minute_known_or_not() {
    let app = TestApp::start().await;
    let token = app.register("ada").await.access;
    app.shift_clock(86_400_000 - 60_000);
    assert_eq!(app.get_as(&token, ME).await.status, StatusCode::OK);
    app.shift_clock(61_000);
    assert_refused(&app, &token, "expired, from the cache").await;
    let app = app.restart().await;
    assert_refused(&app, &token, "expired, checked again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_outlive_a_restart() {
    let app = TestApp::start().await;
    let tokens = app.register("ada").await;
    let app = app.restart().await;
    assert_eq!(app.get_as(&tokens.access, ME).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_bearer_token_signs_in() {
    let app = TestApp::start().await;
    let token = app.register("ada").await.access;
    for (value, status) in [
        (format!("Bearer {token}"), StatusCode::OK),
        (format!("bearer {token}"), StatusCode::OK),
        (format!("Basic {token}"), StatusCode::UNAUTHORIZED),
        (token.clone(), StatusCode::UNAUTHORIZED),
        ("Bearer".to_owned(), StatusCode::UNAUTHORIZED),
        ("Bearer ".to_owned(), StatusCode::UNAUTHORIZED),
        (String::new(), StatusCode::UNAUTHORIZED),
        ("ÄÖÜ€€€€€ä".to_owned(), StatusCode::UNAUTHORIZED),
    ] {
        let reply = HttpReply::send(app.request(Method::GET, ME).header("authorization", &value)).await;
        assert_eq!(reply.status, status, "{value}");
    }
    assert_eq!(app.get(&format!("{ME}?access_token={token}")).await.status, StatusCode::UNAUTHORIZED);
}

/// RFC 2104 over SHA-256, for the attack above.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let pad = |byte: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).unwrap_or(&0) ^ byte).collect() };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_an_account_has_its_integer_id_and_its_name() {
    let app = TestApp::start().await;
    // The first account is the admin's.
    let ada = app.register("ada").await;
    let claims = part(&ada.access, 1);
    assert_eq!((&claims["userId"], &claims["username"]), (&json!("2"), &json!("ada")));
    assert_eq!(part(&app.admin().await.access, 1)["userId"], "1");
    let refreshed = app.post("/api/v1/auth/refresh", &json!({"refreshToken": ada.refresh})).await.json();
    let claims = part(refreshed["accessToken"].as_str().unwrap(), 1);
    assert_eq!((&claims["userId"], &claims["username"]), (&json!("2"), &json!("ada")));
}
