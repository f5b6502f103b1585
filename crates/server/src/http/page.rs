//! Lists in pages: `?limit=&cursor=` in, `{items, nextCursor}` out. A cursor is opaque to clients and names the last item of a
//! page, never an offset, so that a list that grows neither skips nor repeats an item.

use super::bounds::{CURSOR_LEN_MAX, LIMIT_DEFAULT, LIMIT_MAX};
use super::problem::{FieldError, Problem, kind};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use sale::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items in a page, 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `nextCursor` of the previous page.
    pub cursor: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    pub limit: u32,
    /// The key of the last item of the previous page, as passed to [`Page::new`]; `None` for the first page.
    pub after: Option<String>,
}

impl PageQuery {
    /// # Errors
    /// 422 when the limit is out of range, or the cursor is invalid.
    pub fn into_request(self) -> Result<PageRequest, Problem> {
        let invalid = |pointer, detail| {
            Problem::new(&kind::INVALID_QUERY).errors(vec![FieldError::new(pointer, detail)])
        };
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(invalid("/limit", "1 to 200"));
        }
        let after = match self.cursor {
            None => None,
            Some(cursor) => {
                Some(decode_cursor(&cursor).ok_or_else(|| invalid("/cursor", "not a cursor of this list"))?)
            }
        };
        Ok(PageRequest { limit, after })
    }
}

fn decode_cursor(cursor: &str) -> Option<String> {
    if cursor.len() > CURSOR_LEN_MAX {
        return None;
    }
    String::from_utf8(BASE64.decode(cursor).ok()?).ok()
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null on the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of `items`; `key` becomes [`PageRequest::after`] of the next page. Pass up to `limit + 1` items: the extra one shows
    /// that there is a next page, and is dropped.
    #[must_use]
    pub fn new(mut items: Vec<T>, limit: u32, key: impl FnOnce(&T) -> String) -> Self {
        let limit = limit as usize;
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| has_more).map(|last| BASE64.encode(key(last)));
        Self { items, next_cursor }
    }

    /// A page that was cut elsewhere; `next` becomes [`PageRequest::after`] of the next page.
    #[must_use]
    pub fn from_parts(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next_cursor: next.map(|key| BASE64.encode(key)) }
    }

    #[must_use]
    pub fn map<U>(self, item: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(item).collect(), next_cursor: self.next_cursor }
    }
}

/// Parses a key of the form `MILLISECONDS/ID`, for lists in order of time.
///
/// # Errors
/// 422 when the cursor is not of such a list.
pub fn parse_time_cursor<T: std::str::FromStr>(key: &str) -> Result<(Timestamp, T), Problem> {
    let parsed =
        key.split_once('/').and_then(|(ms, id)| Some((Timestamp(ms.parse().ok()?), id.parse().ok()?)));
    parsed.ok_or_else(|| {
        let invalid = FieldError::new("/cursor", "not a cursor of this list");
        Problem::new(&kind::INVALID_QUERY).errors(vec![invalid])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_to_the_next_page() {
        let page = Page::new(vec![1, 2, 3], 2, ToString::to_string);
        assert_eq!(page.items, [1, 2]);
        let next = PageQuery { limit: Some(2), cursor: page.next_cursor }.into_request().unwrap();
        assert_eq!(next, PageRequest { limit: 2, after: Some("2".into()) });
        assert!(Page::new(vec![1, 2], 2, ToString::to_string).next_cursor.is_none());
    }

    #[test]
    fn invalid_pages_are_refused() {
        for (limit, cursor) in
            [(Some(0), None), (Some(201), None), (None, Some("%%%")), (None, Some("_____"))]
        {
            assert!(PageQuery { limit, cursor: cursor.map(str::to_owned) }.into_request().is_err());
        }
    }
}
