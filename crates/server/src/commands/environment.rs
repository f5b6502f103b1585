//! Environment variables of the systems that Doorbuster replaces, such as `DB_HOST`, `REDIS_URL` and `PORT`: which flags they become.
//! They count only where none of `--data`, `--database` and `--demo` is given, because they stand in many shells. It is a pure function
//! of the variables and of what is given; it never reads the environment, and no error and no line shows a password.

mod addresses;
mod notices;

pub use notices::StartNotice;

use addresses::{find_host, find_port, host_and_port, percent_encode};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The variables of a process. An empty one counts as absent.
pub type Variables = BTreeMap<String, String>;

/// The flags of a command, by the names of their settings: `log_format` for `--log-format`.
#[derive(Clone, Debug, Default)]
pub struct CommandFlags {
    /// Every flag that it has.
    pub known: BTreeSet<String>,
    /// The flags that are given, each as flag or as its `DOORBUSTER_…` variable.
    pub given: BTreeSet<String>,
    /// Whether the command starts an instance with an API, which also says what it does not use.
    pub starts_api: bool,
}

/// What the variables become.
#[derive(Default)]
pub struct DerivedSettings {
    /// Flags to add to the command line. They may hold a password.
    pub arguments: Vec<String>,
    /// The address of the dialect `holds`, where it is named without one.
    pub holds_address: Option<String>,
    /// What the start says.
    pub notices: Vec<StartNotice>,
}

/// A variable that cannot be used, as half a sentence behind its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {reason}")]
pub struct VariableError {
    pub variable: &'static str,
    pub reason: &'static str,
}

impl fmt::Debug for DerivedSettings {
    /// Not the arguments: they may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedSettings").field("notices", &self.notices).finish_non_exhaustive()
    }
}

impl CommandFlags {
    fn wants(&self, flag: &str) -> bool {
        self.known.contains(flag) && !self.given.contains(flag)
    }
}

/// The flags that stand against all variables: with one of them the command has its place.
const PLACES: [&str; 3] = ["data", "database", "demo"];

/// The settings that the variables become for a command with these flags.
///
/// # Errors
/// When a variable that counts is wrong, or another one is missing beside it.
pub fn derive_settings(
    variables: &Variables,
    flags: &CommandFlags,
) -> Result<DerivedSettings, VariableError> {
    let is_about_another_instance = flags.known.contains("url") && !flags.given.contains("url");
    if is_about_another_instance || PLACES.iter().any(|place| flags.given.contains(*place)) {
        return Ok(DerivedSettings::default());
    }
    let mut derived = DerivedSettings::default();
    derived.add_store(variables, flags)?;
    derived.add_listener(variables, flags)?;
    derived.add_holds(variables, flags)?;
    if flags.wants("log_format") && find(variables, "NODE_ENV") == Some("production") {
        derived.arguments.push("--log-format=json".to_owned());
    }
    if flags.starts_api {
        derived.notices.extend(notices::list_unused(variables));
        if find(variables, "JWT_SECRET").is_some() {
            derived.notices.push(StartNotice::SharedSecretUnused);
        }
    }
    Ok(derived)
}

impl DerivedSettings {
    /// `--database` and `--valkey`.
    fn add_store(&mut self, variables: &Variables, flags: &CommandFlags) -> Result<(), VariableError> {
        let database = if flags.wants("database") { database_url(variables)? } else { None };
        if flags.wants("valkey") {
            if let Some(host) = find_host(variables, "REDIS_HOST")? {
                let port = find_port(variables, "REDIS_PORT")?.unwrap_or(6379);
                if database.is_none() {
                    let reason = "it needs a database, because what instances share is recorded there: set DATABASE_URL, or DB_HOST \
                                  and DB_NAME";
                    return Err(VariableError { variable: "REDIS_HOST", reason });
                }
                self.arguments.push(format!("--valkey=redis://{}", host_and_port(host, port)));
            } else if let Some(url) = find(variables, "REDIS_URL") {
                if database.is_some() {
                    self.arguments.push(format!("--valkey={url}"));
                } else {
                    self.notices.push(StartNotice::RedisWithoutDatabase);
                }
            }
        }
        self.arguments.extend(database.map(|url| format!("--database={url}")));
        Ok(())
    }

    /// `--listen`.
    fn add_listener(&mut self, variables: &Variables, flags: &CommandFlags) -> Result<(), VariableError> {
        if flags.wants("listen")
            && let Some(port) = find_port(variables, "PORT")?
        {
            let address = format!("0.0.0.0:{port}");
            self.arguments.push(format!("--listen={address}"));
            self.notices.push(StartNotice::ListensOnPort { address });
        }
        Ok(())
    }

    /// `--holds-seconds`, and the address of `holds`.
    fn add_holds(&mut self, variables: &Variables, flags: &CommandFlags) -> Result<(), VariableError> {
        if flags.wants("holds_seconds")
            && let Some(seconds) = find(variables, "HOLD_TTL_SECONDS")
        {
            let is_number = seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0);
            let error = VariableError { variable: "HOLD_TTL_SECONDS", reason: "write a number of seconds" };
            self.arguments.push(is_number.then(|| format!("--holds-seconds={seconds}")).ok_or(error)?);
        }
        if flags.known.contains("dialects")
            && let Some(port) = find_port(variables, "BEND_PORT")?
        {
            let host = find_host(variables, "BEND_HOST")?.unwrap_or("localhost");
            self.holds_address = Some(host_and_port(host, port));
        }
        Ok(())
    }
}

/// Gives the dialect `holds` this address, where the list of dialects names it without one.
pub fn place_holds(dialects: &mut [String], address: &str) {
    for item in dialects.iter_mut().filter(|item| item.trim() == "holds") {
        *item = format!("holds={address}");
    }
}

/// The database of `DB_HOST` and the variables beside it, else that of `DATABASE_URL`.
fn database_url(variables: &Variables) -> Result<Option<String>, VariableError> {
    let Some(host) = find_host(variables, "DB_HOST")? else {
        let Some(url) = find(variables, "DATABASE_URL") else { return Ok(None) };
        if ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Ok(Some(url.to_owned()));
        }
        let reason = "write an address such as postgres://user@host:5432/name, or unset it";
        return Err(VariableError { variable: "DATABASE_URL", reason });
    };
    let reason = "it is needed beside DB_HOST: the name of the database";
    let name = find(variables, "DB_NAME").ok_or(VariableError { variable: "DB_NAME", reason })?;
    let port = find_port(variables, "DB_PORT")?.unwrap_or(5432);
    let user = percent_encode(find(variables, "DB_USER").unwrap_or("postgres"));
    let password = find(variables, "DB_PASSWORD").map(percent_encode);
    let password = password.map(|password| format!(":{password}")).unwrap_or_default();
    let name = percent_encode(name);
    // The folder of a socket and an IPv6 address are read only from the query.
    let is_name = host.parse::<std::net::Ipv6Addr>().is_err() && !host.starts_with('/');
    Ok(Some(if is_name {
        format!("postgres://{user}{password}@{host}:{port}/{name}")
    } else {
        let host = percent_encode(host);
        format!("postgres://{user}{password}@localhost:{port}/{name}?host={host}")
    }))
}

/// The value of a variable that is not empty.
fn find<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
    variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(given: &[(&str, &str)]) -> Variables {
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn flags(known: &[&str], given: &[&str]) -> CommandFlags {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        CommandFlags { known: names(known), given: names(given), starts_api: known.contains(&"listen") }
    }

    fn serve(given: &[&str]) -> CommandFlags {
        let known =
            ["data", "database", "demo", "valkey", "listen", "log_format", "dialects", "holds_seconds"];
        flags(&known, given)
    }

    fn derive(given: &[(&str, &str)], flags: &CommandFlags) -> Result<Vec<String>, String> {
        let derived = derive_settings(&variables(given), flags).map_err(|error| error.to_string())?;
        Ok(derived.arguments)
    }

    #[test]
    fn the_parts_of_a_database_become_its_url() {
        let found = |given: &[(&str, &str)]| derive(given, &serve(&[])).unwrap();
        assert_eq!(
            found(&[("DB_HOST", "db.internal"), ("DB_NAME", "shop")]),
            ["--database=postgres://postgres@db.internal:5432/shop"]
        );
        assert_eq!(
            found(&[
                ("DB_HOST", "10.0.0.7"),
                ("DB_PORT", "5433"),
                ("DB_NAME", "sh/op"),
                ("DB_USER", "sh@p"),
                ("DB_PASSWORD", "p:w/d@ü%?#"),
            ]),
            ["--database=postgres://sh%40p:p%3Aw%2Fd%40%C3%BC%25%3F%23@10.0.0.7:5433/sh%2Fop"]
        );
        for (host, encoded) in [("/run/postgresql", "%2Frun%2Fpostgresql"), ("fd00::7", "fd00%3A%3A7")] {
            assert_eq!(
                found(&[("DB_HOST", host), ("DB_NAME", "shop")]),
                [format!("--database=postgres://postgres@localhost:5432/shop?host={encoded}")]
            );
        }
    }

    #[test]
    fn every_url_of_a_database_is_one_that_the_ledger_reads() {
        for host in ["db.internal", "10.0.0.7", "/run/postgresql", "fd00::7"] {
            let given = [("DB_HOST", host), ("DB_NAME", "shop"), ("DB_PASSWORD", " :/?#[]@!$&'()*+,;=%ü\"")];
            let arguments = derive(&given, &serve(&[])).unwrap();
            let url = arguments[0].strip_prefix("--database=").unwrap();
            assert!(engine::record::postgres::PostgresAddress::parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn parts_win_over_urls() {
        let given = [
            ("DATABASE_URL", "postgres://a@one/x"),
            ("DB_HOST", "two"),
            ("DB_NAME", "y"),
            ("REDIS_URL", "redis://one"),
            ("REDIS_HOST", "two"),
        ];
        assert_eq!(
            derive(&given, &serve(&[])).unwrap(),
            ["--valkey=redis://two:6379", "--database=postgres://postgres@two:5432/y"]
        );
        let urls = [("DATABASE_URL", "postgresql://a:b@one/x"), ("REDIS_URL", "rediss://:c@one:7000")];
        assert_eq!(
            derive(&urls, &serve(&[])).unwrap(),
            ["--valkey=rediss://:c@one:7000", "--database=postgresql://a:b@one/x"]
        );
        let mixed = [("DATABASE_URL", "postgres://a@one/x"), ("REDIS_HOST", "::1"), ("REDIS_PORT", "7000")];
        assert_eq!(
            derive(&mixed, &serve(&[])).unwrap(),
            ["--valkey=redis://[::1]:7000", "--database=postgres://a@one/x"]
        );
    }

    #[test]
    fn nothing_counts_beside_a_place_that_is_given() {
        let given = [
            ("DB_HOST", "db"),
            ("REDIS_HOST", "redis"),
            ("PORT", "no port"),
            ("NODE_ENV", "production"),
            ("JWT_SECRET", "s"),
            ("MONGO_URL", "m"),
        ];
        for place in ["data", "database", "demo"] {
            let derived = derive_settings(&variables(&given), &serve(&[place])).unwrap();
            assert!(derived.arguments.is_empty() && derived.notices.is_empty(), "{place}");
        }
    }

    #[test]
    fn a_command_gets_only_the_flags_that_it_has() {
        let given = [
            ("DB_HOST", "db"),
            ("DB_NAME", "shop"),
            ("REDIS_HOST", "redis"),
            ("PORT", "80"),
            ("NODE_ENV", "production"),
            ("JWT_SECRET", "s"),
        ];
        let verify = flags(&["data", "database", "log_format"], &[]);
        let derived = derive_settings(&variables(&given), &verify).unwrap();
        assert_eq!(derived.arguments, ["--database=postgres://postgres@db:5432/shop", "--log-format=json"]);
        assert!(derived.notices.is_empty());
        let redis_alone = [("REDIS_HOST", "redis")];
        assert!(derive(&redis_alone, &verify).unwrap().is_empty());
        // A rehearsal against an instance of its own stays there.
        let rehearse = ["database", "url", "log_format"];
        assert!(derive(&given, &flags(&rehearse, &[])).unwrap().is_empty());
        assert_eq!(derive(&given, &flags(&rehearse, &["url"])).unwrap().len(), 2);
    }

    #[test]
    fn a_flag_that_is_given_wins() {
        let given = [
            ("DATABASE_URL", "postgres://a@one/x"),
            ("REDIS_URL", "redis://one"),
            ("PORT", "8081"),
            ("NODE_ENV", "production"),
            ("HOLD_TTL_SECONDS", "60"),
        ];
        let own = ["valkey", "listen", "log_format", "holds_seconds"];
        assert_eq!(derive(&given, &serve(&own)).unwrap(), ["--database=postgres://a@one/x"]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_without_its_value() {
        for (given, name) in [
            (&[("DB_HOST", "db")][..], "DB_NAME"),
            (&[("DB_HOST", "db"), ("DB_NAME", "")][..], "DB_NAME"),
            (&[("DB_HOST", "tulip host"), ("DB_NAME", "x")][..], "DB_HOST"),
            (&[("DB_HOST", "db"), ("DB_NAME", "x"), ("DB_PORT", "tulip")][..], "DB_PORT"),
            (&[("REDIS_HOST", "redis")][..], "REDIS_HOST"),
            (&[("REDIS_HOST", "redis"), ("REDIS_URL", "redis://tulip")][..], "REDIS_HOST"),
            (&[("DATABASE_URL", "mysql://u:tulip@h/d")][..], "DATABASE_URL"),
            (&[("PORT", "tulip")][..], "PORT"),
            (&[("PORT", "65536")][..], "PORT"),
            (&[("HOLD_TTL_SECONDS", "0")][..], "HOLD_TTL_SECONDS"),
            (&[("BEND_PORT", "0")][..], "BEND_PORT"),
            (&[("BEND_PORT", "4000"), ("BEND_HOST", "tulip/")][..], "BEND_HOST"),
        ] {
            let error = derive(given, &serve(&[])).unwrap_err();
            assert!(error.starts_with(&format!("{name}: ")) && !error.contains("tulip"), "{error}");
        }
    }

    #[test]
    fn a_start_says_what_it_took_and_what_it_left() {
        let notices = |given: &[(&str, &str)]| {
            let derived = derive_settings(&variables(given), &serve(&[])).unwrap();
            derived.notices
        };
        assert_eq!(
            notices(&[("PORT", "8081"), ("JWT_SECRET", "")]),
            [StartNotice::ListensOnPort { address: "0.0.0.0:8081".to_owned() }]
        );
        assert_eq!(notices(&[("REDIS_URL", "redis://:tulip@r")]), [StartNotice::RedisWithoutDatabase]);
        assert_eq!(notices(&[("JWT_SECRET", "tulip")]), [StartNotice::SharedSecretUnused]);
        assert!(notices(&[("NODE_ENV", "development")]).is_empty());
        let unused = notices(&[("MONGO_URL", "mongodb://tulip"), ("ADMIN_PORT", "3001"), ("QUEUE_NAME", "")]);
        let [StartNotice::Unused { variables }] = &unused[..] else { panic!("{unused:?}") };
        assert!(variables.contains("MONGO_URL") && variables.contains("ADMIN_PORT"), "{variables}");
        assert!(!variables.contains("QUEUE_NAME") && !variables.contains("tulip"), "{variables}");
    }

    #[test]
    fn the_address_of_holds_is_that_of_design_d() {
        let address = |given: &[(&str, &str)]| {
            derive_settings(&variables(given), &serve(&["dialects"])).unwrap().holds_address
        };
        assert_eq!(address(&[("BEND_PORT", "4000")]).as_deref(), Some("localhost:4000"));
        assert_eq!(
            address(&[("BEND_PORT", "4000"), ("BEND_HOST", "0.0.0.0")]).as_deref(),
            Some("0.0.0.0:4000")
        );
        assert_eq!(address(&[("BEND_HOST", "0.0.0.0")]), None);
        let mut dialects = ["drop", " holds ", "turnstile=127.0.0.1:1"].map(str::to_owned);
        place_holds(&mut dialects, "localhost:4000");
        assert_eq!(dialects, ["drop", "holds=localhost:4000", "turnstile=127.0.0.1:1"]);
        let mut placed = ["holds=127.0.0.1:1".to_owned()];
        place_holds(&mut placed, "localhost:4000");
        assert_eq!(placed, ["holds=127.0.0.1:1"], "an address that is given stays");
        assert_eq!(derive(&[("HOLD_TTL_SECONDS", "60")], &serve(&[])).unwrap(), ["--holds-seconds=60"]);
    }
}
