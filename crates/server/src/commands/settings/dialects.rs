//! The settings of the dialects of `serve`.

use super::super::CommandError;
use crate::http::cors::Cors;
use crate::http::dialects::{Dialect, DialectAdmin, DialectSettings};
use crate::http::limits::RateLimit;
use crate::shop::catalogue_text::parse_currency;
use clap::{Args, ValueEnum};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Serves the clients of other systems.
#[derive(Debug, Clone, Args)]
pub struct DialectArguments {
    /// Dialects to serve, such as drop=127.0.0.1:3000,holds: name=address, with commas between. One without an address is served below
    /// /dialects/NAME/ of the API's address.
    #[arg(long, env = "DOORBUSTER_DIALECTS", value_delimiter = ',', value_name = "LIST")]
    pub dialects: Vec<String>,
    /// Whether the admin calls of dialects need an admin account.
    #[arg(long, env = "DOORBUSTER_DIALECT_ADMIN", value_enum, default_value = "closed")]
    pub dialect_admin: AdminCalls,
    /// Sites whose pages may call dialects with credentials: origins with commas between.
    #[arg(long, env = "DOORBUSTER_DIALECT_ORIGINS", value_delimiter = ',', value_name = "LIST")]
    pub dialect_origins: Vec<String>,
    /// Currency of what is made through `holds` and `drop`; one with two decimals.
    #[arg(long, env = "DOORBUSTER_DIALECT_CURRENCY", default_value = "USD", value_name = "CODE")]
    pub dialect_currency: String,
    /// Id or slug of the sale that `turnstile` sells; by default the active one, the next, or the most recent.
    #[arg(long, env = "DOORBUSTER_TURNSTILE_SALE", value_name = "SALE")]
    pub turnstile_sale: Option<String>,
    /// Product ids that mean the sale of `turnstile`; by default every id does.
    #[arg(long, env = "DOORBUSTER_TURNSTILE_PRODUCTS", value_delimiter = ',', value_name = "LIST")]
    pub turnstile_products: Vec<String>,
    /// Id or slug of the sale that `drop` sells; by default the newest that its init call made, the active one, the next, or the most recent.
    #[arg(long, env = "DOORBUSTER_DROP_SALE", value_name = "SALE")]
    pub drop_sale: Option<String>,
    /// Purchases that `turnstile` acknowledges for a user, in a time.
    #[arg(long, env = "DOORBUSTER_LIMIT_TURNSTILE", default_value = "1/5s", value_name = "COUNT/TIME")]
    pub limit_turnstile: RateLimit,
    /// Purchase calls of a user at `drop`, in a time.
    #[arg(long, env = "DOORBUSTER_LIMIT_DROP", default_value = "10/1m", value_name = "COUNT/TIME")]
    pub limit_drop: RateLimit,
    /// Requests at dialects from an address, in a time; each instance counts its own.
    #[arg(
        long,
        env = "DOORBUSTER_LIMIT_DIALECT_ADDRESS",
        default_value = "600000/1m",
        value_name = "COUNT/TIME"
    )]
    pub limit_dialect_address: RateLimit,
    /// Holds that begin a second in sales that are made through `holds`.
    #[arg(long, env = "DOORBUSTER_HOLDS_PER_SECOND", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "COUNT")]
    pub holds_per_second: u32,
    /// Seconds of a hold in sales that are made through `holds`.
    #[arg(long, env = "DOORBUSTER_HOLDS_SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..=86_400), value_name = "SECONDS")]
    pub holds_seconds: u32,
}

/// Who may make the admin calls of dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AdminCalls {
    /// Admin accounts.
    Closed,
    /// Everyone.
    Open,
}

/// A dialect that is served, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialectMount {
    pub dialect: Dialect,
    /// The addresses of its listeners; empty below its prefix on the main listener.
    pub listeners: Vec<SocketAddr>,
    /// Whether a host without IPv6 may leave out the second listener.
    pub is_localhost: bool,
}

impl DialectArguments {
    /// The dialects of `--dialects`, each once. `main` is the address of the main listener.
    ///
    /// # Errors
    /// When a name is unknown or given twice, or an address cannot be read or has two listeners.
    pub fn mounts(&self, main: SocketAddr) -> Result<Vec<DialectMount>, CommandError> {
        let wrong = |reason: String| CommandError::Usage(format!("--dialects: {reason}"));
        let mut mounts: Vec<DialectMount> = Vec::new();
        let mut addresses = HashSet::from([main]);
        for item in self.dialects.iter().map(|item| item.trim()).filter(|item| !item.is_empty()) {
            let (name, address) = match item.split_once('=') {
                Some((name, address)) => (name.trim(), Some(address.trim())),
                None => (item, None),
            };
            let Some(dialect) = Dialect::from_name(name) else {
                let known = Dialect::ALL.map(Dialect::name).join(", ");
                return Err(wrong(format!("there is no dialect {name:?}; the dialects are {known}")));
            };
            if mounts.iter().any(|mount| mount.dialect == dialect) {
                return Err(wrong(format!("{name} is given twice")));
            }
            let (listeners, is_localhost) = match address {
                None => (Vec::new(), false),
                Some(address) => parse_address(address).ok_or_else(|| {
                    wrong(format!(
                        "{address:?} is no address; write one such as 127.0.0.1:3000 or localhost:3000"
                    ))
                })?,
            };
            for address in &listeners {
                // Port 0 is a free one each time.
                if address.port() != 0 && !addresses.insert(*address) {
                    return Err(wrong(format!("{address} would have two listeners")));
                }
            }
            mounts.push(DialectMount { dialect, listeners, is_localhost });
        }
        Ok(mounts)
    }

    /// What all dialects share. `origins` are those of `--cors-origins`.
    ///
    /// # Errors
    /// When an origin or the currency is wrong.
    pub fn settings(&self, origins: &[String]) -> Result<DialectSettings, CommandError> {
        let trim = |list: &[String]| -> Vec<String> {
            let items = list.iter().map(|item| item.trim().to_owned());
            items.filter(|item| !item.is_empty()).collect()
        };
        let credentialed = trim(&self.dialect_origins);
        let cors = Cors::new(origins.iter().map(|origin| origin.trim()))
            .map_err(|error| CommandError::Usage(format!("--cors-origins: {error}")))?
            .with_credentials(credentialed.iter().map(String::as_str))
            .map_err(|_| {
                let rule = "an origin is scheme://host[:port] without a path, such as https://shop.example, and * is refused";
                CommandError::Usage(format!("--dialect-origins: {rule}"))
            })?;
        let currency = parse_currency(&self.dialect_currency)
            .map_err(|error| CommandError::Usage(format!("--dialect-currency: {error}")))?;
        if iso_currency::Currency::from_code(currency.as_str()).and_then(|known| known.exponent()) != Some(2)
        {
            return Err(CommandError::Usage(format!("--dialect-currency: {currency} has not two decimals")));
        }
        Ok(DialectSettings {
            admin: match self.dialect_admin {
                AdminCalls::Closed => DialectAdmin::Closed,
                AdminCalls::Open => DialectAdmin::Open,
            },
            cors,
            currency,
            turnstile_sale: self.turnstile_sale.clone().filter(|name| !name.is_empty()),
            turnstile_products: trim(&self.turnstile_products),
            drop_sale: self.drop_sale.clone().filter(|name| !name.is_empty()),
            holds_per_second: self.holds_per_second,
            holds_s: self.holds_seconds,
        })
    }
}

/// The listeners of an address; `localhost` has two, and the flag is true.
fn parse_address(address: &str) -> Option<(Vec<SocketAddr>, bool)> {
    if let Some(port) = address.strip_prefix("localhost:") {
        let port: u16 = port.parse().ok()?;
        let hosts = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Some((hosts.map(|host| SocketAddr::new(host, port)).to_vec(), true));
    }
    address.parse().ok().map(|address| (vec![address], false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::settings::Serve;

    fn mounts(list: &str) -> Result<Vec<DialectMount>, String> {
        let serve = Serve::from_flags(["--dialects", list]).unwrap();
        serve.dialects.mounts(serve.listen).map_err(|error| error.to_string())
    }

    #[test]
    fn a_dialect_has_addresses_or_is_below_its_prefix() {
        let mounted = mounts("drop, turnstile=127.0.0.1:3001,holds=localhost:4000").unwrap();
        assert_eq!(mounted.len(), 3);
        assert_eq!((mounted[0].dialect, mounted[0].listeners.len()), (Dialect::Drop, 0));
        assert_eq!(mounted[1].listeners, ["127.0.0.1:3001".parse().unwrap()]);
        assert_eq!(mounted[2].listeners, ["127.0.0.1:4000".parse().unwrap(), "[::1]:4000".parse().unwrap()]);
        assert_eq!(mounts("").unwrap(), []);
    }

    #[test]
    fn a_wrong_list_names_the_flag_and_the_fault() {
        for (list, part) in [
            ("shop=127.0.0.1:1", "no dialect"),
            ("drop,drop=127.0.0.1:1", "twice"),
            ("drop=here", "no address"),
            ("drop=127.0.0.1:8080", "two listeners"),
            ("drop=127.0.0.1:1,holds=localhost:1", "two listeners"),
        ] {
            let error = mounts(list).unwrap_err();
            assert!(error.starts_with("--dialects: ") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn origins_and_currency_are_checked() {
        for flags in
            [["--dialect-origins", "*"], ["--dialect-origins", "shop"], ["--dialect-currency", "JPY"]]
        {
            let serve = Serve::from_flags(flags).unwrap();
            let error = serve.dialects.settings(&[]).unwrap_err().to_string();
            assert!(error.starts_with(flags[0]), "{error}");
        }
    }
}
