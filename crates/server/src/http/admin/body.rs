//! Bodies with many fields, read so that the caller learns of every bad field at once, wrong types and unknown names included
//! (serde stops at the first). It knows JSON and pointers, and nothing of products or sales.

use crate::http::problem::{FieldError, Problem, kind};
use jiff::fmt::temporal::DateTimeParser;
use sale::{Currency, Money, Timestamp};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// What is wrong with the fields of a body.
#[derive(Debug, Default)]
pub(super) struct BodyErrors(Vec<FieldError>);

/// One object of a body: fields are taken out of it by name.
pub(super) struct BodyObject {
    /// Its pointer; empty for the body itself.
    at: String,
    fields: Map<String, Value>,
}

/// Any JSON in which no object has a field twice: which of the two is meant, nobody knows.
pub(super) struct StrictJson(pub Value);

/// Unknown names told in one reply, at most.
const UNKNOWN_MAX: usize = 20;
/// Characters of an unknown name that are told.
const NAME_LEN_MAX: usize = 60;

impl BodyErrors {
    /// Notes what is wrong with the field at `pointer`.
    pub(super) fn push(&mut self, pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) {
        self.0.push(FieldError::new(pointer, detail));
    }

    /// All of it as one problem, or the value when nothing is wrong.
    pub(super) fn into_result<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Problem::new(&kind::INVALID_BODY).errors(self.0)),
        }
    }
}

impl BodyObject {
    /// The body, which has to be an object.
    pub(super) fn from_body(body: Value, wrong: &mut BodyErrors) -> Self {
        Self::from_value("", body, wrong).unwrap_or(Self { at: String::new(), fields: Map::new() })
    }

    fn from_value(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self { at: at.to_owned(), fields }),
            _ => {
                wrong.push(at, "must be an object");
                None
            }
        }
    }

    /// A field that has to be there. `None` when it is not, or is wrong, which is noted.
    pub(super) fn take_required<T>(
        &mut self,
        name: &str,
        wrong: &mut BodyErrors,
        read: impl FnOnce(&str, Value, &mut BodyErrors) -> Option<T>,
    ) -> Option<T> {
        let at = self.pointer(name);
        match self.fields.remove(name) {
            Some(value) => read(&at, value, wrong),
            None => {
                wrong.push(at, "is required");
                None
            }
        }
    }

    /// Notes when a field is not there; whoever takes it does not mind.
    pub(super) fn require_present(&self, name: &str, wrong: &mut BodyErrors) {
        if !self.fields.contains_key(name) {
            wrong.push(self.pointer(name), "is required");
        }
    }

    /// A field that may be absent, but not null.
    pub(super) fn take_optional<T>(
        &mut self,
        name: &str,
        wrong: &mut BodyErrors,
        read: impl FnOnce(&str, Value, &mut BodyErrors) -> Option<T>,
    ) -> Option<T> {
        let at = self.pointer(name);
        self.fields.remove(name).and_then(|value| read(&at, value, wrong))
    }

    /// A field that may be absent (`None`) or null (`Some(None)`).
    pub(super) fn take_nullable<T>(
        &mut self,
        name: &str,
        wrong: &mut BodyErrors,
        read: impl FnOnce(&str, Value, &mut BodyErrors) -> Option<T>,
    ) -> Option<Option<T>> {
        let at = self.pointer(name);
        match self.fields.remove(name)? {
            Value::Null => Some(None),
            value => read(&at, value, wrong).map(Some),
        }
    }

    /// Notes every field that nobody took.
    pub(super) fn reject_unknown(self, wrong: &mut BodyErrors) {
        for name in self.fields.keys().take(UNKNOWN_MAX) {
            let name: String = name.chars().take(NAME_LEN_MAX).collect();
            let name = name.replace('~', "~0").replace('/', "~1");
            wrong.push(format!("{}/{name}", self.at), "is not a field here");
        }
    }

    fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.at)
    }
}

impl<'de> Deserialize<'de> for StrictJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(StrictJson(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
            let StrictJson(value) = map.next_value()?;
            fields.insert(name, value);
        }
        Ok(fields.into())
    }
}

/// A text that is one of our words.
pub(super) fn read_typed<T>(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<T>
where
    T: TryFrom<String>,
    T::Error: std::fmt::Display,
{
    match T::try_from(read_text(at, value, wrong)?) {
        Ok(word) => Some(word),
        Err(error) => {
            wrong.push(at, error.to_string());
            None
        }
    }
}

pub(super) fn read_text(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => {
            wrong.push(at, "must be a text");
            None
        }
    }
}

/// An id, or whatever else is parsed from a text.
pub(super) fn read_id<T: std::str::FromStr>(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<T> {
    let parsed = read_text(at, value, wrong)?.parse().ok();
    if parsed.is_none() {
        wrong.push(at, "must be an id (a UUID)");
    }
    parsed
}

/// A count: a whole number without a fraction.
pub(super) fn read_count(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<u32> {
    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
    if count.is_none() {
        wrong.push(at, format!("must be a whole number, 0 to {}", u32::MAX));
    }
    count
}

/// A price: a whole number of minor units in a real currency.
pub(super) fn read_money(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<Money> {
    let mut object = BodyObject::from_value(at, value, wrong)?;
    let minor = object.take_required("amount", wrong, read_amount);
    let currency = object.take_required("currency", wrong, read_currency);
    object.reject_unknown(wrong);
    Some(Money { minor: minor?, currency: currency? })
}

fn read_amount(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<i64> {
    let amount = value.as_i64().and_then(|amount| crate::shop::catalogue_text::check_price(amount).ok());
    if amount.is_none() {
        wrong.push(at, "must be a whole number of minor units (cents of EUR, yen of JPY), 0 to 100000000000");
    }
    amount
}

fn read_currency(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<Currency> {
    match crate::shop::catalogue_text::parse_currency(&read_text(at, value, wrong)?) {
        Ok(currency) => Some(currency),
        Err(error) => {
            wrong.push(at, error.to_string());
            None
        }
    }
}

/// A moment: RFC 3339 with `Z` or an offset, from 1970 to [`Timestamp::MAX`], a day before the year 10000.
pub(super) fn read_moment(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<Timestamp> {
    let text = read_text(at, value, wrong)?;
    let moment = parse_rfc3339(&text);
    if moment.is_none() {
        wrong.push(at, BAD_TIMESTAMP);
    }
    moment
}

/// What is told about a text that is no moment.
pub(super) const BAD_TIMESTAMP: &str =
    "must be an RFC 3339 date with Z or an offset, 1970-01-01 to 9999-12-30, such as 2026-11-27T09:00:00Z";

/// A moment of RFC 3339, as strictly as [`moment`] takes it.
pub(super) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    // Jiff takes more than RFC 3339: annotations, blanks, dates without seconds or with a longer year.
    const PARSER: DateTimeParser = DateTimeParser::new();
    let bytes = text.as_bytes();
    let is_strict = (20..=40).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_digit() || b"-:.+TtZz".contains(byte))
        && bytes[0].is_ascii_digit()
        && bytes[13] == b':'
        && bytes[16] == b':';
    let moment = PARSER.parse_timestamp(text).ok().filter(|_| is_strict)?;
    Some(Timestamp(moment.as_millisecond())).filter(|moment| moment.0 >= 0)
}

/// An object of its own, such as the admission of a sale.
pub(super) fn read_object(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<BodyObject> {
    BodyObject::from_value(at, value, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_rfc_3339_and_nothing_else() {
        let noon = Some(Timestamp(1_795_780_800_000));
        for good in ["2026-11-27T12:00:00Z", "2026-11-27T13:00:00+01:00", "2026-11-27t12:00:00.000z"] {
            assert_eq!(parse_rfc3339(good), noon, "{good}");
        }
        let bad = [
            "",
            "2026-11-27",
            "2026-11-27T12:00Z",
            "2026-11-27T12:00:00",
            "2026-11-27 12:00:00Z",
            "2026-11-27T12:00:00Z[UTC]",
            "+010000-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1795780800",
        ];
        for bad in bad {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        let mut wrong = BodyErrors::default();
        let body = serde_json::json!({"price": {"amount": 49.99, "currency": "XXX", "x/y": 1}, "z": null, "name": 7});
        let mut object = BodyObject::from_body(body, &mut wrong);
        assert!(object.take_required("price", &mut wrong, read_money).is_none());
        assert!(object.take_required("name", &mut wrong, read_text).is_none());
        assert!(object.take_required("quantity", &mut wrong, read_count).is_none());
        object.reject_unknown(&mut wrong);
        let pointers: Vec<&str> = wrong.0.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/price/amount", "/price/currency", "/price/x~1y", "/name", "/quantity", "/z"]);
    }
}
