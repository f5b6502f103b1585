//! The merchant's calls for sales: list, make, show, edit, delete.

use super::super::error::DialectError;
use super::super::fields::{LenientBody, LenientFields, LenientQuery, PathId};
use super::super::reply::DialectReply;
use super::super::{DialectContext, DialectState};
use super::documents::{AmountDocument, CANCELLED, ON_SCHEDULE, SaleDocument, ShownSale, load_shown_sales};
use super::request::{PageNumber, find_sale, invalid, read_text, require_admin, require_sale};
use super::{MADE_BY, PROVIDER};
use crate::http::caller::RequestCaller;
use crate::shop::catalogue::CatalogueRefusal;
use crate::shop::catalogue_text::{Description, ProductName, check_price, rescale_hundredths};
use crate::shop::fresh_views::{read_all_now, refresh_listings};
use crate::shop::products::ProductDraft;
use crate::shop::sales::{self, DeleteResult, DeleteRule, ListedSale, ProductSaleDraft, SaleEdit, ShownEdit};
use axum::extract::State;
use axum::http::StatusCode;
use sale::policy::QUANTITY_MAX;
use sale::{AdmissionMode, BuyerId, Currency, Money, Policy, SalePhase, Timestamp};
use serde::Serialize;
use serde_json::json;

/// Sales of a page, and of the list without pages.
const PAGE_SIZE_DEFAULT: u32 = 20;
const PAGE_SIZE_MAX: u32 = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SalePageDocument {
    items: Vec<SaleDocument>,
    total: u64,
    page: u64,
    page_size: u32,
}

pub(super) async fn list(
    State(state): State<DialectState>,
    caller: RequestCaller,
    LenientQuery(fields): LenientQuery,
) -> Result<DialectReply, DialectError> {
    require_admin(&state, &caller).await?;
    let has_pages = fields.contains("page") || fields.contains("pageSize");
    let default = if has_pages { PAGE_SIZE_DEFAULT } else { PAGE_SIZE_MAX };
    let page = PageNumber::read(&fields, "pageSize", default, PAGE_SIZE_MAX)?;
    let shop = &state.app.shop;
    refresh_listings(shop).await?;
    let (sales, total) = sales::list_from_offset(shop, page.offset());
    let sales = read_all_now(shop, sales).await?;
    let now = shop.engine.now();
    let items = load_shown_sales(shop, sales).await?;
    let items = items.iter().map(|sale| SaleDocument::new(sale, now)).collect();
    Ok(DialectReply::ok(&SalePageDocument { items, total, page: page.page, page_size: page.limit }))
}

pub(super) async fn show(
    State(state): State<DialectState>,
    caller: RequestCaller,
    PathId(id): PathId,
) -> Result<DialectReply, DialectError> {
    require_admin(&state, &caller).await?;
    let shop = &state.app.shop;
    let sale = ShownSale::load(shop, require_sale(&state, &id).await?).await?;
    Ok(DialectReply::ok(&SaleDocument::new(&sale, shop.engine.now())))
}

/// Makes a product and a sale of it.
pub(super) async fn create(
    State(state): State<DialectState>,
    caller: RequestCaller,
    body: Result<LenientBody, DialectError>,
) -> Result<DialectReply, DialectError> {
    require_admin(&state, &caller).await?;
    let LenientBody(fields) = body?;
    let (product, sale) = read_draft(&state, &fields)?;
    let made = sales::create_with_product(&state.app.shop, product, sale).await?.map_err(refuse_edit)?;
    let id = made.view.id;
    Ok(DialectReply::with_status(StatusCode::CREATED, &json!({"id": id, "_id": id})))
}

/// Edits a sale. A refusal changes nothing at all: the law decides on all fields together, and a sale is closed last.
pub(super) async fn edit(
    State(state): State<DialectState>,
    caller: RequestCaller,
    PathId(id): PathId,
    body: Result<LenientBody, DialectError>,
) -> Result<DialectReply, DialectError> {
    let session = require_admin(&state, &caller).await?;
    let LenientBody(fields) = body?;
    let sale = require_sale(&state, &id).await?;
    let wanted = WantedSale::read(&fields, &sale)?;
    let shop = &state.app.shop;
    let is_closed = sale.view.phase(shop.engine.now()) == SalePhase::Closed;
    if wanted.is_cancelled == Some(false) && is_closed {
        let message = "a cancelled flash sale cannot be opened again";
        return Err(DialectError::refused(StatusCode::CONFLICT, sale::Refusal::Closed, message));
    }
    let edit = wanted.find_changes(&sale, session.buyer);
    let closes = wanted.is_cancelled == Some(true) && !is_closed;
    // Of equal edits at once the first one changes something; the others find nothing that differs.
    let changed = match (&edit, closes) {
        (None, false) => false,
        _ => sales::edit_and_close(shop, sale.view.id, edit, closes).await?.map_err(refuse_edit)?,
    };
    Ok(DialectReply::ok(&json!({"updated": u8::from(changed)})))
}

/// Deletes a sale without a buyer in line and without orders, and closes any other.
pub(super) async fn delete(
    State(state): State<DialectState>,
    caller: RequestCaller,
    PathId(id): PathId,
) -> Result<DialectReply, DialectError> {
    require_admin(&state, &caller).await?;
    let Some(sale) = find_sale(&state, &id).await else {
        return Ok(DialectReply::ok(&json!({"deleted": 0})));
    };
    Ok(match sales::delete(&state.app.shop, sale.view.id, DeleteRule::NotInUse).await? {
        Ok(DeleteResult::Gone) => DialectReply::ok(&json!({"deleted": 1})),
        Ok(DeleteResult::Closed(_)) => DialectReply::ok(&json!({"deleted": 1, "closed": true})),
        // Another admin was faster.
        Err(CatalogueRefusal::SaleUnknown) => DialectReply::ok(&json!({"deleted": 0})),
        Err(refusal) => return Err(refuse_edit(refusal)),
    })
}

fn read_draft(
    state: &DialectContext,
    fields: &LenientFields,
) -> Result<(ProductDraft, ProductSaleDraft), DialectError> {
    let required = |name: &str| invalid(format!("{name} is required"));
    let name = read_name(fields)?.ok_or_else(|| required("name"))?;
    let description = read_description(fields)?.unwrap_or_else(Description::empty);
    let starts_at = fields.moment("startsAt")?.ok_or_else(|| required("startsAt"))?;
    let ends_at = fields.moment("endsAt")?.ok_or_else(|| required("endsAt"))?;
    let quantity = read_quantity(fields, None)?.ok_or_else(|| required("initialQuantity"))?;
    let settings = &state.settings;
    let unit_price =
        read_price(fields, settings.currency)?.unwrap_or(Money { minor: 0, currency: settings.currency });
    check_period(starts_at, ends_at)?;
    let takes_payments = unit_price.minor > 0 && state.app.shop.payments.provider_name() == PROVIDER;
    let policy = Policy {
        quantity,
        unit_price,
        starts_at,
        ends_at,
        limit_per_buyer: 1,
        // Of an order whose payment was interrupted.
        hold_s: if takes_payments { settings.holds_s } else { 0 },
        admission: AdmissionMode::Fifo {
            per_second: settings.holds_per_second,
            checkout_s: settings.holds_s,
            line_opens_s: 0,
            extension_s: 0,
        },
    };
    if let Some(problem) = policy.problems().first() {
        return Err(invalid(problem.to_string()));
    }
    let product = ProductDraft { name, description, price: unit_price, category: None, image_url: None };
    Ok((product, ProductSaleDraft { policy, made_by: Some(MADE_BY) }))
}

/// The fields of an edit; a client may send all of them, changed or not.
struct WantedSale {
    name: Option<ProductName>,
    description: Option<Description>,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    quantity: Option<u32>,
    price: Option<Money>,
    is_cancelled: Option<bool>,
}

impl WantedSale {
    fn read(fields: &LenientFields, sale: &ListedSale) -> Result<Self, DialectError> {
        let policy = &sale.view.policy;
        let wanted = Self {
            name: read_name(fields)?,
            description: read_description(fields)?,
            starts_at: fields.moment("startsAt")?,
            ends_at: fields.moment("endsAt")?,
            quantity: read_quantity(fields, Some(sale.view.counters.quantity))?,
            price: read_edited_price(fields, policy.unit_price)?,
            is_cancelled: match read_text(fields, "status")?.as_deref() {
                None => None,
                Some(CANCELLED) => Some(true),
                Some(ON_SCHEDULE) => Some(false),
                Some(_) => {
                    return Err(invalid(format!("status must be {CANCELLED} or {ON_SCHEDULE}")));
                }
            },
        };
        check_period(wanted.starts_at.unwrap_or(policy.starts_at), wanted.ends_at.unwrap_or(policy.ends_at))?;
        Ok(wanted)
    }

    /// What differs from the sale as it is; `None` when nothing does.
    fn find_changes(&self, sale: &ListedSale, admin: BuyerId) -> Option<SaleEdit> {
        let (policy, product) = (&sale.view.policy, &sale.listing.product);
        let name = self.name.clone().filter(|name| name.as_str() != product.name);
        let description = self.description.clone().filter(|text| text.as_str() != product.description);
        let starts_at = self.starts_at.filter(|at| *at != policy.starts_at);
        let ends_at = self.ends_at.filter(|at| *at != policy.ends_at);
        let quantity = self.quantity.filter(|quantity| *quantity != sale.view.counters.quantity);
        let price = self.price.filter(|price| *price != policy.unit_price);
        let is_same = name.is_none()
            && description.is_none()
            && starts_at.is_none()
            && ends_at.is_none()
            && quantity.is_none()
            && price.is_none();
        if is_same {
            return None;
        }
        // The product of a sale that was made here costs what the sale does.
        let list_price = price.filter(|_| product.list_price == policy.unit_price);
        let shown = ShownEdit { name, description, list_price, ..ShownEdit::default() };
        Some(SaleEdit {
            price,
            quantity,
            starts_at,
            ends_at,
            shown,
            edited_by: Some(admin),
            ..SaleEdit::default()
        })
    }
}

fn read_name(fields: &LenientFields) -> Result<Option<ProductName>, DialectError> {
    let Some(name) = fields.text("name")? else { return Ok(None) };
    ProductName::try_from(name).map(Some).map_err(|rule| invalid(format!("name must have {rule}")))
}

fn read_description(fields: &LenientFields) -> Result<Option<Description>, DialectError> {
    let Some(text) = fields.text("description")? else { return Ok(None) };
    Description::try_from(text).map(Some).map_err(|rule| invalid(format!("description must have {rule}")))
}

/// The quantity, which has two names. A form that sends both and changes one of them means that one.
fn read_quantity(fields: &LenientFields, current: Option<u32>) -> Result<Option<u32>, DialectError> {
    let wrong = || invalid(format!("initialQuantity must be 1 to {QUANTITY_MAX}"));
    let read = |name: &'static str| -> Result<Option<u32>, DialectError> {
        let Some(number) = fields.whole_number(name)? else { return Ok(None) };
        let number = u32::try_from(number).ok().filter(|number| (1..=QUANTITY_MAX).contains(number));
        number.map(Some).ok_or_else(wrong)
    };
    match (read("initialQuantity")?, read("startingQuantity")?) {
        (Some(one), Some(other)) if one == other => Ok(Some(one)),
        (Some(one), Some(other)) if Some(one) == current => Ok(Some(other)),
        (Some(one), Some(other)) if Some(other) == current => Ok(Some(one)),
        (Some(_), Some(_)) => Err(invalid("initialQuantity and startingQuantity differ; send one of them")),
        (one, other) => Ok(one.or(other)),
    }
}

/// The price, in the sale's currency.
fn read_price(fields: &LenientFields, currency: Currency) -> Result<Option<Money>, DialectError> {
    let Some(price) = fields.money("pricePerUnit", currency)? else { return Ok(None) };
    // The field has two decimals; the currency of a native sale may have others.
    let minor = rescale_hundredths(price.minor, currency);
    let minor = minor.and_then(|minor| check_price(minor).ok());
    let minor =
        minor.ok_or_else(|| invalid("pricePerUnit is not an amount of the sale's currency, or too large"))?;
    Ok(Some(Money { minor, currency }))
}

/// The price of an edit. The sale's own price is sent as it was shown, which in some currencies has three decimals.
fn read_edited_price(fields: &LenientFields, shown: Money) -> Result<Option<Money>, DialectError> {
    match fields.text("pricePerUnit") {
        Ok(Some(text)) if text.trim() == AmountDocument(shown).to_text() => Ok(Some(shown)),
        _ => read_price(fields, shown.currency),
    }
}

fn check_period(starts_at: Timestamp, ends_at: Timestamp) -> Result<(), DialectError> {
    if ends_at > starts_at { Ok(()) } else { Err(invalid("endsAt must be after startsAt")) }
}

/// Wrong fields are 400, what the law or the catalogue refuses is 409.
fn refuse_edit(refusal: CatalogueRefusal) -> DialectError {
    match refusal {
        CatalogueRefusal::SaleUnknown => super::request::sale_unknown(),
        CatalogueRefusal::BadPolicy(problems) => invalid(
            problems.first().map_or_else(|| "the sale is not possible".to_owned(), ToString::to_string),
        ),
        refusal => DialectError { status: StatusCode::CONFLICT, ..DialectError::from(refusal) },
    }
}
