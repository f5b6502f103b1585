//! A JSON body with many fields, whose invalid fields are reported all at once. serde stops at the first error; a body that it
//! refuses is therefore read again without the refused field until it is accepted, and then the rules of `garde` run. Fields and
//! rules are declared at the type of the body; this module knows none of them.

pub mod fields;

use super::AppState;
use super::extract::{find_nul_fields, is_json_array, json_pointer, json_problem, read_json_body};
use super::problem::{FieldError, Problem, kind};
use axum::extract::{FromRequest, Request};
use garde::Validate;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

/// A body whose fields are all valid. Each field of `T` is an `Option` that a reader of [`fields`] fills, so that a body can be
/// read without its invalid fields.
#[derive(Debug, Clone, Copy)]
pub struct ValidJson<T>(pub T);

/// Invalid fields in one reply. Each costs another reading of the body.
const ERRORS_MAX: usize = 32;

impl<T: DeserializeOwned + Validate<Context = ()>> FromRequest<AppState> for ValidJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let body = read_json_body(request, app).await?;
        parse_valid_json(&body).map(Self)
    }
}

/// Reads and validates a body.
///
/// # Errors
/// 400 when the text is not JSON, 422 with a JSON pointer for each field that is not valid.
pub fn parse_valid_json<T: DeserializeOwned + Validate<Context = ()>>(body: &[u8]) -> Result<T, Problem> {
    let (value, mut errors) = read_fields::<T>(body)?;
    let with_nul = find_nul_fields(body);
    errors.retain(|error| with_nul.iter().all(|known| known.pointer != error.pointer));
    errors.extend(with_nul);
    if let Some(Err(report)) = value.as_ref().map(Validate::validate) {
        for (path, error) in report.into_inner() {
            let pointer = garde_pointer(&path);
            // A field that serde refused was read as absent; the rules must not call it missing.
            if errors.iter().all(|known| known.pointer != pointer) {
                errors.push(FieldError::new(pointer, error.message().to_owned()));
            }
        }
    }
    match value {
        Some(value) if errors.is_empty() => Ok(value),
        _ => Err(Problem::new(&kind::INVALID_BODY).errors(errors)),
    }
}

/// The body without the fields that serde refuses, and an error for each of them. No body when it is not an object.
fn read_fields<T: DeserializeOwned>(body: &[u8]) -> Result<(Option<T>, Vec<FieldError>), Problem> {
    if !is_json_array(body) {
        match serde_json::from_slice(body) {
            Ok(value) => return Ok((Some(value), Vec::new())),
            // The tree below keeps one of two fields of the same name, so they are refused here.
            Err(error) if !error.is_data() || error.to_string().starts_with("duplicate field") => {
                return Err(json_problem::<T>(body, &error));
            }
            Err(_) => {}
        }
    }
    let mut tree: Value =
        serde_json::from_slice(body).map_err(|error| json_problem::<Value>(body, &error))?;
    if !tree.is_object() {
        return Ok((None, vec![FieldError::new("", "must be an object")]));
    }
    let mut errors = Vec::new();
    while errors.len() < ERRORS_MAX {
        match serde_path_to_error::deserialize::<_, T>(&tree) {
            Ok(value) => return Ok((Some(value), errors)),
            Err(error) => {
                errors.push(FieldError::new(json_pointer(error.path()), field_detail(error.inner())));
                if !remove_field(&mut tree, error.path()) {
                    break;
                }
            }
        }
    }
    Ok((None, errors))
}

fn field_detail(error: &serde_json::Error) -> String {
    let message = error.to_string();
    if message.starts_with("unknown field") {
        String::from("is not a field here")
    } else if message.ends_with("expected an object") {
        String::from("must be an object")
    } else {
        message
    }
}

fn remove_field(tree: &mut Value, path: &serde_path_to_error::Path) -> bool {
    let mut keys = path.iter().map(|segment| match segment {
        Segment::Map { key } => Some(key),
        _ => None,
    });
    let Some(Some(name)) = keys.next_back() else { return false };
    let object = keys.try_fold(tree, |tree, key| tree.get_mut(key?));
    object.and_then(Value::as_object_mut).is_some_and(|object| object.remove(name).is_some())
}

/// A path of Rust names as the JSON pointer of the same fields in camel case.
fn garde_pointer(path: &garde::Path) -> String {
    let mut pointer = String::new();
    for name in path.to_string().split('.').filter(|name| !name.is_empty()) {
        pointer.push('/');
        let mut words = name.trim_start_matches("r#").split('_');
        pointer.extend(words.next());
        for word in words {
            let (first, rest) = word.split_at(word.len().min(1));
            pointer.push_str(&first.to_ascii_uppercase());
            pointer.push_str(rest);
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, Validate)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[garde(allow_unvalidated)]
    struct TestBody {
        #[serde(default, deserialize_with = "fields::object")]
        #[garde(custom(fields::required), dive)]
        unit_price: Option<TestPrice>,
        #[serde(default, deserialize_with = "fields::string")]
        name: Option<String>,
        #[serde(default, deserialize_with = "fields::count")]
        #[garde(custom(fields::required))]
        in_stock: Option<u32>,
    }

    #[derive(Debug, Deserialize, Validate)]
    #[serde(deny_unknown_fields)]
    struct TestPrice {
        #[serde(default, deserialize_with = "fields::count")]
        #[garde(custom(fields::required))]
        amount: Option<u32>,
        #[serde(default, deserialize_with = "fields::string")]
        #[garde(custom(fields::required))]
        currency: Option<String>,
    }

    fn errors(body: &str) -> Vec<(String, String)> {
        let problem = parse_valid_json::<TestBody>(body.as_bytes()).unwrap_err();
        let document: Value = serde_json::from_slice(&problem.body("/")).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = document["errors"].as_array().unwrap().iter();
        errors.map(|error| (text(&error["pointer"]), text(&error["detail"]))).collect()
    }

    #[test]
    fn a_valid_body_is_read_in_one_go() {
        let body = br#"{"unitPrice": {"amount": 1, "currency": "EUR"}, "name": "A thing", "inStock": 3}"#;
        let body: TestBody = parse_valid_json(body).unwrap();
        assert_eq!((body.name.as_deref(), body.in_stock), (Some("A thing"), Some(3)));
        assert_eq!(body.unit_price.and_then(|price| price.amount), Some(1));
    }

    #[test]
    fn every_invalid_field_is_reported_at_once() {
        let body = r#"{"unitPrice": {"amount": 49.99, "x/y": 1}, "z": null, "name": 7}"#;
        let mut errors = errors(body);
        errors.sort();
        let errors: Vec<_> =
            errors.iter().map(|(pointer, detail)| (pointer.as_str(), detail.as_str())).collect();
        assert_eq!(
            errors,
            [
                ("/inStock", "is required"),
                ("/name", "must be a text"),
                ("/unitPrice/amount", "must be a whole number, 0 to 4294967295"),
                ("/unitPrice/currency", "is required"),
                ("/unitPrice/x~1y", "is not a field here"),
                ("/z", "is not a field here"),
            ]
        );
    }

    #[test]
    fn what_is_not_an_object_and_what_is_there_twice_is_refused() {
        for (body, pointer) in [
            ("[]", ""),
            ("7", ""),
            (r#"{"unitPrice": [1, "EUR"], "inStock": 1}"#, "/unitPrice"),
            (r#"{"unitPrice": null, "inStock": 1}"#, "/unitPrice"),
            (r#"{"name": "a", "name": "b"}"#, "/name"),
            (r#"{"unitPrice": {"amount": 1, "amount": 1}}"#, "/unitPrice/amount"),
        ] {
            let errors = errors(body);
            assert_eq!(errors.len(), 1, "{body}: {errors:?}");
            assert_eq!(errors[0].0, pointer, "{body}: {errors:?}");
        }
    }

    #[test]
    fn a_body_of_invalid_fields_is_not_read_for_ever() {
        let fields: Vec<String> = (0..1_000).map(|n| format!(r#""field{n}": 1"#)).collect();
        assert_eq!(errors(&format!("{{{}}}", fields.join(","))).len(), ERRORS_MAX);
    }
}
