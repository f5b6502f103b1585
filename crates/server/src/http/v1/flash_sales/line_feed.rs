//! `GET /api/v1/flash-sales/{id}/line-feed`: the waiting line of a sale for all its buyers at once. The document of a sale is made and
//! serialized once a second, by the first request of the second, and every cache on the way may serve it.

use crate::http::AppState;
use crate::http::extract::Path;
use crate::http::problem::{Problem, kind};
use crate::http::reply::{IfNoneMatch, json_reply};
use crate::http::{AppContext, redirect_for_good};
use crate::shop::line_feed::read_line;
use crate::shop::sales;
use crate::shop_documents::line_feed_document;
use arc_swap::ArcSwapOption;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use documents::LineFeedDocument;
use engine::SaleView;
use sale::{SaleId, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Everyone gets the same for a second, also what is refused.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=1");
/// How long a request waits for the document of its second. Only a ledger that was never read takes so long; it is read on meanwhile by
/// the requests that come next.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(5);

/// The latest document of each sale with a line.
#[derive(Default)]
pub struct PreparedLineFeeds(Mutex<HashMap<SaleId, Arc<FeedSlot>>>);

#[derive(Default)]
struct FeedSlot {
    latest: ArcSwapOption<PreparedLineFeed>,
    /// Held by the request that makes the document of a second.
    preparing: tokio::sync::Mutex<()>,
}

struct PreparedLineFeed {
    /// Seconds since 1970.
    second: i64,
    body: Bytes,
    etag: HeaderValue,
}

/// The waiting line of a sale, the same for everyone.
///
/// It is made once a second, has at most 4 KiB, and may be cached for a second: poll it through a cache. With the own ticket (from
/// `POST /queue/join`) each buyer computes the place, the people ahead and the estimated wait from it, and asks for
/// `GET /queue/position` once the ticket is not above `line.serving`. With `If-None-Match`, an unchanged line is a 304 without a body.
#[utoipa::path(
    get,
    path = "/api/v1/flash-sales/{id}/line-feed",
    tag = "flash-sales",
    params(("id" = String, Path, description = "Id or slug")),
    responses(
        (status = 200, description = "The line", body = LineFeedDocument),
        (status = 304, description = "Not changed since `If-None-Match`"),
        (status = 308, description = "The sale has another slug now: see `Location`"),
    )
)]
pub(super) async fn line_feed(
    State(app): State<AppState>,
    Path(name): Path<String>,
    known: IfNoneMatch,
) -> Response<Body> {
    match find_reply(&app, &name, &known).await {
        Ok(reply) => reply,
        Err(problem) => {
            // What a client did wrong, every other client does too.
            let holds_for_all = problem.kind().status < 500;
            let mut response = problem.into_response();
            if holds_for_all {
                response.headers_mut().insert(header::CACHE_CONTROL, CACHE_CONTROL);
            }
            response
        }
    }
}

async fn find_reply(app: &AppContext, name: &str, known: &IfNoneMatch) -> Result<Response<Body>, Problem> {
    let Some(sale) = sales::find_named_or_refresh(&app.shop, name).await else {
        let slug = sales::find_moved(&app.shop, name).ok_or(Problem::new(&kind::SALE_UNKNOWN))?;
        return Ok(redirect_for_good(&format!("/api/v1/flash-sales/{slug}/line-feed")));
    };
    if sale.view.policy.line_opens_at().is_none() {
        return Err(Problem::new(&kind::NO_LINE));
    }
    match tokio::time::timeout(PREPARE_TIMEOUT, app.line_feeds.prepare(app, sale.view.id)).await {
        Ok(prepared) => Ok(prepared?.to_reply(known)),
        Err(_) => {
            Err(Problem::new(&kind::UNAVAILABLE).detail("the line is being read; ask again in a moment"))
        }
    }
}

impl PreparedLineFeeds {
    /// The document of this second; made by one request, for which the others wait.
    async fn prepare(&self, app: &AppContext, sale: SaleId) -> Result<Arc<PreparedLineFeed>, Problem> {
        let slot = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(sale).or_default());
        let second_of = |now: Timestamp| now.0.div_euclid(1_000);
        let find_latest = || {
            let second = second_of(app.shop.engine.now());
            slot.latest.load_full().filter(|latest| latest.second >= second)
        };
        if let Some(latest) = find_latest() {
            return Ok(latest);
        }
        let _preparing = slot.preparing.lock().await;
        if let Some(latest) = find_latest() {
            return Ok(latest);
        }
        let view = app.shop.engine.views().get(sale).ok_or(Problem::new(&kind::SALE_UNKNOWN))?;
        let line = read_line(&app.shop, &view).await?;
        let second = second_of(app.shop.engine.now());
        let now = Timestamp(second * 1_000);
        let document = line_feed_document(&view, line.as_ref(), now).ok_or(Problem::new(&kind::NO_LINE))?;
        let prepared = Arc::new(PreparedLineFeed::new(second, &view, &document));
        slot.latest.store(Some(Arc::clone(&prepared)));
        Ok(prepared)
    }
}

impl PreparedLineFeed {
    fn new(second: i64, view: &SaleView, document: &LineFeedDocument) -> Self {
        // A weak tag: two documents of one version differ in their time. Who knows one of them knows the line, and has a clock.
        let phase = view.phase(document.server_time).as_str();
        let etag = HeaderValue::from_str(&format!(r#"W/"{}-{phase}""#, view.seq));
        let body = serde_json::to_vec(document).unwrap_or_default();
        Self { second, body: body.into(), etag: etag.unwrap_or(HeaderValue::from_static("W/\"\"")) }
    }

    fn to_reply(&self, known: &IfNoneMatch) -> Response<Body> {
        let mut reply = known.reply_unless_known(&self.etag, || json_reply(self.body.clone()));
        reply.headers_mut().insert(header::CACHE_CONTROL, CACHE_CONTROL);
        reply
    }
}
