//! The list of common passwords that new accounts may not have. Guessing begins with it, whatever the limits are. It is unpacked once,
//! when it is first needed, and is never used at a sign-in: an imported account keeps its password.

use flate2::read::GzDecoder;
use std::collections::HashSet;
use std::io::Read;
use std::sync::OnceLock;

/// One password a line, in lower case; `LICENSE-common-passwords` beside it says whose work it is.
const PACKED: &[u8] = include_bytes!("common-passwords.txt.gz");

static LIST: OnceLock<HashSet<String>> = OnceLock::new();

/// Whether a password is on the list, in upper or lower case.
#[must_use]
pub fn is_common(password: &str) -> bool {
    let list = LIST.get_or_init(unpack_list);
    list.contains(password.trim()) || list.contains(&password.trim().to_lowercase())
}

fn unpack_list() -> HashSet<String> {
    let mut text = String::new();
    GzDecoder::new(PACKED).read_to_string(&mut text).expect("the list is part of the program");
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_the_passwords_that_guessing_begins_with() {
        assert!(LIST.get_or_init(unpack_list).len() > 19_000);
        for common in ["password1", "Password1", " 123456789 ", "iloveyou", "hunter22", "QWERTYUIOP"] {
            assert!(is_common(common), "{common}");
        }
        for other in ["correct horse battery", "a brand new password", ""] {
            assert!(!is_common(other), "{other}");
        }
    }
}
