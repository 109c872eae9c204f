//! Errors of the client layer: a [`ErrorKind`] for control flow, and the facts that `failure/` makes message, hint and exit code of.

use std::fmt;
use std::sync::Arc;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};

use super::TopicPartition;
use super::acl::{self, Permission};
use super::client_context::ErrorLog;
use super::connection::Connection;
use super::connection_fault::{ConnectionFault, FaultKind};
use super::error_codes::{ErrorKind, kind_of};
use crate::shutdown::{Shutdown, Signal};

/// An error of a call to Kafka.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    /// What was being done, in the user's words, as in "asking localhost:9092 for its topics".
    doing: Option<String>,
    cause: Cause,
    /// Of the client; messages name its broker, principal and properties.
    connection: Option<Arc<Connection>>,
}

/// The facts of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// A code of the library or a broker, in its words.
    Code { code: Rd, words: String },
    /// A topic that the broker does not make, in its words.
    TopicRefused { code: Rd, words: String },
    /// No answer in time, and what the client heard last.
    NoAnswer { words: String, last: Option<String> },
    /// No answer in time about a partition that has no leader.
    NoLeader(TopicPartition),
    /// An ACL or a login refused; what the call needs.
    Denied { code: Rd, words: String, needs: Vec<Permission> },
    /// A connection does not come about.
    Connection(ConnectionFault),
    /// None of the addresses can be connected to; each with its fault.
    NoAddress(Vec<ConnectionFault>),
    /// The library refuses a property.
    Configuration(String),
    /// A name that cannot be one of a topic.
    TopicName(String),
    /// A signal.
    Stopped(Signal),
    /// Something that this program relies on does not hold.
    Broken(&'static str),
    /// A topic whose deletion was accepted is still there.
    TopicStillExists(String),
    /// The brokers of this cluster do not delete topics.
    TopicDeletionDisabled(String),
    /// A topic that was chosen does not exist.
    NoTopic(String),
    /// A partition that was chosen does not exist; how many the topic has.
    NoPartition { place: TopicPartition, count: i32 },
    /// A transaction has kept the last stable offset below an end for too long.
    OpenTransaction { place: TopicPartition, stable: i64, end: i64 },
    /// The log ends below an end that it had.
    LogTruncated { place: TopicPartition, frozen: i64, end: i64 },
    /// The next record of a group member is gone from the log.
    NextRecordGone(String),
    /// A record of a range that is read is gone from the log.
    RangeGone(String),
    /// A batch cannot be read, however often it is fetched: where it begins.
    Unreadable { place: TopicPartition, offset: i64, code: Rd, words: String },
    /// A topic went away; whether a group member read it.
    TopicGone { words: String, member: bool },
    /// Another process has the identity, or the broker gave up on the transaction.
    Fenced { instance_id: Option<String>, words: String },
    /// A record is larger than what is to take it.
    TooLarge { topic: String, limit: Limit, words: String },
}

impl Cause {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Code { code, .. } | Self::TopicRefused { code, .. } => kind_of(*code),
            Self::NoAnswer { .. }
            | Self::NoLeader(_)
            | Self::NoAddress(_)
            | Self::TopicStillExists(_)
            | Self::OpenTransaction { .. } => ErrorKind::Unreachable,
            Self::Denied { .. } => ErrorKind::Denied,
            Self::Connection(fault) => match fault.kind {
                FaultKind::NoLogin
                | FaultKind::NoTls
                | FaultKind::ClosedOnConnect
                | FaultKind::ClosedOnRequest
                | FaultKind::NoConnection(_)
                | FaultKind::UnknownHost(_) => ErrorKind::Unreachable,
                FaultKind::TooManyFiles => ErrorKind::Exhausted,
                FaultKind::Login(_)
                | FaultKind::Mechanism(_)
                | FaultKind::Unverified(_)
                | FaultKind::ClientCertificate(_) => ErrorKind::Denied,
            },
            Self::Configuration(_) | Self::TopicName(_) => ErrorKind::Misconfigured,
            Self::Stopped(_) => ErrorKind::Stopped,
            Self::Broken(_) => ErrorKind::Unexpected,
            Self::TopicDeletionDisabled(_) => ErrorKind::Conflict,
            Self::NoTopic(_) | Self::NoPartition { .. } | Self::TopicGone { .. } => ErrorKind::Missing,
            Self::LogTruncated { .. } | Self::NextRecordGone(_) | Self::RangeGone(_) => ErrorKind::OutOfRange,
            Self::Unreadable { .. } => ErrorKind::Corrupt,
            Self::Fenced { .. } => ErrorKind::Fenced,
            Self::TooLarge { .. } => ErrorKind::BadRecord,
        }
    }
}

impl Error {
    pub(super) fn new(cause: Cause) -> Self {
        Self(Box::new(Inner { doing: None, cause, connection: None }))
    }

    /// What the caller was doing, told in front: `doing: message`.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.0.doing = Some(match self.0.doing.take() {
            Some(inner) => format!("{doing}: {inner}"),
            None => doing.to_string(),
        });
        self
    }

    #[must_use]
    pub(super) fn of(mut self, connection: &Arc<Connection>) -> Self {
        self.0.connection = Some(Arc::clone(connection));
        self
    }

    /// What control flow may ask for.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.cause.kind()
    }

    pub(super) fn doing(&self) -> Option<&str> {
        self.0.doing.as_deref()
    }

    pub(super) fn cause(&self) -> &Cause {
        &self.0.cause
    }

    pub(super) fn connection(&self) -> Option<&Connection> {
        self.0.connection.as_deref()
    }

    /// The error of a process whose identity was taken over.
    #[must_use]
    pub fn fenced(instance_id: Option<&str>, words: impl Into<String>) -> Self {
        Self::new(Cause::Fenced { instance_id: instance_id.map(str::to_owned), words: words.into() })
    }

    /// The log of a partition ends below an end that it had when the work began.
    #[must_use]
    pub fn log_truncated(place: &TopicPartition, frozen: i64, end: i64) -> Self {
        Self::new(Cause::LogTruncated { place: place.clone(), frozen, end })
    }

    /// The same work, which waited in vain for the leader of a partition.
    pub(super) fn without_leader(mut self, place: TopicPartition) -> Self {
        self.0.cause = Cause::NoLeader(place);
        self
    }

    /// An error once a stop was asked for.
    pub(super) fn check(shutdown: &Shutdown) -> Result<(), Self> {
        shutdown.requested().map_or(Ok(()), |signal| Err(Self::new(Cause::Stopped(signal))))
    }
}

/// Without the connection, which is long and says nothing about the error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("doing", &self.0.doing).field("cause", &self.0.cause).finish()
    }
}

impl std::error::Error for Error {}

/// The library's code of an error, also where the crate does not give it.
pub(super) fn code(error: &KafkaError) -> Option<Rd> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        KafkaError::Transaction(inner) => Some(inner.code()),
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => None,
        other => other.rdkafka_error_code(),
    }
}

/// The kind of an error of the crate.
pub(super) fn kind(error: &KafkaError) -> ErrorKind {
    match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => ErrorKind::Misconfigured,
        other => code(other).map_or(ErrorKind::Unexpected, kind_of),
    }
}

/// A configuration that the library refuses.
pub(super) fn configuration(error: &KafkaError) -> Error {
    Error::new(match error {
        KafkaError::ClientConfig(_, text, key, value) if super::connection::is_secret(key) => {
            Cause::Configuration(format!("{key}: {}", text.replace(value, "[redacted]")))
        }
        KafkaError::ClientConfig(_, text, key, value) => Cause::Configuration(format!("{key}={value}: {text}")),
        KafkaError::ClientCreation(text) if text.contains("Too many open files") => {
            Cause::Connection(ConnectionFault { address: String::new(), kind: FaultKind::TooManyFiles })
        }
        KafkaError::ClientCreation(text) => Cause::Configuration(text.clone()),
        other => Cause::Configuration(other.to_string()),
    })
}

/// The error of a failed call; `doing` names the work, `needs` the permissions that it needs, `log` what the client heard.
pub(super) fn of_call(error: &KafkaError, doing: &str, needs: &[Permission], log: &ErrorLog) -> Error {
    let Some(code) = code(error) else {
        return match error {
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => configuration(error),
            other => Error::new(Cause::Code { code: Rd::Fail, words: other.to_string() }).context(doing),
        };
    };
    let words = match error {
        KafkaError::Transaction(inner) => inner.string(),
        _ => code.to_string(),
    };
    of_code(code, &words, doing, needs, log)
}

/// As [`of_call`], for a bare code and its words.
pub(super) fn of_code(code: Rd, words: &str, doing: &str, needs: &[Permission], log: &ErrorLog) -> Error {
    // A refusal heard by the client explains a time-out better than the time-out does, and says more than its bare code.
    let heard =
        log.authorization_error(needs).filter(|(heard, _)| code == *heard || !acl::is_authorization_error(code));
    let (code, words) = heard.unwrap_or_else(|| (code, words.to_owned()));
    let cause = match kind_of(code) {
        ErrorKind::Denied if acl::is_authorization_error(code) => Cause::Denied { code, words, needs: needs.to_vec() },
        ErrorKind::Denied => match super::connection_fault::parse(&words).or_else(|| log.fault()) {
            Some(fault) => Cause::Connection(fault),
            None => Cause::Denied { code, words, needs: needs.to_vec() },
        },
        kind if kind.is_retriable() => return no_answer(doing, &words, log),
        _ => Cause::Code { code, words },
    };
    Error::new(cause).context(doing).of(&log.connection)
}

/// Who refuses a record for its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// The topic, by its `max.message.bytes` or `segment.bytes`: a limit on batches as they are stored.
    OfTopic,
    /// The client, by its `message.max.bytes`: a limit on records before they are compressed.
    OfClient,
}

/// Whether a code says that a record is too large.
pub(super) fn is_size(code: Rd) -> bool {
    matches!(code, Rd::MessageSizeTooLarge | Rd::MessageBatchTooLarge)
}

/// A record was refused for its size.
pub(super) fn too_large(topic: &str, limit: Limit, code: Rd, log: &ErrorLog) -> Error {
    let cause = Cause::TooLarge { topic: topic.to_owned(), limit, words: code.to_string() };
    Error::new(cause).context(format_args!("writing to {topic}")).of(&log.connection)
}

/// The broker did not answer in time, or not as it should.
pub(super) fn no_answer(doing: &str, words: &str, log: &ErrorLog) -> Error {
    let cause = if let Some(fault) = log.fault() {
        Cause::Connection(fault)
    } else if let Some(faults) = log.unreachable_addresses() {
        Cause::NoAddress(faults)
    } else {
        Cause::NoAnswer { words: words.to_owned(), last: log.last() }
    };
    Error::new(cause).context(doing).of(&log.connection)
}
