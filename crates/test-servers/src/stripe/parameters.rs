//! The parameters that the stand-in knows of each request, and what Stripe says of others.

use super::objects::ApiFailure;
use std::collections::BTreeMap;

pub(super) type Parameters = BTreeMap<String, String>;

/// Names of parameters of a request; `[]` stands for any index, `*` for any name.
pub(super) const CREATE_SESSION: &[&str] = &[
    "mode",
    "client_reference_id",
    "customer_email",
    "locale",
    "success_url",
    "cancel_url",
    "expires_at",
    "adaptive_pricing[enabled]",
    "line_items[][quantity]",
    "line_items[][price_data][currency]",
    "line_items[][price_data][unit_amount]",
    "line_items[][price_data][product_data][name]",
    "line_items[][price_data][product_data][description]",
    "payment_intent_data[capture_method]",
    "payment_intent_data[description]",
    "payment_intent_data[metadata][*]",
    "metadata[*]",
    "expand[]",
];
pub(super) const EXPAND_ONLY: &[&str] = &["expand[]"];
pub(super) const CAPTURE: &[&str] = &["amount_to_capture", "expand[]"];
pub(super) const CANCEL: &[&str] = &["cancellation_reason", "expand[]"];
pub(super) const CREATE_REFUND: &[&str] = &["payment_intent", "amount", "reason", "metadata[*]", "expand[]"];
pub(super) const LIST_CREATED: &[&str] =
    &["created[gte]", "created[gt]", "created[lt]", "created[lte]", "limit", "starting_after", "expand[]"];
pub(super) const LIST_OF_INTENT: &[&str] = &["payment_intent", "limit", "starting_after", "expand[]"];

/// Languages of the page of a session.
pub(super) const LOCALES: &[&str] = &[
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA",
    "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru",
    "sk", "sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
];

/// The parameters by name, if all of them are known.
pub(super) fn read(pairs: &[(String, String)], known: &[&str]) -> Result<Parameters, ApiFailure> {
    let mut parameters = Parameters::new();
    for (name, value) in pairs {
        if !known.iter().any(|pattern| matches_name(pattern, name)) {
            let message = format!("Received unknown parameter: {name}");
            return Err(ApiFailure::invalid("parameter_unknown", name, &message));
        }
        if !name.ends_with("[]") && parameters.contains_key(name) {
            return Err(ApiFailure::invalid("parameter_invalid", name, "Duplicate parameter."));
        }
        parameters.insert(name.clone(), value.clone());
    }
    Ok(parameters)
}

pub(super) fn require<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, ApiFailure> {
    let message = format!("Missing required param: {name}.");
    let found = parameters.get(name).filter(|value| !value.is_empty());
    found.map(String::as_str).ok_or_else(|| ApiFailure::invalid("parameter_missing", name, &message))
}

pub(super) fn read_integer(parameters: &Parameters, name: &str) -> Result<Option<i64>, ApiFailure> {
    let Some(text) = parameters.get(name) else { return Ok(None) };
    let message = format!("Invalid integer: {text}");
    text.parse().map(Some).map_err(|_| ApiFailure::invalid("parameter_invalid_integer", name, &message))
}

pub(super) fn read_metadata(
    parameters: &Parameters,
    prefix: &str,
) -> serde_json::Map<String, serde_json::Value> {
    let entry = |(name, value): (&String, &String)| {
        let name = name.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']')?;
        Some((name.to_owned(), value.clone().into()))
    };
    parameters.iter().filter_map(entry).collect()
}

fn matches_name(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    loop {
        match pattern.find("[]").into_iter().chain(pattern.find("[*]")).min() {
            None => return pattern == name,
            Some(at) => {
                let (Some(head), Some(rest)) = (name.get(..at), name.get(at..)) else { return false };
                let is_index = pattern[at..].starts_with("[]");
                let Some(end) = rest.find(']') else { return false };
                if head != &pattern[..at] || !rest.starts_with('[') {
                    return false;
                }
                let inner = &rest[1..end];
                if is_index && !inner.bytes().all(|byte| byte.is_ascii_digit())
                    || (!is_index && inner.is_empty())
                {
                    return false;
                }
                pattern = &pattern[at + if is_index { 2 } else { 3 }..];
                name = &rest[end + 1..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_with_any_index_or_name() {
        assert!(matches_name("metadata[*]", "metadata[order]"));
        assert!(matches_name("line_items[][price_data][currency]", "line_items[0][price_data][currency]"));
        assert!(matches_name("expand[]", "expand[]") && matches_name("expand[]", "expand[0]"));
        assert!(!matches_name("metadata[*]", "metadata") && !matches_name("metadata[*]", "metadata[]"));
        assert!(!matches_name("mode", "modes") && !matches_name("expand[]", "expand[a]"));
    }
}
