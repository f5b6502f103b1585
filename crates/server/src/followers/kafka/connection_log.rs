//! What librdkafka says of its connections by itself. It goes to the log of details, because the runner logs each failure with what to do;
//! and the error that tells most is kept for that. A batch that could not be sent only says that it took too long.

use super::failure::find_advice;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::{Arc, Mutex, PoisonError};

/// The log of a client. Its clones are one log.
#[derive(Clone, Default)]
pub(super) struct ConnectionLog {
    last: Arc<Mutex<Option<ConnectionError>>>,
}

/// Why a broker could not be used, in the words of librdkafka or of the broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ConnectionError {
    pub code: RDKafkaErrorCode,
    pub reason: String,
}

impl ConnectionLog {
    /// The error that was kept, which is forgotten then.
    pub(super) fn take(&self) -> Option<ConnectionError> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for ConnectionLog {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "Kafka's client");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka's client");
        // That all brokers are down follows from the error of each, which comes before it.
        let code = error.rdkafka_error_code().filter(|code| *code != RDKafkaErrorCode::AllBrokersDown);
        let Some(code) = code else { return };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two brokers one may be away, and the other refuse the password.
        if find_advice(code).is_some() || last.as_ref().is_none_or(|last| find_advice(last.code).is_none()) {
            *last = Some(ConnectionError { code, reason: reason.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(errors: &[(RDKafkaErrorCode, &str)]) -> Option<String> {
        let log = ConnectionLog::default();
        for (code, reason) in errors {
            log.clone().error(KafkaError::Global(*code), reason);
        }
        let kept = log.take().map(|error| error.to_string());
        assert_eq!(log.take(), None, "it is forgotten");
        kept
    }

    #[test]
    fn the_last_error_is_kept_and_a_refusal_before_any_other() {
        let (away, refused) = (RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::Authentication);
        let down = (RDKafkaErrorCode::AllBrokersDown, "2/2 brokers are down");
        assert_eq!(kept(&[down]), None);
        assert_eq!(kept(&[(away, "one is away"), (away, "two is away"), down]).unwrap(), "two is away");
        assert_eq!(kept(&[(refused, "no such user"), (away, "two is away"), down]).unwrap(), "no such user");
        assert_eq!(kept(&[(away, "two is away"), (refused, "no such user")]).unwrap(), "no such user");
        let certificate = (RDKafkaErrorCode::SSL, "the certificate is unknown");
        assert_eq!(kept(&[(refused, "no such user"), certificate]).unwrap(), "the certificate is unknown");
    }
}
