//! The settings of webhooks, for `serve` and `worker`.

use super::parse::network;
use crate::webhooks::address::AddressPolicy;
use crate::webhooks::client::SharedResolver;
use clap::Args;
use ipnet::IpNet;

/// Which addresses webhooks may call.
#[derive(Debug, Clone, Default, Args)]
pub struct WebhookArguments {
    /// Lets webhook endpoints have addresses with http:// too, which others on the way can read and change.
    #[arg(long, env = "DOORBUSTER_WEBHOOKS_ALLOW_HTTP", value_parser = clap::builder::BoolishValueParser::new())]
    pub webhooks_allow_http: bool,
    /// Internal networks that webhook endpoints may be in, such as 10.0.0.0/8, with commas between. Without it an endpoint that leads to a
    /// private, loopback, link-local or metadata address is refused.
    #[arg(long, env = "DOORBUSTER_WEBHOOKS_ALLOW_PRIVATE", value_delimiter = ',', value_parser = network, value_name = "LIST")]
    pub webhooks_allow_private: Vec<IpNet>,
    /// Who resolves the names of endpoints; set by tests only.
    #[arg(skip)]
    pub webhook_resolver: SharedResolver,
}

impl WebhookArguments {
    /// Which addresses may be called.
    #[must_use]
    pub fn policy(&self) -> AddressPolicy {
        AddressPolicy {
            allow_http: self.webhooks_allow_http,
            allow_private: self.webhooks_allow_private.clone(),
        }
    }
}
