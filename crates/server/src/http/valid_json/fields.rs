//! Readers for the fields of a body (`#[serde(default, deserialize_with = "…")]`), and the rule that many of them have. An
//! absent field is `None`; null is refused, except by [`nullable`].

use crate::http::timestamp::{BAD_TIMESTAMP, parse_rfc3339};
use sale::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

/// A string.
pub fn string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some).map_err(|_| D::Error::custom("must be a text"))
}

/// A string with rules of its own, which its type checks.
pub fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<String>,
    T::Error: Display,
{
    let text = string(deserializer)?.unwrap_or_default();
    T::try_from(text).map(Some).map_err(D::Error::custom)
}

/// As [`text`]; null empties the field.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<String>,
    T::Error: Display,
{
    let text = Option::<String>::deserialize(deserializer).map_err(|_| D::Error::custom("must be a text"))?;
    text.map(T::try_from).transpose().map(Some).map_err(D::Error::custom)
}

pub fn id<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = string(deserializer)?.unwrap_or_default();
    text.parse().map(Some).map_err(|_| D::Error::custom("must be an id (a UUID)"))
}

/// A list of strings.
pub fn strings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Vec::deserialize(deserializer).map(Some).map_err(|_| D::Error::custom("must be a list of texts"))
}

/// A list of ids.
pub fn ids<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
    let rule = || D::Error::custom("must be a list of ids (UUIDs)");
    let texts: Vec<String> = Vec::deserialize(deserializer).map_err(|_| rule())?;
    texts.iter().map(|text| text.parse().map_err(|_| rule())).collect::<Result<_, _>>().map(Some)
}

pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(deserializer).map(Some).map_err(|_| D::Error::custom("must be true or false"))
}

pub fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let rule = || D::Error::custom(format_args!("must be a whole number, 0 to {}", u32::MAX));
    u32::deserialize(deserializer).map(Some).map_err(|_| rule())
}

pub fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = string(deserializer)?.unwrap_or_default();
    parse_rfc3339(&text).map(Some).ok_or_else(|| D::Error::custom(BAD_TIMESTAMP))
}

/// A nested body. serde would also read an array, as the fields in their order.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    struct ObjectVisitor<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Some)
}

/// Rule of a field that may not be absent.
///
/// # Errors
/// When it is.
pub fn required<T>(field: &Option<T>, (): &()) -> garde::Result {
    if field.is_some() { Ok(()) } else { Err(garde::Error::new("is required")) }
}
