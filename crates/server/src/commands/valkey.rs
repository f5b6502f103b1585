//! `--valkey`: the address of the Valkey or Redis that instances share. It may hold a password: no error
//! and no log shows it.

use super::CommandError;
use crate::http::limits::shared;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The value of `--valkey`. It is parsed when it is used, because clap repeats a value that it refuses, password included.
#[derive(Clone)]
pub struct ValkeyUrl(String);

impl fmt::Debug for ValkeyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValkeyUrl(…)")
    }
}

impl FromStr for ValkeyUrl {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl ValkeyUrl {
    /// The address for the request limits.
    pub(super) fn limiter_address(&self) -> Result<shared::LimiterAddress, CommandError> {
        shared::LimiterAddress::parse(&self.0)
            .map_err(|error| CommandError::Usage(format!("--valkey: {error}")))
    }

    /// The address for deciding.
    pub(super) fn engine_address(&self) -> &str {
        &self.0
    }
}
