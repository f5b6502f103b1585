//! The settings of Kafka, of `serve` and `worker`.

use super::super::CommandError;
use clap::Args;
use std::fmt;
use std::path::PathBuf;

/// Sends events to Kafka.
#[derive(Clone, Args)]
pub struct KafkaArguments {
    /// Brokers to which events are sent, such as kafka-1:9092,kafka-2:9092: each event of a sale, an order or a payment, and each accepted
    /// attempt of an account. Without it none are.
    #[arg(long, env = "DOORBUSTER_KAFKA", value_name = "ADDRESSES")]
    pub kafka: Option<String>,
    /// An option of librdkafka, such as security.protocol=sasl_ssl; may be repeated. Give passwords by --kafka-options-file.
    #[arg(long, env = "DOORBUSTER_KAFKA_OPTION", hide_env_values = true, value_parser = option, value_name = "KEY=VALUE")]
    pub kafka_option: Vec<(String, String)>,
    /// File of such options, one a line; a line that begins with # is none.
    #[arg(long, env = "DOORBUSTER_KAFKA_OPTIONS_FILE", value_name = "FILE")]
    pub kafka_options_file: Option<PathBuf>,
    /// Topic of all events.
    #[arg(
        long,
        env = "DOORBUSTER_KAFKA_EVENTS_TOPIC",
        default_value = "doorbuster.events",
        value_name = "TOPIC"
    )]
    pub kafka_events_topic: String,
    /// Topic of the accepted attempts of accounts, for consumers of the design that the dialect `attempts` answers.
    #[arg(
        long,
        env = "DOORBUSTER_KAFKA_ATTEMPTS_TOPIC",
        default_value = "flashsale.attempts",
        value_name = "TOPIC"
    )]
    pub kafka_attempts_topic: String,
    /// Makes topics that are missing: partitions=12 of the topic of events; also attempts-partitions (1) and replication (that of the brokers),
    /// with commas between.
    #[arg(long, env = "DOORBUSTER_KAFKA_CREATE_TOPICS", value_parser = topics, value_name = "LAYOUT")]
    pub kafka_create_topics: Option<TopicNumbers>,
}

/// How topics are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicNumbers {
    pub partitions: u16,
    pub attempts_partitions: u16,
    pub replication: Option<u16>,
}

impl fmt::Debug for KafkaArguments {
    /// Not the options: they may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaArguments").field("kafka", &self.kafka).finish_non_exhaustive()
    }
}

impl KafkaArguments {
    /// A flag that only makes sense with Kafka, if there is one. The topics have defaults, so a flag for them is not seen.
    #[cfg(not(feature = "kafka"))]
    pub(crate) fn find_flag(&self) -> Option<&'static str> {
        let flags = [
            (self.kafka.is_some(), "--kafka"),
            (!self.kafka_option.is_empty(), "--kafka-option"),
            (self.kafka_options_file.is_some(), "--kafka-options-file"),
            (self.kafka_create_topics.is_some(), "--kafka-create-topics"),
        ];
        flags.into_iter().find_map(|(is_given, flag)| is_given.then_some(flag))
    }

    /// The options of the file, then those of the flags.
    ///
    /// # Errors
    /// When the file cannot be read, or a line of it is no option.
    pub fn read_options(&self) -> Result<Vec<(String, String)>, CommandError> {
        let mut options = Vec::new();
        if let Some(file) = &self.kafka_options_file {
            let failed = |what: String| CommandError::Usage(format!("--kafka-options-file: {what}"));
            let text = std::fs::read_to_string(file)
                .map_err(|error| failed(format!("{} cannot be read: {error}", file.display())))?;
            for (number, line) in (1..).zip(text.lines()) {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                options.push(option(line).map_err(|usage| failed(format!("line {number}: {usage}")))?);
            }
        }
        options.extend(self.kafka_option.iter().cloned());
        Ok(options)
    }
}

/// Whether the value of an option is a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    ["password", "secret", "key.pem"].iter().any(|word| name.contains(word))
}

fn option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        // Without the text: it may be a password.
        _ => Err("write an option of librdkafka as key=value".to_owned()),
    }
}

fn topics(text: &str) -> Result<TopicNumbers, String> {
    let usage = || "write partitions=12, and if need be ,attempts-partitions=1,replication=3".to_owned();
    let mut numbers = TopicNumbers { partitions: 1, attempts_partitions: 1, replication: None };
    for part in text.split(',') {
        let (name, number) = part.split_once('=').ok_or_else(usage)?;
        let number = number.trim().parse::<u16>().ok().filter(|number| *number > 0).ok_or_else(usage)?;
        match name.trim() {
            "partitions" => numbers.partitions = number,
            "attempts-partitions" => numbers.attempts_partitions = number,
            "replication" => numbers.replication = Some(number),
            _ => return Err(usage()),
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_written_as_numbers_with_names() {
        let numbers = |partitions, attempts_partitions, replication| TopicNumbers {
            partitions,
            attempts_partitions,
            replication,
        };
        assert_eq!(topics("partitions=12"), Ok(numbers(12, 1, None)));
        assert_eq!(topics("replication=3, attempts-partitions=2"), Ok(numbers(1, 2, Some(3))));
        for bad in ["", "12", "partitions=0", "partitions=x", "parts=1", "partitions=1,"] {
            assert!(topics(bad).is_err(), "{bad}");
        }
    }

    #[test]
    #[cfg(not(feature = "kafka"))]
    fn a_build_without_kafka_names_the_flag_that_it_cannot_follow() {
        let none = KafkaArguments {
            kafka: None,
            kafka_option: Vec::new(),
            kafka_options_file: None,
            kafka_events_topic: "events".to_owned(),
            kafka_attempts_topic: "attempts".to_owned(),
            kafka_create_topics: None,
        };
        assert_eq!(none.find_flag(), None);
        let brokers = KafkaArguments { kafka: Some("localhost:9092".to_owned()), ..none.clone() };
        assert_eq!(brokers.find_flag(), Some("--kafka"));
        let option = KafkaArguments { kafka_option: vec![("acks".to_owned(), "all".to_owned())], ..none };
        assert_eq!(option.find_flag(), Some("--kafka-option"));
    }

    #[test]
    fn options_come_from_a_file_and_from_flags_and_are_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("options");
        std::fs::write(&file, "# TLS\nsecurity.protocol = sasl_ssl\n\nsasl.password=a=b\n").unwrap();
        let arguments = KafkaArguments {
            kafka: Some("localhost:9092".to_owned()),
            kafka_option: vec![option("acks=all").unwrap()],
            kafka_options_file: Some(file.clone()),
            kafka_events_topic: "events".to_owned(),
            kafka_attempts_topic: "attempts".to_owned(),
            kafka_create_topics: None,
        };
        let expected = [("security.protocol", "sasl_ssl"), ("sasl.password", "a=b"), ("acks", "all")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(arguments.read_options().unwrap(), expected);
        assert!(!format!("{arguments:?}").contains("acks"));
        std::fs::write(&file, "password").unwrap();
        let error = arguments.read_options().unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("password"), "{error}");
        assert!(is_secret("sasl.password") && is_secret("ssl.key.pem") && !is_secret("acks"));
    }
}
