//! The dialects: the calls of other systems' clients, translated. A dialect renames paths, fields, units and status words; each of its
//! calls ends in one function of `shop`, as a native call does. It never decides anything.
//!
//! A dialect has an [`super::edge::HttpEdge`] of its own, in front of its own routes: on listeners of its own, or below
//! [`Dialect::prefix`] on the main listener.

pub mod error;
pub mod fields;
pub mod reply;
pub mod routes;

pub mod attempts;
pub mod drop;
pub mod holds;
pub mod turnstile;

use super::AppState;
use super::caller::RequestCaller;
use super::cors::Cors;
use super::limits::{LimitClass, LimitKey};
use super::problem::{Problem, kind};
use crate::auth::Session;
use crate::shop::accounts;
use axum::http::StatusCode;
use error::DialectError;
use routes::DialectRoutes;
use sale::Currency;
use serde_json::Value;
use std::sync::Arc;

pub use routes::DialectEndpoint;

/// A system whose clients are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// One sale, sold at once; the outcome of a purchase follows by socket.
    Turnstile,
    /// One unit for each account and sale.
    Attempts,
    /// A line, a hold and its confirmation, by e-mail address.
    Holds,
    /// One sale, sold at once, one unit for each buyer.
    Drop,
}

impl Dialect {
    pub const ALL: [Self; 4] = [Self::Turnstile, Self::Attempts, Self::Holds, Self::Drop];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Turnstile => "turnstile",
            Self::Attempts => "attempts",
            Self::Holds => "holds",
            Self::Drop => "drop",
        }
    }

    /// The dialect with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// Where it is served on the main listener, and the name of its routes in metrics.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Turnstile => "/dialects/turnstile",
            Self::Attempts => "/dialects/attempts",
            Self::Holds => "/dialects/holds",
            Self::Drop => "/dialects/drop",
        }
    }

    /// Whether its buyers are guests, who prove nothing of who they are.
    #[must_use]
    pub fn has_guests(self) -> bool {
        match self {
            Self::Turnstile | Self::Holds | Self::Drop => true,
            Self::Attempts => false,
        }
    }

    /// The routes of the dialect.
    #[must_use]
    pub fn routes(self) -> DialectRoutes {
        match self {
            Self::Drop => drop::routes(),
            Self::Turnstile => turnstile::routes(),
            Self::Attempts => attempts::routes(),
            Self::Holds => holds::routes(),
        }
    }

    /// An error in the dialect's shape.
    #[must_use]
    pub fn render_error(self, error: &DialectError, path: &str) -> Value {
        match self {
            Self::Drop => drop::render_error(error, path),
            Self::Turnstile => turnstile::render_error(error),
            Self::Attempts => attempts::render_error(error, path),
            Self::Holds => holds::render_error(error, path),
        }
    }
}

/// Who may make the admin calls of dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialectAdmin {
    /// Admin accounts.
    Closed,
    /// Everyone.
    Open,
}

/// What all dialects of an instance share.
#[derive(Debug, Clone)]
pub struct DialectSettings {
    pub admin: DialectAdmin,
    /// Sites whose pages may call the dialects.
    pub cors: Cors,
    /// The currency of what is made through a dialect; it has two decimals.
    pub currency: Currency,
    /// Id or slug of the sale that `turnstile` sells.
    pub turnstile_sale: Option<String>,
    /// The product ids that mean the sale of `turnstile`; empty when every id does.
    pub turnstile_products: Vec<String>,
    /// Id or slug of the sale that `drop` sells.
    pub drop_sale: Option<String>,
    /// Admissions a second in sales that are made through `holds`.
    pub holds_per_second: u32,
    /// Seconds of a hold in sales that are made through `holds`.
    pub holds_s: u32,
}

/// What the handlers of a dialect may use.
pub struct DialectContext {
    pub app: AppState,
    pub dialect: Dialect,
    pub settings: Arc<DialectSettings>,
}

pub type DialectState = Arc<DialectContext>;

impl DialectContext {
    /// Whether the caller may make an admin call: with `--dialect-admin open` everyone may.
    ///
    /// # Errors
    /// 401 without the access token of an admin account.
    pub async fn require_admin(&self, caller: &RequestCaller) -> Result<(), DialectError> {
        if self.settings.admin == DialectAdmin::Open {
            return Ok(());
        }
        if let Some(session) = caller.session
            && accounts::is_admin_session(&self.app.shop.accounts, session).await?
        {
            return Ok(());
        }
        Err(DialectError::new(
            StatusCode::UNAUTHORIZED,
            "this call needs the access token of an admin account",
        )
        .code(kind::UNAUTHORIZED.code))
    }

    /// The session of a valid access token.
    ///
    /// # Errors
    /// 401 without one.
    pub fn require_session(&self, caller: &RequestCaller) -> Result<Session, DialectError> {
        caller.session.ok_or_else(|| DialectError::from(Problem::new(&kind::UNAUTHORIZED)))
    }

    /// Counts a request in the limit of its class.
    ///
    /// # Errors
    /// 429 when there were too many.
    pub async fn count_request(&self, class: LimitClass, key: LimitKey) -> Result<(), DialectError> {
        let Some(limits) = self.app.limits.as_ref() else { return Ok(()) };
        let now = (self.app.shop.now)();
        match limits.count_request(class, key, now).await.retry_after_s {
            None => Ok(()),
            Some(seconds) => Err(Problem::new(&kind::RATE_LIMITED).retry_after_s(seconds).into()),
        }
    }

    /// Takes back a request that [`Self::count_request`] counted.
    pub async fn return_request(&self, class: LimitClass, key: LimitKey) {
        if let Some(limits) = self.app.limits.as_ref() {
            limits.return_request(class, key, (self.app.shop.now)()).await;
        }
    }
}
