//! Both databases answer alike: a text that one of them cannot store is refused before either sees it, at every parameter and field
//! of the OpenAPI description.

use crate::described::DESCRIPTION;
use crate::merchant::Merchant;
use crate::support::{HttpReply, TestApp};
use reqwest::Method;
use serde_json::{Map, Value, json};

const SOME_ID: &str = "0190f3a4-0000-7000-8000-000000000000";
/// A text that PostgreSQL cannot store.
const NUL: &str = "a\u{0}b";

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_postgres_cannot_store_is_refused_by_a_shop_on_sqlite() {
    refuse_nul_everywhere(&TestApp::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_postgres_cannot_store_is_refused_by_a_shop_on_postgres() {
    refuse_nul_everywhere(&TestApp::on_postgres().await).await;
}

async fn refuse_nul_everywhere(app: &TestApp) {
    let token = Merchant::sign_in(app).await.token;
    let (mut parameters, mut fields) = (0, 0);
    for (path, item) in DESCRIPTION["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                let reply = match parameter["in"].as_str().unwrap() {
                    "query" => {
                        let path = fill_path(path, SOME_ID);
                        send(app, &token, &method, &format!("{path}?{name}=a%00b"), &json!({})).await
                    }
                    "path" => send(app, &token, &method, &fill_path(path, "a%00b"), &json!({})).await,
                    // No header can have it.
                    _ => continue,
                };
                let expected = if parameter["in"] == "path" { 404 } else { 422 };
                assert!(
                    reply.status == expected || (parameter["in"] == "path" && reply.status == 422),
                    "{method} {path} {name}: {reply:?}"
                );
                parameters += 1;
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            for pointer in text_fields(schema, &mut Vec::new()) {
                let body = body_with(&pointer, NUL);
                let reply = send(app, &token, &method, &fill_path(path, SOME_ID), &body).await;
                assert_eq!(reply.problem(), "invalid_body", "{method} {path} {body}");
                let expected = json!({"pointer": pointer, "detail": "must not have the character U+0000"});
                let errors = reply.json()["errors"].as_array().unwrap().clone();
                assert!(errors.contains(&expected), "{method} {path} {pointer}: {errors:?}");
                fields += 1;
            }
        }
    }
    assert!(parameters > 60 && fields > 30, "{parameters} parameters and {fields} fields were tried");
    // A name of a field, and an escape that is none.
    let odd = json!({"a\u{0}": 1});
    assert_eq!(
        send(app, &token, &Method::POST, "/api/v1/admin/products", &odd).await.problem(),
        "invalid_body"
    );
    let product = json!({"name": "\\u0000", "price": {"amount": 1, "currency": "EUR"}});
    let made = send(app, &token, &Method::POST, "/api/v1/admin/products", &product).await;
    assert_eq!((made.status.as_u16(), &made.json()["name"]), (201, &json!("\\u0000")));
}

async fn send(app: &TestApp, token: &str, method: &Method, path: &str, body: &Value) -> HttpReply {
    let request = app.request(method.clone(), path).bearer_auth(token);
    let reply = HttpReply::send(if *method == Method::GET { request } else { request.json(body) }).await;
    assert!(reply.status.as_u16() < 500, "{method} {path}: {reply:?}");
    reply
}

/// The path with this text in place of its variables.
fn fill_path(template: &str, text: &str) -> String {
    let parts = template.split('/').map(|part| if part.starts_with('{') { text } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// The pointers of a schema's text fields.
fn text_fields(schema: &Value, open: &mut Vec<String>) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        if open.iter().any(|known| known == reference) {
            return Vec::new();
        }
        open.push(reference.to_owned());
        let found = text_fields(DESCRIPTION.pointer(reference.trim_start_matches('#')).unwrap(), open);
        open.pop();
        return found;
    }
    let mut found = Vec::new();
    let is_text = |kind: &Value| {
        kind == "string" || kind.as_array().is_some_and(|kinds| kinds.contains(&json!("string")))
    };
    if is_text(&schema["type"]) {
        found.push(String::new());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        found.extend(text_fields(field, open).into_iter().map(|rest| format!("/{name}{rest}")));
    }
    for parts in ["oneOf", "allOf", "anyOf"] {
        for part in schema[parts].as_array().into_iter().flatten() {
            found.extend(text_fields(part, open));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// A body with a text at this pointer and nothing else.
fn body_with(pointer: &str, text: &str) -> Value {
    pointer
        .rsplit('/')
        .filter(|name| !name.is_empty())
        .fold(json!(text), |inner, name| Value::Object(Map::from_iter([(name.to_owned(), inner)])))
}
