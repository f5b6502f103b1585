//! Pages around a payment on a page of its provider: the way back to the order, and the page of the sandbox, which stands for a bank's.
//! They need no session: everybody who knows a payment's id may ask how it is, and only the sandbox's own charges are decided here.

mod sandbox_page;

use super::AppState;
use super::extract::{Path, PathPair};
use super::problem::{Problem, kind};
use super::web;
use crate::shop::payments::{IntentId, PageDecision, RETURN_PATH, SANDBOX_PAGES};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The paths with their methods, for the route table of the edge.
pub const PATHS: [(&str, &str); 3] = [("GET", RETURN), ("GET", SANDBOX_PAGE), ("POST", SANDBOX_DECISION)];

const RETURN: &str = "/pay/return/{payment}";
const SANDBOX_PAGE: &str = "/sandbox/pay/{intent}";
const SANDBOX_DECISION: &str = "/sandbox/pay/{intent}/{decision}";

/// How long a buyer who comes back waits for the provider's answer. The order's page shows it in any case.
const RETURN_WAIT: Duration = Duration::from_millis(800);

pub fn router() -> Router<AppState> {
    Router::new()
        .route(RETURN, get(return_to_order))
        .route(SANDBOX_PAGE, get(show_sandbox_page))
        .route(SANDBOX_DECISION, post(decide_sandbox_page))
}

/// Brings a buyer from the provider's page to the order, and has the provider asked meanwhile.
async fn return_to_order(
    State(app): State<AppState>,
    Path(payment): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Ok(payment) = payment.parse::<Uuid>() else {
        return web::answer_unknown_path(Method::GET, uri, headers).await;
    };
    match tokio::time::timeout(RETURN_WAIT, app.shop.payments.wake(payment)).await {
        Ok(Ok(Some(order))) => Redirect::to(&format!("/orders/{order}")).into_response(),
        Ok(Ok(None)) => web::answer_unknown_path(Method::GET, uri, headers).await,
        Ok(Err(error)) => Problem::from(error).into_response(),
        // The page waits for what the provider says (`useBankReturn.ts`).
        Err(_late) => match app.shop.payments.find_payment_order(payment).await {
            Ok(Some(order)) => Redirect::to(&format!("/orders/{order}?asking")).into_response(),
            Ok(None) => Redirect::to("/orders").into_response(),
            Err(error) => Problem::from(error).into_response(),
        },
    }
}

async fn show_sandbox_page(
    State(app): State<AppState>,
    Path(intent): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let (Some(sandbox), Ok(intent)) = (&app.shop.sandbox, intent.parse::<Uuid>()) else {
        return web::answer_unknown_path(Method::GET, uri, headers).await;
    };
    match sandbox.find_page(IntentId(intent)).await {
        Ok(Some((charge, page))) => {
            let html = sandbox_page::render(&charge, &page);
            let policy = (header::CONTENT_SECURITY_POLICY, sandbox_page::policy());
            let cache = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            ([policy, cache], Html(html)).into_response()
        }
        Ok(None) => web::answer_unknown_path(Method::GET, uri, headers).await,
        Err(_no_reply) => Problem::new(&kind::UNAVAILABLE).into_response(),
    }
}

/// Does what the buyer chose, wakes the shop as a bank's notice does, and leads back.
async fn decide_sandbox_page(
    State(app): State<AppState>,
    PathPair(intent, decision): PathPair<Uuid, String>,
) -> Response {
    let decision = match decision.as_str() {
        "approve" => PageDecision::Approve,
        "decline" => PageDecision::Decline,
        "submit" => PageDecision::Submit,
        _ => return Problem::new(&kind::NOT_FOUND).into_response(),
    };
    let Some(sandbox) = &app.shop.sandbox else { return Problem::new(&kind::NOT_FOUND).into_response() };
    match sandbox.decide_page(IntentId(intent), decision).await {
        Ok(Some(_)) => {
            let payments = Arc::clone(&app.shop.payments);
            tokio::spawn(async move { drop(payments.wake(intent).await) });
            let back = match decision {
                // The bank's answer is still to be chosen, on this page.
                PageDecision::Submit => format!("{SANDBOX_PAGES}{intent}"),
                PageDecision::Approve | PageDecision::Decline => format!("{RETURN_PATH}{intent}"),
            };
            (StatusCode::SEE_OTHER, [(header::LOCATION, back)]).into_response()
        }
        Ok(None) => Problem::new(&kind::NOT_FOUND).into_response(),
        Err(_no_reply) => Problem::new(&kind::UNAVAILABLE).into_response(),
    }
}
