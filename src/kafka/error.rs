//! Errors of the client layer: an [`ErrorKind`] for control flow, and a cause that `failure/` turns into message, hint
//! and exit code.

use std::fmt;
use std::sync::Arc;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};

use super::TopicPartition;
use super::acl::{self, Permission};
use super::client_context::ErrorLog;
use super::connection::Connection;
use super::connection_fault::{ConnectionFault, FaultKind};
use super::error_codes::{ErrorKind, kind_of};
#[cfg(feature = "tls")]
use super::tls_fault::TlsFault;
use crate::shutdown::{Shutdown, Signal};

#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    /// The work in the user's words, for example "asking localhost:9092 for its topics".
    doing: Option<String>,
    cause: Cause,
    /// The client's connection: messages name its broker, principal and properties.
    connection: Option<Arc<Connection>>,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// An error code with librdkafka's or the broker's message.
    Code {
        code: Rd,
        message: String,
    },
    /// The broker refused to create a topic.
    TopicRefused {
        code: Rd,
        message: String,
    },
    /// No answer in time, with the client's last error.
    NoAnswer {
        message: String,
        last: Option<String>,
    },
    /// No answer in time about a partition without a leader.
    NoLeader(TopicPartition),
    /// An ACL or a login refused; with the permissions that the call needs.
    Denied {
        code: Rd,
        message: String,
        needs: Vec<Permission>,
    },
    /// A connection cannot be established.
    Connection(ConnectionFault),
    /// No bootstrap address can be connected to; each with its fault.
    NoAddress(Vec<ConnectionFault>),
    /// librdkafka rejects a property.
    Configuration(String),
    /// An invalid topic name.
    TopicName(String),
    Stopped(Signal),
    /// A condition that this program relies on does not hold.
    Broken(&'static str),
    /// A topic still exists after its deletion was accepted.
    TopicStillExists(String),
    /// `delete.topic.enable` is false.
    TopicDeletionDisabled(String),
    /// A topic that the user chose does not exist; with one that does, behind a prefix.
    NoTopic {
        topic: String,
        similar: Option<String>,
    },
    /// A partition that the user chose does not exist; with the topic's partition count.
    NoPartition {
        topic_partition: TopicPartition,
        count: i32,
    },
    /// A transaction has kept the last stable offset below an end for too long.
    OpenTransaction {
        topic_partition: TopicPartition,
        stable: i64,
        end: i64,
    },
    /// The log ends before an end that it had.
    LogTruncated {
        topic_partition: TopicPartition,
        frozen: i64,
        end: i64,
    },
    /// The next record of a group member is no longer in the log.
    NextRecordGone(String),
    /// A record of a range is no longer in the log.
    RangeGone(String),
    /// A batch cannot be read, even after retries; with its base offset.
    Unreadable {
        topic_partition: TopicPartition,
        offset: i64,
        code: Rd,
        message: String,
    },
    /// A topic was deleted; whether a group member read it.
    TopicGone {
        message: String,
        member: bool,
    },
    /// Another process has the identity, or the broker aborted the transaction.
    Fenced {
        instance_id: Option<String>,
        message: String,
    },
    /// A record or batch exceeds a size limit.
    TooLarge {
        topic: String,
        limit: Limit,
        message: String,
    },
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
            Self::Connection(fault) => match &fault.kind {
                FaultKind::NoLogin
                | FaultKind::ClosedOnConnect
                | FaultKind::ClosedOnRequest
                | FaultKind::NoConnection(_)
                | FaultKind::UnknownHost(_) => ErrorKind::Unreachable,
                FaultKind::TooManyFiles => ErrorKind::Exhausted,
                FaultKind::Login(_) | FaultKind::Mechanism(_) => ErrorKind::Denied,
                #[cfg(feature = "tls")]
                FaultKind::Tls(TlsFault::NoTls) => ErrorKind::Unreachable,
                #[cfg(feature = "tls")]
                FaultKind::Tls(TlsFault::Unverified(_) | TlsFault::ClientCertificate(_)) => ErrorKind::Denied,
            },
            Self::Configuration(_) | Self::TopicName(_) => ErrorKind::Misconfigured,
            Self::Stopped(_) => ErrorKind::Stopped,
            Self::Broken(_) => ErrorKind::Unexpected,
            Self::TopicDeletionDisabled(_) => ErrorKind::Conflict,
            Self::NoTopic { .. } | Self::NoPartition { .. } | Self::TopicGone { .. } => ErrorKind::Missing,
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

    /// Prefixes the message with the caller's work: `doing: message`.
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

    /// The kind, for control flow.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.cause.kind()
    }

    /// Whether a transaction below an end offset stayed open for longer than its writer may keep it.
    pub(super) fn is_open_transaction(&self) -> bool {
        matches!(self.0.cause, Cause::OpenTransaction { .. })
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

    /// This process was fenced: another one took its identity.
    #[must_use]
    pub fn fenced(instance_id: Option<&str>, message: impl Into<String>) -> Self {
        Self::new(Cause::Fenced { instance_id: instance_id.map(str::to_owned), message: message.into() })
    }

    /// The log of a partition ends before an end that it had when the work began.
    #[must_use]
    pub fn log_truncated(topic_partition: &TopicPartition, frozen: i64, end: i64) -> Self {
        Self::new(Cause::LogTruncated { topic_partition: topic_partition.clone(), frozen, end })
    }

    /// The same error, caused by a partition without a leader.
    pub(super) fn without_leader(mut self, topic_partition: TopicPartition) -> Self {
        self.0.cause = Cause::NoLeader(topic_partition);
        self
    }

    /// An error when a stop was requested.
    pub(super) fn check(shutdown: &Shutdown) -> Result<(), Self> {
        shutdown.requested().map_or(Ok(()), |signal| Err(Self::new(Cause::Stopped(signal))))
    }
}

/// Without the connection, which is long and does not concern the error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("doing", &self.0.doing).field("cause", &self.0.cause).finish()
    }
}

impl std::error::Error for Error {}

/// The librdkafka code of an error, also where the crate does not return it.
pub(super) fn code(error: &KafkaError) -> Option<Rd> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        KafkaError::Transaction(inner) => Some(inner.code()),
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => None,
        other => other.rdkafka_error_code(),
    }
}

pub(super) fn kind(error: &KafkaError) -> ErrorKind {
    match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => ErrorKind::Misconfigured,
        other => code(other).map_or(ErrorKind::Unexpected, kind_of),
    }
}

/// librdkafka rejects the configuration.
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

/// The error of a failed call: `doing` names the work, `needs` the permissions for it, `log` has the client's errors.
pub(super) fn of_call(error: &KafkaError, doing: &str, needs: &[Permission], log: &ErrorLog) -> Error {
    let Some(code) = code(error) else {
        return match error {
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => configuration(error),
            other => Error::new(Cause::Code { code: Rd::Fail, message: other.to_string() }).context(doing),
        };
    };
    let message = match error {
        KafkaError::Transaction(inner) => inner.string(),
        _ => code.to_string(),
    };
    of_code(code, &message, doing, needs, log)
}

/// As [`of_call`], for an error code and its message.
pub(super) fn of_code(code: Rd, message: &str, doing: &str, needs: &[Permission], log: &ErrorLog) -> Error {
    // A refusal in the log explains a timeout better than the timeout does, and has more detail than the code.
    let refusal =
        log.authorization_error(needs).filter(|(refused, _)| code == *refused || !acl::is_authorization_error(code));
    let (code, message) = refusal.unwrap_or_else(|| (code, message.to_owned()));
    let cause = match kind_of(code) {
        ErrorKind::Denied if acl::is_authorization_error(code) => {
            Cause::Denied { code, message, needs: needs.to_vec() }
        }
        ErrorKind::Denied => match super::connection_fault::parse(&message).or_else(|| log.fault()) {
            Some(fault) => Cause::Connection(fault),
            None => Cause::Denied { code, message, needs: needs.to_vec() },
        },
        kind if kind.is_retriable() => return no_answer(doing, &message, log),
        _ => Cause::Code { code, message },
    };
    Error::new(cause).context(doing).of(&log.connection)
}

/// Which limit a record or batch exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// The topic's `max.message.bytes` or `segment.bytes`, which limit stored batches.
    OfTopic,
    /// The client's `message.max.bytes`, which limits records before compression.
    OfClient,
}

/// Whether a code means that a record is too large.
pub(super) fn is_size(code: Rd) -> bool {
    matches!(code, Rd::MessageSizeTooLarge | Rd::MessageBatchTooLarge)
}

pub(super) fn too_large(topic: &str, limit: Limit, code: Rd, log: &ErrorLog) -> Error {
    let cause = Cause::TooLarge { topic: topic.to_owned(), limit, message: code.to_string() };
    Error::new(cause).context(format_args!("writing to {topic}")).of(&log.connection)
}

/// No answer in time, or not a usable one.
pub(super) fn no_answer(doing: &str, message: &str, log: &ErrorLog) -> Error {
    let cause = if let Some(fault) = log.fault() {
        Cause::Connection(fault)
    } else if let Some(faults) = log.unreachable_addresses() {
        Cause::NoAddress(faults)
    } else {
        Cause::NoAnswer { message: message.to_owned(), last: log.last() }
    };
    Error::new(cause).context(doing).of(&log.connection)
}
