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
pub(super) struct Wrong(Vec<FieldError>);

/// One object of a body: fields are taken out of it by name.
pub(super) struct Object {
    /// Its pointer; empty for the body itself.
    at: String,
    fields: Map<String, Value>,
}

/// Any JSON in which no object has a field twice: which of the two is meant, nobody knows.
pub(super) struct Strict(pub Value);

/// Unknown names told in one reply, at most.
const UNKNOWN_MAX: usize = 20;
/// Characters of an unknown name that are told.
const NAME_LEN_MAX: usize = 60;

impl Wrong {
    /// Notes what is wrong with the field at `pointer`.
    pub(super) fn note(&mut self, pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) {
        self.0.push(FieldError::new(pointer, detail));
    }

    /// All of it as one problem, or the value when nothing is wrong.
    pub(super) fn unless<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Problem::new(&kind::INVALID_BODY).errors(self.0)),
        }
    }
}

impl Object {
    /// The body, which has to be an object.
    pub(super) fn body(body: Value, wrong: &mut Wrong) -> Self {
        Self::read("", body, wrong).unwrap_or(Self { at: String::new(), fields: Map::new() })
    }

    fn read(at: &str, value: Value, wrong: &mut Wrong) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self { at: at.to_owned(), fields }),
            _ => {
                wrong.note(at, "must be an object");
                None
            }
        }
    }

    /// A field that has to be there. `None` when it is not, or is wrong, which is noted.
    pub(super) fn required<T>(
        &mut self,
        name: &str,
        wrong: &mut Wrong,
        read: impl FnOnce(&str, Value, &mut Wrong) -> Option<T>,
    ) -> Option<T> {
        let at = self.pointer(name);
        match self.fields.remove(name) {
            Some(value) => read(&at, value, wrong),
            None => {
                wrong.note(at, "is required");
                None
            }
        }
    }

    /// Notes when a field is not there; whoever takes it does not mind.
    pub(super) fn expect(&self, name: &str, wrong: &mut Wrong) {
        if !self.fields.contains_key(name) {
            wrong.note(self.pointer(name), "is required");
        }
    }

    /// A field that may be absent, but not null.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        wrong: &mut Wrong,
        read: impl FnOnce(&str, Value, &mut Wrong) -> Option<T>,
    ) -> Option<T> {
        let at = self.pointer(name);
        self.fields.remove(name).and_then(|value| read(&at, value, wrong))
    }

    /// A field that may be absent (`None`) or null (`Some(None)`).
    pub(super) fn nullable<T>(
        &mut self,
        name: &str,
        wrong: &mut Wrong,
        read: impl FnOnce(&str, Value, &mut Wrong) -> Option<T>,
    ) -> Option<Option<T>> {
        let at = self.pointer(name);
        match self.fields.remove(name)? {
            Value::Null => Some(None),
            value => read(&at, value, wrong).map(Some),
        }
    }

    /// Notes every field that nobody took.
    pub(super) fn end(self, wrong: &mut Wrong) {
        for name in self.fields.keys().take(UNKNOWN_MAX) {
            let name: String = name.chars().take(NAME_LEN_MAX).collect();
            let name = name.replace('~', "~0").replace('/', "~1");
            wrong.note(format!("{}/{name}", self.at), "is not a field here");
        }
    }

    fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.at)
    }
}

impl<'de> Deserialize<'de> for Strict {
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
        while let Some(Strict(value)) = seq.next_element()? {
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
            let Strict(value) = map.next_value()?;
            fields.insert(name, value);
        }
        Ok(fields.into())
    }
}

/// A text that is one of our words.
pub(super) fn word<T>(at: &str, value: Value, wrong: &mut Wrong) -> Option<T>
where
    T: TryFrom<String>,
    T::Error: std::fmt::Display,
{
    match T::try_from(text(at, value, wrong)?) {
        Ok(word) => Some(word),
        Err(error) => {
            wrong.note(at, error.to_string());
            None
        }
    }
}

/// Any text.
pub(super) fn text(at: &str, value: Value, wrong: &mut Wrong) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => {
            wrong.note(at, "must be a text");
            None
        }
    }
}

/// An id, or whatever else is parsed from a text.
pub(super) fn parsed<T: std::str::FromStr>(at: &str, value: Value, wrong: &mut Wrong) -> Option<T> {
    let parsed = text(at, value, wrong)?.parse().ok();
    if parsed.is_none() {
        wrong.note(at, "must be an id (a UUID)");
    }
    parsed
}

/// A count: a whole number without a fraction.
pub(super) fn count(at: &str, value: Value, wrong: &mut Wrong) -> Option<u32> {
    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
    if count.is_none() {
        wrong.note(at, format!("must be a whole number, 0 to {}", u32::MAX));
    }
    count
}

/// A price: a whole number of minor units in a real currency.
pub(super) fn money(at: &str, value: Value, wrong: &mut Wrong) -> Option<Money> {
    let mut object = Object::read(at, value, wrong)?;
    let minor = object.required("amount", wrong, amount);
    let currency = object.required("currency", wrong, currency);
    object.end(wrong);
    Some(Money { minor: minor?, currency: currency? })
}

fn amount(at: &str, value: Value, wrong: &mut Wrong) -> Option<i64> {
    let amount = value.as_i64().and_then(|amount| crate::shop::words::price_amount(amount).ok());
    if amount.is_none() {
        wrong.note(at, "must be a whole number of minor units (cents of EUR, yen of JPY), 0 to 100000000000");
    }
    amount
}

fn currency(at: &str, value: Value, wrong: &mut Wrong) -> Option<Currency> {
    match crate::shop::words::currency(&text(at, value, wrong)?) {
        Ok(currency) => Some(currency),
        Err(error) => {
            wrong.note(at, error.to_string());
            None
        }
    }
}

/// A moment: RFC 3339 with `Z` or an offset, from 1970 to [`Timestamp::MAX`], a day before the year 10000.
pub(super) fn moment(at: &str, value: Value, wrong: &mut Wrong) -> Option<Timestamp> {
    let text = text(at, value, wrong)?;
    let moment = rfc3339(&text);
    if moment.is_none() {
        wrong.note(at, NO_MOMENT);
    }
    moment
}

/// What is told about a text that is no moment.
pub(super) const NO_MOMENT: &str =
    "must be an RFC 3339 date with Z or an offset, 1970-01-01 to 9999-12-30, such as 2026-11-27T09:00:00Z";

/// A moment of RFC 3339, as strictly as [`moment`] takes it.
pub(super) fn rfc3339(text: &str) -> Option<Timestamp> {
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
pub(super) fn object(at: &str, value: Value, wrong: &mut Wrong) -> Option<Object> {
    Object::read(at, value, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_rfc_3339_and_nothing_else() {
        let noon = Some(Timestamp(1_795_780_800_000));
        for good in ["2026-11-27T12:00:00Z", "2026-11-27T13:00:00+01:00", "2026-11-27t12:00:00.000z"] {
            assert_eq!(rfc3339(good), noon, "{good}");
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
            assert_eq!(rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        let mut wrong = Wrong::default();
        let body = serde_json::json!({"price": {"amount": 49.99, "currency": "XXX", "x/y": 1}, "z": null, "name": 7});
        let mut object = Object::body(body, &mut wrong);
        assert!(object.required("price", &mut wrong, money).is_none());
        assert!(object.required("name", &mut wrong, text).is_none());
        assert!(object.required("quantity", &mut wrong, count).is_none());
        object.end(&mut wrong);
        let pointers: Vec<&str> = wrong.0.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/price/amount", "/price/currency", "/price/x~1y", "/name", "/quantity", "/z"]);
    }
}
