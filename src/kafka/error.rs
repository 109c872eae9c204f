//! Owns the translation of the client library's errors into failures: unreachable, denied, fenced, wrong configuration.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};
use thiserror::Error;

use super::client::LastErrors;
use super::denial::{self, Right};
use super::handshake;
use crate::exit::{Code, Failure};

/// What an error of a transactional call means for the transaction.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransactionError {
    /// The transaction can be aborted, and everything in it tried again by the same producer.
    #[error("{0}")]
    Abort(String),
    /// This member's generation is over: abort, then wait for the group's word.
    #[error("{0}")]
    Stale(String),
    /// Another producer has this transactional id, or the broker gave up on the transaction; the client cannot tell.
    #[error("{0}")]
    Fenced(String),
    /// Nobody knows whether the call took effect: the producer must not be used again.
    #[error("{0}")]
    Doubt(String),
    /// The command cannot go on.
    #[error("{0}")]
    Failed(Failure),
}

/// The way on where a broker does not answer, and nothing more is known than that.
pub const UNREACHABLE_HINT: &str = "check -b host:port and that the broker is up; --timeout sets how long to wait";

/// The meaning of an error code where it decides the exit code.
fn code_of(code: Rd) -> Option<Code> {
    Some(match code {
        Rd::TopicAuthorizationFailed
        | Rd::GroupAuthorizationFailed
        | Rd::ClusterAuthorizationFailed
        | Rd::TransactionalIdAuthorizationFailed
        | Rd::SaslAuthenticationFailed
        | Rd::SecurityDisabled
        | Rd::Authentication => Code::Denied,
        Rd::BrokerTransportFailure
        | Rd::AllBrokersDown
        | Rd::Resolve
        | Rd::OperationTimedOut
        | Rd::RequestTimedOut
        | Rd::MessageTimedOut
        | Rd::LeaderNotAvailable
        | Rd::NotLeaderForPartition
        // A broker that has not heard of a leader yet of which its clients have: right after a topic is created.
        | Rd::UnknownLeaderEpoch
        | Rd::FencedLeaderEpoch
        | Rd::CoordinatorLoadInProgress
        | Rd::CoordinatorNotAvailable
        | Rd::NotCoordinator
        | Rd::WaitingForCoordinator
        | Rd::NetworkException
        | Rd::BrokerNotAvailable
        | Rd::NotController
        | Rd::KafkaStorageError
        | Rd::SSL => Code::Unreachable,
        Rd::FencedInstanceId | Rd::ProducerFenced | Rd::Fenced => Code::Fenced,
        Rd::UnknownTopicOrPartition
        | Rd::UnknownTopic
        | Rd::UnknownPartition
        | Rd::OffsetOutOfRange
        | Rd::AutoOffsetReset => Code::Refused,
        Rd::InvalidArgument => Code::Usage,
        _ => return None,
    })
}

/// Whether the code says that authentication or an ACL refused: such an error is never worth a retry.
pub(super) fn is_denial(code: Rd) -> bool {
    code_of(code) == Some(Code::Denied)
}

/// Whether a code is one of the passing ones of a running cluster, or of its restart.
pub(super) fn is_passing(code: Rd) -> bool {
    code_of(code) == Some(Code::Unreachable)
}

/// A configuration that the library refuses.
pub(super) fn configuration(error: &KafkaError) -> Failure {
    let message = match error {
        KafkaError::ClientConfig(_, text, key, value) if super::connection::is_secret(key) => {
            format!("{key}: {}", text.replace(value, "[redacted]"))
        }
        KafkaError::ClientConfig(_, text, key, value) => format!("{key}={value}: {text}"),
        KafkaError::ClientCreation(text) => text.clone(),
        other => other.to_string(),
    };
    Failure::new(Code::Usage, message)
        .hint("check the -X options and the properties file against librdkafka's CONFIGURATION.md")
}

/// The library's code of an error, also where the crate does not give it.
pub(super) fn code(error: &KafkaError) -> Option<Rd> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// A failed call as a failure; `doing` names the work in the user's words, `seen` what the client heard meanwhile.
pub(super) fn failure(error: &KafkaError, doing: &str, seen: &LastErrors) -> Failure {
    failure_of(error, doing, &[], seen)
}

/// As [`failure`], for a call that needs rights: a refusal is told as the lack of one of them.
pub(super) fn failure_of(error: &KafkaError, doing: &str, needs: &[Right], seen: &LastErrors) -> Failure {
    if let KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) = error {
        return configuration(error);
    }
    let code = code(error);
    // A refusal heard by the client explains a time-out better than the time-out does, and says more than its bare code.
    if let Some((heard, text)) = seen.denial(needs)
        && code.is_none_or(|code| code == heard || !denial::is_of_an_acl(code))
    {
        return denied_failure(heard, doing, &text, needs, seen);
    }
    let text = match (error, code) {
        (KafkaError::Transaction(inner), _) => inner.string(),
        (_, Some(code)) => format!("{code}"),
        _ => error.to_string(),
    };
    match code.map(|code| (code, code_of(code))) {
        Some((code, Some(Code::Denied))) => denied_failure(code, doing, &text, needs, seen),
        Some((_, Some(Code::Unreachable))) => unreachable_failure(doing, &text, seen),
        // Of the topic, not of the client: the client's own limit is told where it is raised.
        _ if code == Some(Rd::MessageSizeTooLarge) => Failure::new(Code::Refused, format!("{doing}: {text}"))
            .hint("a record is larger than the topic takes: raise its max.message.bytes with kafka-configs --alter, or use a fresh --prefix"),
        Some((_, Some(other))) => Failure::new(other, format!("{doing}: {text}")),
        _ => Failure::new(Code::Unexpected, format!("{doing}: {text}")),
    }
}

/// Authentication or an ACL refused.
pub(super) fn denied_failure(code: Rd, doing: &str, text: &str, needs: &[Right], seen: &LastErrors) -> Failure {
    if denial::is_of_an_acl(code) {
        return denial::failure(code, doing, text, needs, seen);
    }
    if let Some(sign) = handshake::read(text).or_else(|| seen.sign()) {
        return handshake::told(&sign, &seen.connection).context(doing);
    }
    Failure::new(Code::Denied, format!("{doing}: the broker refused: {text}"))
        .hint("check the credentials (-X sasl.…, -F) and the ACLs of this principal with kafka-acls --list")
}

/// The broker did not answer in time.
pub(super) fn unreachable_failure(doing: &str, text: &str, seen: &LastErrors) -> Failure {
    if let Some(sign) = seen.sign() {
        return handshake::told(&sign, &seen.connection).context(doing);
    }
    let heard = seen.last().map_or_else(String::new, |last| format!("; last heard: {last}"));
    Failure::new(Code::Unreachable, format!("{doing}: {text}{heard}")).hint(UNREACHABLE_HINT)
}
