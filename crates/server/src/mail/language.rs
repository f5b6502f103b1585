//! The languages in which buyers read the shop. It never guesses: without a language that the shop has, it is English.

use std::str::FromStr;

/// A language of pages and mails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BuyerLanguage {
    #[default]
    English,
    German,
    Arabic,
}

/// The shop has no texts in this language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one of the languages en, de and ar")]
pub struct UnknownLanguage;

impl BuyerLanguage {
    pub const ALL: [Self; 3] = [Self::English, Self::German, Self::Arabic];

    /// Its code of ISO 639.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Arabic => "ar",
        }
    }

    /// The direction of its script, as HTML writes it.
    #[must_use]
    pub fn direction(self) -> &'static str {
        match self {
            Self::English | Self::German => "ltr",
            Self::Arabic => "rtl",
        }
    }

    /// The language of a stored code; English where a newer version stored one that is not known here.
    #[must_use]
    pub fn from_stored(code: &str) -> Self {
        code.parse().unwrap_or_default()
    }

    /// The language that an `Accept-Language` prefers among those of the shop.
    #[must_use]
    pub fn from_accept_language(header: &str) -> Self {
        let wanted = header.split(',').take(32).filter_map(|item| {
            let (tag, quality) = item.split_once(';').unwrap_or((item, "q=1"));
            let quality: f64 = quality.trim().strip_prefix("q=")?.trim().parse().ok()?;
            let code = tag.trim().split('-').next()?.to_ascii_lowercase();
            (quality > 0.0).then_some((quality, code.parse().ok()?))
        });
        // Of equal ones the first is preferred.
        let best = wanted.fold(None, |best: Option<(f64, Self)>, (quality, language)| match best {
            Some((known, _)) if known >= quality => best,
            _ => Some((quality, language)),
        });
        best.map(|(_, language)| language).unwrap_or_default()
    }
}

impl FromStr for BuyerLanguage {
    type Err = UnknownLanguage;

    fn from_str(code: &str) -> Result<Self, UnknownLanguage> {
        Self::ALL.into_iter().find(|language| language.as_str() == code).ok_or(UnknownLanguage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_language_of_the_shop_is_chosen() {
        for (header, expected) in [
            ("de-AT,de;q=0.9,en;q=0.8", BuyerLanguage::German),
            ("fr,ar;q=0.5,en;q=0.4", BuyerLanguage::Arabic),
            ("en;q=0.1, DE ;q=0.2", BuyerLanguage::German),
            ("de;q=0,ar", BuyerLanguage::Arabic),
            ("en,de", BuyerLanguage::English),
            ("fr", BuyerLanguage::English),
            ("", BuyerLanguage::English),
            (";;,q=,de;q=x", BuyerLanguage::English),
        ] {
            assert_eq!(BuyerLanguage::from_accept_language(header), expected, "{header}");
        }
    }
}
