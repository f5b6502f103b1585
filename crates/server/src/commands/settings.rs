//! The settings of `serve`: each flag, its variable, its unit and default, and its check are one line of one struct. It never
//! acts on them.

mod dialects;
mod kafka;
mod mail;
mod parse;
mod payments;
mod webhooks;

use super::CommandError;
use super::database::DatabaseUrl;
use super::valkey::ValkeyUrl;
use crate::http::cors::Cors;
use crate::http::limits::{RateLimit, RateLimits, shared};
use crate::http::{edge, server};
use crate::realtime;
use crate::shop::follower_progress::CatchUpTimeouts;
use crate::shop::public_url::PublicUrl;
use clap::{Args, ValueEnum};
use documents::EventAddresses;
use engine::valkey_connection::ValkeyAddress;
use ipnet::IpNet;
use parse::{lifetime, network};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use dialects::{DialectArguments, DialectMount};
pub use kafka::{KafkaArguments, TopicNumbers, is_secret};
pub use mail::{MailArguments, MailSettings};
pub use parse::{duration, event_source};
pub use payments::{PaymentArguments, ProviderName, StripeSettings};
pub use webhooks::WebhookArguments;

/// The source of events of a shop that has no address.
const EVENTS_SOURCE_DEFAULT: &str = "urn:doorbuster";

/// Runs the shop.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Address of the API.
    #[arg(long, env = "DOORBUSTER_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Address of /metrics; keep it private.
    #[arg(long, env = "DOORBUSTER_METRICS_LISTEN", default_value = "127.0.0.1:9464", value_name = "ADDRESS")]
    pub metrics_listen: SocketAddr,
    /// Folder of the ledger, the tables and the token key; made if there is none, unless all of them are in a database.
    #[arg(long, env = "DOORBUSTER_DATA", default_value = "./data", value_name = "FOLDER")]
    pub data: PathBuf,
    /// PostgreSQL for the ledger and the tables, such as postgres://user:password@host/name; without it they are in the data
    /// folder. Without --valkey, the instance that started on it last decides. Give it by its variable if there is a password in it.
    #[arg(long, env = "DOORBUSTER_DATABASE", hide_env_values = true, value_name = "URL")]
    pub database: Option<DatabaseUrl>,
    /// Valkey or Redis (7.0 or newer) that all instances on the database share, such as redis://:password@host:6379; needs
    /// --database. Give it by its variable if there is a password in it.
    #[arg(long, env = "DOORBUSTER_VALKEY", hide_env_values = true, value_name = "URL")]
    pub valkey: Option<ValkeyUrl>,
    /// What this instance does: all, or the API alone, which leaves to other instances what is due by itself: expired holds, admissions,
    /// tables, payments left open.
    #[arg(long, env = "DOORBUSTER_ROLES", value_enum, default_value = "all")]
    pub roles: ServeRoles,
    /// Also makes a product, a sale that starts soon, and an admin.
    #[arg(long, env = "DOORBUSTER_DEMO", value_parser = clap::builder::BoolishValueParser::new())]
    pub demo: bool,
    /// Address at which buyers reach the shop, such as `https://shop.example`: for links, redirects and previews. The demo uses --listen.
    #[arg(long, env = "DOORBUSTER_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<PublicUrl>,
    /// Source of the events that other systems read, a URI; by default --public-url, or `urn:doorbuster` without one.
    #[arg(long, env = "DOORBUSTER_EVENTS_SOURCE", value_parser = event_source, value_name = "URI")]
    pub events_source: Option<String>,
    #[command(flatten)]
    pub kafka: KafkaArguments,
    /// Proxies whose X-Forwarded-For counts: addresses and networks, with commas between.
    #[arg(long, env = "DOORBUSTER_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network, value_name = "LIST")]
    pub trusted_proxies: Vec<IpNet>,
    /// Sites whose pages may call the API: origins with commas between, or *.
    #[arg(long, env = "DOORBUSTER_CORS_ORIGINS", value_delimiter = ',', value_name = "LIST")]
    pub cors_origins: Vec<String>,

    /// Whether buyers may come without an account, with an e-mail address alone.
    #[arg(long, env = "DOORBUSTER_GUESTS", value_enum, default_value = "off")]
    pub guests: OnOff,

    #[command(flatten)]
    pub webhooks: WebhookArguments,

    #[command(flatten)]
    pub mail: MailArguments,

    #[command(flatten)]
    pub payments: PaymentArguments,

    #[command(flatten)]
    pub dialects: DialectArguments,

    /// Whether requests are limited.
    #[arg(long, env = "DOORBUSTER_LIMITS", value_enum, default_value = "on")]
    pub limits: OnOff,
    /// Sign-ups, sign-ins, new passwords, visits of guests, mailed links and codes, and searches for a guest's order from an address, in a time.
    #[arg(long, env = "DOORBUSTER_LIMIT_AUTH", default_value = "100/15m", value_name = "COUNT/TIME")]
    pub limit_auth: RateLimit,
    /// Refreshes of sessions by a buyer (or from an address without a valid access token), in a time.
    #[arg(long, env = "DOORBUSTER_LIMIT_REFRESH", default_value = "600/15m", value_name = "COUNT/TIME")]
    pub limit_refresh: RateLimit,
    /// Passwords for one account from addresses that it has not signed in from, and wrong ones from each that it has, in a time.
    #[arg(long, env = "DOORBUSTER_LIMIT_GUESS", default_value = "20/1h", value_name = "COUNT/TIME")]
    pub limit_guess: RateLimit,
    /// Changes by a buyer (or from an address without a token), in a time.
    #[arg(long, env = "DOORBUSTER_LIMIT_BUY", default_value = "100/15m", value_name = "COUNT/TIME")]
    pub limit_buy: RateLimit,
    /// Reads by a buyer (or from an address without a token), in a time.
    #[arg(long, env = "DOORBUSTER_LIMIT_READ", default_value = "6000/1m", value_name = "COUNT/TIME")]
    pub limit_read: RateLimit,
    /// How long a Valkey of the request limits is waited for; set by tests only.
    #[arg(skip)]
    pub limiter_timeouts: shared::LimiterTimeouts,
    /// How long a read waits for the tables to catch up; set by tests only.
    #[arg(skip)]
    pub catch_up_timeouts: CatchUpTimeouts,
    /// Bytes of a request's body at most.
    #[arg(long, env = "DOORBUSTER_BODY_LIMIT", default_value_t = 64 << 10, value_parser = clap::value_parser!(u32).range(1024..=16 << 20), value_name = "BYTES")]
    pub body_limit: u32,
    /// Time that a request may take.
    #[arg(long, env = "DOORBUSTER_REQUEST_TIMEOUT", default_value = "30s", value_parser = duration, value_name = "TIME")]
    pub request_timeout: Duration,
    /// Time that the head of a request may take to arrive.
    #[arg(long, env = "DOORBUSTER_HEAD_TIMEOUT", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub head_timeout: Duration,
    /// Time that a connection may wait for its next request; more than the load balancer's own.
    #[arg(long, env = "DOORBUSTER_IDLE_TIMEOUT", default_value = "75s", value_parser = duration, value_name = "TIME")]
    pub idle_timeout: Duration,
    /// Time that requests in flight get to finish after SIGTERM.
    #[arg(long, env = "DOORBUSTER_DRAIN_TIMEOUT", default_value = "25s", value_parser = duration, value_name = "TIME")]
    pub drain_timeout: Duration,
    /// Time between /readyz turning 503 on SIGTERM and the end of accepting, for the load balancer to notice.
    #[arg(long, env = "DOORBUSTER_DRAIN_GRACE", default_value = "500ms", value_parser = duration, value_name = "TIME")]
    pub drain_grace: Duration,
    /// Connections at a time; on further ones only probes are answered.
    #[arg(long, env = "DOORBUSTER_CONNECTIONS_MAX", default_value_t = 18_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "COUNT")]
    pub connections_max: u32,
    /// Connections from one address (or /64 of IPv6) at a time, without sockets; by default half of --connections-max. A trusted proxy has
    /// no such limit.
    #[arg(long, env = "DOORBUSTER_CONNECTIONS_PER_ADDRESS", value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "COUNT")]
    pub connections_per_address: Option<u32>,
    /// Sockets (live updates) at a time, in all; each is one of the connections.
    #[arg(long, env = "DOORBUSTER_SOCKETS_MAX", default_value_t = 17_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000), value_name = "COUNT")]
    pub sockets_max: u32,
    /// Sockets of one buyer at a time: tabs and devices.
    #[arg(long, env = "DOORBUSTER_SOCKETS_PER_BUYER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "COUNT")]
    pub sockets_per_buyer: u32,
    /// Sockets from one address (or /64 of IPv6) at a time; many people may share one.
    #[arg(long, env = "DOORBUSTER_SOCKETS_PER_ADDRESS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "COUNT")]
    pub sockets_per_address: u32,
    /// Time between two pings to the client of a socket.
    #[arg(long, env = "DOORBUSTER_SOCKET_PING_INTERVAL", default_value = "25s", value_parser = duration, value_name = "TIME")]
    pub socket_ping_interval: Duration,
    /// Time that the client of a socket has to answer a ping; then the socket is closed.
    #[arg(long, env = "DOORBUSTER_SOCKET_PING_TIMEOUT", default_value = "20s", value_parser = duration, value_name = "TIME")]
    pub socket_ping_timeout: Duration,

    /// Ed25519 key (PKCS#8 PEM) that signs access tokens; if not given one is made, in the data folder or in the database.
    #[arg(long, env = "DOORBUSTER_TOKEN_KEY", value_name = "FILE")]
    pub token_key: Option<PathBuf>,
    /// Time that an access token is valid: long enough that no buyer must refresh during a sale.
    #[arg(long, env = "DOORBUSTER_TOKEN_TTL", default_value = "24h", value_parser = lifetime, value_name = "TIME")]
    pub token_ttl: Duration,
    /// Time that a session lives without being refreshed.
    #[arg(long, env = "DOORBUSTER_REFRESH_TTL", default_value = "30d", value_parser = duration, value_name = "TIME")]
    pub refresh_ttl: Duration,
    /// Access tokens remembered as checked, some 500 bytes each.
    #[arg(long, env = "DOORBUSTER_TOKEN_CACHE", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000), value_name = "COUNT")]
    pub token_cache: u32,
    /// Threads that hash passwords, 19 MiB each; by default one for each processor, at most 4.
    #[arg(long, env = "DOORBUSTER_PASSWORD_THREADS", value_parser = clap::value_parser!(u32).range(1..=64), value_name = "COUNT")]
    pub password_threads: Option<u32>,

    /// E-mail address of the admin that the first start makes; by default admin@doorbuster.local.
    #[arg(long, env = "DOORBUSTER_ADMIN_EMAIL", value_name = "ADDRESS")]
    pub admin_email: Option<String>,
    /// Password of the admin that the first start makes; without it one is generated and printed once.
    #[arg(long, env = "DOORBUSTER_ADMIN_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub admin_password: Option<String>,
    /// Serves a rehearsal: this file holds the milliseconds by which the machine's clock is to be off and, if anything, whether it is to be
    /// `synchronised` or `unsynchronised`; the instance ends with its standard input.
    #[arg(long, env = "DOORBUSTER_REHEARSAL_CLOCK", hide = true, value_name = "FILE")]
    pub rehearsal_clock: Option<PathBuf>,
    /// Starts although the machine's clock is far ahead of the ledger, so that sales start or end, and no time service keeps it right.
    #[arg(long, env = "DOORBUSTER_ACCEPT_CLOCK", value_parser = clap::builder::BoolishValueParser::new())]
    pub accept_clock: bool,
    /// Starts although the tables show events that the ledger does not have, after an intended restore of an older ledger: their units are
    /// sold again, and the rows are written from this ledger.
    #[arg(long, env = "DOORBUSTER_ACCEPT_OLDER_LEDGER", value_parser = clap::builder::BoolishValueParser::new())]
    pub accept_older_ledger: bool,
    /// Whether the tables are brought up to date first.
    #[arg(long, env = "DOORBUSTER_MIGRATE", value_enum, default_value = "on")]
    pub migrate: OnOff,
}

/// The roles of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServeRoles {
    /// API and worker.
    All,
    /// The API alone; needs --valkey, and somewhere a worker.
    Api,
}

/// A switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    /// On.
    On,
    /// Off.
    Off,
}

impl Serve {
    /// The settings from these flags and the environment, as `doorbuster serve` reads them.
    ///
    /// # Errors
    /// When a flag is unknown or its value is wrong.
    pub fn from_flags<'a>(flags: impl IntoIterator<Item = &'a str>) -> Result<Self, clap::Error> {
        #[derive(clap::Parser)]
        struct ServeParser {
            #[command(flatten)]
            serve: Serve,
        }
        let flags = std::iter::once("serve").chain(flags);
        <ServeParser as clap::Parser>::try_parse_from(flags).map(|alone| alone.serve)
    }

    /// The Valkey that all instances share, if there is one.
    ///
    /// # Errors
    /// When `--valkey` is no address of one, or is given without `--database`.
    pub fn valkey(&self) -> Result<Option<ValkeyAddress>, CommandError> {
        let Some(valkey) = &self.valkey else {
            if self.roles == ServeRoles::Api {
                let sentence =
                    "--roles api: it needs --valkey, because other instances do the work that it leaves";
                return Err(CommandError::Usage(sentence.into()));
            }
            return Ok(None);
        };
        if self.database.is_none() {
            return Err(CommandError::Usage(
                "--valkey: it needs --database, because what instances share is recorded there".into(),
            ));
        }
        valkey.address().map(Some)
    }

    /// The address of the shop; that of the listener for a demo without `--public-url`.
    #[must_use]
    pub fn public_url_at(&self, listener: SocketAddr) -> Option<PublicUrl> {
        self.public_url.clone().or_else(|| self.demo.then(|| PublicUrl::from_listener(listener)))
    }

    /// The addresses in events, for a shop at this address.
    #[must_use]
    pub fn event_addresses(&self, public_url: Option<&PublicUrl>) -> EventAddresses {
        let shop = public_url.map(PublicUrl::as_str);
        let source = self.events_source.as_deref().or(shop).unwrap_or(EVENTS_SOURCE_DEFAULT).to_owned();
        // Without an address of the shop they are paths.
        EventAddresses { source, schemas: shop.unwrap_or_default().to_owned() }
    }

    /// The settings of the edge.
    ///
    /// # Errors
    /// When `--cors-origins` names something that is no origin.
    pub fn edge(&self) -> Result<edge::EdgeSettings, CommandError> {
        let cors = Cors::new(self.cors_origins.iter().map(|origin| origin.trim()))
            .map_err(|error| CommandError::Usage(format!("--cors-origins: {error}")))?;
        Ok(edge::EdgeSettings {
            body_len_max: self.body_limit as usize,
            trusted_proxies: self.trusted_proxies.clone(),
            cors,
        })
    }

    /// The settings of the HTTP server.
    #[must_use]
    pub fn server(&self) -> server::ServerSettings {
        server::ServerSettings {
            connections_max: self.connections_max,
            network_connections_max: self.connections_per_address.unwrap_or(self.connections_max.div_ceil(2)),
            head_limit: self.head_timeout,
            idle_limit: self.idle_timeout,
            answer_limit: self.request_timeout,
            // A client that does not read cannot have read the ping either.
            behind_limit: self.socket_ping_timeout,
            drain_limit: self.drain_timeout,
        }
    }

    /// The settings of sockets.
    #[must_use]
    pub fn sockets(&self) -> realtime::SocketSettings {
        realtime::SocketSettings {
            sockets_max: self.sockets_max,
            buyer_max: self.sockets_per_buyer,
            address_max: self.sockets_per_address,
            ping_interval: self.socket_ping_interval,
            ping_timeout: self.socket_ping_timeout,
        }
    }

    /// The request limits, if they are on.
    #[must_use]
    pub fn rates(&self) -> Option<RateLimits> {
        let rates = RateLimits {
            auth: self.limit_auth,
            refresh: self.limit_refresh,
            guess: self.limit_guess,
            buy: self.limit_buy,
            read: self.limit_read,
            turnstile: self.dialects.limit_turnstile,
            drop: self.dialects.limit_drop,
            dialect_address: self.dialects.limit_dialect_address,
        };
        (self.limits == OnOff::On).then_some(rates)
    }

    /// Hashing threads.
    #[must_use]
    pub fn password_threads(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        self.password_threads.map_or(processors, |threads| threads as usize)
    }
}
