//! Error codes of Kafka and librdkafka: a table with the kind of each code, and what Kafka's Java client does with it.
//!
//! Sources: the exceptions of `org.apache.kafka.common.protocol.Errors` (4.1), where the Java client retries a
//! `RetriableException`, and an `InvalidMetadataException` after a metadata refresh; the handling of transactions by
//! the producer and consumer (KIP-98, KIP-360, KIP-447, KIP-588) and of members (KIP-345, KIP-394); for codes below
//! zero, which no broker sends, librdkafka's `rdkafka.h`.

use rdkafka::error::RDKafkaErrorCode as Rd;

/// What an error means for the caller. Control flow depends on the kind, never on a message or an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Retry the same request: a broker is busy, starts, or waits for its replicas.
    Transient,
    /// The partition's leader moved: refresh the metadata, then retry.
    LeaderMoved,
    /// The coordinator of a group or transactional id moved: look it up, then retry.
    CoordinatorMoved,
    /// No answer: no connection, or none in time.
    Unreachable,
    /// A resource limit of this machine: open files, memory, disk.
    Exhausted,
    /// Authentication or an ACL refused.
    Denied,
    /// The topic, partition or group does not exist.
    Missing,
    /// The item to create exists, or the item to delete is in use.
    Conflict,
    /// The next offset is not in the log: it was deleted, or the log was truncated.
    OutOfRange,
    /// The member's generation is over: abort the transaction and wait for the next rebalance.
    StaleMember,
    /// Another process has the transactional id or the instance id; or the broker aborted the transaction.
    Fenced,
    /// The transaction must be aborted; its records can be processed again.
    Abortable,
    /// It is unknown whether the request took effect: do not reuse the producer.
    UnknownOutcome,
    /// A record or batch is rejected for good: too large or invalid.
    BadRecord,
    /// Unreadable data: a damaged log or a broker bug.
    Corrupt,
    /// A property, name or request that this cluster does not accept.
    Misconfigured,
    /// The broker is too old for the request, or lacks the feature.
    Unsupported,
    /// This process was asked to stop by a signal.
    Stopped,
    /// A code that no request of this program should get.
    Unexpected,
}

impl ErrorKind {
    /// Whether the same request may succeed later, after a refresh of the metadata or coordinator.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        matches!(self, Self::Transient | Self::LeaderMoved | Self::CoordinatorMoved | Self::Unreachable)
    }

    /// Whether the error of a fetched partition concerns the data that arrived, or that a broker could not send.
    /// Another fetch may succeed; otherwise the data is damaged or not supported by this client.
    pub(super) const fn is_data_error(self) -> bool {
        matches!(self, Self::Corrupt | Self::BadRecord | Self::Unsupported | Self::Exhausted | Self::Unexpected)
    }
}

/// What Kafka's Java client does with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JavaClient {
    /// Retries after `retry.backoff.ms`.
    Retry,
    /// Retries after a metadata refresh.
    Refresh,
    /// Retries after it has looked up the coordinator.
    FindCoordinator,
    Rejoin,
    /// The application must abort the transaction.
    Abort,
    /// Resets to `auto.offset.reset`, or throws if that is `none`.
    Reset,
    /// Throws: the application cannot continue with this client or this request.
    Throw,
    /// The Java client does not have this code.
    Nothing,
}

/// A row of the table. `source` is the exception or document that the row follows.
pub(super) struct Row {
    pub code: Rd,
    pub kind: ErrorKind,
    #[cfg_attr(not(test), expect(dead_code, reason = "documentation that a test holds together with the kind"))]
    pub java: JavaClient,
    #[cfg_attr(not(test), expect(dead_code, reason = "documentation that a test requires of each row"))]
    pub source: &'static str,
}

const fn row(code: Rd, kind: ErrorKind, java: JavaClient, source: &'static str) -> Row {
    Row { code, kind, java, source }
}

const LIBRARY: &str = "rdkafka.h";

/// One row for each code.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    // librdkafka's own, from -199 on.
    row(Rd::BadMessage, ErrorKind::Corrupt, JavaClient::Nothing, LIBRARY),
    row(Rd::BadCompression, ErrorKind::Corrupt, JavaClient::Nothing, LIBRARY),
    row(Rd::BrokerDestroy, ErrorKind::LeaderMoved, JavaClient::Nothing, LIBRARY),
    row(Rd::Fail, ErrorKind::Unexpected, JavaClient::Nothing, LIBRARY),
    row(Rd::BrokerTransportFailure, ErrorKind::Unreachable, JavaClient::Retry, "DisconnectException"),
    row(Rd::CriticalSystemResource, ErrorKind::Exhausted, JavaClient::Nothing, LIBRARY),
    row(Rd::Resolve, ErrorKind::Unreachable, JavaClient::Retry, "ClientUtils.resolve; a bootstrap address is refused when the client is made"),
    row(Rd::MessageTimedOut, ErrorKind::Unreachable, JavaClient::Throw, "delivery.timeout.ms: TimeoutException"),
    row(Rd::PartitionEOF, ErrorKind::Unexpected, JavaClient::Nothing, LIBRARY),
    row(Rd::UnknownPartition, ErrorKind::Missing, JavaClient::Refresh, "UnknownTopicOrPartitionException"),
    row(Rd::FileSystem, ErrorKind::Exhausted, JavaClient::Nothing, LIBRARY),
    row(Rd::UnknownTopic, ErrorKind::Missing, JavaClient::Refresh, "UnknownTopicOrPartitionException"),
    row(Rd::AllBrokersDown, ErrorKind::Unreachable, JavaClient::Retry, "NetworkClient.leastLoadedNode"),
    row(Rd::InvalidArgument, ErrorKind::Misconfigured, JavaClient::Throw, "ConfigException"),
    row(Rd::OperationTimedOut, ErrorKind::Unreachable, JavaClient::Retry, "TimeoutException"),
    row(Rd::QueueFull, ErrorKind::Transient, JavaClient::Retry, "buffer.memory: KafkaProducer.send waits for max.block.ms"),
    row(Rd::ISRInsufficient, ErrorKind::Transient, JavaClient::Retry, "NotEnoughReplicasException"),
    row(Rd::NodeUpdate, ErrorKind::Transient, JavaClient::Nothing, LIBRARY),
    row(Rd::SSL, ErrorKind::Unreachable, JavaClient::Throw, "SslAuthenticationException"),
    row(Rd::WaitingForCoordinator, ErrorKind::CoordinatorMoved, JavaClient::FindCoordinator, "AbstractCoordinator.ensureCoordinatorReady"),
    row(Rd::UnknownGroup, ErrorKind::Missing, JavaClient::Nothing, LIBRARY),
    row(Rd::InProgress, ErrorKind::Transient, JavaClient::Nothing, LIBRARY),
    row(Rd::PreviousInProgress, ErrorKind::Transient, JavaClient::Nothing, LIBRARY),
    row(Rd::ExistingSubscription, ErrorKind::Misconfigured, JavaClient::Throw, "IllegalStateException"),
    row(Rd::AssignPartitions, ErrorKind::Unexpected, JavaClient::Nothing, LIBRARY),
    row(Rd::RevokePartitions, ErrorKind::Unexpected, JavaClient::Nothing, LIBRARY),
    row(Rd::Conflict, ErrorKind::Unexpected, JavaClient::Throw, "IllegalStateException"),
    row(Rd::State, ErrorKind::Abortable, JavaClient::Abort, "KIP-98: a failed transaction can only be aborted"),
    row(Rd::UnknownProtocol, ErrorKind::Unsupported, JavaClient::Throw, "UnsupportedVersionException"),
    row(Rd::NotImplemented, ErrorKind::Unsupported, JavaClient::Throw, "UnsupportedOperationException"),
    row(Rd::Authentication, ErrorKind::Denied, JavaClient::Throw, "AuthenticationException"),
    row(Rd::NoOffset, ErrorKind::OutOfRange, JavaClient::Reset, "NoOffsetForPartitionException"),
    row(Rd::Outdated, ErrorKind::Transient, JavaClient::Nothing, LIBRARY),
    row(Rd::TimedOutQueue, ErrorKind::Unreachable, JavaClient::Retry, "request.timeout.ms"),
    row(Rd::UnsupportedFeature, ErrorKind::Unsupported, JavaClient::Throw, "UnsupportedVersionException"),
    row(Rd::WaitCache, ErrorKind::LeaderMoved, JavaClient::Refresh, "KafkaProducer.waitOnMetadata"),
    row(Rd::Interrupted, ErrorKind::Transient, JavaClient::Nothing, LIBRARY),
    row(Rd::KeySerialization, ErrorKind::Unexpected, JavaClient::Throw, "SerializationException"),
    row(Rd::ValueSerialization, ErrorKind::Unexpected, JavaClient::Throw, "SerializationException"),
    row(Rd::KeyDeserialization, ErrorKind::Unexpected, JavaClient::Throw, "RecordDeserializationException"),
    row(Rd::ValueDeserialization, ErrorKind::Unexpected, JavaClient::Throw, "RecordDeserializationException"),
    row(Rd::Partial, ErrorKind::Transient, JavaClient::Nothing, LIBRARY),
    row(Rd::ReadOnly, ErrorKind::Unexpected, JavaClient::Nothing, LIBRARY),
    row(Rd::NoEnt, ErrorKind::Missing, JavaClient::Nothing, LIBRARY),
    row(Rd::Underflow, ErrorKind::Corrupt, JavaClient::Throw, "SchemaException"),
    row(Rd::InvalidType, ErrorKind::Misconfigured, JavaClient::Throw, "ConfigException"),
    row(Rd::Retry, ErrorKind::Transient, JavaClient::Retry, "RetriableException"),
    row(Rd::PurgeQueue, ErrorKind::Abortable, JavaClient::Abort, "TransactionAbortedException"),
    row(Rd::PurgeInflight, ErrorKind::Abortable, JavaClient::Abort, "TransactionAbortedException"),
    row(Rd::Fatal, ErrorKind::UnknownOutcome, JavaClient::Throw, "KIP-98: the producer must be closed"),
    row(Rd::Inconsistent, ErrorKind::UnknownOutcome, JavaClient::Nothing, LIBRARY),
    row(Rd::GaplessGuarantee, ErrorKind::UnknownOutcome, JavaClient::Nothing, LIBRARY),
    row(Rd::PollExceeded, ErrorKind::StaleMember, JavaClient::Rejoin, "max.poll.interval.ms (KIP-62)"),
    row(Rd::UnknownBroker, ErrorKind::LeaderMoved, JavaClient::Refresh, "StaleMetadataException"),
    row(Rd::NotConfigured, ErrorKind::Misconfigured, JavaClient::Throw, "IllegalStateException"),
    row(Rd::Fenced, ErrorKind::Fenced, JavaClient::Throw, "ProducerFencedException"),
    row(Rd::Application, ErrorKind::Unexpected, JavaClient::Nothing, LIBRARY),
    row(Rd::AssignmentLost, ErrorKind::StaleMember, JavaClient::Rejoin, "ConsumerRebalanceListener.onPartitionsLost"),
    row(Rd::Noop, ErrorKind::Unexpected, JavaClient::Nothing, LIBRARY),
    row(Rd::AutoOffsetReset, ErrorKind::OutOfRange, JavaClient::Reset, "OffsetOutOfRangeException"),
    row(Rd::LogTruncation, ErrorKind::OutOfRange, JavaClient::Reset, "LogTruncationException (KIP-320)"),
    row(Rd::InvalidDifferentRecord, ErrorKind::BadRecord, JavaClient::Throw, "KIP-467"),
    row(Rd::DestroyBroker, ErrorKind::LeaderMoved, JavaClient::Refresh, "the node left the metadata: DisconnectException"),
    // Kafka's protocol.
    row(Rd::Unknown, ErrorKind::Unexpected, JavaClient::Throw, "UnknownServerException"),
    row(Rd::OffsetOutOfRange, ErrorKind::OutOfRange, JavaClient::Reset, "OffsetOutOfRangeException"),
    row(Rd::InvalidMessage, ErrorKind::Corrupt, JavaClient::Throw, "CorruptRecordException; a produce is sent again, a poll throws"),
    row(Rd::UnknownTopicOrPartition, ErrorKind::Missing, JavaClient::Refresh, "UnknownTopicOrPartitionException"),
    row(Rd::InvalidMessageSize, ErrorKind::Misconfigured, JavaClient::Throw, "InvalidFetchSizeException"),
    row(Rd::LeaderNotAvailable, ErrorKind::LeaderMoved, JavaClient::Refresh, "LeaderNotAvailableException"),
    row(Rd::NotLeaderForPartition, ErrorKind::LeaderMoved, JavaClient::Refresh, "NotLeaderOrFollowerException"),
    row(Rd::RequestTimedOut, ErrorKind::Transient, JavaClient::Retry, "TimeoutException"),
    row(Rd::BrokerNotAvailable, ErrorKind::Transient, JavaClient::Throw, "BrokerNotAvailableException; no broker of today sends it"),
    row(Rd::ReplicaNotAvailable, ErrorKind::LeaderMoved, JavaClient::Refresh, "ReplicaNotAvailableException"),
    row(Rd::MessageSizeTooLarge, ErrorKind::BadRecord, JavaClient::Throw, "RecordTooLargeException"),
    row(Rd::StaleControllerEpoch, ErrorKind::Unexpected, JavaClient::Throw, "ControllerMovedException; between brokers"),
    row(Rd::OffsetMetadataTooLarge, ErrorKind::Unexpected, JavaClient::Throw, "OffsetMetadataTooLarge"),
    row(Rd::NetworkException, ErrorKind::LeaderMoved, JavaClient::Refresh, "NetworkException"),
    row(Rd::CoordinatorLoadInProgress, ErrorKind::Transient, JavaClient::Retry, "CoordinatorLoadInProgressException"),
    row(Rd::CoordinatorNotAvailable, ErrorKind::CoordinatorMoved, JavaClient::FindCoordinator, "CoordinatorNotAvailableException"),
    row(Rd::NotCoordinator, ErrorKind::CoordinatorMoved, JavaClient::FindCoordinator, "NotCoordinatorException"),
    row(Rd::InvalidTopic, ErrorKind::Misconfigured, JavaClient::Throw, "InvalidTopicException"),
    row(Rd::MessageBatchTooLarge, ErrorKind::BadRecord, JavaClient::Throw, "RecordBatchTooLargeException"),
    row(Rd::NotEnoughReplicas, ErrorKind::Transient, JavaClient::Retry, "NotEnoughReplicasException"),
    row(Rd::NotEnoughReplicasAfterAppend, ErrorKind::Transient, JavaClient::Retry, "NotEnoughReplicasAfterAppendException"),
    row(Rd::InvalidRequiredAcks, ErrorKind::Misconfigured, JavaClient::Throw, "InvalidRequiredAcksException"),
    row(Rd::IllegalGeneration, ErrorKind::StaleMember, JavaClient::Rejoin, "IllegalGenerationException"),
    row(Rd::InconsistentGroupProtocol, ErrorKind::Misconfigured, JavaClient::Throw, "InconsistentGroupProtocolException"),
    row(Rd::InvalidGroupId, ErrorKind::Misconfigured, JavaClient::Throw, "InvalidGroupIdException"),
    row(Rd::UnknownMemberId, ErrorKind::StaleMember, JavaClient::Rejoin, "UnknownMemberIdException"),
    row(Rd::InvalidSessionTimeout, ErrorKind::Misconfigured, JavaClient::Throw, "InvalidSessionTimeoutException"),
    row(Rd::RebalanceInProgress, ErrorKind::StaleMember, JavaClient::Rejoin, "RebalanceInProgressException"),
    row(Rd::InvalidCommitOffsetSize, ErrorKind::Unexpected, JavaClient::Throw, "InvalidCommitOffsetSizeException"),
    row(Rd::TopicAuthorizationFailed, ErrorKind::Denied, JavaClient::Throw, "TopicAuthorizationException"),
    row(Rd::GroupAuthorizationFailed, ErrorKind::Denied, JavaClient::Throw, "GroupAuthorizationException"),
    row(Rd::ClusterAuthorizationFailed, ErrorKind::Denied, JavaClient::Throw, "ClusterAuthorizationException"),
    row(Rd::InvalidTimestamp, ErrorKind::BadRecord, JavaClient::Throw, "InvalidTimestampException"),
    row(Rd::UnsupportedSASLMechanism, ErrorKind::Denied, JavaClient::Throw, "UnsupportedSaslMechanismException"),
    row(Rd::IllegalSASLState, ErrorKind::Denied, JavaClient::Throw, "IllegalSaslStateException"),
    row(Rd::UnsupportedVersion, ErrorKind::Unsupported, JavaClient::Throw, "UnsupportedVersionException"),
    row(Rd::TopicAlreadyExists, ErrorKind::Conflict, JavaClient::Throw, "TopicExistsException"),
    row(Rd::InvalidPartitions, ErrorKind::Misconfigured, JavaClient::Throw, "InvalidPartitionsException"),
    row(Rd::InvalidReplicationFactor, ErrorKind::Misconfigured, JavaClient::Throw, "InvalidReplicationFactorException"),
    row(Rd::InvalidReplicaAssignment, ErrorKind::Misconfigured, JavaClient::Throw, "InvalidReplicaAssignmentException"),
    row(Rd::InvalidConfig, ErrorKind::Misconfigured, JavaClient::Throw, "InvalidConfigurationException"),
    row(Rd::NotController, ErrorKind::Transient, JavaClient::Retry, "NotControllerException"),
    row(Rd::InvalidRequest, ErrorKind::Unexpected, JavaClient::Throw, "InvalidRequestException"),
    row(Rd::UnsupportedForMessageFormat, ErrorKind::Unsupported, JavaClient::Throw, "UnsupportedForMessageFormatException"),
    row(Rd::PolicyViolation, ErrorKind::Misconfigured, JavaClient::Throw, "PolicyViolationException"),
    row(Rd::OutOfOrderSequenceNumber, ErrorKind::Abortable, JavaClient::Abort, "OutOfOrderSequenceException (KIP-360)"),
    row(Rd::DuplicateSequenceNumber, ErrorKind::Unexpected, JavaClient::Nothing, "DuplicateSequenceException; counts as acknowledged"),
    row(Rd::InvalidProducerEpoch, ErrorKind::Fenced, JavaClient::Abort, "InvalidProducerEpochException (KIP-588)"),
    row(Rd::InvalidTransactionalState, ErrorKind::UnknownOutcome, JavaClient::Throw, "InvalidTxnStateException"),
    row(Rd::InvalidProducerIdMapping, ErrorKind::UnknownOutcome, JavaClient::Abort, "InvalidPidMappingException (KIP-360)"),
    row(Rd::InvalidTransactionTimeout, ErrorKind::Misconfigured, JavaClient::Throw, "InvalidTxnTimeoutException"),
    row(Rd::ConcurrentTransactions, ErrorKind::Transient, JavaClient::Retry, "ConcurrentTransactionsException"),
    row(Rd::TransactionCoordinatorFenced, ErrorKind::CoordinatorMoved, JavaClient::Throw, "TransactionCoordinatorFencedException; between brokers"),
    row(Rd::TransactionalIdAuthorizationFailed, ErrorKind::Denied, JavaClient::Throw, "TransactionalIdAuthorizationException"),
    row(Rd::SecurityDisabled, ErrorKind::Denied, JavaClient::Throw, "SecurityDisabledException"),
    row(Rd::OperationNotAttempted, ErrorKind::Abortable, JavaClient::Abort, "OperationNotAttemptedException"),
    row(Rd::KafkaStorageError, ErrorKind::LeaderMoved, JavaClient::Refresh, "KafkaStorageException"),
    row(Rd::LogDirNotFound, ErrorKind::Misconfigured, JavaClient::Throw, "LogDirNotFoundException"),
    row(Rd::SaslAuthenticationFailed, ErrorKind::Denied, JavaClient::Throw, "SaslAuthenticationException"),
    row(Rd::UnknownProducerId, ErrorKind::Abortable, JavaClient::Abort, "UnknownProducerIdException (KIP-360)"),
    row(Rd::ReassignmentInProgress, ErrorKind::Transient, JavaClient::Throw, "ReassignmentInProgressException"),
    row(Rd::DelegationTokenAuthDisabled, ErrorKind::Denied, JavaClient::Throw, "DelegationTokenDisabledException"),
    row(Rd::DelegationTokenNotFound, ErrorKind::Denied, JavaClient::Throw, "DelegationTokenNotFoundException"),
    row(Rd::DelegationTokenOwnerMismatch, ErrorKind::Denied, JavaClient::Throw, "DelegationTokenOwnerMismatchException"),
    row(Rd::DelegationTokenRequestNotAllowed, ErrorKind::Denied, JavaClient::Throw, "UnsupportedByAuthenticationException"),
    row(Rd::DelegationTokenAuthorizationFailed, ErrorKind::Denied, JavaClient::Throw, "DelegationTokenAuthorizationException"),
    row(Rd::DelegationTokenExpired, ErrorKind::Denied, JavaClient::Throw, "DelegationTokenExpiredException"),
    row(Rd::InvalidPrincipalType, ErrorKind::Misconfigured, JavaClient::Throw, "InvalidPrincipalTypeException"),
    row(Rd::NonEmptyGroup, ErrorKind::Conflict, JavaClient::Throw, "GroupNotEmptyException"),
    row(Rd::GroupIdNotFound, ErrorKind::Missing, JavaClient::Throw, "GroupIdNotFoundException"),
    row(Rd::FetchSessionIdNotFound, ErrorKind::Transient, JavaClient::Retry, "FetchSessionIdNotFoundException"),
    row(Rd::InvalidFetchSessionEpoch, ErrorKind::Transient, JavaClient::Retry, "InvalidFetchSessionEpochException"),
    row(Rd::ListenerNotFound, ErrorKind::LeaderMoved, JavaClient::Refresh, "ListenerNotFoundException"),
    row(Rd::TopicDeletionDisabled, ErrorKind::Conflict, JavaClient::Throw, "TopicDeletionDisabledException"),
    row(Rd::FencedLeaderEpoch, ErrorKind::LeaderMoved, JavaClient::Refresh, "FencedLeaderEpochException"),
    row(Rd::UnknownLeaderEpoch, ErrorKind::Transient, JavaClient::Retry, "UnknownLeaderEpochException"),
    row(Rd::UnsupportedCompressionType, ErrorKind::Unsupported, JavaClient::Throw, "UnsupportedCompressionTypeException"),
    row(Rd::StaleBrokerEpoch, ErrorKind::Unexpected, JavaClient::Throw, "StaleBrokerEpochException; between brokers"),
    row(Rd::OffsetNotAvailable, ErrorKind::Transient, JavaClient::Retry, "OffsetNotAvailableException (KIP-207)"),
    row(Rd::MemberIdRequired, ErrorKind::StaleMember, JavaClient::Rejoin, "MemberIdRequiredException (KIP-394)"),
    row(Rd::PreferredLeaderNotAvailable, ErrorKind::LeaderMoved, JavaClient::Refresh, "PreferredLeaderNotAvailableException"),
    row(Rd::GroupMaxSizeReached, ErrorKind::Misconfigured, JavaClient::Throw, "GroupMaxSizeReachedException"),
    row(Rd::FencedInstanceId, ErrorKind::Fenced, JavaClient::Throw, "FencedInstanceIdException (KIP-345)"),
    row(Rd::EligibleLeadersNotAvailable, ErrorKind::LeaderMoved, JavaClient::Refresh, "EligibleLeadersNotAvailableException"),
    row(Rd::ElectionNotNeeded, ErrorKind::LeaderMoved, JavaClient::Refresh, "ElectionNotNeededException"),
    row(Rd::NoReassignmentInProgress, ErrorKind::Unexpected, JavaClient::Throw, "NoReassignmentInProgressException"),
    row(Rd::GroupSubscribedToTopic, ErrorKind::Conflict, JavaClient::Throw, "GroupSubscribedToTopicException"),
    row(Rd::InvalidRecord, ErrorKind::BadRecord, JavaClient::Throw, "InvalidRecordException"),
    row(Rd::UnstableOffsetCommit, ErrorKind::Transient, JavaClient::Retry, "UnstableOffsetCommitException (KIP-447)"),
    row(Rd::ThrottlingQuotaExceeded, ErrorKind::Transient, JavaClient::Retry, "ThrottlingQuotaExceededException (KIP-599)"),
    row(Rd::ProducerFenced, ErrorKind::Fenced, JavaClient::Throw, "ProducerFencedException"),
    row(Rd::ResourceNotFound, ErrorKind::Missing, JavaClient::Throw, "ResourceNotFoundException"),
    row(Rd::DuplicateResource, ErrorKind::Conflict, JavaClient::Throw, "DuplicateResourceException"),
    row(Rd::UnacceptableCredential, ErrorKind::Denied, JavaClient::Throw, "UnacceptableCredentialException"),
    row(Rd::InconsistentVoterSet, ErrorKind::Unexpected, JavaClient::Throw, "InconsistentVoterSetException; between brokers"),
    row(Rd::InvalidUpdateVersion, ErrorKind::Unexpected, JavaClient::Throw, "InvalidUpdateVersionException; between brokers"),
    row(Rd::FeatureUpdateFailed, ErrorKind::Unexpected, JavaClient::Throw, "FeatureUpdateFailedException"),
    row(Rd::PrincipalDeserializationFailure, ErrorKind::Denied, JavaClient::Throw, "PrincipalDeserializationException"),
    row(Rd::UnknownTopicId, ErrorKind::LeaderMoved, JavaClient::Refresh, "UnknownTopicIdException"),
    row(Rd::FencedMemberEpoch, ErrorKind::StaleMember, JavaClient::Rejoin, "FencedMemberEpochException (KIP-848)"),
    row(Rd::UnreleasedInstanceId, ErrorKind::Fenced, JavaClient::Throw, "UnreleasedInstanceIdException (KIP-848)"),
    row(Rd::UnsupportedAssignor, ErrorKind::Misconfigured, JavaClient::Throw, "UnsupportedAssignorException (KIP-848)"),
    row(Rd::StaleMemberEpoch, ErrorKind::StaleMember, JavaClient::Rejoin, "StaleMemberEpochException (KIP-848)"),
    row(Rd::UnknownSubscriptionId, ErrorKind::Transient, JavaClient::Retry, "UnknownSubscriptionIdException (KIP-714)"),
    row(Rd::TelemetryTooLarge, ErrorKind::Unexpected, JavaClient::Throw, "TelemetryTooLargeException (KIP-714)"),
    row(Rd::RebootstrapRequired, ErrorKind::Unreachable, JavaClient::Refresh, "RebootstrapRequiredException (KIP-1102)"),
];

/// The kind of an error code.
pub(super) fn kind_of(code: Rd) -> ErrorKind {
    TABLE.iter().find(|row| row.code == code).map_or(ErrorKind::Unexpected, |row| row.kind)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kafka::native;

    #[test]
    fn every_code_has_one_row() {
        let classified: BTreeSet<i32> = TABLE.iter().map(|row| row.code as i32).collect();
        assert_eq!(classified.len(), TABLE.len(), "a code has two rows");
        let known: BTreeSet<i32> = native::error_codes().into_iter().filter(|code| *code != 0).collect();
        assert!(known.len() > 150, "{known:?}");
        let missing: Vec<&i32> = known.difference(&classified).collect();
        assert!(missing.is_empty(), "codes without a row: {missing:?}");
    }

    /// An error that the Java client retries must not end a command; one that it throws must not be retried until the timeout.
    #[test]
    fn kinds_agree_with_the_java_client() {
        for Row { code, kind, java, source } in TABLE {
            assert!(!source.is_empty(), "{code:?}");
            let agrees = match java {
                JavaClient::Retry => kind.is_retriable(),
                JavaClient::Refresh => kind.is_retriable() || *kind == ErrorKind::Missing,
                JavaClient::FindCoordinator => *kind == ErrorKind::CoordinatorMoved,
                JavaClient::Rejoin => *kind == ErrorKind::StaleMember,
                JavaClient::Abort => {
                    matches!(kind, ErrorKind::Abortable | ErrorKind::UnknownOutcome | ErrorKind::Fenced)
                }
                JavaClient::Reset => *kind == ErrorKind::OutOfRange,
                JavaClient::Throw => !kind.is_retriable() || RETRIED_HERE.contains(code),
                JavaClient::Nothing => true,
            };
            assert!(agrees, "{code:?} is {kind:?}, and the Java client does {java:?} with it");
        }
    }

    /// Codes that the Java client throws and this program retries, each with its reason.
    const RETRIED_HERE: &[Rd] = &[
        // The timeout of a record, which is --timeout in this program.
        Rd::MessageTimedOut,
        // TLS handshakes fail for a moment when a broker stops; `connection_fault` reports what lasts.
        Rd::SSL,
        // From old or foreign brokers, which the Java client does not support.
        Rd::BrokerNotAvailable,
        Rd::TransactionCoordinatorFenced,
        // Ends when the replicas have moved.
        Rd::ReassignmentInProgress,
    ];
}
