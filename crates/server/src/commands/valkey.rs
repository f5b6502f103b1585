//! `--valkey`: the address of the Valkey or Redis that instances share. It may hold a password: it is never shown, not in an
//! error and not in a log.

use super::CommandError;
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

/// With and without TLS.
const SCHEMES: [&str; 2] = ["redis://", "rediss://"];

impl ValkeyUrl {
    /// The address, for those who connect.
    pub(super) fn address(&self) -> Result<&str, CommandError> {
        let there = SCHEMES.iter().find_map(|scheme| self.0.strip_prefix(scheme));
        match there {
            Some(rest) if !rest.is_empty() => Ok(&self.0),
            _ => Err(CommandError::Usage("--valkey: write an address such as redis://host:6379".into())),
        }
    }
}
