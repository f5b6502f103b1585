//! The HTML page of each sale: that of all pages, with a title and Open Graph tags of the sale, so that a link to it has a preview. Kept
//! until one of the tags changes. It shows nothing that changes with each purchase.

use super::{PageContent, compute_etag};
use crate::http::content_coding::{CompressionEffort, ContentCoding};
use crate::shop::catalogue_text::format_decimal;
use crate::shop::public_url::PublicUrl;
use crate::shop::sales::ListedSale;
use bytes::Bytes;
use sale::{Money, SaleId};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// Pages that are kept, some 10 KiB each. When there are more, all are made anew.
const PAGES_MAX: usize = 1_000;

/// Characters of a description in a preview; previews cut it off there.
const DESCRIPTION_LEN_MAX: usize = 200;

const SITE_NAME: &str = "Doorbuster";

#[derive(Default)]
pub struct SalePages(Mutex<HashMap<SaleId, Arc<SalePage>>>);

struct SalePage {
    tags: String,
    content: PageContent,
}

impl SalePages {
    /// The page of a sale; rebuilt when one of its tags has changed.
    pub(super) fn prepare_page(
        &self,
        sale: &ListedSale,
        public_url: Option<&PublicUrl>,
        index: &PageContent,
    ) -> PageContent {
        let tags = render_tags(sale, public_url);
        let id = sale.listing.sale;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(page) = known.filter(|page| page.tags == tags) {
            return page.content.clone();
        }
        let page = insert_tags(&String::from_utf8_lossy(&index.plain), &tags);
        let compress =
            |coding: ContentCoding| Some(coding.compress(page.as_bytes(), CompressionEffort::Kept));
        let (br, gzip) = (compress(ContentCoding::Brotli), compress(ContentCoding::Gzip));
        let content = PageContent { etag: compute_etag(page.as_bytes()), br, gzip, plain: Bytes::from(page) };
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.len() >= PAGES_MAX {
            pages.clear();
        }
        pages.insert(id, Arc::new(SalePage { tags, content: content.clone() }));
        content
    }
}

/// Title, description, address, picture and price. Only a shop that knows its public address can give whole addresses, which
/// previews need.
fn render_tags(sale: &ListedSale, public_url: Option<&PublicUrl>) -> String {
    let ListedSale { listing, view } = sale;
    let (product, price) = (&listing.product, view.policy.unit_price);
    let mut tags = String::with_capacity(1024);
    let _ = write!(tags, "<title>{} · {SITE_NAME}</title>", escape_html(&product.name));
    let mut text = price_text(price);
    if product.list_price.currency == price.currency && product.list_price.minor > price.minor {
        let _ = write!(text, " instead of {}", price_text(product.list_price));
    }
    let description = shorten(&product.description);
    if !description.is_empty() {
        let _ = write!(text, ". {description}");
    }
    add_tag(&mut tags, "name", "description", &text);
    for (property, content) in [
        ("og:type", "product"),
        ("og:site_name", SITE_NAME),
        ("og:title", &product.name),
        ("og:description", &text),
        ("product:price:amount", &format_decimal(price)),
        ("product:price:currency", price.currency.as_str()),
    ] {
        add_tag(&mut tags, "property", property, content);
    }
    if let Some(public_url) = public_url {
        let url = public_url.join(&format!("/s/{}", listing.slug));
        add_tag(&mut tags, "property", "og:url", &url);
        let _ = write!(tags, "<link rel=\"canonical\" href=\"{}\">", escape_html(&url));
    }
    // A picture of this site is a path.
    let picture = product.image_url.as_deref().and_then(|picture| match public_url {
        Some(public_url) => Some(public_url.join(picture)),
        None => picture.starts_with("https://").then(|| picture.to_owned()),
    });
    if let Some(picture) = &picture {
        add_tag(&mut tags, "property", "og:image", picture);
        add_tag(&mut tags, "property", "og:image:alt", &product.name);
    }
    let card = if picture.is_some() { "summary_large_image" } else { "summary" };
    add_tag(&mut tags, "name", "twitter:card", card);
    tags
}

fn add_tag(tags: &mut String, key: &str, name: &str, content: &str) {
    let _ = write!(tags, "<meta {key}=\"{name}\" content=\"{}\">", escape_html(content));
}

fn price_text(price: Money) -> String {
    format!("{} {}", format_decimal(price), price.currency.as_str())
}

/// The beginning of a text on one line, up to a word's end.
fn shorten(text: &str) -> String {
    let mut short = String::new();
    for word in text.split_whitespace() {
        if short.chars().count() + word.chars().count() >= DESCRIPTION_LEN_MAX {
            short.push('…');
            break;
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
    }
    short
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The page with these tags instead of its title and description.
fn insert_tags(page: &str, tags: &str) -> String {
    let page = match cut(page, "<meta name=\"description\"", ">") {
        Some((before, after)) => format!("{before}{after}"),
        None => page.to_owned(),
    };
    if let Some((before, after)) = cut(&page, "<title>", "</title>") {
        return format!("{before}{tags}{after}");
    }
    page.replacen("</head>", &format!("{tags}</head>"), 1)
}

/// What is before and after the first part that begins and ends like this.
fn cut<'a>(text: &'a str, begin: &str, end: &str) -> Option<(&'a str, &'a str)> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_replace_title_and_description_and_nothing_else() {
        let page =
            "<head><meta name=\"description\" content=\"all\" /><title>All</title><link></head><body></body>";
        assert_eq!(insert_tags(page, "[tags]"), "<head>[tags]<link></head><body></body>");
        assert_eq!(insert_tags("<head><link></head>", "[tags]"), "<head><link>[tags]</head>");
    }

    #[test]
    fn texts_of_merchants_stay_texts() {
        assert_eq!(escape_html("<a href='\"&'>"), "&lt;a href=&#39;&quot;&amp;&#39;&gt;");
        assert_eq!(shorten("two\n\n lines"), "two lines");
        let long = shorten(&"word ".repeat(100));
        assert!(long.chars().count() <= DESCRIPTION_LEN_MAX && long.ends_with("word…"), "{long}");
        assert_eq!(shorten(&"x".repeat(10_000)), "…");
    }
}
