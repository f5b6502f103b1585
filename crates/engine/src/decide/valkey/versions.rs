//! Reads of which version of each sale's state a server has: one plain command a sale, all of a server's in one round trip. It never
//! calls the library, so it decides nothing and does not see whether the state was restored into this very server process.

use super::calls::ValkeyLibrary;
use super::records;
use crate::batch::Epoch;
use crate::valkey_connection::ValkeyNode;
use futures::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, Value};
use sale::{EventSeq, SaleId};
use std::collections::HashMap;

/// Commands in one write, at most: some 20 KB, which a server works off in less than a millisecond.
const READ_LEN_MAX: usize = 256;

/// While neither changes, nothing was decided in the sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateVersion {
    pub epoch: Epoch,
    /// The sale's last event.
    pub seq: EventSeq,
}

impl ValkeyLibrary {
    /// The version of each sale's state; `None` when the state is not there, its node has changed, or its server does not answer.
    pub async fn read_versions(&mut self, sales: &[SaleId]) -> Vec<Option<StateVersion>> {
        let mut nodes: HashMap<ValkeyNode, Vec<(usize, String)>> = HashMap::new();
        for (index, sale) in sales.iter().enumerate() {
            let key = records::main_key(*sale);
            nodes.entry(self.nodes.find_node(&key)).or_default().push((index, key));
        }
        let mut reads = Vec::with_capacity(nodes.len());
        for keys in nodes.into_values() {
            let Some((_, first)) = keys.first() else { continue };
            if let Ok(connection) = self.nodes.connection(first).await {
                reads.push(async move { (read_keys(connection, &keys).await, keys) });
            }
        }
        let mut versions = vec![None; sales.len()];
        for (read, keys) in join_all(reads).await {
            match read {
                Ok(values) => {
                    for ((index, _), value) in keys.iter().zip(&values) {
                        versions[*index] = parse_version(value);
                    }
                }
                Err(error) => {
                    for (_, key) in &keys {
                        self.nodes.handle_error(key, &error);
                    }
                }
            }
        }
        versions
    }
}

/// Reads these keys of one server, in their order. A command's own error is its value.
async fn read_keys(
    mut connection: MultiplexedConnection,
    keys: &[(usize, String)],
) -> Result<Vec<Value>, RedisError> {
    let mut values = Vec::with_capacity(keys.len());
    for keys in keys.chunks(READ_LEN_MAX) {
        let mut reads = Pipeline::with_capacity(keys.len());
        for (_, key) in keys {
            reads.cmd("HMGET").arg(key).arg("epoch").arg("sums");
        }
        values.extend(connection.send_packed_commands(&reads, 0, keys.len()).await?);
    }
    Ok(values)
}

/// The epoch as a decimal number, and the counters, which begin with the last event.
fn parse_version(value: &Value) -> Option<StateVersion> {
    let Value::Array(fields) = value else { return None };
    let [Value::BulkString(epoch), Value::BulkString(counters)] = fields.as_slice() else { return None };
    let epoch = std::str::from_utf8(epoch).ok()?.parse().ok()?;
    let seq = u64::from_be_bytes(*counters.first_chunk()?);
    Some(StateVersion { epoch: Epoch(epoch), seq: EventSeq(seq) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_the_hash_of_a_sale_and_from_nothing_else() {
        let bytes = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        let mut counters = 7_u64.to_be_bytes().to_vec();
        counters.extend([1; 20]);
        let read = Value::Array(vec![bytes(b"3"), bytes(&counters)]);
        assert_eq!(parse_version(&read), Some(StateVersion { epoch: Epoch(3), seq: EventSeq(7) }));
        for other in [
            Value::Nil,
            Value::Array(vec![Value::Nil, Value::Nil]),
            Value::Array(vec![bytes(b"3"), Value::Nil]),
            Value::Array(vec![bytes(b"three"), bytes(&counters)]),
            Value::Array(vec![bytes(b"3"), bytes(b"short")]),
        ] {
            assert_eq!(parse_version(&other), None, "{other:?}");
        }
    }
}
