//! Compares every reply that the suite sees with the OpenAPI description: its status, its code, its media type, and its body against
//! the schema.

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
pub fn operations() -> impl Iterator<Item = (String, String, &'static Value)> {
    let paths = DESCRIPTION["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.to_ascii_uppercase(), path.clone(), operation))
    })
}
