//! Errors of the transactional loop: Kafka errors, which may be retried, and failures, which end the loop.

use crate::exit::Failure;
use crate::kafka::{self, ErrorKind};

/// Why the loop cannot continue.
#[derive(Debug, Clone)]
pub enum StreamError {
    /// A call to Kafka failed.
    Kafka(kafka::Error),
    /// State, offsets or records are inconsistent, or the listener ended the loop.
    Failure(Failure),
}

impl StreamError {
    /// Whether the same work may succeed later.
    pub(super) fn is_retriable(&self) -> bool {
        matches!(self, Self::Kafka(error) if error.kind().is_retriable())
    }

    /// Whether another process has taken over the instance id or transactional id of this one.
    pub(super) fn is_fenced(&self) -> bool {
        matches!(self, Self::Kafka(error) if error.kind() == ErrorKind::Fenced)
    }
}

impl From<kafka::Error> for StreamError {
    fn from(error: kafka::Error) -> Self {
        Self::Kafka(error)
    }
}

impl From<Failure> for StreamError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Kafka(error) => error.into(),
            StreamError::Failure(failure) => failure,
        }
    }
}

impl std::fmt::Display for StreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kafka(error) => error.fmt(f),
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}
