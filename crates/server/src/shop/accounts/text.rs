//! Names and passwords as people type them, checked once and then types of their own.

use crate::auth::passwords::{is_common, normalize_password};

/// An e-mail address, in lower case.
#[derive(Clone)]
pub struct EmailAddress(pub(super) String);

/// A username: 3 to 32 of `A-Z a-z 0-9 _ . -`.
#[derive(Clone)]
pub struct Username(pub(super) String);

/// A password: 8 to 256 characters, and none that everyone tries first.
#[derive(Clone)]
pub struct PlainPassword(pub(super) String);

/// The name of a person: 1 to 200 characters, without control characters and without blanks around it.
#[derive(Clone)]
pub struct FullName(String);

/// Characters of the name of a person.
const FULL_NAME_LEN_MAX: usize = 200;

/// Characters that a password has at least where programs expect it that were written for another shop.
const LENIENT_PASSWORD_LEN_MIN: usize = 6;

/// Why a name or a password is not accepted, as its owner reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AccountTextError(pub &'static str);

impl EmailAddress {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

impl std::str::FromStr for EmailAddress {
    type Err = AccountTextError;
    /// At most 254 characters (RFC 5321, with errata), no display name, no quoted or bracketed oddities.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let options = email_address::Options::default().without_display_text().without_domain_literal();
        // A quoted local part may hold blanks and brackets, and is not in use.
        let fits = text.len() <= 254
            && !text.contains('"')
            && email_address::EmailAddress::parse_with_options(text, options).is_ok();
        if fits {
            Ok(Self(text.to_lowercase()))
        } else {
            Err(AccountTextError("an e-mail address, such as ada@example.com"))
        }
    }
}

impl std::str::FromStr for Username {
    type Err = AccountTextError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if (3..=32).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AccountTextError("3 to 32 letters, digits, '_', '.' or '-'"))
        }
    }
}

impl TryFrom<String> for PlainPassword {
    type Error = AccountTextError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        // A character is at most four bytes: the comparison keeps the next one from counting a huge text. What is counted is what will
        // be hashed.
        if text.len() > 1024 || !(8..=256).contains(&normalize_password(&text).chars().count()) {
            return Err(AccountTextError("8 to 256 characters"));
        }
        if is_common(&normalize_password(&text)) {
            return Err(AccountTextError(
                "one that is not among the most common passwords, which are guessed first",
            ));
        }
        Ok(Self(text))
    }
}

impl std::str::FromStr for FullName {
    type Err = AccountTextError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let is_valid =
            (1..=FULL_NAME_LEN_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if is_valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(AccountTextError("a name of 1 to 200 characters"))
        }
    }
}

impl FullName {
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

impl PlainPassword {
    /// A password for a new account of a client that was written for another shop: 6 to 256 characters, common ones too.
    ///
    /// # Errors
    /// When it is shorter or longer.
    pub fn from_lenient_client(text: String) -> Result<Self, AccountTextError> {
        let lengths = LENIENT_PASSWORD_LEN_MIN..=256;
        if text.len() > 1024 || !lengths.contains(&normalize_password(&text).chars().count()) {
            return Err(AccountTextError("6 to 256 characters"));
        }
        Ok(Self(text))
    }

    /// A password to sign in with, of any length that a hash may have been made from, so that imported accounts work.
    ///
    /// # Errors
    /// When it is longer than any password can be.
    pub fn for_login(text: String) -> Result<Self, AccountTextError> {
        if text.len() <= 1024 { Ok(Self(text)) } else { Err(AccountTextError("at most 256 characters")) }
    }
}

impl Username {
    /// A username for an account that was requested by e-mail address only: the part before the `@`, made to fit.
    #[must_use]
    pub fn from_email(email: &EmailAddress) -> Self {
        let local = email.0.split('@').next().unwrap_or_default();
        let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let mut name: String = local.chars().filter(good).take(32).collect();
        while name.len() < 3 {
            name.push('_');
        }
        Self(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_checked() {
        for good in ["ada@example.com", "ADA+drop@mail.example.co.uk", "a@localhost"] {
            assert!(good.parse::<EmailAddress>().is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(300));
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "Ada <ada@example.com>",
            "a b@example.com",
            "a@[127.0.0.1]",
            "\"a <script> b\"@example.com",
            &long,
        ] {
            assert!(bad.parse::<EmailAddress>().is_err(), "{bad}");
        }
        assert_eq!("Ada@Example.COM".parse::<EmailAddress>().ok().unwrap().0, "ada@example.com");
        for bad in ["", "ab", "a b c", "ada<script>", "ädä", &"a".repeat(33)] {
            assert!(bad.parse::<Username>().is_err(), "{bad}");
        }
        assert!(PlainPassword::try_from("ü".repeat(256)).is_ok());
        let decomposed = "u\u{308}".repeat(7);
        for bad in ["1234567".to_owned(), "x".repeat(257), "x".repeat(100_000), decomposed] {
            assert!(PlainPassword::try_from(bad).is_err());
        }
        for good in ["secret".to_owned(), "ü".repeat(256)] {
            assert!(PlainPassword::from_lenient_client(good).is_ok());
        }
        for bad in ["12345".to_owned(), "u\u{308}".repeat(5), "x".repeat(257)] {
            assert!(PlainPassword::from_lenient_client(bad).is_err());
        }
        assert_eq!(" Ada Lovelace ".parse::<FullName>().ok().unwrap().into_text(), "Ada Lovelace");
        for bad in ["", "  ", "Ada\nLovelace", &"a".repeat(201)] {
            assert!(bad.parse::<FullName>().is_err(), "{bad:?}");
        }
        for common in ["password", "Password1", "1234567890", "iloveyou"] {
            assert!(PlainPassword::try_from(common.to_owned()).is_err(), "{common}");
            assert!(
                PlainPassword::for_login(common.to_owned()).is_ok(),
                "{common}: it may have been imported"
            );
        }
    }
}
