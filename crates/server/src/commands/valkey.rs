//! `--valkey`: the address of the Valkey or Redis that instances share. It may hold a password: no error
//! and no log shows it.

use super::CommandError;
use engine::valkey_connection::ValkeyAddress;
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
    pub(super) fn address(&self) -> Result<ValkeyAddress, CommandError> {
        ValkeyAddress::parse(&self.0).map_err(|error| CommandError::Usage(format!("--valkey: {error}")))
    }
}
