//! Which mailbox an e-mail address belongs to, as far as the large providers have said it. Two addresses of different people must never
//! become one, so what is not known of a provider is not assumed.

use unicode_normalization::UnicodeNormalization;

/// What a provider ignores in the part before the `@`, and under which domains the same mailbox is reached.
struct MailProvider {
    /// The first stands for all.
    domains: &'static [&'static str],
    /// Begins a tag that the provider ignores, to the end.
    tag: Option<char>,
    /// Ignored wherever they stand.
    ignored: &'static [char],
}

const PROVIDERS: &[MailProvider] = &[
    MailProvider { domains: &["gmail.com", "googlemail.com"], tag: Some('+'), ignored: &['.'] },
    MailProvider { domains: &["outlook.com"], tag: Some('+'), ignored: &[] },
    MailProvider { domains: &["hotmail.com"], tag: Some('+'), ignored: &[] },
    MailProvider { domains: &["live.com"], tag: Some('+'), ignored: &[] },
    MailProvider { domains: &["msn.com"], tag: Some('+'), ignored: &[] },
    MailProvider { domains: &["icloud.com", "me.com", "mac.com"], tag: Some('+'), ignored: &[] },
    MailProvider {
        domains: &["proton.me", "protonmail.com", "pm.me"],
        tag: Some('+'),
        ignored: &['.', '-', '_'],
    },
    MailProvider { domains: &["fastmail.com"], tag: Some('+'), ignored: &[] },
    MailProvider { domains: &["mailbox.org"], tag: Some('+'), ignored: &[] },
    MailProvider { domains: &["posteo.de"], tag: Some('+'), ignored: &[] },
];

/// The mailbox of an address. Of an unknown provider it is the address itself.
#[must_use]
pub fn normalise_mailbox(email: &str) -> String {
    let email: String = email.nfc().collect::<String>().to_lowercase();
    let Some((local, domain)) = email.rsplit_once('@') else { return email };
    let Some(provider) = PROVIDERS.iter().find(|provider| provider.domains.contains(&domain)) else {
        return email;
    };
    let name = provider.tag.and_then(|tag| local.split(tag).next()).unwrap_or(local);
    let name: String = name.chars().filter(|character| !provider.ignored.contains(character)).collect();
    // Nothing would be left of an address such as `+a@gmail.com`, which is nobody's.
    if name.is_empty() { email } else { format!("{name}@{}", provider.domains[0]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_mailbox_are_one_and_of_two_people_are_two() {
        for (one, other) in [
            ("eve@gmail.com", "E.v.e+1@GoogleMail.com"),
            ("eve@gmail.com", "eve+a+b@gmail.com"),
            ("eve@hotmail.com", "eve+shop@hotmail.com"),
            ("eve@icloud.com", "eve+1@me.com"),
            ("eve.smith@proton.me", "evesmith+x@pm.me"),
            ("ev\u{e9}@example.com", "eve\u{301}@example.com"),
        ] {
            assert_eq!(normalise_mailbox(one), normalise_mailbox(other), "{one} {other}");
        }
        for (one, other) in [
            ("eve@gmail.com", "eva@gmail.com"),
            ("eve@gmail.com", "eve@outlook.com"),
            ("eve@hotmail.com", "eve@outlook.com"),
            ("e.ve@outlook.com", "eve@outlook.com"),
            ("eve+1@example.com", "eve@example.com"),
            ("e.ve@example.com", "eve@example.com"),
            ("eve@gmail.com", "eve@gmail.com.example"),
            ("+a@gmail.com", "+b@gmail.com"),
            // Letters that look alike are letters of two addresses.
            ("eve@example.com", "\u{435}ve@example.com"),
        ] {
            assert_ne!(normalise_mailbox(one), normalise_mailbox(other), "{one} {other}");
        }
        assert_eq!(normalise_mailbox("nobody"), "nobody");
    }
}
