//! The library of functions: its text, and how a server gets it. It never replaces a newer library, and never loads one that is
//! there already, because loading makes the server forget which sales were restored.

use super::error::ValkeyError;
use crate::error_text::describe_error;
use crate::valkey_connection::{ValkeyNode, find_info_field, parse_cluster_nodes, send_command};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value, cmd};

/// Raised with every change of the Lua text.
pub const LIBRARY_VERSION: u32 = 5;

/// The library: its parts in their order.
pub const LIBRARY_SOURCE: &str = concat!(
    include_str!("book.lua"),
    include_str!("sale.lua"),
    include_str!("merchant.lua"),
    include_str!("calls.lua"),
);

const LIBRARY_NAME: &str = "doorbuster";
/// The line of the text that says its version.
const VERSION_LINE: &str = "local VERSION = ";

/// Checks that a server may be decided in, and loads the library if the server has none or an older one. Returns the nodes of its cluster: none
/// where there is no cluster, `None` when they are not known.
pub(super) async fn prepare_server(
    connection: &MultiplexedConnection,
    node: &ValkeyNode,
) -> Result<Option<Vec<ValkeyNode>>, ValkeyError> {
    let info = send_command(connection.clone(), &cmd("INFO")).await?;
    let info = text_of(&info).unwrap_or_default();
    if let Some(what) = unfit_reason(&info) {
        return Err(ValkeyError::Unfit { server: node.to_string(), what });
    }
    let nodes =
        if is_in_cluster(&info) { list_cluster_nodes(connection, node).await } else { Some(Vec::new()) };
    if find_info_field(&info, "role") != Some("master") {
        return Ok(nodes);
    }
    let mut list = cmd("FUNCTION");
    list.arg("LIST").arg("LIBRARYNAME").arg(LIBRARY_NAME).arg("WITHCODE");
    let loaded = find_code(&send_command(connection.clone(), &list).await?);
    if let Some(theirs) = loaded.as_deref().and_then(parse_version)
        && theirs > LIBRARY_VERSION
    {
        return Err(ValkeyError::NewerLibrary { server: node.to_string(), theirs, ours: LIBRARY_VERSION });
    }
    if loaded.as_deref() == Some(LIBRARY_SOURCE) {
        return Ok(nodes);
    }
    let mut load = cmd("FUNCTION");
    load.arg("LOAD");
    if loaded.is_some() {
        load.arg("REPLACE");
    }
    match send_command(connection.clone(), load.arg(LIBRARY_SOURCE)).await {
        Ok(_) => {
            tracing::info!(server = %node, version = LIBRARY_VERSION, "the library of the law was loaded")
        }
        // Two instances that start together both found none. The first one's stays: to replace it would make the server
        // forget the states that were restored since.
        Err(error) if loaded.is_none() && already_exists(&error) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(nodes)
}

/// The nodes of a server's cluster. They only help where one is away, so a server need not say.
async fn list_cluster_nodes(
    connection: &MultiplexedConnection,
    node: &ValkeyNode,
) -> Option<Vec<ValkeyNode>> {
    let mut list = cmd("CLUSTER");
    match send_command(connection.clone(), list.arg("SLOTS")).await {
        Ok(listed) => Some(parse_cluster_nodes(&listed, node)),
        Err(error) => {
            tracing::debug!(error = describe_error(&error), server = %node, "the nodes of the cluster are not known");
            None
        }
    }
}

fn already_exists(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("already exists"))
}

/// Whether the server with this `INFO` is a node of a cluster.
fn is_in_cluster(info: &str) -> bool {
    find_info_field(info, "cluster_enabled") == Some("1")
}

/// Why a server must not be decided in, from `INFO`.
fn unfit_reason(info: &str) -> Option<String> {
    let field = |name: &str| find_info_field(info, name).map(str::to_owned);
    let version = field("redis_version").unwrap_or_default();
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < 7 {
        return Some(format!("it has version {version}, and functions need Redis 7.0, or Valkey"));
    }
    // A replica of a cluster decides nothing: it replies to each call with the name of the primary that has the key. The node that the settings
    // name becomes one when it returns after another took its place.
    if let Some(role) = field("role").filter(|role| role != "master" && !is_in_cluster(info)) {
        return Some(format!("it is a {role}: decide in the primary"));
    }
    let policy = field("maxmemory_policy").unwrap_or_default();
    (policy != "noeviction").then(|| {
        format!(
            "its maxmemory-policy is {policy}, which drops sales when memory is short: set it to noeviction"
        )
    })
}

fn parse_version(text: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix(VERSION_LINE))?;
    line.trim().parse().ok()
}

/// The text of the library in the reply to `FUNCTION LIST`: a list of maps, which older protocols write as flat lists.
fn find_code(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) => items.iter().enumerate().find_map(|(at, item)| {
            if text_of(item).as_deref() == Some("library_code") {
                text_of(items.get(at + 1)?)
            } else {
                find_code(item)
            }
        }),
        Value::Map(pairs) => pairs.iter().find_map(|(name, value)| {
            if text_of(name).as_deref() == Some("library_code") { text_of(value) } else { find_code(value) }
        }),
        _ => None,
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The [`checksum`] of this version's text.
    const SOURCE_CHECKSUM: u64 = 0x7ba4_874d_9d2c_e11f;

    #[test]
    fn the_text_says_the_version_and_a_new_text_has_a_new_one() {
        assert_eq!(parse_version(LIBRARY_SOURCE), Some(LIBRARY_VERSION));
        let found = checksum(LIBRARY_SOURCE);
        assert_eq!(
            found, SOURCE_CHECKSUM,
            "the text is not that of version {LIBRARY_VERSION}: raise both versions, and put {found:#x} here"
        );
    }

    /// FNV-1a: short, and the same everywhere.
    fn checksum(text: &str) -> u64 {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        text.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
    }

    #[test]
    fn a_server_that_may_drop_keys_or_is_too_old_or_a_replica_is_unfit() {
        let info = |version: &str, role: &str, policy: &str| {
            unfit_reason(&format!(
                "# Server\r\nredis_version:{version}\r\nrole:{role}\r\nmaxmemory_policy:{policy}\r\n"
            ))
        };
        assert_eq!(info("7.0.15", "master", "noeviction"), None);
        assert!(info("6.2.7", "master", "noeviction").is_some_and(|what| what.contains("6.2.7")));
        assert!(info("7.2.4", "slave", "noeviction").is_some_and(|what| what.contains("slave")));
        assert!(info("7.2.4", "master", "allkeys-lru").is_some_and(|what| what.contains("allkeys-lru")));
        assert!(unfit_reason("").is_some());
        let in_cluster = |policy: &str| {
            unfit_reason(&format!(
                "redis_version:7.0.15\r\nrole:slave\r\nmaxmemory_policy:{policy}\r\ncluster_enabled:1\r\n"
            ))
        };
        assert_eq!(in_cluster("noeviction"), None, "it says where a key is");
        assert!(in_cluster("allkeys-lru").is_some(), "it may take the place of the primary");
    }
}
