//! Sales over HTTP, for everyone: the list, one by id or slug, and a buyer's place under it. They are asked for most of
//! all, so the reply for one sale is written once a version; afterwards only the time is written into it.

use super::queue::find_place;
use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json, Path, Query};
use crate::http::page::{Page, PageQuery, parse_time_cursor};
use crate::http::problem::{FieldError, Problem, ProblemSchema, kind};
use crate::shop::catalogue::SaleListing;
use crate::shop::sales::{self, ListedSale};
use crate::shop_documents::sale_document;
use arc_swap::ArcSwap;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode, header};
use documents::moment::RFC3339_LEN;
use documents::{PlaceDocument, SaleDocument, rfc3339};
use engine::SaleView;
use sale::{EventSeq, SaleId, SalePhase, Timestamp};
use serde::Deserialize;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of sales.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(queue_position))
}

/// Which sales.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SaleListQuery {
    /// `upcoming`, `active`, `paused`, `ended` or `closed`; all when not given.
    status: Option<String>,
    /// Items in a page, 1 to 200; 50 when not given.
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// All sales, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/flash-sales",
    tag = "flash-sales",
    params(SaleListQuery),
    responses((status = 200, description = "A page of sales", body = Page<SaleDocument>))
)]
async fn list(
    State(app): State<AppState>,
    Query(filter): Query<SaleListQuery>,
) -> Result<Json<Page<SaleDocument>>, Problem> {
    let phase = filter.status.as_deref().map(parse_phase).transpose()?;
    let slice = PageQuery { limit: filter.limit, cursor: filter.cursor }.into_request()?;
    let after = slice.after.as_deref().map(parse_time_cursor).transpose()?;
    let sales = sales::list(&app.shop, phase, after, slice.limit as usize + 1);
    let page =
        Page::new(sales, slice.limit, |sale| format!("{}/{}", sale.listing.created_at.0, sale.listing.sale));
    let now = app.shop.engine.now();
    Ok(Json(page.map(|sale| sale_document(&sale.listing, &sale.view, now))))
}

fn parse_phase(text: &str) -> Result<SalePhase, Problem> {
    [SalePhase::Upcoming, SalePhase::Active, SalePhase::Paused, SalePhase::Ended, SalePhase::Closed]
        .into_iter()
        .find(|phase| phase.as_str() == text)
        .ok_or_else(|| {
            let wrong = FieldError::new("/status", "upcoming, active, paused, ended or closed");
            Problem::new(&kind::INVALID_QUERY).errors(vec![wrong])
        })
}

/// One sale, by id or slug.
///
/// `ETag` names the version; with `If-None-Match` an unchanged sale is 304 without a body.
#[utoipa::path(
    get,
    path = "/api/v1/flash-sales/{id}",
    tag = "flash-sales",
    params(("id" = String, Path, description = "Id or slug")),
    responses(
        (status = 200, description = "The sale", body = SaleDocument),
        (status = 304, description = "Not changed since `If-None-Match`"),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
    )
)]
async fn show(
    State(app): State<AppState>,
    Path(name): Path<String>,
    known: IfNoneMatch,
) -> Result<Response<Body>, Problem> {
    let ListedSale { listing, view } =
        sales::find_named_or_refresh(&app.shop, &name).await.ok_or(Problem::new(&kind::SALE_UNKNOWN))?;
    let now = app.shop.engine.now();
    Ok(app.prepared.prepare_sale(&listing, &view, now).to_reply(&known, now))
}

/// The version that the client has: its `If-None-Match`.
struct IfNoneMatch(Option<HeaderValue>);

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.get(header::IF_NONE_MATCH).cloned()))
    }
}

/// Where am I in this sale's line? The same as `/queue/position`.
#[utoipa::path(
    get,
    path = "/api/v1/flash-sales/{id}/queue-position",
    tag = "flash-sales",
    params(("id" = Uuid, Path, description = "The sale's id")),
    responses(
        (status = 200, description = "The buyer's place", body = PlaceDocument),
        (status = 404, description = "`not_in_line`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn queue_position(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Path(sale): Path<Uuid>,
) -> Result<Json<PlaceDocument>, Problem> {
    find_place(&app, sale, session.buyer).await
}

/// The last reply of each sale, ready but for the time.
#[derive(Default)]
pub struct PreparedSales {
    sales: ArcSwap<HashMap<SaleId, Arc<ArcSwap<PreparedSale>>>>,
}

/// What a reply depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ReplyVersion {
    seq: EventSeq,
    phase: SalePhase,
    revision: u64,
}

/// One sale's reply.
pub struct PreparedSale {
    version: ReplyVersion,
    body: Vec<u8>,
    /// Where in `body` the time stands.
    time_offset: usize,
    etag: HeaderValue,
}

impl PreparedSales {
    /// The reply for a sale as it is; made anew when something it shows has changed.
    fn prepare_sale(&self, listing: &SaleListing, view: &SaleView, now: Timestamp) -> Arc<PreparedSale> {
        let version = ReplyVersion { seq: view.seq, phase: view.phase(now), revision: listing.revision };
        let sales = self.sales.load();
        let slot = sales.get(&listing.sale);
        if let Some(slot) = slot {
            let prepared = slot.load();
            if prepared.version == version {
                return Arc::clone(&prepared);
            }
        }
        let prepared = Arc::new(PreparedSale::new(version, listing, view, now));
        match slot {
            Some(slot) => slot.store(Arc::clone(&prepared)),
            None => {
                self.sales.rcu(|sales| {
                    let mut sales = HashMap::clone(sales);
                    sales.insert(listing.sale, Arc::new(ArcSwap::from(Arc::clone(&prepared))));
                    sales
                });
            }
        }
        prepared
    }
}

impl PreparedSale {
    fn new(version: ReplyVersion, listing: &SaleListing, view: &SaleView, now: Timestamp) -> Self {
        let sale = sale_document(listing, view, now);
        let body = serde_json::to_vec(&sale).unwrap_or_default();
        let member = format!(r#""serverTime":"{}""#, rfc3339(now));
        let offset = member.len() - 1 - RFC3339_LEN;
        let time_at =
            body.windows(member.len()).position(|part| part == member.as_bytes()).map_or(0, |at| at + offset);
        // Weak: two replies of one version differ in their time.
        let etag = format!(r#"W/"{}-{}-{}""#, version.seq, version.phase.as_str(), version.revision);
        let etag = HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("W/\"\""));
        Self { version, body, time_offset: time_at, etag }
    }

    fn to_reply(&self, known: &IfNoneMatch, now: Timestamp) -> Response<Body> {
        const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let mut response = if known.0.as_ref().is_some_and(|known| etag_matches(known, &self.etag)) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            let mut body = self.body.clone();
            body[self.time_offset..self.time_offset + RFC3339_LEN].copy_from_slice(rfc3339(now).as_bytes());
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(header::CONTENT_TYPE, JSON);
            response
        };
        response.headers_mut().insert(header::ETAG, self.etag.clone());
        response.headers_mut().insert(header::CACHE_CONTROL, REVALIDATE);
        response
    }
}

/// Whether an `If-None-Match` names this entity tag, by the weak comparison of RFC 9110.
fn etag_matches(known: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(known), Ok(etag)) = (known.to_str(), etag.to_str()) else { return false };
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known == etag || known.trim() == "*" || known.split(',').any(|one| bare(one) == bare(etag))
}
