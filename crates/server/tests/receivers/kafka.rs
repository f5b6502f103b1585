//! A consumer of a real Kafka with a client that nobody here wrote (kafkajs), and the judge of what it got.

use super::records::{SaleRecords, ShopAccess, text};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_servers::wait::eventually;

/// A consumer group with one member.
pub struct KafkaConsumer {
    process: Child,
    messages: Arc<Mutex<Vec<Value>>>,
}

impl KafkaConsumer {
    pub fn start(broker: &str, group: &str, topic: &str) -> Self {
        let mut command = Command::new("node");
        command.current_dir(install_client()).args(["consumer.mjs", broker, group, topic]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let messages = Arc::<Mutex<Vec<Value>>>::default();
        let into = Arc::clone(&messages);
        std::thread::spawn(move || {
            // A group reads again what it has not committed when its broker dies.
            let mut known = HashSet::new();
            for line in lines.map_while(Result::ok) {
                let message: Value = serde_json::from_str(&line).unwrap();
                if known.insert((message["partition"].to_string(), message["offset"].to_string())) {
                    into.lock().unwrap().push(message);
                }
            }
        });
        Self { process, messages }
    }

    /// Every message of the topic, once.
    pub fn messages(&self) -> Vec<Value> {
        self.messages.lock().unwrap().clone()
    }

    pub fn count_messages(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    /// The ids of events with this key, without repeats, in the order in which they came first.
    pub fn ids(&self, key: &str) -> Vec<String> {
        let mut known = HashSet::new();
        let messages = self.messages.lock().unwrap();
        let ids = messages.iter().filter(|message| message["key"] == key).map(event_id);
        ids.filter(|id| known.insert(id.clone())).collect()
    }

    /// How many events with this key were sent again.
    pub fn count_repeats(&self, key: &str) -> usize {
        let messages = self.messages.lock().unwrap();
        let all = messages.iter().filter(|message| message["key"] == key).count();
        drop(messages);
        all - self.ids(key).len()
    }

    /// Waits until everything has arrived that the shop has recorded of a sale, and judges it: each event once or more, none invented,
    /// each with one id and one document however often it was sent, and in the order of the ledger and of each payment.
    pub async fn assert_all_arrived(&self, shop: &ShopAccess, sale: &str, limit: Duration) {
        let records = SaleRecords::read(shop, sale).await;
        let due = records.due_ids();
        eventually("every event has arrived", limit, async || {
            let arrived: HashSet<String> = self.ids(sale).into_iter().collect();
            due.is_subset(&arrived)
        })
        .await;
        let (ids, possible) = (self.ids(sale), records.possible_ids());
        let invented: Vec<&String> = ids.iter().filter(|id| !possible.contains(*id)).collect();
        assert!(invented.is_empty(), "nothing is invented: {invented:?}");

        let ledger = records.ledger_ids();
        let of_ledger: HashSet<&String> = ledger.iter().collect();
        let arrived: Vec<&String> = ids.iter().filter(|id| of_ledger.contains(id)).collect();
        assert_eq!(arrived, ledger.iter().collect::<Vec<&String>>(), "in the order of the ledger");
        let places: HashMap<&String, usize> = ids.iter().enumerate().map(|(place, id)| (id, place)).collect();
        for pair in records.payments.windows(2) {
            let is_in_order = places[&pair[0].id] < places[&pair[1].id];
            assert!(
                pair[0].payment != pair[1].payment || is_in_order,
                "{} before {}",
                pair[0].id,
                pair[1].id
            );
        }

        let mut documents: HashMap<String, (Value, Value)> = HashMap::new();
        for message in self.messages().iter().filter(|message| message["key"] == sale) {
            let sent = (message["headers"].clone(), message["value"].clone());
            let first = documents.entry(event_id(message)).or_insert_with(|| sent.clone());
            assert_eq!(*first, sent, "a repeat is the same document");
        }
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn event_id(message: &Value) -> String {
    text(&message["headers"], "ce_id")
}

/// Installs the client's package, once: the folder of the programs that use it.
pub fn install_client() -> PathBuf {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka");
    let mut is_installed = INSTALLED.lock().unwrap();
    if !*is_installed && !folder.join("node_modules/kafkajs").exists() {
        let npm =
            Command::new("npm").args(["ci", "--silent", "--ignore-scripts"]).current_dir(&folder).output();
        let npm = npm.unwrap();
        assert!(npm.status.success(), "{}", String::from_utf8_lossy(&npm.stderr));
    }
    *is_installed = true;
    folder
}
