//! The address of a database, and connections with time limits. It never shows a password.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Executor};
use std::time::Duration;
use std::{fmt, io};

/// The first statement of every connection.
///
/// The server cancels a statement whose caller has given up or disconnected, and ends an idle transaction, which would hold its
/// epoch's lock. `synchronous_commit` is only ever made stricter: where the database would
/// acknowledge before its disk has the commit, it is turned on; waiting for replicas is left as it is.
const SESSION_SETTINGS: &str = "
SELECT set_config(name, CASE WHEN name = 'synchronous_commit' THEN 'on' ELSE wanted END, false)
FROM pg_settings
JOIN (VALUES
    ('statement_timeout', '1500ms'),
    ('lock_timeout', '1200ms'),
    ('idle_in_transaction_session_timeout', '1500ms'),
    ('client_connection_check_interval', '500ms'),
    ('synchronous_commit', 'off')
) AS terms (name, wanted) USING (name)
WHERE name <> 'synchronous_commit' OR setting = wanted";

#[derive(Clone)]
pub struct PostgresAddress(PgConnectOptions);

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

/// A text is not the address of a database. The error does not repeat it: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an address such as postgres://user@host:5432/name")]
pub struct BadAddress;

impl PostgresAddress {
    /// Parses a URL as `psql` does; what it lacks is taken from `PGHOST`, `PGPASSWORD` and so on.
    ///
    /// # Errors
    /// When it is not the URL of a PostgreSQL.
    pub fn parse(url: &str) -> Result<Self, BadAddress> {
        let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        let options = if is_postgres { url.parse::<PgConnectOptions>().ok() } else { None };
        // The metrics have slow statements; the log would repeat each of them.
        let options = options.ok_or(BadAddress)?.application_name("doorbuster").disable_statement_logging();
        Ok(Self(options))
    }

    /// A new connection, with its timeouts and durability. It waits as long as the network does: give it a timeout.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.0.connect().await?;
        connection.execute(SESSION_SETTINGS).await?;
        Ok(connection)
    }
}

/// The result of `work`, or an error when it takes longer.
pub(super) async fn with_timeout<T, E: From<sqlx::Error>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time");
            Err(sqlx::Error::Io(late).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_or_refused_and_never_shown() {
        for good in
            ["postgres://u:secret@h:1/d", "postgresql:///d?host=/run", "postgres://h/d?sslmode=require"]
        {
            let address = PostgresAddress::parse(good).unwrap();
            assert!(!format!("{address:?}").contains("secret"));
        }
        for bad in [
            "",
            "h:5432/d",
            "mysql://u:secret@h/d",
            "postgres://u:secret@h:port/d",
            "postgres://h/d?sslmode=maybe",
        ] {
            let error = PostgresAddress::parse(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }
}
