//! The calls of buyers: join the line, read the place, confirm the hold, list the orders.

use super::super::error::DialectError;
use super::super::fields::{LenientBody, LenientFields, LenientQuery};
use super::super::reply::DialectReply;
use super::super::{DialectContext, DialectState};
use super::documents::{OrderDocument, PageDocument};
use super::request::{
    BuyerInSale, PageNumber, find_sale, invalid, parse_guest, read_sale, read_text, sale_unknown,
};
use super::{METHOD, PROVIDER};
use crate::http::limits::{LimitClass, LimitKey};
use crate::http::problem::kind;
use crate::shop::Shop;
use crate::shop::checkout::{self, CheckoutRefusal};
use crate::shop::guests::DialectGuest;
use crate::shop::holds::{self, HoldRefusal, HoldState, HoldStatus};
use crate::shop::keyed_locks::KeyedGuard;
use crate::shop::order_pages;
use crate::shop::payments::PaymentRefusal;
use crate::shop::sales::ListedSale;
use crate::shop::single_orders::OtherOrders;
use axum::extract::State;
use axum::http::StatusCode;
use sale::{Availability, BuyerId, Refusal, SaleId};
use serde_json::{Value, json};

/// Orders of a page.
const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u32 = 100;

/// Joins the line. A repeat keeps the place and the hold.
pub(super) async fn buy(
    State(state): State<DialectState>,
    LenientBody(fields): LenientBody,
) -> Result<DialectReply, DialectError> {
    let call = BuyerCall::begin(&state, &fields).await?;
    let (shop, id, guest) = (&state.app.shop, call.sale.view.id, &call.guest);
    let counted = call.count(|hold| matches!(hold, HoldState::Nothing)).await?;
    let joining = holds::join(shop, id, guest.buyer());
    let joined = match refuses_all(shop, &call.sale) {
        true => joining.await?,
        false => shop.guests.remember_during(guest, joining).await??,
    };
    let is_repeat = match &joined {
        Ok(joined) => !joined.is_new,
        Err(refusal) => matches!(refusal, HoldRefusal::Bought(_)),
    };
    if is_repeat {
        call.count_as_read(counted).await?;
    }
    let status = joined.map_err(refuse_join)?.status;
    // The place is kept: a refund may free a unit.
    if matches!(status.state, HoldState::Waiting { .. }) && is_sold_out(shop, id) {
        return Err(refuse_join(HoldRefusal::Law(Refusal::SoldOut)));
    }
    Ok(describe_joined(&status, guest, id))
}

fn describe_joined(status: &HoldStatus, guest: &DialectGuest, sale: SaleId) -> DialectReply {
    let (position, has_hold, hold_ttl_s) = describe_state(&status.state);
    DialectReply::ok(&json!({
        "queued": true,
        "position": position,
        "size": status.line_size,
        "hasActiveHold": has_hold,
        "holdTtlSec": hold_ttl_s,
        "jobId": format!("{sale}:{}", guest.buyer()),
        "email": guest.name(),
        "flashSaleId": sale,
    }))
}

/// Where a buyer is, whatever was asked.
pub(super) async fn show_position(
    State(state): State<DialectState>,
    LenientQuery(fields): LenientQuery,
) -> Result<DialectReply, DialectError> {
    let shop = &state.app.shop;
    // What cannot be read names nobody and nothing.
    let email = read_text(&fields, "email").unwrap_or_default();
    let sale_text = read_text(&fields, "flashSaleId").unwrap_or_default();
    let guest = email.as_deref().and_then(|email| parse_guest(email).ok());
    if let Some(guest) = &guest {
        count_call(&state, guest, LimitClass::Read).await?;
    }
    let sale = match (&sale_text, &guest) {
        (Some(id), Some(_)) => find_sale(&state, id).await,
        (Some(id), None) => read_sale(&state, id).await?,
        (None, _) => None,
    };
    let status = match (&guest, &sale) {
        (Some(guest), Some(sale)) => holds::read_status(shop, sale.view.id, guest.buyer()).await?,
        (None, Some(sale)) => HoldStatus {
            state: HoldState::Nothing,
            line_size: holds::count_line(&sale.view, shop.engine.now()),
        },
        (_, None) => HoldStatus { state: HoldState::Nothing, line_size: 0 },
    };
    let (position, has_hold, hold_ttl_s) = describe_state(&status.state);
    let word = match status.state {
        HoldState::Waiting { .. } => "queued",
        HoldState::Held { .. } => "ready",
        HoldState::Nothing | HoldState::Bought(_) => "none",
    };
    let email = guest.map(|guest| guest.name().to_owned()).or(email);
    Ok(DialectReply::ok(&json!({
        "status": word,
        "position": position,
        "size": status.line_size,
        "hasActiveHold": has_hold,
        "holdTtlSec": hold_ttl_s,
        "email": email,
        "flashSaleId": sale_text,
        "ts": shop.engine.now().0,
    })))
}

/// Sells the unit of a hold.
pub(super) async fn confirm(
    State(state): State<DialectState>,
    LenientBody(fields): LenientBody,
) -> Result<DialectReply, DialectError> {
    let call = BuyerCall::begin(&state, &fields).await?;
    let (shop, id, guest) = (&state.app.shop, call.sale.view.id, &call.guest);
    let counted = call.count(|hold| matches!(hold, HoldState::Held { .. })).await?;
    let bought = checkout::buy_held_unit(shop, id, guest.buyer(), OtherOrders::Impossible, METHOD).await?;
    let is_read = match &bought {
        Ok(bought) => bought.repeated,
        Err(refusal) => matches!(
            refusal,
            CheckoutRefusal::NoHold(_) | CheckoutRefusal::Law(Refusal::SoldOut | Refusal::AllHeld)
        ),
    };
    if is_read {
        call.count_as_read(counted).await?;
    }
    let bought = bought.map_err(refuse_checkout)?;
    // Joining has stored the guest, unless the line was joined elsewhere.
    shop.guests.remember(guest).await?;
    let (order, left) = (bought.order.view.id, bought.unsold);
    Ok(DialectReply::ok(&json!({"ok": true, "orderId": order, "inventoryLeft": left})))
}

/// A buyer's orders, newest first.
pub(super) async fn list_by_email(
    State(state): State<DialectState>,
    LenientQuery(fields): LenientQuery,
) -> Result<DialectReply, DialectError> {
    let Some(email) = read_text(&fields, "email")? else { return Err(invalid("email is required")) };
    let guest = parse_guest(&email)?;
    count_call(&state, &guest, LimitClass::Read).await?;
    let page = PageNumber::read(&fields, "limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let Some(sale) = read_sale_filter(&fields)? else { return Ok(DialectReply::ok(&empty_page(page))) };
    let shop = &state.app.shop;
    let found = order_pages::list_of_buyer(shop, guest.buyer(), sale, page.offset()).await?;
    let items = found.orders.iter().map(|row| OrderDocument::new(shop, row, Some(guest.name().to_owned())));
    let items: Vec<OrderDocument> = items.collect();
    Ok(DialectReply::ok(&PageDocument { items, total: found.total, page: page.page, limit: page.limit }))
}

/// The sale of a filter: none given, one, or (as `None`) one that cannot exist.
pub(super) fn read_sale_filter(fields: &LenientFields) -> Result<Option<Option<SaleId>>, DialectError> {
    Ok(match read_text(fields, "flashSaleId")? {
        None => Some(None),
        Some(id) => id.parse().ok().map(Some),
    })
}

pub(super) fn empty_page(page: PageNumber) -> PageDocument<OrderDocument> {
    PageDocument { items: Vec::new(), total: 0, page: page.page, limit: page.limit }
}

/// A call of a buyer in a sale that may change something.
struct BuyerCall<'a> {
    state: &'a DialectContext,
    guest: DialectGuest,
    sale: ListedSale,
    /// Where calls are counted, those of one buyer come one after the other: the first one changes something, the others repeat it.
    _turn: Option<KeyedGuard<(SaleId, BuyerId)>>,
}

impl<'a> BuyerCall<'a> {
    async fn begin(state: &'a DialectContext, fields: &LenientFields) -> Result<Self, DialectError> {
        let BuyerInSale { guest, sale } = BuyerInSale::read(fields)?;
        let sale = find_counted(state, &guest, &sale).await?;
        if !checkout::is_payable_through(&state.app.shop, &sale, PROVIDER) {
            count_call(state, &guest, LimitClass::Read).await?;
            return Err(refuse_unpayable(&sale.listing.provider));
        }
        let turn = match state.app.limits {
            Some(_) => Some(state.app.shop.hold_calls.lock((sale.view.id, guest.buyer())).await),
            None => None,
        };
        Ok(Self { state, guest, sale, _turn: turn })
    }

    /// Counts the call as one that changes something; a buyer who has made too many of them may still repeat one, which counts as a read.
    /// `changes` says whether the call changes something for a buyer who has this.
    async fn count(&self, changes: fn(&HoldState) -> bool) -> Result<LimitClass, DialectError> {
        let Err(too_many) = count_call(self.state, &self.guest, LimitClass::Buy).await else {
            return Ok(LimitClass::Buy);
        };
        let known = holds::read_status(&self.state.app.shop, self.sale.view.id, self.guest.buyer()).await?;
        if changes(&known.state) {
            return Err(too_many);
        }
        count_call(self.state, &self.guest, LimitClass::Read).await?;
        Ok(LimitClass::Read)
    }

    /// Counts the call as a read after all: it has changed nothing.
    async fn count_as_read(&self, counted: LimitClass) -> Result<(), DialectError> {
        if counted == LimitClass::Read {
            return Ok(());
        }
        self.state.return_request(counted, LimitKey::from_buyer(self.guest.buyer())).await;
        count_call(self.state, &self.guest, LimitClass::Read).await
    }
}

/// The sale of a call that changes something. A call for no sale is counted as a read.
async fn find_counted(
    state: &DialectContext,
    guest: &DialectGuest,
    id: &str,
) -> Result<ListedSale, DialectError> {
    match find_sale(state, id).await {
        Some(sale) => Ok(sale),
        None => {
            count_call(state, guest, LimitClass::Read).await?;
            Err(sale_unknown())
        }
    }
}

/// Counts a call of the buyer who is claimed.
async fn count_call(
    state: &DialectContext,
    guest: &DialectGuest,
    class: LimitClass,
) -> Result<(), DialectError> {
    state.count_request(class, LimitKey::from_buyer(guest.buyer())).await
}

/// Whether no buyer can join any more, so that a call changes nothing.
fn refuses_all(shop: &Shop, sale: &ListedSale) -> bool {
    let (view, now) = (&sale.view, shop.engine.now());
    view.availability == Availability::SoldOut
        || sale::refusal_for_every_join(now, &view.policy, view.phase(now)).is_some()
}

/// Position, whether there is a hold, and its seconds.
fn describe_state(state: &HoldState) -> (Value, bool, u32) {
    match *state {
        HoldState::Nothing | HoldState::Bought(_) => (Value::Null, false, 0),
        HoldState::Waiting { position } => (json!(position), false, 0),
        HoldState::Held { seconds_left, .. } => (json!(1), true, seconds_left),
    }
}

fn is_sold_out(shop: &Shop, sale: SaleId) -> bool {
    shop.engine.views().get(sale).is_some_and(|view| view.availability == Availability::SoldOut)
}

fn refuse_join(refusal: HoldRefusal) -> DialectError {
    match refusal {
        HoldRefusal::Bought(order) => {
            let message = "You have already purchased this item";
            let refused = DialectError::refused(StatusCode::CONFLICT, Refusal::LimitReached, message);
            refused.field("orderId", order.view.id.to_string())
        }
        HoldRefusal::Law(refusal) => {
            DialectError::refused(StatusCode::CONFLICT, refusal, join_message(refusal))
        }
    }
}

fn join_message(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::SoldOut => "Sold out: every unit has a buyer",
        Refusal::NotStarted => "The flash sale has not started yet",
        Refusal::Ended | Refusal::Closed => "The flash sale has ended",
        Refusal::NoLine => "This flash sale has no line, and sells nothing here",
        Refusal::LimitReached => "You have reached the limit of this flash sale",
        _ => "The line cannot be joined now",
    }
}

/// A sale that was made after the start: one that was there already would have been in its way.
fn refuse_unpayable(provider: &str) -> DialectError {
    let message = format!(
        "This flash sale takes payments through {provider}, and a confirmation here names no method of it; buy on the shop's own pages"
    );
    DialectError::new(StatusCode::CONFLICT, message).code(kind::PAYMENT_UNAVAILABLE.code)
}

fn refuse_checkout(refusal: CheckoutRefusal) -> DialectError {
    match refusal {
        CheckoutRefusal::NoHold(refusal) => {
            let message = "Your hold has expired, or you have none yet; join the line again";
            DialectError::refused(StatusCode::GONE, refusal, message)
        }
        CheckoutRefusal::Law(refusal) => {
            let message = match refusal {
                Refusal::Paused => "The flash sale is paused; your hold stands still, so try again later",
                Refusal::SoldOut | Refusal::AllHeld => "Sold out: no unit is left",
                _ => "The purchase was refused",
            };
            DialectError::refused(StatusCode::CONFLICT, refusal, message)
        }
        // The hold ended while its order was paid for.
        CheckoutRefusal::Payment(
            PaymentRefusal::OrderGone(_) | PaymentRefusal::OrderState(_) | PaymentRefusal::OrderUnknown,
        ) => {
            let message = "Your hold has expired; nothing was charged";
            DialectError::new(StatusCode::GONE, message).code(kind::ORDER_EXPIRED.code)
        }
        CheckoutRefusal::Payment(refusal) => {
            DialectError { status: StatusCode::CONFLICT, ..DialectError::from(refusal) }
        }
    }
}
