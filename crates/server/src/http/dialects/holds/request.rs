//! What requests of `holds` name: a buyer, a sale, a page.

use super::super::DialectContext;
use super::super::error::DialectError;
use super::super::fields::LenientFields;
use super::INVALID_FIELDS;
use crate::auth::{Role, Session};
use crate::http::caller::RequestCaller;
use crate::http::limits::{LimitClass, LimitKey};
use crate::http::problem::kind;
use crate::shop::accounts::{self, EmailAddress};
use crate::shop::fresh_views::read_now;
use crate::shop::guests::{DialectGuest, GuestOrigin};
use crate::shop::order_pages::PageOffset;
use crate::shop::sales::{self, ListedSale};
use axum::http::StatusCode;
use sale::SaleId;

/// The buyer and the sale of a request.
pub(super) struct BuyerInSale {
    pub(super) guest: DialectGuest,
    /// The sale's id as it was sent.
    pub(super) sale: String,
}

impl BuyerInSale {
    /// The fields `email` and `flashSaleId`.
    pub(super) fn read(fields: &LenientFields) -> Result<Self, DialectError> {
        let email = read_text(fields, "email")?;
        let sale = read_text(fields, "flashSaleId")?;
        let (Some(email), Some(sale)) = (email, sale) else {
            return Err(invalid("email and flashSaleId are required"));
        };
        Ok(Self { guest: parse_guest(&email)?, sale })
    }
}

/// A field that is not blank.
pub(super) fn read_text(fields: &LenientFields, name: &'static str) -> Result<Option<String>, DialectError> {
    let text = fields.text(name)?.map(|text| text.trim().to_owned());
    // PostgreSQL stores no U+0000, and compares none.
    if text.as_ref().is_some_and(|text| text.contains('\0')) {
        return Err(invalid(format!("{name} must not have the character U+0000")));
    }
    Ok(text.filter(|text| !text.is_empty()))
}

/// The guest with this address.
pub(super) fn parse_guest(email: &str) -> Result<DialectGuest, DialectError> {
    let email = email.trim();
    email.parse::<EmailAddress>().map_err(|rule| invalid(format!("email must be {rule}")))?;
    DialectGuest::new(GuestOrigin::Holds, email).map_err(|error| invalid(format!("email: {error}")))
}

/// A field that is wrong.
pub(super) fn invalid(message: impl Into<String>) -> DialectError {
    DialectError::bad_request(message).code(INVALID_FIELDS)
}

/// The sale with this id. What is no id is no sale.
pub(super) async fn find_sale(state: &DialectContext, id: &str) -> Option<ListedSale> {
    let id: SaleId = id.parse().ok()?;
    sales::find_or_refresh(&state.app.shop, id).await
}

/// [`find_sale`], with everything that any instance has answered.
pub(super) async fn read_sale(state: &DialectContext, id: &str) -> Result<Option<ListedSale>, DialectError> {
    Ok(match find_sale(state, id).await {
        Some(sale) => Some(read_now(&state.app.shop, sale).await?),
        None => None,
    })
}

/// [`read_sale`], or 404.
pub(super) async fn require_sale(state: &DialectContext, id: &str) -> Result<ListedSale, DialectError> {
    read_sale(state, id).await?.ok_or_else(sale_unknown)
}

pub(super) fn sale_unknown() -> DialectError {
    DialectError::new(StatusCode::NOT_FOUND, "Not found: there is no such flash sale")
        .code(kind::SALE_UNKNOWN.code)
}

/// The session of an admin. Unlike those of other dialects, these calls have always needed one.
pub(super) async fn require_admin(
    state: &DialectContext,
    caller: &RequestCaller,
) -> Result<Session, DialectError> {
    let session = require_session(caller)?;
    if session.role != Role::Admin {
        let message = "Forbidden: this call is for admins";
        return Err(DialectError::new(StatusCode::FORBIDDEN, message).code(kind::FORBIDDEN.code));
    }
    if !accounts::is_admin_session(&state.app.shop.accounts, session).await? {
        return Err(unauthorized());
    }
    state.count_request(LimitClass::Read, LimitKey::from_buyer(session.buyer)).await?;
    Ok(session)
}

/// The session of a valid access token.
pub(super) fn require_session(caller: &RequestCaller) -> Result<Session, DialectError> {
    caller.session.ok_or_else(unauthorized)
}

fn unauthorized() -> DialectError {
    let message = "Unauthorized: send a valid token, as Authorization: Bearer TOKEN";
    DialectError::new(StatusCode::UNAUTHORIZED, message).code(kind::UNAUTHORIZED.code)
}

/// A page by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageNumber {
    /// From 1.
    pub(super) page: u64,
    pub(super) limit: u32,
}

impl PageNumber {
    /// The fields `page` and `size_field`. What is too small or too large is the nearest that is possible.
    pub(super) fn read(
        fields: &LenientFields,
        size_field: &'static str,
        default: u32,
        max: u32,
    ) -> Result<Self, DialectError> {
        let page = fields.whole_number("page")?.unwrap_or(1).max(1);
        let limit = fields.whole_number(size_field)?.unwrap_or(i64::from(default)).clamp(1, i64::from(max));
        Ok(Self { page: page.unsigned_abs(), limit: u32::try_from(limit).unwrap_or(max) })
    }

    pub(super) fn offset(self) -> PageOffset {
        PageOffset { offset: (self.page - 1).saturating_mul(u64::from(self.limit)), limit: self.limit }
    }
}
