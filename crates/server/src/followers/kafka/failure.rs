//! Why Kafka did not take a batch, and what to do about it.

use super::connection_log::ConnectionError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::fmt;

/// Kafka did not take a batch.
#[derive(Debug)]
pub struct KafkaFailure {
    pub topic: String,
    pub source: KafkaError,
    /// What the client said of its connections meanwhile.
    pub connection: Option<ConnectionError>,
}

/// An option that librdkafka refuses.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KafkaSettingError(String);

impl From<KafkaError> for KafkaSettingError {
    fn from(error: KafkaError) -> Self {
        match error {
            // Without the value: it may be a password.
            KafkaError::ClientConfig(_, words, name, _) if !name.is_empty() => {
                Self(format!("{name}: {words}"))
            }
            KafkaError::ClientConfig(_, words, ..) | KafkaError::ClientCreation(words) => Self(words),
            other => Self(other.to_string()),
        }
    }
}

impl KafkaFailure {
    fn code(&self) -> Option<RDKafkaErrorCode> {
        match &self.source {
            KafkaError::AdminOp(code) => Some(*code),
            other => other.rdkafka_error_code(),
        }
    }

    /// Why no broker answered in time, if that is what happened.
    fn cause(&self) -> Option<&ConnectionError> {
        let is_late = matches!(
            self.code(),
            Some(
                RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::MessageTimedOut
                    | RDKafkaErrorCode::OperationTimedOut
            )
        );
        self.connection.as_ref().filter(|_| is_late)
    }

    fn advice(&self) -> &'static str {
        let code = self.cause().map(|error| error.code).or_else(|| self.code());
        code.and_then(find_advice).unwrap_or("check that the brokers of --kafka answer")
    }
}

/// What to do about an error; `None` when the brokers are to be looked at.
pub(super) fn find_advice(code: RDKafkaErrorCode) -> Option<&'static str> {
    Some(match code {
        RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::UnknownPartition => "make the topic, or let --kafka-create-topics make it",
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed
        | RDKafkaErrorCode::TransactionalIdAuthorizationFailed => {
            "allow the user to write to the topic (and to make it, with --kafka-create-topics)"
        }
        RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize => {
            "raise max.message.bytes of the topic and message.max.bytes of --kafka-option"
        }
        RDKafkaErrorCode::Authentication
        | RDKafkaErrorCode::SaslAuthenticationFailed
        | RDKafkaErrorCode::SSL => "correct the user, the password or the certificates in --kafka-option",
        RDKafkaErrorCode::NotEnoughReplicas | RDKafkaErrorCode::NotEnoughReplicasAfterAppend => {
            "bring back the missing brokers"
        }
        _ => return None,
    })
}

impl fmt::Display for KafkaFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the topic {} took no messages; {}", self.topic, self.advice())
    }
}

impl std::error::Error for KafkaFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.cause() {
            Some(cause) => Some(cause),
            None => Some(&self.source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::error_text::describe_error;

    fn describe(source: RDKafkaErrorCode, connection: Option<(RDKafkaErrorCode, &str)>) -> String {
        let connection = connection.map(|(code, reason)| ConnectionError { code, reason: reason.to_owned() });
        let source = KafkaError::MessageProduction(source);
        describe_error(&KafkaFailure { topic: "events".to_owned(), source, connection })
    }

    #[test]
    fn a_batch_that_took_too_long_is_explained_by_its_connections() {
        for late in [RDKafkaErrorCode::AllBrokersDown, RDKafkaErrorCode::MessageTimedOut] {
            let refused = describe(late, Some((RDKafkaErrorCode::Authentication, "invalid credentials")));
            assert_eq!(
                refused,
                "the topic events took no messages; correct the user, the password or the certificates in --kafka-option: \
                 invalid credentials"
            );
            let unknown = describe(late, Some((RDKafkaErrorCode::SSL, "certificate verify failed")));
            assert!(
                unknown.contains("certificates in --kafka-option: certificate verify failed"),
                "{unknown}"
            );
            let away = describe(late, Some((RDKafkaErrorCode::BrokerTransportFailure, "connection refused")));
            assert!(away.ends_with("brokers of --kafka answer: connection refused"), "{away}");
            assert!(describe(late, None).contains("check that the brokers of --kafka answer: "));
        }
    }

    #[test]
    fn what_a_topic_says_counts_before_what_connections_say() {
        let connection = Some((RDKafkaErrorCode::Authentication, "invalid credentials"));
        let unknown = describe(RDKafkaErrorCode::UnknownTopic, connection);
        assert!(unknown.contains("make the topic") && !unknown.contains("credentials"), "{unknown}");
        let source = KafkaError::AdminOp(RDKafkaErrorCode::ClusterAuthorizationFailed);
        let failure = KafkaFailure { topic: "events".to_owned(), source, connection: None };
        assert!(failure.to_string().contains("allow the user"), "{failure}");
    }
}
