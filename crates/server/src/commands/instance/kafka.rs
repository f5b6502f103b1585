//! Starts the receivers that send events to Kafka.

use super::super::CommandError;
use super::super::settings::{KafkaArguments, TopicNumbers, is_secret};
use super::followers::{FollowerStarter, start_receiver};
use crate::followers::kafka::{KafkaAttempts, KafkaEvents, KafkaSettings, TopicLayout};
use crate::followers::rounds::FollowerThread;
use crate::shop::Shop;
use std::sync::Arc;

/// The settings of Kafka, if it is switched on.
///
/// # Errors
/// When the options are no options, or librdkafka refuses one.
pub(super) fn read_settings(arguments: &KafkaArguments) -> Result<Option<KafkaSettings>, CommandError> {
    let Some(brokers) = arguments.kafka.clone() else { return Ok(None) };
    let layout = |numbers: TopicNumbers| {
        let TopicNumbers { partitions, attempts_partitions, replication } = numbers;
        TopicLayout { partitions, attempts_partitions, replication }
    };
    let settings = KafkaSettings {
        brokers,
        options: arguments.read_options()?,
        create_topics: arguments.kafka_create_topics.map(layout),
    };
    settings.check().map_err(|error| CommandError::Usage(format!("--kafka-option: {error}")))?;
    if has_secret_argument() {
        tracing::warn!(
            "a secret of Kafka is on the command line, where every user of this machine can read it; write it into --kafka-options-file"
        );
    }
    Ok(Some(settings))
}

/// Starts a receiver for each topic: one whose topic is wrong does not hold up the other.
///
/// # Errors
/// When the operating system gives no thread.
pub(super) fn start_receivers(
    starter: &mut FollowerStarter,
    shop: &Shop,
    settings: KafkaSettings,
    arguments: &KafkaArguments,
    may_deliver: bool,
) -> Result<Vec<FollowerThread>, CommandError> {
    let events = KafkaEvents::new(settings.clone(), arguments.kafka_events_topic.clone());
    let catalogue = Arc::clone(&shop.catalogue);
    let attempts = KafkaAttempts::new(settings, arguments.kafka_attempts_topic.clone(), catalogue);
    Ok(vec![
        start_receiver(starter, shop, events, may_deliver)?,
        start_receiver(starter, shop, attempts, may_deliver)?,
    ])
}

/// Whether a secret option is among the arguments of this process.
fn has_secret_argument() -> bool {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.collect();
    let is_option = |pair: &[String]| match pair[1].strip_prefix("--kafka-option=") {
        Some(value) => is_secret_option(value),
        None => pair[0] == "--kafka-option" && is_secret_option(&pair[1]),
    };
    words.windows(2).any(is_option)
}

fn is_secret_option(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| is_secret(name))
}
