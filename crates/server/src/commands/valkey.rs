//! `--valkey`: the address of the Valkey or Redis that instances share. It may hold a password: it is never shown, not in an
//! error and not in a log.

use super::CommandError;
use engine::valkey_connection::ValkeyAddress;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// What stands behind `--valkey`. It is looked at when it is used: the parser of the command line repeats what it refuses.
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
