//! Compares every reply that the suite sees with the OpenAPI description: its status, its code, its media type, and its body against
//! the schema.

use crate::merchant::{Merchant, id, order};
use crate::support::{HttpReply, TestApp};
use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// The description as clients read it.
pub static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(server::http::openapi()).unwrap());

/// Templates of paths and their patterns in the description.
static PATHS: LazyLock<matchit::Router<String>> = LazyLock::new(|| {
    let mut paths = matchit::Router::new();
    for path in DESCRIPTION["paths"].as_object().unwrap().keys() {
        paths.insert(path, path.clone()).unwrap();
    }
    paths
});

/// Validators by the JSON pointer of their schema.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// # Panics
/// When the operation of the description does not have this reply. Paths and methods without an operation answer what the edge says.
pub fn assert_described(method: &Method, path: &str, status: u16, content_type: Option<&str>, body: &[u8]) {
    let Ok(found) = PATHS.at(path) else { return };
    let template = found.value.as_str();
    let operation = &DESCRIPTION["paths"][template][method.as_str().to_ascii_lowercase()];
    if operation.is_null() {
        return;
    }
    let told = || format!("{method} {path} ({template}) → {status}: {}", String::from_utf8_lossy(body));
    let mut pointer =
        format!("/paths/{}/{}/responses/{status}", escape(template), method.as_str().to_ascii_lowercase());
    let mut reply = DESCRIPTION.pointer(&pointer).unwrap_or_else(|| panic!("no such status: {}", told()));
    if let Some(reference) = reply["$ref"].as_str() {
        pointer = reference.trim_start_matches('#').to_owned();
        reply = DESCRIPTION.pointer(&pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"));
    }
    let media_type = content_type.map(|text| text.split(';').next().unwrap_or_default().trim());
    let Some(content) = reply["content"].as_object().filter(|content| !content.is_empty()) else {
        assert!(body.is_empty(), "a body that is not described: {}", told());
        return;
    };
    let media_type = media_type.unwrap_or_else(|| panic!("no media type: {}", told()));
    assert!(content.contains_key(media_type), "{media_type} is not described: {}", told());
    if !media_type.ends_with("json") {
        return;
    }
    let document: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", told()));
    if let Some(codes) = reply["x-codes"].as_array() {
        assert!(codes.contains(&document["code"]), "a code that is not described: {}", told());
    }
    let schema = format!("{pointer}/content/{}/schema", escape(media_type));
    let errors: Vec<String> = validator(&schema)
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:?}: {}", told());
}

/// The validator of a schema of the description; made once.
fn validator(pointer: &str) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap();
    let known = validators.entry(pointer.to_owned()).or_insert_with(|| {
        let mut schema =
            DESCRIPTION.pointer(pointer).unwrap_or_else(|| panic!("no schema {pointer}")).clone();
        if let Some(schema) = schema.as_object_mut() {
            // A member that the description does not have is as wrong as one that it has otherwise.
            if schema.contains_key("$ref") {
                schema.insert("unevaluatedProperties".to_owned(), json!(false));
            }
            schema.insert("components".to_owned(), DESCRIPTION["components"].clone());
        }
        let options = jsonschema::options().should_validate_formats(true);
        Arc::new(options.build(&schema).unwrap_or_else(|error| panic!("{pointer}: {error}")))
    });
    Arc::clone(known)
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Every operation of the description, with its method and path.
fn operations() -> impl Iterator<Item = (String, String, &'static Value)> {
    let paths = DESCRIPTION["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.to_ascii_uppercase(), path.clone(), operation))
    })
}

#[test]
fn an_operation_describes_what_follows_from_its_form() {
    for (method, path, operation) in operations() {
        let name = format!("{method} {path}");
        let has = |status: &str| !operation["responses"][status].is_null();
        let (is_api, needs_token) = (path.starts_with("/api/"), operation["security"] != json!([]));
        for (status, expected) in [
            ("401", needs_token || name.ends_with("/auth/login") || name.ends_with("/auth/refresh")),
            ("429", is_api),
            ("503", is_api || path == "/readyz" || path == "/health"),
        ] {
            assert_eq!(has(status), expected, "{name}: {status}");
        }
        assert!(has("413") && has("500") && has("504"), "{name}");
        assert!(!path.contains("/admin/") || has("403"), "{name}");
        assert!(
            operation["requestBody"].is_null() || ["400", "408", "415", "422"].into_iter().all(has),
            "{name}"
        );
        assert!(!path.contains('{') || has("404"), "{name}");
        assert!(operation["security"].is_array(), "{name} says who may call it");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let key = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key");
        assert_eq!(key.is_some(), method != "GET", "{name}");
        for bounded in parameters.iter().filter(|parameter| parameter["name"] == "limit") {
            assert_eq!(
                (&bounded["schema"]["minimum"], &bounded["schema"]["maximum"]),
                (&json!(1), &json!(200)),
                "{name}"
            );
        }
    }
}

#[test]
fn every_schema_and_reply_is_used() {
    let text = DESCRIPTION.to_string();
    for kind in ["schemas", "responses"] {
        for name in DESCRIPTION["components"][kind].as_object().unwrap().keys() {
            assert!(text.contains(&format!("\"#/components/{kind}/{name}\"")), "{name} is not used");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_may_be_repeated_accepts_a_key_without_effect() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 2})).await;
    let fifo = json!({"admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 60}});
    let line = merchant.sale(&fifo).await;
    let held = id(&order(&app, &ada, &sale, 1).await.json());
    let in_line = json!({"flashSaleId": line});
    for (method, path, token, body, expected) in [
        (Method::POST, format!("/admin/flash-sales/{sale}/pause"), &merchant.token, json!({}), [200, 200]),
        (Method::POST, format!("/admin/flash-sales/{sale}/resume"), &merchant.token, json!({}), [200, 200]),
        (
            Method::PATCH,
            format!("/admin/flash-sales/{sale}"),
            &merchant.token,
            json!({"quantity": 12}),
            [200, 200],
        ),
        (Method::DELETE, format!("/orders/{held}"), &ada.access, json!({}), [200, 200]),
        (Method::POST, "/queue/join".to_owned(), &ada.access, in_line, [201, 200]),
        (Method::DELETE, format!("/queue/leave?flashSaleId={line}"), &ada.access, json!({}), [204, 404]),
        (Method::POST, format!("/admin/flash-sales/{sale}/close"), &merchant.token, json!({}), [200, 200]),
    ] {
        for expected in expected {
            let request = app.request(method.clone(), &format!("/api/v1{path}")).bearer_auth(token);
            let reply = HttpReply::send(request.header("idempotency-key", "one key").json(&body)).await;
            assert_eq!(reply.status.as_u16(), expected, "{method} {path}: {reply:?}");
        }
    }
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["quantity"], 12);
}
