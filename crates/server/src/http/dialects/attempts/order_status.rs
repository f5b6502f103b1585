//! What became of a buyer's attempts at a product.

use super::super::DialectState;
use super::super::error::DialectError;
use super::super::fields::PathId;
use super::super::reply::DialectReply;
use super::{parse_id, require_account, success};
use crate::http::caller::RequestCaller;
use crate::http::limits::LimitClass;
use crate::shop::integer_ids;
use crate::shop::single_attempts::{self, AttemptOutcome};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, json};

/// The outcome, also for a product that does not exist.
pub(super) async fn show_order(
    State(state): State<DialectState>,
    PathId(product): PathId,
    caller: RequestCaller,
    headers: HeaderMap,
) -> Result<DialectReply, DialectError> {
    let (session, user) = require_account(&state, &caller, &headers, LimitClass::Read).await?;
    let number = parse_id(&product)?;
    let shop = &state.app.shop;
    let outcome = match integer_ids::find_sold_product(shop, number).await {
        Some(product) => single_attempts::find_outcome(shop, product, session.buyer).await?,
        None => AttemptOutcome::Open,
    };
    let data = Map::from_iter([
        ("productId".to_owned(), json!(number)),
        ("userId".to_owned(), json!(user.to_string())),
        ("status".to_owned(), json!(status_word(outcome))),
    ]);
    Ok(success(StatusCode::OK, data))
}

fn status_word(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Bought => "SUCCESS",
        AttemptOutcome::Failed => "FAILED",
        AttemptOutcome::Open => "PENDING",
    }
}
