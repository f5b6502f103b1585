//! The use cases of the shop, one function each, for all callers: the API, admins, sockets. It never speaks HTTP and never reads settings.

pub mod checkout;
pub mod holds;
pub mod line;
pub mod line_feed;
pub mod orders;
pub mod payments;

pub mod accounts;
pub mod products;
pub mod sales;

pub mod all_orders;
pub mod dashboard;
pub mod events;
pub mod line_pages;
pub mod live_updates;
pub mod order_pages;
pub mod series;
pub mod summary;

pub mod attempts;
pub mod catalogue;
pub mod catalogue_text;
pub mod confirmed_emails;
pub mod follower_lag;
pub mod follower_progress;
pub mod followers;
pub mod fresh_views;
pub mod group_commit;
pub mod grouped_store;
pub mod guests;
pub mod idempotency_keys;
pub mod ids;
pub mod integer_ids;
pub mod keyed_locks;

pub mod mailboxes;
pub mod mails;
pub mod native_guests;
pub mod peer_changes;
pub mod projection;
pub mod provider_notices;
pub mod public_url;
pub mod published_events;
pub mod purchase_jobs;
pub mod receipts;
mod retry_times;
pub mod sale_changes;
pub mod single_attempts;
pub mod single_orders;
pub mod sold_out_memory;
pub mod tenancy;
pub mod unanswered;
mod unprojected;
pub mod webhooks;

use crate::clock::TimeSource;
use crate::payments::sandbox::SandboxProvider;
use crate::store::Store;
use engine::Engine;
use sale::{BuyerId, SaleId};
use std::sync::Arc;

/// What use cases work with.
pub struct Shop {
    /// The engine's clock, so that all parts of the program agree.
    pub now: TimeSource,
    /// The machine's clock, for the times of signatures, which other machines compare with their own. Nothing of a sale is decided by it.
    pub wall_clock: TimeSource,
    pub engine: Engine,
    pub store: Store,
    pub tenancy: tenancy::Tenancy,
    pub catalogue: std::sync::Arc<catalogue::SaleCatalogue>,
    pub projected: follower_progress::FollowerProgress,
    pub catch_up_timeouts: follower_progress::CatchUpTimeouts,
    pub lag: follower_lag::FollowerLag,
    pub attempts: attempts::AttemptBuffer,
    pub payments: Arc<payments::PaymentService>,
    /// The sandbox provider, for its page; `None` where it is no provider.
    pub sandbox: Option<Arc<SandboxProvider>>,
    /// Webhooks of the payment provider, where it sends any.
    pub notices: Option<Arc<provider_notices::NoticeService>>,
    pub keys: Arc<idempotency_keys::IdempotencyKeys>,
    pub receipts: receipts::ReceiptSigner,
    pub summaries: summary::SummaryCache,
    pub fresh_views: fresh_views::FreshViews,
    pub line_readers: line_feed::LineReaders,
    pub changes: sale_changes::SaleChanges,
    /// Calls of one buyer for a hold in a sale, which come one after the other where they are counted.
    pub hold_calls: keyed_locks::KeyedLocks<(SaleId, BuyerId)>,
    pub accounts: accounts::AccountService,
    pub mailboxes: mailboxes::MailboxClaims,
    pub confirmed_buyers: confirmed_emails::ConfirmedBuyers,
    pub guests: guests::GuestBook,
    pub account_numbers: integer_ids::AccountNumbers,
    pub sold_out: sold_out_memory::SoldOutMemory,
    pub jobs: purchase_jobs::PurchaseJobs,
    pub purchases: crate::telemetry::purchases::PurchaseMetrics,
    pub guest_limits: native_guests::GuestLimits,
    pub webhooks: webhooks::WebhookService,
    /// Where buyers reach the shop, if the merchant has said so.
    pub public_url: Option<public_url::PublicUrl>,
    /// Makes the events that other systems read.
    pub events: published_events::EventPublisher,
}
