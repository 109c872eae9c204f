//! Owns what every client hears from the library beside its calls: errors, refusals and log lines.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::connection::{Connection, LogSink};
use super::denial::{self, Right};
use super::error;
use super::handshake::{self, Sign};

/// What a client heard last: the explanation of a time-out that the timed-out call cannot give.
#[derive(Debug, Clone)]
pub struct LastErrors {
    heard: Arc<Mutex<Heard>>,
    /// How the client is set up: whom the broker takes it for.
    pub(super) connection: Arc<Connection>,
}

#[derive(Debug, Default)]
struct Heard {
    last: Option<String>,
    denials: Vec<(RDKafkaErrorCode, String)>,
    sign: Option<Sign>,
}

/// Refusals that are kept: the first ones, as later ones repeat them, once per partition.
const DENIALS: usize = 20;

impl LastErrors {
    /// The last error or warning, if there was one.
    pub(super) fn last(&self) -> Option<String> {
        self.lock().last.clone()
    }

    pub(super) fn new(connection: &Connection) -> Self {
        Self { heard: Arc::default(), connection: Arc::new(connection.clone()) }
    }

    /// The first refusal that can be one of a call with these needs: what the client does beside the call (it looks up
    /// the coordinator of a group that nobody asks for) may be refused and harm nobody.
    pub(super) fn denial(&self, needs: &[Right]) -> Option<(RDKafkaErrorCode, String)> {
        self.lock().denials.iter().find(|(code, _)| denial::concerns(*code, needs)).cloned()
    }

    /// Why the last connection did not come about, if that was understood.
    pub(super) fn sign(&self) -> Option<Sign> {
        self.lock().sign.clone()
    }

    pub(super) fn hear(&self, code: Option<RDKafkaErrorCode>, text: &str) {
        let mut heard = self.lock();
        // A transaction's refusal says which topic only in the log, with the code in words.
        let denied = "transaction: Broker: Topic authorization failed";
        let code = code.or_else(|| text.ends_with(denied).then_some(RDKafkaErrorCode::TopicAuthorizationFailed));
        if let Some(code) = code.filter(|code| error::is_denial(*code))
            && heard.denials.len() < DENIALS
        {
            heard.denials.push((code, text.to_owned()));
        }
        let sign = handshake::read(text);
        // Another trouble of a connection takes the place of an older one; other events say nothing about connections.
        if sign.is_some() || code.is_none() {
            heard.sign = sign;
        }
        heard.last = Some(text.to_owned());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ear of a client that has no other callbacks.
#[derive(Debug, Clone)]
pub struct Ear {
    pub(super) seen: LastErrors,
    log: Option<LogSink>,
}

impl Ear {
    pub(super) fn new(connection: &Connection) -> Self {
        Self { seen: LastErrors::new(connection), log: connection.log.clone() }
    }
}

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // One set of properties serves producers and consumers: each ignores the other's, as it should.
        if facility == "CONFWARN" {
            return;
        }
        if (level as i32) <= RDKafkaLogLevel::Error as i32 || facility == "FAIL" {
            self.seen.hear(None, message);
        }
        if let Some(sink) = &self.log {
            (sink.0)(&format!("librdkafka: {facility}: {message}"));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.seen.hear(error.rdkafka_error_code(), reason);
    }
}

impl ConsumerContext for Ear {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kafka::{Operation, Right};

    fn seen() -> LastErrors {
        LastErrors::new(&Connection {
            properties: Vec::new(),
            name: None,
            timeout: Duration::from_secs(1),
            timeout_said: false,
            log: None,
        })
    }

    #[test]
    fn a_refusal_counts_only_for_a_call_that_needs_the_right() {
        let seen = seen();
        seen.hear(
            Some(RDKafkaErrorCode::GroupAuthorizationFailed),
            "FindCoordinator response error: Group authorization failed.",
        );
        assert_eq!(seen.denial(&[Right::topic("t", &[Operation::Read])]), None, "nobody asked for the group");
        assert!(seen.denial(&[Right::group("g", Operation::Read)]).is_some());
    }

    #[test]
    fn a_refused_topic_of_a_transaction_is_found_in_the_log() {
        let seen = seen();
        let text = "[thrd:localhost:1/1]: localhost:1/1: Failed to add partition \"t\" [0] to transaction: Broker: Topic authorization failed";
        seen.hear(None, text);
        let needs = [Right::transactions("g-"), Right::topic("t", &[Operation::Write])];
        assert_eq!(seen.denial(&needs), Some((RDKafkaErrorCode::TopicAuthorizationFailed, text.to_owned())));
    }

    #[test]
    fn why_a_connection_fails_is_kept_until_another_trouble_is_heard() {
        let seen = seen();
        seen.hear(
            None,
            "[thrd:k:1/bootstrap]: k:1/bootstrap: Disconnected: closed (after 1ms in state APIVERSION_QUERY)",
        );
        seen.hear(Some(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        assert!(seen.sign().is_some());
        seen.hear(None, "[thrd:k:1/bootstrap]: k:1/bootstrap: Connect to k:1 failed: Connection refused (after 0ms in state CONNECT)");
        assert_eq!(seen.sign(), None);
    }
}
