//! Transaction errors: abort, stale generation, fencing, unknown outcome (KIP-98, KIP-360, KIP-447), by error code.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};
use rdkafka::producer::Producer;
use thiserror::Error as ThisError;

use super::acl::Permission;
use super::delivery_reports::RejectedRecord;
use super::error::{self, Error, Limit};
use super::error_codes::{ErrorKind, kind_of};
use super::native::CallError;
use super::transaction::{NO_COORDINATOR, Output, TransactionalProducer};
use crate::clock::{self, Deadline};

const WRITING_RECORDS: &str = "writing records";

/// What the error of a transactional call means for the open transaction.
#[derive(Debug, Clone, ThisError)]
pub enum TransactionError {
    /// Abort the transaction; the same producer can try it again.
    #[error("{0}")]
    Abort(String),
    /// The member's generation is over: abort, then wait for the next rebalance.
    #[error("{0}")]
    Stale(String),
    /// Fenced: another producer has this transactional id, or the broker aborted the transaction. The client cannot
    /// distinguish the two.
    #[error("{0}")]
    Fenced(String),
    /// It is unknown whether the call took effect: do not use the producer again.
    #[error("{0}")]
    UnknownOutcome(String),
    /// The command cannot continue.
    #[error("{0}")]
    Failed(#[from] Error),
}

impl TransactionalProducer {
    pub(super) fn refused(&self, topic: Output, code: Rd) -> TransactionError {
        if let Some(failure) = self.earlier_refusal(code, WRITING_RECORDS, &self.needs) {
            return TransactionError::Failed(failure);
        }
        match code {
            // The transaction has failed already; the abort returns the error.
            code if kind_of(code) == ErrorKind::Abortable => TransactionError::Abort(code.to_string()),
            Rd::Fatal | Rd::Fenced => self.fatal("writing a record"),
            code if error::is_size(code) => TransactionError::Failed(error::too_large(
                &self.topics[topic.0],
                Limit::OfClient,
                code,
                &self.context.errors,
            )),
            other => TransactionError::Failed(
                self.failure(&KafkaError::MessageProduction(other), &format!("writing to {}", self.topics[topic.0])),
            ),
        }
    }

    pub(super) fn classify_kafka(&self, error: &KafkaError, doing: &str) -> TransactionError {
        self.classify_kafka_of(error, doing, &self.needs)
    }

    pub(super) fn classify_kafka_of(&self, error: &KafkaError, doing: &str, needs: &[Permission]) -> TransactionError {
        let KafkaError::Transaction(inner) = error else {
            return TransactionError::Failed(self.failure(error, doing));
        };
        let error = CallError {
            code: inner.code(),
            text: inner.string(),
            fatal: inner.is_fatal(),
            retriable: inner.is_retriable(),
            requires_abort: inner.txn_requires_abort(),
        };
        self.classify(&error, doing, needs)
    }

    pub(super) fn classify(&self, error: &CallError, doing: &str, needs: &[Permission]) -> TransactionError {
        // librdkafka's message describes its API: "Timed out waiting for operation to finish, retry call to resume".
        let timed_out = error.code == Rd::OperationTimedOut;
        let text = format!("{doing}: {}", if timed_out { NO_COORDINATOR } else { &error.text });
        if kind_of(error.code) == ErrorKind::Denied {
            return TransactionError::Failed(self.denied(error.code, doing, &error.text, needs));
        }
        if let Some(failure) = self.earlier_refusal(error.code, doing, needs) {
            return TransactionError::Failed(failure);
        }
        if error.fatal || matches!(error.code, Rd::Fatal | Rd::Fenced | Rd::ProducerFenced) {
            return self.fatal(doing);
        }
        if error.code == Rd::FencedInstanceId {
            return TransactionError::Fenced(text);
        }
        if error.requires_abort {
            return match error.code {
                code if kind_of(code) == ErrorKind::StaleMember => TransactionError::Stale(text),
                // A record was rejected for good: a retry would end in the same way.
                code if kind_of(code) == ErrorKind::BadRecord => {
                    TransactionError::Failed(self.failure(&KafkaError::MessageProduction(code), doing))
                }
                _ => TransactionError::Abort(text),
            };
        }
        TransactionError::UnknownOutcome(text)
    }

    /// The error of a record that a topic rejected for good.
    fn refused_record(&self) -> Option<Error> {
        let RejectedRecord { code, topic } = self.producer.client().context().first_error()?;
        match kind_of(code) {
            ErrorKind::BadRecord if error::is_size(code) => {
                Some(error::too_large(&topic, Limit::OfTopic, code, &self.context.errors))
            }
            ErrorKind::BadRecord => {
                Some(self.failure(&KafkaError::MessageProduction(code), &format!("writing to {topic}")))
            }
            _ => None,
        }
    }

    pub(super) fn failure(&self, error: &KafkaError, doing: &str) -> Error {
        error::of_call(error, doing, &self.needs, &self.context.errors)
    }

    /// An authorization error. librdkafka names the topic only in its log, which arrives on another thread.
    fn denied(&self, code: Rd, doing: &str, text: &str, needs: &[Permission]) -> Error {
        let wait = Deadline::after(Duration::from_millis(200));
        while code == Rd::TopicAuthorizationFailed && self.topics.len() > 1 && !wait.has_passed() {
            if let Some((_, message)) = self.context.errors.authorization_error(needs) {
                return error::of_code(code, &message, doing, needs, &self.context.errors);
            }
            clock::pause(Duration::from_millis(1));
        }
        error::of_code(code, text, doing, needs, &self.context.errors)
    }

    /// An ACL refusal or a rejected record that failed the transaction before this call. The call itself only returns a
    /// state error, or an error without the topic, and so would every retry.
    fn earlier_refusal(&self, code: Rd, doing: &str, needs: &[Permission]) -> Option<Error> {
        let wait = Deadline::after(Duration::from_millis(200));
        loop {
            if let Some((code, text)) = self.context.errors.authorization_error(needs) {
                return Some(error::of_code(code, &text, doing, needs, &self.context.errors));
            }
            if let Some(error) = self.refused_record() {
                return Some(error);
            }
            // The log line or delivery report arrives on another thread. A record that the client itself rejects has
            // none.
            let failed_earlier = code == Rd::State || kind_of(code) == ErrorKind::BadRecord && doing != WRITING_RECORDS;
            if !failed_earlier || wait.has_passed() {
                return None;
            }
            clock::pause(Duration::from_millis(1));
        }
    }

    fn fatal(&self, doing: &str) -> TransactionError {
        match self.producer.client().fatal_error() {
            Some((code, text)) if kind_of(code) == ErrorKind::Denied => {
                TransactionError::Failed(self.denied(code, doing, &text, &self.needs))
            }
            Some((Rd::Fenced | Rd::ProducerFenced | Rd::InvalidProducerEpoch, text)) => {
                TransactionError::Fenced(format!("{doing}: {text}"))
            }
            Some((_, text)) => TransactionError::UnknownOutcome(format!("{doing}: {text}")),
            None => TransactionError::UnknownOutcome(format!("{doing}: the producer failed")),
        }
    }
}
