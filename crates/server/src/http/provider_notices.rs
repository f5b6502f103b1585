//! `POST /webhooks/stripe`: Stripe's webhooks. A sender needs the endpoint's secret; a webhook only makes the shop ask Stripe. No limit
//! counts them, and their signature is checked before anything is read.

use super::extract::{body_too_large, is_longer_than, read_body};
use super::problem::{Problem, kind};
use super::{AppState, web};
use crate::shop::provider_notices::{NoticeError, NoticeResult};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

/// The path, for the route table of the edge.
pub const PATH: &str = "/webhooks/stripe";

/// Bytes of a webhook at most.
pub const BODY_LEN_MAX: usize = 256 << 10;

const SIGNATURE: &str = "stripe-signature";

pub fn router() -> Router<AppState> {
    Router::new().route(PATH, post(receive))
}

/// Keeps a webhook and wakes its payment. Stripe sends it again until the reply is 2xx.
async fn receive(State(app): State<AppState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(notices) = &app.shop.notices else {
        return web::answer_unknown_path(parts.method, parts.uri, parts.headers).await;
    };
    if is_longer_than(&parts.headers, BODY_LEN_MAX) {
        super::extract::discard_body(body).await;
        return body_too_large(BODY_LEN_MAX).into_response();
    }
    let body = match read_body(body, BODY_LEN_MAX).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let signature = parts.headers.get(SIGNATURE).and_then(|value| value.to_str().ok());
    match notices.receive(signature, &body).await {
        Ok(NoticeResult::Accepted | NoticeResult::Ignored) => StatusCode::NO_CONTENT.into_response(),
        Err(NoticeError::Signature(error)) => {
            Problem::new(&kind::BAD_REQUEST).detail(error.to_string()).into_response()
        }
        Err(NoticeError::Unreadable) => {
            Problem::new(&kind::BAD_REQUEST).detail("the body is no event of Stripe's").into_response()
        }
        Err(NoticeError::Store(error)) => Problem::from(error).into_response(),
    }
}
