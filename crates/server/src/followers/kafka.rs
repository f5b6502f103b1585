//! Sends events to Kafka, with an idempotent producer: in order for each key, and without a gap. It sends a batch and waits until the
//! brokers have all of it. After a failure the producer is thrown away with everything that it has not sent, so that nothing overtakes what
//! is sent again.

mod attempts;

mod events;

mod connection_log;

mod failure;

pub use attempts::KafkaAttempts;
pub use connection_log::ConnectionError;
pub use events::KafkaEvents;
pub use failure::{KafkaFailure, KafkaSettingError};

use super::event_receiver::EVENT_PACE;
use super::follower::FollowerPace;
use connection_log::ConnectionLog;
use futures::future::try_join_all;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer, PurgeConfig};
use rdkafka::util::Timeout;
use std::fmt;
use std::time::Duration;

/// Events of a batch, at most.
const BATCH_LEN_MAX: usize = 2_000;

/// Long batches, because each waits for the brokers.
const KAFKA_PACE: FollowerPace = FollowerPace { batch_len_max: BATCH_LEN_MAX, ..EVENT_PACE };

/// How long the brokers have for a batch, or to make a topic. A stop waits for it at most.
const BATCH_TIMEOUT: Duration = Duration::from_secs(15);

/// What holds unless an option says otherwise. Messages have no time limit of their own: a message that ends before the ones behind it
/// would be overtaken by them.
const OPTIONS: [(&str, &str); 9] = [
    ("client.id", "doorbuster"),
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // Every client can read it.
    ("compression.type", "gzip"),
    ("compression.level", "1"),
    ("message.timeout.ms", "0"),
    ("linger.ms", "5"),
    // As Kafka's own clients choose partitions, so that keys stay where they are when another client writes, too.
    ("partitioner", "murmur2_random"),
    ("topic.metadata.propagation.max.ms", "5000"),
];

/// How Kafka is reached. Its `Debug` does not tell the options, which may be secrets.
#[derive(Clone)]
pub struct KafkaSettings {
    /// The addresses of brokers, with commas between.
    pub brokers: String,
    /// Options of librdkafka; of two with one name the later one counts.
    pub options: Vec<(String, String)>,
    /// How missing topics are made; without it they are not.
    pub create_topics: Option<TopicLayout>,
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

/// How topics are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicLayout {
    /// Partitions of the topic of events.
    pub partitions: u16,
    /// Partitions of the topic of attempts.
    pub attempts_partitions: u16,
    /// Copies of each partition; `None` for as many as the brokers make by themselves.
    pub replication: Option<u16>,
}

/// A message to be sent.
struct OutgoingMessage {
    key: String,
    headers: Option<OwnedHeaders>,
    body: Vec<u8>,
}

/// Writes to one topic.
struct KafkaWriter {
    settings: KafkaSettings,
    topic: String,
    partitions: u16,
    producer: Option<FutureProducer<ConnectionLog>>,
    /// What the producer says of its connections.
    connection_log: ConnectionLog,
    /// Events of the next batch, at most: half as many after each batch that took too long, and twice as many after each that did not.
    batch_len: usize,
    /// Whether the topic is there, as far as this process has to see to it.
    has_topic: bool,
}

impl KafkaSettings {
    /// Checks the options. Nothing is sent.
    ///
    /// # Errors
    /// When librdkafka refuses one of them, with its words.
    pub fn check(&self) -> Result<(), KafkaSettingError> {
        let created: Result<AdminClient<ConnectionLog>, KafkaError> =
            self.client_config().create_with_context(ConnectionLog::default());
        created.map(drop).map_err(KafkaSettingError::from)
    }

    fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        for (name, value) in OPTIONS {
            config.set(name, value);
        }
        for (name, value) in &self.options {
            config.set(name, value);
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }
}

impl KafkaWriter {
    fn new(settings: KafkaSettings, topic: String, partitions: impl Fn(TopicLayout) -> u16) -> Self {
        let partitions = settings.create_topics.map_or(1, partitions);
        Self {
            settings,
            topic,
            partitions,
            producer: None,
            connection_log: ConnectionLog::default(),
            batch_len: BATCH_LEN_MAX,
            has_topic: false,
        }
    }

    /// Events of the next batch, at most.
    fn batch_len(&self) -> usize {
        self.batch_len
    }

    /// Sends messages, and returns when the brokers have all of them.
    async fn send_all(&mut self, messages: &[OutgoingMessage]) -> Result<(), KafkaFailure> {
        if messages.is_empty() {
            return Ok(());
        }
        let sent = tokio::time::timeout(BATCH_TIMEOUT, self.try_send(messages)).await;
        let is_late = match &sent {
            Err(_) => true,
            Ok(Err(error)) => error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageTimedOut),
            Ok(Ok(())) => false,
        };
        let result = sent.unwrap_or(Err(KafkaError::MessageProduction(RDKafkaErrorCode::AllBrokersDown)));
        if is_late {
            self.batch_len = (self.batch_len / 2).max(1);
        } else if result.is_ok() {
            self.batch_len = (self.batch_len * 2).min(BATCH_LEN_MAX);
        }
        // An error before a success is over, and the next producer says its own.
        let connection = self.connection_log.take();
        result.map_err(|source| {
            // A topic that was deleted is made again.
            self.has_topic = false;
            if let Some(producer) = self.producer.take() {
                producer.purge(PurgeConfig::default().queue().inflight());
            }
            self.connection_log = ConnectionLog::default();
            KafkaFailure { topic: self.topic.clone(), source, connection }
        })
    }

    async fn try_send(&mut self, messages: &[OutgoingMessage]) -> Result<(), KafkaError> {
        // Before the topic: it says why no broker can be used, and the client that makes topics does not.
        let producer = match &self.producer {
            Some(producer) => producer.clone(),
            None => {
                let log = self.connection_log.clone();
                self.producer.insert(self.settings.client_config().create_with_context(log)?).clone()
            }
        };
        if !self.has_topic {
            self.create_topic().await?;
            self.has_topic = true;
        }
        let mut deliveries: Vec<DeliveryFuture> = Vec::with_capacity(messages.len());
        for OutgoingMessage { key, headers, body } in messages {
            let mut record = FutureRecord::to(&self.topic).key(key).payload(body);
            if let Some(headers) = headers {
                record = record.headers(headers.clone());
            }
            deliveries.push(producer.send_result(record).map_err(|(error, _)| error)?);
        }
        let canceled = |_| KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue);
        let finish =
            async |delivery: DeliveryFuture| delivery.await.map_err(canceled)?.map_err(|(error, _)| error);
        try_join_all(deliveries.into_iter().map(finish)).await?;
        Ok(())
    }

    /// Makes the topic if it is missing and the settings say so.
    async fn create_topic(&self) -> Result<(), KafkaError> {
        let Some(layout) = self.settings.create_topics else { return Ok(()) };
        let admin: AdminClient<ConnectionLog> =
            self.settings.client_config().create_with_context(ConnectionLog::default())?;
        let replication = layout.replication.map_or(-1, i32::from);
        let topic =
            NewTopic::new(&self.topic, i32::from(self.partitions), TopicReplication::Fixed(replication));
        let options = AdminOptions::new().request_timeout(Some(Timeout::After(BATCH_TIMEOUT)));
        for made in admin.create_topics([&topic], &options).await? {
            match made {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(KafkaError::AdminOp(code)),
            }
        }
        Ok(())
    }
}

/// Headers with these names and values.
fn headers<'a>(fields: impl IntoIterator<Item = (&'static str, &'a str)>) -> OwnedHeaders {
    fields
        .into_iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(options: &[(&str, &str)]) -> KafkaSettings {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        KafkaSettings { brokers: "127.0.0.1:1".to_owned(), options: options.collect(), create_topics: None }
    }

    #[test]
    fn options_that_are_known_are_accepted_and_others_are_refused_with_their_words() {
        settings(&[]).check().unwrap();
        settings(&[("compression.type", "lz4"), ("socket.keepalive.enable", "true")]).check().unwrap();
        settings(&[("security.protocol", "ssl")]).check().unwrap();
        let unknown = settings(&[("no.such.option", "1")]).check().unwrap_err().to_string();
        assert!(
            unknown.contains("no.such.option") && unknown.contains("No such configuration property"),
            "{unknown}"
        );
        let wrong = settings(&[("acks", "some")]).check().unwrap_err().to_string();
        assert!(wrong.contains("acks"), "{wrong}");
        // The idempotent producer needs every copy.
        let conflict = settings(&[("acks", "1")]).check();
        assert!(conflict.is_err());
    }

    #[test]
    fn the_settings_do_not_tell_a_password() {
        let shown = format!("{:?}", settings(&[("sasl.password", "hush")]));
        assert!(shown.contains("127.0.0.1:1") && !shown.contains("hush"), "{shown}");
    }

    #[tokio::test]
    async fn without_a_broker_a_batch_fails_with_what_to_do() {
        let mut writer =
            KafkaWriter::new(settings(&[("message.timeout.ms", "300")]), "topic".to_owned(), |_| 1);
        let message = OutgoingMessage { key: "k".to_owned(), headers: None, body: b"{}".to_vec() };
        let failure = writer.send_all(&[message]).await.unwrap_err();
        assert!(engine::error_text::describe_error(&failure).contains("--kafka"), "{failure:?}");
        assert!(writer.producer.is_none(), "what was not sent is thrown away");
        assert_eq!(writer.batch_len(), BATCH_LEN_MAX / 2, "the next batch is shorter");
    }
}
