//! Owns what every client hears from the library beside its calls: errors, refusals and log lines.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::connection::{Connection, LogSink};
use super::error;

/// What a client heard last: the explanation of a time-out that the timed-out call cannot give.
#[derive(Debug, Clone, Default)]
pub struct LastErrors(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    last: Option<String>,
    denial: Option<String>,
}

impl LastErrors {
    /// The last error or warning, if there was one.
    pub(super) fn last(&self) -> Option<String> {
        self.lock().last.clone()
    }

    /// The first refusal by authentication or an ACL, if there was one.
    pub(super) fn denial(&self) -> Option<String> {
        self.lock().denial.clone()
    }

    pub(super) fn hear(&self, code: Option<RDKafkaErrorCode>, text: &str) {
        let mut heard = self.lock();
        if code.is_some_and(error::is_denial) && heard.denial.is_none() {
            heard.denial = Some(text.to_owned());
        }
        heard.last = Some(text.to_owned());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        Self { seen: LastErrors::default(), log: connection.log.clone() }
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
