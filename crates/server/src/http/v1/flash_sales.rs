//! `/flash-sales`: the list, one sale by id or slug, the buyer's place in its line, and the line for everyone. One sale is the most frequent request, so
//! its reply is serialized once a version; then only the time is written into it.

mod line_feed;
mod list;
mod queue_position;
mod show;

use crate::http::AppState;
use crate::http::reply::{IfNoneMatch, json_reply};
use crate::shop::catalogue::SaleListing;
use crate::shop_documents::sale_document;
use arc_swap::ArcSwap;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use documents::moment::RFC3339_LEN;
use documents::rfc3339;
use engine::SaleView;
use sale::{EventSeq, SaleId, SalePhase, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(show::show))
        .routes(routes!(queue_position::queue_position))
        .routes(routes!(line_feed::line_feed))
}

pub use line_feed::PreparedLineFeeds;

/// The last reply of each sale, complete except for the time.
#[derive(Default)]
pub struct PreparedSales {
    sales: ArcSwap<HashMap<SaleId, Arc<ArcSwap<PreparedSale>>>>,
}

/// What a reply depends on, besides the time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ReplyVersion {
    seq: EventSeq,
    phase: SalePhase,
    revision: u64,
}

pub struct PreparedSale {
    version: ReplyVersion,
    body: Vec<u8>,
    /// The offset of the time in `body`.
    time_offset: usize,
    etag: HeaderValue,
}

impl PreparedSales {
    /// The reply for the current state of a sale; rebuilt when something in it has changed.
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
        // A weak tag: two replies of one version differ in their time.
        let etag = format!(r#"W/"{}-{}-{}""#, version.seq, version.phase.as_str(), version.revision);
        let etag = HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("W/\"\""));
        Self { version, body, time_offset: time_at, etag }
    }

    fn to_reply(&self, known: &IfNoneMatch, now: Timestamp) -> Response<Body> {
        const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
        let mut reply = known.reply_unless_known(&self.etag, || {
            let mut body = self.body.clone();
            body[self.time_offset..self.time_offset + RFC3339_LEN].copy_from_slice(rfc3339(now).as_bytes());
            json_reply(body)
        });
        reply.headers_mut().insert(header::CACHE_CONTROL, REVALIDATE);
        reply
    }
}
