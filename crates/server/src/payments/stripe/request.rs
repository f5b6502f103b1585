//! The requests that this program sends to Stripe's API: path, form, and the right of a restricted key that each needs. It never sends one.

use std::fmt;

/// A right that a restricted key must have. The names are those of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyRight {
    WriteSessions,
    ReadSessions,
    WriteIntents,
    ReadIntents,
    WriteRefunds,
    ReadRefunds,
    ReadDisputes,
}

impl KeyRight {
    /// What the dashboard shows of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WriteSessions => "Checkout Sessions: write",
            Self::ReadSessions => "Checkout Sessions: read",
            Self::WriteIntents => "PaymentIntents: write",
            Self::ReadIntents => "PaymentIntents: read",
            Self::WriteRefunds => "Charges and Refunds: write",
            Self::ReadRefunds => "Charges and Refunds: read",
            Self::ReadDisputes => "Disputes: read",
        }
    }
}

impl fmt::Display for KeyRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request. Its parameters are in the body of a POST, and in the query of a GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRequest {
    pub verb: ApiVerb,
    /// From `/v1` on.
    pub path: String,
    pub parameters: Vec<(String, String)>,
    pub right: KeyRight,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiVerb {
    Get,
    /// With its idempotency key.
    Post {
        key: String,
    },
}

impl ApiRequest {
    #[must_use]
    pub fn get(path: impl Into<String>, right: KeyRight) -> Self {
        Self { verb: ApiVerb::Get, path: path.into(), parameters: Vec::new(), right }
    }

    /// Stripe compares the parameters of a repeated key with the first ones, so they are the same each time.
    #[must_use]
    pub fn post(path: impl Into<String>, key: impl Into<String>, right: KeyRight) -> Self {
        Self { verb: ApiVerb::Post { key: key.into() }, path: path.into(), parameters: Vec::new(), right }
    }

    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// The parameter, if there is a value for it.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The parameters as `application/x-www-form-urlencoded`.
    #[must_use]
    pub fn encode_parameters(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.parameters).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_as_a_form() {
        let request = ApiRequest::post("/v1/refunds", "refund-1", KeyRight::WriteRefunds)
            .with("metadata[a b]", "ü & =")
            .with_some("amount", Some("5"))
            .with_some("reason", None::<String>);
        assert_eq!(request.encode_parameters(), "metadata%5Ba+b%5D=%C3%BC+%26+%3D&amount=5");
    }
}
